//! Finds what a topic means: a code in the page of errors, a page or a part of one, or the parts with a word in them.

use super::pages::{PAGES, Page};

/// The page of errors.
const ERRORS: &str = "reference/errors";
/// Parts that are listed for a word.
const PLACES_MAX: usize = 50;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One text.
    Text {
        /// By what it is found again.
        topic: String,
        /// Its heading.
        title: String,
        /// What it says.
        text: String,
    },
    /// Several places, as topic and title.
    Places(Vec<(String, String)>),
    /// Nothing.
    Nothing,
}

/// Finds what `topic` means.
#[must_use]
pub fn find(topic: &str) -> Found {
    let topic = topic.trim();
    // As links and earlier versions say it: docs/reference/errors.md#pc-1602.
    let (path, anchor) = topic.split_once('#').map_or((topic, None), |(path, anchor)| (path, Some(anchor)));
    let path = path.trim_start_matches("../").trim_start_matches("docs/");
    let path = path.strip_suffix(".md").unwrap_or(path);
    if let Some(anchor) = anchor {
        return match pages_called(path).as_slice() {
            [page] => section(page, |heading| anchor_of(heading) == anchor.to_lowercase()).unwrap_or(Found::Nothing),
            several => of_several(several),
        };
    }
    if let Some(found) = code(topic) {
        return found;
    }
    match pages_called(path).as_slice() {
        [] => parts_about(topic),
        [page] => whole(page),
        several => of_several(several),
    }
}

fn whole(page: &Page) -> Found {
    Found::Text { topic: page.topic.to_owned(), title: page.title().to_owned(), text: page.text.to_owned() }
}

fn of_several(pages: &[&Page]) -> Found {
    let places: Vec<_> = pages.iter().map(|page| (page.topic.to_owned(), page.title().to_owned())).collect();
    if places.is_empty() { Found::Nothing } else { Found::Places(places) }
}

/// Returns the page of that name, or those that are called so in short.
fn pages_called(name: &str) -> Vec<&'static Page> {
    let is_called =
        |page: &&Page| page.topic.rsplit_once('/').is_some_and(|(_, short)| short.eq_ignore_ascii_case(name));
    match PAGES.iter().find(|page| page.topic.eq_ignore_ascii_case(name)) {
        Some(page) => vec![page],
        None => PAGES.iter().filter(is_called).collect(),
    }
}

/// Returns what the page of errors says of a code: its section, or its rows in the tables.
fn code(code: &str) -> Option<Found> {
    let page = PAGES.iter().find(|page| page.topic == ERRORS)?;
    if code.len() >= 3 && code.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("PC-")) {
        return section(page, |heading| heading.eq_ignore_ascii_case(code));
    }
    let rows = rows_of(page.text, code);
    if rows.is_empty() {
        return None;
    }
    Some(Found::Text { topic: code.to_owned(), title: code.to_owned(), text: rows.join("\n\n") })
}

/// Returns the part of a page below a heading that is meant, up to the next of the same or a higher level.
fn section(page: &Page, is_meant: impl Fn(&str) -> bool) -> Option<Found> {
    let mut lines = page.text.lines();
    let (heading, level) = lines.by_ref().filter_map(heading_of).find(|(heading, _)| is_meant(heading))?;
    let mut is_code = false;
    let within = lines.take_while(|line| {
        is_code ^= line.starts_with("```");
        is_code || heading_of(line).is_none_or(|(_, other)| other > level)
    });
    let body: Vec<&str> = within.collect();
    let text = format!("{} {heading}\n\n{}", "#".repeat(level), body.join("\n").trim());
    Some(Found::Text { topic: format!("{}#{}", page.topic, anchor_of(heading)), title: heading.to_owned(), text })
}

/// Returns the words and the level of a heading.
fn heading_of(line: &str) -> Option<(&str, usize)> {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    (1..=6).contains(&level).then_some(()).and(words.strip_prefix(' ')).map(|words| (words, level))
}

/// Returns a heading as links name it.
fn anchor_of(heading: &str) -> String {
    let letters = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    letters.flat_map(|letter| if letter == ' ' { '-' } else { letter }.to_lowercase()).collect()
}

/// Returns the rows about a code in the tables of a page, each in lines, with the heading above it.
fn rows_of(text: &str, code: &str) -> Vec<String> {
    let (mut above, mut heads, mut found) = ("", Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some((heading, _)) = heading_of(line) {
            (above, heads) = (heading, Vec::new());
        }
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = row.split(" | ").map(|cell| cell.trim_matches('`')).collect();
        if heads.is_empty() {
            heads = cells;
            continue;
        }
        let is_of = |(head, cell): (&&str, &&str)| matches!(*head, "code" | "error") && *cell == code;
        if heads.iter().zip(&cells).any(is_of) {
            let facts = heads.iter().zip(&cells).map(|(head, cell)| format!("  {head:<7} {cell}"));
            found.push(format!("{code} ({above})\n{}", facts.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

/// Returns the part of a page whose heading is `words`, else the headings with them, else those of parts that have them in
/// their text; where there is one alone, the part itself.
fn parts_about(words: &str) -> Found {
    let words = words.to_lowercase();
    if words.is_empty() {
        return Found::Nothing;
    }
    let (mut called, mut in_heading, mut in_text) = (Vec::new(), Vec::new(), Vec::new());
    for page in PAGES {
        let (mut is_code, mut heading) = (false, page.title());
        for line in page.text.lines() {
            is_code ^= line.starts_with("```");
            let is_heading = !is_code && heading_of(line).map(|(words, _)| heading = words).is_some();
            if !line.to_lowercase().contains(&words) {
                continue;
            }
            let place = (format!("{}#{}", page.topic, anchor_of(heading)), heading.to_owned());
            if is_heading && heading.to_lowercase() == words {
                called.push(page);
            }
            let list = if is_heading { &mut in_heading } else { &mut in_text };
            if list.last() != Some(&place) {
                list.push(place);
            }
        }
    }
    if let [page] = called.as_slice() {
        return section(page, |heading| heading.to_lowercase() == words).unwrap_or(Found::Nothing);
    }
    let mut places = if in_heading.is_empty() { in_text } else { in_heading };
    places.truncate(PLACES_MAX);
    match places.as_slice() {
        [] => Found::Nothing,
        [(topic, _)] => find(topic),
        _ => Found::Places(places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(topic: &str) -> String {
        match find(topic) {
            Found::Text { text, .. } => text,
            other => panic!("{topic}: {other:?}"),
        }
    }

    #[test]
    fn every_code_of_the_page_of_errors_has_a_text_of_its_own() {
        let page = PAGES.iter().find(|page| page.topic == ERRORS).unwrap();
        let mut seen = 0;
        for (heading, _) in page.text.lines().filter_map(heading_of).filter(|(heading, _)| heading.starts_with("PC-")) {
            let text = text_of(&heading.to_lowercase());
            assert!(text.starts_with(&format!("### {heading}\n\n")), "{text}");
            assert!(text.lines().count() > 2 && text.matches("\n#").count() == 0, "{text}");
            // The links of earlier versions still lead there.
            assert_eq!(text_of(&format!("docs/reference/errors.md#{}", heading.to_lowercase())), text);
            seen += 1;
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn a_number_is_told_from_each_table_that_has_it() {
        let text = text_of("900804");
        assert!(
            text.starts_with("900804 (Gateway)\n  status  429\n  code    900804\n  means   the subscription"),
            "{text}"
        );
        assert!(text.contains("\n  do      wait as"), "{text}");
        let several = text_of("900901");
        assert!(several.contains("(Without a PC code)") && several.matches("(Gateway)").count() == 2, "{several}");
        assert!(text_of("invalid_grant").contains("(OAuth 2)"));
        assert_eq!(find(&format!("PC-{}", 9999)), Found::Nothing);
        assert_eq!(find("999999"), Found::Nothing);
    }

    #[test]
    fn pages_are_found_by_path_by_name_by_part_and_by_the_words_of_headings() {
        assert!(text_of("operations/backup").starts_with("# "));
        assert_eq!(text_of("backup"), text_of("operations/backup.md"));
        assert_eq!(text_of("../operations/backup.md"), text_of("docs/operations/backup.md"));
        let Found::Places(places) = find("quotas") else { panic!("two pages are called so") };
        assert_eq!(
            places.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(),
            ["how-to/quotas", "operations/quotas"]
        );
        assert!(text_of("errors#gateway").contains("| 429 | 900804 |"));
        assert!(!text_of("errors#gateway").contains("## OAuth 2"));
        let Found::Places(places) = find("Thrift") else { panic!("several pages are about it") };
        assert!(places.iter().all(|(topic, _)| topic.contains("thrift")), "{places:?}");
        let Found::Places(places) = find("fail") else { panic!("several headings have it") };
        assert!(places.iter().all(|(topic, title)| topic.contains('#') && title.to_lowercase().contains("fail")));
        assert!(text_of("gateway.http_port").starts_with("### gateway.http_port\n"), "one heading is that");
        assert!(text_of("lost majority").starts_with("## Recovery from a lost majority\n"), "one alone has it");
        let Found::Places(places) = find("is suspended") else { panic!("no text has it") };
        assert!(places.iter().any(|(topic, _)| topic.starts_with("reference/")), "{places:?}");
        for nothing in ["", "xyzzy", "errors#nowhere", "nowhere#errors", "#"] {
            assert_eq!(find(nothing), Found::Nothing, "{nothing}");
        }
    }
}
