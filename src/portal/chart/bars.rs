//! Horizontal bars: the largest of something, by name.

use super::{Table, as_f64, begin, escape, figure, place, push, short};

const WIDTH: u32 = 720;
const ROW: f64 = 26.0;
const NAME_WIDTH: f64 = 240.0;
const VALUE_WIDTH: f64 = 72.0;
/// Letters of a name that have room.
const NAME_CHARS_MAX: usize = 34;

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is about.
    pub name: String,
    /// Its length.
    pub value: f64,
}

/// Returns a bar for each, with its name before and its value behind.
#[must_use]
pub fn horizontal_bars(title: &str, what: &str, unit: &str, bars: &[Bar], csv: Option<&str>) -> String {
    let max =
        bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let height = u32::try_from(bars.len()).unwrap_or(u32::MAX).saturating_mul(26).saturating_add(4).min(100_000);
    let mut svg = begin("chart-bars", title, WIDTH, height);
    for (number, bar) in bars.iter().enumerate() {
        let top = as_f64(number) * ROW + 4.0;
        let room = f64::from(WIDTH) - NAME_WIDTH - VALUE_WIDTH;
        let share = if bar.value.is_finite() { (bar.value / max).clamp(0.0, 1.0) } else { 0.0 };
        let (middle, length) = (place(top + 9.0), share * room);
        let name = escape(&shortened(&bar.name));
        push(&mut svg, format_args!("<g><title>{}: {} {}</title>", escape(&bar.name), short(bar.value), escape(unit)));
        push(
            &mut svg,
            format_args!(
                "<text class=\"name end\" x=\"{}\" y=\"{middle}\" dy=\".32em\">{name}</text>",
                NAME_WIDTH - 8.0
            ),
        );
        push(
            &mut svg,
            format_args!(
                "<rect class=\"bar s0\" x=\"{NAME_WIDTH}\" y=\"{}\" width=\"{}\" height=\"18\"/>",
                place(top),
                place(length.max(1.0))
            ),
        );
        push(
            &mut svg,
            format_args!(
                "<text class=\"axis\" x=\"{}\" y=\"{middle}\" dy=\".32em\">{}</text></g>",
                place(NAME_WIDTH + length + 6.0),
                short(bar.value)
            ),
        );
    }
    svg.push_str("</svg>");
    let rows = bars.iter().map(|bar| vec![bar.name.clone(), short(bar.value)]).collect();
    let table = Table { heads: vec![what.to_owned(), unit.to_owned()], rows };
    figure(title, &svg, &table, csv)
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_has_all_the_room_and_long_names_are_cut_but_told_whole() {
        let long = "x".repeat(60);
        let bars = [Bar { name: "<a>".to_owned(), value: 50.0 }, Bar { name: long.clone(), value: 25.0 }];
        let html = horizontal_bars("Top", "API", "calls", &bars, None);
        assert!(html.contains("width=\"408\"") && html.contains("width=\"204\""), "{html}");
        assert!(html.contains(&format!("{long}: 25 calls")) && html.contains('…'), "{html}");
        assert!(!html.contains("<a>"), "{html}");
        assert!(horizontal_bars("Top", "API", "calls", &[], None).contains("<svg"));
    }
}
