//! Lists that come from REST contracts (`{count, list, pagination}`), in the form that was asked for.

use serde_json::Value;

use crate::failure::Failure;
use crate::output::{self, Format};

/// Says whether a list has nothing in it.
#[must_use]
pub fn is_empty(body: &Value) -> bool {
    rows(body).is_empty()
}

/// Shows a list: the REST body unchanged as JSON or YAML, `columns` as a table, or the `id` column alone.
///
/// # Errors
/// Where standard output cannot be written.
pub fn show(format: Format, body: &Value, columns: &[&str], id: &str) -> Result<(), Failure> {
    match format {
        Format::Json | Format::Yaml => output::value(format, body),
        Format::Name => {
            let ids: Vec<String> = rows(body).iter().map(|row| cell(row, id)).collect();
            if ids.is_empty() { Ok(()) } else { output::data(&ids.join("\n")) }
        }
        Format::Table => {
            let lines = rows(body).iter().map(|row| columns.iter().map(|column| cell(row, column)).collect());
            let heads: Vec<String> = columns.iter().map(|column| head(column)).collect();
            output::data(&output::table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), lines))
        }
    }
}

fn rows(body: &Value) -> &[Value] {
    body.get("list").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns a value as a person reads it.
fn cell(row: &Value, column: &str) -> String {
    match row.get(column) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Returns the head of a column: `lifeCycleStatus` and `life_cycle_status` become `life cycle status`.
fn head(column: &str) -> String {
    let mut words = String::new();
    for letter in column.chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(if letter == '_' { ' ' } else { letter }.to_lowercase());
    }
    words
}
