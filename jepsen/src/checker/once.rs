//! Judges writes with an idempotency key: however often one is sent and wherever, it acts once and says the same.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::history::{Kind, Op, spans};
use crate::verdict::Verdict;

/// Judges a history of `create` (value `[key, id]`; a retry has the same key), `reuse` (the key with another request,
/// which must be refused) and, for every node, a last `read` of `[[key, id], …]` as it is there.
pub fn check(history: &[Op], nodes: usize) -> Verdict {
    let mut ids: BTreeMap<u64, String> = BTreeMap::new();
    let mut may_exist: HashMap<u64, bool> = HashMap::new();
    let mut reads = 0;
    let spans = spans(history);
    for span in &spans {
        let Some(key) = span.invoke.value[0].as_u64() else { continue };
        let Some(end) = span.end else { continue };
        match (span.invoke.f.as_str(), end.kind) {
            ("create", Kind::Ok) => {
                may_exist.insert(key, true);
                let id = end.value[1].as_str().unwrap_or_default().to_owned();
                let first = ids.entry(key).or_insert_with(|| id.clone());
                if *first != id {
                    return Verdict::Invalid(format!(
                        "history index {}: key {key} gave id {id}, before it gave {first}: it acted twice",
                        end.index
                    ));
                }
            }
            ("create", Kind::Info) => {
                may_exist.insert(key, true);
            }
            ("create", _) if end.number("status") == Some(409) || end.number("status") == Some(422) => {
                return Verdict::Invalid(format!(
                    "history index {}: a retry of key {key} was refused as if it were another request: {}",
                    end.index,
                    end.text("error")
                ));
            }
            ("create", _) => {
                may_exist.entry(key).or_insert(false);
            }
            ("reuse", Kind::Ok) => {
                return Verdict::Invalid(format!(
                    "history index {}: key {key} was accepted for another request",
                    end.index
                ));
            }
            _ => {}
        }
    }
    let mut verdict = Verdict::Valid;
    for end in
        spans.iter().filter(|span| span.invoke.f == "read" && span.kind() == Kind::Ok).filter_map(|span| span.end)
    {
        reads += 1;
        verdict = verdict.and(check_read(end, &ids, &may_exist));
    }
    if reads < nodes {
        verdict = verdict.and(Verdict::Unknown(format!("only {reads} of {nodes} nodes were read at the end")));
    }
    verdict
}

fn check_read(end: &Op, ids: &BTreeMap<u64, String>, may_exist: &HashMap<u64, bool>) -> Verdict {
    let place = format!("last read (history index {}) on node {}", end.index, end.number("node").unwrap_or_default());
    let mut there: BTreeMap<u64, &str> = BTreeMap::new();
    for pair in end.value.as_array().into_iter().flatten() {
        let (Some(key), Some(id)) = (pair[0].as_u64(), pair[1].as_str()) else { continue };
        if let Some(other) = there.insert(key, id) {
            return Verdict::Invalid(format!("{place}: key {key} made two objects, {other} and {id}"));
        }
        if !may_exist.get(&key).copied().unwrap_or(false) {
            return Verdict::Invalid(format!("{place}: key {key} made {id}, though every attempt was refused"));
        }
        if let Some(acknowledged) = ids.get(&key)
            && acknowledged != id
        {
            return Verdict::Invalid(format!("{place}: key {key} is {id}, but {acknowledged} was answered"));
        }
    }
    match ids.keys().find(|key| !there.contains_key(*key)) {
        None => Verdict::Valid,
        Some(key) => Verdict::Invalid(format!("{place}: key {key} was acknowledged and is missing")),
    }
}

/// Returns a pair as it stands in a value.
pub fn pair(key: u64, id: &str) -> Value {
    serde_json::json!([key, id])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::testing::history;

    fn of(second: (Kind, Value, Value), there: Value) -> Verdict {
        let (kind, value, extra) = second;
        let history = history(&[
            (0, Kind::Invoke, "create", json!([1, null]), Value::Null),
            (0, Kind::Info, "create", json!([1, null]), Value::Null),
            (2, Kind::Invoke, "create", json!([1, null]), Value::Null),
            (2, kind, "create", value, extra),
            (3, Kind::Invoke, "read", Value::Null, json!({"node": 1})),
            (3, Kind::Ok, "read", there, json!({"node": 1})),
        ]);
        check(&history, 1)
    }

    #[test]
    fn a_retry_that_acts_once_is_good() {
        assert_eq!(of((Kind::Ok, json!([1, "a"]), Value::Null), json!([[1, "a"]])), Verdict::Valid);
        assert_eq!(of((Kind::Info, json!([1, null]), Value::Null), json!([])), Verdict::Valid);
        assert_eq!(of((Kind::Info, json!([1, null]), Value::Null), json!([[1, "a"]])), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let ok = || (Kind::Ok, json!([1, "a"]), Value::Null);
        for (second, there, word) in [
            (ok(), json!([[1, "a"], [1, "b"]]), "two objects"),
            (ok(), json!([[1, "b"]]), "was answered"),
            (ok(), json!([]), "missing"),
            (ok(), json!([[1, "a"], [2, "c"]]), "refused"),
            ((Kind::Fail, json!([1, null]), json!({"status": 409})), json!([[1, "a"]]), "another request"),
        ] {
            let verdict = of(second, there);
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        }
        let answers = history(&[
            (0, Kind::Invoke, "create", json!([1, null]), Value::Null),
            (0, Kind::Ok, "create", json!([1, "a"]), Value::Null),
            (0, Kind::Invoke, "create", json!([1, null]), Value::Null),
            (0, Kind::Ok, "create", json!([1, "b"]), Value::Null),
        ]);
        assert!(matches!(check(&answers, 0), Verdict::Invalid(why) if why.contains("acted twice")));
        let reuse = history(&[
            (0, Kind::Invoke, "reuse", json!([1, null]), Value::Null),
            (0, Kind::Ok, "reuse", json!([1, "b"]), Value::Null),
        ]);
        assert!(matches!(check(&reuse, 0), Verdict::Invalid(why) if why.contains("another request")));
    }
}
