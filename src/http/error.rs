//! The error body of the WSO2 REST contracts. The errors of Portcullis' own API are in [`crate::problem`].

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_model::Refused;
use portcullis_model::fault::{Fault, Retry};
use serde::Serialize;

/// What a caller without valid credentials is told to send.
pub(crate) const CHALLENGE: &str = "Basic realm=\"Portcullis\", Bearer realm=\"Portcullis\"";

/// An error as the WSO2 REST contracts have it: `{code, message, description, moreInfo, error[]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ApiError(Box<Content>);

/// What an error holds; boxed, so that a `Result` stays small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(skip)]
    status: StatusCode,
    code: u32,
    message: String,
    description: String,
    more_info: String,
    error: Vec<ErrorItem>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One of several faults of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorItem {
    /// The field, or a code.
    pub code: String,
    /// What is wrong with it.
    pub message: String,
}

impl ApiError {
    /// Makes an error. `status` is an HTTP status (500 where it is not one of 400 to 599); `code` is the number the
    /// original gives it, or the status where it gives none.
    pub fn new(status: u16, code: u32, message: impl Into<String>, description: impl Into<String>) -> Self {
        Self(Box::new(Content {
            status: status_of(status),
            code,
            message: message.into(),
            description: description.into(),
            more_info: String::new(),
            error: Vec::new(),
            headers: Vec::new(),
        }))
    }

    fn plain(status: StatusCode, description: impl Into<String>) -> Self {
        let message = status.canonical_reason().unwrap_or("Error");
        Self::new(status.as_u16(), u32::from(status.as_u16()), message, description)
    }

    /// 400: the request is not acceptable as it is.
    pub fn bad_request(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, description)
    }

    /// 401: nobody signed in, or the credentials are not valid. Tells what to send.
    pub fn unauthorized(description: impl Into<String>) -> Self {
        Self::new(401, 900_901, "Invalid Credentials", description).with_challenge()
    }

    /// 403: the caller may not do this.
    pub fn forbidden(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::FORBIDDEN, description)
    }

    /// 404: there is no such object.
    pub fn not_found(noun: &str, key: impl fmt::Display) -> Self {
        Self::plain(StatusCode::NOT_FOUND, format!("Requested {noun} with Id '{key}' not found"))
    }

    /// 404: there is no such path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "There is nothing at this path.")
    }

    /// 405: the path has no such method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this path.")
    }

    /// 406: no representation that the caller accepts.
    pub fn not_acceptable(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_ACCEPTABLE, description)
    }

    /// 409: another object or the object's state stands against it.
    pub fn conflict(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::CONFLICT, description)
    }

    /// 412: the object changed since it was read.
    pub fn precondition_failed(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::PRECONDITION_FAILED, description)
    }

    /// 413: the body is larger than what is taken.
    pub fn too_large(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, description)
    }

    /// 415: the body's media type is not one that is understood.
    pub fn unsupported_media_type(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, description)
    }

    /// 429: too many requests; `after` says when to try again.
    pub fn too_many_requests(description: impl Into<String>, after: Duration) -> Self {
        Self::plain(StatusCode::TOO_MANY_REQUESTS, description).with_retry_after(after)
    }

    /// 500: a fault of Portcullis itself. The description must tell no inner detail.
    pub fn internal(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, description)
    }

    /// 503: it cannot be done now. Tells to try again in a second.
    pub fn unavailable(description: impl Into<String>) -> Self {
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, description).with_retry_after(Duration::from_secs(1))
    }

    /// Makes an error of any fault: what happened and what to do as description, its code as `moreInfo`.
    #[must_use]
    pub fn from_fault(fault: &dyn Fault) -> Self {
        let mut error = Self::plain(status_of(fault.status()), describe(fault));
        fault.code().clone_into(&mut error.0.more_info);
        match fault.retry() {
            Retry::After(after) => error.with_retry_after(after),
            Retry::Never => error,
        }
    }

    /// Adds one of several faults of the request.
    #[must_use]
    pub fn with_item(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.error.push(ErrorItem { code: code.into(), message: message.into() });
        self
    }

    /// Sets where to read more.
    #[must_use]
    pub fn with_more_info(mut self, more_info: impl Into<String>) -> Self {
        self.0.more_info = more_info.into();
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)))
    }

    /// Says which methods the path has.
    #[must_use]
    pub fn with_allow(self, methods: &'static str) -> Self {
        self.with_header(ALLOW, HeaderValue::from_static(methods))
    }

    /// Tells how to sign in.
    #[must_use]
    pub fn with_challenge(self) -> Self {
        self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the code in the body.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.0.code
    }

    /// Returns the description in the body.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// Returns the faults of the request, where they were told one by one.
    #[must_use]
    pub fn items(&self) -> &[ErrorItem] {
        &self.0.error
    }

    /// Returns where to read more, or the code of the fault it was made of.
    #[must_use]
    pub fn more_info(&self) -> &str {
        &self.0.more_info
    }
}

/// Returns an error status: 500 for what is none.
pub(crate) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns what happened and what to do, as sentences. A text that begins with a field's name keeps it as it is.
pub(crate) fn describe(fault: &dyn Fault) -> String {
    let what = fault.to_string();
    let next = fault.next_step();
    let begins_with_field = what.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
    let mut letters = what.chars();
    let begun = match letters.next() {
        Some(first) if !begins_with_field => first.to_uppercase().chain(letters).collect::<String>(),
        _ => what,
    };
    if next.is_empty() { format!("{begun}.") } else { format!("{begun}. {next}") }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.message, self.0.description)
    }
}

impl std::error::Error for ApiError {}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::from_fault(&refused)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let as_it_was = self.clone();
        let mut content = self.0;
        let headers = std::mem::take(&mut content.headers);
        let mut response = (status, Json(content)).into_response();
        response.headers_mut().extend(headers);
        // For a face whose errors have another form: see `problem::below`.
        response.extensions_mut().insert(as_it_was);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_five_fields_of_the_contract() {
        let error = ApiError::not_found("API", "7").with_item("apiId", "unknown");
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            serde_json::json!({
                "code": 404,
                "message": "Not Found",
                "description": "Requested API with Id '7' not found",
                "moreInfo": "",
                "error": [{"code": "apiId", "message": "unknown"}],
            })
        );
    }

    #[test]
    fn a_refusal_says_what_to_do_and_keeps_its_code() {
        let error = ApiError::from(Refused::exists("API", "/pizza"));
        assert_eq!(error.status(), StatusCode::CONFLICT);
        assert_eq!(error.more_info(), "PC-1409");
        assert!(error.description().starts_with("API /pizza exists already. Choose another"), "{error}");
    }

    #[test]
    fn a_401_tells_how_to_sign_in() {
        let response = ApiError::unauthorized("Sign in.").into_response();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], CHALLENGE);
    }
}
