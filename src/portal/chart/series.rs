//! Series over time: lines, stacked areas, stacked bars, and sparklines.

use super::{COLOURS, Room, Series, Table, as_f64, begin, escape, figure, place, push, short, ticks};

const HEIGHT: u32 = 240;
const LEFT: f64 = 48.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 212.0;
/// How near to the right edge a time may be written around its place.
const EDGE: f64 = 32.0;

/// How series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A line each.
    Lines,
    /// Areas, one upon the other.
    StackedAreas,
    /// Bars, one upon the other.
    StackedBars,
}

/// A chart of series over time.
#[derive(Clone, Debug)]
pub struct SeriesChart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The times, as they are written.
    pub times: &'a [String],
    /// The series.
    pub series: &'a [Series],
    /// What the values are: `ms`, `calls`.
    pub unit: &'a str,
    /// How it is drawn.
    pub shape: Shape,
    /// Where the values are to be had as CSV.
    pub csv: Option<&'a str>,
}

impl SeriesChart<'_> {
    /// Returns the chart with its table.
    #[must_use]
    pub fn render(&self) -> String {
        let stacks = self.stacks();
        let tops = stacks.iter().flat_map(|stack| stack.iter().flatten().map(|(_, top)| *top));
        let ticks = ticks(tops.fold(0.0, f64::max));
        let svg = Room::each(|room| self.draw(room, &stacks, &ticks));
        let legend = self.legend();
        figure(self.title, &format!("{legend}{svg}"), &self.table(), self.csv)
    }

    fn draw(&self, room: Room, stacks: &[Vec<Option<(f64, f64)>>], ticks: &[f64]) -> String {
        let max = ticks.last().copied().unwrap_or(1.0);
        let mut svg = begin(&format!("{} chart-series", room.class), self.title, room.width, HEIGHT);
        let plot = Plot { chart: self, room, max };
        plot.axes(&mut svg, ticks);
        for (number, stack) in stacks.iter().enumerate() {
            let class = format!("s{}", number % COLOURS);
            match self.shape {
                Shape::Lines => plot.line(&mut svg, &class, stack),
                Shape::StackedAreas => plot.area(&mut svg, &class, stack),
                Shape::StackedBars => plot.bars(&mut svg, &class, number, stack),
            }
        }
        svg.push_str("</svg>");
        svg
    }

    /// Returns from where to where each value goes.
    fn stacks(&self) -> Vec<Vec<Option<(f64, f64)>>> {
        let mut below = vec![0.0; self.times.len()];
        let of_series = |series: &Series| {
            let values = (0..self.times.len()).map(|at| {
                let value = series.values.get(at).copied().flatten().filter(|value| value.is_finite());
                if self.shape == Shape::Lines {
                    return value.map(|value| (0.0, value));
                }
                let from = below[at];
                below[at] += value.unwrap_or(0.0).max(0.0);
                Some((from, below[at]))
            });
            values.collect()
        };
        self.series.iter().map(of_series).collect()
    }

    fn legend(&self) -> String {
        let mut html = String::from("<ul class=\"legend\">");
        for (number, series) in self.series.iter().enumerate() {
            push(&mut html, format_args!("<li class=\"s{}\">{}</li>", number % COLOURS, escape(&series.name)));
        }
        html.push_str("</ul>");
        html
    }

    /// Times at which nothing was are left out.
    fn table(&self) -> Table {
        let names = self.series.iter().map(|series| format!("{} ({})", series.name, self.unit));
        let is_something = |at: usize| {
            let mut values = self.series.iter().filter_map(|series| series.values.get(at).copied().flatten());
            values.any(|value| value != 0.0)
        };
        let times = self.times.iter().enumerate().filter(|(at, _)| is_something(*at));
        let rows = times.map(|(at, time)| {
            let values = self
                .series
                .iter()
                .map(|series| series.values.get(at).copied().flatten().map_or_else(|| "–".to_owned(), short));
            std::iter::once(time.clone()).chain(values).collect()
        });
        Table { heads: std::iter::once("Time".to_owned()).chain(names).collect(), rows: rows.collect() }
    }
}

/// A chart with the room in which it is drawn.
struct Plot<'a> {
    chart: &'a SeriesChart<'a>,
    room: Room,
    /// The value at the top.
    max: f64,
}

impl Plot<'_> {
    fn right(&self) -> f64 {
        f64::from(self.room.width) - 8.0
    }

    /// Returns how many times are written below the axis.
    fn labels_max(&self) -> usize {
        if self.room.is_narrow() { 3 } else { 6 }
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (value / self.max).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn x(&self, at: usize) -> f64 {
        let steps = self.chart.times.len().max(1);
        if self.chart.shape == Shape::StackedBars {
            return LEFT + (as_f64(at) + 0.5) * (self.right() - LEFT) / as_f64(steps);
        }
        LEFT + as_f64(at) * (self.right() - LEFT) / as_f64(steps.saturating_sub(1).max(1))
    }

    fn axes(&self, svg: &mut String, ticks: &[f64]) {
        let right = self.right();
        for tick in ticks {
            let y = place(self.y(*tick));
            push(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y}H{right}\"/>"));
            push(
                svg,
                format_args!(
                    "<text class=\"axis end\" x=\"{}\" y=\"{y}\" dy=\".32em\">{}</text>",
                    LEFT - 6.0,
                    short(*tick)
                ),
            );
        }
        let every = self.chart.times.len().div_ceil(self.labels_max()).max(1);
        for (at, time) in self.chart.times.iter().enumerate().step_by(every) {
            // What is written at the right edge ends there, so that all of it is seen.
            let anchor = if self.x(at) > self.right() - EDGE { "end" } else { "middle" };
            let (x, y) = (place(self.x(at)), BOTTOM + 18.0);
            push(svg, format_args!("<text class=\"axis {anchor}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(time)));
        }
    }

    /// Lines are broken where there is no value.
    fn line(&self, svg: &mut String, class: &str, stack: &[Option<(f64, f64)>]) {
        let mut path = String::new();
        let mut is_first = true;
        for (at, value) in stack.iter().enumerate() {
            let Some((_, value)) = value else {
                is_first = true;
                continue;
            };
            let letter = if std::mem::take(&mut is_first) { 'M' } else { 'L' };
            push(&mut path, format_args!("{letter}{} {}", place(self.x(at)), place(self.y(*value))));
            let is_alone = stack.get(at + 1).is_none_or(Option::is_none) && (at == 0 || stack[at - 1].is_none());
            if is_alone {
                // A value without neighbours is a short line, not a dot that nobody sees.
                path.push_str("m-4 0h8");
            }
        }
        push(svg, format_args!("<path class=\"line {class}\" d=\"{path}\"/>"));
    }

    fn area(&self, svg: &mut String, class: &str, stack: &[Option<(f64, f64)>]) {
        let points: Vec<(f64, f64, f64)> = stack
            .iter()
            .enumerate()
            .filter_map(|(at, value)| value.map(|(from, to)| (self.x(at), self.y(from), self.y(to))))
            .collect();
        let mut path = String::new();
        let there = points.iter().map(|(x, _, top)| (x, top));
        let back = points.iter().rev().map(|(x, bottom, _)| (x, bottom));
        for (number, (x, y)) in there.chain(back).enumerate() {
            push(&mut path, format_args!("{}{} {}", if number == 0 { 'M' } else { 'L' }, place(*x), place(*y)));
        }
        push(svg, format_args!("<path class=\"area {class}\" d=\"{path}Z\"/>"));
    }

    /// Draws a stroke for each bar, all of a series in one path: the table tells the values.
    fn bars(&self, svg: &mut String, class: &str, number: usize, stack: &[Option<(f64, f64)>]) {
        let width = ((self.right() - LEFT) / as_f64(self.chart.times.len().max(1)) * 0.8).max(0.5);
        let mut path = String::new();
        for (at, value) in stack.iter().enumerate() {
            let Some((from, to)) = value.filter(|(from, to)| to > from) else { continue };
            push(&mut path, format_args!("M{} {}V{}", place(self.x(at)), place(self.y(from)), place(self.y(to))));
        }
        if path.is_empty() {
            return;
        }
        let (width, name) = (place(width), escape(&self.chart.series[number].name));
        push(
            svg,
            format_args!(
                "<path class=\"bar {class}\" stroke-width=\"{width}\" d=\"{path}\"><title>{name}</title></path>"
            ),
        );
    }
}

/// Returns a small line without axes; its title says what it shows.
#[must_use]
pub fn sparkline(title: &str, values: &[f64]) -> String {
    const SPARK_WIDTH: u32 = 120;
    const SPARK_HEIGHT: u32 = 28;
    let max = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let svg = begin("sparkline", title, SPARK_WIDTH, SPARK_HEIGHT);
    // As wide as there is room.
    let mut svg = svg.replacen("<svg ", "<svg preserveAspectRatio=\"none\" ", 1);
    let mut path = String::new();
    let steps = as_f64(values.len().saturating_sub(1).max(1));
    for (at, value) in values.iter().enumerate() {
        let share = if max > 0.0 && value.is_finite() { value / max } else { 0.0 };
        let (x, y) = (as_f64(at) * f64::from(SPARK_WIDTH) / steps, 26.0 - share.clamp(0.0, 1.0) * 24.0);
        push(&mut path, format_args!("{}{} {}", if at == 0 { 'M' } else { 'L' }, place(x), place(y)));
    }
    push(&mut svg, format_args!("<path class=\"line s0\" d=\"{path}\"/></svg>"));
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(shape: Shape, series: &[Series]) -> String {
        let times: Vec<String> = (0..4).map(|hour| format!("0{hour}:00")).collect();
        SeriesChart { title: "Traffic", times: &times, series, unit: "calls", shape, csv: Some("/c.csv") }.render()
    }

    fn series(name: &str, values: [Option<f64>; 4]) -> Series {
        Series { name: name.to_owned(), values: values.to_vec() }
    }

    #[test]
    fn a_chart_has_title_legend_table_and_link_and_is_broken_where_nothing_is_known() {
        let one = series("<one>", [Some(1.0), None, Some(3.0), Some(4.0)]);
        let two = series("two", [None, Some(0.0), None, Some(1.0)]);
        let html = render(Shape::Lines, &[one, two]);
        for part in [
            "<title>Traffic</title>",
            "<li class=\"s0\">&lt;one&gt;</li>",
            "<details>",
            "href=\"/c.csv\"",
            "<td>–</td>",
        ] {
            assert!(html.contains(part), "{part} is missing in {html}");
        }
        assert!(html.contains("<text class=\"axis end\" x=\"712\" y=\"230\">03:00</text>"), "{html}");
        let path = html.split("class=\"line s0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(
            !html.contains(">01:00</th>") && html.contains(">03:00</th>"),
            "times without anything have no row: {html}"
        );
        assert!(!html.contains("style="), "{html}");
    }

    #[test]
    fn stacked_series_end_at_their_sum() {
        let both = [series("a", [Some(1.0); 4]), series("b", [Some(3.0), Some(1.0), None, Some(0.0)])];
        let html = render(Shape::StackedBars, &both);
        // Four bars of the first, two of the second; the highest reaches the top of the axis, which ends at 4.
        let paths: Vec<&str> =
            html.split("<path class=\"bar").skip(1).map(|path| path.split('>').next().unwrap()).collect();
        assert_eq!(paths.iter().map(|path| path.matches('V').count()).collect::<Vec<_>>(), [4, 2, 4, 2], "{html}");
        assert!(
            [paths[1], paths[3]].iter().all(|path| path.contains("V12M")),
            "on a wide screen and on a phone: {html}"
        );
        let areas = render(Shape::StackedAreas, &both);
        assert_eq!(areas.matches("class=\"area").count(), 4);
    }

    #[test]
    fn nothing_and_nonsense_are_drawn_without_harm() {
        for values in [[None; 4], [Some(f64::NAN), Some(f64::INFINITY), Some(-1.0), Some(0.0)]] {
            for shape in [Shape::Lines, Shape::StackedAreas, Shape::StackedBars] {
                let html = render(shape, &[series("a", values)]);
                assert!(!html.contains("NaN\"") && !html.contains("inf\"") && !html.contains("NaN "), "{html}");
            }
        }
        assert!(sparkline("nothing", &[]).contains("<title>nothing</title>"));
        assert!(!sparkline("odd", &[f64::NAN, 1.0]).contains("NaN"));
    }
}
