//! What an API answers by itself, compiled: mocks and sequences. Which answer a call gets is the model's to say.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use portcullis_model::mediation::own_answer::{Answer, OwnAnswer};
use portcullis_model::{KeyType, Mediation};
use tracing::warn;

use crate::body::ReplyBody;

/// The query parameter by which a caller asks a mock for a status, as in WSO2.
const STATUS: &str = "responseCode";
/// What is answered where a mock has no answer of a status, as in WSO2.
const NONE: &str = r#"{"code": 501, "description": "Not Implemented"}"#;

/// Answers in the backend's place.
#[derive(Debug)]
pub(crate) struct Own(OwnAnswer);

/// An answer that cannot be written.
#[derive(Debug)]
pub(super) struct Unwritable;

impl Own {
    /// Compiles it.
    ///
    /// # Errors
    /// Where an answer has a status or a header field that HTTP has not.
    pub(super) fn new(answer: OwnAnswer) -> Result<Self, Unwritable> {
        let all: Vec<&Answer> = match &answer {
            OwnAnswer::Mock(mock) => mock.answers.iter().collect(),
            OwnAnswer::ByKey { production, sandbox } => production.iter().chain(sandbox).collect(),
        };
        for one in all {
            write(one)?;
        }
        Ok(Self(answer))
    }

    /// Compiles what an API answers to the calls of all its operations, for all of them to share.
    pub(crate) fn of_all(mediation: &Mediation) -> Option<Arc<Self>> {
        let compiled = Self::new(mediation.answer_of_all()?).map(Arc::new);
        compiled.inspect_err(|_| warn!("answer not given: its status or a header field is not valid")).ok()
    }

    /// Answers a call; `None` where that is the backend's business.
    pub(super) fn reply(&self, key: KeyType, query: Option<&str>, headers: &HeaderMap) -> Option<Response<ReplyBody>> {
        let answer = match &self.0 {
            OwnAnswer::Mock(mock) => {
                let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
                let Some(answer) = mock.for_call(asked_status(query), accepted) else {
                    let none = Answer {
                        status: 501,
                        media_type: "application/json".to_owned(),
                        headers: Vec::new(),
                        body: NONE.to_owned(),
                    };
                    return write(&none).ok();
                };
                answer
            }
            OwnAnswer::ByKey { production, sandbox } => match key {
                KeyType::Production => production.as_ref()?,
                KeyType::Sandbox => sandbox.as_ref()?,
            },
        };
        write(answer).ok()
    }
}

/// Returns the status that a caller asks for; 0, of which there is no answer, where it asks for something else.
fn asked_status(query: Option<&str>) -> Option<u16> {
    let asked = query?.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == STATUS))?;
    Some(asked.1.parse().unwrap_or(0))
}

fn write(answer: &Answer) -> Result<Response<ReplyBody>, Unwritable> {
    let mut response = Response::new(ReplyBody::whole(answer.body.clone().into()));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| Unwritable)?;
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Unwritable);
    for (name, text) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unwritable)?;
        response.headers_mut().append(name, value(text)?);
    }
    response.headers_mut().insert(CONTENT_TYPE, value(&answer.media_type)?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_asked_for_in_the_query() {
        assert_eq!(asked_status(Some("a=1&responseCode=404&b")), Some(404));
        assert_eq!(asked_status(Some("responseCode=no")), Some(0));
        assert_eq!((asked_status(Some("a=1")), asked_status(None)), (None, None));
    }
}
