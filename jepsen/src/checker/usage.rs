//! Judges the message store by what is counted in the end: no call that was answered is missing, none is counted twice.

use std::collections::BTreeMap;

use crate::checker::faults::Faults;
use crate::history::{Kind, Op, spans};
use crate::verdict::Verdict;

/// What a node may lose that is killed: the calls it answered so shortly before. Reports are stored every 20 ms; a busy
/// machine takes longer.
const UNSTORED_NS: u64 = 1_000_000_000;

/// Judges a history of `call` (value `[key, "admitted"]`, with the node) and of `count` at the end, for each node (value
/// `[[key, used in all], …]`), when all reports should have been made.
pub fn check(history: &[Op], nodes: usize) -> Verdict {
    let faults = Faults::of(history);
    let spans = spans(history);
    // Of each key: calls that must be counted, and calls that may be.
    let mut bounds: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.invoke.f == "call") {
        let (Some(key), Some(node)) = (span.invoke.value[0].as_u64(), span.invoke.number("node")) else { continue };
        let (must, may) = bounds.entry(key).or_default();
        let is_answered = span.kind() == Kind::Ok;
        let end = span.end.map_or(u64::MAX, |end| end.time);
        let is_stored = is_answered && faults.is_up(node, span.invoke.time, end.saturating_add(UNSTORED_NS));
        *must += u64::from(is_stored);
        *may += u64::from(is_answered || span.kind() == Kind::Info);
    }
    let counts: Vec<&Op> = spans
        .iter()
        .filter(|span| span.invoke.f == "count" && span.kind() == Kind::Ok)
        .filter_map(|span| span.end)
        .collect();
    for count in &counts {
        for pair in count.value.as_array().into_iter().flatten() {
            let (Some(key), Some(used)) = (pair[0].as_u64(), pair[1].as_u64()) else { continue };
            let (must, may) = bounds.get(&key).copied().unwrap_or_default();
            let place =
                format!("history index {}, node {}, key {key}", count.index, count.number("node").unwrap_or_default());
            if used < must {
                return Verdict::Invalid(format!(
                    "{place}: {used} calls are counted, but {must} were answered: some are lost"
                ));
            }
            if used > may {
                return Verdict::Invalid(format!(
                    "{place}: {used} calls are counted, but at most {may} were made: some are counted twice"
                ));
            }
        }
    }
    if counts.len() < nodes {
        return Verdict::Unknown(format!("only {} of {nodes} nodes said what they counted", counts.len()));
    }
    Verdict::Valid
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    fn of(second: Kind, counted: u64, kill: &str) -> Verdict {
        let node = json!({"node": 1});
        check(
            &history(&[
                (0, Kind::Invoke, "call", json!([3, null]), node.clone()),
                (0, Kind::Ok, "call", json!([3, "admitted"]), node.clone()),
                (0, Kind::Invoke, "call", json!([3, null]), node.clone()),
                (0, second, "call", json!([3, "admitted"]), node.clone()),
                (-1, Kind::Info, kill, json!({"phase": "begin", "nodes": [1]}), Value::Null),
                (5, Kind::Invoke, "count", Value::Null, node.clone()),
                (5, Kind::Ok, "count", json!([[3, counted]]), node),
            ]),
            1,
        )
    }

    #[test]
    fn exact_counts_and_what_a_kill_may_lose_are_good() {
        assert_eq!(of(Kind::Ok, 2, "none"), Verdict::Valid);
        assert_eq!(of(Kind::Info, 1, "none"), Verdict::Valid);
        assert_eq!(of(Kind::Info, 2, "none"), Verdict::Valid);
        assert_eq!(of(Kind::Ok, 0, "kill"), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        for (verdict, word) in [
            (of(Kind::Ok, 1, "none"), "lost"),
            (of(Kind::Ok, 1, "pause"), "lost"),
            (of(Kind::Ok, 3, "none"), "twice"),
            (of(Kind::Fail, 2, "none"), "twice"),
            (of(Kind::Ok, 3, "kill"), "twice"),
        ] {
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        }
        assert!(matches!(check(&[], 1), Verdict::Unknown(_)));
    }
}
