//! Scripts of mocks in the form of the original: written, and read back. A publisher may change statuses, types and
//! bodies in one; a statement that is none of the form is refused, since no script is run.

use std::fmt::Write as _;

use portcullis_model::mediation::own_answer::{Answer, MockAnswers};
use serde_json::Value;

use super::example::{JSON, XML};

/// Bytes of a script.
const BYTES_MAX: usize = 256 << 10;
/// Answers of a script.
const ANSWERS_MAX: usize = 100;
/// Characters of a statement that is not understood that are told.
const TOLD_CHARS: usize = 60;

const HEAD: [&str; 4] = [
    r#"var accept = "\""+mc.getProperty('AcceptHeader')+"\"";"#,
    "var responseCode = mc.getProperty('query.param.responseCode');",
    r#"var responseCodeStr = "\""+responseCode+"\"";"#,
    "var responses = [];",
];
const UNKNOWN: &str = "if (!responses[responseCode]) {\n responseCode = 501;\n}";
const NO_TYPE: &str = "if (accept == null || !responses[responseCode][accept]) {\n accept = \"application/json\";\n}";
const AS_JSON: &str = "if (accept === \"application/json\") {\n mc.setProperty('CONTENT_TYPE', 'application/json');\n \
                       mc.setProperty('HTTP_SC', responseCodeStr);\n \
                       mc.setPayloadJSON(responses[responseCode][\"application/json\"]);\n}";
const AS_XML: &str = "if (accept === \"application/xml\") {\n mc.setProperty('CONTENT_TYPE', 'application/xml');\n \
                      mc.setProperty('HTTP_SC', responseCodeStr);\n \
                      mc.setPayloadXML(responses[responseCode][\"application/xml\"]);\n}";

/// Writes a script that answers so.
pub(super) fn write(mock: &MockAnswers) -> String {
    let mut text = HEAD.join("\n");
    let mut known = Vec::new();
    for answer in &mock.answers {
        let status = answer.status;
        if !known.contains(&status) {
            known.push(status);
            let _infallible = write!(text, "\n\nif (!responses[{status}]) {{\n responses [{status}] = [];\n}}");
        }
        let body = if answer.body.is_empty() { "\"\"" } else { &answer.body };
        let _infallible = write!(text, "\nresponses[{status}][\"{}\"] =\n{body}", answer.media_type);
    }
    if !known.contains(&501) {
        text.push_str("\n\nresponses[501] = [];\nresponses[501][\"application/json\"] =\n");
        text.push_str("{\"code\": 501, \"description\": \"Not Implemented\"}");
        text.push_str("\nresponses[501][\"application/xml\"] =\n");
        text.push_str("<response><code>501</code><description>Not Implemented</description></response>");
    }
    let usual = mock.usual;
    let _infallible =
        write!(text, "\n\nif (responseCode == null) {{\n responseCode = {usual};\n responseCodeStr = \"{usual}\";\n}}");
    let _infallible = write!(text, "\n\n{UNKNOWN}\n\n{NO_TYPE}\n\n{AS_JSON} else {AS_XML}\n");
    text
}

/// Reads what a script answers.
///
/// # Errors
/// What of it is not understood, and on which line.
pub(super) fn read(text: &str) -> Result<MockAnswers, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("has {} bytes; at most {BYTES_MAX} are read", text.len()));
    }
    let mut reading = Reading { whole: text, rest: text, answers: Vec::new(), usual: None, one: One::default() };
    while !reading.skipped().is_empty() {
        reading.statement()?;
        if reading.answers.len() > ANSWERS_MAX {
            return Err(format!("has more than {ANSWERS_MAX} answers"));
        }
    }
    reading.finish()
}

/// What a script says that has one answer and no table of them.
#[derive(Default)]
struct One {
    status: Option<u16>,
    media_type: Option<String>,
    body: Option<(&'static str, String)>,
}

struct Reading<'a> {
    whole: &'a str,
    rest: &'a str,
    answers: Vec<Answer>,
    usual: Option<u16>,
    one: One,
}

impl<'a> Reading<'a> {
    /// Skips what says nothing, and returns the rest.
    fn skipped(&mut self) -> &'a str {
        loop {
            let rest = self.rest.trim_start_matches(|one: char| one.is_whitespace() || one == ';');
            self.rest = match (rest.strip_prefix("/*"), rest.strip_prefix("//")) {
                (Some(comment), _) => comment.split_once("*/").map_or("", |(_, after)| after),
                (_, Some(comment)) => comment.split_once('\n').map_or("", |(_, after)| after),
                _ => {
                    self.rest = rest;
                    return rest;
                }
            };
        }
    }

    /// Takes what is written so, however it is spaced.
    fn take(&mut self, wanted: &str) -> bool {
        let mut left = self.rest;
        for one in wanted.chars().filter(|one| !one.is_whitespace() && *one != ';') {
            left = left.trim_start_matches(|other: char| other.is_whitespace() || other == ';');
            match left.strip_prefix(one) {
                Some(after) => left = after,
                None => return false,
            }
        }
        self.rest = left;
        true
    }

    /// Takes a whole number; nothing is taken where there is none.
    fn number(&mut self) -> Option<u16> {
        let rest = self.rest.trim_start();
        let end = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..end].parse().ok()?;
        self.rest = &rest[end..];
        Some(number)
    }

    /// Takes a text in quotes of either kind.
    fn text(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|one| matches!(one, '\'' | '"'))?;
        let (mut text, mut is_escaped) = (String::new(), false);
        for (place, one) in rest.char_indices().skip(1) {
            match one {
                _ if is_escaped => {
                    text.push(match one {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        other => other,
                    });
                    is_escaped = false;
                }
                '\\' => is_escaped = true,
                one if one == quote => {
                    self.rest = &rest[place + 1..];
                    return Some(text);
                }
                one => text.push(one),
            }
        }
        None
    }

    fn refused<T>(&self, at: &str) -> Result<T, String> {
        let line = self.whole[..self.whole.len() - at.len()].matches('\n').count() + 1;
        let told: String = at.lines().next().unwrap_or_default().chars().take(TOLD_CHARS).collect();
        Err(format!(
            "line {line}: `{told}` is not understood: scripts are not run; of one, the answers are read that are in \
             responses[STATUS][\"TYPE\"] or in setPayloadJSON and setPayloadXML"
        ))
    }

    fn statement(&mut self) -> Result<(), String> {
        let start = self.skipped();
        let known = HEAD.into_iter().chain([UNKNOWN, NO_TYPE, AS_JSON, AS_XML, "else"]);
        for fixed in known {
            if self.take(fixed) {
                return Ok(());
            }
        }
        if self.take("mc.set") {
            return self.simple(start);
        }
        if self.take("if(responseCode==null){responseCode=") {
            let usual = self.number().filter(|_| self.take("responseCodeStr="));
            let is_same = usual.is_some_and(|usual| self.text().is_some_and(|text| text == usual.to_string()));
            return match usual.filter(|_| is_same && self.take("}")) {
                Some(usual) => {
                    self.usual = Some(usual);
                    Ok(())
                }
                None => self.refused(start),
            };
        }
        if self.take("if(!responses[") {
            let is_empty = self.number().is_some_and(|status| self.take(&format!("]){{responses[{status}]=[]}}")));
            return if is_empty { Ok(()) } else { self.refused(start) };
        }
        if self.take("responses[")
            && let Some(status) = self.number()
            && self.take("]")
        {
            if self.take("=[]") {
                return Ok(());
            }
            if self.take("[")
                && let Some(media_type) = self.text().filter(|text| is_media_type(text))
                && self.take("]=")
            {
                return self.answer(start, status, media_type);
            }
        }
        self.refused(start)
    }

    fn answer(&mut self, start: &str, status: u16, media_type: String) -> Result<(), String> {
        if !(200..600).contains(&status) {
            return Err(format!("responses[{status}]: statuses are 200 to 599"));
        }
        let Some(body) = self.value() else { return self.refused(start) };
        // The last one of a status and type is the one that a script would answer.
        self.answers.retain(|one| one.status != status || one.media_type != media_type);
        self.answers.push(Answer { status, media_type, headers: Vec::new(), body });
        Ok(())
    }

    /// Takes a value: an element, or JSON; an empty text is an empty body.
    fn value(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let length = if rest.starts_with('<') { element_length(rest)? } else { json_length(rest)? };
        let (value, after) = rest.split_at(length);
        self.rest = after;
        Some(if value == "\"\"" { String::new() } else { value.to_owned() })
    }

    /// Reads one of the statements that answer at once: `mc.set` was taken.
    fn simple(&mut self, start: &str) -> Result<(), String> {
        if self.take("Property(") {
            let name = self.text().filter(|_| self.take(","));
            let value = self.text().or_else(|| self.number().map(|number| number.to_string()));
            let value = value.filter(|_| self.take(")"));
            return match (name.as_deref(), value) {
                (Some("CONTENT_TYPE"), Some(value)) if is_media_type(&value) => {
                    self.one.media_type = Some(value);
                    Ok(())
                }
                (Some("HTTP_SC"), Some(value)) => match value.parse() {
                    Ok(status) if (200..600).contains(&status) => {
                        self.one.status = Some(status);
                        Ok(())
                    }
                    _ => self.refused(start),
                },
                _ => self.refused(start),
            };
        }
        let kind = if self.take("PayloadJSON(") {
            JSON
        } else if self.take("PayloadXML(") {
            XML
        } else {
            return self.refused(start);
        };
        let is_text = kind == JSON && self.rest.trim_start().starts_with(['\'', '"']);
        let body = if is_text { self.text() } else { self.value() };
        match body.filter(|_| self.take(")")) {
            Some(body) if kind == XML || serde_json::from_str::<Value>(&body).is_ok() => {
                self.one.body = Some((kind, body));
                Ok(())
            }
            _ => self.refused(start),
        }
    }

    fn finish(mut self) -> Result<MockAnswers, String> {
        let status = self.one.status;
        if let Some((kind, body)) = self.one.body {
            let media_type = self.one.media_type.unwrap_or_else(|| kind.to_owned());
            let status = status.unwrap_or(200);
            self.answers.push(Answer { status, media_type, headers: Vec::new(), body });
            self.usual = Some(status);
        }
        let least = self.answers.iter().map(|answer| answer.status).min();
        Ok(MockAnswers { usual: self.usual.or(least).unwrap_or(200), answers: self.answers })
    }
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.chars().all(|one| one.is_ascii_alphanumeric() || "!#$&^_.+-".contains(one))
    };
    text.split_once('/').is_some_and(|(kind, rest)| is_token(kind) && is_token(rest))
}

/// Returns how long the JSON value is with which a text begins.
fn json_length(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// Returns how long the element is with which a text begins.
fn element_length(text: &str) -> Option<usize> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut depth = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.checked_sub(1)?,
            Event::Eof => return None,
            Event::Empty(_) => {}
            _ => continue,
        }
        if depth == 0 {
            return usize::try_from(reader.buffer_position()).ok();
        }
    }
}
