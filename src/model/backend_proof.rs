//! How gateways prove themselves to the backends of an API: the contract's `endpointConfig.endpoint_security`, read.
//!
//! The document is the one that is kept: its secrets are sealed, and stay so here.

use serde_json::{Map, Value};
use url::Url;

use crate::lambda::LambdaEndpoint;
use crate::sealed::Sealed;

/// Characters of a field that is no secret.
const CHARS_MAX: usize = 2_048;
/// Parameters that a publisher may add to the request for a token.
const PARAMETERS_MAX: usize = 20;

/// How gateways prove themselves to the backends of an API, by key type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendProofs {
    /// To those of production keys.
    pub production: Option<BackendProof>,
    /// To those of sandbox keys.
    pub sandbox: Option<BackendProof>,
}

/// How gateways prove themselves to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendProof {
    /// By name and password with each call (RFC 7617).
    Basic(Login),
    /// By name and password, which are not sent (RFC 7616).
    Digest(Login),
    /// By a key in a header field.
    KeyInHeader {
        /// The field's name.
        name: String,
        /// The key.
        value: Sealed,
    },
    /// By a key in the query.
    KeyInQuery {
        /// The parameter's name.
        name: String,
        /// The key.
        value: Sealed,
    },
    /// By a token of an OAuth 2 server (RFC 6749).
    Token(TokenRequest),
    /// By a signature over each call (AWS Signature Version 4).
    Signature {
        /// The id of the key.
        access_key: String,
        /// The key.
        secret_key: Sealed,
        /// The region, such as `us-east-1`.
        region: String,
        /// The service, such as `execute-api`.
        service: String,
    },
    /// By the same signature for AWS Lambda, over calls of an API's functions and no others.
    Invocation(LambdaEndpoint),
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Sealed,
}

/// How a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where.
    pub url: String,
    /// By which client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Sealed,
    /// For which user (the password grant); for the client itself where there is none (client credentials).
    pub user: Option<Login>,
    /// What is sent beside, by name.
    pub parameters: Vec<(String, String)>,
}

/// What is wrong with a document: where in it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProof {
    /// The place, such as `endpoint_security.production.tokenUrl`.
    pub place: String,
    /// Why it is not accepted.
    pub reason: String,
}

impl BackendProofs {
    /// Reads the proofs out of an `endpointConfig` whose secrets are sealed, and what is wrong with them.
    #[must_use]
    pub fn of_document(endpoints: &Value) -> (Self, Vec<BadProof>) {
        match LambdaEndpoint::of_document(endpoints) {
            None => {}
            Some(Err(bad)) => return (Self::default(), vec![bad]),
            Some(Ok(lambda)) => {
                let proof = Some(BackendProof::Invocation(lambda));
                return (Self { production: proof.clone(), sandbox: proof }, Vec::new());
            }
        }
        let mut faults = Vec::new();
        let mut side = |name: &'static str| {
            let fields = match endpoints.get("endpoint_security").and_then(|security| security.get(name)) {
                None | Some(Value::Null) => return None,
                Some(Value::Object(fields)) => fields,
                Some(_) => {
                    faults.push(BadProof::new(name, "", "must be an object"));
                    return None;
                }
            };
            let read = Fields(fields).proof();
            read.unwrap_or_else(|(field, reason)| {
                faults.push(BadProof::new(name, field, reason));
                None
            })
        };
        let proofs = Self { production: side("production"), sandbox: side("sandbox") };
        (proofs, faults)
    }

    /// Says whether calls need no proof.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.production.is_none() && self.sandbox.is_none()
    }
}

impl BadProof {
    fn new(side: &str, field: &str, reason: impl Into<String>) -> Self {
        let dot = if field.is_empty() { "" } else { "." };
        Self { place: format!("endpoint_security.{side}{dot}{field}"), reason: reason.into() }
    }
}

/// A field, and what is wrong with it.
type Bad = (&'static str, String);

/// The fields of one side.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn proof(&self) -> Result<Option<BackendProof>, Bad> {
        let is_on = match self.0.get("enabled") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is_on)) => *is_on,
            Some(Value::String(text)) if text.is_empty() || text.eq_ignore_ascii_case("false") => false,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(_) => return Err(("enabled", "must be true or false".to_owned())),
        };
        if !is_on {
            return Ok(None);
        }
        self.check_proxy()?;
        let kind = self.text_or_empty("type")?;
        Ok(Some(match kind.to_ascii_lowercase().as_str() {
            "none" => return Ok(None),
            "basic" => BackendProof::Basic(self.login()?),
            "digest" => BackendProof::Digest(self.login()?),
            "apikey" | "api_key" => self.key()?,
            "oauth" => BackendProof::Token(self.token_request()?),
            "aws" => BackendProof::Signature {
                access_key: self.text("accessKey")?,
                secret_key: self.secret("secretKey")?,
                region: self.text("region")?,
                service: self.text("service")?,
            },
            _ => return Err(("type", format!("is `{kind}`; NONE, BASIC, DIGEST, OAUTH, apikey and aws are served"))),
        }))
    }

    fn check_proxy(&self) -> Result<(), Bad> {
        let is_on = self.0.get("proxyConfigs").and_then(|proxy| proxy.get("proxyEnabled"));
        let is_off = match is_on {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::String(text)) => !text.eq_ignore_ascii_case("true"),
            Some(_) => false,
        };
        if is_off { Ok(()) } else { Err(("proxyConfigs", "gateways reach backends without a proxy".to_owned())) }
    }

    fn login(&self) -> Result<Login, Bad> {
        let username = self.text("username")?;
        if username.contains(':') {
            return Err(("username", "must not hold a colon".to_owned()));
        }
        Ok(Login { username, password: self.secret("password")? })
    }

    fn key(&self) -> Result<BackendProof, Bad> {
        let (name, value) = (self.text("apiKeyIdentifier")?, self.secret("apiKeyValue")?);
        match self.text_or_empty("apiKeyIdentifierType")?.to_ascii_uppercase().as_str() {
            "" | "HEADER" => {
                let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !is_framing(&name));
                if !is_name {
                    return Err(("apiKeyIdentifier", format!("`{name}` is not a header field that may be set")));
                }
                Ok(BackendProof::KeyInHeader { name, value })
            }
            "QUERY_PARAMETER" | "QUERY" => Ok(BackendProof::KeyInQuery { name, value }),
            other => Err(("apiKeyIdentifierType", format!("is `{other}`; HEADER and QUERY_PARAMETER are served"))),
        }
    }

    fn token_request(&self) -> Result<TokenRequest, Bad> {
        let user = match self.text_or_empty("grantType")?.to_ascii_uppercase().as_str() {
            "" | "CLIENT_CREDENTIALS" => None,
            "PASSWORD" => Some(Login { username: self.text("username")?, password: self.secret("password")? }),
            other => return Err(("grantType", format!("is `{other}`; CLIENT_CREDENTIALS and PASSWORD are served"))),
        };
        let url = self.text("tokenUrl")?;
        let is_url = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_url {
            return Err(("tokenUrl", format!("`{url}` must be an absolute http or https URL")));
        }
        Ok(TokenRequest {
            url,
            client_id: self.text("clientId")?,
            client_secret: self.secret("clientSecret")?,
            user,
            parameters: self.parameters()?,
        })
    }

    /// Reads what is sent beside: an object of texts, or that as text, as the original's portal sends it.
    fn parameters(&self) -> Result<Vec<(String, String)>, Bad> {
        const FIELD: &str = "customParameters";
        let must = || (FIELD, "must be an object of texts".to_owned());
        let document = match self.0.get(FIELD) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| must())?,
            Some(document) => document.clone(),
        };
        let Value::Object(fields) = document else { return Err(must()) };
        if fields.len() > PARAMETERS_MAX {
            return Err((FIELD, format!("at most {PARAMETERS_MAX} are accepted")));
        }
        let pairs = fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            _ => Err(must()),
        });
        pairs.collect()
    }

    fn text_or_empty(&self, name: &'static str) -> Result<String, Bad> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) if text.chars().count() > CHARS_MAX => {
                Err((name, format!("has more than {CHARS_MAX} characters")))
            }
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                Err((name, "must not hold control characters".to_owned()))
            }
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(_) => Err((name, "must be a text".to_owned())),
        }
    }

    fn text(&self, name: &'static str) -> Result<String, Bad> {
        let text = self.text_or_empty(name)?;
        if text.is_empty() { Err((name, "must be there with this type of security".to_owned())) } else { Ok(text) }
    }

    fn secret(&self, name: &'static str) -> Result<Sealed, Bad> {
        let sealed = self.0.get(name).and_then(Value::as_str).and_then(Sealed::of_text);
        sealed.ok_or_else(|| (name, "must be there: none is kept from before".to_owned()))
    }
}

/// Says whether a header field says where a message goes and where it ends.
fn is_framing(name: &http::HeaderName) -> bool {
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"]
        .contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut side: Value) -> Result<Option<BackendProof>, BadProof> {
        side["enabled"] = json!(true);
        let (proofs, mut faults) = BackendProofs::of_document(&json!({"endpoint_security": {"production": side}}));
        faults.pop().map_or(Ok(proofs.production), Err)
    }

    fn sealed() -> (Sealed, String) {
        let sealed = Sealed(vec![1, 2, 3]);
        let text = sealed.to_text();
        (sealed, text)
    }

    #[test]
    fn each_type_of_the_contract_is_read() {
        let (secret, text) = sealed();
        let login = || Login { username: "u".to_owned(), password: secret.clone() };
        let basic = json!({"type": "BASIC", "username": "u", "password": text});
        assert_eq!(read(basic), Ok(Some(BackendProof::Basic(login()))));
        let digest = json!({"type": "digest", "username": "u", "password": text});
        assert_eq!(read(digest), Ok(Some(BackendProof::Digest(login()))));
        let key = json!({"type": "apikey", "apiKeyIdentifier": "x-key", "apiKeyValue": text, "apiKeyIdentifierType": "HEADER"});
        assert_eq!(read(key), Ok(Some(BackendProof::KeyInHeader { name: "x-key".to_owned(), value: secret.clone() })));
        let oauth = json!({
            "type": "OAUTH", "grantType": "PASSWORD", "tokenUrl": "https://a/t", "clientId": "c", "clientSecret": text,
            "username": "u", "password": text, "customParameters": "{\"scope\": \"a b\"}",
        });
        let Ok(Some(BackendProof::Token(request))) = read(oauth) else { panic!("a token is meant") };
        assert_eq!((request.user, request.parameters), (Some(login()), vec![("scope".to_owned(), "a b".to_owned())]));
        assert_eq!(read(json!({"type": "NONE"})), Ok(None));
        let off = json!({"endpoint_security": {"sandbox": {"enabled": false, "type": "?"}}});
        assert_eq!(BackendProofs::of_document(&off), (BackendProofs::default(), Vec::new()));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let (_, text) = sealed();
        for (side, field) in [
            (json!({"type": "kerberos"}), "type"),
            (json!({"type": "BASIC", "username": "u"}), "password"),
            (json!({"type": "BASIC", "username": "u", "password": "plain"}), "password"),
            (json!({"type": "BASIC", "password": text}), "username"),
            (json!({"type": "BASIC", "username": "a:b", "password": text}), "username"),
            (json!({"type": "OAUTH", "tokenUrl": "x", "clientId": "c", "clientSecret": text}), "tokenUrl"),
            (json!({"type": "OAUTH", "grantType": "IMPLICIT"}), "grantType"),
            (json!({"type": "apikey", "apiKeyIdentifier": "content-length", "apiKeyValue": text}), "apiKeyIdentifier"),
            (json!({"type": "BASIC", "proxyConfigs": {"proxyEnabled": true}}), "proxyConfigs"),
        ] {
            let fault = read(side.clone()).unwrap_err();
            assert_eq!(fault.place, format!("endpoint_security.production.{field}"), "{side}: {}", fault.reason);
        }
    }
}
