//! `portcullis cluster certificate`: the nodes' certificates and the authority that signs them.

use clap::{Args, Subcommand};
use portcullis_node::config::Config;
use portcullis_node::renewing;
use serde_json::{Value, json};

use super::rotate::{self, RotateArguments};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, Remote, RemoteArguments, of_client};

/// The path of certificates.
pub(super) const PATH: &str = "/api/portcullis/v1/cluster/certificates";

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub enum CertificateCommand {
    /// List the nodes' certificates, when they end, and the authorities that are trusted.
    List(ReadArguments),
    /// Have a node, or every node, get a new certificate now.
    Renew(RenewArguments),
    /// Move the cluster to a new certificate authority.
    RotateCa(RotateArguments),
}

/// Arguments of `cluster certificate renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nodes renew their certificates by themselves when a third of their life is left; nothing is restarted.

--offline is for a node that the others do not let in any more because its certificate has expired: stop it, renew, and
start it again. The authority's key is in the node's own state.

Examples:
  portcullis cluster certificate renew 2
  portcullis cluster certificate renew --offline --data-dir n2")]
pub struct RenewArguments {
    /// The node's id; every node where it is not given.
    #[arg(value_name = "ID")]
    id: Option<u64>,
    /// Renew the certificate of the node in --data-dir, which must not run.
    #[arg(long, requires = "data_dir", conflicts_with = "id")]
    offline: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Runs the command.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub async fn run(command: &CertificateCommand) -> Result<(), Failure> {
    match command {
        CertificateCommand::List(arguments) => list(arguments).await,
        CertificateCommand::Renew(arguments) if arguments.offline => renew_offline(arguments).await,
        CertificateCommand::Renew(arguments) => renew(arguments).await,
        CertificateCommand::RotateCa(arguments) => rotate::run(arguments).await,
    }
}

/// Returns the cluster's certificates as the server lists them.
pub(super) async fn listed(remote: &Remote) -> Result<Value, Failure> {
    remote.client.get(PATH).await.map_err(|fault| of_client(&fault))
}

async fn list(arguments: &ReadArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let body = listed(&remote).await?;
    match arguments.output {
        Format::Table => output::data(&as_table(&body)),
        Format::Name => output::data(&ids(&body).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &body),
    }
}

fn rows<'a>(body: &'a Value, field: &str) -> &'a [Value] {
    body.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn ids(body: &Value) -> Vec<u64> {
    rows(body, "list").iter().filter_map(|row| row.get("node")?.as_u64()).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or("-")
}

/// Returns the beginning of a fingerprint: enough to tell one from another.
fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(16).collect()
}

fn as_table(body: &Value) -> String {
    let authorities = rows(body, "authorities").iter().map(|row| {
        let signs = row.get("signs").and_then(Value::as_bool).unwrap_or_default();
        let role = if signs { "signs" } else { "is trusted" };
        format!("authority {} {role}, until {}\n", short(text(row, "fingerprint")), text(row, "not_after"))
    });
    let rotation = body.get("rotation").filter(|rotation| !rotation.is_null());
    let rotation = rotation.map(|rotation| format!("rotation under way: {}\n", rotate::progress(rotation)));
    let nodes = rows(body, "list").iter().map(|row| {
        vec![
            row.get("node").map(ToString::to_string).unwrap_or_default(),
            text(row, "name").to_owned(),
            text(row, "not_after").to_owned(),
            short(text(row, "authority")),
            short(text(row, "fingerprint")),
        ]
    });
    let heads = ["node", "name", "ends", "authority", "fingerprint"];
    let head: String = authorities.chain(rotation).collect();
    format!("{head}\n{}", output::table(&heads, nodes))
}

async fn renew(arguments: &RenewArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let nodes = match arguments.id {
        Some(id) => vec![id],
        None => ids(&listed(&remote).await?),
    };
    for node in &nodes {
        let path = format!("{PATH}/{node}/renew");
        remote.client.send_json(http::Method::POST, &path, &json!({})).await.map_err(|fault| of_client(&fault))?;
        output::say(&format!("node {node} has a new certificate"));
    }
    output::say("next: portcullis cluster certificate list");
    renewed(arguments.output, &nodes)
}

async fn renew_offline(arguments: &RenewArguments) -> Result<(), Failure> {
    let Some(data_dir) = &arguments.remote.data_dir else {
        return Err(Failure::new(Exit::Usage, "no data directory was given", "--offline needs one", "--data-dir DIR"));
    };
    let unusable = |what: String| move |fault: &dyn portcullis_model::fault::Fault| Failure::from_fault(what, fault);
    let loaded = Config::load(data_dir, &[])
        .map_err(|fault| unusable("the node's configuration is not acceptable".to_owned())(&fault))?;
    let renewed = renewing::renew(data_dir, &loaded.config)
        .await
        .map_err(|fault| unusable(format!("the certificate in {} was not renewed", data_dir.display()))(&fault))?;
    output::say(&format!("node {} has a new certificate", renewed.node));
    output::say(&format!("next: portcullis server --data-dir {}", data_dir.display()));
    self::renewed(arguments.output, &[renewed.node.0])
}

/// Says as data which nodes have new certificates.
fn renewed(format: Format, nodes: &[u64]) -> Result<(), Failure> {
    match format {
        Format::Table => Ok(()),
        Format::Name => output::data(&nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &json!({"renewed": nodes})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_who_signs_how_far_a_rotation_is_and_when_each_certificate_ends() {
        let body = json!({
            "authorities": [
                {"fingerprint": "bb".repeat(32), "signs": true, "not_after": "2036-01-02T00:00:00Z"},
                {"fingerprint": "aa".repeat(32), "signs": false, "not_after": "2035-01-02T00:00:00Z"},
            ],
            "rotation": {"step": "moving", "not_trusting": [], "not_moved": [3]},
            "list": [
                {"node": 1, "name": "n1", "fingerprint": "11".repeat(32), "authority": "bb".repeat(32),
                 "not_after": "2027-01-02T00:00:00Z"},
                {"node": 3, "name": "n3", "fingerprint": null, "authority": null, "not_after": null},
            ],
        });
        assert_eq!(
            as_table(&body),
            "authority bbbbbbbbbbbbbbbb signs, until 2036-01-02T00:00:00Z\n\
             authority aaaaaaaaaaaaaaaa is trusted, until 2035-01-02T00:00:00Z\n\
             rotation under way: every node trusts the new authority; node 3 still uses the former one\n\n\
             NODE  NAME  ENDS                  AUTHORITY         FINGERPRINT\n\
             1     n1    2027-01-02T00:00:00Z  bbbbbbbbbbbbbbbb  1111111111111111\n\
             3     n3    -                     -                 -"
        );
        assert_eq!(ids(&body), [1, 3]);
    }
}
