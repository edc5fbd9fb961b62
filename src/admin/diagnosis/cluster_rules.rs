//! What is true of the cluster as a whole: majority, versions, clocks, states, components.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_model::{Component, Components, NodeId};

use super::{Examined, Finding};

/// Difference of two nodes' clocks, in milliseconds, from which it shows in quota windows and tokens.
const CLOCKS_APART_WARNING_MS: u64 = 500;
/// Difference from which tokens of one node are not yet, or no longer, good on another.
const CLOCKS_APART_FAILED_MS: u64 = 5_000;

pub(super) fn judge(examined: &Examined) -> Vec<Finding> {
    vec![quorum(examined), versions(examined), clocks(examined), states(examined), components(examined)]
}

fn list(nodes: &[NodeId]) -> String {
    let noun = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{noun} {}", nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn quorum(examined: &Examined) -> Finding {
    let status = &examined.status;
    let voters = status.nodes.iter().filter(|node| matches!(node.role.as_str(), "leader" | "voter")).count();
    let next = "start the nodes that are down, or remove those that will not come back: portcullis cluster status";
    if !status.has_quorum {
        return Finding::failed("quorum", "the cluster has no majority: nothing can be changed", next);
    }
    let leader = status.leader.map_or_else(String::new, |leader| format!("node {leader} leads, "));
    let detail = format!("{leader}{voters} voters, the loss of {} is tolerated", status.failures_tolerated);
    match (voters, status.failures_tolerated) {
        (1, _) => Finding::ok("quorum", format!("{leader}one voter: a cluster of one tolerates no loss")),
        (2, _) => {
            Finding::warning("quorum", detail, "have a third node join: with two the loss of either stops all changes")
        }
        (_, 0) => Finding::warning("quorum", detail, next),
        _ => Finding::ok("quorum", detail),
    }
}

fn versions(examined: &Examined) -> Finding {
    let answering = examined.nodes.iter().filter_map(|node| node.facts.as_ref());
    let versions: BTreeSet<&str> = answering.map(|facts| facts.version.as_str()).collect();
    let detail = versions.iter().copied().collect::<Vec<_>>().join(", ");
    if versions.len() <= 1 {
        return Finding::ok("versions", detail);
    }
    Finding::warning("versions", format!("nodes run {detail}"), "finish the upgrade: portcullis cluster upgrade check")
}

/// Compares the clocks pairwise: what counts is how far any two are apart, less what cannot be known.
fn clocks(examined: &Examined) -> Finding {
    let answering = examined.nodes.iter().filter(|node| node.facts.is_some());
    let clocks: Vec<(NodeId, i64, u64)> =
        answering.map(|node| (node.node, node.clock_ahead_ms, node.clock_error_ms)).collect();
    let mut worst: (u64, Option<(NodeId, NodeId)>) = (0, None);
    for (position, (one, ahead, error)) in clocks.iter().enumerate() {
        for (other, other_ahead, other_error) in &clocks[position + 1..] {
            let apart = ahead.abs_diff(*other_ahead).saturating_sub(error + other_error);
            if apart >= worst.0 {
                worst = (apart, Some((*one, *other)));
            }
        }
    }
    let (apart_ms, pair) = worst;
    let detail = match pair {
        Some((one, other)) if apart_ms > 0 => format!("the clocks of nodes {one} and {other} are {apart_ms} ms apart"),
        Some(_) => "the nodes' clocks agree".to_owned(),
        None => "only one node's clock is known".to_owned(),
    };
    let next = "have all machines take their time from NTP, and look whether it runs (timedatectl)";
    match apart_ms {
        0..CLOCKS_APART_WARNING_MS => Finding::ok("clock", detail),
        CLOCKS_APART_WARNING_MS..CLOCKS_APART_FAILED_MS => Finding::warning("clock", detail, next),
        _ => Finding::failed("clock", detail, next),
    }
}

fn states(examined: &Examined) -> Finding {
    let states = &examined.states;
    let Some(index) = states.index else {
        let next = "run this again when no node is far behind";
        let answering = examined.nodes.iter().filter(|node| node.facts.is_some()).count();
        return match answering {
            0 | 1 => Finding::ok("state digests", "one node alone has nothing to be compared with"),
            _ => Finding::warning("state digests", "there was no index at which all nodes have their state", next),
        };
    };
    let mut by_digest: BTreeMap<[u8; 32], Vec<NodeId>> = BTreeMap::new();
    for (node, digest) in &states.digests {
        if let Some(digest) = digest {
            by_digest.entry(*digest).or_default().push(*node);
        }
    }
    let mut groups: Vec<&Vec<NodeId>> = by_digest.values().collect();
    groups.sort_by_key(|nodes| std::cmp::Reverse(nodes.len()));
    match groups.as_slice() {
        [] => Finding::warning("state digests", "no node could make a digest of its state", "run this again"),
        [same] => Finding::ok("state digests", format!("{} hold the same at index {index}", list(same))),
        [most, rest @ ..] => {
            let others: Vec<NodeId> = rest.iter().flat_map(|nodes| nodes.iter().copied()).collect();
            let detail = format!("at index {index} {} differ from {}", list(&others), list(most));
            let next = "this is a fault of Portcullis: keep the data directories and report it; then remove the nodes \
                        that differ and join them again";
            Finding::failed("state digests", detail, next)
        }
    }
}

/// Looks for components that no node serves.
fn components(examined: &Examined) -> Finding {
    let served =
        |component: Component| examined.nodes.iter().any(|node| Components::of_record(&node.components).has(component));
    let missing: Vec<&str> =
        Component::ALL.into_iter().filter(|component| !served(*component)).map(Component::name).collect();
    if missing.is_empty() {
        return Finding::ok("components", "every component is served");
    }
    let next = "start a node with them (node.components), or one that serves everything";
    Finding::failed("components", format!("no node serves {}", missing.join(", ")), next)
}
