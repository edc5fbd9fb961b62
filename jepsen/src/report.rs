//! What a run leaves for people to read: counts, latencies, pauses, stalls of the machine, the verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::history::{Kind, Op, Process, Span, spans};

/// Returns a table of what each operation did.
pub fn table(history: &[Op]) -> String {
    let mut kinds: BTreeMap<&str, Vec<Span<'_>>> = BTreeMap::new();
    for span in spans(history) {
        kinds.entry(span.invoke.f.as_str()).or_default().push(span);
    }
    let mut text = format!(
        "{:<10} {:>7} {:>7} {:>7} {:>9} {:>9} {:>9} {:>14}\n",
        "operation", "ok", "fail", "info", "p50 ms", "p99 ms", "max ms", "longest gap ms"
    );
    for (f, spans) in kinds {
        let count = |kind| spans.iter().filter(|span| span.kind() == kind).count();
        let done = spans.iter().filter(|span| span.kind() == Kind::Ok);
        let mut times: Vec<u64> = done.clone().map(|span| (span.ended() - span.invoke.time) / 1_000).collect();
        times.sort_unstable();
        let at = |percent: usize| {
            times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        let is_last = |span: &&Span<'_>| span.invoke.extra.get("final").is_none();
        let mut ends: Vec<u64> = done.filter(is_last).map(Span::ended).collect();
        ends.sort_unstable();
        let gap = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default() / 1_000_000;
        let ms = |micros: u64| format!("{}.{:01}", micros / 1000, micros % 1000 / 100);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{f:<10} {:>7} {:>7} {:>7} {:>9} {:>9} {:>9} {gap:>14}",
            count(Kind::Ok),
            count(Kind::Fail),
            count(Kind::Info),
            ms(at(50)),
            ms(at(99)),
            ms(at(100)),
        );
    }
    text
}

/// Returns the faults, one per line.
pub fn faults(history: &[Op]) -> String {
    let mut text = String::new();
    for op in history.iter().filter(|op| op.process == Process::Nemesis && op.value["phase"].is_string()) {
        let seconds = Duration::from_nanos(op.time).as_secs_f32();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{seconds:8.3} s  {:<10} {}", op.f, op.value);
    }
    text
}

/// Returns the most frequent reasons why operations failed.
pub fn reasons(history: &[Op]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for op in history.iter().filter(|op| matches!(op.kind, Kind::Fail | Kind::Info) && op.process != Process::Nemesis) {
        let why: String =
            op.text("error").chars().take(150).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        *counts.entry(format!("{} {}", op.f, why)).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.iter().take(15).map(|(why, count)| format!("{count:>7} {why}\n")).collect()
}
