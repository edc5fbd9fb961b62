//! Horizontal bars: the largest of something, by name.

use super::{Room, Table, as_f64, begin, escape, figure, place, push, short};

const VALUE_WIDTH: f64 = 72.0;
/// Letters of a name that have room.
const NAME_CHARS_MAX: usize = 34;
/// Letters of a name that are told: users choose what things are called, and a page has a bound.
const TOLD_CHARS_MAX: usize = 80;

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
    let svg = Room::each(|room| draw(room, title, bars, max));
    let row = |bar: &Bar| vec![shortened(&bar.name, TOLD_CHARS_MAX), short(bar.value)];
    let rows = bars.iter().map(row).collect();
    let table = Table { heads: vec![what.to_owned(), unit.to_owned()], rows };
    figure(title, &svg, &table, csv)
}

/// Draws the bars: names are before them, or above them where there is little room.
fn draw(room: Room, title: &str, bars: &[Bar], max: f64) -> String {
    let (left, row, bar_at, name_at) = if room.is_narrow() { (2.0, 40, 28.0, 9.0) } else { (240.0, 26, 13.0, 13.0) };
    let count = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    let height = count.saturating_mul(row).saturating_add(4).min(100_000);
    let mut svg = begin(&format!("{} chart-bars", room.class), title, room.width, height);
    let mut path = String::new();
    let (name_x, named) = if room.is_narrow() { (left, "name above") } else { (left - 8.0, "name") };
    for (number, bar) in bars.iter().enumerate() {
        let top = as_f64(number) * f64::from(row);
        let (middle, name_y) = (place(top + bar_at), place(top + name_at));
        let wide = f64::from(room.width) - left - VALUE_WIDTH;
        let share = if bar.value.is_finite() { (bar.value / max).clamp(0.0, 1.0) } else { 0.0 };
        let length = (share * wide).max(1.0);
        push(&mut path, format_args!("M{left} {middle}h{}", place(length)));
        let name = escape(&shortened(&bar.name, NAME_CHARS_MAX));
        push(&mut svg, format_args!("<text class=\"{named}\" x=\"{name_x}\" y=\"{name_y}\">{name}"));
        // Nobody points at a bar on a phone; the whole name is in the table.
        if bar.name.chars().count() > NAME_CHARS_MAX && !room.is_narrow() {
            push(&mut svg, format_args!("<title>{}</title>", escape(&shortened(&bar.name, TOLD_CHARS_MAX))));
        }
        let (behind, value) = (place(left + length + 6.0), short(bar.value));
        push(&mut svg, format_args!("</text><text x=\"{behind}\" y=\"{middle}\">{value}</text>"));
    }
    push(&mut svg, format_args!("<path class=\"bar s0\" stroke-width=\"18\" d=\"{path}\"/>"));
    svg.push_str("</svg>");
    svg
}

fn shortened(name: &str, chars_max: usize) -> String {
    if name.chars().count() <= chars_max {
        return name.to_owned();
    }
    name.chars().take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_has_all_the_room_and_long_names_are_cut_but_told() {
        let long = "x".repeat(60);
        let bars = [Bar { name: "<a>".to_owned(), value: 50.0 }, Bar { name: long.clone(), value: 25.0 }];
        let html = horizontal_bars("Top", "API", "calls", &bars, None);
        assert!(html.contains("M240 13h408M240 39h204"), "{html}");
        assert!(html.contains("M2 28h266M2 68h133"), "on a phone: {html}");
        assert!(html.contains(&format!("<title>{long}</title>")) && html.contains('…'), "{html}");
        assert!(!html.contains("<a>"), "{html}");
        assert!(horizontal_bars("Top", "API", "calls", &[], None).contains("<svg"));
    }
}
