//! `portcullis completions`: writes what has a shell ask this program how a command line may go on, and answers that: with
//! commands and options of the tree, and with names from the server that is meant.

use clap::{Args, CommandFactory};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{live_names, output};

/// The variable by which a shell asks.
const VARIABLE: &str = "PORTCULLIS_COMPLETE";
const NAME: &str = "portcullis";

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Names of APIs, applications, users, roles, tenants, nodes, policies and so on are those of the server that the line, the
environment or the current context names, as far as it answers within 0.3 s; a server that was never met is not asked.

Example:
  bash        source <(portcullis completions bash)                  in ~/.bashrc
  zsh         source <(portcullis completions zsh)                   in ~/.zshrc, after compinit
  fish        portcullis completions fish | source                   in ~/.config/fish/config.fish
  elvish      eval (portcullis completions elvish | slurp)           in ~/.config/elvish/rc.elv
  powershell  portcullis completions powershell | Out-String | Invoke-Expression")]
pub struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Exit::Failed, "the script cannot be made", why, "choose another shell");
    let name = arguments.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells.completer(&name).ok_or_else(|| failed(format!("{name} is not known")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script).map_err(|fault| failed(fault.to_string()))?;
    output::data(&String::from_utf8(script).map_err(|fault| failed(fault.to_string()))?)
}

/// Answers a shell that asks, and ends the process then; does nothing where none does.
pub fn answer() {
    CompleteEnv::with_factory(|| live_names::attach(Arguments::command())).var(VARIABLE).bin(NAME).complete();
}
