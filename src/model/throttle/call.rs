//! What policies look at in a call.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

/// One call as policies see it. Everything is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The client's address, as told by trusted proxies only.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The query as it came, without the question mark.
    pub query: &'a str,
    /// The API's context with its version: `/pizza/1.0.0`.
    pub api_context: &'a str,
    /// The API's version.
    pub api_version: &'a str,
    /// The API's tenant.
    pub api_tenant: &'a str,
    /// The operation as the original writes it, see [`resource_key`].
    pub resource_key: &'a str,
    /// Who calls.
    pub caller: Caller<'a>,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The end user with the tenant: `admin@carbon.super`.
    pub user_id: &'a str,
    /// The application's id; empty for calls without a token.
    pub application_id: &'a str,
    /// The application's tenant; empty for calls without a token.
    pub application_tenant: &'a str,
    /// The token's claims.
    pub claims: &'a dyn TokenClaims,
}

/// The claims of a token, as name and text; of a list each item. They may be read no sooner than a policy looks at them.
pub trait TokenClaims: fmt::Debug {
    /// Returns all of them.
    fn all(&self) -> &[(String, String)];
}

impl TokenClaims for Vec<(String, String)> {
    fn all(&self) -> &[(String, String)] {
        self
    }
}

impl Caller<'static> {
    /// Who calls without a token.
    pub const ANONYMOUS: Self =
        Self { user_id: "anonymous", application_id: "", application_tenant: "", claims: &Vec::new() };
}

/// Returns an operation as the original writes it: `{context}/{version}{resource}:{METHOD}`.
#[must_use]
pub fn resource_key(api_context: &str, api_version: &str, target: &str, verb: &str) -> String {
    format!("{api_context}/{api_version}{target}:{verb}")
}

impl<'a> Call<'a> {
    /// Returns the values of a query parameter, decoded, in order. Parameters of which the name or value is no text are
    /// passed over.
    pub fn query_values(&self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .filter(move |(its, _)| decoded(its).is_some_and(|its| its == name))
            .filter_map(|(_, value)| decoded(value))
    }

    /// Returns the values of a claim.
    pub fn claim_values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.caller.claims.all().iter().filter(move |(its, _)| its == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes a part of a query (`+` is a space, `%XX` a byte); allocates only where something is encoded.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['+', '%']) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|decoded| Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_query_is_decoded_and_what_is_no_text_is_passed_over() {
        assert_eq!(decoded("plain").as_deref(), Some("plain"));
        assert_eq!(decoded("a+b%20c%26").as_deref(), Some("a b c&"));
        assert_eq!(decoded("%ff"), None);
    }
}
