//! What is true of one node: it answers, its machine is good enough, its certificate holds, it keeps up.

use portcullis_database::access::MATRIX;
use portcullis_model::facts::{AskedNode, CertificateFacts, MachineFacts, NodeFacts};

use super::{Examined, Finding};

const MIB: u64 = 1 << 20;
const DAY_MS: u64 = 24 * 3_600_000;
/// Free space from which on a snapshot may not fit: in bytes, and in hundredths of the disk.
const DISK_FREE_WARNING: (u64, u64) = (2048 * MIB, 10);
/// Free space from which on the log itself is near its end.
const DISK_FREE_FAILED: (u64, u64) = (256 * MIB, 2);
/// A sync that takes this long makes every write slow.
const SYNC_WARNING_US: u64 = 25_000;
/// A sync that takes this long comes near the election time-out of 250 ms.
const SYNC_FAILED_US: u64 = 150_000;
/// Open files below which a busy gateway runs out: two for each call under way.
const OPEN_FILES_WARNING: u64 = 8_192;
/// Hundredths of its open files from which on a node is about to refuse connections.
const OPEN_FILES_USED_FAILED: u64 = 90;
/// Entries behind from which on a node is slow to take part: a busy cluster writes some ten thousand a second.
const LAG_WARNING: u64 = 20_000;
/// Entries behind from which on the leader sends a snapshot.
const LAG_FAILED: u64 = 200_000;
/// How long before its end an authority should be replaced.
const AUTHORITY_WARNING_MS: u64 = 180 * DAY_MS;

pub(super) fn judge(node: &AskedNode, examined: &Examined) -> Vec<Finding> {
    let Some(facts) = &node.facts else {
        let next = "start it, or remove it if it will not come back; its log says what is wrong: portcullis server \
                    --data-dir DIR";
        let detail = format!("{} does not answer on its cluster port", node.name);
        return vec![Finding::failed("answers", detail, next).of(node.node)];
    };
    let mut findings = vec![
        readiness(facts),
        disk(&facts.machine),
        sync(&facts.machine),
        open_files(&facts.machine),
        ports(node),
        certificate(&facts.certificate, facts.now_ms),
        authority(&facts.certificate, facts.now_ms),
        lag(facts, examined),
        access(facts),
    ];
    findings.extend(actors(facts));
    findings.into_iter().map(|finding| finding.of(node.node)).collect()
}

fn readiness(facts: &NodeFacts) -> Finding {
    if facts.not_ready.is_empty() {
        return Finding::ok("ready", format!("ready, up for {} s", facts.uptime_s));
    }
    let next = "wait where the node has just started; otherwise its log says what is missing";
    Finding::failed("ready", facts.not_ready.join("; "), next)
}

fn disk(machine: &MachineFacts) -> Finding {
    let (total, free) = (machine.disk_bytes, machine.disk_free_bytes);
    if total == 0 {
        return Finding::warning("disk", "the free space is not known", "look with df");
    }
    let detail = format!("{} MiB of {} MiB free", free / MIB, total / MIB);
    let is_below = |(bytes, hundredths): (u64, u64)| free < bytes.min(total / 2) || free < total / 100 * hundredths;
    let next = "make room on the disk of the data directory: a node whose log cannot be written stops";
    match () {
        () if is_below(DISK_FREE_FAILED) => Finding::failed("disk", detail, next),
        () if is_below(DISK_FREE_WARNING) => Finding::warning("disk", detail, next),
        () => Finding::ok("disk", detail),
    }
}

fn sync(machine: &MachineFacts) -> Finding {
    let Some(us) = machine.sync_us else {
        let next = "look at the rights and the health of the data directory's disk (dmesg)";
        return Finding::failed("sync time", "a file in the data directory cannot be written and synced", next);
    };
    let detail = format!("a small write is on the disk after {}.{:03} ms", us / 1000, us % 1000);
    let next = "use a local disk that syncs fast; every write waits for it on a majority";
    match us {
        0..SYNC_WARNING_US => Finding::ok("sync time", detail),
        SYNC_WARNING_US..SYNC_FAILED_US => Finding::warning("sync time", detail, next),
        _ => Finding::failed("sync time", detail, next),
    }
}

fn open_files(machine: &MachineFacts) -> Finding {
    let (max, open) = (machine.open_files_max, machine.open_files);
    if max == 0 {
        return Finding::warning("open files", "the limit is not known", "look with ulimit -n");
    }
    let detail = format!("{open} of {max} open");
    let next = "raise the limit: LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536";
    match () {
        () if open >= max / 100 * OPEN_FILES_USED_FAILED => Finding::failed("open files", detail, next),
        () if max < OPEN_FILES_WARNING => Finding::warning("open files", detail, next),
        () => Finding::ok("open files", detail),
    }
}

fn ports(node: &AskedNode) -> Finding {
    if node.closed_ports.is_empty() {
        return Finding::ok("ports", "its ports can be reached from the node that answers");
    }
    let closed: Vec<String> = node.closed_ports.iter().map(|(port, why)| format!("{port} ({why})")).collect();
    let next = "check the firewall and node.advertise on that node";
    Finding::failed("ports", format!("cannot be reached: {}", closed.join(", ")), next)
}

fn in_words(ms: u64) -> String {
    match ms {
        0..120_000 => format!("{} s", ms / 1000),
        120_000..DAY_MS => format!("{} min", ms / 60_000),
        _ => format!("{} days", ms / DAY_MS),
    }
}

fn certificate(certificate: &CertificateFacts, now_ms: u64) -> Finding {
    let renew = "portcullis cluster certificate renew     and read the node's log if that fails";
    let Some(left) = certificate.not_after_ms.checked_sub(now_ms).filter(|left| *left > 0) else {
        let next = "stop the node, run portcullis cluster certificate renew --offline --data-dir DIR there, start it";
        return Finding::failed("certificate", "it has expired", next);
    };
    let detail = format!("valid for {}", in_words(left));
    // A node has all of the time after the renewal is due to get it: half of that gone means that it does not.
    let overdue = certificate.not_after_ms.saturating_sub(certificate.renewal_due_ms) / 2;
    if left < overdue {
        return Finding::warning("certificate", format!("{detail}, and its renewal is overdue"), renew);
    }
    Finding::ok("certificate", detail)
}

fn authority(certificate: &CertificateFacts, now_ms: u64) -> Finding {
    let left = certificate.authority_not_after_ms.saturating_sub(now_ms);
    let detail = format!("valid for {}", in_words(left));
    if left < AUTHORITY_WARNING_MS {
        return Finding::warning("authority", detail, "portcullis cluster certificate rotate-ca");
    }
    Finding::ok("authority", detail)
}

fn lag(facts: &NodeFacts, examined: &Examined) -> Finding {
    let ends = examined.nodes.iter().filter_map(|node| node.facts.as_ref()).map(|facts| facts.raft.last_log_index);
    let behind = ends.max().unwrap_or_default().saturating_sub(facts.raft.applied_index);
    let detail = format!("applied {}, {behind} behind", facts.raft.applied_index);
    let next = "look at the network between the nodes and at this node's disk and load";
    match behind {
        0..LAG_WARNING => Finding::ok("lag", detail),
        LAG_WARNING..LAG_FAILED => Finding::warning("lag", detail, next),
        _ => Finding::failed("lag", detail, next),
    }
}

/// Compares the matrix that the node was compiled with and works by with the one this program has.
fn access(facts: &NodeFacts) -> Finding {
    let own = MATRIX.iter().map(|cell| (cell.component, cell.database, cell.access));
    let theirs = facts
        .access
        .iter()
        .map(|(component, database, access)| (component.as_str(), database.as_str(), access.as_str()));
    if own.clone().eq(theirs) {
        return Finding::ok("access matrix", format!("{} grants, as in this version", MATRIX.len()));
    }
    let next = "finish the upgrade, so that all nodes run one version; the matrix is in docs/access-matrix.md";
    Finding::warning("access matrix", "it differs from this version's", next)
}

fn actors(facts: &NodeFacts) -> Vec<Finding> {
    let stopped = facts.actors.iter().filter(|actor| !actor.is_running).map(|actor| {
        let next = "restart the node; its log says why the component failed";
        Finding::failed("actors", format!("{} does not run", actor.actor), next)
    });
    let restarted = facts.actors.iter().filter(|actor| actor.is_running && actor.restarts > 0).map(|actor| {
        let detail = format!("{} failed and was restarted {} times", actor.actor, actor.restarts);
        Finding::warning("actors", detail, "this is a fault of Portcullis: keep the node's log and report it")
    });
    stopped.chain(restarted).collect()
}
