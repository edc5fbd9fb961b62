//! Judges a cluster whose members change: leaders that follow each other, roles as they were last decided, nothing answered by a
//! node that was removed, and nothing lost.

use std::collections::{BTreeMap, HashMap};

use crate::checker::faults::Faults;
use crate::checker::set;
use crate::history::{Kind, Op, Process, Span, spans};
use crate::verdict::Verdict;

/// Judges a history of `add` and `read` (see the set), `status` (value: `{"term", "leader"}`, the leader's id), `role`
/// (value `[id, role]`; one at a time) and a last `roles` for each node (value `[[id, meant role], …]`). What the nemesis
/// removed is in its entries `remove` with `id`; operations have the `id` of the node that is asked.
pub fn check(history: &[Op], nodes: usize) -> Verdict {
    let spans = spans(history);
    let found = leaders(history, &spans).and_then(|()| removed(history, &spans)).and_then(|()| roles(&spans));
    match found {
        Err(why) => Verdict::Invalid(why),
        Ok(()) => set::check(history, nodes),
    }
}

/// Leaders are told apart by their term and, in one term, by their id: a node that follows one never again follows an
/// earlier one, while its process runs.
fn leaders(history: &[Op], spans: &[Span<'_>]) -> Result<(), String> {
    let faults = Faults::of(history);
    let mut latest: HashMap<u64, ((u64, u64), &Op)> = HashMap::new();
    let answered = spans.iter().filter(|span| span.invoke.f == "status" && span.kind() == Kind::Ok);
    for (invoke, end) in answered.filter_map(|span| Some((span.invoke, span.end?))) {
        let (Some(term), Some(leader)) = (end.value["term"].as_u64(), end.value["leader"].as_u64()) else { continue };
        let node = end.number("node").unwrap_or_default();
        let seen = (term, leader);
        if let Some((before, at)) = latest.get(&node)
            && seen < *before
            && faults.is_up(node, at.time, end.time)
        {
            if at.time < invoke.time {
                return Err(format!(
                    "history index {}: node {node} follows node {leader} in term {term}, and followed node {} in term {} \
                     before (index {})",
                    end.index, before.1, before.0, at.index
                ));
            }
            // Asked before the other was answered: it may be the earlier of the two.
            continue;
        }
        latest.insert(node, (seen, end));
    }
    Ok(())
}

fn removed(history: &[Op], spans: &[Span<'_>]) -> Result<(), String> {
    let mut gone: HashMap<u64, (u64, usize)> = HashMap::new();
    for op in
        history.iter().filter(|op| op.process == Process::Nemesis && op.f == "remove" && op.value["phase"] == "end")
    {
        if let Some(id) = op.value["id"].as_u64() {
            gone.insert(id, (op.time, op.index));
        }
    }
    for span in spans.iter().filter(|span| span.kind() == Kind::Ok && ["add", "read"].contains(&span.invoke.f.as_str()))
    {
        let Some((since, at)) = span.invoke.number("id").and_then(|id| gone.get(&id)) else { continue };
        // A read of the end asks for what a node has by itself.
        if span.invoke.time > *since && span.invoke.extra.get("final").is_none() {
            let (id, index) = (span.invoke.number("id").unwrap_or_default(), span.invoke.index);
            return Err(format!(
                "history index {index}: node {id} answered {}, though it had been removed (index {at})",
                span.invoke.f
            ));
        }
    }
    Ok(())
}

fn roles(spans: &[Span<'_>]) -> Result<(), String> {
    // The roles that each node may have: by the last change that was answered, and by those of unknown outcome.
    let mut may_have: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.invoke.f == "role" && span.kind() != Kind::Fail) {
        let (Some(id), Some(role)) = (span.invoke.value[0].as_u64(), span.invoke.value[1].as_str()) else { continue };
        let possible = may_have.entry(id).or_insert_with(|| vec!["voter"]);
        if span.kind() == Kind::Ok {
            possible.clear();
        }
        possible.push(role);
    }
    for end in acknowledged(spans, "roles") {
        for pair in end.value.as_array().into_iter().flatten() {
            let (Some(id), Some(role)) = (pair[0].as_u64(), pair[1].as_str()) else { continue };
            if may_have.get(&id).is_some_and(|possible| !possible.contains(&role)) {
                let possible = may_have[&id].join(" or ");
                return Err(format!(
                    "history index {}: node {id} is to be {role}, but {possible} was decided",
                    end.index
                ));
            }
        }
    }
    Ok(())
}

fn acknowledged<'a>(spans: &'a [Span<'a>], f: &'a str) -> impl Iterator<Item = &'a Op> {
    spans.iter().filter(move |span| span.invoke.f == f && span.kind() == Kind::Ok).filter_map(|span| span.end)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    type Entry = (i64, Kind, &'static str, Value, Value);

    fn did(f: &'static str, kind: Kind, value: Value, extra: Value) -> [Entry; 2] {
        [(0, Kind::Invoke, f, value.clone(), extra.clone()), (0, kind, f, value, extra)]
    }

    fn of(parts: &[[Entry; 2]]) -> Verdict {
        let mut entries: Vec<Entry> = parts.iter().flatten().cloned().collect();
        entries.extend(did("read", Kind::Ok, json!([1]), json!({"node": 1, "id": 1, "final": true})));
        check(&history(&entries), 1)
    }

    fn add(id: u64) -> [Entry; 2] {
        did("add", Kind::Ok, json!(1), json!({"node": 1, "id": id}))
    }

    fn removal() -> [Entry; 2] {
        let entry = |phase: &str| {
            (-1, Kind::Info, "remove", json!({"phase": phase, "nodes": [2], "id": 2, "effective": true}), Value::Null)
        };
        [entry("begin"), entry("end")]
    }

    fn status(term: u64, leader: u64) -> [Entry; 2] {
        did("status", Kind::Ok, json!({"term": term, "leader": leader}), json!({"node": 1}))
    }

    #[test]
    fn changes_of_members_that_lose_nothing_are_good() {
        assert_eq!(of(&[add(2), removal(), status(1, 1), status(1, 2), status(2, 1)]), Verdict::Valid);
        let role = |kind, role| did("role", kind, json!([3, role]), Value::Null);
        let roles = |role| did("roles", Kind::Ok, json!([[3, role]]), Value::Null);
        assert_eq!(of(&[add(1), role(Kind::Ok, "learner"), roles("learner")]), Verdict::Valid);
        assert_eq!(of(&[add(1), role(Kind::Info, "learner"), roles("voter")]), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let role = did("role", Kind::Ok, json!([3, "learner"]), Value::Null);
        let roles = did("roles", Kind::Ok, json!([[3, "voter"]]), Value::Null);
        for (parts, word) in [
            (vec![add(1), status(4, 1), status(3, 2)], "followed node 1 in term 4 before"),
            (vec![add(1), status(4, 2), status(4, 1)], "followed node 2 in term 4 before"),
            (vec![removal(), add(2)], "had been removed"),
            (vec![add(1), role, roles], "learner was decided"),
            (vec![did("add", Kind::Fail, json!(1), Value::Null)], "refused"),
        ] {
            let verdict = of(&parts);
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{word}: {verdict}");
        }
    }
}
