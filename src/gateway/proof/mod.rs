//! How the gateway proves itself to backends (`endpoint_security`), compiled: what of it can be is made at deployment, so
//! that a call only writes it. It opens secrets, and shows none.

mod digest;
mod passing;
mod token;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use portcullis_database::ClusterKey;
use portcullis_jose::AwsSigner;
use portcullis_model::backend_proof::Login;
use portcullis_model::lambda::SERVICE as LAMBDA;
use portcullis_model::{BackendProof, Sealed, Timestamp};
use zeroize::Zeroizing;

pub(crate) use self::passing::{ShownOnce, forward, shown};

use self::digest::Digest;
use self::token::TokenSource;
use crate::route::endpoint::{Endpoint, Origins};
use crate::upstream::request::{Fields, are_read_alike};

/// How the gateway proves itself to the backends of one key type.
pub(crate) enum Proof {
    /// By a header field that is always the same.
    Field(HeaderName, HeaderValue),
    /// By a query parameter that is always the same.
    Query {
        name: Box<str>,
        pair: Zeroizing<String>,
    },
    Token(Arc<TokenSource>),
    Digest(Digest),
    Signature(AwsSigner),
    /// The same for AWS Lambda, of calls of a function alone.
    Invocation(AwsSigner),
    /// It could not be made: no call is passed on without.
    Unusable,
}

/// What a call shows to the backend.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// A header field.
    Field(&'a HeaderName, &'a HeaderValue),
    /// An answer to the backend's challenge, where it is known.
    Digest(&'a Digest),
    /// A signature over the call.
    Signature { signer: &'a AwsSigner, body: &'a [u8], at: Timestamp },
}

/// Why a proof cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotProve {
    #[error("this gateway has no key to open secrets with")]
    NoKey,
    #[error("a secret was sealed with another key, or is damaged")]
    Sealed,
    #[error("a secret holds what a header field cannot")]
    NotAField,
    #[error("a secret is not text")]
    NotText,
    #[error("the address for tokens is not usable")]
    Address,
}

/// A secret that was opened.
type Opened = Zeroizing<String>;

impl Proof {
    /// Compiles how publishers want it.
    pub(crate) fn new(
        designed: &BackendProof,
        key: Option<&ClusterKey>,
        origins: &mut Origins,
    ) -> Result<Self, CannotProve> {
        let key = key.ok_or(CannotProve::NoKey)?;
        let open = |sealed: &Sealed| open(key, sealed);
        Ok(match designed {
            BackendProof::Basic(login) => Self::Field(AUTHORIZATION, basic(&login.username, &open(&login.password)?)?),
            BackendProof::Digest(Login { username, password }) => Self::Digest(Digest::new(username, open(password)?)),
            BackendProof::KeyInHeader { name, value } => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| CannotProve::NotAField)?;
                Self::Field(name, secret_field(&open(value)?)?)
            }
            BackendProof::KeyInQuery { name, value } => Self::Query {
                pair: Zeroizing::new(crate::mediation::query_pair(name, &open(value)?)),
                name: name.as_str().into(),
            },
            BackendProof::Token(request) => Self::Token(Arc::new(TokenSource::new(request, open, origins)?)),
            BackendProof::Signature { access_key, secret_key, region, service } => {
                Self::Signature(AwsSigner::new(access_key, open(secret_key)?, region, service))
            }
            BackendProof::Invocation(lambda) => {
                let secret = open(&lambda.secret_key)?;
                Self::Invocation(AwsSigner::new(&lambda.access_key, secret, &lambda.region, LAMBDA))
            }
        })
    }
}

impl Shown<'_> {
    /// Says whether it stands in place of a field that the client sent.
    pub(crate) fn replaces(&self, field: &HeaderName) -> bool {
        match self {
            Self::Field(name, _) => are_read_alike(name, field),
            Self::Digest(_) => *field == AUTHORIZATION,
            Self::Signature { .. } => *field == AUTHORIZATION || field.as_str().starts_with("x-amz-"),
        }
    }

    /// Writes it behind the other fields of a call with this verb and target.
    pub(crate) fn write(&self, verb: &str, target: &str, endpoint: &Endpoint, out: &mut impl Fields) {
        match self {
            Self::Field(name, value) => out.field(name.as_str(), value.as_bytes()),
            Self::Digest(digest) => {
                if let Some(value) = digest.field(verb, target) {
                    out.field(AUTHORIZATION.as_str(), value.as_bytes());
                }
            }
            Self::Signature { signer, body, at } => {
                for (name, value) in signer.fields(verb, target, &endpoint.authority, body, at.as_secs()) {
                    out.field(name.as_str(), value.as_bytes());
                }
            }
        }
    }
}

fn open(key: &ClusterKey, sealed: &Sealed) -> Result<Opened, CannotProve> {
    let bytes = key.open(sealed).map_err(|_| CannotProve::Sealed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| CannotProve::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Returns the value of `Authorization` for a name and a password.
fn basic(username: &str, password: &str) -> Result<HeaderValue, CannotProve> {
    let pair = Zeroizing::new(format!("{username}:{password}"));
    secret_field(&Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
}

/// Returns the value of a field that is not to be shown.
fn secret_field(text: &str) -> Result<HeaderValue, CannotProve> {
    let mut value = HeaderValue::from_str(text).map_err(|_| CannotProve::NotAField)?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Field(..) => "Field(…)",
            Self::Query { .. } => "Query(…)",
            Self::Token(_) => "Token(…)",
            Self::Digest(_) => "Digest(…)",
            Self::Signature(_) => "Signature(…)",
            Self::Invocation(_) => "Invocation(…)",
            Self::Unusable => "Unusable",
        })
    }
}

/// Doors for fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use zeroize::Zeroizing;

    use super::digest::Digest;

    /// Answers a challenge.
    pub(crate) fn challenge(headers: &http::HeaderMap) {
        let digest = Digest::new("a\"b\\", Zeroizing::new("secret".to_owned()));
        if digest.learn(headers)
            && let Some(field) = digest.field("GET", "/a?b=\"c\"")
        {
            let text = field.to_str().expect("an answer is visible text");
            assert!(text.starts_with("Digest username="));
            // Unless the backend said the word itself.
            let is_theirs = headers.values().any(|value| value.as_bytes().windows(6).any(|part| part == b"secret"));
            assert!(is_theirs || !text.contains("secret"), "the password is in the answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_proves_the_gateway_stands_in_place_of_all_that_are_read_alike() {
        let value = HeaderValue::from_static("secret");
        for shown in ["x-api-key", "x_api_key", "x-api_key"].map(HeaderName::from_static) {
            for sent in ["x-api-key", "x_api_key", "x_api-key"].map(HeaderName::from_static) {
                assert!(Shown::Field(&shown, &value).replaces(&sent), "{shown} {sent}");
            }
            assert!(!Shown::Field(&shown, &value).replaces(&HeaderName::from_static("x-api")));
        }
    }
}
