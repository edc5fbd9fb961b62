//! The rules, with facts made up for them.

use std::net::SocketAddr;

use portcullis_database::access::MATRIX;
use portcullis_model::NodeAddresses;
use portcullis_model::cluster::NodeStatus;
use portcullis_model::facts::{ActorFacts, CertificateFacts, MachineFacts, NodeFacts, RaftFacts};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 3_600_000;

fn status_of(id: u64) -> NodeStatus {
    let at = SocketAddr::from(([127, 0, 0, 1], 1));
    NodeStatus {
        id: NodeId(id),
        name: format!("n{id}"),
        role: if id == 1 { "leader" } else { "voter" }.to_owned(),
        meant_role: "voter".to_owned(),
        is_drained: false,
        replaced_by: None,
        health: "alive".to_owned(),
        addresses: NodeAddresses { cluster: at, management: at, gateway_http: at, gateway_https: at },
        components: Vec::new(),
        version: "0.1.0".to_owned(),
        last_log_index: Some(100),
        applied_index: Some(100),
        lag: Some(0),
    }
}

fn asked(id: u64) -> AskedNode {
    let machine = MachineFacts {
        disk_bytes: 100 << 30,
        disk_free_bytes: 50 << 30,
        sync_us: Some(900),
        open_files_max: 65_536,
        open_files: 40,
        resident_bytes: 50 << 20,
    };
    let certificate = CertificateFacts {
        not_before_ms: NOW_MS - DAY_MS,
        not_after_ms: NOW_MS + 300 * DAY_MS,
        renewal_due_ms: NOW_MS + 200 * DAY_MS,
        authority_not_after_ms: NOW_MS + 3000 * DAY_MS,
    };
    let matrix =
        MATRIX.iter().map(|cell| (cell.component.to_owned(), cell.database.to_owned(), cell.access.to_owned()));
    let facts = NodeFacts {
        version: "0.1.0".to_owned(),
        now_ms: NOW_MS,
        machine,
        certificate,
        raft: RaftFacts { last_log_index: 100, applied_index: 100, ..RaftFacts::default() },
        actors: vec![ActorFacts { actor: "store".to_owned(), is_running: true, ..ActorFacts::default() }],
        access: matrix.collect(),
        ..NodeFacts::default()
    };
    AskedNode {
        node: NodeId(id),
        name: format!("n{id}"),
        components: Vec::new(),
        facts: Some(facts),
        clock_ahead_ms: 0,
        clock_error_ms: 1,
        closed_ports: Vec::new(),
    }
}

/// Three nodes that are well.
fn well() -> Examined {
    let status = ClusterStatus {
        cluster_id: "c".to_owned(),
        cluster_name: "test".to_owned(),
        answered_by: NodeId(1),
        leader: Some(NodeId(1)),
        term: 1,
        has_quorum: true,
        failures_tolerated: 1,
        unserved: Vec::new(),
        nodes: (1..=3).map(status_of).collect(),
    };
    let digests = (1..=3).map(|id| (NodeId(id), Some([7; 32]))).collect();
    Examined { status, nodes: (1..=3).map(asked).collect(), states: ComparedStates { index: Some(64), digests } }
}

/// Returns what is not well after `change`: check, node, outcome.
fn ills(change: impl FnOnce(&mut Examined)) -> Vec<(&'static str, Option<u64>, Outcome)> {
    let mut examined = well();
    change(&mut examined);
    let ill = diagnose(&examined).into_iter().filter(|finding| finding.outcome != Outcome::Ok);
    ill.map(|finding| {
        assert!(!finding.next_step.is_empty(), "{finding:?} says what to do");
        (finding.check, finding.node.map(|node| node.0), finding.outcome)
    })
    .collect()
}

fn facts(examined: &mut Examined, position: usize) -> &mut NodeFacts {
    examined.nodes[position].facts.as_mut().unwrap()
}

#[test]
fn a_cluster_that_is_well_has_nothing_but_good_findings() {
    assert_eq!(ills(|_| ()), []);
    assert!(diagnose(&well()).len() > 30);
}

#[test]
fn each_ill_is_found_on_the_node_that_has_it() {
    use Outcome::{Failed, Warning};
    assert_eq!(ills(|all| all.nodes[2].facts = None), [("answers", Some(3), Failed)]);
    assert_eq!(ills(|all| facts(all, 1).not_ready.push("leader: none".to_owned())), [("ready", Some(2), Failed)]);
    assert_eq!(ills(|all| facts(all, 0).machine.disk_free_bytes = 1 << 20), [("disk", Some(1), Failed)]);
    assert_eq!(ills(|all| facts(all, 0).machine.disk_free_bytes = 9 << 30), [("disk", Some(1), Warning)]);
    assert_eq!(ills(|all| facts(all, 0).machine.sync_us = None), [("sync time", Some(1), Failed)]);
    assert_eq!(ills(|all| facts(all, 0).machine.sync_us = Some(40_000)), [("sync time", Some(1), Warning)]);
    assert_eq!(ills(|all| facts(all, 2).machine.open_files_max = 1024), [("open files", Some(3), Warning)]);
    assert_eq!(ills(|all| facts(all, 2).machine.open_files = 65_000), [("open files", Some(3), Failed)]);
    let closed = ("gateway 127.0.0.1:8280".to_owned(), "refused".to_owned());
    assert_eq!(ills(|all| all.nodes[1].closed_ports.push(closed)), [("ports", Some(2), Failed)]);
    assert_eq!(ills(|all| facts(all, 1).certificate.not_after_ms = NOW_MS), [("certificate", Some(2), Failed)]);
    let overdue = NOW_MS + 20 * DAY_MS;
    assert_eq!(
        ills(|all| {
            facts(all, 1).certificate.not_after_ms = overdue;
            facts(all, 1).certificate.renewal_due_ms = NOW_MS - 80 * DAY_MS;
        }),
        [("certificate", Some(2), Warning)]
    );
    let soon = NOW_MS + 10 * DAY_MS;
    assert_eq!(ills(|all| facts(all, 0).certificate.authority_not_after_ms = soon), [("authority", Some(1), Warning)]);
    assert_eq!(
        ills(|all| facts(all, 0).raft.last_log_index = 30_100),
        [("lag", Some(1), Warning), ("lag", Some(2), Warning), ("lag", Some(3), Warning)]
    );
    assert_eq!(ills(|all| facts(all, 0).access.truncate(3)), [("access matrix", Some(1), Warning)]);
    assert_eq!(ills(|all| facts(all, 0).actors[0].restarts = 2), [("actors", Some(1), Warning)]);
    assert_eq!(ills(|all| facts(all, 0).actors[0].is_running = false), [("actors", Some(1), Failed)]);
}

#[test]
fn what_is_wrong_with_the_cluster_as_a_whole_is_said_once() {
    use Outcome::{Failed, Warning};
    assert_eq!(ills(|all| all.status.has_quorum = false), [("quorum", None, Failed)]);
    assert_eq!(ills(|all| all.status.failures_tolerated = 0), [("quorum", None, Warning)]);
    assert_eq!(
        ills(|all| drop(all.status.nodes.pop())),
        [("quorum", None, Warning)],
        "two voters are worse than three"
    );
    assert_eq!(ills(|all| facts(all, 2).version = "0.2.0".to_owned()), [("versions", None, Warning)]);
    assert_eq!(ills(|all| all.states.digests[1].1 = Some([8; 32])), [("state digests", None, Failed)]);
    assert_eq!(ills(|all| all.states.index = None), [("state digests", None, Warning)]);
    assert_eq!(ills(|all| all.nodes[1].clock_ahead_ms = -900), [("clock", None, Warning)]);
    assert_eq!(ills(|all| all.nodes[1].clock_ahead_ms = 9_000), [("clock", None, Failed)]);
    let slow = |all: &mut Examined| {
        all.nodes[1].clock_ahead_ms = 900;
        all.nodes[1].clock_error_ms = 700;
    };
    assert_eq!(ills(slow), [], "what a slow answer cannot tell is not held against the clock");
    let apart = |all: &mut Examined| {
        for node in &mut all.nodes {
            node.components = vec!["gateway".to_owned(), "traffic-manager".to_owned()];
        }
        all.nodes[0].components.extend(["publisher".to_owned(), "store".to_owned()]);
    };
    assert_eq!(ills(apart), [("components", None, Failed)], "nobody serves the key manager");
}
