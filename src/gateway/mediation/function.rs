//! Calls of functions of AWS Lambda out of calls of an API, and the answers to them. How the call is signed is not here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use portcullis_model::lambda::Function;
use serde_json::{Map, Value, json};

use super::target;
use crate::body::ReplyBody;
use crate::http1::hop::is_of_this_hop;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// Names the function's own failure in an answer with status 200.
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Marks the head of a call of a function.
#[derive(Clone, Copy)]
struct Invocation;

/// Says whether a call is one of a function, and no longer what a caller asked for.
pub(crate) fn is_invocation(head: &Parts) -> bool {
    head.extensions.get::<Invocation>().is_some()
}

/// What a call says, for its function.
pub(super) struct Said<'a> {
    pub(super) head: &'a Parts,
    /// The fields that hold credentials.
    pub(super) without: &'a [HeaderName],
    /// What backends are told of the caller, and in which field.
    pub(super) assertion: Option<(&'a HeaderName, &'a str)>,
    pub(super) query: &'a str,
    /// The operation's URI template, and the path that fits it.
    pub(super) template: &'a str,
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
}

impl Said<'_> {
    /// Writes the event that the function is called with, in the original's form.
    pub(super) fn event(&self, function: &Function) -> Bytes {
        let verb = &self.head.method;
        let mut event = json!({
            "headers": self.headers(),
            "pathParameters": self.path_parameters(),
            "queryStringParameters": self.query_parameters(),
            "httpMethod": verb.as_str(),
            "path": self.template,
        });
        let text = std::str::from_utf8(self.body).ok().filter(|_| !function.is_encoded);
        let is_encoded = text.is_none();
        if *verb != Method::GET && *verb != Method::HEAD {
            let body = match text {
                // As the original has it where there is no body.
                _ if self.body.is_empty() => "{}".to_owned(),
                Some(text) => text.to_owned(),
                None => STANDARD.encode(self.body),
            };
            event["body"] = Value::String(body);
        }
        event["isBase64Encoded"] = Value::Bool(is_encoded && !self.body.is_empty());
        event.to_string().into()
    }

    fn headers(&self) -> Map<String, Value> {
        let headers = &self.head.headers;
        let mut written = Map::new();
        for name in headers.keys() {
            if is_of_this_hop(name) || *name == CONTENT_LENGTH || self.without.contains(name) {
                continue;
            }
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            written.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
        }
        if let Some((name, assertion)) = self.assertion {
            written.insert(name.as_str().to_owned(), Value::String(assertion.to_owned()));
        }
        written
    }

    fn path_parameters(&self) -> Map<String, Value> {
        let names = self.template.split('{').skip(1).filter_map(|after| Some(after.split_once('}')?.0));
        let one = |name: &str| {
            let value = target::parameter(self.template, self.path, name)?;
            Some((name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned().into()))
        };
        names.filter_map(one).collect()
    }

    /// Of a parameter that is there several times, the last.
    fn query_parameters(&self) -> Map<String, Value> {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
    }
}

/// Makes the head of a call that of one to a function, and returns the path to it. Nothing that the caller sent is left.
pub(super) fn address(function: &Function, head: &mut Parts) -> String {
    head.method = Method::POST;
    head.headers = HeaderMap::new();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.extensions.insert(Invocation);
    format!("/2015-03-31/functions/{}/invocations", utf8_percent_encode(&function.name, ENCODED))
}

/// Takes what a function answered, as the original does: JSON, with status 200. What AWS says of a call that failed is not
/// the caller's business.
pub(super) fn answer(worker: &Worker, mut response: Response<ReplyBody>) -> Result<Response<ReplyBody>, Refusal> {
    let failed = |why: String| {
        worker.counters.upstream_errors.add(1);
        Err(Refusal::function_failed(why))
    };
    if response.status() != StatusCode::OK {
        return failed(format!("AWS Lambda answered with status {}", response.status().as_u16()));
    }
    if response.headers().contains_key(FUNCTION_ERROR) {
        return failed("the function ended with an error".to_owned());
    }
    let headers = response.headers_mut();
    let of_aws: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("x-amz")).cloned().collect();
    for name in of_aws.iter().chain(&[ETAG]) {
        headers.remove(name);
    }
    if !headers.contains_key(CONTENT_ENCODING) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(verb: &str, encoded: bool, body: &[u8]) -> Value {
        let request = http::Request::builder().method(verb).uri("/").header("x-a", "1").header("x-a", "2");
        let (head, ()) =
            request.header("connection", "close").header("authorization", "secret").body(()).unwrap().into_parts();
        let assertion = HeaderName::from_static("x-jwt-assertion");
        let said = Said {
            head: &head,
            without: &[http::header::AUTHORIZATION],
            assertion: Some((&assertion, "a.b.c")),
            query: "q=1&q=a%20b",
            template: "/menu/{dish}/{size}.json",
            path: "/menu/a%20b/7.json",
            body,
        };
        let function = Function { name: "f".to_owned(), is_encoded: encoded };
        serde_json::from_slice(&said.event(&function)).unwrap()
    }

    #[test]
    fn an_event_tells_the_function_what_was_asked_for_and_no_credentials() {
        let expected = json!({
            "headers": {"x-a": "1, 2", "x-jwt-assertion": "a.b.c"},
            "pathParameters": {"dish": "a b", "size": "7"}, "queryStringParameters": {"q": "a b"},
            "httpMethod": "POST", "path": "/menu/{dish}/{size}.json", "body": "{\"a\":1}", "isBase64Encoded": false,
        });
        assert_eq!(event("POST", false, b"{\"a\":1}"), expected);
        assert_eq!(event("GET", false, b"").get("body"), None);
        assert_eq!(event("PUT", false, b"")["body"], "{}");
        for (encoded, body) in [(true, &b"abc"[..]), (false, b"\xff\xfe")] {
            let event = event("POST", encoded, body);
            assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(STANDARD.encode(body)), &json!(true)));
        }
    }

    #[test]
    fn nothing_of_the_caller_is_left_in_the_call_of_a_function() {
        let (mut head, ()) = http::Request::get("/x").header("cookie", "a=b").body(()).unwrap().into_parts();
        assert!(!is_invocation(&head));
        let name = "arn:aws:lambda:eu-west-1:1:function:f:$LATEST".to_owned();
        let path = address(&Function { name, is_encoded: false }, &mut head);
        assert_eq!(
            path,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af%3A%24LATEST/invocations"
        );
        assert_eq!((&head.method, head.headers.len(), is_invocation(&head)), (&Method::POST, 1, true));
    }
}
