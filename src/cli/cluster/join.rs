//! `portcullis cluster join`: makes this machine a further node of a cluster.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use portcullis_http::client::Client;
use portcullis_model::NodeId;
use portcullis_model::cluster::Standing;
use portcullis_node::config::Config;
use portcullis_node::{STANDING_PATH, joining};
use serde_json::json;

use super::bootstrap::remember;
use super::node_place::{NodePlace, prepare};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::progress::{Ended, follow};
use crate::remote::of_client;
use crate::server::{self, ServerArguments};

/// Arguments of `cluster join`.
#[derive(Debug, Args)]
#[command(after_help = "\
The token names the cluster's nodes and the fingerprint of its certificate authority: nobody else is believed.
The node becomes a learner when it first runs, catches up, and then votes. One that serves the gateway alone goes on
as a learner, so that gateways can be added without slowing what the others agree on.

Example:
  portcullis cluster join --data-dir n2 --bind 127.0.0.2 --token TOKEN
  portcullis server --data-dir n2
or, in one:
  portcullis cluster join --data-dir n2 --bind 127.0.0.2 --token TOKEN --start")]
pub struct JoinArguments {
    #[command(flatten)]
    place: NodePlace,
    /// The token that portcullis cluster token create printed.
    #[arg(long, value_name = "TOKEN", env = "PORTCULLIS_JOIN_TOKEN", hide_env_values = true)]
    token: String,
    /// Have the node vote although it serves the gateway alone.
    #[arg(long)]
    voter: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Run the node right after, and show how it becomes a voter.
    #[arg(long)]
    start: bool,
    /// Wait until the node votes, for example because a supervisor starts it, and show how it gets there.
    #[arg(long, conflicts_with = "start")]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::duration::parse)]
    wait_time: Duration,
}

/// Runs the command.
///
/// # Errors
/// Where the cluster refuses the token, cannot be reached, or the directory cannot be used.
pub async fn run(arguments: JoinArguments) -> Result<ExitCode, Failure> {
    let config = prepare(&arguments.place)?;
    let data_dir = &arguments.place.data_dir;
    let is_voter = arguments.voter || !config.node.components.is_gateway_alone();
    let joined = join(data_dir, &config, &arguments.token, is_voter).await?;
    let sentence = format!("admitted as node {} to cluster {}", joined.node, joined.cluster_name);
    let whole = json!({
        "node": joined.node, "cluster": joined.cluster_name, "data_dir": data_dir.display().to_string(),
        "votes": is_voter,
    });
    output::done(arguments.output, joined.node, &sentence, &whole)?;
    if !is_voter {
        output::say("it carries API calls and does not vote");
    }
    if arguments.start {
        let server = ServerArguments {
            data_dir: data_dir.clone(),
            components: None,
            set: Vec::new(),
            until_stdin_ends: false,
            shows_joining: true,
        };
        return server::run(&server).await;
    }
    output::say(&format!("next: portcullis server --data-dir {}", data_dir.display()));
    if arguments.wait { wait(&config, joined.node, arguments.wait_time).await } else { Ok(ExitCode::SUCCESS) }
}

/// Waits until the node, which somebody else starts, has its role. It is asked on its observability port.
async fn wait(config: &Config, node: NodeId, within: Duration) -> Result<ExitCode, Failure> {
    let at = config.observability_address();
    let client = Client::new(&format!("http://{at}"), None).map_err(|fault| of_client(&fault))?;
    let not_started = Standing {
        node,
        role: "joining".to_owned(),
        meant_role: None,
        leader: None,
        applied_index: 0,
        entries_left: None,
    };
    let look = async || Some(client.get(STANDING_PATH).await.unwrap_or_else(|_| not_started.clone()));
    match follow(within, look).await {
        Ended::Settled => {
            output::say("next: portcullis cluster status");
            Ok(ExitCode::SUCCESS)
        }
        Ended::Gone | Ended::TimedOut => Err(Failure::new(
            Exit::TimedOut,
            format!("node {node} does not have its role yet"),
            format!("it did not get there within {} s, as far as {at} tells", within.as_secs()),
            "start it, and see how far it is: portcullis cluster node list",
        )),
    }
}

/// Joins a data directory to a cluster.
///
/// # Errors
/// As [`run`].
pub async fn join_cluster(data_dir: &Path, config: &Config, token: &str) -> Result<(), Failure> {
    join(data_dir, config, token, true).await.map(|_| ())
}

async fn join(data_dir: &Path, config: &Config, token: &str, is_voter: bool) -> Result<joining::Joined, Failure> {
    let joined = joining::join(data_dir, config, token, is_voter)
        .await
        .map_err(|fault| Failure::from_fault(format!("{} cannot join", data_dir.display()), &fault))?;
    remember(&joined.ca_fingerprint, data_dir)?;
    Ok(joined)
}
