//! Reads tables of Markdown, as measurements are written, so that programs can have them too.

use std::collections::BTreeMap;

use serde::Serialize;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The line before it.
    pub title: String,
    /// Its rows: what is under each head.
    pub rows: Vec<BTreeMap<String, String>>,
}

/// Returns the tables in a text.
#[must_use]
pub fn tables(text: &str) -> Vec<Table> {
    let (mut found, mut title, mut heads): (Vec<Table>, &str, Vec<&str>) = (Vec::new(), "", Vec::new());
    for line in text.lines().map(str::trim) {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            heads.clear();
            if !line.is_empty() {
                title = line.trim_matches(['#', '*', ' ']);
            }
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if heads.is_empty() {
            found.push(Table { title: title.to_owned(), rows: Vec::new() });
            heads = cells;
        } else if let Some(table) = found.last_mut().filter(|_| !row.bytes().all(|byte| b"-: |".contains(&byte))) {
            let pairs = heads.iter().zip(cells).map(|(head, cell)| ((*head).to_owned(), cell.to_owned()));
            table.rows.push(pairs.collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_their_titles() {
        let text = "### Tokens\n\n| nodes | per second |\n|---|---:|\n| 1 | 2 000 |\n| 3 | 900 |\n\nSomething else\n\n| a |\n|---|\n";
        let read = tables(text);
        assert_eq!(
            read.iter().map(|table| (table.title.as_str(), table.rows.len())).collect::<Vec<_>>(),
            [("Tokens", 2), ("Something else", 0)]
        );
        assert_eq!(read[0].rows[1]["per second"], "900");
    }
}
