//! Errors of Portcullis' own API (`/api/portcullis/v1`) as problem details of RFC 9457.

use std::fmt;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use portcullis_model::Refused;
use portcullis_model::fault::{Fault, Retry};
use serde::Serialize;

use crate::error::{ApiError, CHALLENGE, status_of};

/// Problem details (RFC 9457), with the stable code and the next step as members of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Content>);

/// What a problem holds; boxed, so that a `Result` stays small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Content {
    /// `about:blank` where the status says it all, else `urn:portcullis:fault:CODE`.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    next_step: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// Makes a problem. `status` is an HTTP status (500 where it is not one of 400 to 599).
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let status = status_of(status);
        Self(Box::new(Content {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status,
            detail: detail.into(),
            code: None,
            rule: None,
            next_step: String::new(),
            retry_after: None,
        }))
    }

    /// 400: the request is not acceptable as it is.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 401: nobody signed in, or the credentials are not valid. Tells what to send.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(401, detail)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, detail)
    }

    /// 404: there is no such object.
    pub fn not_found(noun: &str, key: impl fmt::Display) -> Self {
        Self::new(404, format!("there is no {noun} {key}"))
    }

    /// 405: the path has no such method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(405, "the method is not allowed for this path")
    }

    /// 406: no representation that the caller accepts.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(406, detail)
    }

    /// 409: another object or the object's state stands against it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, detail)
    }

    /// 412: the object changed since it was read.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(412, detail)
    }

    /// 413: the body is larger than what is taken.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(413, detail)
    }

    /// 415: the body's media type is not one that is understood.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(415, detail)
    }

    /// 429: too many requests; `after` says when to try again.
    pub fn too_many_requests(detail: impl Into<String>, after: Duration) -> Self {
        Self::new(429, detail).with_retry_after(after)
    }

    /// 503: it cannot be done now. Tells to try again in a second.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, detail).with_retry_after(Duration::from_secs(1))
    }

    /// Makes a problem of any fault.
    #[must_use]
    pub fn from_fault(fault: &dyn Fault) -> Self {
        let mut problem = Self::new(fault.status(), fault.to_string());
        problem.0.kind = format!("urn:portcullis:fault:{}", fault.code());
        problem.0.code = Some(fault.code());
        problem.0.rule = fault.rule();
        problem.0.next_step = fault.next_step();
        problem.0.retry_after = match fault.retry() {
            Retry::After(after) => Some(after),
            Retry::Never => None,
        };
        problem
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_next_step(mut self, next_step: impl Into<String>) -> Self {
        self.0.next_step = next_step.into();
        self
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns what happened.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

/// Gives every error below `prefix` the form of a problem, also those that shared bounds and extractors answer with. Goes
/// around everything else.
pub async fn below<Answer>(prefix: &str, request: Request, next: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    let is_below = request.uri().path().starts_with(prefix);
    let mut response = next(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) if is_below => {
            let (mut parts, body) = Problem::from(error).into_response().into_parts();
            // What was said in headers stays said: when to retry, which methods there are, the request's id.
            let mut headers = std::mem::take(response.headers_mut());
            headers.remove(CONTENT_LENGTH);
            headers.extend(parts.headers);
            parts.headers = headers;
            Response::from_parts(parts, body)
        }
        _ => response,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.title, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::from_fault(&refused)
    }
}

/// What the shared extractors refuse with, said the other way.
impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::new(error.status().as_u16(), error.description())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if let Some(after) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::layers;

    #[test]
    fn a_problem_is_that_of_rfc_9457_with_code_and_next_step() {
        let problem = Problem::from(Refused::not_found("node", 7));
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:portcullis:fault:PC-1404",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no node 7",
                "code": "PC-1404",
                "next_step": "List what there is, and use the id of an existing node.",
            })
        );
        assert_eq!(problem.into_response().headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn below_a_prefix_every_error_is_a_problem_and_elsewhere_it_is_not() {
        let router = Router::new().route("/own/x", get(async || "x")).route("/other", get(async || "x"));
        let router = layers::surround(layers::finish(router), |request, rest| {
            below("/own/", request, |request| rest.run(request))
        });
        let call = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let missing = call("GET", "/own/y").await;
        assert_eq!(
            (missing.status(), &missing.headers()[CONTENT_TYPE]),
            (StatusCode::NOT_FOUND, &"application/problem+json".parse().unwrap())
        );
        assert!(missing.headers().contains_key(layers::REQUEST_ID));
        let wrong = call("POST", "/own/x").await;
        assert_eq!(
            (wrong.status(), &wrong.headers()["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET,HEAD".parse().unwrap())
        );
        assert_eq!(wrong.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(call("POST", "/other").await.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(call("GET", "/own/x").await.status(), StatusCode::OK);
    }
}
