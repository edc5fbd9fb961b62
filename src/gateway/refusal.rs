//! What a caller gets when the gateway does not pass a call on: the original's codes, statuses and bodies (facts §5).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use portcullis_model::api::Security;
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::KeyRefusal;
use portcullis_model::{QuotaUnit, Timestamp};
use serde::Serialize;

use crate::body::ReplyBody;
use crate::credentials::KeyKind;
use crate::grpc;
use crate::packing::CannotUnpack;
use crate::route::schemes::Schemes;
use crate::route::trust::Distrust;
use crate::soap::Envelope;
use crate::upstream::UpstreamError;

/// A call that is not passed on, or failed behind the gateway.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    description: Cow<'static, str>,
    space: Space,
    next_access: Option<String>,
    /// What is wrong with the credentials, in the word of RFC 6750.
    error: Option<AuthError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with credentials, in the words of RFC 6750.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthError {
    /// There are none.
    Request,
    /// They are not good.
    Token,
}

impl AuthError {
    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "invalid_request",
            Self::Token => "invalid_token",
        }
    }
}

/// The vocabulary of a refusal: which XML namespace the original gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Security,
    /// What is wrong with a query of GraphQL, which the original tells in the words of security.
    Query,
    Throttling,
    General,
    /// Guardrails tell an object, which is the description.
    Guardrail,
}

#[derive(Serialize)]
struct JsonBody<'a> {
    code: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    message: &'a str,
    description: &'a str,
    #[serde(rename = "nextAccessTime", skip_serializing_if = "Option::is_none")]
    next_access: Option<&'a str>,
}

const REALM: &str = "OAuth2 realm=\"WSO2 API Manager\"";
/// What is said of keys that are no access tokens.
const WRONG: [(KeyKind, &str, &str); 3] = [
    (KeyKind::ApiKey, "900901", "Make sure you have given the correct API key"),
    (KeyKind::ApiKey, "900903", "The API key has expired: have a new one issued"),
    (KeyKind::Password, "900901", "Make sure you have given the correct user name and password"),
];

/// Returns the challenges of what an API accepts (RFC 9110 §11.6.1).
fn challenges(schemes: &Schemes) -> impl Iterator<Item = (KeyKind, &'static str)> {
    let Security { has_oauth2, has_api_key, has_basic_auth, has_mutual_tls, .. } = schemes.security;
    let all = [
        (has_oauth2, KeyKind::Token, "OAuth2"),
        (has_basic_auth, KeyKind::Password, "Basic"),
        (has_api_key, KeyKind::ApiKey, "ApiKey"),
        (has_mutual_tls, KeyKind::Certificate, "MutualTLS"),
    ];
    all.into_iter().filter_map(|(is_on, kind, name)| is_on.then_some((kind, name)))
}

/// Says what a caller has to send.
fn how_to_prove(schemes: &Schemes) -> String {
    let mut ways = Vec::new();
    for (kind, _) in challenges(schemes) {
        let (header, value) = match kind {
            KeyKind::Token => (&schemes.authorization_header, "Bearer ACCESS_TOKEN"),
            KeyKind::Password => (&schemes.authorization_header, "Basic CREDENTIALS"),
            KeyKind::ApiKey => (&schemes.api_key_header, "API_KEY"),
            KeyKind::Certificate | KeyKind::Internal => continue,
        };
        ways.push(format!("\"{}: {value}\"", title(header)));
    }
    let certificate = match (schemes.security.has_mutual_tls, schemes.security.is_mutual_tls_mandatory, ways.is_empty())
    {
        (true, _, true) => return "Make sure your client shows a certificate that the API trusts".to_owned(),
        (true, true, false) => ", and shows a client certificate that the API trusts",
        (true, false, false) if !schemes.security.is_token_mandatory => {
            ", or shows a client certificate that the API trusts"
        }
        _ => "",
    };
    format!("Make sure your API invocation call has a header: {}{certificate}", ways.join(" or "))
}

/// Writes a header's name as people do.
fn title(name: &HeaderName) -> String {
    match name.as_str() {
        "authorization" => "Authorization".to_owned(),
        "apikey" => "ApiKey".to_owned(),
        other => other.to_owned(),
    }
}

impl Refusal {
    fn new(
        status: u16,
        code: &'static str,
        message: &'static str,
        description: impl Into<Cow<'static, str>>,
        space: Space,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let description = description.into();
        Self { status, code, message, description, space, next_access: None, error: None, headers: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    fn security(
        status: u16,
        code: &'static str,
        message: &'static str,
        description: &'static str,
        error: Option<AuthError>,
    ) -> Self {
        let mut refusal = Self::new(status, code, message, description, Space::Security);
        refusal.error = error;
        match error {
            Some(error) => {
                // Messages hold no quotes, descriptions may: a quoted string must not (RFC 9110 §5.6.4).
                let cause = message.trim();
                let error = error.as_str();
                refusal.with(WWW_AUTHENTICATE, &format!("{REALM}, error=\"{error}\", error_description=\"{cause}\""))
            }
            None => refusal,
        }
    }

    pub(crate) fn no_api() -> Self {
        Self::new(404, "404", "Not Found", "The requested resource is not available.", Space::General)
    }

    pub(crate) fn no_resource() -> Self {
        Self::new(
            404,
            "404",
            "No matching resource found for given API Request",
            "The requested resource is not available.",
            Space::General,
        )
    }

    pub(crate) fn other_verb(allowed: &[Method]) -> Self {
        let mut list = String::new();
        for verb in allowed {
            let comma = if list.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(list, "{comma}{verb}");
        }
        let message = "Method Not Allowed";
        Self::new(405, "405", message, "Method not allowed for given API resource", Space::General).with(ALLOW, &list)
    }

    pub(crate) fn bad_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "400", "Bad Request", description, Space::General)
    }

    pub(crate) fn body_too_large() -> Self {
        Self::new(413, "413", "Content Too Large", "The body is larger than is accepted here.", Space::General)
    }

    pub(crate) fn target_too_long() -> Self {
        Self::new(
            414,
            "414",
            "URI Too Long",
            "The target of the request is longer than is accepted here.",
            Space::General,
        )
    }

    pub(crate) fn head_too_large() -> Self {
        let description = "The request has more headers, or longer ones, than are accepted here.";
        Self::new(431, "431", "Request Header Fields Too Large", description, Space::General)
    }

    pub(crate) fn other_version() -> Self {
        let description = "This port speaks HTTP/1.1, HTTP/1.0 and HTTP/2.";
        Self::new(505, "505", "HTTP Version Not Supported", description, Space::General)
    }

    pub(crate) fn key_manager_silent() -> Self {
        let description = "The key manager did not answer in time. Try again.";
        Self::new(503, "503", "Service Unavailable", description, Space::General)
    }

    /// What this node knows is too old to decide by.
    pub(crate) fn out_of_date() -> Self {
        let description = "This gateway has lost contact with the cluster for too long to know who may call. Try again, or call another gateway.";
        Self::new(503, "900990", "Gateway out of date", description, Space::General).with(RETRY_AFTER, "1")
    }

    pub(crate) fn stalled_client() -> Self {
        let description = "The body of the request did not come in time.";
        Self::new(408, "408", "Request Timeout", description, Space::General)
    }

    pub(crate) fn slow_client() -> Self {
        let description = "The body of the request came too slowly. Send it again over a faster connection.";
        Self::new(408, "408", "Request Timeout", description, Space::General)
    }

    pub(crate) fn transport_not_allowed(scheme: &str) -> Self {
        let description = format!("Unsupported Transport [ {scheme} ]. The requested resource is not available.");
        Self::new(403, "403", "Forbidden", description, Space::General)
    }

    pub(crate) fn upgrade_required() -> Self {
        let description = "This API speaks WebSocket: send an HTTP/1.1 GET with Upgrade: websocket, version 13";
        Self::new(426, "426", "Upgrade Required", description, Space::General)
            .with(UPGRADE, "websocket")
            .with(SEC_WEBSOCKET_VERSION, "13")
    }

    /// The backend answered a WebSocket handshake otherwise.
    pub(crate) fn handshake_refused(status: StatusCode) -> Self {
        // What the client did wrong it is told; everything else is the backend's fault.
        let told = if status.is_client_error() { status.as_u16() } else { 502 };
        let description = format!("The back end refused the WebSocket: it answered {}", status.as_u16());
        Self::new(told, "101506", "Runtime Error", description, Space::General)
    }

    pub(crate) fn api_blocked() -> Self {
        let description =
            "This API has been blocked temporarily. Please try again later or contact the system administrators.";
        Self::new(503, "700700", "API blocked", description, Space::General)
    }

    pub(crate) fn no_credentials() -> Self {
        let description = "Make sure your API invocation call has a header: \"Authorization: Bearer ACCESS_TOKEN\"";
        Self::security(401, "900902", "Missing Credentials", description, Some(AuthError::Request))
    }

    pub(crate) fn invalid_credentials() -> Self {
        let description = "Make sure you have given the correct access token";
        Self::security(401, "900901", "Invalid Credentials", description, Some(AuthError::Token))
    }

    /// What a bound token is bound to was not proven (RFC 9449, section 7.1).
    pub(crate) fn no_proof(description: impl Into<Cow<'static, str>>) -> Self {
        let algorithms = portcullis_jose::proof::ALGORITHMS.map(portcullis_jose::Algorithm::name).join(" ");
        let challenge = format!("DPoP error=\"invalid_dpop_proof\", algs=\"{algorithms}\"");
        Self::new(401, "900901", "Invalid Credentials", description, Space::Security).with(WWW_AUTHENTICATE, &challenge)
    }

    /// The token is bound to a certificate that the client does not show (RFC 8705).
    pub(crate) fn wrong_binding(description: &'static str) -> Self {
        Self::security(401, "900901", "Invalid Credentials", description, Some(AuthError::Token))
    }

    pub(crate) fn expired() -> Self {
        let description = "The access token has expired: renew it";
        Self::security(401, "900903", "Access Token Expired", description, Some(AuthError::Token))
    }

    /// The key may not be used from where the call comes from.
    pub(crate) fn wrong_place() -> Self {
        let description = "Access forbidden for the invocations: the key is limited to other addresses or referrers.";
        Self::security(403, "900908", "Resource forbidden ", description, None)
    }

    /// Has the challenge and the words name what an API accepts, where that is not an access token alone. `shown` is the
    /// kind of key that is refused; `None` where none was shown.
    pub(crate) fn challenging(mut self, schemes: &Schemes, shown: Option<KeyKind>) -> Self {
        let Some(error) = self.error.filter(|_| self.status == StatusCode::UNAUTHORIZED) else { return self };
        self.headers.retain(|(name, _)| *name != WWW_AUTHENTICATE);
        if shown.is_none() && error == AuthError::Request {
            self.description = Cow::Owned(how_to_prove(schemes));
        }
        if let Some(description) = WRONG.iter().find(|(kind, code, _)| Some(*kind) == shown && *code == self.code) {
            self.description = Cow::Borrowed(description.2);
        }
        let (message, error) = (self.message.trim(), error.as_str());
        for (kind, name) in challenges(schemes) {
            // What is wrong is said of the kind that was shown, and of all where there was none.
            let is_meant = shown.is_none() || shown == Some(kind);
            let cause =
                if is_meant { format!(", error=\"{error}\", error_description=\"{message}\"") } else { String::new() };
            self = self.with(WWW_AUTHENTICATE, &format!("{name} realm=\"WSO2 API Manager\"{cause}"));
        }
        self
    }

    /// The client's certificate does not prove who calls.
    pub(crate) fn wrong_certificate(why: Distrust) -> Self {
        let description = match why {
            Distrust::Foreign => "The API does not trust the client certificate: have it added to the API",
            Distrust::Expired => "The client certificate has expired, or is not valid yet: renew it",
        };
        Self::security(401, "900901", "Invalid Credentials", description, Some(AuthError::Token))
    }

    pub(crate) fn wrong_token_kind() -> Self {
        let description =
            "The type of the access token (of an application or of a user) is not the one that the resource asks for.";
        let message = "Incorrect Access Token Type is provided";
        Self::security(401, "900905", message, description, Some(AuthError::Token))
    }

    pub(crate) fn no_scope(scopes: &[String]) -> Self {
        let message = "The access token does not allow you to access the requested resource";
        let description = format!(
            "User is NOT authorized to access the Resource. Scope validation failed; one of these is needed: {}",
            scopes.join(" ")
        );
        let challenge = format!(
            "{REALM}, error=\"insufficient_scope\", error_description=\"{message}\", scope=\"{}\"",
            scopes.join(" ")
        );
        Self::new(403, "900910", message, description, Space::Security).with(WWW_AUTHENTICATE, &challenge)
    }

    pub(crate) fn no_endpoint_for(key_type: &str) -> Self {
        let (message, description) = if key_type == "SANDBOX" {
            (
                "Sandbox key offered to the API with no sandbox endpoint",
                "Use a production key, or have a sandbox endpoint added to the API.",
            )
        } else {
            (
                "Production key offered to the API with no production endpoint",
                "Use a sandbox key, or have a production endpoint added to the API.",
            )
        };
        Self::security(403, "900901", message, description, None)
    }

    pub(crate) fn from_key(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Invalid => Self::invalid_credentials(),
            KeyRefusal::Expired => Self::expired(),
            KeyRefusal::Blocked => Self::security(
                401,
                "900907",
                "The requested API is temporarily blocked",
                "The subscription of the application to the API is blocked.",
                Some(AuthError::Token),
            ),
            KeyRefusal::NotSubscribed => Self::security(
                403,
                "900908",
                "Resource forbidden ",
                "User is NOT authorized to access the Resource. API Subscription validation failed.",
                None,
            ),
            KeyRefusal::Inactive => Self::security(
                401,
                "900909",
                "The subscription to the API is inactive",
                "The subscription waits for a decision or was refused.",
                Some(AuthError::Token),
            ),
            KeyRefusal::Unavailable => Self::security(
                500,
                "900900",
                "Unclassified Authentication Failure",
                "The access token could not be checked now. Try again.",
                None,
            ),
        }
    }

    /// The token does not say of its bearer what a policy looks for.
    pub(crate) fn no_claim(name: &str) -> Self {
        let description = format!("Token doesn't contain the claim \"{name}\"");
        Self::new(403, "900913", "Claim Invalid", description, Space::Security)
    }

    /// The token says something else of its bearer than a policy asks for.
    pub(crate) fn wrong_claim() -> Self {
        let description = "The claim configured in the system and the claim provided in the token do not align. \
                           Please ensure the claims match.";
        Self::new(403, "900912", "Claim Mismatch", description, Space::Security)
    }

    /// A deny policy turns the caller away.
    pub(crate) fn denied() -> Self {
        let description = "You have been blocked from accessing the resource";
        Self::new(403, "900805", "Message blocked", description, Space::Throttling)
    }

    /// A quota is used up until `until`.
    pub(crate) fn throttled(level: CounterLevel, unit: QuotaUnit, now: Timestamp, until: Timestamp) -> Self {
        let code = match (level, unit) {
            (CounterLevel::Subscription | CounterLevel::Application, QuotaUnit::Events) => "900808",
            (CounterLevel::Api, _) => "900800",
            (CounterLevel::ApiMaximum, _) => "900801",
            (CounterLevel::Resource, _) => "900802",
            (CounterLevel::Application, _) => "900803",
            (CounterLevel::Subscription, _) => "900804",
            (CounterLevel::Custom, _) => "900806",
            (CounterLevel::SubscriptionBurst, _) => "900807",
            (CounterLevel::ApplicationBurst, _) => "900809",
        };
        let seconds = until.0.saturating_sub(now.0).div_ceil(1000).max(1);
        let next_access = next_access_time(until);
        let mut refusal = if level == CounterLevel::ApiMaximum {
            Self::new(503, code, "API Limit Reached", "API not accepting requests", Space::Throttling)
        } else {
            let description = format!("You have exceeded your quota. You can access API after {next_access}");
            Self::new(429, code, "Message throttled out", description, Space::Throttling)
        };
        refusal.next_access = Some(next_access);
        refusal.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        refusal
    }

    pub(crate) fn from_upstream(error: &UpstreamError) -> Self {
        let (status, code, description) = match error {
            UpstreamError::Connect(_) | UpstreamError::Name(_) => (503, "101503", "Error connecting to the back end"),
            UpstreamError::NoConnectionFree => (503, "101503", "All connections to the back end are in use"),
            UpstreamError::ConnectTimeout => (503, "101504", "Connection to the back end timed out"),
            UpstreamError::HeadTimeout | UpstreamError::Stalled => {
                (503, "101504", "The back end did not answer in time")
            }
            UpstreamError::Closed | UpstreamError::CutOff => (502, "101505", "The back end closed the connection"),
            UpstreamError::Protocol(_) => (502, "101506", "The back end's answer is not valid HTTP"),
            UpstreamError::Send(_) => (502, "101500", "Error sending to the back end"),
            UpstreamError::Receive(_) => (502, "101501", "Error receiving from the back end"),
            UpstreamError::ClientBody => (400, "102511", "The body of the request is incomplete or not valid"),
            UpstreamError::ClientStalled => return Self::stalled_client(),
            UpstreamError::ClientTooSlow => return Self::slow_client(),
            UpstreamError::Suspended { is_alone, ready_in } => return Self::suspended(*is_alone, *ready_in),
        };
        Self::new(status, code, "Runtime Error", description, Space::General)
    }

    /// A body in which something else is said than a guardrail lets pass, with the original's status.
    pub(crate) fn guardrail(fault: &'static str, told: &serde_json::Value) -> Self {
        Self::new(446, "900514", fault, told.to_string(), Space::Guardrail)
    }

    /// A query of GraphQL that is none of its API's schema.
    pub(crate) fn invalid_query(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(422, "900422", "INVALID QUERY", why, Space::Query)
    }

    /// A query of GraphQL that is deeper than the caller's plan allows.
    pub(crate) fn query_too_deep(is: u64, max: u32) -> Self {
        let description = format!("[maximum query depth exceeded {is} > {max}]");
        Self::new(400, "900820", "QUERY TOO DEEP", description, Space::Query)
    }

    /// A query of GraphQL that costs more than the caller's plan allows.
    pub(crate) fn query_too_complex(is: u64, max: u32) -> Self {
        let description = format!("[maximum query complexity exceeded {is} > {max}]");
        Self::new(400, "900821", "QUERY TOO COMPLEX", description, Space::Query)
    }

    /// An event that comes to an API which has no secret to know its source by.
    pub(crate) fn takes_no_events() -> Self {
        let description = "The API takes no events: its publisher has to turn the secret of its topics on";
        Self::new(403, "403", "Forbidden", description, Space::General)
    }

    /// An event that is not signed as the API's events are.
    pub(crate) fn wrong_signature() -> Self {
        let description = "The event is not signed with the API's secret, as its publisher has set that";
        Self::new(403, "403", "Forbidden", description, Space::General)
    }

    /// The plan, or the system, allows no further callback.
    pub(crate) fn too_many_webhooks(why: String) -> Self {
        Self::new(429, "900804", "Message throttled out", why, Space::Throttling)
    }

    /// More callbacks or events are under way than are taken at a time.
    pub(crate) fn too_busy() -> Self {
        let description = "Too much is under way. Try again in a second";
        Self::new(503, "503", "Service Unavailable", description, Space::General).with(RETRY_AFTER, "1")
    }

    /// Each backend is left alone after failures, or is not well.
    fn suspended(is_alone: bool, ready_in: Duration) -> Self {
        let code = if is_alone { "303001" } else { "303000" };
        let description = "The back end has failed and is left alone for a while. Try again later.";
        let seconds = ready_in.as_millis().div_ceil(1_000).max(1).to_string();
        Self::new(503, code, "Runtime Error", description, Space::General).with(RETRY_AFTER, &seconds)
    }

    /// The gateway has nothing by which it could prove itself to the backend now.
    pub(crate) fn no_proof_for_backend() -> Self {
        let description =
            "The gateway could not get what the back end asks of it as proof. Try again, or tell the API's publisher.";
        Self::new(503, "900991", "Back end not accessible", description, Space::General).with(RETRY_AFTER, "1")
    }

    /// The operation is to be carried out by a function, and none is set.
    pub(crate) fn no_function() -> Self {
        let description = "No function of AWS Lambda is set for this operation. Tell the API's publisher.";
        Self::new(501, "501", "Not Implemented", description, Space::General)
    }

    /// The function that carries out the operation could not be called, or failed.
    pub(crate) fn function_failed(why: impl fmt::Display) -> Self {
        let description = format!("The function that carries out this operation gave no answer: {why}.");
        Self::new(502, "101507", "Function failed", description, Space::General)
    }

    /// No policy said where the call is to go.
    pub(crate) fn no_address() -> Self {
        let description = "No policy of this API said to which back end the call goes. Tell the API's publisher.";
        Self::new(503, "303001", "Runtime Error", description, Space::General)
    }

    /// What a policy said is no address that a call can go to.
    pub(crate) fn no_such_address(why: impl fmt::Display) -> Self {
        let description = format!("The back end that was named for this call cannot be called: {why}.");
        Self::new(503, "303001", "Runtime Error", description, Space::General)
    }

    /// The API does not let calls go there.
    pub(crate) fn address_not_allowed() -> Self {
        let description = "The back end that was named for this call is none that the API may call.";
        Self::new(403, "900993", "Back end not allowed", description, Space::General)
    }

    /// More backends were named than are known at a time.
    pub(crate) fn too_many_addresses() -> Self {
        let description = "Too many back ends were named for calls of late. Try again later.";
        Self::new(503, "303001", "Runtime Error", description, Space::General).with(RETRY_AFTER, "1")
    }

    /// A service that has a say in the call did not say anything that can be done.
    pub(crate) fn interceptor_failed() -> Self {
        let description =
            "A service that the API's publisher has look at calls failed. Try again, or tell the API's publisher.";
        Self::new(502, "900992", "Interceptor service failed", description, Space::General)
    }

    /// A body that is looked into cannot be unpacked.
    pub(crate) fn packed(error: &CannotUnpack) -> Self {
        let (status, code, message) = match error {
            CannotUnpack::Coding(_) => (415, "415", "Unsupported Media Type"),
            CannotUnpack::Broken(_) => (400, "400", "Bad Request"),
            CannotUnpack::TooLarge(_) => (413, "413", "Content Too Large"),
        };
        let refusal = Self::new(status, code, message, error.to_string(), Space::General);
        if status == 415 { refusal.with(ACCEPT_ENCODING, "gzip, deflate") } else { refusal }
    }

    /// A call is not what the API's document says.
    pub(crate) fn invalid_call(why: &str) -> Self {
        Self::bad_request(format!("Schema validation failed in the Request: {why}"))
    }

    /// An answer is not what the API's document says.
    pub(crate) fn invalid_answer(why: &str) -> Self {
        let description = format!("Schema validation failed in the Response: {why}");
        Self::new(500, "101510", "Response Processing Failure", description, Space::General)
    }

    /// A policy cannot read what the backend answered.
    pub(crate) fn unreadable_answer(why: impl fmt::Display) -> Self {
        let description = format!("The backend's answer cannot be changed as the API's policies say: {why}.");
        Self::new(500, "101510", "Response Processing Failure", description, Space::General)
    }

    /// Returns what its caller is told.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// Returns the code as a number.
    pub(crate) fn number(&self) -> u32 {
        self.code.parse().unwrap_or(0)
    }

    /// Says whether a quota refused the call.
    pub(crate) fn is_throttled(&self) -> bool {
        self.space == Space::Throttling && self.next_access.is_some()
    }

    /// Says whether a deny policy turned the caller away.
    pub(crate) fn is_denied(&self) -> bool {
        self.space == Space::Throttling && self.next_access.is_none()
    }

    /// Says whether the credentials, the subscription or the scope refused the call.
    pub(crate) fn is_about_credentials(&self) -> bool {
        self.space == Space::Security
    }

    /// Makes the answer: JSON, XML where the request asks for that, or a fault of SOAP where it is a call of that.
    pub(crate) fn into_response(self, request: &HeaderMap) -> Response<ReplyBody> {
        self.into_response_as(request, false)
    }

    /// The same, in JSON whatever the caller asked for, but for calls of gRPC.
    pub(crate) fn into_response_as(self, request: &HeaderMap, is_json: bool) -> Response<ReplyBody> {
        if grpc::is_call(request) {
            return self.into_grpc();
        }
        let (body, content_type) = match Envelope::of(request).filter(|_| !is_json) {
            Some(envelope) => (envelope.fault(self.status, self.message, &self.xml()), envelope.content_type()),
            None if !is_json && prefers_xml(request) => {
                (self.xml(), HeaderValue::from_static("application/xml; charset=UTF-8"))
            }
            None => (self.json(), HeaderValue::from_static("application/json; charset=UTF-8")),
        };
        let mut response = Response::new(ReplyBody::whole(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }

    /// Makes the answer to a call of gRPC, whose caller reads a status of its own.
    fn into_grpc(self) -> Response<ReplyBody> {
        let text =
            format!("{}: {}", self.code, if self.description.is_empty() { self.message } else { &self.description });
        let fields = grpc::refusal(self.status, self.code == "101504", &text);
        let mut response = Response::new(ReplyBody::whole(Bytes::new()));
        let headers = response.headers_mut();
        for (name, value) in self.headers.into_iter().chain(fields) {
            headers.append(name, value);
        }
        response
    }

    fn json(&self) -> String {
        if self.space == Space::Guardrail {
            let told: serde_json::Value = serde_json::from_str(&self.description).unwrap_or_default();
            return serde_json::json!({"code": self.code, "type": self.message, "message": told}).to_string();
        }
        let body = JsonBody {
            code: self.code,
            kind: (self.space == Space::General).then_some("Status report"),
            message: self.message,
            description: &self.description,
            next_access: self.next_access.as_deref(),
        };
        serde_json::to_string(&body).expect("a struct of texts is always JSON")
    }

    fn xml(&self) -> String {
        let (prefix, space) = match self.space {
            Space::Security | Space::Query => ("ams", "http://wso2.org/apimanager/security"),
            Space::Throttling => ("amt", "http://wso2.org/apimanager/throttling"),
            Space::General | Space::Guardrail => ("am", "http://wso2.org/apimanager"),
        };
        let mut xml = format!("<{prefix}:fault xmlns:{prefix}=\"{space}\">");
        let mut element = |name: &str, text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            // Writing to a string cannot fail.
            let _ = write!(xml, "<{prefix}:{name}>{text}</{prefix}:{name}>");
        };
        element("code", self.code);
        if self.space == Space::General {
            element("type", "Status report");
        }
        element("message", self.message);
        element("description", &self.description);
        if let Some(next_access) = &self.next_access {
            element("nextAccessTime", next_access);
        }
        // Writing to a string cannot fail.
        let _ = write!(xml, "</{prefix}:fault>");
        xml
    }
}

/// Says whether `Accept` names an XML type before any JSON type.
fn prefers_xml(request: &HeaderMap) -> bool {
    let texts = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in texts.flat_map(|text| text.split(',')) {
        let kind = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/xml" | "text/xml" => return true,
            _ if kind.ends_with("/json") || kind.ends_with("+json") => return false,
            _ => {}
        }
    }
    false
}

/// Writes a time as the original does: `yyyy-MMM-dd HH:mm:ssZ`, in UTC.
fn next_access_time(at: Timestamp) -> String {
    // Rounded up to a whole second, so that whoever comes back then is not too early.
    let seconds = i64::try_from(at.0.div_ceil(1000)).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| String::new(), |time| time.strftime("%Y-%b-%d %H:%M:%S+0000").to_string())
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use http::{HeaderMap, HeaderValue};
    use portcullis_model::counter::CounterLevel;
    use portcullis_model::{QuotaUnit, Timestamp};

    use super::{Refusal, next_access_time, prefers_xml};

    #[test]
    fn bodies_have_the_form_of_the_original() {
        assert_eq!(
            Refusal::from_key(portcullis_model::port::KeyRefusal::NotSubscribed).json(),
            r#"{"code":"900908","message":"Resource forbidden ","description":"User is NOT authorized to access the Resource. API Subscription validation failed."}"#
        );
        let throttled =
            Refusal::throttled(CounterLevel::Subscription, QuotaUnit::Requests, Timestamp(0), Timestamp(60_000));
        assert_eq!(
            throttled.xml(),
            "<amt:fault xmlns:amt=\"http://wso2.org/apimanager/throttling\"><amt:code>900804</amt:code>\
             <amt:message>Message throttled out</amt:message><amt:description>You have exceeded your quota. You can \
             access API after 1970-Jan-01 00:01:00+0000</amt:description>\
             <amt:nextAccessTime>1970-Jan-01 00:01:00+0000</amt:nextAccessTime></amt:fault>"
        );
    }

    #[test]
    fn times_are_never_too_early() {
        assert_eq!(next_access_time(Timestamp(1_700_000_000_001)), "2023-Nov-14 22:13:21+0000");
    }

    #[test]
    fn xml_is_sent_to_those_who_ask_for_it_first() {
        let prefers =
            |accept: &'static str| prefers_xml(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        assert!(prefers("text/xml"));
        assert!(prefers("text/html, application/xml;q=0.9"));
        assert!(!prefers("application/json, application/xml"));
        assert!(!prefers("*/*"));
    }
}
