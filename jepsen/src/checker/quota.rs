//! Judges quotas by what reached the backend: never more than the limit in a window, nothing that was refused, nothing
//! twice; and little left of a quota where everything is healthy.

use std::collections::{BTreeMap, HashMap};

use crate::checker::faults::Faults;
use crate::history::{Kind, Op, Span, spans};
use crate::verdict::Verdict;

/// Length of a window in milliseconds; windows begin at whole minutes.
const WINDOW_MS: u64 = 60_000;
/// How long calls must go on after the first refusal before what is left counts as left over.
const PRESSED_NS: u64 = 2_000_000_000;
/// What must be used of a quota that is pressed while everything is healthy, in a hundred.
const USED_LEAST: u64 = 98;

/// What happened to one key in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    /// Calls that began and ended within the window and reached the backend.
    inside: u64,
    /// Calls that reached the backend and may belong to this window.
    touching: u64,
    refused: u64,
    first_refusal: Option<u64>,
    last_call: u64,
}

/// Judges a history of `call` (value `[key, "admitted" | "refused"]`, `call`: its number, `began_ms` and `ended_ms`: wall
/// clock), with the nemesis's entries `limits` (`[[number, limit], …]`), `limited` (`[[key, number], …]`: the limits a key
/// is held to; that of its own number where it is not there) and `served` (the calls that reached the backend).
pub fn check(history: &[Op]) -> Verdict {
    let limits: BTreeMap<u64, u64> = pairs(history, "limits").collect();
    let limited = limited(history);
    let mut served: HashMap<u64, u64> = HashMap::new();
    for call in history.iter().filter(|op| op.f == "served").flat_map(|op| op.value.as_array().into_iter().flatten()) {
        *served.entry(call.as_u64().unwrap_or_default()).or_default() += 1;
    }
    if let Some((call, times)) = served.iter().find(|(_, times)| **times > 1) {
        return Verdict::Invalid(format!("call {call} reached the backend {times} times"));
    }
    let faults = Faults::of(history);
    let mut uses = Uses::default();
    for span in spans(history).iter().filter(|span| span.invoke.f == "call") {
        if let Err(verdict) = uses.count(span, &served, &limited) {
            return verdict;
        }
    }
    let mut verdict = Verdict::Valid;
    for (number, limit) in &limits {
        verdict = verdict.and(never_over(*number, *limit, &uses, &faults));
    }
    let mut is_pressed = false;
    for ((key, window), one) in &uses.of_keys {
        let Some(first) = one.first_refusal else { continue };
        is_pressed = true;
        if one.last_call.saturating_sub(first) < PRESSED_NS || !faults.is_quiet(0, one.last_call) {
            continue;
        }
        let own = limited.get(key).cloned().unwrap_or_else(|| vec![*key]);
        let used = |number: &u64| uses.of_limits.get(&(*number, *window)).map_or(0, |one| one.touching);
        let is_used_up =
            |number: &u64| limits.get(number).is_some_and(|limit| used(number) * 100 >= limit * USED_LEAST);
        if !own.iter().any(is_used_up) {
            let left: Vec<String> =
                own.iter().map(|number| format!("{} of {}", used(number), limits[number])).collect();
            verdict = verdict.and(Verdict::Invalid(format!(
                "key {key}, minute {window}: {} calls were refused, but only {} were used while everything was healthy",
                one.refused,
                left.join(", ")
            )));
        }
    }
    if !is_pressed {
        verdict = verdict.and(Verdict::Unknown("no quota was ever used up".to_owned()));
    }
    verdict
}

fn pairs<'a>(history: &'a [Op], f: &'a str) -> impl Iterator<Item = (u64, u64)> + 'a {
    let entries = history.iter().filter(move |op| op.f == f).flat_map(|op| op.value.as_array().into_iter().flatten());
    entries.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_u64()?)))
}

/// What was used, by key and by limit, in each minute.
#[derive(Default)]
struct Uses {
    of_keys: BTreeMap<(u64, u64), Use>,
    of_limits: BTreeMap<(u64, u64), Use>,
}

impl Uses {
    fn count(
        &mut self,
        span: &Span<'_>,
        served: &HashMap<u64, u64>,
        limited: &BTreeMap<u64, Vec<u64>>,
    ) -> Result<(), Verdict> {
        let (Some(key), Some(call)) = (span.invoke.value[0].as_u64(), span.invoke.number("call")) else {
            return Ok(());
        };
        let Some(began) = span.invoke.number("began_ms").map(|ms| ms / WINDOW_MS) else { return Ok(()) };
        let end = span.end.filter(|end| end.kind == Kind::Ok);
        let ended = end.and_then(|end| end.number("ended_ms")).map(|ms| ms / WINDOW_MS);
        let is_served = served.contains_key(&call);
        let verdict = end.map_or("", |end| end.value[1].as_str().unwrap_or_default());
        if verdict == "refused" && is_served {
            return Err(Verdict::Invalid(format!("call {call} of key {key} was refused and reached the backend")));
        }
        if verdict == "admitted" && !is_served {
            return Err(Verdict::Invalid(format!(
                "call {call} of key {key} was answered and never reached the backend"
            )));
        }
        let own = limited.get(&key).cloned().unwrap_or_else(|| vec![key]);
        for window in began..=ended.unwrap_or(began + 1) {
            let is_inside = ended == Some(began);
            let of_limits = own.iter().map(|number| (true, *number));
            for (is_limit, number) in of_limits.chain([(false, key)]) {
                let uses = if is_limit { &mut self.of_limits } else { &mut self.of_keys };
                let one = uses.entry((number, window)).or_default();
                one.touching += u64::from(is_served);
                if is_inside {
                    one.inside += u64::from(is_served);
                    one.last_call = one.last_call.max(span.invoke.time);
                }
                if verdict == "refused" && is_inside {
                    one.refused += 1;
                    one.first_refusal.get_or_insert(span.invoke.time);
                }
            }
        }
        Ok(())
    }
}

fn never_over(number: u64, limit: u64, uses: &Uses, faults: &Faults) -> Verdict {
    for ((_, window), one) in uses.of_limits.range((number, 0)..=(number, u64::MAX)) {
        // Windows follow the fastest clock, and a node whose clock is behind goes on in the window before with what it was
        // granted of it. Clocks are put wrong by less than a minute: a minute of ours touches one window more each way.
        let (are_behind, are_ahead) = faults.clocks(one.last_call);
        let windows = 1 + u64::from(are_behind) + u64::from(are_ahead);
        if one.inside > limit * windows {
            return Verdict::Invalid(format!(
                "limit {number}, minute {window}: {} calls of {limit} reached the backend",
                one.inside
            ));
        }
    }
    Verdict::Valid
}

/// Returns what was used of each limit in each minute, to show to people.
pub fn summary(history: &[Op]) -> Vec<String> {
    let served = history.iter().filter(|op| op.f == "served").flat_map(|op| op.value.as_array().into_iter().flatten());
    let served: HashMap<u64, u64> = served.filter_map(|call| Some((call.as_u64()?, 1))).collect();
    let limited = limited(history);
    let mut uses = Uses::default();
    for span in spans(history).iter().filter(|span| span.invoke.f == "call") {
        // A call that is judged wrong is told of by the verdict.
        let _ = uses.count(span, &served, &limited);
    }
    let limits: BTreeMap<u64, u64> = pairs(history, "limits").collect();
    let line = |((number, window), one): (&(u64, u64), &Use)| {
        let limit = limits.get(number).copied().unwrap_or_default();
        format!(
            "limit {number} minute {window}: {} inside, {} touching of {limit}; {} refused",
            one.inside, one.touching, one.refused
        )
    };
    uses.of_limits.iter().map(line).collect()
}

/// Returns which limits each key is held to.
fn limited(history: &[Op]) -> BTreeMap<u64, Vec<u64>> {
    let mut limited: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (key, number) in pairs(history, "limited") {
        limited.entry(key).or_default().push(number);
    }
    limited
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    /// Returns a history of a key with a limit of 2: calls as (answer, whether it reached the backend).
    fn of(calls: &[(&str, u64)]) -> Verdict {
        let mut entries = vec![(-1, Kind::Info, "limits", json!([[0, 2]]), Value::Null)];
        let mut served = Vec::new();
        for (number, (answer, times)) in calls.iter().enumerate() {
            let extra = json!({"call": number, "began_ms": 120_000 + number, "ended_ms": 120_000 + number});
            let kind = if answer.is_empty() { Kind::Info } else { Kind::Ok };
            entries.push((0, Kind::Invoke, "call", json!([0, null]), extra.clone()));
            entries.push((0, kind, "call", json!([0, answer]), extra));
            served.extend(std::iter::repeat_n(number, usize::try_from(*times).unwrap()));
        }
        entries.push((-1, Kind::Info, "served", json!(served), Value::Null));
        let mut history = history(&entries);
        for op in &mut history {
            op.time *= 1000;
        }
        check(&history)
    }

    #[test]
    fn a_quota_that_is_used_up_and_not_passed_is_good() {
        assert_eq!(
            of(&[("admitted", 1), ("admitted", 1), ("refused", 0), ("refused", 0), ("refused", 0)]),
            Verdict::Valid
        );
        assert_eq!(of(&[("admitted", 1), ("", 1), ("refused", 0), ("refused", 0)]), Verdict::Valid);
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        for (calls, word) in [
            (vec![("admitted", 1), ("admitted", 1), ("admitted", 1)], "3 calls of 2"),
            (vec![("admitted", 2), ("refused", 0)], "2 times"),
            (vec![("admitted", 1), ("refused", 1)], "was refused and reached"),
            (vec![("admitted", 0), ("refused", 0)], "never reached"),
            (vec![("admitted", 1), ("refused", 0), ("refused", 0), ("refused", 0)], "only 1 of 2"),
        ] {
            let verdict = of(&calls);
            assert!(matches!(&verdict, Verdict::Invalid(why) if why.contains(word)), "{verdict}");
        }
    }

    #[test]
    fn keys_that_share_a_limit_are_held_to_it_together_and_clocks_move_windows() {
        let shared = |fault: &'static str, steps: &[i64]| {
            let mut entries = vec![
                (-1, Kind::Info, "limits", json!([[7, 2], [8, 9]]), Value::Null),
                (-1, Kind::Info, "limited", json!([[0, 7], [1, 7], [1, 8]]), Value::Null),
                (-1, Kind::Info, fault, json!({"phase": "begin", "nodes": [1]}), Value::Null),
            ];
            for step in steps {
                let end = json!({"phase": "end", "nodes": [1], "step_s": step, "drift_ppm": 0});
                entries.push((-1, Kind::Info, fault, end, Value::Null));
            }
            for (number, key) in [0, 1, 1, 1, 1, 0].iter().enumerate() {
                let extra = json!({"call": number, "began_ms": 120_000 + number, "ended_ms": 120_000 + number});
                let answer = if number < 5 { "admitted" } else { "refused" };
                entries.push((0, Kind::Invoke, "call", json!([key, null]), extra.clone()));
                entries.push((0, Kind::Ok, "call", json!([key, answer]), extra));
            }
            entries.push((-1, Kind::Info, "served", json!([0, 1, 2, 3, 4]), Value::Null));
            check(&history(&entries))
        };
        assert!(
            matches!(shared("none", &[]), Verdict::Invalid(why) if why.contains("limit 7") && why.contains("5 calls of 2"))
        );
        let too_many = |steps| matches!(shared("clock", steps), Verdict::Invalid(why) if why.contains("5 calls of 2"));
        assert!(too_many(&[30, 40]) && too_many(&[-30]), "two windows");
        assert_eq!(shared("clock", &[-10, 30]), Verdict::Valid, "three");
    }

    #[test]
    fn a_run_that_never_pressed_a_quota_says_nothing() {
        assert!(matches!(of(&[("admitted", 1)]), Verdict::Unknown(_)));
    }
}
