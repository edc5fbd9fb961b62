//! `portcullis policy`: limits and deny policies, as the Admin contract has them.

mod deny;
mod kind;
mod limits;
mod transfer;

use clap::Subcommand;

use crate::failure::Failure;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Business plans: how much an application may call an API that it subscribes to.
    Plan {
        /// What to do with plans.
        #[command(subcommand)]
        command: kind::KindCommand,
    },
    /// Rate limits (advanced policies) of whole APIs and of operations.
    RateLimit {
        /// What to do with rate limits.
        #[command(subcommand)]
        command: kind::KindCommand,
    },
    /// Application policies: how much an application may call for each of its users.
    Application {
        /// What to do with application policies.
        #[command(subcommand)]
        command: kind::KindCommand,
    },
    /// Custom rules: limits of calls for which an expression is true, by a key of your making.
    Custom {
        /// What to do with custom rules.
        #[command(subcommand)]
        command: kind::KindCommand,
    },
    /// Deny policies: who is turned away.
    Deny {
        /// What to do with deny policies.
        #[command(subcommand)]
        command: deny::DenyCommand,
    },
    /// Show which limits a call would meet, and what is left of each. Nothing is called or counted.
    Test(limits::TestArguments),
    /// Write a policy to standard output, for import elsewhere.
    Export(transfer::ExportArguments),
    /// Bring in a policy that was exported.
    Import(transfer::ImportArguments),
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, or what was given cannot be read.
pub async fn run(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Plan { command } => kind::run(kind::Kind::Plan, command).await,
        PolicyCommand::RateLimit { command } => kind::run(kind::Kind::RateLimit, command).await,
        PolicyCommand::Application { command } => kind::run(kind::Kind::Application, command).await,
        PolicyCommand::Custom { command } => kind::run(kind::Kind::Custom, command).await,
        PolicyCommand::Deny { command } => deny::run(command).await,
        PolicyCommand::Test(arguments) => limits::test(arguments).await,
        PolicyCommand::Export(arguments) => transfer::export(arguments).await,
        PolicyCommand::Import(arguments) => transfer::import(arguments).await,
    }
}
