//! What is logged of a call by the level that its API has. The access log is another: `crate::access_log`.

use std::fmt::Write as _;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use portcullis_model::call_log::CallLogLevel;
use tracing::info;

use crate::caller;
use crate::client::Client;
use crate::clock::Now;
use crate::credentials;
use crate::gathering::micros;
use crate::route::api::CompiledApi;
use crate::worker::Worker;

/// Fields whose values prove something, besides those of the API.
const SECRET: [HeaderName; 4] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE];
/// Bytes of all the fields of a call, or of an answer, that are logged.
const FIELDS_BYTES_MAX: usize = 8 * 1024;

/// A call that was answered.
pub(crate) struct Answered<'a> {
    pub(crate) request: &'a Parts,
    pub(crate) request_id: &'a str,
    pub(crate) api: Option<&'a CompiledApi>,
    pub(crate) application: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
}

/// Logs a call.
pub(crate) fn write(worker: &Worker, client: &Client, call: &Answered<'_>, level: CallLogLevel, began: Now) {
    let Answered { request, request_id, status, .. } = call;
    let (verb, path) = (&request.method, request.uri.path());
    let caller = caller::address(worker, client, &request.headers);
    let api = call.api.map(|api| api.context.as_str()).unwrap_or_default();
    let application = call.application.unwrap_or_default();
    let took_us = micros(began.instant.elapsed());
    if level == CallLogLevel::Basic {
        info!(target: "access", client = %caller, %verb, path, status, request_id, api, application, took_us, "call");
        return;
    }
    let (asked, answered) = (fields(&request.headers, call.api), fields(call.headers, call.api));
    if level == CallLogLevel::Standard {
        info!(
            target: "access", client = %caller, %verb, path, status, request_id, api, application, took_us, asked, answered,
            "call"
        );
        return;
    }
    let has_key_in_query = call.api.is_some_and(|api| api.schemes.security.has_api_key);
    let query = match request.uri.query() {
        Some(query) if has_key_in_query => credentials::query_without_key(query).unwrap_or_default().into_owned(),
        query => query.unwrap_or_default().to_owned(),
    };
    let length = |headers: &HeaderMap| headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let (asked_bytes, answered_bytes): (Option<u64>, Option<u64>) = (length(&request.headers), length(call.headers));
    info!(
        target: "access", client = %caller, %verb, path, query, status, request_id, api, application, took_us, asked, answered,
        asked_bytes, answered_bytes, "call"
    );
}

/// Returns header fields as one text, without the values of those that prove something.
fn fields(headers: &HeaderMap, api: Option<&CompiledApi>) -> String {
    let is_secret =
        |name: &HeaderName| SECRET.contains(name) || api.is_some_and(|api| api.schemes.secret_headers.contains(name));
    let mut text = String::new();
    for (name, value) in headers {
        let shown = if is_secret(name) { "***" } else { value.to_str().unwrap_or("(not text)") };
        if text.len() + name.as_str().len() + shown.len() > FIELDS_BYTES_MAX {
            text.push_str("; …");
            break;
        }
        let _ = write!(text, "{}{name}: {shown}", if text.is_empty() { "" } else { "; " });
    }
    text
}
