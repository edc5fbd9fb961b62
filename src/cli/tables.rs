//! What is in a state, table by table, as snapshots and backups show it.

use portcullis_node::safekeeping::Summary;
use serde_json::{Value, json};

use crate::output;

/// Returns it as JSON.
#[must_use]
pub fn as_value(summary: &Summary) -> Value {
    let tables = summary.tables.iter().map(|table| {
        json!({
            "number": table.number,
            "name": table.name,
            "row_version": table.row_version,
            "rows": table.rows,
            "bytes": table.bytes,
        })
    });
    json!({
        "format": summary.format,
        "feature_level": summary.feature_level,
        "applied_index": summary.applied_index,
        "tables": tables.collect::<Vec<_>>(),
    })
}

/// Returns it for people: the tables that have rows.
#[must_use]
pub fn as_table(summary: &Summary) -> String {
    let (rows, bytes) =
        summary.tables.iter().fold((0, 0), |(rows, bytes), table| (rows + table.rows, bytes + table.bytes));
    let head = format!(
        "state: format {}, feature level {}, applied up to entry {}; {rows} rows, {bytes} bytes\n\n",
        summary.format, summary.feature_level, summary.applied_index
    );
    let shown = summary.tables.iter().filter(|table| table.rows > 0).map(|table| {
        vec![
            table.number.to_string(),
            table.name.unwrap_or("(unknown to this version)").to_owned(),
            table.row_version.to_string(),
            table.rows.to_string(),
            table.bytes.to_string(),
        ]
    });
    head + &output::table(&["table", "name", "row version", "rows", "bytes"], shown)
}
