//! Judges registers: each key must be linearizable, and no answer may claim an index below one acknowledged before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::checker::linear::{self, Action, Finding, Interval};
use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

/// How long all keys together may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Judges a history of `read`, `write` and `cas` with values `[key, …]`; every key is 0 at the beginning.
pub fn check(history: &[Op]) -> Verdict {
    let spans = spans(history);
    let mut keys: BTreeMap<u64, Vec<Interval>> = BTreeMap::new();
    for span in &spans {
        if let Some((key, interval)) = interval(span) {
            keys.entry(key).or_default().push(interval);
        }
    }
    let deadline = Instant::now() + WITHIN;
    let mut verdict = check_indexes(&spans);
    for (key, intervals) in keys {
        let found = match linear::check(0, &intervals, deadline) {
            Finding::Linearizable => Verdict::Valid,
            Finding::OutOfReach => {
                Verdict::Unknown(format!("key {key}: {} operations take too long to judge", intervals.len()))
            }
            Finding::Not(last) => Verdict::Invalid(format!(
                "key {key} is not linearizable: {:?} (history index {}) fits nowhere",
                last.action, last.index
            )),
        };
        verdict = verdict.and(found);
    }
    verdict
}

fn interval(span: &Span<'_>) -> Option<(u64, Interval)> {
    let kind = span.kind();
    if kind == Kind::Fail || (kind == Kind::Info && span.invoke.f == "read") {
        return None;
    }
    let said = span.end.filter(|end| end.kind == Kind::Ok).unwrap_or(span.invoke);
    let key = said.value[0].as_u64()?;
    let value = &said.value[1];
    let action = match span.invoke.f.as_str() {
        "read" => Action::Read(value.as_i64()?),
        "write" => Action::Write(value.as_i64()?),
        "cas" => Action::Cas(value[0].as_i64()?, value[1].as_i64()?),
        _ => return None,
    };
    Some((key, Interval { index: said.index, began: span.invoke.time, ended: span.ended(), action }))
}

/// A read must have seen the index of every write that was acknowledged before it began.
fn check_indexes(spans: &[Span<'_>]) -> Verdict {
    let mut ends: Vec<(u64, u64)> = spans
        .iter()
        .filter(|span| span.kind() == Kind::Ok && span.invoke.f != "read")
        .filter_map(|span| Some((span.ended(), span.end?.number("raft-index")?)))
        .collect();
    ends.sort_unstable();
    let mut highest = 0;
    for end in &mut ends {
        highest = highest.max(end.1);
        end.1 = highest;
    }
    for span in spans.iter().filter(|span| span.kind() == Kind::Ok && span.invoke.f == "read") {
        let Some((read, end)) = span.end.and_then(|end| Some((end.number("raft-index")?, end))) else { continue };
        let before = ends.partition_point(|(ended, _)| *ended < span.invoke.time);
        let Some((_, acknowledged)) = before.checked_sub(1).map(|last| ends[last]) else { continue };
        if read < acknowledged {
            return Verdict::Invalid(format!(
                "history index {}: a linearizable read says X-Raft-Index {read}, but {acknowledged} was acknowledged before it began",
                end.index
            ));
        }
    }
    Verdict::Valid
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    const NONE: Value = Value::Null;

    #[test]
    fn keys_are_judged_apart_and_failed_operations_did_not_happen() {
        let good = history(&[
            (0, Kind::Invoke, "write", json!([1, 5]), NONE),
            (1, Kind::Invoke, "write", json!([2, 6]), NONE),
            (0, Kind::Ok, "write", json!([1, 5]), json!({"raft-index": 9})),
            (1, Kind::Fail, "write", json!([2, 6]), NONE),
            (0, Kind::Invoke, "read", json!([2, null]), NONE),
            (0, Kind::Ok, "read", json!([2, 0]), json!({"raft-index": 9})),
            (0, Kind::Invoke, "cas", json!([1, [5, 7]]), NONE),
            (0, Kind::Info, "cas", json!([1, [5, 7]]), NONE),
            (2, Kind::Invoke, "read", json!([1, null]), NONE),
            (2, Kind::Ok, "read", json!([1, 5]), json!({"raft-index": 10})),
        ]);
        assert_eq!(check(&good), Verdict::Valid);
    }

    #[test]
    fn a_failed_write_that_shows_is_found() {
        let bad = history(&[
            (0, Kind::Invoke, "write", json!([1, 5]), NONE),
            (0, Kind::Fail, "write", json!([1, 5]), NONE),
            (0, Kind::Invoke, "read", json!([1, null]), NONE),
            (0, Kind::Ok, "read", json!([1, 5]), NONE),
        ]);
        assert!(matches!(check(&bad), Verdict::Invalid(why) if why.contains("key 1")));
    }

    #[test]
    fn an_index_that_goes_back_is_found() {
        let bad = history(&[
            (0, Kind::Invoke, "write", json!([1, 5]), NONE),
            (0, Kind::Ok, "write", json!([1, 5]), json!({"raft-index": 9})),
            (0, Kind::Invoke, "read", json!([1, null]), NONE),
            (0, Kind::Ok, "read", json!([1, 5]), json!({"raft-index": 8})),
        ]);
        assert!(matches!(check(&bad), Verdict::Invalid(why) if why.contains("X-Raft-Index 8")));
    }
}
