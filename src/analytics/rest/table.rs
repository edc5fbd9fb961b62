//! A report as rows under columns, and its forms: JSON, and CSV (RFC 4180) that no spreadsheet takes for formulas.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use portcullis_database::statistics::Span;
use portcullis_database::statistics::reading::Selection;
use portcullis_http::time::rfc3339;
use portcullis_model::Timestamp;
use portcullis_model::statistics::MINUTE_MS;
use serde_json::{Map, Value, json};

/// Rows under columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// Returns a minute as text.
pub(crate) fn time(minute: u32) -> String {
    rfc3339(Timestamp(u64::from(minute) * MINUTE_MS))
}

impl Table {
    /// Returns it as JSON, with what was looked at.
    pub(crate) fn json(self, selection: &Selection) -> Response {
        let Self { columns, rows } = self;
        let list: Vec<Map<String, Value>> =
            rows.into_iter().map(|row| columns.iter().map(|column| (*column).to_owned()).zip(row).collect()).collect();
        let step = match selection.span {
            Span::Minute => "minute",
            Span::Hour => "hour",
            Span::Day => "day",
        };
        let from = time(selection.span.start_of(selection.from));
        Json(json!({
            "from": from, "to": time(selection.to), "step": step, "count": list.len(), "list": list,
        }))
        .into_response()
    }

    /// Returns it as CSV.
    pub(crate) fn csv(&self, name: &str) -> Response {
        let shown_as = format!("attachment; filename=\"{name}.csv\"");
        let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, shown_as)];
        (headers, self.csv_text()).into_response()
    }

    /// Returns the text of it as CSV.
    pub(crate) fn csv_text(&self) -> String {
        let mut text = self.columns.join(",");
        text.push_str("\r\n");
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(cell).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// Writes a cell. Users choose what they are called: a text that a spreadsheet would run begins with an apostrophe.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text,
        other => return other.to_string(),
    };
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.clone() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_never_formulas() {
        for (value, text) in [
            (json!("plain"), "plain"),
            (json!("a,\"b\""), "\"a,\"\"b\"\"\""),
            (json!("=cmd()"), "'=cmd()"),
            (json!("@x,y"), "\"'@x,y\""),
            (json!(-3), "-3"),
            (json!(null), ""),
        ] {
            assert_eq!(cell(&value), text);
        }
    }
}
