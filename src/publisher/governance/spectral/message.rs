//! What is told of a violation, never longer than someone reads.

use std::io::{self, Write};

use serde_json::Value;

/// Characters of a message.
pub(super) const MESSAGE_CHARS_MAX: usize = 2_000;
/// Characters of a path that is told.
pub(super) const PATH_CHARS_MAX: usize = 2_000;
/// Bytes of a value that are told.
const VALUE_BYTES_MAX: usize = 200;

/// Joins texts, and cuts where they get too long.
pub(super) fn joined<'t>(texts: impl IntoIterator<Item = &'t str>, chars_max: usize) -> String {
    let (mut joined, mut left) = (String::new(), chars_max.saturating_sub(1));
    for one in texts.into_iter().flat_map(str::chars) {
        if left == 0 {
            joined.push('…');
            break;
        }
        joined.push(one);
        left -= 1;
    }
    joined
}

/// Puts texts in the places of their marks (`{{name}}`). What was put in is not looked through again.
pub(super) fn filled(message: &str, marks: &[(&str, &str)]) -> String {
    let mut rest = message;
    let pieces = std::iter::from_fn(|| {
        if rest.is_empty() {
            return None;
        }
        if let Some((mark, text)) = marks.iter().find(|(mark, _)| rest.starts_with(mark)) {
            rest = &rest[mark.len()..];
            return Some(*text);
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find("{{").map_or(rest.len(), |at| first + at);
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    });
    joined(pieces, MESSAGE_CHARS_MAX)
}

/// Writes the beginning of a value: a text as it is, anything else as JSON.
pub(super) fn beginning_of(value: &Value) -> String {
    let mut start = Start::default();
    // It ends with an error where there is no more room, which is what it is for.
    let _ = match value {
        Value::String(text) => start.write_all(text.as_bytes()),
        other => serde_json::to_writer(&mut start, other).map_err(io::Error::from),
    };
    let text = String::from_utf8_lossy(&start.bytes);
    text.trim_end_matches('\u{fffd}').to_owned()
}

/// The first bytes of what is written.
#[derive(Default)]
struct Start {
    bytes: Vec<u8>,
}

impl Write for Start {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(VALUE_BYTES_MAX - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_has_what_its_marks_stand_for_and_is_cut() {
        let marks = [("{{error}}", "is {{path}}"), ("{{path}}", "a.b")];
        assert_eq!(filled("{{path}}: {{error}} {{other}} {", &marks), "a.b: is {{path}} {{other}} {");
        let long = filled(&"{{error}}".repeat(50_000), &marks);
        assert_eq!((long.chars().count(), long.ends_with('…')), (MESSAGE_CHARS_MAX, true));
    }

    #[test]
    fn a_value_is_told_by_its_beginning() {
        assert_eq!(beginning_of(&json!({"a": [1]})), r#"{"a":[1]}"#);
        assert_eq!(beginning_of(&json!("é".repeat(1_000))), "é".repeat(VALUE_BYTES_MAX / 2));
        assert_eq!(beginning_of(&json!(vec!["é"; 1_000])).len(), VALUE_BYTES_MAX);
    }
}
