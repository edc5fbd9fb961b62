//! `portcullis man`: writes the manual pages, made from the command tree.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output;

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis man --into /usr/local/share/man/man1")]
pub struct ManArguments {
    /// The directory to write them into, one for each command; made where it is not there.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// Where a file cannot be written.
pub fn run(arguments: &ManArguments) -> Result<(), Failure> {
    let into = &arguments.into;
    std::fs::create_dir_all(into).map_err(|cause| unwritable(into, &cause))?;
    let mut tree = Arguments::command();
    tree.build();
    let count = write_below(&tree, "portcullis", into)?;
    output::say(&format!("{count} pages are in {}", into.display()));
    Ok(())
}

/// Writes the page of a command and those of the commands below it; returns how many.
fn write_below(command: &Command, name: &str, into: &Path) -> Result<usize, Failure> {
    let file = into.join(format!("{name}.1"));
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase());
    man.render(&mut page).and_then(|()| std::fs::write(&file, page)).map_err(|cause| unwritable(&file, &cause))?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        count += write_below(below, &format!("{name}-{}", below.get_name()), into)?;
    }
    Ok(count)
}

fn unwritable(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::from_io(format!("{} cannot be written", path.display()), cause, "choose a directory that you may write to")
}
