//! Guardrails: what is said in a body, held whole, is measured before it goes on.

use std::borrow::Cow;

use portcullis_model::ai::Part;
use portcullis_model::mediation::guardrail::{Asked, Guardrail as Designed};
use portcullis_model::mediation::threat::PATTERN_BYTES_MAX;
use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// A guardrail, compiled.
#[derive(Debug)]
pub(super) struct Guardrail {
    designed: Designed,
    pattern: Option<Regex>,
}

/// Which way a body goes.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Guardrail {
    pub(super) fn new(designed: Designed) -> Result<Self, regex::Error> {
        let pattern = match &designed.asked {
            Asked::Pattern(pattern) => Some(RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build()?),
            _ => None,
        };
        Ok(Self { designed, pattern })
    }

    /// Lets a body pass, or not.
    pub(super) fn check(&self, body: &[u8], direction: Direction) -> Result<(), Refusal> {
        let text = text_at(body, &self.designed.place);
        let (is_right, found) = match &text {
            Some(text) => self.is_right(text),
            // What is not there is not as it should be, whichever way that is asked.
            None => return Err(self.refusal(direction, "no text is at the JSON path".to_owned())),
        };
        if is_right == self.designed.is_inverted { Err(self.refusal(direction, found)) } else { Ok(()) }
    }

    /// Says whether a text is what is asked for, and what it is.
    fn is_right(&self, text: &str) -> (bool, String) {
        let between = |count: usize, min: u64, max: u64, what: &str| {
            let is_right = (min..=max).contains(&(count as u64));
            let asked = if self.designed.is_inverted { "less than {min} or more than" } else { "between {min} and" };
            let asked = asked.replace("{min}", &min.to_string());
            (is_right, format!("Expected {asked} {max} {what}. But found {count} {what}."))
        };
        match (&self.designed.asked, &self.pattern) {
            (Asked::Words(min, max), _) => between(text.split_whitespace().count(), *min, *max, "words"),
            (Asked::Sentences(min, max), _) => between(sentences_in(text), *min, *max, "sentences"),
            (Asked::Bytes(min, max), _) => between(text.len(), *min, *max, "bytes"),
            (Asked::Pattern(said), Some(pattern)) => {
                (pattern.is_match(text), format!("Violated regular expression: {said}"))
            }
            (Asked::Pattern(_), None) => (false, String::new()),
        }
    }

    fn refusal(&self, direction: Direction, found: String) -> Refusal {
        let reason = match &self.designed.asked {
            Asked::Words(..) => "Violation of applied word count constraints detected.",
            Asked::Sentences(..) => "Violation of applied sentence count constraints detected.",
            Asked::Bytes(..) => "Violation of applied content length constraints detected.",
            Asked::Pattern(_) => "Violation of regular expression detected.",
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
            told["assessments"] = found.into();
        }
        Refusal::guardrail(self.designed.asked.fault(), &told)
    }
}

/// Returns the text at a place of a body; `None` where there is none.
fn text_at<'a>(body: &'a [u8], place: &[Part]) -> Option<Cow<'a, str>> {
    if place.is_empty() {
        return Some(String::from_utf8_lossy(body));
    }
    let document: Value = serde_json::from_slice(body).ok()?;
    let found = place.iter().try_fold(&document, |value, part| match part {
        Part::Name(name) => value.get(name),
        Part::At(index) => {
            let items = value.as_array()?;
            let index = usize::try_from(index.unsigned_abs()).ok()?;
            if matches!(part, Part::At(at) if *at < 0) {
                items.get(items.len().checked_sub(index)?)
            } else {
                items.get(index)
            }
        }
    })?;
    Some(Cow::Owned(found.as_str().map_or_else(|| found.to_string(), str::to_owned)))
}

fn sentences_in(text: &str) -> usize {
    text.split(['.', '!', '?']).filter(|sentence| !sentence.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::parts_of;

    use super::*;

    fn passes(asked: Asked, path: &str, is_inverted: bool, body: &str) -> bool {
        let place = if path.is_empty() { Vec::new() } else { parts_of(path).unwrap() };
        let designed = Designed { name: "g".to_owned(), asked, place, is_inverted, tells: true };
        Guardrail::new(designed).unwrap().check(body.as_bytes(), Direction::Request).is_ok()
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
        ] {
            assert_eq!(passes(asked.clone(), path, false, body), passes_as_it_is, "{asked:?} at {path}");
            assert_eq!(passes(asked.clone(), path, true, body), !passes_as_it_is, "{asked:?} at {path}, inverted");
        }
        for path in ["$.messages[-3].content", "$.other", "$.messages[2]"] {
            assert!(!passes(Asked::Words(0, 9), path, false, body) && !passes(Asked::Words(0, 9), path, true, body));
        }
        assert!(!passes(Asked::Words(0, 9), last, false, "no JSON"));
    }
}
