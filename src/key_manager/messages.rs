//! The messages that the key manager understands: its public interface within a node. REST is a thin face over them.

use std::fmt;
use std::net::IpAddr;

use actix::Message;
use portcullis_database::SubmitError;
use portcullis_model::authorization::TokenDetails;
use portcullis_model::port::{ApiKeyOrder, Identity, IssueRefusal, IssuedApiKey, IssuedToken};
use portcullis_model::{ClientId, NodeId, TokenType};
use serde_json::{Map, Value};

use crate::assertion_grant::JWT_BEARER;
use crate::device::DEVICE_CODE;
use crate::exchange::{Exchange, TOKEN_EXCHANGE};
use crate::oauth_error::OauthError;
use crate::saml::SAML2_BEARER;

/// Who a client says it is, and how it proves that.
#[derive(Clone)]
pub struct ClientLogin {
    /// The client id.
    pub id: ClientId,
    /// The proof.
    pub proof: ClientProof,
}

impl fmt::Debug for ClientLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientLogin({})", self.id)
    }
}

/// How a client proves who it is.
#[derive(Clone)]
pub enum ClientProof {
    /// By its secret.
    Secret(String),
    /// By an assertion that it signed (RFC 7523).
    Assertion(String),
    /// Not at all: it is public, or its certificate speaks for it.
    Nothing,
}

/// What came with a request beside its parameters.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// A proof of possession (RFC 9449).
    pub proof: Option<String>,
    /// The method and the path of the request, which the proof names.
    pub method: String,
    /// See `method`.
    pub path: String,
    /// The client's certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// The certificates that it showed beside it.
    pub issuers: Vec<Vec<u8>>,
    /// The address it came from.
    pub origin: Option<IpAddr>,
}

/// Asks for a token (RFC 6749).
#[derive(Message)]
#[rtype(result = "Result<TokenReply, OauthError>")]
pub struct RequestToken {
    /// The client.
    pub login: ClientLogin,
    /// On what grounds.
    pub grant: Grant,
    /// The scopes asked for; `None` where the client named none.
    pub scopes: Option<Vec<String>>,
    /// What the token is to be for (RFC 8707).
    pub resources: Vec<String>,
    /// What came with the request.
    pub evidence: Evidence,
}

/// On what grounds a token is asked for.
pub enum Grant {
    /// The client's own authority (section 4.4).
    ClientCredentials,
    /// A user's name and password (section 4.3).
    Password {
        /// The name, with `@tenant` where it is not the first.
        username: String,
        /// The password.
        password: String,
    },
    /// A refresh token (section 6).
    RefreshToken(String),
    /// An authorization code (section 4.1).
    AuthorizationCode {
        /// The code.
        code: String,
        /// Where the user was sent back to, as the request named it.
        redirect_uri: Option<String>,
        /// The verifier of the proof key (RFC 7636).
        verifier: Option<String>,
    },
    /// A device's code (RFC 8628).
    DeviceCode(String),
    /// An assertion about a user (RFC 7523).
    Assertion(String),
    /// An assertion about a user in XML (RFC 7522).
    Saml(String),
    /// A token to exchange (RFC 8693).
    Exchange(Exchange),
}

impl Grant {
    /// The name in `grant_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Password { .. } => "password",
            Self::RefreshToken(_) => "refresh_token",
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::DeviceCode(_) => DEVICE_CODE,
            Self::Assertion(_) => JWT_BEARER,
            Self::Saml(_) => SAML2_BEARER,
            Self::Exchange(_) => TOKEN_EXCHANGE,
        }
    }
}

/// A token that was issued.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenReply {
    /// The access token.
    pub access_token: String,
    /// The refresh token, for a user's token.
    pub refresh_token: Option<String>,
    /// The id token, where the scope `openid` was granted to a user's token.
    pub id_token: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// How long it lives, in seconds.
    pub expires_in_s: u64,
    /// Whether its bearer must prove possession of a key with each use (RFC 9449).
    pub is_key_bound: bool,
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenReply(for {} s, {:?})", self.expires_in_s, self.scopes)
    }
}

/// Asks for an application's own token on behalf of the Store, which need not show the client's secret.
#[derive(Message)]
#[rtype(result = "Result<IssuedToken, IssueRefusal>")]
pub struct IssueForClient {
    /// The client.
    pub client: ClientId,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// How long it is to live; `None` for what the client says.
    pub validity_s: Option<u64>,
}

/// Asks for an API key on behalf of the Store.
#[derive(Message)]
#[rtype(result = "Result<IssuedApiKey, IssueRefusal>")]
pub struct IssueApiKey(pub ApiKeyOrder);

/// Revokes an access or refresh token (RFC 7009).
#[derive(Message)]
#[rtype(result = "Result<Revoked, OauthError>")]
pub struct Revoke {
    /// The client it was issued to.
    pub login: ClientLogin,
    /// What came with the request.
    pub evidence: Evidence,
    /// The token.
    pub token: String,
}

/// A revocation that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Its index in the log; `None` where there was nothing to revoke.
    pub index: Option<u64>,
    /// The nodes that could not be reached in time.
    pub unreached: Vec<NodeId>,
}

/// Asks what a token is (RFC 7662).
#[derive(Message)]
#[rtype(result = "Result<Introspection, OauthError>")]
pub struct Introspect {
    /// The client that asks.
    pub login: ClientLogin,
    /// The same credentials as they came, in case they are an administrator's name and password: those are not
    /// url-encoded, as a client's are.
    pub as_user: Option<(String, String)>,
    /// What came with the request.
    pub evidence: Evidence,
    /// The token.
    pub token: String,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// It is good for nothing; why is nobody's business.
    Inactive,
    /// It is good.
    Active {
        /// The client.
        client: ClientId,
        /// The user, `user@tenant`; the client's owner for a client's own token.
        username: String,
        /// The subject, as in the token.
        subject: String,
        /// Whether it is a user's token.
        is_user_token: bool,
        /// Whether it is a refresh token.
        is_refresh_token: bool,
        /// The scopes.
        scopes: Vec<String>,
        /// When it was issued, in seconds.
        issued_at_s: u64,
        /// When it ends, in seconds.
        expires_at_s: u64,
        /// Its id, where it is a JSON Web Token.
        jti: Option<String>,
        /// Further facts about it.
        details: Box<TokenDetails>,
    },
}

/// Asks for facts about the user behind a token with the scope `openid`.
#[derive(Message)]
#[rtype(result = "Result<UserFacts, OauthError>")]
pub struct DescribeUser {
    /// The access token.
    pub token: String,
    /// Whether it was shown as one that is bound to a key.
    pub is_shown_as_bound: bool,
    /// What came with the request.
    pub evidence: Evidence,
}

/// Facts about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    /// The subject, `user@tenant`.
    pub subject: String,
    /// What else the client is told, by the names of OpenID Connect or the client's own.
    pub claims: Map<String, Value>,
}

/// Asks for the public keys, as the JSON text of a JWK set (RFC 7517).
#[derive(Message)]
#[rtype(result = "Result<String, OauthError>")]
pub struct ListKeys;

/// What a client that registers itself says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name, unique for the owner.
    pub name: String,
    /// The owner; `None` for who registers it.
    pub owner: Option<String>,
    /// Where the user is sent back to; may be empty.
    pub callback_url: String,
    /// The grant types.
    pub grants: Vec<String>,
    /// The form of its tokens.
    pub token_type: TokenType,
    /// Whether users of other tenants may get tokens through it.
    pub is_saas: bool,
}

/// A client that registered itself, as it is shown to its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct Registered {
    /// The client id.
    pub id: ClientId,
    /// The secret in clear.
    pub secret: String,
    /// What it said of itself; the owner is filled in.
    pub registration: Registration,
    /// The index of the write, if there was one.
    pub index: Option<u64>,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registered({})", self.id)
    }
}

/// Registers a client. One that its owner registered before under the same name is returned as it is.
#[derive(Message)]
#[rtype(result = "Result<Registered, RegistrationError>")]
pub struct Register {
    /// Who registers it.
    pub caller: Identity,
    /// What it says of itself.
    pub registration: Registration,
}

/// Reads a client that registered itself.
#[derive(Message)]
#[rtype(result = "Result<Registered, RegistrationError>")]
pub struct ReadRegistration {
    /// Who asks.
    pub caller: Identity,
    /// The client.
    pub client: ClientId,
}

/// Changes a client that registered itself; its id and secret stay.
#[derive(Message)]
#[rtype(result = "Result<Registered, RegistrationError>")]
pub struct ChangeRegistration {
    /// Who asks.
    pub caller: Identity,
    /// The client.
    pub client: ClientId,
    /// What it says of itself now; the owner does not change.
    pub registration: Registration,
}

/// Deletes a client that registered itself, with its tokens.
#[derive(Message)]
#[rtype(result = "Result<Revoked, RegistrationError>")]
pub struct DeleteRegistration {
    /// Who asks.
    pub caller: Identity,
    /// The client.
    pub client: ClientId,
}

/// Why a registration was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The caller may not do this.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such client that registered itself, or it is somebody else's.
    #[error("there is no registered client {0}")]
    NotFound(ClientId),
    /// A field is not acceptable.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field of the contract.
        field: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// The write was refused or could not be made.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The client's secret does not open with this cluster's key.
    #[error("the secret of {0} cannot be opened with this cluster's key")]
    CannotOpen(ClientId),
}
