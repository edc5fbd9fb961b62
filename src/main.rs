//! The `portcullis` binary: parses the command line, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if portcullis_model::mutant::IS_COMPILED {
        eprintln!("portcullis: this build has deliberate faults, for tests alone");
    }
    portcullis_cli::run()
}
