//! Calls of functions of AWS Lambda out of calls of an API, and the answers to them. How the call is signed is not here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use portcullis_model::lambda::Function;
use serde_json::{Map, Value, json};

use super::target;
use crate::body::ReplyBody;
use crate::refusal::Refusal;
use crate::upstream::request::{Fields, Outgoing};
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
    /// As it would go to a backend.
    pub(super) call: Outgoing<'a>,
    /// The operation's URI template, which the call's path fits.
    pub(super) template: &'a str,
    pub(super) body: &'a [u8],
}

impl Said<'_> {
    /// Writes the event that the function is called with, in the original's form.
    pub(super) fn event(&self, function: &Function) -> Bytes {
        let verb = &self.call.request.method;
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

    /// What a backend would be told, by the same rules: a function trusts the gateway's word as backends do.
    fn headers(&self) -> Map<String, Value> {
        let mut written = Written::default();
        self.call.write_told(&mut written);
        written.fields
    }

    fn path_parameters(&self) -> Map<String, Value> {
        let names = self.template.split('{').skip(1).filter_map(|after| Some(after.split_once('}')?.0));
        let one = |name: &str| {
            let value = target::parameter(self.template, self.call.rest, name)?;
            Some((name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned().into()))
        };
        names.filter_map(one).collect()
    }

    /// Of a parameter that is there several times, the last.
    fn query_parameters(&self) -> Map<String, Value> {
        let pairs = url::form_urlencoded::parse(self.call.query.unwrap_or_default().as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
    }
}

/// Header fields as an event has them: several with one name are one, as one field would be written (RFC 9110 §5.3).
#[derive(Default)]
struct Written {
    fields: Map<String, Value>,
    name: String,
    value: Vec<u8>,
}

impl Fields for Written {
    fn begin(&mut self, name: &str) {
        self.name.clear();
        self.name.push_str(name);
        self.value.clear();
    }

    fn part(&mut self, bytes: &[u8]) {
        self.value.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        let value = String::from_utf8_lossy(&self.value);
        if let Some(Value::String(earlier)) = self.fields.get_mut(&self.name) {
            earlier.push_str(", ");
            earlier.push_str(&value);
        } else {
            self.fields.insert(self.name.clone(), Value::String(value.into_owned()));
        }
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
    use crate::call_id::CallId;
    use crate::upstream::request::BodyLength;

    /// Returns the event of a call with these fields besides those that each has.
    fn event_with(fields: &[(&str, &str)], verb: &str, encoded: bool, body: &[u8]) -> Value {
        let mut request = http::Request::builder().method(verb).uri("/").header("host", "api.example");
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("authorization", "secret")].iter().chain(fields) {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let assertion = HeaderName::from_static("x-jwt-assertion");
        let call = Outgoing {
            request: &head,
            rest: "/menu/a%20b/7.json",
            query: Some("q=1&q=a%20b"),
            without: &[assertion.clone(), http::header::AUTHORIZATION],
            assertion: Some((&assertion, "a.b.c")),
            shown: None,
            client_ip: "192.0.2.7",
            is_https: true,
            is_trusted_proxy: false,
            request_id: &CallId::Given(HeaderValue::from_static("of this call")),
            traceparent: None,
            body: BodyLength::None,
            is_upgrade: false,
            is_to_be_read: false,
            repeats: None,
        };
        let said = Said { call, template: "/menu/{dish}/{size}.json", body };
        let function = Function { name: "f".to_owned(), is_encoded: encoded };
        serde_json::from_slice(&said.event(&function)).unwrap()
    }

    fn event(verb: &str, encoded: bool, body: &[u8]) -> Value {
        event_with(&[("connection", "close")], verb, encoded, body)
    }

    #[test]
    fn what_an_event_says_of_the_caller_is_the_gateways_word() {
        let forged = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "internal"),
            ("x_forwarded_for", "198.51.100.2"),
            ("x-jwt-assertion", "forged"),
            ("x_jwt_assertion", "forged"),
            ("x-jwt_assertion", "forged"),
            ("x-request-id", "forged"),
            ("connection", "close, X-Of-Hop"),
            ("x-of-hop", "1"),
            ("proxy-authorization", "secret"),
            ("content-length", "9"),
            ("cookie", "a=b"),
            ("cookie", "c=d"),
        ];
        let expected = json!({
            "x-a": "1, 2", "x-jwt-assertion": "a.b.c", "x-request-id": "of this call", "cookie": "a=b; c=d",
            "x-forwarded-for": "198.51.100.1, 192.0.2.7", "x-forwarded-proto": "https",
            "x-forwarded-host": "api.example",
        });
        assert_eq!(event_with(&forged, "GET", false, b"")["headers"], expected);
    }

    #[test]
    fn an_event_tells_the_function_what_was_asked_for_and_no_credentials() {
        let expected = json!({
            "headers": {
                "x-a": "1, 2", "x-jwt-assertion": "a.b.c", "x-request-id": "of this call",
                "x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example",
            },
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
