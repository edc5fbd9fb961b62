//! Reads the tokens of an answer where its provider's configuration says that they are: in header fields, and at places of
//! JSON, also of each event of a stream. The answer is not kept.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use portcullis_model::ai::{Part, Provider, Said, Source, parts_of};
use tracing::warn;

use crate::json_strings::{JsonStrings, Name};

/// How deep a place may be.
const DEPTH_MAX: usize = 8;
/// What is counted, in the order of [`Found`].
const COUNTED: [Said; 3] = [Said::PromptTokens, Said::CompletionTokens, Said::TotalTokens];

/// Where answers of a provider say how many tokens they took.
#[derive(Debug)]
pub(crate) struct TokenPlaces {
    /// Which count, and where in JSON.
    in_json: Vec<(usize, Vec<Part>)>,
    /// Which count, and in which field.
    in_fields: Vec<(usize, HeaderName)>,
}

impl TokenPlaces {
    /// Compiles the places of a provider; `None` where it says none that can be read.
    pub(crate) fn new(provider: &Provider) -> Option<Self> {
        let mut places = Self { in_json: Vec::new(), in_fields: Vec::new() };
        for place in &provider.places {
            let Some(count) = COUNTED.iter().position(|said| *said == place.said) else { continue };
            let parts = parts_of(&place.identifier).filter(|parts| {
                let is_readable = |part: &Part| match part {
                    Part::Name(name) => name.len() <= Name::BYTES_MAX,
                    // How many items there are is known only at the end.
                    Part::At(index) => *index >= 0,
                };
                (1..=DEPTH_MAX).contains(&parts.len()) && parts.iter().all(is_readable)
            });
            match (place.source, parts, HeaderName::from_bytes(place.identifier.as_bytes())) {
                (Source::Payload, Some(parts), _) => places.in_json.push((count, parts)),
                (Source::Header, _, Ok(name)) => places.in_fields.push((count, name)),
                _ => warn!(provider = provider.name, identifier = place.identifier, "tokens not read there"),
            }
        }
        (!places.in_json.is_empty() || !places.in_fields.is_empty()).then_some(places)
    }
}

/// What was found: tokens of the prompt, of the completion, and of both.
pub(crate) type Found = [Option<u64>; 3];

/// Reads an answer.
#[derive(Debug)]
pub(crate) struct TokenScan {
    places: Arc<TokenPlaces>,
    found: Found,
    depth: usize,
    levels: [Level; DEPTH_MAX],
    strings: JsonStrings,
    /// A number under way; `None` of one that is no whole number.
    number: Option<Option<u64>>,
}

/// An object or a list that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    is_list: bool,
    /// Which item it is at.
    index: i64,
    /// Which member it is at.
    member: Name,
}

impl TokenScan {
    /// Begins with the head of an answer.
    pub(crate) fn begin(places: &Arc<TokenPlaces>, headers: &HeaderMap) -> Self {
        let mut found = Found::default();
        for (count, name) in &places.in_fields {
            let said = headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            found[*count] = found[*count].max(said);
        }
        Self {
            places: Arc::clone(places),
            found,
            depth: 0,
            levels: Default::default(),
            strings: JsonStrings::default(),
            number: None,
        }
    }

    /// Returns what was found so far. Streams repeat and complete what they said before, so the largest numbers count.
    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// Begins another document; what was found stays.
    pub(crate) fn begin_document(&mut self) {
        (self.depth, self.strings, self.number) = Default::default();
    }

    /// Reads the next piece.
    pub(crate) fn read(&mut self, piece: &[u8]) {
        if self.places.in_json.is_empty() {
            return;
        }
        for &byte in piece {
            self.read_byte(byte);
        }
    }

    fn read_byte(&mut self, byte: u8) {
        if self.strings.take(byte) {
            return;
        }
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                let before = self.number.unwrap_or(Some(0));
                self.number = Some(before.map(|number| number.saturating_mul(10).saturating_add(digit)));
                return;
            }
            b'.' | b'-' | b'+' | b'e' | b'E' => {
                self.number = Some(None);
                return;
            }
            _ => self.end_number(),
        }
        match byte {
            b':' => {
                let last = self.strings.last();
                if let Some(level) = self.level() {
                    level.member = last;
                }
            }
            b',' => {
                if let Some(level) = self.level() {
                    level.index = level.index.saturating_add(1);
                    level.member = Name::default();
                }
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                if let Some(level) = self.level() {
                    *level = Level { is_list: byte == b'[', ..Level::default() };
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn level(&mut self) -> Option<&mut Level> {
        self.levels.get_mut(self.depth.checked_sub(1)?)
    }

    fn end_number(&mut self) {
        let Some(Some(number)) = self.number.take() else { return };
        let Some(levels) = self.levels.get(..self.depth) else { return };
        for (count, parts) in &self.places.in_json {
            let is_there = |(part, level): (&Part, &Level)| match part {
                Part::Name(name) => !level.is_list && level.member.is_one_of(&[name]),
                Part::At(index) => level.is_list && level.index == *index,
            };
            if parts.len() == levels.len() && parts.iter().zip(levels).all(is_there) {
                self.found[*count] = self.found[*count].max(Some(number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::ai::Place;
    use proptest::prelude::*;

    use super::*;

    fn places(rows: &[(Said, Source, &str)]) -> Option<TokenPlaces> {
        let place = |&(said, source, identifier): &(Said, Source, &str)| Place {
            said,
            source,
            identifier: identifier.to_owned(),
        };
        let places = rows.iter().map(place).collect();
        TokenPlaces::new(&Provider { name: "a".to_owned(), api_version: "1".to_owned(), places })
    }

    #[test]
    fn tokens_are_read_where_the_provider_says_however_the_answer_is_cut() {
        let places = places(&[
            (Said::PromptTokens, Source::Payload, "$.usage.inputTokens"),
            (Said::CompletionTokens, Source::Payload, "$.list[1].n"),
            (Said::TotalTokens, Source::Header, "x-tokens"),
        ]);
        let places = Arc::new(places.unwrap());
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-tokens"), "31".parse().unwrap())]);
        for (text, expected) in [
            (r#"{"usage":{"inputTokens":12},"list":[{"n":1},{"n":7}]}"#, [Some(12), Some(7), Some(31)]),
            (
                "data: {\"usage\": {\"inputTokens\": 5 }}\n\ndata: {\"usage\":{\"inputTokens\":9}}\n\n",
                [Some(9), None, Some(31)],
            ),
            (r#"{"x":{"usage":{"inputTokens":12}},"text":"\"usage\":{\"inputTokens\":4}"}"#, [None, None, Some(31)]),
            (r#"{"usage":{"inputTokens":"12","more":{"inputTokens":3}}}"#, [None, None, Some(31)]),
            (r#"{"usage":{"inputTokens":1.5}}"#, [None, None, Some(31)]),
        ] {
            for step in [1, 2, 3, 7, text.len()] {
                let mut scan = TokenScan::begin(&places, &headers);
                text.as_bytes().chunks(step).for_each(|piece| scan.read(piece));
                assert_eq!(scan.found(), expected, "{text} in pieces of {step}");
            }
        }
    }

    #[test]
    fn a_provider_that_says_nothing_readable_has_no_places() {
        assert!(
            places(&[(Said::TotalTokens, Source::Payload, "$..total"), (Said::RequestModel, Source::Payload, "$.m")])
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\usage19.- ".to_vec()), 0..200)) {
            let places = Arc::new(places(&[(Said::TotalTokens, Source::Payload, "$.u")]).unwrap());
            TokenScan::begin(&places, &HeaderMap::new()).read(&bytes);
        }
    }
}
