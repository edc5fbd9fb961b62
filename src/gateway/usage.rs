//! Finds in the answer of an AI model how many tokens it took, without keeping the answer: in a JSON object, or in the
//! objects of a stream. It knows the shapes of OpenAI, Azure and Mistral (`usage.total_tokens`), of Anthropic
//! (`usage.input_tokens`, also below `message`) and of Gemini (`usageMetadata.totalTokenCount`); of an AI API it looks first
//! where the provider's configuration says.

use http::HeaderMap;
use serde::Deserialize;

use crate::event_frames::EventFrames;
use crate::json_strings::{JsonStrings, Name};
use crate::token_places::{Found, TokenScan};

/// Bytes of a usage object: a dozen numbers.
const OBJECT_BYTES_MAX: usize = 8 << 10;
/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    prompt: u64,
    completion: u64,
    total: u64,
    depth: usize,
    strings: JsonStrings,
    /// The name of the member whose value comes next.
    member: Name,
    /// The member in which the objects of the first two levels are.
    inside: [Name; 2],
    /// A usage object under way, and the depth at which it ends.
    object: Option<(Vec<u8>, usize)>,
    /// What looks where the provider says.
    scan: Option<Box<TokenScan>>,
    /// What follows a stream that is not one of texts.
    frames: Option<Box<EventFrames>>,
}

/// A usage object; what is not there counts as nothing.
#[derive(Deserialize)]
struct Counts {
    #[serde(default, alias = "input_tokens", alias = "promptTokenCount")]
    prompt_tokens: Option<u64>,
    #[serde(default, alias = "output_tokens", alias = "candidatesTokenCount")]
    completion_tokens: Option<u64>,
    #[serde(default, alias = "totalTokenCount")]
    total_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
}

impl Usage {
    /// Begins with the head of an answer. Looks first where the provider of an AI API says.
    pub(crate) fn begin(headers: &HeaderMap, scan: Option<TokenScan>) -> Self {
        let frames = EventFrames::begin(headers).map(Box::new);
        Self { scan: scan.map(Box::new), frames, ..Self::default() }
    }

    fn found(&self) -> Found {
        self.scan.as_ref().map(|scan| scan.found()).unwrap_or_default()
    }

    /// Reads the next piece of the answer.
    pub(crate) fn read(&mut self, piece: &[u8]) {
        match self.frames.take() {
            None => self.read_text(piece),
            Some(mut frames) => {
                frames.read(piece, |payload| self.read_document(payload));
                self.frames = Some(frames);
            }
        }
    }

    /// Reads a document that is whole, and cannot end what another one began.
    fn read_document(&mut self, document: &[u8]) {
        (self.depth, self.strings, self.member, self.object) = Default::default();
        if let Some(scan) = &mut self.scan {
            scan.begin_document();
        }
        self.read_text(document);
    }

    fn read_text(&mut self, piece: &[u8]) {
        if let Some(scan) = &mut self.scan {
            scan.read(piece);
        }
        for &byte in piece {
            self.read_byte(byte);
        }
    }

    /// Returns the tokens of prompt and completion together.
    pub(crate) fn total(&self) -> u64 {
        let parts = self.prompt().saturating_add(self.completion());
        match self.found() {
            [_, _, Some(total)] => total,
            [None, None, None] => self.total.max(parts),
            // What the provider says of the parts goes before what looks like a sum.
            _ => parts,
        }
    }

    /// Returns the tokens of the prompt.
    pub(crate) fn prompt(&self) -> u64 {
        self.found()[0].unwrap_or(self.prompt)
    }

    /// Returns the tokens of the completion.
    pub(crate) fn completion(&self) -> u64 {
        self.found()[1].unwrap_or(self.completion)
    }

    fn read_byte(&mut self, byte: u8) {
        if let Some((object, _)) = &mut self.object {
            object.push(byte);
            if object.len() > OBJECT_BYTES_MAX {
                self.object = None;
            }
        }
        if self.strings.take(byte) {
            return;
        }
        match byte {
            b':' => self.member = self.strings.last(),
            b',' => self.member = Name::default(),
            b'{' | b'[' => self.enter(byte),
            b'}' | b']' => self.leave(),
            _ => {}
        }
    }

    fn enter(&mut self, byte: u8) {
        let is_usage = byte == b'{' && self.object.is_none() && self.member.is_one_of(&["usage", "usageMetadata"]);
        let is_where_it_counts = match self.depth {
            1 => true,
            2 => self.inside[1].is_one_of(&["message", "response"]),
            _ => false,
        };
        if is_usage && is_where_it_counts {
            self.object = Some((vec![b'{'], self.depth));
        }
        if let Some(inside) = self.inside.get_mut(self.depth) {
            *inside = self.member;
        }
        self.depth += 1;
        self.member = Name::default();
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.member = Name::default();
        let object = self.object.take_if(|(_, ends_at)| *ends_at == self.depth);
        // One that cannot be read says nothing.
        if let Some(counts) = object.and_then(|(object, _)| serde_json::from_slice::<Counts>(&object).ok()) {
            self.learn(&counts);
        }
    }

    /// Streams repeat and complete what they said before, so the largest numbers count.
    fn learn(&mut self, counts: &Counts) {
        let cached = [counts.cache_creation_input_tokens, counts.cache_read_input_tokens];
        let cached = cached.into_iter().flatten().fold(0_u64, u64::saturating_add);
        self.prompt = self.prompt.max(counts.prompt_tokens.unwrap_or(0).saturating_add(cached));
        self.completion = self.completion.max(counts.completion_tokens.unwrap_or(0));
        self.total = self.total.max(counts.total_tokens.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use portcullis_model::ai::{Place, Provider, Said, Source};
    use proptest::prelude::*;

    use super::*;
    use crate::event_frames::message;
    use crate::token_places::TokenPlaces;

    fn tokens(text: &str, step: usize) -> (u64, u64, u64) {
        let mut usage = Usage::default();
        text.as_bytes().chunks(step).for_each(|piece| usage.read(piece));
        (usage.prompt(), usage.completion(), usage.total())
    }

    #[test]
    fn streams_in_the_binary_form_of_aws_are_read_event_by_event() {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/vnd.amazon.eventstream"))]);
        let place = |said, identifier: &str| Place { said, source: Source::Payload, identifier: identifier.to_owned() };
        let rows =
            vec![place(Said::PromptTokens, "$.usage.inputTokens"), place(Said::TotalTokens, "$.usage.totalTokens")];
        let provider = Provider { name: "AWSBedrock".to_owned(), api_version: "1".to_owned(), places: rows };
        let places = Arc::new(TokenPlaces::new(&provider).unwrap());
        let converse = br#"{"metrics":{"latencyMs":9},"usage":{"inputTokens":12,"outputTokens":7,"totalTokens":19}}"#;
        let delta = br#"{"delta":{"text":"\"usage\": {"},"p":"abc"}"#;
        let invoke = br#"{"bytes":"eyJ1c2FnZSI6eyJpbnB1dF90b2tlbnMiOjUsIm91dHB1dF90b2tlbnMiOjJ9fQ=="}"#;
        let (of_converse, of_invoke) =
            ([message(delta), message(converse)].concat(), [message(delta), message(invoke)].concat());
        for step in [1, 5, 1_000] {
            let mut usage = Usage::begin(&headers, Some(TokenScan::begin(&places, &headers)));
            of_converse.chunks(step).for_each(|piece| usage.read(piece));
            assert_eq!((usage.prompt(), usage.total()), (12, 19));
            let mut usage = Usage::begin(&headers, Some(TokenScan::begin(&places, &headers)));
            of_invoke.chunks(step).for_each(|piece| usage.read(piece));
            assert_eq!(
                (usage.prompt(), usage.completion(), usage.total()),
                (5, 2, 7),
                "what is in base64 has the usual shape"
            );
        }
    }

    #[test]
    fn the_usual_shapes_are_understood_however_they_are_cut() {
        let openai = r#"{"id":"x","choices":[{"message":{"content":"say \"usage\": {\"total_tokens\": 9}","usage":{"total_tokens":7}}}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":3}}}"#;
        let anthropic = r#"{"type":"message","content":[],"usage":{"input_tokens":12,"output_tokens":6,"cache_read_input_tokens":100}}"#;
        let anthropic_stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":15}}\n\n";
        let openai_stream = "data: {\"choices\":[{\"delta\":{\"content\":\"}{\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n";
        let gemini =
            r#"{"candidates":[],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":8,"totalTokenCount":14}}"#;
        let responses = r#"{"type":"response.completed","response":{"usage":{"input_tokens":37,"output_tokens":11,"total_tokens":48}}}"#;
        for (text, expected) in [
            (openai, (19, 10, 29)),
            (anthropic, (112, 6, 118)),
            (anthropic_stream, (25, 15, 40)),
            (openai_stream, (5, 2, 7)),
            (gemini, (4, 8, 14)),
            (responses, (37, 11, 48)),
            (r#"{"error":"usage"}"#, (0, 0, 0)),
            (r#"{"usage":{"total_tokens":"many"}}"#, (0, 0, 0)),
            ("[1,2", (0, 0, 0)),
        ] {
            for step in [1, 2, 3, 7, text.len()] {
                assert_eq!(tokens(text, step), expected, "{text} in pieces of {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\usage1 ".to_vec()), 0..200)) {
            Usage::default().read(&bytes);
        }
    }
}
