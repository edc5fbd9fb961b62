//! Judges the fence: once a change is answered, every node that the answer does not name acts on it, and one that it names
//! and that comes back does so before it serves.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::checker::faults::Faults;
use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

/// Judges a history of `open` and `close` (value: the gate's number; one at a time for each gate; `unreached`: the nodes
/// that the answer names) and `call` (value `[gate, "open" | "closed"]`, with the node). Every gate is open at the
/// beginning. After a change of unknown outcome a gate may be either for ever. Calls with `final` are made when everything
/// has healed, and no node is excused.
pub fn check(history: &[Op]) -> Verdict {
    let spans = spans(history);
    let mut gates: BTreeMap<u64, (Vec<Span<'_>>, Vec<Span<'_>>)> = BTreeMap::new();
    for span in &spans {
        match span.invoke.f.as_str() {
            "call" => {
                if let Some(gate) = span.invoke.value[0].as_u64() {
                    gates.entry(gate).or_default().1.push(span.clone());
                }
            }
            "open" | "close" => {
                if let Some(gate) = span.invoke.value.as_u64() {
                    gates.entry(gate).or_default().0.push(span.clone());
                }
            }
            _ => {}
        }
    }
    let faults = Faults::of(history);
    let mut bad: Vec<(usize, String)> = Vec::new();
    for (gate, (changes, calls)) in &gates {
        bad.extend(calls.iter().filter_map(|call| judge(*gate, changes, call, &faults)));
    }
    bad.sort();
    match bad.first() {
        None => Verdict::Valid,
        Some((_, first)) => Verdict::Invalid(format!("{} calls were judged wrongly; {first}", bad.len())),
    }
}

fn judge(gate: u64, changes: &[Span<'_>], call: &Span<'_>, faults: &Faults) -> Option<(usize, String)> {
    let end = call.end.filter(|end| end.kind == Kind::Ok)?;
    let node = end.number("node").unwrap_or_default();
    let is_final = end.extra.get("final").is_some();
    let is_open = end.value[1] == "open";
    // What the gate may be: by the last change that was answered before, and by any that was under way.
    let mut may_be = vec![true];
    let mut why = "nothing has changed it".to_owned();
    for change in changes.iter().filter(|change| change.kind() != Kind::Fail) {
        let to = change.invoke.f == "open";
        if change.ended() < call.invoke.time {
            let Some(answer) = change.end else { continue };
            let has_heard = || faults.has_come_back(node, answer.time, call.invoke.time);
            if is_final || !unreached(answer).contains(&node) || has_heard() {
                may_be.clear();
                why = format!(
                    "{} was answered {} ms before (index {})",
                    change.invoke.f,
                    (call.invoke.time - answer.time) / 1_000_000,
                    answer.index
                );
            }
            may_be.push(to);
        } else if change.invoke.time < end.time {
            may_be.push(to);
        }
    }
    if may_be.contains(&is_open) {
        return None;
    }
    let word = if is_open { "open" } else { "closed" };
    Some((end.index, format!("history index {}: gate {gate} is {word} on node {node}, though {why}", end.index)))
}

/// Returns the nodes that the answer to a change named as not reached.
fn unreached(answer: &Op) -> Vec<u64> {
    let named = answer.extra.get("unreached").and_then(Value::as_array);
    named.into_iter().flatten().filter_map(Value::as_u64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::testing::history;

    fn of(change: Kind, unreached: &Value, seen: &str, last: bool) -> Verdict {
        let mut extra = json!({"node": 2});
        if last {
            extra["final"] = true.into();
        }
        check(&history(&[
            (0, Kind::Invoke, "close", json!(7), Value::Null),
            (1, Kind::Invoke, "call", json!([7, null]), json!({"node": 2})),
            (1, Kind::Ok, "call", json!([7, "closed"]), json!({"node": 2})),
            (0, change, "close", json!(7), json!({"unreached": unreached})),
            (1, Kind::Invoke, "call", json!([7, null]), json!({"node": 2})),
            (1, Kind::Ok, "call", json!([7, seen]), extra),
        ]))
    }

    #[test]
    fn what_is_answered_holds_and_what_is_not_may_be_either() {
        assert_eq!(of(Kind::Ok, &json!([]), "closed", false), Verdict::Valid);
        assert_eq!(of(Kind::Ok, &json!([2]), "open", false), Verdict::Valid);
        assert_eq!(of(Kind::Info, &json!([]), "open", false), Verdict::Valid);
        assert_eq!(of(Kind::Info, &json!([]), "closed", true), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        for (verdict, word) in [
            (of(Kind::Ok, &json!([]), "open", false), "though close was answered"),
            (of(Kind::Ok, &json!([3]), "open", false), "though close was answered"),
            (of(Kind::Ok, &json!([2]), "open", true), "though close was answered"),
            (of(Kind::Fail, &json!([]), "closed", false), "nothing has changed it"),
        ] {
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        }
    }

    #[test]
    fn a_change_that_is_undone_must_show_too() {
        let bad = history(&[
            (0, Kind::Invoke, "close", json!(7), Value::Null),
            (0, Kind::Ok, "close", json!(7), Value::Null),
            (0, Kind::Invoke, "open", json!(7), Value::Null),
            (0, Kind::Ok, "open", json!(7), Value::Null),
            (1, Kind::Invoke, "call", json!([7, null]), json!({"node": 1})),
            (1, Kind::Ok, "call", json!([7, "closed"]), json!({"node": 1})),
        ]);
        assert!(matches!(check(&bad), Verdict::Invalid(why) if why.contains("open was answered")));
    }
}
