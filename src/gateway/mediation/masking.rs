//! Masking of what is said of people: backends get what stands for it, callers get back what was meant.

use std::collections::HashMap;
use std::ops::Range;

use http::Response;
use portcullis_model::ai::Part;
use portcullis_model::mediation::masking::Masking as Designed;
use portcullis_model::mediation::threat::compile_pattern;
use regex::{Captures, Regex};

use super::convert;
use super::json_texts::{Scalar, is_json, range_of, replace, written};
use crate::body::ReplyBody;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// What stands for something that is gone, as in the original.
const REDACTED: &str = "*****";
/// Different things that are masked in one call: what stands for them is told apart by four digits.
const MASKED_MAX: usize = 1 << 16;

/// Masking, compiled.
#[derive(Debug)]
pub(super) struct Masking {
    place: Vec<Part>,
    entities: Vec<(Box<str>, Regex)>,
    redacts: bool,
}

/// What was masked in a call.
#[derive(Debug, Default)]
pub(super) struct Masked {
    /// What stands for each thing.
    stands_for: HashMap<String, String>,
    /// What each thing is, by what stands for it.
    meant: HashMap<String, String>,
    /// What they are called.
    names: Vec<Box<str>>,
}

/// More different things than can be masked.
#[derive(Debug)]
struct TooMany;

impl Masking {
    pub(super) fn new(designed: Designed) -> Result<Self, regex::Error> {
        let entities = designed.entities.into_iter().map(|one| Ok((one.name.into(), compile_pattern(&one.pattern)?)));
        Ok(Self { place: designed.place, entities: entities.collect::<Result<_, _>>()?, redacts: designed.redacts })
    }

    /// Returns a call's body without what is to be masked in it; `None` where there is nothing.
    ///
    /// # Errors
    /// Where nothing is at the place in which it is to be masked, or too much.
    pub(super) fn mask(&self, body: &[u8], masked: &mut Masked) -> Result<Option<String>, Refusal> {
        if body.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is not UTF-8"))?;
        let within = self.within(text);
        if !self.place.is_empty() && !matches!(within, Within::Json(_)) {
            return Err(Refusal::bad_request("the body has nothing at the JSON path in which personal data is masked"));
        }
        let too_many = |TooMany| {
            Refusal::bad_request(format!("more than {MASKED_MAX} different pieces of personal data are in the body"))
        };
        self.changed(text, within, masked).map_err(too_many)
    }

    /// Changes an answer: takes out what is to be gone, or puts back what was masked in its call.
    pub(super) async fn answer(
        &self,
        worker: &Worker,
        masked: &Masked,
        response: Response<ReplyBody>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        if !self.redacts && masked.meant.is_empty() {
            return Ok(response);
        }
        let (mut head, body) = convert::hold_answer(worker, response).await?;
        // What is no text holds nothing that could be found.
        let changed = std::str::from_utf8(&body).ok().and_then(|text| self.changed_answer(text, masked));
        let Some(changed) = changed else { return Ok(Response::from_parts(head, ReplyBody::whole(body))) };
        convert::forget_body(&mut head.headers);
        Ok(Response::from_parts(head, ReplyBody::whole(changed.into())))
    }

    fn changed_answer(&self, text: &str, masked: &Masked) -> Option<String> {
        let within = self.within(text);
        if self.redacts {
            // Nothing is counted where nothing is kept.
            return self.changed(text, within, &mut Masked::default()).ok().flatten();
        }
        let pattern = masked.pattern()?;
        match within {
            Within::Json(range) => replace(text, range, |scalar| match scalar {
                Scalar::Text(text) => masked.unmask(&pattern, text, str::to_owned),
                Scalar::Number(_) => None,
            }),
            Within::Nothing => None,
            // Events and other texts, in which what is said is as good as always JSON.
            Within::Text => masked.unmask(&pattern, text, |meant| {
                let written = written(meant);
                written[1..written.len() - 1].to_owned()
            }),
        }
    }

    /// Says within what of a body something may have to be masked.
    fn within(&self, text: &str) -> Within {
        match range_of(text, &self.place) {
            Some(range) => Within::Json(range),
            // All of it is at no place of its own only where it is not JSON.
            None if !self.place.is_empty() && is_json(text) => Within::Nothing,
            None => Within::Text,
        }
    }

    /// Returns a text, or the texts and numbers of a JSON document, without what is to be masked.
    fn changed(&self, text: &str, within: Within, masked: &mut Masked) -> Result<Option<String>, TooMany> {
        let range = match within {
            Within::Json(range) => range,
            Within::Nothing => return Ok(None),
            Within::Text => return self.without(text, masked),
        };
        let mut has_room = true;
        let changed = replace(text, range, |scalar| {
            let (Scalar::Text(said) | Scalar::Number(said)) = scalar;
            self.without(said, masked).unwrap_or_else(|TooMany| {
                has_room = false;
                None
            })
        });
        if has_room { Ok(changed) } else { Err(TooMany) }
    }

    /// Returns a text without what is to be masked; `None` where there is nothing. What stands for one thing is not looked
    /// at for the next.
    fn without(&self, text: &str, masked: &mut Masked) -> Result<Option<String>, TooMany> {
        let mut pieces = vec![Piece::Said(text)];
        for (name, pattern) in &self.entities {
            let mut next = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let Piece::Said(said) = piece else {
                    next.push(piece);
                    continue;
                };
                let mut at = 0;
                for found in pattern.find_iter(said).filter(|found| !found.is_empty()) {
                    next.push(Piece::Said(&said[at..found.start()]));
                    next.push(match self.redacts {
                        true => Piece::Gone,
                        false => Piece::Stands(masked.stand_for(name, found.as_str())?),
                    });
                    at = found.end();
                }
                next.push(Piece::Said(&said[at..]));
            }
            pieces = next;
        }
        let is_changed = pieces.len() > 1;
        Ok(is_changed.then(|| pieces.iter().map(Piece::text).collect()))
    }
}

/// Within what of a body something may have to be masked.
enum Within {
    /// The texts and numbers of this part of a JSON document.
    Json(Range<usize>),
    /// Nothing: it is JSON without the place.
    Nothing,
    /// All of a text that is not JSON.
    Text,
}

/// A piece of a text in which something is masked.
enum Piece<'a> {
    /// As it was said.
    Said(&'a str),
    /// What stands for something.
    Stands(String),
    /// Something that is gone.
    Gone,
}

impl Piece<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Said(text) => text,
            Self::Stands(text) => text,
            Self::Gone => REDACTED,
        }
    }
}

impl Masked {
    /// Returns what stands for a thing, the same each time.
    fn stand_for(&mut self, name: &str, thing: &str) -> Result<String, TooMany> {
        if let Some(known) = self.stands_for.get(thing) {
            return Ok(known.clone());
        }
        let number = self.meant.len();
        if number >= MASKED_MAX {
            return Err(TooMany);
        }
        let stands = format!("{name}_{number:04x}");
        if !self.names.iter().any(|known| **known == *name) {
            self.names.push(name.into());
        }
        self.stands_for.insert(thing.to_owned(), stands.clone());
        self.meant.insert(stands.clone(), thing.to_owned());
        Ok(stands)
    }

    /// Returns an expression that finds what stands for things; `None` where nothing does.
    fn pattern(&self) -> Option<Regex> {
        let mut names: Vec<String> = self.names.iter().map(|name| regex::escape(name)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Regex::new(&format!("(?:{})_[0-9a-f]{{4}}", names.join("|"))).ok().filter(|_| !names.is_empty())
    }

    /// Returns a text with what was meant, `write`n; `None` where it has nothing that stands for something.
    fn unmask(&self, pattern: &Regex, text: &str, write: impl Fn(&str) -> String) -> Option<String> {
        let is_known = |found: &str| self.meant.contains_key(found);
        if !pattern.find_iter(text).any(|found| is_known(found.as_str())) {
            return None;
        }
        let meant =
            |found: &Captures<'_>| self.meant.get(&found[0]).map_or_else(|| found[0].to_owned(), |one| write(one));
        Some(pattern.replace_all(text, meant).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::parts_of;
    use portcullis_model::mediation::masking::Entity;

    use super::*;

    fn masking(path: &str, redacts: bool) -> Masking {
        let entity = |name: &str, pattern: &str| Entity { name: name.to_owned(), pattern: pattern.to_owned() };
        let entities = vec![entity("EMAIL", "[a-z]+@[a-z.]+"), entity("NUMBER", "[0-9]{3,}")];
        Masking::new(Designed { place: parts_of(path).unwrap(), entities, redacts }).unwrap()
    }

    #[test]
    fn each_thing_has_what_stands_for_it_and_comes_back_as_it_was() {
        let (masking, mut masked) = (masking("$", false), Masked::default());
        let body = r#"{"a": "I am ann@b.c, call 555 or \"555\"", "n": 1234, "l": [true, "ann@b.c"], "x@y.z": 1}"#;
        let hidden = masking.mask(body.as_bytes(), &mut masked).unwrap().unwrap();
        assert_eq!(
            hidden,
            r#"{"a": "I am EMAIL_0000, call NUMBER_0001 or \"NUMBER_0001\"", "n": "NUMBER_0002", "l": [true, "EMAIL_0000"], "x@y.z": 1}"#
        );
        let told = masking.changed_answer(r#"{"to":"EMAIL_0000","no":"EMAIL_00009 EMAIL_0007"}"#, &masked);
        assert_eq!(told.as_deref(), Some(r#"{"to":"ann@b.c","no":"ann@b.c9 EMAIL_0007"}"#));
        let events = masking.changed_answer("data: {\"c\":\"NUMBER_0001\"}\n\n", &masked);
        assert_eq!(events.as_deref(), Some("data: {\"c\":\"555\"}\n\n"));
        assert_eq!(masking.changed_answer("nothing of it", &masked), None);
        let again = masking.mask(b"plain 1234, and 777", &mut masked).unwrap();
        assert_eq!(
            again.as_deref(),
            Some("plain NUMBER_0002, and NUMBER_0003"),
            "of a policy that comes after another"
        );
    }

    #[test]
    fn what_is_redacted_is_gone_and_what_has_no_place_does_not_pass() {
        let masking = masking("$.said", true);
        let mask = |body: &str| masking.mask(body.as_bytes(), &mut Masked::default());
        assert_eq!(
            mask(r#"{"said": "1234 x", "n": 1234}"#).unwrap().as_deref(),
            Some(r#"{"said": "***** x", "n": 1234}"#)
        );
        assert_eq!(mask(r#"{"said": "x"}"#).unwrap(), None);
        assert_eq!(mask("").unwrap(), None);
        assert!(mask(r#"{"other": "1234"}"#).is_err() && mask("1234").is_err());
        let answer = masking.changed_answer(r#"{"error": "1234"}"#, &Masked::default());
        assert_eq!(answer, None, "an answer has what it has");
    }
}
