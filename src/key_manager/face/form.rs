//! Reads what OAuth clients send: the form in the body, and the client's credentials from header or form (RFC 6749,
//! sections 2.3 and 3.2). What the parameters mean is not known here.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use portcullis_http::body;
use portcullis_model::ClientId;
use url::form_urlencoded;

use crate::bound::{FORM_BYTES_MAX, FORM_FIELDS_MAX};
use crate::messages::ClientLogin;
use crate::oauth_error::OauthError;

/// The parameters of a form, each at most once.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the body of a request.
    pub async fn read(request: Request<Body>) -> Result<(HeaderMap, Self), OauthError> {
        let (parts, content) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OauthError::invalid_request("Send the parameters as application/x-www-form-urlencoded."));
        }
        let bytes = body::read(&parts.headers, content, FORM_BYTES_MAX)
            .await
            .map_err(|error| OauthError::unreadable(error.status().as_u16(), error.description().to_owned()))?;
        Ok((parts.headers, Self::parse(&bytes)?))
    }

    fn parse(bytes: &[u8]) -> Result<Self, OauthError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if fields.len() == FORM_FIELDS_MAX {
                return Err(OauthError::invalid_request(format!("At most {FORM_FIELDS_MAX} parameters are taken.")));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(OauthError::invalid_request(format!("The parameter {name} was sent twice.")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// Returns a parameter; one without a value counts as left out.
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        field.map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that must be there.
    pub fn need(&self, name: &str) -> Result<&str, OauthError> {
        self.get(name).ok_or_else(|| OauthError::invalid_request(format!("The parameter {name} is missing.")))
    }
}

/// Credentials of a caller, as a client's (url-decoded) and as they came.
pub(super) struct CallerLogin {
    pub client: ClientLogin,
    pub raw: ClientLogin,
}

/// Returns the caller's credentials: from the `Authorization` header, or else from the form, and not from both.
pub(super) fn login(headers: &HeaderMap, form: &Form) -> Result<CallerLogin, OauthError> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        let (Some(id), Some(secret)) = (form.get("client_id"), form.get("client_secret")) else {
            return Err(OauthError::invalid_client());
        };
        let login = ClientLogin { id: ClientId(id.to_owned()), secret: secret.to_owned() };
        return Ok(CallerLogin { client: login.clone(), raw: login });
    };
    let pair = header.to_str().ok().and_then(read_basic).ok_or_else(OauthError::invalid_client)?;
    let (id, secret) = pair.split_once(':').ok_or_else(OauthError::invalid_client)?;
    let client = ClientLogin { id: ClientId(url_decoded(id)), secret: url_decoded(secret) };
    let names_other_id = form.get("client_id").is_some_and(|named| named != client.id.0);
    if form.get("client_secret").is_some() || names_other_id {
        return Err(OauthError::invalid_request(
            "Send the client's credentials in the header or in the body, not both.",
        ));
    }
    let raw = ClientLogin { id: ClientId(id.to_owned()), secret: secret.to_owned() };
    Ok(CallerLogin { client, raw })
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
    fn a_parameter_sent_twice_is_refused_and_an_empty_one_is_left_out() {
        assert!(Form::parse(b"scope=a&scope=b").is_err());
        assert_eq!(Form::parse(b"scope=&x=1").unwrap().get("scope"), None);
    }

    #[test]
    fn a_clients_credentials_are_url_decoded() {
        assert_eq!(url_decoded("a%20b+c=d&e%25"), "a b c=d&e%");
        assert_eq!(url_decoded(""), "");
    }
}
