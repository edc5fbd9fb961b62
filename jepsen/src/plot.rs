//! Pictures of a run for people: when which operations ended how, and how long they took, over the faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::history::{Kind, Op, Process, spans};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 30.0;
/// Points of a picture at most: browsers show so many without trouble.
const POINTS_MAX: usize = 20_000;
const GREEN: &str = "#2e7d32";
const RED: &str = "#c62828";
const ORANGE: &str = "#ef6c00";

struct Picture {
    text: String,
    seconds: f64,
    height: f64,
}

impl Picture {
    fn new(title: &str, history: &[Op], height: f64) -> Self {
        let seconds = history.last().map_or(1.0, |op| op.time as f64 / 1e9).max(1.0);
        let full = height + 2.0 * TOP + 20.0;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{full}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{title}</text>\n",
            WIDTH + LEFT + 20.0
        );
        let mut picture = Self { text: std::mem::take(&mut text), seconds, height };
        picture.faults(history);
        picture.axis();
        picture
    }

    fn x(&self, ns: u64) -> f64 {
        LEFT + (ns as f64 / 1e9) / self.seconds * WIDTH
    }

    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }

    /// Shades the time from the beginning of a fault to the end of what heals it.
    fn faults(&mut self, history: &[Op]) {
        let phase = |op: &&Op| op.process == Process::Nemesis && op.value["phase"].is_string();
        let entries: Vec<&Op> = history.iter().filter(phase).collect();
        let heals = ["restart", "resume", "heal", "set-clock", "fast-disk", "join"];
        let mut row = 0;
        for (place, begin) in entries.iter().enumerate() {
            if begin.value["phase"] != "begin" || heals.contains(&begin.f.as_str()) {
                continue;
            }
            let is_end = |op: &&&Op| {
                heals.contains(&op.f.as_str()) && op.value["phase"] == "end" && op.value["mode"] == begin.value["mode"]
            };
            let end = entries[place..].iter().find(is_end).map_or(u64::MAX, |op| op.time);
            let (from, to) = (self.x(begin.time), self.x(end.min((self.seconds * 1e9) as u64)));
            let (height, label) =
                (self.height, format!("{} {}", begin.f, begin.value["mode"].as_str().unwrap_or_default()));
            let at = TOP + 10.0 + f64::from(row % 3) * 11.0;
            row += 1;
            self.add(format_args!("<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height}\" fill=\"#e0c8f0\" fill-opacity=\"0.5\"/>", (to - from).max(1.0)));
            self.add(format_args!("<text x=\"{from:.1}\" y=\"{at}\" fill=\"#6a1b9a\" font-size=\"9\">{label}</text>"));
        }
    }

    fn axis(&mut self) {
        let bottom = TOP + self.height;
        let step = (self.seconds / 10.0).ceil().max(1.0);
        let mut at = 0.0;
        while at <= self.seconds {
            let x = LEFT + at / self.seconds * WIDTH;
            self.add(format_args!("<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>"));
            self.add(format_args!("<text x=\"{x:.1}\" y=\"{}\">{at:.0} s</text>", bottom + 14.0));
            at += step;
        }
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok => GREEN,
        Kind::Fail => RED,
        Kind::Info | Kind::Invoke => ORANGE,
    }
}

/// Returns a picture with a row per client: each operation from its beginning to its end.
pub fn timeline(history: &[Op]) -> String {
    let spans = spans(history);
    let mut rows: BTreeMap<u64, usize> = BTreeMap::new();
    // Clients that were given a new number after an unknown outcome stay in the row of those that never had one.
    for span in &spans {
        if let Process::Client(number) = span.invoke.process {
            let next = rows.len();
            rows.entry(number).or_insert(next);
        }
    }
    let rows_max = 60;
    let height = 9.0 * rows.len().clamp(4, rows_max) as f64;
    let mut picture =
        Picture::new("each client's operations: green happened, red did not, orange nobody knows", history, height);
    let every = spans.len() / POINTS_MAX + 1;
    for span in spans.iter().step_by(every) {
        let Process::Client(number) = span.invoke.process else { continue };
        let row = rows[&number] % rows_max;
        let (from, to) = (picture.x(span.invoke.time), picture.x(span.end.map_or(span.invoke.time, |end| end.time)));
        let (y, colour) = (TOP + 9.0 * row as f64 + 1.0, colour(span.kind()));
        picture.add(format_args!(
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"7\" fill=\"{colour}\"/>",
            (to - from).max(0.6)
        ));
    }
    picture.end()
}

/// Returns a picture of how long operations took, on a logarithmic scale.
pub fn latencies(history: &[Op]) -> String {
    const HEIGHT: f64 = 360.0;
    // From 0.1 ms to 100 s.
    let y = |ns: u64| {
        let decades = ((ns as f64 / 1e5).max(1.0)).log10();
        TOP + HEIGHT - decades / 6.0 * HEIGHT
    };
    let mut picture = Picture::new("how long operations took, by when they ended", history, HEIGHT);
    for (ns, label) in [
        (100_000, "0.1 ms"),
        (1_000_000, "1 ms"),
        (10_000_000, "10 ms"),
        (100_000_000, "100 ms"),
        (1_000_000_000, "1 s"),
        (10_000_000_000, "10 s"),
    ] {
        let at = y(ns);
        picture.add(format_args!(
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>",
            LEFT + WIDTH
        ));
        picture.add(format_args!("<text x=\"30\" y=\"{at:.1}\">{label}</text>"));
    }
    let spans = spans(history);
    let every = spans.len() / POINTS_MAX + 1;
    for span in spans.iter().step_by(every) {
        let Some(end) = span.end else { continue };
        let (x, at, colour) = (picture.x(end.time), y(end.time - span.invoke.time), colour(span.kind()));
        picture.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"1.3\" fill=\"{colour}\"/>"));
    }
    picture.end()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::testing::history;

    #[test]
    fn pictures_show_operations_and_faults() {
        let history = history(&[
            (-1, Kind::Info, "kill", json!({"phase": "begin", "mode": "leader", "nodes": [2]}), Value::Null),
            (0, Kind::Invoke, "add", json!(1), Value::Null),
            (0, Kind::Ok, "add", json!(1), Value::Null),
            (1, Kind::Invoke, "add", json!(2), Value::Null),
            (1, Kind::Info, "add", json!(2), Value::Null),
            (-1, Kind::Info, "restart", json!({"phase": "end", "mode": "leader", "nodes": [2]}), Value::Null),
        ]);
        for picture in [timeline(&history), latencies(&history)] {
            assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
            assert!(picture.contains("kill leader") && picture.contains(GREEN) && picture.contains(ORANGE));
        }
    }
}
