//! `portcullis context`: the servers that `portcullis login` saved.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::context::Contexts;
use crate::failure::Failure;
use crate::output::{self, Format};

/// What to do with saved contexts.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List them; the one that counts where none is named is marked.
    List(ListArguments),
    /// Choose the one that counts where none is named.
    Use(NameArguments),
    /// Forget one, with its password.
    Delete(NameArguments),
}

/// Arguments of `context list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Arguments of commands for one context.
#[derive(Debug, Args)]
pub struct NameArguments {
    /// The context.
    name: String,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Runs the command.
///
/// # Errors
/// Where there is no such context, or the file cannot be read or written.
pub fn run(command: &ContextCommand) -> Result<(), Failure> {
    let mut contexts = Contexts::read()?;
    match command {
        ContextCommand::List(arguments) => list(&contexts, arguments.output),
        ContextCommand::Use(arguments) => {
            contexts.chosen(Some(&arguments.name))?;
            contexts.current.clone_from(&arguments.name);
            contexts.write()?;
            let whole = json!({"name": arguments.name, "current": true});
            output::done(arguments.output, &arguments.name, &format!("commands go to {} now", arguments.name), &whole)
        }
        ContextCommand::Delete(arguments) => {
            contexts.chosen(Some(&arguments.name))?;
            contexts.contexts.remove(&arguments.name);
            if contexts.current == arguments.name {
                contexts.current.clear();
            }
            contexts.write()?;
            let whole = json!({"name": arguments.name, "deleted": true});
            output::done(arguments.output, &arguments.name, &format!("{} is forgotten", arguments.name), &whole)
        }
    }
}

/// Shows them without their passwords.
fn list(contexts: &Contexts, format: Format) -> Result<(), Failure> {
    let all = || contexts.contexts.iter().map(|(name, context)| (name, context, *name == contexts.current));
    match format {
        Format::Table if contexts.contexts.is_empty() => {
            output::say("no context is saved yet: portcullis login --server https://HOST:9443 --user NAME");
            Ok(())
        }
        Format::Table => {
            let row = |is_current: bool| if is_current { "*" } else { "" };
            let rows = all().map(|(name, context, is_current)| {
                vec![row(is_current).to_owned(), name.clone(), context.server.clone(), context.user.clone()]
            });
            output::data(&output::table(&["", "name", "server", "user"], rows))
        }
        Format::Name => output::data(&all().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join("\n")),
        format => {
            let rows: Vec<Value> = all()
                .map(|(name, context, is_current)| {
                    json!({"name": name, "server": context.server, "user": context.user, "current": is_current})
                })
                .collect();
            output::value(format, &rows)
        }
    }
}
