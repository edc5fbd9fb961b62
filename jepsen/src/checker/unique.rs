//! Judges ids and names: no id is given twice, whatever it is of, and a name belongs to one object.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

/// Judges a history of `create` (value `[name, id]`; a refusal because the name is taken has `status` 409), `generate`
/// (value: an id), and, for every node, a last `read` of `[[name, id], …]`.
pub fn check(history: &[Op], nodes: usize) -> Verdict {
    let spans = spans(history);
    let found = ids(&spans).and_then(|()| names(&spans)).and_then(|owners| reads(&spans, &owners));
    match found {
        Err(why) => Verdict::Invalid(why),
        Ok(read) if read < nodes => Verdict::Unknown(format!("only {read} of {nodes} nodes were read at the end")),
        Ok(_) => Verdict::Valid,
    }
}

fn ids(spans: &[Span<'_>]) -> Result<(), String> {
    let mut given: HashMap<&str, usize> = HashMap::new();
    for end in spans.iter().filter(|span| span.kind() == Kind::Ok).filter_map(|span| span.end) {
        let id = match end.f.as_str() {
            "create" => end.value[1].as_str(),
            "generate" => end.value.as_str(),
            _ => None,
        };
        let Some(id) = id else { continue };
        if let Some(first) = given.insert(id, end.index) {
            return Err(format!("history index {}: id {id} was given before, at index {first}", end.index));
        }
    }
    Ok(())
}

/// Returns who owns each name, by the answers.
fn names<'a>(spans: &[Span<'a>]) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    // When somebody first tried for the name in a way that may have worked.
    let mut begun: HashMap<&str, u64> = HashMap::new();
    let creates = || spans.iter().filter(|span| span.invoke.f == "create");
    for span in creates().filter(|span| span.kind() != Kind::Fail) {
        let name = span.invoke.value[0].as_str().unwrap_or_default();
        let first = begun.entry(name).or_insert(u64::MAX);
        *first = span.invoke.time.min(*first);
    }
    for end in creates().filter_map(|span| span.end) {
        let name = end.value[0].as_str().unwrap_or_default();
        if end.kind == Kind::Ok {
            let id = end.value[1].as_str().unwrap_or_default();
            if let Some(other) = owners.insert(name, id) {
                return Err(format!(
                    "history index {}: name {name} was given to {id}, and before to {other}",
                    end.index
                ));
            }
        }
        let is_refused = end.kind == Kind::Fail && end.number("status") == Some(409);
        if is_refused && begun.get(name).is_none_or(|first| *first > end.time) {
            return Err(format!(
                "history index {}: name {name} is said to be taken, and nobody can have it",
                end.index
            ));
        }
    }
    Ok(owners)
}

fn reads(spans: &[Span<'_>], owners: &BTreeMap<&str, &str>) -> Result<usize, String> {
    let mut count = 0;
    for end in
        spans.iter().filter(|span| span.invoke.f == "read" && span.kind() == Kind::Ok).filter_map(|span| span.end)
    {
        count += 1;
        let place =
            format!("last read (history index {}) on node {}", end.index, end.number("node").unwrap_or_default());
        let mut there: HashMap<&str, &str> = HashMap::new();
        for pair in end.value.as_array().into_iter().flatten() {
            let (Some(name), Some(id)) = (pair[0].as_str(), pair[1].as_str()) else { continue };
            if let Some(other) = there.insert(name, id) {
                return Err(format!("{place}: name {name} is that of {other} and of {id}"));
            }
        }
        for (name, id) in owners {
            match there.get(name) {
                Some(other) if other == id => {}
                Some(other) => return Err(format!("{place}: name {name} is that of {other}, but {id} was answered")),
                None => return Err(format!("{place}: name {name} was given to {id} and is missing")),
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    type Entry = (i64, Kind, &'static str, Value, Value);

    fn create(process: i64, kind: Kind, id: &str, extra: Value) -> [Entry; 2] {
        let value = if kind == Kind::Ok { json!(["a", id]) } else { json!(["a", null]) };
        [(process, Kind::Invoke, "create", json!(["a", null]), Value::Null), (process, kind, "create", value, extra)]
    }

    fn of(parts: &[&[Entry]], there: Value) -> Verdict {
        let mut entries: Vec<Entry> = parts.iter().flat_map(|part| part.iter().cloned()).collect();
        let node = json!({"node": 1});
        entries.push((9, Kind::Invoke, "read", Value::Null, node.clone()));
        entries.push((9, Kind::Ok, "read", there, node));
        check(&history(&entries), 1)
    }

    #[test]
    fn a_name_that_one_of_two_gets_is_good() {
        let (mine, refused) =
            (create(0, Kind::Ok, "x", Value::Null), create(1, Kind::Fail, "", json!({"status": 409})));
        assert_eq!(of(&[&mine, &refused], json!([["a", "x"]])), Verdict::Valid);
        let unknown = create(2, Kind::Info, "", Value::Null);
        assert_eq!(of(&[&unknown, &refused], json!([["a", "y"]])), Verdict::Valid);
        assert_eq!(of(&[&unknown, &refused], json!([])), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let mine = create(0, Kind::Ok, "x", Value::Null);
        let other = create(1, Kind::Ok, "y", Value::Null);
        let again = create(1, Kind::Ok, "x", Value::Null);
        let refused = create(1, Kind::Fail, "", json!({"status": 409}));
        let generated: [Entry; 2] = [
            (3, Kind::Invoke, "generate", Value::Null, Value::Null),
            (3, Kind::Ok, "generate", json!("x"), Value::Null),
        ];
        for (parts, there, word) in [
            (vec![&mine[..], &other[..]], json!([["a", "x"]]), "and before to x"),
            (vec![&mine[..], &again[..]], json!([["a", "x"]]), "given before"),
            (vec![&mine[..], &generated[..]], json!([["a", "x"]]), "given before"),
            (vec![&refused[..], &mine[..]], json!([["a", "x"]]), "nobody can have it"),
            (vec![&mine[..]], json!([["a", "x"], ["a", "y"]]), "is that of x and of y"),
            (vec![&mine[..]], json!([["a", "y"]]), "was answered"),
            (vec![&mine[..]], json!([]), "missing"),
        ] {
            let verdict = of(&parts, there);
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{word}: {verdict}");
        }
        assert!(matches!(check(&[], 1), Verdict::Unknown(_)));
    }
}
