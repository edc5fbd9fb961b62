//! `portcullis cluster status`: the nodes, the leader, and how far each node is.

use clap::Args;
use portcullis_model::Components;
use portcullis_model::cluster::{ClusterStatus, NodeStatus};
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

/// Arguments of `cluster status`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 7 where the cluster has no majority: it cannot write then.")]
pub struct StatusArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server cannot be reached, refuses, or says that the cluster has no majority.
pub async fn run(arguments: &StatusArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body: Value = remote.client.get(super::STATUS_PATH).await.map_err(|fault| of_client(&fault))?;
    let status: ClusterStatus = serde_json::from_value(body.clone()).map_err(|fault| {
        let next = "run the same version here as there (portcullis version)";
        Failure::new(Exit::Failed, "the server's answer is not understood", fault.to_string(), next)
    })?;
    match arguments.output {
        Format::Table => output::data(&as_table(&status))?,
        Format::Name => {
            let ids: Vec<String> = status.nodes.iter().map(|node| node.id.to_string()).collect();
            output::data(&ids.join("\n"))?;
        }
        format => output::value(format, &body)?,
    }
    if !status.unserved.is_empty() {
        output::tell(&format!("warning: no live node serves {}", status.unserved.join(", ")));
        output::say("next: portcullis server --data-dir DIR --components NAMES     or start the node that did");
    }
    if status.has_quorum {
        return Ok(());
    }
    let down: Vec<String> =
        status.nodes.iter().filter(|node| node.health != "alive").map(|node| node.id.to_string()).collect();
    Err(Failure::new(
        Exit::Unhealthy,
        "the cluster has no majority: it serves API calls, but nothing can be changed",
        format!("these nodes do not answer node {}: {}", status.answered_by, down.join(", ")),
        "start the nodes that are down: portcullis server --data-dir DIR",
    ))
}

fn as_table(status: &ClusterStatus) -> String {
    let leader = status.leader.map_or_else(|| "none".to_owned(), |leader| format!("node {leader}"));
    let health = if status.has_quorum {
        format!("healthy, tolerates the loss of {}", voters(status.failures_tolerated))
    } else {
        "NO MAJORITY".to_owned()
    };
    let head = format!(
        "cluster {} ({})\nleader {leader}, term {}, {health}; as node {} sees it\n\n",
        status.cluster_name, status.cluster_id, status.term, status.answered_by
    );
    let heads = ["node", "name", "role", "health", "components", "management", "version", "log", "applied", "lag"];
    head + &output::table(&heads, status.nodes.iter().map(row))
}

fn voters(count: u64) -> String {
    if count == 1 { "1 voter".to_owned() } else { format!("{count} voters") }
}

fn row(node: &NodeStatus) -> Vec<String> {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    vec![
        node.id.to_string(),
        node.name.clone(),
        node.role.clone(),
        node.health.clone(),
        Components::of_record(&node.components).to_string(),
        node.addresses.management.to_string(),
        if node.version.is_empty() { "-".to_owned() } else { node.version.clone() },
        number(node.last_log_index),
        number(node.applied_index),
        number(node.lag),
    ]
}

#[cfg(test)]
mod tests {
    use portcullis_model::{NodeAddresses, NodeId};

    use super::*;

    #[test]
    fn the_table_shows_roles_health_and_lag() {
        let at = |port| std::net::SocketAddr::from(([127, 0, 0, 2], port));
        let node = NodeStatus {
            id: NodeId(2),
            name: "n2".to_owned(),
            role: "learner".to_owned(),
            health: "alive".to_owned(),
            addresses: NodeAddresses {
                cluster: at(7443),
                management: at(9443),
                gateway_http: at(8280),
                gateway_https: at(8243),
            },
            meant_role: "voter".to_owned(),
            is_drained: false,
            replaced_by: None,
            components: vec!["gateway".to_owned()],
            version: "0.1.0".to_owned(),
            last_log_index: Some(42),
            applied_index: None,
            lag: Some(0),
        };
        let status = ClusterStatus {
            cluster_id: "c".to_owned(),
            cluster_name: "shop".to_owned(),
            answered_by: NodeId(1),
            leader: Some(NodeId(1)),
            term: 3,
            has_quorum: true,
            failures_tolerated: 1,
            nodes: vec![node],
            unserved: Vec::new(),
        };
        assert_eq!(
            as_table(&status),
            "cluster shop (c)\n\
             leader node 1, term 3, healthy, tolerates the loss of 1 voter; as node 1 sees it\n\n\
             NODE  NAME  ROLE     HEALTH  COMPONENTS  MANAGEMENT      VERSION  LOG  APPLIED  LAG\n\
             2     n2    learner  alive   gateway     127.0.0.2:9443  0.1.0    42   -        0"
        );
    }
}
