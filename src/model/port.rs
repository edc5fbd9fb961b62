//! Ports: what one component asks of another without knowing it. `node` joins the two ends.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api_key::{ApiKeyForm, KeyRestriction};
use crate::authorization::TokenBinding;
use crate::call_event::CallEvent;
use crate::component::Component;
use crate::counter::CounterKey;
use crate::country::Country;
use crate::id::{ApiId, ApiKeyId, ApplicationId, ClientId};
use crate::key_manager::{KeyManager, RegisteredClient};
use crate::oauth::KeyType;
use crate::policy::QuotaUnit;
use crate::statistics::Gathered;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// A future that a port returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Validates keys for gateways: the Key Manager's end of the original's `APIKeyValidationService`.
pub trait KeyValidation: Send + Sync {
    /// Says what a key is good for at one API.
    fn validate<'a>(&'a self, question: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>>;

    /// Spends an access token that was found good until `until`: revokes it, in the whole cluster, before this returns. Of
    /// those who spend one token, on whatever nodes, one succeeds.
    ///
    /// # Errors
    /// [`KeyRefusal::Invalid`] where it was spent or revoked before, [`KeyRefusal::Unavailable`] where nobody can say: it
    /// may be spent then.
    fn spend<'a>(&'a self, token: &'a str, until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>>;
}

/// Takes in what gateways gather about calls: Analytics' end.
pub trait CallStatistics: Send + Sync {
    /// Takes what a worker gathered. Does not wait.
    ///
    /// # Errors
    /// Where there is no room: what was given, to be given again later.
    fn take(&self, gathered: Gathered) -> Result<(), Gathered>;
}

/// Tells other systems of calls that have ended: Analytics' end.
pub trait CallEvents: Send + Sync {
    /// Takes what ended at a worker since the last time; `dropped` more ended for which it had no room. Does not wait:
    /// what there is no room for is dropped and counted.
    fn take(&self, events: Vec<CallEvent>, dropped: u64);
}

/// Says in which country an address is: Analytics' end.
pub trait Countries: Send + Sync {
    /// Returns the country; [`Country::UNKNOWN`] where it is not known. Looks into memory alone.
    fn country_of(&self, address: IpAddr) -> Country;
}

/// Asks for addresses that stand in what callers and backends say.
pub trait Addresses: Send + Sync {
    /// Says whether an address leads somewhere within `timeout`: the name of its host is known, and, unless that is enough,
    /// what is there answers with a status of 2xx or 3xx.
    fn leads_somewhere<'a>(&'a self, url: &'a str, only_name: bool, timeout: Duration) -> PortFuture<'a, bool>;
}

/// A service for moderation, which says how harmful texts are.
pub trait ContentSafety: Send + Sync {
    /// Returns how severe what a text says is, 0 to 7, by category: Azure's `Hate`, `Sexual`, `SelfHarm`, `Violence`.
    ///
    /// # Errors
    /// Where the service says nothing of it: why.
    fn severities<'a>(
        &'a self,
        text: &'a str,
        categories: &'a [&'static str],
    ) -> PortFuture<'a, Result<Vec<(String, u8)>, String>>;
}

/// Takes webhooks and events of APIs of the type WEBSUB from gateways: the Store's end.
pub trait Webhooks: Send + Sync {
    /// Takes a request to subscribe a callback to a topic, or to end that. Does not wait: the callback is asked afterwards
    /// whether it is meant, and only then is anything kept.
    ///
    /// # Errors
    /// Why nothing becomes of it.
    fn ask(&self, asked: WebhookRequest) -> Result<(), WebhookRefusal>;

    /// Takes an event, to be handed on to every callback that is subscribed to its topic. Does not wait.
    ///
    /// # Errors
    /// [`WebhookRefusal::Busy`].
    fn take(&self, event: WebhookEvent) -> Result<(), WebhookRefusal>;

    /// Returns how deliveries stand at this node.
    fn figures(&self) -> WebhookFigures;
}

/// How the hub of one node stands: what has become of requests to subscribe callbacks, and of events for each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookFigures {
    /// Events on their way to callbacks, those that wait for another try included.
    pub under_way: u64,
    /// What became of events, each for one callback, by a name.
    pub deliveries: Vec<(&'static str, u64)>,
    /// What became of requests, by a name.
    pub requests: Vec<(&'static str, u64)>,
}

/// A request to subscribe a callback to a topic, or to end that.
#[derive(Clone, Debug)]
pub struct WebhookRequest {
    /// The API.
    pub api: ApiId,
    /// The topic, as the API has it.
    pub topic: String,
    /// The topic, as the subscriber named it.
    pub asked_topic: String,
    /// The application.
    pub application: ApplicationId,
    /// Its tenant.
    pub tenant: TenantDomain,
    /// The name of the business plan that it has at the API.
    pub plan: String,
    /// Who asks.
    pub user: Username,
    /// The address that events are to be sent to.
    pub callback: String,
    /// Whether the subscription begins, or is made to last longer; otherwise it ends.
    pub subscribes: bool,
    /// What events are to be signed with.
    pub secret: Option<Secret>,
    /// How long the subscription is to last, in seconds.
    pub lease_s: Option<u64>,
}

/// A secret on its way. Its `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An event of a topic.
#[derive(Clone, Debug)]
pub struct WebhookEvent {
    /// The API.
    pub api: ApiId,
    /// The API's tenant, whose plans count it.
    pub tenant: TenantDomain,
    /// The topic, as the API has it.
    pub topic: String,
    /// Where the API's topics are subscribed to.
    pub hub: String,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// What happened.
    pub body: bytes::Bytes,
}

/// Why a webhook or an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// A part of the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The plan, or the system, allows no further webhook.
    #[error("{0}")]
    TooMany(String),
    /// Too much is under way.
    #[error("too much is under way; try again in a second")]
    Busy,
}

/// Says which APIs somebody may see among publishers: the Publisher's end.
pub trait ApiSight: Send + Sync {
    /// Says whether somebody may see an API; `None` where there is no such API any more.
    fn may_see(&self, identity: &Identity, api: ApiId) -> Option<bool>;
}

/// What a gateway asks about a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyQuestion<'a> {
    /// The key as it came.
    pub shown: ShownKey<'a>,
    /// The API that was called.
    pub api: ApiId,
    /// Whether the backend is to be told who calls.
    pub wants_assertion: bool,
    /// The address of the caller, where that is known: who guesses passwords from there is slowed down.
    pub origin: Option<IpAddr>,
}

/// What a caller showed a gateway. Its `Debug` tells the kind alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ShownKey<'a> {
    /// An access token.
    Token(&'a str),
    /// An API key.
    ApiKey(&'a str),
    /// A user's name (which may carry `@tenant`) and password.
    Password {
        /// The name.
        username: &'a str,
        /// The password.
        password: &'a str,
    },
}

impl fmt::Debug for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::ApiKey(_) => "ApiKey(…)",
            Self::Password { .. } => "Password(…)",
        })
    }
}

/// The certificates (DER) that a client showed when it connected to a gateway, its own first; goes with calls of
/// [`OauthFace`]. That the client has the key of the first one is sure, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificates(pub Vec<Vec<u8>>);

/// What a valid key is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVerdict {
    /// The client (consumer key); empty where the key was issued to none: an API key, a password.
    pub client: ClientId,
    /// The application. For a password, which belongs to none, an id made from the user's name.
    pub application: ApplicationId,
    /// Its name.
    pub application_name: String,
    /// Its owner (the subscriber).
    pub application_owner: Username,
    /// The application's and policies' tenant.
    pub tenant: TenantDomain,
    /// Name of the application policy.
    pub application_policy: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// Name of the subscription's business plan.
    pub plan: String,
    /// The end user; the application's owner for an application's own token.
    pub end_user: Username,
    /// Whether the token is a user's rather than an application's.
    pub is_user_token: bool,
    /// The scopes the token holds.
    pub scopes: Vec<String>,
    /// When the key ends, or must be asked about again.
    pub expires_at: Timestamp,
    /// From where the key may be used; `None` for anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Box<KeyRestriction>>,
    /// What the backend is told of the caller, where the gateway asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Box<Assertion>>,
    /// What the bearer must prove to hold, with each call.
    #[serde(default)]
    pub binding: Option<TokenBinding>,
    /// What another key manager's token says, under the names that it has here; of a list each item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<(String, String)>,
    /// When the key manager must be asked again though the key may be good for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_until: Option<Timestamp>,
}

/// What a backend is told of a caller: a signed JSON Web Token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assertion(until {:?})", self.expires_at)
    }
}

/// Why a key is not good. The numbers are the original's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum KeyRefusal {
    /// 900901: unknown, forged or revoked.
    #[error("invalid credentials")]
    Invalid,
    /// 900903: its time is over.
    #[error("access token expired")]
    Expired,
    /// 900907: the subscription is blocked.
    #[error("the requested API is temporarily blocked")]
    Blocked,
    /// 900908: the application is not subscribed to the API.
    #[error("resource forbidden")]
    NotSubscribed,
    /// 900909: the subscription waits for a decision or was refused.
    #[error("the subscription to the API is inactive")]
    Inactive,
    /// 900900: the key manager could not say.
    #[error("unclassified authentication failure")]
    Unavailable,
}

impl KeyRefusal {
    const ALL: [Self; 6] =
        [Self::Invalid, Self::Expired, Self::Blocked, Self::NotSubscribed, Self::Inactive, Self::Unavailable];

    /// Returns the original's number.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Invalid => 900_901,
            Self::Expired => 900_903,
            Self::Blocked => 900_907,
            Self::NotSubscribed => 900_908,
            Self::Inactive => 900_909,
            Self::Unavailable => 900_900,
        }
    }

    /// Returns the refusal of a number; [`KeyRefusal::Unavailable`] for one that only a newer version knows.
    #[must_use]
    pub fn of_code(code: u32) -> Self {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code).unwrap_or(Self::Unavailable)
    }
}

/// Decides quotas for gateways: the Traffic Manager's end.
pub trait Quotas: Send + Sync {
    /// Returns the allowance of a counter on this node, or `None` where its policy limits nothing. Cheap, but not for
    /// every request: a gateway worker keeps the allowance beside the verdict it cached for a token.
    fn allowance(&self, key: &CounterKey) -> Option<Arc<dyn Allowance>>;
}

/// What a node may still spend of one counter.
pub trait Allowance: Send + Sync {
    /// Takes `cost` (1 for a request) at the node's time `now`, if the node holds that much. Never blocks.
    fn try_take(&self, cost: u64, now: Timestamp) -> Taken;

    /// Takes `cost` for a request that waited in vain ([`Taken::Dry`]), where the policy lets requests pass beyond its
    /// quota: [`Taken::Over`]. `None` where it does not. Never blocks.
    fn take_beyond(&self, cost: u64, now: Timestamp) -> Option<Taken>;

    /// Gives back what was taken for a request that another limit refused, or that cost less than was taken for it.
    fn give_back(&self, cost: u64, window: u64);

    /// Takes what a request turned out to cost beyond what was taken for it (bytes of the answer, tokens of a model).
    /// Never refused: what is more than there is left is owed, and the windows that follow begin with that much less.
    /// So a limit is passed at most by what was under way when it was reached. Never blocks.
    fn debit(&self, cost: u64, now: Timestamp);

    /// Says what is counted, and so what a request costs.
    fn unit(&self) -> QuotaUnit;

    /// Waits until the allowance may have changed, or the time for that is over. Used after [`Taken::Dry`].
    fn changed(&self) -> PortFuture<'_, ()>;

    /// Says where the caller stands.
    fn standing(&self, now: Timestamp) -> Standing;
}

/// The outcome of [`Allowance::try_take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Admitted, in this window.
    Yes {
        /// The window's number (epoch ÷ length).
        window: u64,
    },
    /// Admitted though the quota is used up: the policy does not stop.
    Over {
        /// The window's number.
        window: u64,
    },
    /// Nothing in hand, but the cluster may have more: wait on [`Allowance::changed`], then try again.
    Dry,
    /// The cluster has nothing left until the window ends.
    Exhausted {
        /// When the window ends.
        until: Timestamp,
    },
}

/// Where a caller stands with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit per window.
    pub limit: u64,
    /// The window's length in seconds.
    pub window_s: u64,
    /// What is known to be left in the cluster; never more than there is on this node and in the pool as last heard.
    pub remaining: u64,
    /// When the window ends.
    pub resets_at: Timestamp,
}

/// Says who is behind credentials shown to the management port: the Key Manager's end.
pub trait Authentication: Send + Sync {
    /// Authenticates, or says why not.
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>>;

    /// Authenticates somebody who shows credentials from an address, which slows down who guesses from there.
    fn authenticate_from<'a>(
        &'a self,
        credentials: Credentials<'a>,
        _origin: Option<IpAddr>,
    ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
        self.authenticate(credentials)
    }
}

/// Credentials as they come in the `Authorization` header.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// HTTP basic authentication (RFC 7617). The user name may carry `@tenant`.
    Basic {
        /// The user name.
        username: &'a str,
        /// The password.
        password: &'a str,
    },
    /// A bearer token (RFC 6750).
    Bearer(&'a str),
    /// What a browser's cookie holds of a sign-in at the pages ([`SIGN_IN_COOKIE`]). It comes with every request of the
    /// browser, whoever made it, so it is good for looking, and for forms that are known to be made for the browser.
    SignIn(&'a str),
}

/// The cookie of a sign-in in a browser. The prefix has browsers refuse it from anywhere but its host by TLS.
pub const SIGN_IN_COOKIE: &str = "__Host-portcullis-sign-in";

/// Who a caller of the management port is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub principal: crate::Principal,
    /// The roles held.
    pub roles: Arc<[crate::Role]>,
    /// What the caller may do: the scopes of the token, or for basic authentication all that the roles allow
    /// (`apim:api_create`, `apim:subscribe`, `apim:admin`, …).
    pub scopes: Arc<[String]>,
    /// The address that the request came from, where that is known.
    #[serde(default)]
    pub origin: Option<IpAddr>,
    /// Whether a token was shown rather than a password.
    #[serde(default)]
    pub is_token: bool,
}

impl Identity {
    /// Says whether the caller has at least one of `scopes`.
    #[must_use]
    pub fn has_any(&self, scopes: &[&str]) -> bool {
        scopes.iter().any(|wanted| self.scopes.iter().any(|held| held == wanted))
    }
}

/// Why nobody is behind the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AuthenticationRefusal {
    /// Wrong name or password, unknown or revoked token, locked user.
    #[error("the user name, password or token is not valid")]
    Invalid,
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
    /// It could not be checked now.
    #[error("credentials cannot be checked now")]
    Unavailable,
}

/// Issues tokens and seals secrets for the Store, which shows keys to their owners: the Key Manager's end.
pub trait TokenIssuer: Send + Sync {
    /// Issues an application's own token (client credentials) to a client that is in the state.
    fn issue<'a>(
        &'a self,
        client: &'a ClientId,
        scopes: Vec<String>,
        validity_s: Option<u64>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>>;

    /// Draws a new client id and secret, and returns them with the secret sealed.
    fn new_client_credentials(&self) -> ClientCredentials;

    /// Seals a client's secret that was not drawn here, to be stored.
    fn seal_secret(&self, secret: &str) -> crate::Sealed;

    /// Opens a client's secret, to show it to the owner.
    fn open_secret(&self, sealed: &crate::Sealed) -> Result<String, IssueRefusal>;

    /// Issues an API key. Whether the principal may have it is checked by the state machine.
    fn issue_api_key(&self, order: ApiKeyOrder) -> PortFuture<'_, Result<IssuedApiKey, IssueRefusal>>;
}

/// An API key to issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyOrder {
    /// On whose behalf: the owner of the application.
    pub principal: crate::Principal,
    /// The application.
    pub application: ApplicationId,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// What it is to be made of.
    pub form: ApiKeyForm,
    /// The name people read.
    pub name: String,
    /// How long it lives, in seconds; `None` for ever.
    pub validity_s: Option<u64>,
    /// From where it may be used.
    pub restriction: KeyRestriction,
    /// The address that the request came from.
    #[serde(default)]
    pub origin: Option<IpAddr>,
}

/// An API key that was issued: the only time that it is seen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedApiKey {
    /// The key.
    pub key: String,
    /// Its id.
    pub id: ApiKeyId,
    /// The index of its entry in the log.
    pub index: u64,
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// How long it lives, in seconds.
    pub expires_in_s: u64,
}

/// A new client's id and secret.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id.
    pub id: ClientId,
    /// The secret in clear, to be shown once.
    pub secret: String,
    /// The secret sealed, to be stored.
    pub sealed: crate::Sealed,
}

/// Why no token was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum IssueRefusal {
    /// There is no such client.
    #[error("there is no OAuth client {0}")]
    NoSuchClient(ClientId),
    /// The cluster cannot write now.
    #[error("the token could not be stored: {0}")]
    Unavailable(String),
    /// The state machine refused it: no such application, somebody else's, or too many keys.
    #[error(transparent)]
    Refused(#[from] crate::Refused),
    /// A sealed secret does not open.
    #[error("the secret cannot be opened with this cluster's key")]
    CannotOpen,
}

/// Registers clients at other key managers for the Store: the Key Manager's end. What is said there is sent from the node
/// that is asked.
pub trait ForeignClients: Send + Sync {
    /// Registers a client (RFC 7591).
    fn register<'a>(
        &'a self,
        at: &'a KeyManager,
        order: ForeignClientOrder,
    ) -> PortFuture<'a, Result<(ClientId, RegisteredClient), IssueRefusal>>;

    /// Has a client that was registered deleted (RFC 7592). Does nothing where the other key manager did not say how.
    fn forget<'a>(&'a self, client: &'a RegisteredClient) -> PortFuture<'a, Result<(), IssueRefusal>>;

    /// Gets a client's own token (client credentials).
    fn issue<'a>(
        &'a self,
        at: &'a KeyManager,
        client: &'a ClientId,
        registered: &'a RegisteredClient,
        scopes: Vec<String>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>>;
}

/// A client to register at another key manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignClientOrder {
    /// The name that people read.
    pub name: String,
    /// The grants that it is to use.
    pub grants: Vec<String>,
    /// Where users are sent back to; empty for nowhere.
    pub callback_url: String,
}

/// Answers `/token`, `/revoke`, `/authorize` and `/userinfo` for gateways: the Key Manager's HTTP face.
pub trait OauthFace: Send + Sync {
    /// Answers one request, whose body was read whole (bounded).
    fn call(&self, request: http::Request<bytes::Bytes>) -> PortFuture<'_, http::Response<bytes::Bytes>>;
}

/// Asks other nodes for what this one does not serve, over mutual TLS: `node`'s end. The other node has applied
/// everything this one had applied when it was asked, so that a verdict of another node is as new as one of this node.
pub trait NodeCalls: Send + Sync {
    /// Sends a request to a node that serves `component`; to a further one where the first surely did nothing, or
    /// where it does not matter.
    fn call(
        &self,
        component: Component,
        request: http::Request<bytes::Bytes>,
        terms: CallTerms,
    ) -> PortFuture<'_, Result<http::Response<bytes::Bytes>, NoAnswer>>;
}

/// How a node may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTerms {
    /// How long it may take in all.
    pub within: Duration,
    /// Whether doing it twice is as good as doing it once, so that another node may be asked when an answer is lost.
    pub is_repeatable: bool,
}

/// Why no node answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No node of the cluster serves the component.
    #[error("no node of the cluster serves the {}", .0.title())]
    Nobody(Component),
    /// Those that serve it cannot be reached. Nothing was done.
    #[error("no node that serves the {} can be reached: {why}", component.title())]
    Unreachable {
        /// The component.
        component: Component,
        /// What came of the last attempt.
        why: String,
    },
    /// The request was sent and the answer did not come: it may or may not have been done.
    #[error("{node} did not answer: {why}")]
    Lost {
        /// The node that was asked.
        node: crate::NodeId,
        /// What came of it.
        why: String,
    },
}
