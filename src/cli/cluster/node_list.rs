//! `portcullis cluster node list` and `show`.

use clap::Args;
use portcullis_model::cluster::NodeStatus;
use serde_json::Value;

use super::node::{NODES_PATH, understood};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, RemoteArguments, of_client};

/// Arguments of `cluster node show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The node's id (see portcullis cluster node list).
    #[arg(value_name = "ID")]
    id: u64,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Lists the nodes.
///
/// # Errors
/// Where the server cannot be reached or refuses.
pub async fn list(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(NODES_PATH).await.map_err(|fault| of_client(&fault))?;
    let nodes: Vec<NodeStatus> = understood(body["list"].clone())?;
    match arguments.output {
        Format::Table => output::data(&as_table(&nodes)),
        Format::Name => output::data(&nodes.iter().map(|node| node.id.to_string()).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &body),
    }
}

/// Shows one node.
///
/// # Errors
/// Where there is no such node, or the server cannot be reached or refuses.
pub async fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let path = format!("{NODES_PATH}/{}", arguments.id);
    let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    let node: NodeStatus = understood(body.clone())?;
    match arguments.output {
        Format::Table => output::data(&as_lines(&node)),
        Format::Name => output::data(&node.id.to_string()),
        format => output::value(format, &body),
    }
}

fn as_table(nodes: &[NodeStatus]) -> String {
    let heads = ["node", "name", "role", "health", "traffic", "lag", "cluster", "to come"];
    output::table(
        &heads,
        nodes.iter().map(|node| {
            vec![
                node.id.to_string(),
                node.name.clone(),
                node.role.clone(),
                node.health.clone(),
                traffic(node).to_owned(),
                node.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
                node.addresses.cluster.to_string(),
                to_come(node),
            ]
        }),
    )
}

fn traffic(node: &NodeStatus) -> &'static str {
    if node.is_drained { "drained" } else { "yes" }
}

/// Returns what is about to happen to a node.
fn to_come(node: &NodeStatus) -> String {
    if let Some(by) = node.replaced_by {
        return format!("replaced by node {by}");
    }
    let is_voter = matches!(node.role.as_str(), "voter" | "leader");
    match (node.meant_role.as_str(), is_voter) {
        ("voter", false) => "becomes a voter".to_owned(),
        ("learner", true) => "becomes a learner".to_owned(),
        _ => "-".to_owned(),
    }
}

fn as_lines(node: &NodeStatus) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let components = if node.components.is_empty() { "all".to_owned() } else { node.components.join(", ") };
    let at = &node.addresses;
    let rows = [
        ("node", node.id.to_string()),
        ("name", node.name.clone()),
        ("role", node.role.clone()),
        ("to come", to_come(node)),
        ("health", node.health.clone()),
        ("traffic", traffic(node).to_owned()),
        ("components", components),
        ("version", if node.version.is_empty() { "-".to_owned() } else { node.version.clone() }),
        ("log", number(node.last_log_index)),
        ("applied", number(node.applied_index)),
        ("lag", number(node.lag)),
        ("cluster", at.cluster.to_string()),
        ("management", at.management.to_string()),
        ("gateway", format!("http {}, https {}", at.gateway_http, at.gateway_https)),
    ];
    rows.iter().map(|(name, value)| format!("{name:<12}{value}")).collect::<Vec<_>>().join("\n")
}
