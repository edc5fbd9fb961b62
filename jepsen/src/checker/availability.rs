//! Judges whether API calls never fail: on every node whose process runs, whatever happens to the others and to the
//! network between them. A node that is not ready may refuse or be silent, but may not say that there is no such API.

use crate::checker::faults::Faults;
use crate::history::{Kind, Op, spans};
use crate::verdict::Verdict;

/// A connection that is accepted in the last moment before a kill belongs to the kill.
const EDGE_NS: u64 = 50_000_000;

/// Judges a history of `call`, each with the node it was sent to.
pub fn check(history: &[Op]) -> Verdict {
    let faults = Faults::of(history);
    let mut first = None;
    let mut failed = 0;
    for span in spans(history).iter().filter(|span| span.invoke.f == "call") {
        let (Some(node), Some(end)) = (span.invoke.number("node"), span.end) else { continue };
        let is_excused =
            !faults.is_running(node, span.invoke.time.saturating_sub(EDGE_NS), end.time.saturating_add(EDGE_NS));
        let is_denied = end.number("status") == Some(404);
        if end.kind == Kind::Ok || (is_excused && !is_denied) {
            continue;
        }
        failed += 1;
        first.get_or_insert_with(|| {
            if is_excused {
                return format!(
                    "history index {}: node {node}, coming back, says that a published API does not exist (404)",
                    end.index
                );
            }
            let network =
                if faults.is_network_whole(span.invoke.time, end.time) { "" } else { " (during a partition or loss)" };
            format!(
                "history index {}: a call through node {node}, which ran{network}, failed: {}",
                end.index,
                end.text("error")
            )
        });
    }
    match first {
        None => Verdict::Valid,
        Some(first) => Verdict::Invalid(format!("{failed} calls failed; {first}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    fn of(node: u64, kind: Kind) -> Verdict {
        let mut history = history(&[
            (-1, Kind::Info, "kill", json!({"phase": "begin", "nodes": [2]}), Value::Null),
            (0, Kind::Invoke, "call", Value::Null, json!({"node": node})),
            (0, kind, "call", Value::Null, json!({"node": node})),
            (-1, Kind::Info, "restart", json!({"phase": "end", "nodes": [2]}), Value::Null),
            (1, Kind::Invoke, "call", Value::Null, json!({"node": 2})),
            (1, Kind::Ok, "call", Value::Null, json!({"node": 2})),
        ]);
        for op in &mut history {
            op.time *= 1000;
        }
        check(&history)
    }

    #[test]
    fn a_node_that_comes_back_may_refuse_but_not_deny_that_the_api_exists() {
        let of = |status: u16| {
            check(&history(&[
                (-1, Kind::Info, "kill", json!({"phase": "begin", "nodes": [2]}), Value::Null),
                (0, Kind::Invoke, "call", Value::Null, json!({"node": 2})),
                (0, Kind::Fail, "call", Value::Null, json!({"node": 2, "status": status})),
            ]))
        };
        assert_eq!(of(503), Verdict::Valid);
        assert!(matches!(of(404), Verdict::Invalid(why) if why.contains("does not exist")));
    }

    #[test]
    fn only_nodes_that_do_not_run_may_fail() {
        assert_eq!(of(1, Kind::Ok), Verdict::Valid);
        assert_eq!(of(2, Kind::Fail), Verdict::Valid);
        assert!(matches!(of(1, Kind::Fail), Verdict::Invalid(_)));
        assert!(matches!(of(1, Kind::Info), Verdict::Invalid(_)));
    }
}
