//! One line of the access log. What clients send cannot end a line or a field: it is escaped, as nginx does it or as JSON
//! does. Keys and tokens in the query are left out; headers with credentials are not looked at.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use portcullis_model::Timestamp;
use portcullis_model::access_log::AccessLogForm;
use serde::Serialize;

use crate::call_id::CallId;
use crate::credentials;
use crate::gathering::micros;
use crate::oauth;
use crate::route::api::CompiledApi;
use crate::websocket;

/// A line of which the end is not known yet.
pub(crate) struct Line {
    /// What comes before the number of bytes.
    before: Vec<u8>,
    /// What comes after it, but for JSON, whose last field is the time.
    after: Vec<u8>,
}

/// What is said of a call whose answer begins.
pub(crate) struct Said<'a> {
    pub(crate) began: Timestamp,
    pub(crate) client: IpAddr,
    pub(crate) request: &'a Parts,
    pub(crate) api: Option<&'a CompiledApi>,
    /// Whose key it is.
    pub(crate) user: Option<&'a str>,
    /// The application's name.
    pub(crate) application: Option<&'a str>,
    pub(crate) status: StatusCode,
    /// The code of the fault; 0 for none.
    pub(crate) code: u32,
    pub(crate) request_bytes: u64,
    /// How long the backend took, where one was asked.
    pub(crate) upstream: Option<Duration>,
    pub(crate) request_id: &'a CallId,
}

/// A line in JSON but for what is known at the end.
#[derive(Serialize)]
struct Object<'a> {
    at: String,
    client: IpAddr,
    user: Option<&'a str>,
    verb: &'a str,
    target: Cow<'a, str>,
    protocol: String,
    status: u16,
    code: Option<u32>,
    api: Option<&'a str>,
    application: Option<&'a str>,
    request_id: Cow<'a, str>,
    referrer: Option<Cow<'a, str>>,
    agent: Option<Cow<'a, str>>,
    upstream_us: Option<u64>,
    request_bytes: u64,
}

impl Line {
    pub(crate) fn begin(form: AccessLogForm, said: &Said<'_>) -> Self {
        match form {
            AccessLogForm::Json => Self { before: json(said), after: Vec::new() },
            AccessLogForm::Common => Self { before: common(said), after: Vec::new() },
            AccessLogForm::Combined => {
                let mut after = Vec::new();
                for text in [referrer(said), header(said, USER_AGENT)] {
                    after.extend_from_slice(b" \"");
                    escape(text.as_deref().unwrap_or("-"), &mut after);
                    after.push(b'"');
                }
                Self { before: common(said), after }
            }
        }
    }

    /// Returns how long it is so far.
    pub(crate) fn bytes(&self) -> usize {
        self.before.len() + self.after.len()
    }

    pub(crate) fn end(&self, form: AccessLogForm, response_bytes: u64, took: Duration, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        // Writing to memory does not fail.
        let _ = match form {
            AccessLogForm::Json => {
                writeln!(out, ",\"response_bytes\":{response_bytes},\"took_us\":{}}}", micros(took))
            }
            AccessLogForm::Common | AccessLogForm::Combined => {
                let _ = write!(out, "{response_bytes}");
                out.extend_from_slice(&self.after);
                out.write_all(b"\n")
            }
        };
    }
}

/// `127.0.0.1 - ann [27/Nov/2026:14:38:10 +0000] "GET /menu HTTP/1.1" 200 `
fn common(said: &Said<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(160);
    let at = moment(said.began).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let _ = write!(line, "{} - ", said.client);
    // Key managers of others name users as they like; lines are taken apart at blanks and brackets.
    let user = said.user.unwrap_or("-").replace([' ', '[', ']'], "_");
    escape(&user, &mut line);
    let _ = write!(line, " [{at}] \"{} ", said.request.method);
    escape(&target(said), &mut line);
    let _ = write!(line, " {:?}\" {} ", said.request.version, said.status.as_u16());
    line
}

fn json(said: &Said<'_>) -> Vec<u8> {
    let object = Object {
        at: moment(said.began).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        client: said.client,
        user: said.user,
        verb: said.request.method.as_str(),
        target: target(said),
        protocol: format!("{:?}", said.request.version),
        status: said.status.as_u16(),
        code: Some(said.code).filter(|code| *code > 0),
        api: said.api.map(|api| api.context.as_str()),
        application: said.application,
        request_id: String::from_utf8_lossy(said.request_id.as_bytes()),
        referrer: referrer(said),
        agent: header(said, USER_AGENT),
        upstream_us: said.upstream.map(micros),
        request_bytes: said.request_bytes,
    };
    // Texts and numbers can be written.
    let mut line = serde_json::to_vec(&object).unwrap_or_default();
    // What comes at the end goes on within the object.
    line.pop();
    line
}

/// Returns path and query, without what proves something.
fn target<'a>(said: &'a Said<'_>) -> Cow<'a, str> {
    let (path, query) = (said.request.uri.path(), said.request.uri.query());
    // What the key manager is asked may hold codes and secrets.
    let Some(query) = query.filter(|_| !oauth::is_face(path)) else { return Cow::Borrowed(path) };
    with_query(path, query)
}

/// Puts together what is asked for, without keys and tokens.
fn with_query<'a>(path: &'a str, query: &str) -> Cow<'a, str> {
    let kept = credentials::query_without_key(query).map(|query| websocket::query_without_token(&query));
    match kept.filter(|kept| !kept.is_empty()) {
        Some(kept) => Cow::Owned(format!("{path}?{kept}")),
        None => Cow::Borrowed(path),
    }
}

fn referrer<'a>(said: &'a Said<'_>) -> Option<Cow<'a, str>> {
    let text = header(said, REFERER)?;
    let Some((page, query)) = text.split_once('?') else { return Some(text) };
    Some(Cow::Owned(with_query(page, query).into_owned()))
}

fn header<'a>(said: &'a Said<'_>, name: HeaderName) -> Option<Cow<'a, str>> {
    said.request.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

/// Writes a text so that neither quote, backslash nor control character is in it: `\xHH`, as nginx does.
fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' => out.push(byte),
            other => {
                let _ = write!(out, "\\x{other:02X}");
            }
        }
    }
}
