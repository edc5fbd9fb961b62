//! Judges a set that only grows: what was acknowledged is in every read that begins later, on every node, once.

use std::collections::{HashMap, HashSet};

use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

/// Judges a history of `add` (value: the element) and linearizable `read` (value: the elements). At the end every node
/// must have been read (`final`: true).
pub fn check(history: &[Op], nodes: usize) -> Verdict {
    let spans = spans(history);
    let mut adds: HashMap<u64, Span<'_>> = HashMap::new();
    for span in spans.iter().filter(|span| span.invoke.f == "add") {
        if let Some(element) = span.invoke.value.as_u64() {
            adds.insert(element, span.clone());
        }
    }
    let reads: Vec<&Span<'_>> =
        spans.iter().filter(|span| span.invoke.f == "read" && span.kind() == Kind::Ok).collect();
    let mut verdict = Verdict::Valid;
    let mut nodes_read = HashSet::new();
    for read in &reads {
        let Some(end) = read.end else { continue };
        if end.extra.get("final").is_some() {
            nodes_read.insert(end.number("node"));
        }
        verdict = verdict.and(check_read(read, end, &adds));
    }
    if nodes_read.len() < nodes {
        verdict =
            verdict.and(Verdict::Unknown(format!("only {} of {nodes} nodes were read at the end", nodes_read.len())));
    }
    verdict
}

fn check_read(read: &Span<'_>, end: &Op, adds: &HashMap<u64, Span<'_>>) -> Verdict {
    let place = format!("read at history index {} on node {}", end.index, end.number("node").unwrap_or_default());
    let mut seen = HashSet::new();
    for element in end.value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64) {
        if !seen.insert(element) {
            return Verdict::Invalid(format!("{place}: element {element} is there twice"));
        }
        match adds.get(&element) {
            None => return Verdict::Invalid(format!("{place}: element {element} was never added")),
            Some(add) if add.kind() == Kind::Fail => {
                return Verdict::Invalid(format!("{place}: element {element} is there, though its add was refused"));
            }
            Some(add) if add.invoke.time > end.time => {
                return Verdict::Invalid(format!("{place}: element {element} is there before its add"));
            }
            Some(_) => {}
        }
    }
    let missing = adds
        .iter()
        .filter(|(element, add)| add.kind() == Kind::Ok && add.ended() < read.invoke.time && !seen.contains(*element));
    let mut missing: Vec<u64> = missing.map(|(element, _)| *element).collect();
    missing.sort_unstable();
    match missing.first() {
        None => Verdict::Valid,
        Some(first) => Verdict::Invalid(format!(
            "{place}: {} acknowledged elements are missing, the first is {first}",
            missing.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    fn of(first: Kind, seen: &Value) -> Verdict {
        let last = json!({"node": 1, "final": true});
        let history = history(&[
            (0, Kind::Invoke, "add", json!(1), Value::Null),
            (1, Kind::Invoke, "add", json!(2), Value::Null),
            (0, first, "add", json!(1), Value::Null),
            (1, Kind::Info, "add", json!(2), Value::Null),
            (3, Kind::Invoke, "read", Value::Null, last.clone()),
            (3, Kind::Ok, "read", seen.clone(), last),
        ]);
        check(&history, 1)
    }

    #[test]
    fn what_is_acknowledged_is_there_and_what_is_unknown_may_be() {
        assert_eq!(of(Kind::Ok, &json!([1])), Verdict::Valid);
        assert_eq!(of(Kind::Ok, &json!([2, 1])), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        for (first, seen, word) in [
            (Kind::Ok, json!([2]), "missing"),
            (Kind::Ok, json!([1, 1]), "twice"),
            (Kind::Ok, json!([1, 7]), "never added"),
            (Kind::Fail, json!([1]), "refused"),
        ] {
            let verdict = of(first, &seen);
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        }
    }

    #[test]
    fn a_node_that_was_not_read_makes_it_unknown() {
        assert!(matches!(check(&[], 3), Verdict::Unknown(_)));
    }
}
