//! `portcullis cluster transfer-leader`: hands leadership to another voter.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};

/// Arguments of `cluster transfer-leader`.
#[derive(Debug, Args)]
#[command(after_help = "\
Takes some milliseconds; writes wait that long. A node that stops or leaves hands over by itself.

Example:
  portcullis cluster transfer-leader 2")]
pub struct TransferArguments {
    /// The node that is to lead; the voter that has most of the log where none is given.
    #[arg(value_name = "NODE")]
    node: Option<u64>,
    /// The form; the table is the leader's id alone.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

#[derive(Deserialize, Serialize)]
struct Reply {
    leader: u64,
}

/// Runs the command.
///
/// # Errors
/// Where the node cannot lead, or the server cannot be reached.
pub async fn run(arguments: &TransferArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body = json!({ "node": arguments.node });
    let reply: Reply =
        remote.client.post("/api/portcullis/v1/cluster/leader", &body).await.map_err(|fault| of_client(&fault))?;
    output::say(&format!("node {} leads", reply.leader));
    let format = if arguments.output == Format::Table { Format::Name } else { arguments.output };
    output::done(format, reply.leader, "", &reply)
}
