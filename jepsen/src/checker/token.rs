//! Judges the life of tokens: what is issued is good on every gateway, what is revoked is good on none that the answer
//! did not name as unreached, what was never issued is never good. A node that was named and comes back must have heard of
//! it before it serves.

use std::collections::HashMap;

use serde_json::Value;

use crate::checker::faults::Faults;
use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

#[derive(Default)]
struct Life<'a> {
    issued: Option<Span<'a>>,
    revokes: Vec<Span<'a>>,
    uses: Vec<Span<'a>>,
}

/// Judges a history of `issue`, `revoke` (value: the token's number) and `use` (value `[token, "allowed" | "denied"]`,
/// with the node). Tokens that were never issued have `forged`: true. Uses with `final` are made after everything has
/// healed, when no node is excused any more.
pub fn check(history: &[Op]) -> Verdict {
    let spans = spans(history);
    let mut lives: HashMap<u64, Life<'_>> = HashMap::new();
    for span in &spans {
        let number = if span.invoke.f == "use" { span.invoke.value[0].as_u64() } else { span.invoke.value.as_u64() };
        let Some(number) = number else { continue };
        let life = lives.entry(number).or_default();
        match span.invoke.f.as_str() {
            "issue" => life.issued = Some(span.clone()),
            "revoke" => life.revokes.push(span.clone()),
            _ => life.uses.push(span.clone()),
        }
    }
    let mut bad: Vec<(usize, String)> = Vec::new();
    let faults = Faults::of(history);
    for (number, life) in &lives {
        for (index, why) in life.uses.iter().filter_map(|used| judge(life, used, &faults)) {
            bad.push((index, format!("history index {index}: token {number} {why}")));
        }
    }
    bad.sort();
    match bad.first() {
        None => Verdict::Valid,
        Some((_, first)) => Verdict::Invalid(format!("{} uses were judged wrongly; {first}", bad.len())),
    }
}

/// Returns what is wrong with a use, if anything.
fn judge(life: &Life<'_>, used: &Span<'_>, faults: &Faults) -> Option<(usize, String)> {
    let end = used.end.filter(|end| end.kind == Kind::Ok)?;
    let is_allowed = end.value[1] == "allowed";
    let node = end.number("node").unwrap_or_default();
    let wrong = |why: String| Some((end.index, format!("{why} (node {node})")));
    if used.invoke.extra.get("forged").is_some() {
        return if is_allowed { wrong("was never issued and is allowed".to_owned()) } else { None };
    }
    if !is_allowed {
        let first_revoke =
            life.revokes.iter().filter(|revoke| revoke.kind() != Kind::Fail).map(|one| one.invoke.time).min();
        let is_issued =
            life.issued.as_ref().is_some_and(|issued| issued.kind() == Kind::Ok && issued.ended() < used.invoke.time);
        let is_clear = first_revoke.is_none_or(|revoke| end.time < revoke);
        return if is_issued && is_clear { wrong("is issued, not revoked, and denied".to_owned()) } else { None };
    }
    let is_final = end.extra.get("final").is_some();
    for revoke in life.revokes.iter().filter(|revoke| revoke.kind() == Kind::Ok && revoke.ended() < used.invoke.time) {
        let Some(answer) = revoke.end else { continue };
        let is_excused =
            unreached(answer).contains(&node) && !faults.has_come_back(node, answer.time, used.invoke.time);
        if is_final || !is_excused {
            let when = (used.invoke.time - answer.time) / 1_000_000;
            return wrong(format!("is allowed {when} ms after its revocation was answered (index {})", answer.index));
        }
    }
    None
}

/// Returns the nodes that the answer to a revocation named as not reached.
fn unreached(answer: &Op) -> Vec<u64> {
    let named = answer.extra.get("unreached").and_then(Value::as_array);
    named.into_iter().flatten().filter_map(Value::as_u64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::testing::history;

    fn of(revoke: Kind, unreached: &Value, before: &str, after: &str, last: &Value) -> Verdict {
        let node = json!({"node": 2});
        let mut end = node.as_object().cloned().unwrap();
        end.append(&mut last.as_object().cloned().unwrap_or_default());
        check(&history(&[
            (0, Kind::Invoke, "issue", json!(7), Value::Null),
            (0, Kind::Ok, "issue", json!(7), Value::Null),
            (0, Kind::Invoke, "use", json!([7, null]), node.clone()),
            (0, Kind::Ok, "use", json!([7, before]), node.clone()),
            (0, Kind::Invoke, "revoke", json!(7), Value::Null),
            (0, revoke, "revoke", json!(7), json!({"unreached": unreached})),
            (4, Kind::Invoke, "use", json!([7, null]), node),
            (4, Kind::Ok, "use", json!([7, after]), Value::Object(end)),
        ]))
    }

    #[test]
    fn a_token_lives_from_its_issue_to_its_revocation() {
        assert_eq!(of(Kind::Ok, &json!([]), "allowed", "denied", &json!({})), Verdict::Valid);
        assert_eq!(of(Kind::Info, &json!([]), "allowed", "allowed", &json!({})), Verdict::Valid);
        assert_eq!(of(Kind::Info, &json!([]), "allowed", "denied", &json!({})), Verdict::Valid);
        assert_eq!(of(Kind::Ok, &json!([2]), "allowed", "allowed", &json!({})), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let bad = |verdict: Verdict, word: &str| {
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        };
        bad(of(Kind::Ok, &json!([]), "denied", "denied", &json!({})), "not revoked");
        bad(of(Kind::Fail, &json!([]), "allowed", "denied", &json!({})), "not revoked");
        bad(of(Kind::Ok, &json!([]), "allowed", "allowed", &json!({})), "after its revocation");
        bad(of(Kind::Ok, &json!([3]), "allowed", "allowed", &json!({})), "after its revocation");
        bad(of(Kind::Ok, &json!([2]), "allowed", "allowed", &json!({"final": true})), "after its revocation");
        let forged = json!({"node": 1, "forged": true});
        bad(
            check(&history(&[
                (0, Kind::Invoke, "use", json!([9, null]), forged.clone()),
                (0, Kind::Ok, "use", json!([9, "allowed"]), forged),
            ])),
            "never issued",
        );
    }
}
