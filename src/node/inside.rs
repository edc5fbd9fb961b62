//! What the metrics say of the inside of a node beyond what each part counts itself: Raft's log and snapshots, the
//! databases, certificates, and the management port.

use std::fmt;

use portcullis_raft::DurationFigures;
use prometheus_client::metrics::MetricType;

use crate::metrics::Page;

/// The size of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Their bytes, by a sample.
    pub bytes: u64,
}

/// The figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inside {
    /// The index up to which the log is committed, as this node knows.
    pub commit_index: u64,
    /// Bytes written to the log since the start.
    pub log_bytes_written: u64,
    /// How long the log's syncs take.
    pub syncs: DurationFigures,
    /// How long each command takes to be applied.
    pub applies: Vec<(String, DurationFigures)>,
    /// The index of the newest snapshot; 0 where there is none.
    pub snapshot_index: u64,
    /// Its bytes.
    pub snapshot_bytes: u64,
    /// Members of the cluster: voters and learners.
    pub voters: u64,
    /// Those that do not vote.
    pub learners: u64,
    /// When the node's certificate ends, in seconds since the epoch.
    pub certificate_not_after_s: u64,
    /// When the first of the authorities that it trusts ends.
    pub authority_not_after_s: u64,
    /// The databases.
    pub databases: Vec<DatabaseFigures>,
    /// Bytes of the traffic manager's message store on the disk.
    pub message_store_disk_bytes: u64,
    /// Open connections to the management port.
    pub management_connections: u64,
    /// Requests that it answered.
    pub management_requests: u64,
    /// Connections to it that were closed at once because there were too many.
    pub management_refused: u64,
    /// TLS handshakes on it that failed.
    pub management_handshakes_failed: u64,
    /// Files the process has open.
    pub open_files: u64,
    /// Files it may have open.
    pub open_files_max: u64,
}

impl Inside {
    pub(crate) fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        self.encode_raft(page)?;
        self.encode_databases(page)?;
        page.gauge(
            "certificate_not_after_seconds",
            "When this node's certificate ends, in seconds since 1970",
            self.certificate_not_after_s,
        )?;
        page.gauge(
            "authority_not_after_seconds",
            "When the first certificate authority that this node trusts ends, in seconds since 1970",
            self.authority_not_after_s,
        )?;
        page.gauge("management_connections", "Open connections to the management port", self.management_connections)?;
        page.counter("management_requests", "Requests answered on the management port", self.management_requests)?;
        let about = "Connections to the management port closed at once because there were too many";
        page.counter("management_refused_connections", about, self.management_refused)?;
        let about = "TLS handshakes on the management port that failed or took too long";
        page.counter("management_failed_handshakes", about, self.management_handshakes_failed)?;
        page.gauge("process_open_files", "Files that the process has open", self.open_files)?;
        page.gauge("process_open_files_max", "Files that the process may have open", self.open_files_max)
    }

    fn encode_raft(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.gauge(
            "raft_commit_index",
            "Index up to which this node knows the log to be committed",
            self.commit_index,
        )?;
        page.counter("raft_log_written_bytes", "Bytes written to the log since the start", self.log_bytes_written)?;
        let about = "How long the log takes to bring a batch of entries to the disk";
        page.histogram("raft_fsync_duration_seconds", about, &self.syncs)?;
        self.encode_applies(page)?;
        page.gauge(
            "raft_snapshot_index",
            "Index at which the newest snapshot was taken; 0: none",
            self.snapshot_index,
        )?;
        page.gauge("raft_snapshot_bytes", "Bytes of the newest snapshot", self.snapshot_bytes)?;
        let members = [("voter", self.voters), ("learner", self.learners)];
        let members: Vec<_> =
            members.iter().map(|(role, count)| (vec![("role", (*role).to_owned())], *count)).collect();
        page.gauge_by("raft_members", "Members of the cluster, by whether they vote", &members)
    }

    fn encode_applies(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let about = "How long a command takes to be applied to the state";
        let mut family = page.family("raft_apply_duration_seconds", about, MetricType::Histogram)?;
        for (command, figures) in &self.applies {
            let labels = [("command", command.as_str())];
            crate::metrics::encode_durations(&mut family.encode_family(&labels)?, figures)?;
        }
        Ok(())
    }

    fn encode_databases(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let by_database = |figure: fn(&DatabaseFigures) -> u64| -> Vec<(Vec<(&str, String)>, u64)> {
            self.databases.iter().map(|one| (vec![("database", one.name.clone())], figure(one))).collect()
        };
        page.gauge_by("database_rows", "Rows of a part of the replicated state", &by_database(|one| one.rows))?;
        let about = "Bytes of a part of the replicated state as it is stored; larger tables by a sample of 64 rows";
        page.gauge_by("database_bytes", about, &by_database(|one| one.bytes))?;
        let about = "Bytes on the disk of the traffic manager's message store (mbstoredb)";
        page.gauge("message_store_disk_bytes", about, self.message_store_disk_bytes)
    }
}
