//! `portcullis debug bundle`: gathers in one file what somebody needs who helps: what each node tells of itself, what the
//! doctor finds, where Raft stands. Secrets are not in it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use portcullis_http::client::Client;
use portcullis_model::Components;
use portcullis_model::cluster::{ClusterStatus, NodeStatus};
use serde_json::{Value, json};

use crate::cluster::STATUS_PATH;
use crate::failure::Failure;
use crate::output;
use crate::redact::Redactor;
use crate::remote::{Remote, RemoteArguments, of_client};

/// What is asked of the node that was named, each with its file in the bundle.
const OF_CLUSTER: [(&str, &str); 7] = [
    ("cluster/status.json", STATUS_PATH),
    ("cluster/doctor.json", "/api/portcullis/v1/cluster/doctor"),
    ("cluster/digest.json", "/api/portcullis/v1/cluster/digest"),
    ("cluster/nodes.json", "/api/portcullis/v1/cluster/nodes"),
    ("cluster/certificates.json", "/api/portcullis/v1/cluster/certificates"),
    ("cluster/upgrade.json", "/api/portcullis/v1/cluster/upgrade"),
    ("cluster/actors.json", "/api/portcullis/v1/debug/actors"),
];
const REPORT_PATH: &str = "/api/portcullis/v1/debug/report";
const AUDIT_PATH: &str = "/api/portcullis/v1/audit";

/// Arguments of `debug bundle`.
#[derive(Debug, Args)]
#[command(after_help = "\
In it: cluster status, doctor's findings, digests of the states, certificates; of every node that answers its
configuration, health, metrics, last lines of its log, limits, kernel settings and the names of its files. Not in it:
passwords, keys, tokens, and what is in the state. Hosts, addresses and names of APIs and users may be in metrics and log.
Read it before you pass it on.

Example:
  portcullis debug bundle --data-dir n1")]
pub struct BundleArguments {
    /// The file to write; portcullis-bundle-TIME.tar.gz where nothing is said. It must not be there.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many of the last records of the audit to add: who did what, when, from where.
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    audit: u32,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// What is gathered.
struct Bundle {
    redactor: Redactor,
    files: Vec<(String, String)>,
    /// What could not be had, and why.
    missing: Vec<(String, String)>,
}

/// Gathers and writes.
///
/// # Errors
/// Where the server cannot be asked at all, or the file cannot be written. What a node does not tell is listed in the bundle
/// as missing.
pub async fn run(arguments: &BundleArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let password = arguments.remote.password();
    let mut bundle = Bundle { redactor: Redactor::new(password), files: Vec::new(), missing: Vec::new() };
    let now = Timestamp::now();
    let name = format!("portcullis-bundle-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    // Before anything is asked for: that takes its time.
    let target = open(&file)?;
    let gathered = bundle
        .gather(&remote, arguments, now)
        .await
        .and_then(|()| bundle.write(target, &name).map_err(|cause| unwritable(&file, &cause)));
    if let Err(failure) = gathered {
        // Half a bundle is of no use; that it cannot be removed changes nothing for the caller.
        let _ = std::fs::remove_file(&file);
        return Err(failure);
    }
    for (what, why) in &bundle.missing {
        output::tell(&format!("warning: {what} is not in it: {why}"));
    }
    output::say("passwords, keys and tokens are not in it; names and addresses are: read it before you pass it on");
    output::data(&file.display().to_string())
}

fn open(file: &Path) -> Result<std::fs::File, Failure> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|cause| unwritable(file, &cause))
}

fn unwritable(file: &Path, cause: &std::io::Error) -> Failure {
    Failure::from_io(format!("{} cannot be written", file.display()), cause, "choose another file with --output")
}

impl Bundle {
    async fn gather(&mut self, remote: &Remote, arguments: &BundleArguments, now: Timestamp) -> Result<(), Failure> {
        // Whoever cannot be asked for the status cannot be asked for anything.
        output::say(&format!("asking {}", remote.server));
        let status: Value = remote.client.get(STATUS_PATH).await.map_err(|fault| of_client(&fault))?;
        for (file, path) in OF_CLUSTER {
            self.ask(&remote.client, file, path).await;
        }
        if arguments.audit > 0 {
            self.ask(&remote.client, "cluster/audit.json", &format!("{AUDIT_PATH}?limit={}", arguments.audit)).await;
        }
        let nodes = serde_json::from_value::<ClusterStatus>(status).map(|status| status.nodes).unwrap_or_default();
        for node in &nodes {
            output::say(&format!("asking node {}", node.id));
            self.ask_node(remote, node).await;
        }
        let manifest = json!({
            "made_at": now.to_string(),
            "made_by": format!("portcullis {}", env!("CARGO_PKG_VERSION")),
            "server": remote.server,
            "nodes": nodes.iter().map(|node| node.id).collect::<Vec<_>>(),
            "missing": self.missing.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
        });
        self.add_json("manifest.json", &manifest);
        Ok(())
    }

    async fn ask(&mut self, client: &Client, file: &str, path: &str) {
        match client.get::<Value>(path).await {
            Ok(body) => self.add_json(file, &body),
            Err(fault) => self.missing.push((file.to_owned(), fault.to_string())),
        }
    }

    /// Takes a node's report apart: texts are files of their own, which people read more easily.
    async fn ask_node(&mut self, remote: &Remote, node: &NodeStatus) {
        let folder = format!("nodes/{}", node.id);
        let components = Components::of_record(&node.components);
        if components.is_gateway_alone() {
            self.missing
                .push((folder, "a gateway alone has no management port; see its log and /metrics there".to_owned()));
            return;
        }
        let client = match remote.at(&format!("https://{}", node.addresses.management)) {
            Ok(client) => client,
            Err(fault) => return self.missing.push((folder, fault.to_string())),
        };
        let mut report: Value = match client.get(REPORT_PATH).await {
            Ok(report) => report,
            Err(fault) => return self.missing.push((folder, fault.to_string())),
        };
        let metrics = report["metrics"].take();
        let log = report["log"].take();
        let lines: Vec<&str> = log.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.add(&format!("{folder}/metrics.txt"), metrics.as_str().unwrap_or_default());
        self.add(&format!("{folder}/log.txt"), &lines.join("\n"));
        for part in ["configuration", "health", "surroundings", "files"] {
            let body = report[part].take();
            self.add_json(&format!("{folder}/{part}.json"), &body);
        }
        if let Some(rest) = report.as_object_mut() {
            rest.retain(|_, value| !value.is_null());
        }
        self.add_json(&format!("{folder}/node.json"), &report);
    }

    fn add(&mut self, file: &str, text: &str) {
        let text = self.redactor.text(text);
        self.files.push((file.to_owned(), text));
    }

    fn add_json(&mut self, file: &str, value: &Value) {
        let shown = self.redactor.value(value);
        // A value that was read as JSON can be written as JSON.
        self.files.push((file.to_owned(), serde_json::to_string_pretty(&shown).unwrap_or_default()));
    }

    fn write(&self, target: std::fs::File, name: &str) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(target, Compression::default()));
        for (file, text) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(Timestamp::now().as_second()).unwrap_or_default());
            archive.append_data(&mut header, format!("{name}/{file}"), text.as_bytes())?;
        }
        let mut file = archive.into_inner()?.finish()?;
        file.flush()?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_never_written_over_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("notes.txt");
        std::fs::write(&file, "mine").unwrap();
        assert!(open(&file).unwrap_err().to_string().contains("cannot be written"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}
