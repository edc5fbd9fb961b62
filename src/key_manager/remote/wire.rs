//! What nodes say to each other about keys.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::port::{
    AuthenticationRefusal, Identity, IssueRefusal, IssuedApiKey, IssuedToken, KeyQuestion, KeyRefusal, KeyVerdict,
    ShownKey,
};
use portcullis_model::{ApiId, ClientId};
use serde::{Deserialize, Serialize};

/// The path of key validation.
pub(super) const VALIDATE: &str = "/validate";
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
        let wants_assertion = asked.wants_assertion;
        Self { token: token.to_owned(), api: asked.api, kind, password, wants_assertion }
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
        KeyQuestion { shown, api: self.api, wants_assertion: self.wants_assertion }
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
