//! `portcullis cluster upgrade`: where an upgrade of the nodes stands, and finishing it.

use clap::{Args, Subcommand};
use portcullis_model::safekeeping::UpgradeCheck;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

const PATH: &str = "/api/portcullis/v1/cluster/upgrade";

/// What to do about an upgrade.
#[derive(Debug, Subcommand)]
pub enum UpgradeCommand {
    /// Show which version each node runs, and whether the upgrade can be finished.
    Check(UpgradeArguments),
    /// Raise the feature level to what every node knows. There is no way back to the version before.
    #[command(alias = "finalize")]
    Finalise(UpgradeArguments),
}

/// Arguments of `cluster upgrade check` and `finalise`.
#[derive(Debug, Args)]
#[command(after_help = "\
To upgrade, stop one node after the other, start the new version on its data directory, and wait until it has caught up
(portcullis cluster status). Two adjacent versions run together; what is new in the later one is refused until the feature
level is raised. Until then each node can go back to the version before.

Example:
  portcullis cluster upgrade check && portcullis cluster upgrade finalise")]
pub struct UpgradeArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached, or a node does not answer.
pub async fn run(command: &UpgradeCommand) -> Result<(), Failure> {
    let (arguments, is_check) = match command {
        UpgradeCommand::Check(arguments) => (arguments, true),
        UpgradeCommand::Finalise(arguments) => (arguments, false),
    };
    let remote = arguments.remote.connect().await?;
    let answer = if is_check {
        remote.client.get(PATH).await
    } else {
        remote.client.post(&format!("{PATH}/finalise"), &json!({})).await
    };
    let body: Value = answer.map_err(|fault| of_client(&fault))?;
    let check: UpgradeCheck = serde_json::from_value(body.clone()).map_err(|fault| {
        let next = "run the same version here as there (portcullis version)";
        Failure::new(Exit::Failed, "the server's answer is not understood", fault.to_string(), next)
    })?;
    match arguments.output {
        Format::Json | Format::Yaml => output::value(arguments.output, &body)?,
        Format::Name => output::data(&check.feature_level.to_string())?,
        Format::Table => output::data(&as_table(&check))?,
    }
    match check.possible_level {
        None => {
            let silent = check.nodes.iter().filter(|node| node.feature_level.is_none());
            let silent: Vec<String> = silent.map(|node| node.id.to_string()).collect();
            Err(Failure::new(
                Exit::Unhealthy,
                "the upgrade cannot be finished now",
                format!("these nodes do not answer: {}", silent.join(", ")),
                "start them, or remove them: portcullis cluster node remove ID",
            ))
        }
        Some(level) if level > check.feature_level => {
            output::say("next: portcullis cluster upgrade finalise");
            Ok(())
        }
        Some(level) => {
            let ahead = check.nodes.iter().any(|node| node.feature_level.is_some_and(|one| one > level));
            output::say(if ahead { "next: start the new version on the other nodes" } else { "nothing to finish" });
            Ok(())
        }
    }
}

fn as_table(check: &UpgradeCheck) -> String {
    let possible = match check.possible_level {
        Some(level) if level > check.feature_level => format!("every node knows {level}"),
        Some(_) => "no higher one is known to every node".to_owned(),
        None => "a node does not answer".to_owned(),
    };
    let head = format!("feature level {}; {possible}\n\n", check.feature_level);
    let rows = check.nodes.iter().map(|node| {
        let version = if node.version.is_empty() { "-".to_owned() } else { node.version.clone() };
        let level = node.feature_level.map_or_else(|| "unreachable".to_owned(), |level| level.to_string());
        vec![node.id.to_string(), node.name.clone(), version, level]
    });
    head + &output::table(&["node", "name", "version", "knows level"], rows)
}
