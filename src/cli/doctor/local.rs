//! What can be seen of a node from its data directory alone, whether it runs or not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use portcullis_node::config::Config;
use portcullis_node::local_node::{self, LocalNode};

use super::Finding;
use crate::failure::Failure;

const MIB: u64 = 1 << 20;
/// Files that nobody but the node may read.
const SECRETS: [&str; 2] = ["cluster.key", "tls/node.key"];

/// Examines a data directory.
///
/// # Errors
/// Where it holds no node, or its configuration is not acceptable.
pub(super) async fn examine(data_dir: &Path) -> Result<Vec<Finding>, Failure> {
    let config = Config::load(data_dir, &[])
        .map_err(|fault| Failure::from_fault("the node's configuration is not acceptable", &fault))?
        .config;
    let found = local_node::look(data_dir, &config).await;
    let found =
        found.map_err(|fault| Failure::from_fault(format!("{} cannot be examined", data_dir.display()), &fault))?;
    let mut findings = vec![identity(&found), disk(&found), sync(&found), certificate(&found), secrets(data_dir)];
    findings.extend(ports(&found));
    Ok(findings)
}

fn identity(found: &LocalNode) -> Finding {
    let runs = if found.is_running { "runs" } else { "does not run" };
    let detail = format!("node {} of cluster {}, which {runs}", found.node, found.cluster_name);
    if found.is_running {
        return Finding::new("node", "ok", detail, "");
    }
    Finding::new("node", "warning", detail, "start it: portcullis server --data-dir DIR")
}

fn disk(found: &LocalNode) -> Finding {
    let (total, free) = (found.machine.disk_bytes, found.machine.disk_free_bytes);
    let detail = format!("{} MiB of {} MiB free", free / MIB, total / MIB);
    if free < total / 100 * 5 || free < 256 * MIB {
        return Finding::new("disk", "failed", detail, "make room: a node whose log cannot be written stops");
    }
    Finding::new("disk", "ok", detail, "")
}

fn sync(found: &LocalNode) -> Finding {
    match found.machine.sync_us {
        Some(us) => {
            let detail = format!("a small write is on the disk after {}.{:03} ms", us / 1000, us % 1000);
            Finding::new("sync time", "ok", detail, "")
        }
        None => {
            let next = "run this as the user of the node; look at the disk's rights and health (dmesg)";
            Finding::new("sync time", "failed", "a file there cannot be written and synced", next)
        }
    }
}

fn certificate(found: &LocalNode) -> Finding {
    if found.certificate_has_ended {
        let next = "stop the node, then: portcullis cluster certificate renew --offline --data-dir DIR";
        return Finding::new("certificate", "failed", format!("it expired at {}", found.certificate_ends), next);
    }
    Finding::new("certificate", "ok", format!("valid until {}", found.certificate_ends), "")
}

fn secrets(data_dir: &Path) -> Finding {
    let is_open = |name: &&&str| {
        let mode = fs::metadata(data_dir.join(name)).map(|metadata| metadata.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o077 != 0)
    };
    let open: Vec<&str> = SECRETS.iter().filter(is_open).copied().collect();
    if open.is_empty() {
        return Finding::new("secrets", "ok", "nobody else can read the keys", "");
    }
    let next = format!("chmod 600 {}", open.join(" "));
    Finding::new("secrets", "failed", format!("others can read {}", open.join(", ")), next)
}

/// A node that runs must listen on its ports; those of one that does not must be free.
fn ports(found: &LocalNode) -> Vec<Finding> {
    let wrong: Vec<String> =
        found.ports.iter().filter(|port| port.is_open != found.is_running).map(|port| port.to_string()).collect();
    if wrong.is_empty() {
        let detail = if found.is_running { "the node listens on all of them" } else { "all are free" };
        return vec![Finding::new("ports", "ok", detail, "")];
    }
    let (what, next) = if found.is_running {
        ("nothing listens on", "look at the node's log; restart it")
    } else {
        ("something else listens on", "stop what uses them (ss -ltnp), or set other ports in node.toml")
    };
    vec![Finding::new("ports", "failed", format!("{what} {}", wrong.join(", ")), next)]
}
