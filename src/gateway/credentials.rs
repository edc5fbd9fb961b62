//! What a caller shows to prove who it is, found in the head of its request. Whether it is good is not decided here.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::request::Parts;
use portcullis_model::internal_key::InternalKey;

use crate::possession;
use crate::refusal::Refusal;
use crate::route::api::CompiledApi;
use crate::route::schemes::Schemes;
use crate::websocket;

/// Characters of a key: what fits into a head, and far more than any key manager issues.
const KEY_CHARS_MAX: usize = 16 << 10;
/// The header of keys with which publishers try out APIs, as in the original.
pub(crate) const INTERNAL_KEY: HeaderName = HeaderName::from_static("internal-key");
/// The query parameter that may hold an API key.
const API_KEY_PARAMETER: &str = "apikey";

/// What kind of key a caller showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    /// An access token.
    Token,
    /// An API key.
    ApiKey,
    /// A name and a password, as they are written in the header.
    Password,
    /// A client certificate, by its digest.
    Certificate,
    /// A key with which a publisher tries out an API.
    Internal,
}

/// A key that a caller showed, as it was written.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) kind: KeyKind,
    pub(crate) text: &'a str,
}

impl<'a> Shown<'a> {
    pub(crate) fn token(text: &'a str) -> Self {
        Self { kind: KeyKind::Token, text }
    }
}

/// A key that a caller showed, kept for as long as a connection lasts.
#[derive(Clone)]
pub(crate) struct OwnedKey {
    pub(crate) kind: KeyKind,
    text: String,
}

impl OwnedKey {
    pub(crate) fn shown(&self) -> Shown<'_> {
        Shown { kind: self.kind, text: &self.text }
    }
}

/// Finds the key of a call, to be kept.
pub(crate) fn owned_key_of(api: &CompiledApi, request: &Parts) -> Result<OwnedKey, Refusal> {
    let shown =
        if api.schemes.is_token_alone { Some(Shown::token(token_of(api, request)?)) } else { key_of(api, request)? };
    // Who shows no key was let in by a certificate.
    let shown = shown.unwrap_or(Shown { kind: KeyKind::Certificate, text: "" });
    Ok(OwnedKey { kind: shown.kind, text: shown.text.to_owned() })
}

/// Reads the name and the password of basic authentication (RFC 7617); `None` where there are none.
pub(crate) fn name_and_password(text: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    (!name.is_empty()).then(|| (name.to_owned(), password.to_owned()))
}

/// Says whether a call opens a WebSocket: browsers let no page set a header on it.
pub(crate) fn opens_websocket(api: &CompiledApi, request: &Parts) -> bool {
    api.is_websocket || (api.graphql.is_some() && websocket::is_asked_for(&request.headers))
}

/// Finds the access token of a call, where the API asks for nothing else.
pub(crate) fn token_of<'a>(api: &CompiledApi, request: &'a Parts) -> Result<&'a str, Refusal> {
    let header = &api.schemes.authorization_header;
    let is_in_query = opens_websocket(api, request) && !request.headers.contains_key(header);
    if let Some(token) = websocket::query_token(request.uri.query()).filter(|_| is_in_query) {
        return checked(token).ok_or_else(Refusal::invalid_credentials);
    }
    let (scheme, token) = written(request, header)?.ok_or_else(Refusal::no_credentials)?;
    let is_token = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case(possession::SCHEME);
    if !is_token || token.is_empty() {
        return Err(Refusal::no_credentials());
    }
    checked(token).ok_or_else(Refusal::invalid_credentials)
}

/// Finds the key of a call among all that the API accepts: the first of the authorization header, the API key's header,
/// the query. `None` where the caller shows none.
///
/// # Errors
/// Where it cannot be said which is meant, or one is not readable.
pub(crate) fn key_of<'a>(api: &CompiledApi, request: &'a Parts) -> Result<Option<Shown<'a>>, Refusal> {
    let Schemes { security, authorization_header, api_key_header, .. } = &api.schemes;
    if (security.has_oauth2 || security.has_basic_auth)
        && let Some((scheme, text)) = written(request, authorization_header)?
    {
        let is = |name: &str| scheme.eq_ignore_ascii_case(name) && !text.is_empty();
        let kind = match () {
            () if security.has_oauth2 && (is("bearer") || is(possession::SCHEME)) => Some(KeyKind::Token),
            () if security.has_basic_auth && is("basic") => Some(KeyKind::Password),
            () => None,
        };
        if let Some(kind) = kind {
            return shown(kind, text);
        }
    }
    if security.has_oauth2
        && opens_websocket(api, request)
        && let Some(token) = websocket::query_token(request.uri.query())
    {
        return shown(KeyKind::Token, token);
    }
    if !security.has_api_key {
        return Ok(None);
    }
    let mut values = request.headers.get_all(api_key_header).iter();
    if let Some(value) = values.next() {
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        return shown(KeyKind::ApiKey, text.ok_or_else(Refusal::invalid_credentials)?.trim());
    }
    let mut parameters = parameters(request.uri.query().unwrap_or_default());
    match (parameters.next(), parameters.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => shown(KeyKind::ApiKey, key),
        // Which one would count is anybody's guess, and the backend's may differ.
        (Some(_), Some(_)) => Err(Refusal::invalid_credentials()),
    }
}

/// Finds the key with which a publisher tries out an API. It is looked for where no other proof was found.
pub(crate) fn internal_key_of(request: &Parts) -> Option<Shown<'_>> {
    let mut values = request.headers.get_all(INTERNAL_KEY).iter();
    let text = values.next()?.to_str().ok().filter(|_| values.next().is_none())?.trim();
    checked(text).filter(|text| InternalKey::is_one(text)).map(|text| Shown { kind: KeyKind::Internal, text })
}

/// Returns a query without the API key, which is none of the backend's business; `None` where nothing else is in it.
pub(crate) fn query_without_key(query: &str) -> Option<Cow<'_, str>> {
    if parameters(query).next().is_none() {
        return Some(Cow::Borrowed(query));
    }
    let kept = query.split('&').filter(|part| part.split('=').next() != Some(API_KEY_PARAMETER));
    let kept = kept.collect::<Vec<_>>().join("&");
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    let parts = query.split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    parts.filter_map(|(name, value)| (name == API_KEY_PARAMETER).then_some(value))
}

fn shown(kind: KeyKind, text: &str) -> Result<Option<Shown<'_>>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    checked(text).map(|text| Some(Shown { kind, text })).ok_or_else(Refusal::invalid_credentials)
}

/// Reads the scheme and the text of an authorization header; `None` where there is none.
fn written<'a>(request: &'a Parts, name: &HeaderName) -> Result<Option<(&'a str, &'a str)>, Refusal> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Which one would count is anybody's guess, and the backend's may differ.
        return Err(Refusal::invalid_credentials());
    }
    let value = value.to_str().map_err(|_| Refusal::invalid_credentials())?;
    let (scheme, text) = value.split_once(' ').unwrap_or((value, ""));
    Ok(Some((scheme, text.trim())))
}

fn checked(text: &str) -> Option<&str> {
    (text.len() <= KEY_CHARS_MAX && !text.contains(' ')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{name_and_password, query_without_key};

    #[test]
    fn the_key_is_taken_out_of_the_query() {
        assert_eq!(query_without_key("a=1&apikey=k&b").as_deref(), Some("a=1&b"));
        assert_eq!(query_without_key("apikey=k"), None);
        assert_eq!(query_without_key("apikey=k&apikey"), None);
        for without in ["", "a=1", "myapikey=k", "APIKEY=k"] {
            assert_eq!(query_without_key(without).as_deref(), Some(without));
        }
    }

    #[test]
    fn a_password_may_hold_colons_and_a_name_may_not_be_missing() {
        let anna = Some(("anna".to_owned(), "p:w".to_owned()));
        assert_eq!(name_and_password("YW5uYTpwOnc="), anna);
        for bad in ["", "?", "YW5uYQ==", "OnB3", "/w=="] {
            assert_eq!(name_and_password(bad), None, "{bad}");
        }
    }
}
