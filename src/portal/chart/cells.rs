//! Cells: how an API did in each part of a time (availability strip), and how many calls took how long (heat map).

use super::{Room, Table, as_f64, begin, escape, figure, place, push};

const WIDTH: u32 = 720;
/// Steps of colour in a heat map; the theme has as many.
const STEPS: usize = 6;

/// How an API did in a part of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// When.
    pub time: String,
    /// Calls.
    pub calls: u64,
    /// Those that failed by no fault of the caller: answered 5xx, by the backend or by the gateway.
    pub failed: u64,
    /// Those that the gateway refused as the caller's fault, or because a limit was reached: 401, 403, 429 and other 4xx
    /// of its own.
    pub refused: u64,
    /// Those that the backend answered 4xx.
    pub rejected: u64,
}

/// The classes of a strip's cells, with what each means.
const MEANINGS: [(&str, &str); 6] = [
    ("good", "well: none failed, less than 10 % answered 4xx"),
    ("refused", "10 % or more refused by the gateway or answered 4xx by the backend, less than 1 % failed"),
    ("fair", "less than 1 % failed (5xx)"),
    ("poor", "1 to 10 % failed (5xx)"),
    ("bad", "10 % or more failed (5xx)"),
    ("none", "no calls"),
];

impl Health {
    /// Returns the class of its cell, and what it means: also told by words, for who sees no colours.
    fn class(&self) -> (&'static str, &'static str) {
        let turned_away = self.refused.saturating_add(self.rejected);
        let is_failing_little = self.failed.saturating_mul(100) < self.calls;
        match (self.calls, self.failed) {
            (0, _) => ("none", "no calls"),
            (calls, _) if is_failing_little && turned_away.saturating_mul(10) >= calls => {
                ("refused", "10 % or more refused")
            }
            (_, 0) => ("good", "well"),
            _ if is_failing_little => ("fair", "less than 1 % failed"),
            (calls, failed) if failed.saturating_mul(10) < calls => ("poor", "less than 10 % failed"),
            _ => ("bad", "10 % or more failed"),
        }
    }

    /// Tells what its cell stands for.
    fn told(&self) -> String {
        let Self { time, calls, failed, refused, rejected } = self;
        let (_, meaning) = self.class();
        let parts =
            [(failed, "failed"), (refused, "refused by the gateway"), (rejected, "answered 4xx by the backend")];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| **count > 0).map(|(n, what)| format!("{n} {what}")).collect();
        match parts.as_slice() {
            [] => format!("{time}: {meaning}, {calls} calls"),
            parts => format!("{time}: {meaning}, of {calls} calls {}", parts.join(", ")),
        }
    }
}

/// Returns a cell for each part of a time.
#[must_use]
pub fn availability_strip(title: &str, parts: &[Health], csv: Option<&str>) -> String {
    let mut svg = begin("chart-strip", title, WIDTH, 36);
    let width = f64::from(WIDTH) / as_f64(parts.len().max(1));
    for (number, part) in parts.iter().enumerate() {
        let (class, _) = part.class();
        let (x, width) = (place(as_f64(number) * width), place((width - 1.5).max(0.5)));
        push(
            &mut svg,
            format_args!(
                "<rect class=\"cell {class}\" x=\"{x}\" y=\"2\" width=\"{width}\" height=\"32\" rx=\"2\"><title>{}</title></rect>",
                escape(&part.told())
            ),
        );
    }
    svg.push_str("</svg><ul class=\"legend cells\">");
    for (class, meaning) in MEANINGS {
        push(&mut svg, format_args!("<li class=\"{class}\">{}</li>", escape(meaning)));
    }
    svg.push_str("</ul>");
    let row = |part: &Health| {
        let (_, meaning) = part.class();
        let counts = [part.calls, part.failed, part.refused, part.rejected].map(|count| count.to_string());
        std::iter::once(part.time.clone()).chain(counts).chain([meaning.to_owned()]).collect()
    };
    let heads = ["Time", "Calls", "Failed (5xx)", "Refused by the gateway (4xx)", "4xx of the backend", "Meaning"];
    let heads = heads.map(str::to_owned).to_vec();
    let rows = parts.iter().filter(|part| part.calls > 0).map(row).collect();
    figure(title, &svg, &Table { heads, rows }, csv)
}

/// How many there are of each row at each time.
#[derive(Clone, Debug)]
pub struct HeatMap<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The times, as they are written.
    pub times: &'a [String],
    /// The rows from below, each with its name and a count for each time.
    pub rows: &'a [(String, Vec<u64>)],
    /// Where the values are to be had as CSV.
    pub csv: Option<&'a str>,
}

/// Returns a cell for each row and time, darker where there are more.
#[must_use]
pub fn heat_map(map: &HeatMap<'_>) -> String {
    let svg = Room::each(|room| draw_heat(room, map));
    let heads = std::iter::once("Time".to_owned()).chain(map.rows.iter().map(|(name, _)| name.clone())).collect();
    let is_something = |at: usize| map.rows.iter().any(|(_, counts)| counts.get(at).is_some_and(|count| *count > 0));
    let rows = map.times.iter().enumerate().filter(|(at, _)| is_something(*at)).map(|(at, time)| {
        let counts = map.rows.iter().map(|(_, counts)| counts.get(at).map_or_else(|| "–".to_owned(), u64::to_string));
        std::iter::once(time.clone()).chain(counts).collect()
    });
    figure(map.title, &svg, &Table { heads, rows: rows.collect() }, map.csv)
}

fn draw_heat(room: Room, map: &HeatMap<'_>) -> String {
    const LEFT: f64 = 90.0;
    const ROW: f64 = 20.0;
    let max = map.rows.iter().flat_map(|(_, counts)| counts).copied().max().unwrap_or(0);
    let height = u32::try_from(map.rows.len()).unwrap_or(u32::MAX).saturating_mul(20).saturating_add(28).min(100_000);
    let mut svg = begin(&format!("{} chart-heat", room.class), map.title, room.width, height);
    let width = (f64::from(room.width) - LEFT) / as_f64(map.times.len().max(1));
    // A path of strokes for each step of colour: the table tells the counts.
    let mut paths: [String; STEPS] = Default::default();
    for (number, (name, counts)) in map.rows.iter().rev().enumerate() {
        let y = as_f64(number) * ROW;
        push(
            &mut svg,
            format_args!(
                "<text class=\"axis end\" x=\"{}\" y=\"{}\" dy=\".32em\">{}</text>",
                LEFT - 6.0,
                place(y + 10.0),
                escape(name)
            ),
        );
        for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let path = &mut paths[step(*count, max)];
            let (x, width) = (LEFT + as_f64(at) * width, place((width - 0.5).max(0.5)));
            push(path, format_args!("M{} {}h{width}", place(x), place(y + 10.0)));
        }
    }
    for (step, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        push(&mut svg, format_args!("<path class=\"heat h{step}\" stroke-width=\"18\" d=\"{path}\"/>"));
    }
    let every = map.times.len().div_ceil(if room.is_narrow() { 3 } else { 6 }).max(1);
    for (at, time) in map.times.iter().enumerate().step_by(every) {
        let x = place(LEFT + (as_f64(at) + 0.5) * width);
        push(
            &mut svg,
            format_args!("<text class=\"axis middle\" x=\"{x}\" y=\"{}\">{}</text>", height - 8, escape(time)),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Returns the step of colour: by powers, because a few times have most of the calls.
fn step(count: u64, max: u64) -> usize {
    let share = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)).ln_1p();
    let steps = share(count) / share(max).max(f64::MIN_POSITIVE) * as_f64(STEPS);
    (1..STEPS).take_while(|number| as_f64(*number) < steps).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_tells_by_class_and_by_word_how_each_part_was() {
        let part = |calls, failed| Health { time: "12:00".to_owned(), calls, failed, refused: 0, rejected: 0 };
        let refused = Health { refused: 4, rejected: 1, ..part(10, 0) };
        let parts = [part(0, 0), part(10, 0), part(1_000, 9), part(100, 9), part(10, 1), refused];
        let html = availability_strip("Health", &parts, None);
        for class in ["none", "good", "fair", "poor", "bad", "refused"] {
            assert_eq!(html.matches(&format!("class=\"cell {class}\"")).count(), 1, "{class}");
            assert_eq!(html.matches(&format!("<li class=\"{class}\">")).count(), 1, "the legend tells of {class}");
        }
        assert!(html.contains("12:00: 10 % or more failed, of 10 calls 1 failed"), "{html}");
        let told = "12:00: 10 % or more refused, of 10 calls 4 refused by the gateway, 1 answered 4xx by the backend";
        assert!(html.contains(told), "{html}");
    }

    #[test]
    fn a_heat_map_is_darkest_where_there_are_most_and_empty_where_there_is_none() {
        let times = ["<1>".to_owned(), "2".to_owned()];
        let rows = [("fast".to_owned(), vec![0, 1]), ("slow".to_owned(), vec![1_000, 30])];
        let html = heat_map(&HeatMap { title: "Latency", times: &times, rows: &rows, csv: None });
        assert_eq!(html.matches("h314.5").count(), 3, "{html}");
        assert!(html.contains("heat h5") && html.contains("heat h0"), "{html}");
        assert!(!html.contains("<1>"), "{html}");
        assert_eq!(step(0, 0), 0);
    }
}
