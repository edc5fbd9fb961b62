//! Paths and queries that policies write: templates with parameters of the operation's URI template, and query pairs.

use std::fmt::Write as _;

/// A path that a policy writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathTemplate {
    pieces: Vec<Piece>,
    /// What comes after a question mark.
    query: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

impl PathTemplate {
    /// Reads `/new/{uri.var.id}` or `/new/{id}`. A brace without a partner stands for itself, percent-encoded.
    pub(super) fn parse(text: &str) -> Self {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query).filter(|query| !query.is_empty()).map(str::to_owned)),
            None => (text, None),
        };
        let mut pieces = Vec::new();
        let mut left = path;
        while let Some((front, after)) = left.split_once('{') {
            let Some((name, back)) = after.split_once('}') else { break };
            pieces.push(Piece::Text(front.to_owned()));
            pieces.push(Piece::Parameter(name.strip_prefix("uri.var.").unwrap_or(name).to_owned()));
            left = back;
        }
        pieces.push(Piece::Text(left.replace('{', "%7B").replace('}', "%7D")));
        Self { pieces, query }
    }

    /// Returns the path and query for a call to `rest`, which fits `template`. Both are as they came, so what is put
    /// into the path is encoded already; a parameter that the template does not have is left empty.
    pub(super) fn fill(&self, template: &str, rest: &str) -> (String, Option<String>) {
        let mut path = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Parameter(name) => path.push_str(parameter(template, rest, name).unwrap_or_default()),
            }
        }
        (path, self.query.clone())
    }
}

/// Returns what stands in `path` for a parameter of `template`.
pub(crate) fn parameter<'a>(template: &str, path: &'a str, name: &str) -> Option<&'a str> {
    let brace = format!("{{{name}}}");
    let mut segments = path.trim_start_matches('/').split('/');
    for pattern in template.trim_start_matches('/').split('/') {
        let segment = segments.next()?;
        let Some((front, back)) = pattern.split_once(&brace) else { continue };
        // Other parameters may stand in the same segment; the literals next to this one are enough to find it.
        let begin = front.rsplit('}').next().unwrap_or_default();
        let end = back.split('{').next().unwrap_or_default();
        let after = if front.contains('{') { segment.split_once(begin)?.1 } else { segment.strip_prefix(begin)? };
        return if back.contains('{') { Some(after.split_once(end)?.0) } else { after.strip_suffix(end) };
    }
    None
}

/// Returns a query pair, encoded.
pub(crate) fn pair(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 1);
    encode(name, &mut text);
    text.push('=');
    encode(value, &mut text);
    text
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Returns a query without the pairs of a name; `None` where nothing is left.
pub(crate) fn without(query: &str, name: &str) -> Option<String> {
    let is_of_name = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or_default();
        url::form_urlencoded::parse(key.as_bytes()).next().is_some_and(|(key, _)| key == name)
    };
    let left: Vec<&str> = query.split('&').filter(|pair| !is_of_name(pair)).collect();
    Some(left.join("&")).filter(|left| !left.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_the_parameters_of_the_template_as_they_came() {
        let cases = [
            ("/order/{id}", "/order/a%2Db", "/v2/{uri.var.id}/x", "/v2/a%2Db/x", None),
            ("/order/{id}", "/order/7", "/v2?who={id}", "/v2", Some("who={id}")),
            ("/{a}/{b}", "/one/two", "/{b}/{a}", "/two/one", None),
            ("/file/{name}.{type}", "/file/menu.pdf", "/{type}/{name}", "/pdf/menu", None),
            ("/file/v{n}.json", "/file/v12.json", "/{n}", "/12", None),
            ("/order/{id}", "/order/7", "/x/{other}/y", "/x//y", None),
            ("/*", "/a/b", "/fixed", "/fixed", None),
        ];
        for (template, path, text, expected, query) in cases {
            let filled = PathTemplate::parse(text).fill(template, path);
            assert_eq!(filled, (expected.to_owned(), query.map(str::to_owned)), "{text} for {path}");
        }
    }

    #[test]
    fn query_pairs_are_written_and_removed_by_their_names() {
        assert_eq!(pair("a b", "c&d=é"), "a%20b=c%26d%3D%C3%A9");
        assert_eq!(without("a=1&b=2&a=3&%61=4&aa=5&a", "a").as_deref(), Some("b=2&aa=5"));
        assert_eq!(without("a=1", "a"), None);
    }
}
