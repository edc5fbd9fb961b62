//! What nodes say to each other about keys.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::port::{
    AuthenticationRefusal, Identity, IssueRefusal, IssuedApiKey, IssuedToken, KeyQuestion, KeyRefusal, KeyVerdict,
    ShownCertificates, ShownKey,
};
use portcullis_model::{ApiId, ClientId, Timestamp};
use serde::{Deserialize, Serialize};

/// The path of key validation.
pub(super) const VALIDATE: &str = "/validate";
/// The path of tokens that are spent.
pub(super) const SPEND: &str = "/spend";
/// The path of authentication.
pub(super) const AUTHENTICATE: &str = "/authenticate";
/// The path of tokens for the Store.
pub(super) const ISSUE: &str = "/issue";
/// The path of API keys for the Store.
pub(super) const ISSUE_API_KEY: &str = "/issue-api-key";
/// The path below which the OAuth face answers as it does on a gateway.
pub(super) const OAUTH: &str = "/oauth";
/// Who called the gateway.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("x-portcullis-client");

/// Asks what a key is good for at an API.
#[derive(Serialize, Deserialize)]
pub(super) struct Question {
    /// The key; of a password, the user's name.
    pub token: String,
    pub api: ApiId,
    #[serde(default)]
    pub kind: ShownKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default)]
    pub wants_assertion: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<IpAddr>,
}

/// Has a token spent.
#[derive(Serialize, Deserialize)]
pub(super) struct Spending {
    pub token: String,
    /// Until when it was found good.
    pub until: Timestamp,
}

/// The answer to [`Spending`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Spent {
    Now,
    /// The original's number.
    Refusal {
        code: u32,
    },
}

impl From<Result<(), KeyRefusal>> for Spent {
    fn from(spent: Result<(), KeyRefusal>) -> Self {
        spent.map_or_else(|refusal| Self::Refusal { code: refusal.code() }, |()| Self::Now)
    }
}

impl From<Spent> for Result<(), KeyRefusal> {
    fn from(spent: Spent) -> Self {
        match spent {
            Spent::Now => Ok(()),
            Spent::Refusal { code } => Err(KeyRefusal::of_code(code)),
        }
    }
}

/// What kind of key is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShownKind {
    #[default]
    Token,
    ApiKey,
    Password,
}

impl From<KeyQuestion<'_>> for Question {
    fn from(asked: KeyQuestion<'_>) -> Self {
        let (kind, token, password) = match asked.shown {
            ShownKey::Token(token) => (ShownKind::Token, token, None),
            ShownKey::ApiKey(key) => (ShownKind::ApiKey, key, None),
            ShownKey::Password { username, password } => (ShownKind::Password, username, Some(password.to_owned())),
        };
        let KeyQuestion { api, wants_assertion, origin, .. } = asked;
        Self { token: token.to_owned(), api, kind, password, wants_assertion, origin }
    }
}

impl Question {
    /// Returns the question as the port has it.
    pub fn as_asked(&self) -> KeyQuestion<'_> {
        let shown = match self.kind {
            ShownKind::Token => ShownKey::Token(&self.token),
            ShownKind::ApiKey => ShownKey::ApiKey(&self.token),
            ShownKind::Password => {
                ShownKey::Password { username: &self.token, password: self.password.as_deref().unwrap_or_default() }
            }
        };
        KeyQuestion { shown, api: self.api, wants_assertion: self.wants_assertion, origin: self.origin }
    }
}

/// The answer to [`Question`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validated {
    Verdict(Box<KeyVerdict>),
    /// The original's number; the word is for people.
    Refusal {
        code: u32,
        reason: String,
    },
}

impl From<Result<KeyVerdict, KeyRefusal>> for Validated {
    fn from(judged: Result<KeyVerdict, KeyRefusal>) -> Self {
        match judged {
            Ok(verdict) => Self::Verdict(Box::new(verdict)),
            Err(refusal) => Self::Refusal { code: refusal.code(), reason: refusal.to_string() },
        }
    }
}

impl From<Validated> for Result<KeyVerdict, KeyRefusal> {
    fn from(validated: Validated) -> Self {
        match validated {
            Validated::Verdict(verdict) => Ok(*verdict),
            Validated::Refusal { code, .. } => Err(KeyRefusal::of_code(code)),
        }
    }
}

/// Asks who is behind credentials.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shown {
    Basic {
        username: String,
        password: String,
        #[serde(default)]
        origin: Option<IpAddr>,
    },
    Bearer(String),
    /// What a browser's cookie holds.
    SignIn(String),
}

/// The answer to [`Shown`].
pub(super) type Authenticated = Result<Identity, AuthenticationRefusal>;

/// Asks for an application's own token.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub client: ClientId,
    pub scopes: Vec<String>,
    pub validity_s: Option<u64>,
}

/// The answer to [`Order`].
pub(super) type Issued = Result<IssuedToken, IssueRefusal>;

/// The answer to an [`ApiKeyOrder`](portcullis_model::port::ApiKeyOrder).
pub(super) type IssuedKey = Result<IssuedApiKey, IssueRefusal>;

/// The certificates that the caller of the gateway showed.
const CLIENT_CERTIFICATES: HeaderName = HeaderName::from_static("x-portcullis-client-certificates");
/// Characters of them: a chain that is longer is as if none had been shown.
const CERTIFICATES_CHARS_MAX: usize = 24 << 10;

/// Notes which certificates the caller of the gateway showed.
pub(super) fn note_certificates(headers: &mut HeaderMap, shown: Option<&ShownCertificates>) {
    headers.remove(CLIENT_CERTIFICATES);
    let Some(ShownCertificates(chain)) = shown else { return };
    let text = chain.iter().map(|one| STANDARD.encode(one)).collect::<Vec<_>>().join(",");
    if text.len() <= CERTIFICATES_CHARS_MAX
        && let Ok(value) = HeaderValue::try_from(text)
    {
        headers.insert(CLIENT_CERTIFICATES, value);
    }
}

/// Takes out which certificates the caller of the gateway showed.
pub(super) fn take_certificates(headers: &mut HeaderMap) -> Option<ShownCertificates> {
    let value = headers.remove(CLIENT_CERTIFICATES)?;
    let chain: Result<Vec<_>, _> = value.to_str().ok()?.split(',').map(|one| STANDARD.decode(one)).collect();
    chain.ok().map(ShownCertificates)
}

/// Notes who called the gateway.
pub(super) fn note_client(headers: &mut HeaderMap, client: Option<SocketAddr>) {
    // A caller of the gateway must not be able to say it itself.
    headers.remove(CLIENT_ADDRESS);
    if let Some(value) = client.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
        headers.insert(CLIENT_ADDRESS, value);
    }
}

/// Takes out who called the gateway.
pub(super) fn take_client(headers: &mut HeaderMap) -> Option<SocketAddr> {
    headers.remove(CLIENT_ADDRESS)?.to_str().ok()?.parse().ok()
}
