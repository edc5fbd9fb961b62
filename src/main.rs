//! The `portcullis` binary: parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis_cli::run()
}
