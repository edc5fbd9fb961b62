//! Charts: values in, SVG out. Classes and not colours, so that theme and dark mode apply; each chart has a title, its
//! values as a table behind a `<details>`, and a link to them as CSV where there is one. No script, no style, no font.

mod bars;
mod cells;
mod series;

use std::fmt::Write as _;

pub use bars::{Bar, horizontal_bars};
pub use cells::{Health, HeatMap, availability_strip, heat_map};
pub use series::{SeriesChart, Shape, sparkline};

/// Colours that series take in turn; the theme has as many.
const COLOURS: usize = 8;

/// How much room a chart has, in pixels as it is shown: on a wide screen, and on a phone, where one that is only made smaller
/// could not be read. The theme shows the one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    class: &'static str,
    width: u32,
}

const WIDE: Room = Room { class: "wide", width: 720 };
const NARROW: Room = Room { class: "narrow", width: 340 };

impl Room {
    /// Returns a chart as it is drawn for each.
    fn each(draw: impl Fn(Self) -> String) -> String {
        [WIDE, NARROW].map(draw).concat()
    }

    fn is_narrow(self) -> bool {
        self == NARROW
    }
}

/// One series of values, in the order of a chart's times; `None` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<Option<f64>>,
}

/// Returns a text as it stands in HTML and SVG, in attributes too.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML 1.0 has no way to write other control characters.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push('\u{fffd}');
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Writes a number as people read it: three digits, thousands and millions short.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (value, unit) = match size {
        _ if size >= 1e9 => (value / 1e9, "G"),
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if value.fract().abs() < 1e-9 || value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// A table of values below a chart. All but the first column are numbers, which the theme knows.
struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Puts a chart, its table and the link to its values together.
fn figure(title: &str, svg: &str, table: &Table, csv: Option<&str>) -> String {
    let mut html = format!("<figure class=\"chart\"><figcaption>{}</figcaption>{svg}", escape(title));
    html.push_str(
        "<details><summary>Values as a table</summary><div class=\"table\" tabindex=\"0\"><table class=\"values\"><thead><tr>",
    );
    for head in &table.heads {
        push(&mut html, format_args!("<th scope=\"col\">{}</th>", escape(head)));
    }
    html.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (number, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            if number == 0 {
                push(&mut html, format_args!("<th scope=\"row\">{cell}</th>"));
            } else {
                push(&mut html, format_args!("<td>{cell}</td>"));
            }
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div></details>");
    if let Some(csv) = csv {
        push(&mut html, format_args!("<a class=\"csv\" href=\"{}\" download>CSV</a>", escape(csv)));
    }
    html.push_str("</figure>");
    html
}

/// Begins an SVG that screen readers read by its title.
fn begin(class: &str, title: &str, width: u32, height: u32) -> String {
    let title = escape(title);
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    )
}

/// Writes at the end of a text.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

/// Returns a position with one digit behind the point, which is a tenth of a pixel.
fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), ToOwned::to_owned)
}

/// Returns the values at which an axis up to `max` has lines: round ones, five at most, the last at or above it.
fn ticks(max: f64) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = max / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|one| one * power).find(|step| *step * 4.0 >= max * 0.999_999);
    let step = step.unwrap_or(10.0 * power);
    let mut ticks = vec![0.0];
    while ticks.last().is_some_and(|last| *last < max * 0.999_999) && ticks.len() < 6 {
        ticks.push(step * as_f64(ticks.len()));
    }
    ticks
}

/// Returns a count as a number to draw by; charts have few points.
fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_chose_is_text_and_never_markup() {
        assert_eq!(escape("<a href='x'>\"&\u{1}"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}");
        let table = Table { heads: vec!["<b>".to_owned()], rows: vec![vec!["<script>".to_owned()]] };
        let html = figure("<i>", "", &table, Some("/x?a=1&b=\"2\""));
        assert!(!html.contains("<b>") && !html.contains("<script>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("href=\"/x?a=1&amp;b=&quot;2&quot;\""), "{html}");
    }

    #[test]
    fn numbers_are_short_and_axes_end_at_round_values() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (0.25, "0.25"),
            (12.34, "12.3"),
            (9_999.0, "9999"),
            (12_300.0, "12.3k"),
            (4.5e6, "4.5M"),
        ] {
            assert_eq!(short(value), text);
        }
        for max in [0.003, 0.7, 1.0, 3.0, 7.0, 19.0, 100.0, 1_234.0, 9.9e7] {
            let ticks = ticks(max);
            let last = *ticks.last().unwrap();
            assert!((2..=6).contains(&ticks.len()) && last >= max * 0.99 && last <= max * 2.6, "{max}: {ticks:?}");
        }
        assert_eq!(ticks(f64::NAN), [0.0, 1.0]);
    }
}
