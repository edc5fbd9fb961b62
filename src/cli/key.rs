//! `portcullis key`: what applications get tokens by, the keys that sign these, and what callers show gateways instead of one.

mod api_key;
mod oauth;
mod signing;

use clap::Subcommand;

use crate::failure::Failure;
use crate::remote::ReadArguments;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// API keys of applications.
    ApiKey {
        /// What to do with API keys.
        #[command(subcommand)]
        command: api_key::ApiKeyCommand,
    },
    /// Keys and secrets by which applications get access tokens.
    Oauth {
        /// What to do with them.
        #[command(subcommand)]
        command: oauth::OauthCommand,
    },
    /// The keys that sign tokens.
    Signing {
        /// What to do with them.
        #[command(subcommand)]
        command: signing::SigningCommand,
    },
    /// Show the public keys, as clients get them.
    Jwks(ReadArguments),
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::ApiKey { command } => api_key::run(command).await,
        KeyCommand::Oauth { command } => oauth::run(command).await,
        KeyCommand::Signing { command } => signing::run(command).await,
        KeyCommand::Jwks(arguments) => signing::jwks(arguments).await,
    }
}
