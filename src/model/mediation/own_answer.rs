//! APIs that answer themselves, without a backend: mocks, which answer by what a caller asks for, and sequences, which
//! answer all calls with keys of one type alike.
//!
//! What they answer is read by the Publisher and kept among the other fields of the API; here it becomes the last step of
//! the request flow of each operation, so that everything that is applied to calls comes before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Applied, Mediation, VERSION};
use crate::api::{Api, ApiKind};
use crate::oauth::KeyType;

/// Under which name, among an API's other fields, is kept what its mocks answer.
const MOCKS: &str = "mockAnswers";
/// The same of its sequences.
const SEQUENCES: &str = "sequenceBackends";
/// The name of the step; no policy that can be applied has it.
const STEP: &str = "(own answer)";
/// Under which key the step is that all operations end with: no `VERB target`, so that it is kept once however many there
/// are.
const ALL_OPERATIONS: &str = "*";
/// Its one parameter.
const ANSWER: &str = "answer";
/// The field that says whether an API has backends (`endpointImplementationType` in the REST contract).
pub const IMPLEMENTATION: &str = "endpointImplementationType";
/// What that field says of APIs without: scripts by hand, and scripts of the definition's examples.
pub const MOCKED: [&str; 2] = ["INLINE", "MOCKED_OAS"];
/// `endpoint_type` of an API whose backend is a sequence.
pub const SEQUENCE_BACKEND: &str = "sequence_backend";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// The media type.
    pub media_type: String,
    /// Other header fields, by name.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The answers of one operation's mock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockAnswers {
    /// The status of those who ask for none.
    pub usual: u16,
    /// One for each status and media type.
    pub answers: Vec<Answer>,
}

/// Answers in the backend's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnAnswer {
    /// By the status and the media type that a caller asks for.
    Mock(MockAnswers),
    /// By the type of the key; those without an answer go on to the backend.
    ByKey {
        /// With production keys.
        production: Option<Answer>,
        /// With sandbox keys.
        sandbox: Option<Answer>,
    },
}

/// A sequence that answers in the place of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceBackend {
    /// The id.
    pub id: String,
    /// The keys with which it is called.
    pub stage: KeyType,
    /// The sequence as it was sent.
    pub content: String,
    /// What it answers.
    pub answer: Answer,
}

impl MockAnswers {
    /// Returns the answer for a caller that asks for a status (`responseCode` in the query) and takes media types
    /// (`Accept`): of the status in the first of those types, or else in JSON, or else in whichever there is; and 501
    /// where there is none of that status.
    #[must_use]
    pub fn for_call(&self, status: Option<u16>, accepted: &str) -> Option<&Answer> {
        let status = status.unwrap_or(self.usual);
        let of_status: Vec<&Answer> = self.answers.iter().filter(|answer| answer.status == status).collect();
        let taken = accepted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        let mut wanted = taken.chain(["application/json"]);
        let found = wanted.find_map(|range| of_status.iter().find(|one| one.media_type.eq_ignore_ascii_case(range)));
        found.or_else(|| of_status.first()).copied()
    }
}

/// Says whether an API answers by mocks.
#[must_use]
pub fn is_mocked(api: &Api) -> bool {
    // Most are not: their fields are not even read.
    if api.kind != ApiKind::Http {
        return false;
    }
    let said = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let is_meant = |value: &Value| value.as_str().is_some_and(|word| MOCKED.contains(&word));
    let has_word = |text: &str| MOCKED.iter().any(|word| text.contains(word));
    (has_word(&api.other_fields) && is_meant(&said(&api.other_fields)[IMPLEMENTATION]))
        || (has_word(&api.endpoints.document) && is_meant(&said(&api.endpoints.document)["endpoint_type"]))
}

/// Says whether an API answers by sequences.
#[must_use]
pub fn is_sequenced(api: &Api) -> bool {
    let document = &api.endpoints.document;
    document.contains(SEQUENCE_BACKEND)
        && serde_json::from_str::<Value>(document).is_ok_and(|said| said["endpoint_type"] == SEQUENCE_BACKEND)
}

/// Says whether an API answers calls without a backend.
#[must_use]
pub fn answers_itself(api: &Api) -> bool {
    is_mocked(api) || (is_sequenced(api) && api.other_fields.contains(SEQUENCES))
}

/// Puts among the other fields of an API what its mocks answer, by `VERB target`.
pub fn set_mocks(fields: &mut Map<String, Value>, mocks: &BTreeMap<String, MockAnswers>) {
    if mocks.is_empty() {
        fields.shift_remove(MOCKS);
    } else {
        fields.insert(MOCKS.to_owned(), json!(mocks));
    }
}

/// Returns what the mocks of an API answer, by `VERB target`, out of its other fields.
#[must_use]
pub fn mocks_among(fields: &Map<String, Value>) -> BTreeMap<String, MockAnswers> {
    fields.get(MOCKS).cloned().and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
}

/// Puts the sequences of an API among its other fields.
pub fn set_sequences(fields: &mut Map<String, Value>, sequences: &[SequenceBackend]) {
    if sequences.is_empty() {
        fields.shift_remove(SEQUENCES);
    } else {
        fields.insert(SEQUENCES.to_owned(), json!(sequences));
    }
}

/// Returns the sequences of an API out of its other fields.
#[must_use]
pub fn sequences_among(fields: &Map<String, Value>) -> Vec<SequenceBackend> {
    fields.get(SEQUENCES).cloned().and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
}

/// Takes out of the other fields of an API what has paths of its own.
pub fn hide_own_answers(fields: &mut Map<String, Value>) {
    fields.shift_remove(MOCKS);
    fields.shift_remove(SEQUENCES);
}

/// Carries over into new fields of an API what has paths of its own.
pub fn keep_own_answers(fields: &mut Map<String, Value>, before: &Map<String, Value>) {
    hide_own_answers(fields);
    for name in [MOCKS, SEQUENCES] {
        if let Some(kept) = before.get(name) {
            fields.insert(name.to_owned(), kept.clone());
        }
    }
}

/// Has each operation of an API that answers itself end with its answer: mocks with their own, all others with one.
pub(super) fn put_last(mediation: &mut Mediation, api: &Api, fields: &Value) {
    let Some(fields) = fields.as_object() else { return };
    let mut put = |key: String, answer: &OwnAnswer| {
        let parameters = [(ANSWER.to_owned(), json!(answer).to_string())].into();
        let step = Applied { name: STEP.to_owned(), version: VERSION.to_owned(), parameters };
        mediation.operations.entry(key).or_default().request.push(step);
    };
    if is_mocked(api) {
        let mut mocks = mocks_among(fields);
        for operation in &api.operations {
            let key = format!("{} {}", operation.verb, operation.target);
            let own = mocks.remove(&key).unwrap_or(MockAnswers { usual: 501, answers: Vec::new() });
            put(key, &OwnAnswer::Mock(own));
        }
    } else if is_sequenced(api) {
        let mut by_stage: BTreeMap<&str, Answer> = BTreeMap::new();
        for one in sequences_among(fields) {
            by_stage.insert(one.stage.as_contract(), one.answer);
        }
        let mut of = |stage: KeyType| by_stage.remove(stage.as_contract());
        let answer = OwnAnswer::ByKey { production: of(KeyType::Production), sandbox: of(KeyType::Sandbox) };
        put(ALL_OPERATIONS.to_owned(), &answer);
    }
}

/// Returns the answer that all operations end with.
pub(super) fn of_all(mediation: &Mediation) -> Option<OwnAnswer> {
    mediation.operations.get(ALL_OPERATIONS)?.request.iter().find_map(of_applied)
}

/// Reads the step, where an applied policy is that.
pub(super) fn of_applied(applied: &Applied) -> Option<OwnAnswer> {
    if applied.name != STEP {
        return None;
    }
    serde_json::from_str(applied.parameters.get(ANSWER)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str) -> Answer {
        let body = format!("{status} {media_type}");
        Answer { status, media_type: media_type.to_owned(), headers: Vec::new(), body }
    }

    #[test]
    fn a_caller_gets_the_status_and_the_type_it_asks_for() {
        let mock = MockAnswers {
            usual: 200,
            answers: vec![answer(200, "application/xml"), answer(200, "application/json"), answer(404, "text/plain")],
        };
        let body = |status, accepted| mock.for_call(status, accepted).map(|one| one.body.as_str());
        assert_eq!(body(None, ""), Some("200 application/json"));
        assert_eq!(body(None, "text/html, application/xml;q=0.9, */*"), Some("200 application/xml"));
        assert_eq!(body(Some(404), "application/json"), Some("404 text/plain"));
        assert_eq!(body(Some(418), ""), None);
    }

    #[test]
    fn what_all_operations_answer_is_kept_once() {
        let of_operation = json!({"operationPolicies": {"request": [{"policyName": "addHeader",
            "parameters": {"headerName": "x", "headerValue": "1"}}]}});
        let mut mediation = Mediation::of_document(&json!({"operations": {"GET /menu": of_operation}}));
        let all = OwnAnswer::ByKey { production: Some(answer(200, "text/plain")), sandbox: None };
        assert_eq!(mediation.answer_of_all(), None);
        let parameters = [(ANSWER.to_owned(), json!(all).to_string())].into();
        let step = Applied { name: STEP.to_owned(), version: VERSION.to_owned(), parameters };
        mediation.operations.entry(ALL_OPERATIONS.to_owned()).or_default().request.push(step);
        assert_eq!(mediation.answer_of_all(), Some(all));
        assert_eq!(mediation.steps("GET /menu", crate::mediation::Flow::Request).len(), 1);
    }

    #[test]
    fn no_body_of_a_publisher_says_what_an_api_answers() {
        let mut before = Map::new();
        let mocks = BTreeMap::from([(
            "GET /menu".to_owned(),
            MockAnswers { usual: 200, answers: vec![answer(200, "text/plain")] },
        )]);
        set_mocks(&mut before, &mocks);
        let mut sent = Map::from_iter([(MOCKS.to_owned(), json!({})), (SEQUENCES.to_owned(), json!([]))]);
        keep_own_answers(&mut sent, &before);
        assert_eq!(mocks_among(&sent), mocks);
        assert_eq!(sequences_among(&sent), []);
        hide_own_answers(&mut sent);
        assert!(sent.is_empty());
    }
}
