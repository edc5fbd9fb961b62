//! Reads what OAuth clients send: the form in the body, and the client's credentials from header or form (RFC 6749,
//! sections 2.3 and 3.2). What the parameters mean is not known here.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{Extensions, HeaderMap, Request};
use portcullis_http::auth::PathTenant;
use portcullis_http::body;
use portcullis_jose::Unverified;
use portcullis_model::ClientId;
use portcullis_model::port::ShownCertificates;
use url::form_urlencoded;

use crate::bound::FORM_BYTES_MAX;
use crate::messages::{ClientLogin, ClientProof, Evidence};
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// The type of a client's assertion (RFC 7523, section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The header of a proof of possession.
const PROOF: &str = "dpop";

/// The path that a caller used, where a gateway took the request.
#[derive(Clone, Debug)]
pub(super) struct AskedPath(pub String);

/// A request with its parameters.
pub(super) struct Form {
    pub headers: HeaderMap,
    pub parameters: Parameters,
    pub evidence: Evidence,
    /// The tenant in the path, whose users may be named without it.
    pub tenant: Option<PathTenant>,
}

impl Form {
    /// Reads the body of a request.
    pub async fn read(request: Request<Body>) -> Result<Self, OauthError> {
        let (parts, content) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OauthError::invalid_request("Send the parameters as application/x-www-form-urlencoded."));
        }
        let bytes = body::read(&parts.headers, content, FORM_BYTES_MAX)
            .await
            .map_err(|error| OauthError::unreadable(error.status().as_u16(), error.description().to_owned()))?;
        let evidence = evidence(&parts)?;
        let tenant = parts.extensions.get::<PathTenant>().cloned();
        Ok(Self { headers: parts.headers, parameters: Parameters::parse(&bytes)?, evidence, tenant })
    }

    /// Returns the whole name of a user.
    pub fn user(&self, username: &str) -> String {
        self.tenant.as_ref().map_or_else(|| username.to_owned(), |tenant| tenant.whole_name(username))
    }

    /// Returns the caller's credentials as a client's.
    pub fn login(&self) -> Result<ClientLogin, OauthError> {
        Ok(login(&self.headers, &self.parameters)?.client)
    }
}

/// Returns what came with a request beside its parameters.
pub(super) fn evidence(parts: &Parts) -> Result<Evidence, OauthError> {
    let mut proofs = parts.headers.get_all(PROOF).iter();
    let proof = proofs.next().map(|proof| proof.to_str().map(str::to_owned)).transpose();
    let unreadable = || OauthError::told("invalid_dpop_proof", "Send one DPoP header with one proof.");
    let proof = proof.map_err(|_| unreadable())?;
    if proofs.next().is_some() {
        return Err(unreadable());
    }
    let path = parts.extensions.get::<AskedPath>().map_or_else(|| parts.uri.path().to_owned(), |path| path.0.clone());
    let mut shown = parts.extensions.get::<ShownCertificates>().cloned().unwrap_or(ShownCertificates(Vec::new())).0;
    let issuers = shown.split_off(shown.len().min(1));
    let (certificate, origin) = (shown.pop(), origin(&parts.extensions));
    Ok(Evidence { proof, method: parts.method.to_string(), path, certificate, issuers, origin })
}

/// Returns the address that a request came from: as the management port saw it, or as a gateway says.
pub(super) fn origin(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    peer.or_else(|| extensions.get::<SocketAddr>().copied()).map(|peer| peer.ip())
}

/// Credentials of a caller, as a client's (url-decoded) and as they came.
pub(super) struct CallerLogin {
    pub client: ClientLogin,
    pub raw: Option<(String, String)>,
}

/// Returns the caller's credentials: from the `Authorization` header, or else from the form, and not from both.
pub(super) fn login(headers: &HeaderMap, form: &Parameters) -> Result<CallerLogin, OauthError> {
    let Some(header) = headers.get(AUTHORIZATION) else { return login_by_form(form) };
    let pair = header.to_str().ok().and_then(read_basic).ok_or_else(OauthError::invalid_client)?;
    let (id, secret) = pair.split_once(':').ok_or_else(OauthError::invalid_client)?;
    let client = ClientLogin { id: ClientId(url_decoded(id)), proof: ClientProof::Secret(url_decoded(secret)) };
    let names_other_id = form.get("client_id").is_some_and(|named| named != client.id.0);
    if form.get("client_secret").is_some() || form.get("client_assertion").is_some() || names_other_id {
        return Err(OauthError::invalid_request(
            "Send the client's credentials in the header or in the body, not both.",
        ));
    }
    Ok(CallerLogin { client, raw: Some((id.to_owned(), secret.to_owned())) })
}

fn login_by_form(form: &Parameters) -> Result<CallerLogin, OauthError> {
    let id = form.get("client_id");
    if let Some(assertion) = form.get("client_assertion") {
        if form.get("client_assertion_type") != Some(ASSERTION_TYPE) || form.get("client_secret").is_some() {
            return Err(OauthError::invalid_request(format!("client_assertion goes with the type {ASSERTION_TYPE}.")));
        }
        let id = id.map(str::to_owned).or_else(|| subject_of(assertion)).ok_or_else(OauthError::invalid_client)?;
        let client = ClientLogin { id: ClientId(id), proof: ClientProof::Assertion(assertion.to_owned()) };
        return Ok(CallerLogin { client, raw: None });
    }
    let id = id.ok_or_else(OauthError::invalid_client)?;
    let secret = form.get("client_secret");
    let proof = secret.map_or(ClientProof::Nothing, |secret| ClientProof::Secret(secret.to_owned()));
    let raw = secret.map(|secret| (id.to_owned(), secret.to_owned()));
    Ok(CallerLogin { client: ClientLogin { id: ClientId(id.to_owned()), proof }, raw })
}

/// Returns whom an assertion is about; whether it is true is found out with that one's keys.
fn subject_of(assertion: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Subject {
        sub: String,
    }
    Some(Unverified::parse(assertion)?.claims_unchecked::<Subject>()?.sub)
}

fn read_basic(header: &str) -> Option<String> {
    let (scheme, encoded) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
}

/// Undoes the form encoding that RFC 6749 asks of clients. What is not encoded stays as it is.
fn url_decoded(text: &str) -> String {
    // A lone `text` is the name of a parameter; `=` and `&` are kept from being read as separators.
    let guarded = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(guarded.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_credentials_are_url_decoded() {
        assert_eq!(url_decoded("a%20b+c=d&e%25"), "a b c=d&e%");
        assert_eq!(url_decoded(""), "");
    }
}
