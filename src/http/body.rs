//! JSON bodies in: bounded, and refused with a place and a reason. Forms with files are in [`crate::multipart`].

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Extensions, HeaderMap};
use portcullis_model::limit::{ANONYMOUS_BODY_BYTES_MAX, MANAGEMENT_BODY_BYTES_MAX};
use portcullis_model::port::Identity;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A JSON body of at most [`MANAGEMENT_BODY_BYTES_MAX`] bytes; of [`ANONYMOUS_BODY_BYTES_MAX`] where nobody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(ApiError::unsupported_media_type(
                "The body must be JSON: send Content-Type: application/json.",
            ));
        }
        let bytes = read(&parts.headers, body, bytes_max(&parts.extensions)).await?;
        parse(&bytes).map(Self)
    }
}

/// Returns how many bytes the body of a request may have: few where nobody signed in.
pub(crate) fn bytes_max(request: &Extensions) -> usize {
    if request.get::<Identity>().is_some() { MANAGEMENT_BODY_BYTES_MAX } else { ANONYMOUS_BODY_BYTES_MAX }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads a whole body of at most `max` bytes.
///
/// # Errors
/// 413 where it is larger, without reading it where it says so itself; 400 where the caller stopped in the middle;
/// 408 where it did not come within 30 s.
pub async fn read(headers: &HeaderMap, body: HttpBody, max: usize) -> Result<Bytes, ApiError> {
    let too_large =
        || ApiError::too_large(format!("The body is larger than {max} bytes, which is the most that is taken."));
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > max as u64) {
        return Err(too_large());
    }
    let whole = async {
        let mut chunks = body.into_data_stream();
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| ApiError::bad_request("The body ended before it was whole."))?;
            if whole.len() + chunk.len() > max {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(BODY_TIME_MAX, whole).await.map_err(|_| {
        ApiError::new(
            408,
            408,
            "Request Timeout",
            format!("The body did not come within {} s.", BODY_TIME_MAX.as_secs()),
        )
    })?
}

/// Parses a JSON document.
///
/// # Errors
/// 400 with line and column where it is not JSON, with the path of the field where a value has the wrong type.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request("The body is empty; a JSON document is expected."));
    }
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut document).map_err(|error| explain(&error))?;
    document.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("The body is not valid JSON: {error}."))
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let cause = error.inner();
    if !cause.is_data() {
        return malformed(cause);
    }
    let field = error.path().to_string();
    let reason = cause.to_string();
    if field == "." {
        return ApiError::bad_request(format!("The body is not acceptable: {reason}."));
    }
    ApiError::bad_request(format!("{field}: {reason}.")).with_item(field, reason)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its refusals are looked at")]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its refusals are looked at")]
    struct Line {
        count: u32,
    }

    fn refusal(text: &str) -> String {
        parse::<Order>(text.as_bytes()).unwrap_err().description().to_owned()
    }

    #[test]
    fn malformed_json_is_refused_with_line_and_column() {
        assert!(refusal("{\n  \"lines\": [}").contains("line 2 column 13"), "{}", refusal("{\n  \"lines\": [}"));
        assert!(refusal("{\"lines\": []} x").contains("trailing characters at line 1 column 15"));
        assert!(refusal(" ").contains("empty"));
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_path_of_its_field() {
        let text = refusal(r#"{"lines": [{"count": 1}, {"count": "two"}]}"#);
        assert!(text.starts_with("lines[1].count: invalid type: string \"two\", expected u32"), "{text}");
    }

    #[tokio::test]
    async fn the_body_of_somebody_who_did_not_sign_in_is_small() {
        let request = |is_signed: bool| {
            let text = format!("[\"{}\"]", "x".repeat(ANONYMOUS_BODY_BYTES_MAX));
            let mut request = Request::builder().header(CONTENT_TYPE, "application/json").body(text.into()).unwrap();
            if is_signed {
                let principal = portcullis_model::Principal::system();
                request.extensions_mut().insert(Identity {
                    principal,
                    roles: [].into(),
                    scopes: [].into(),
                    origin: None,
                    is_token: false,
                });
            }
            request
        };
        assert_eq!(Body::<Vec<String>>::from_request(request(false), &()).await.unwrap_err().status(), 413);
        assert_eq!(Body::<Vec<String>>::from_request(request(true), &()).await.unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not() {
        let headers = HeaderMap::new();
        let refused = read(&headers, HttpBody::from(vec![b' '; 11]), 10).await.unwrap_err();
        assert_eq!(refused.status(), 413);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 11.into());
        let never_ends = HttpBody::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(&headers, never_ends, 10).await.unwrap_err().status(), 413);
        assert_eq!(read(&HeaderMap::new(), HttpBody::from(vec![b' '; 10]), 10).await.unwrap().len(), 10);
    }
}
