//! Guardrails: what is said in a body, held whole, is measured before it goes on.

use jsonschema::Validator;
use portcullis_model::mediation::guardrail::{Asked, Guardrail as Designed, compile_schema};
use portcullis_model::mediation::threat::compile_pattern;
use regex::Regex;
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value, json};

use super::inquiry::{Found, ask_for_addresses, ask_for_harm};
use super::json_texts::text_at;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// Bytes that are read for objects in one body, one that begins within another read again: 30 ms of a core.
const READ_BYTES_MAX: usize = 4 << 20;

/// A guardrail, compiled.
#[derive(Debug)]
pub(super) struct Guardrail {
    designed: Designed,
    pattern: Option<Regex>,
    schema: Option<Validator>,
}

/// Which way a body goes.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Guardrail {
    pub(super) fn new(designed: Designed) -> Result<Self, String> {
        let (mut pattern, mut schema) = (None, None);
        match &designed.asked {
            Asked::Pattern(said) => {
                pattern = Some(compile_pattern(said).map_err(|error| error.to_string())?);
            }
            Asked::Schema(said) => schema = Some(compile_schema(said)?),
            _ => {}
        }
        Ok(Self { designed, pattern, schema })
    }

    /// Lets a body pass, or not.
    pub(super) async fn check(&self, worker: &Worker, body: &[u8], direction: Direction) -> Result<(), Refusal> {
        let found = match (text_at(body, &self.designed.place), &self.designed.asked) {
            // What is not there is not as it should be, whichever way that is asked.
            (None, _) => Found { is_right: None, told: "no text is at the JSON path".into() },
            (Some(text), Asked::Addresses { only_names, timeout }) => {
                ask_for_addresses(worker, &text, *only_names, *timeout).await
            }
            (Some(text), Asked::Harmless { levels, passes_unasked }) => {
                ask_for_harm(worker, &text, levels, *passes_unasked).await
            }
            (Some(text), _) => self.measured(&text),
        };
        let passes = found.is_right.is_some_and(|is_right| is_right != self.designed.is_inverted);
        if passes { Ok(()) } else { Err(self.refusal(direction, found.told)) }
    }

    /// Says whether a text is what is asked for, and what it is.
    fn measured(&self, text: &str) -> Found {
        let between = |count: usize, min: u64, max: u64, what: &str| {
            let is_right = (min..=max).contains(&(count as u64));
            let asked = if self.designed.is_inverted { "less than {min} or more than" } else { "between {min} and" };
            let asked = asked.replace("{min}", &min.to_string());
            let told = format!("Expected {asked} {max} {what}. But found {count} {what}.");
            Found { is_right: Some(is_right), told: told.into() }
        };
        match &self.designed.asked {
            Asked::Words(min, max) => between(text.split_whitespace().count(), *min, *max, "words"),
            Asked::Sentences(min, max) => between(sentences_in(text), *min, *max, "sentences"),
            Asked::Bytes(min, max) => between(text.len(), *min, *max, "bytes"),
            Asked::Pattern(said) => {
                let is_right = self.pattern.as_ref().map(|pattern| pattern.is_match(text));
                Found { is_right, told: format!("Violated regular expression: {said}").into() }
            }
            Asked::Schema(said) => {
                let does = if self.designed.is_inverted { "is not to satisfy" } else { "does not satisfy" };
                let told = format!("The inspected content {does} the JSON schema: {said}");
                Found { is_right: self.schema.as_ref().and_then(|schema| holds(text, schema)), told: told.into() }
            }
            // Others are asked of them.
            Asked::Addresses { .. } | Asked::Harmless { .. } => Found { is_right: None, told: Value::Null },
        }
    }

    fn refusal(&self, direction: Direction, found: Value) -> Refusal {
        let reason = match self.designed.asked {
            Asked::Words(..) => "Violation of applied word count constraints detected.",
            Asked::Sentences(..) => "Violation of applied sentence count constraints detected.",
            Asked::Bytes(..) => "Violation of applied content length constraints detected.",
            Asked::Pattern(_) => "Violation of regular expression detected.",
            Asked::Schema(_) => "Violation of enforced JSON schema detected.",
            Asked::Addresses { .. } => "Violation of url validity detected.",
            Asked::Harmless { .. } => "Violation of azure content safety content moderation detected.",
        };
        let mut told = json!({
            "interveningGuardrail": self.designed.name,
            "action": "GUARDRAIL_INTERVENED",
            "actionReason": reason,
            "direction": match direction {
                Direction::Request => "REQUEST",
                Direction::Response => "RESPONSE",
            },
        });
        if self.designed.tells {
            told["assessments"] = found;
        }
        Refusal::guardrail(self.designed.asked.fault(), &told)
    }
}

fn sentences_in(text: &str) -> usize {
    text.split(['.', '!', '?']).filter(|sentence| !sentence.trim().is_empty()).count()
}

/// Says whether a text is JSON of a schema, or an object in it is; `None` where too much would have to be read to know.
fn holds(text: &str, schema: &Validator) -> Option<bool> {
    // One that is an object is the first of those in it.
    let is_object = text.trim_start().starts_with('{');
    if !is_object && serde_json::from_str::<Value>(text).is_ok_and(|whole| schema.is_valid(&whole)) {
        return Some(true);
    }
    let (mut rest, mut left) = (text, READ_BYTES_MAX);
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut bytes = rest.as_bytes();
        let read = IgnoredAny::deserialize(&mut Deserializer::from_reader(&mut bytes));
        let length = rest.len() - bytes.len();
        left = left.checked_sub(length)?;
        let object = read.ok().and_then(|_| serde_json::from_str::<Value>(&rest[..length]).ok());
        if object.as_ref().is_some_and(|object| schema.is_valid(object)) {
            return Some(true);
        }
        rest = &rest[if object.is_some() { length } else { 1 }..];
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::parts_of;

    use super::*;

    fn passes(asked: Asked, path: &str, is_inverted: bool, body: &str) -> bool {
        let place = if path.is_empty() { Vec::new() } else { parts_of(path).unwrap() };
        let designed = Designed { name: "g".to_owned(), asked, place, is_inverted, tells: true };
        let guardrail = Guardrail::new(designed).unwrap();
        let is_right =
            text_at(body.as_bytes(), &guardrail.designed.place).and_then(|text| guardrail.measured(&text).is_right);
        is_right.is_some_and(|is_right| is_right != is_inverted)
    }

    #[test]
    fn what_is_said_is_measured_where_it_is_said() {
        let body = r#"{"messages":[{"content":"one"},{"content":"two words. Again!"}]}"#;
        let last = "$.messages[-1].content";
        for (asked, path, passes_as_it_is) in [
            (Asked::Words(3, 3), last, true),
            (Asked::Words(4, 9), last, false),
            (Asked::Words(1, 1), "$.messages[0].content", true),
            (Asked::Sentences(2, 2), last, true),
            (Asked::Bytes(17, 17), last, true),
            (Asked::Bytes(0, 10), "", false),
            (Asked::Pattern("(?i)AGAIN".to_owned()), last, true),
            (Asked::Pattern("never".to_owned()), last, false),
            (Asked::Schema(r#"{"required": ["content"]}"#.to_owned()), "$.messages[0]", true),
            (Asked::Schema(r#"{"required": ["other"]}"#.to_owned()), "$.messages[0]", false),
        ] {
            assert_eq!(passes(asked.clone(), path, false, body), passes_as_it_is, "{asked:?} at {path}");
            assert_eq!(passes(asked.clone(), path, true, body), !passes_as_it_is, "{asked:?} at {path}, inverted");
        }
        for path in ["$.messages[-3].content", "$.other", "$.messages[2]"] {
            assert!(!passes(Asked::Words(0, 9), path, false, body) && !passes(Asked::Words(0, 9), path, true, body));
        }
        assert!(!passes(Asked::Words(0, 9), last, false, "no JSON"));
    }

    #[test]
    fn json_of_a_schema_is_found_among_other_words_and_too_much_of_it_passes_no_way() {
        let schema = compile_schema(r#"{"type": "object", "required": ["a"]}"#).unwrap();
        for (text, is_held) in [
            (r#"{"a": {"b": 1}}"#, Some(true)),
            (r#"Here it is: {"b": 1} and {"a": {"c": 2}}."#, Some(true)),
            (r#"{"b": {"a": 1}}"#, Some(false)),
            (r#"{broken {"a": 1}"#, Some(true)),
            ("[1]", Some(false)),
            ("", Some(false)),
            (&*"{".repeat(1 << 20), Some(false)),
            (&*format!("{}{}", r#"{"k":["#.repeat(100), "0,".repeat(500_000)), None),
        ] {
            assert_eq!(holds(text, &schema), is_held, "{}", &text[..text.len().min(40)]);
        }
    }
}
