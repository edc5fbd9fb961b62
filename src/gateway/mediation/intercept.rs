//! Interceptor services: a server of the publisher's own that is shown a call or an answer and says what becomes of it
//! (`POST …/api/v1/handle-request`, `…/handle-response`, as the original's interceptors are spoken to).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use portcullis_model::Endpoint as DesignedEndpoint;
use portcullis_model::mediation::Flow;
use portcullis_model::mediation::intercept::{Includes, is_framing};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::debug;

use super::convert;
use crate::ask::{self, Question};
use crate::body::ReplyBody;
use crate::forward::Passage;
use crate::refusal::Refusal;
use crate::route::endpoint::{BadEndpoint, Endpoint, Origins};
use crate::worker::Worker;

/// How long an interceptor may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An interceptor service.
#[derive(Debug)]
pub(super) struct Interceptor {
    endpoint: Endpoint,
    includes: Includes,
}

/// What an interceptor says of a call or an answer. What is not known is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Verdict {
    direct_respond: Option<bool>,
    response_code: Option<u16>,
    headers_to_add: Option<Map<String, Value>>,
    headers_to_replace: Option<Map<String, Value>>,
    headers_to_remove: Option<Vec<String>>,
    body: Option<String>,
    interceptor_context: Option<Map<String, Value>>,
}

/// What a service says that cannot be done.
#[derive(Debug, thiserror::Error)]
enum BadVerdict {
    #[error("the service was not reached: {0}")]
    Upstream(#[from] crate::upstream::UpstreamError),
    #[error("the service answered {0}")]
    Status(u16),
    #[error("its answer is not what is expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a header field of its answer is not valid")]
    Header,
    #[error("the body in its answer is not base64")]
    Body,
    #[error("the status in its answer is not one")]
    Code,
}

impl Interceptor {
    /// Makes it ready for calls.
    pub(super) fn new(url: &str, includes: Includes, origins: &mut Origins) -> Result<Self, BadEndpoint> {
        let endpoint = origins.endpoint(&DesignedEndpoint { url: url.to_owned(), timeout_ms: None })?;
        Ok(Self { endpoint, includes })
    }

    /// Says whether it is shown the bodies of calls.
    pub(super) fn reads_calls(&self) -> bool {
        self.includes.request_body
    }

    /// Says whether it is shown the bodies of answers.
    pub(super) fn reads_answers(&self) -> bool {
        self.includes.response_body
    }

    /// Shows it a call.
    pub(super) async fn on_call(
        &self,
        worker: &Worker,
        passage: &Passage<'_>,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Result<Verdict, Refusal> {
        let mut told = self.told(passage, headers);
        if let Some(body) = body {
            told.insert("requestBody".to_owned(), STANDARD.encode(body).into());
        }
        self.ask(worker, "handle-request", told).await
    }

    /// Shows it an answer, and does what it says.
    pub(super) async fn on_answer(
        &self,
        worker: &Worker,
        passage: &Passage<'_>,
        context: &Map<String, Value>,
        response: Response<ReplyBody>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let mut told = self.told(passage, &passage.request.headers);
        told.insert("responseCode".to_owned(), response.status().as_u16().into());
        told.insert("interceptorContext".to_owned(), Value::Object(context.clone()));
        if self.includes.response_headers {
            told.insert("responseHeaders".to_owned(), fields(response.headers(), &[]));
        }
        let response = if self.includes.response_body {
            let (head, held) = convert::hold_answer(worker, response).await?;
            told.insert("responseBody".to_owned(), STANDARD.encode(&held).into());
            Response::from_parts(head, ReplyBody::whole(held))
        } else {
            response
        };
        let verdict = self.ask(worker, "handle-response", told).await?;
        verdict.apply_to_answer(response).map_err(|error| failed(&error))
    }

    fn told(&self, passage: &Passage<'_>, headers: &HeaderMap) -> Map<String, Value> {
        let mut told = Map::new();
        if self.includes.request_headers {
            told.insert("requestHeaders".to_owned(), fields(headers, passage.without));
        }
        if self.includes.invocation_context {
            let request = passage.request;
            let context = json!({
                "requestId": String::from_utf8_lossy(passage.request_id.as_bytes()),
                "scheme": if passage.client.is_https { "https" } else { "http" },
                "method": request.method.as_str(),
                "path": request.uri.path_and_query().map_or("/", |target| target.as_str()),
                "source": passage.client.ip,
                "basePath": passage.api.context,
                "apiId": passage.api.id.to_string(),
                "environment": passage.key_type.as_contract(),
            });
            told.insert("invocationContext".to_owned(), context);
        }
        told
    }

    async fn ask(&self, worker: &Worker, what: &str, told: Map<String, Value>) -> Result<Verdict, Refusal> {
        let path = format!("{}/api/v1/{what}", self.endpoint.base_path);
        let question = Question {
            verb: Method::POST,
            path: Some(&path),
            fields: &[
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (ACCEPT, HeaderValue::from_static("application/json")),
            ],
            body: Bytes::from(Value::Object(told).to_string()),
            may_reuse: true,
            patience: PATIENCE,
        };
        let read = match ask::ask(worker, &self.endpoint, question).await {
            Err(error) => Err(BadVerdict::Upstream(error)),
            Ok(answer) if answer.status.as_u16() == 204 => Ok(Verdict::default()),
            Ok(answer) if !answer.status.is_success() => Err(BadVerdict::Status(answer.status.as_u16())),
            Ok(answer) => serde_json::from_slice(&answer.body).map_err(BadVerdict::Json),
        };
        read.map_err(|error| failed(&error))
    }
}

impl Verdict {
    /// Returns the answer that it gives in the backend's place, where it gives one.
    pub(super) fn direct(&self) -> Result<Option<Response<ReplyBody>>, Refusal> {
        if self.direct_respond != Some(true) {
            return Ok(None);
        }
        let empty = Response::new(ReplyBody::whole(Bytes::new()));
        self.apply_to_answer(empty).map(Some).map_err(|error| failed(&error))
    }

    /// Changes the head of a call, and returns the body where it gives another one.
    pub(super) fn apply_to_call(&self, headers: &mut HeaderMap) -> Result<Option<Bytes>, Refusal> {
        self.change_headers(headers, Flow::Request).and_then(|()| self.body()).map_err(|error| failed(&error))
    }

    /// Takes what it wants to be told with the answer.
    pub(super) fn take_context(&mut self) -> Map<String, Value> {
        self.interceptor_context.take().unwrap_or_default()
    }

    fn apply_to_answer(&self, response: Response<ReplyBody>) -> Result<Response<ReplyBody>, BadVerdict> {
        let (mut head, mut body) = response.into_parts();
        if let Some(code) = self.response_code {
            let code = StatusCode::from_u16(code).ok().filter(|code| !code.is_informational());
            head.status = code.ok_or(BadVerdict::Code)?;
        }
        if let Some(other) = self.body()? {
            body = ReplyBody::whole(other);
            convert::forget_body(&mut head.headers);
        }
        self.change_headers(&mut head.headers, Flow::Response)?;
        Ok(Response::from_parts(head, body))
    }

    fn body(&self) -> Result<Option<Bytes>, BadVerdict> {
        let Some(text) = self.body.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        STANDARD.decode(text).map(|bytes| Some(Bytes::from(bytes))).map_err(|_| BadVerdict::Body)
    }

    fn change_headers(&self, headers: &mut HeaderMap, flow: Flow) -> Result<(), BadVerdict> {
        for name in self.headers_to_remove.iter().flatten() {
            super::remove(headers, &name_of(name)?, flow);
        }
        for (name, value) in self.headers_to_replace.iter().flatten() {
            let name = name_of(name)?;
            super::remove(headers, &name, flow);
            headers.insert(name, value_of(value)?);
        }
        for (name, value) in self.headers_to_add.iter().flatten() {
            headers.append(name_of(name)?, value_of(value)?);
        }
        Ok(())
    }
}

fn name_of(name: &str) -> Result<HeaderName, BadVerdict> {
    let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| BadVerdict::Header)?;
    if is_framing(name.as_str()) { Err(BadVerdict::Header) } else { Ok(name) }
}

fn value_of(value: &Value) -> Result<HeaderValue, BadVerdict> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    HeaderValue::from_str(&text).map_err(|_| BadVerdict::Header)
}

/// Returns header fields as an object; those of one name in one text, as one field would be written (RFC 9110 §5.3).
/// Credentials are left out.
fn fields(headers: &HeaderMap, without: &[HeaderName]) -> Value {
    let mut all = Map::new();
    for name in headers.keys().filter(|name| !without.contains(name)) {
        let texts: Vec<_> = headers.get_all(name).iter().map(|one| String::from_utf8_lossy(one.as_bytes())).collect();
        all.insert(name.to_string(), texts.join(", ").into());
    }
    Value::Object(all)
}

fn failed(error: &BadVerdict) -> Refusal {
    debug!(%error, "interceptor service failed");
    Refusal::interceptor_failed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_replaces_or_removes_in_a_call_is_so_in_each_spelling_that_backends_read_alike() {
        let said = json!({"headersToReplace": {"X-User": "nobody"}, "headersToRemove": ["X-Debug"]});
        let verdict: Verdict = serde_json::from_value(said).unwrap();
        let mut headers = HeaderMap::new();
        for name in ["x-user", "x_user", "x-debug", "x_debug", "x_own"] {
            headers.insert(name, HeaderValue::from_static("sent"));
        }
        assert!(verdict.apply_to_call(&mut headers).is_ok());
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("x-user", "nobody"), ("x_own", "sent")]);
    }
}
