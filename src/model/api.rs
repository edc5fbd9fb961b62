//! An API as its publisher designs it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::ApiId;
use crate::lifecycle::Lifecycle;
use crate::monetization;
use crate::order;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::{Role, Username};

/// One version of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// The id.
    pub id: ApiId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user who provides it.
    pub provider: Username,
    /// The name, at most 60 characters; unique with version and provider.
    pub name: String,
    /// The context as designed, without the version: `/pizza`. May hold `{version}`; with a tenant's `/t/DOMAIN` in
    /// front where the tenant is not the first.
    pub context: String,
    /// The version, at most 30 characters.
    pub version: String,
    /// At most 32 766 characters.
    pub description: String,
    /// The protocol.
    pub kind: ApiKind,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Whether calls without a version go to this one.
    pub is_default_version: bool,
    /// What can be called.
    pub operations: Vec<Operation>,
    /// Where calls go.
    pub endpoints: EndpointConfig,
    /// Names of the business plans (subscription policies) a subscriber may choose.
    pub plans: Vec<String>,
    /// Name of the advanced policy for the whole API; `None` lets each operation have its own.
    pub api_policy: Option<String>,
    /// Whether it is served over plain HTTP.
    pub has_http: bool,
    /// Whether it is served over HTTPS.
    pub has_https: bool,
    /// How a caller may prove who it is.
    pub security: Security,
    /// Header that carries the token instead of `Authorization`.
    pub authorization_header: Option<String>,
    /// Requests per second that the backend may get, by key type.
    pub max_tps: MaxTps,
    /// Who sees it in the Store.
    pub visibility: Visibility,
    /// The roles meant by `RESTRICTED`.
    pub visible_roles: Vec<Role>,
    /// Cross-origin settings; `None` means the gateway's defaults apply.
    pub cors: Option<Cors>,
    /// The scopes its operations ask for.
    pub scopes: Vec<ApiScope>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The categories it is filed under.
    pub categories: Vec<String>,
    /// Every other field of the REST contract, as the JSON object the publisher sent, so that nothing is lost.
    pub other_fields: String,
    /// How many revisions were ever made: the next one's number less one.
    pub revisions_made: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Username,
}

impl Api {
    /// Returns how it stands to another in lists: by the names, whatever their case, then by version and id.
    #[must_use]
    pub fn order_by_name(&self, other: &Self) -> Ordering {
        let names = order::caseless(&self.name, &other.name);
        names.then_with(|| self.version.cmp(&other.version)).then_with(|| self.id.cmp(&other.id))
    }

    /// Says whether its use is billed.
    #[must_use]
    pub fn is_monetized(&self) -> bool {
        // Most say nothing of it, and are not read.
        self.other_fields.contains("\"monetization\":{")
            && serde_json::from_str(&self.other_fields).is_ok_and(|others| monetization::is_enabled(&others))
    }

    /// Says whether applications of a tenant may subscribe: those of its own, and of those that the publisher opened it to
    /// (the original's `subscriptionAvailability` and `subscriptionAvailableTenants`).
    #[must_use]
    pub fn is_offered_to(&self, tenant: &TenantDomain) -> bool {
        if self.tenant == *tenant {
            return true;
        }
        let Ok(fields) = serde_json::from_str::<Value>(&self.other_fields) else { return false };
        match fields["subscriptionAvailability"].as_str() {
            Some("ALL_TENANTS") => true,
            Some("SPECIFIC_TENANTS") => {
                let tenants = fields["subscriptionAvailableTenants"].as_array();
                tenants.is_some_and(|tenants| tenants.iter().any(|one| one.as_str() == Some(&tenant.0)))
            }
            _ => false,
        }
    }
}

/// The protocol of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiKind {
    /// REST over HTTP.
    Http,
    /// WebSocket.
    Ws,
    /// SOAP passed through.
    Soap,
    /// SOAP behind REST resources.
    SoapToRest,
    /// GraphQL.
    Graphql,
    /// WebSub.
    Websub,
    /// Server-sent events.
    Sse,
    /// An asynchronous API of another kind.
    Async,
    /// Webhooks.
    Webhook,
    /// Put together from operations of other APIs.
    Product,
}

impl ApiKind {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Ws => "WS",
            Self::Soap => "SOAP",
            Self::SoapToRest => "SOAPTOREST",
            Self::Graphql => "GRAPHQL",
            Self::Websub => "WEBSUB",
            Self::Sse => "SSE",
            Self::Async => "ASYNC",
            Self::Webhook => "WEBHOOK",
            Self::Product => "APIPRODUCT",
        }
    }
}

/// One operation: a verb on a URI template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The verb in capitals: `GET`, `POST`, …
    pub verb: String,
    /// The URI template below the context: `/menu`, `/order/{orderId}`, `/*`.
    pub target: String,
    /// Who may call it.
    pub auth: OperationAuth,
    /// Name of the advanced policy of this operation; `Unlimited` for none.
    pub policy: String,
    /// Scopes of which the token must hold one.
    pub scopes: Vec<String>,
}

/// Which kind of token an operation asks for (`authType` in the contracts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationAuth {
    /// None at all.
    None,
    /// Any token.
    Any,
    /// An application's own token.
    Application,
    /// A user's token.
    ApplicationUser,
}

impl OperationAuth {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Any => "Any",
            Self::Application => "Application",
            Self::ApplicationUser => "Application_User",
        }
    }
}

/// Where calls of an API go, by key type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointConfig {
    /// Endpoints for production keys; several mean load balance or failover by `strategy`.
    pub production: Vec<Endpoint>,
    /// Endpoints for sandbox keys.
    pub sandbox: Vec<Endpoint>,
    /// What several endpoints mean.
    pub strategy: EndpointStrategy,
    /// The `endpointConfig` object of the contract as the publisher sent it, JSON.
    pub document: String,
}

/// How several endpoints share the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointStrategy {
    /// One endpoint, or the first.
    #[default]
    Single,
    /// In turn.
    RoundRobin,
    /// The first that works.
    Failover,
}

/// One backend address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// An absolute `http` or `https` URL.
    pub url: String,
    /// How long the gateway waits for the response head, in milliseconds; `None` for the gateway's default.
    pub timeout_ms: Option<u64>,
}

/// How a caller may prove who it is (`securityScheme` in the contracts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's independent switches")]
pub struct Security {
    /// OAuth 2 bearer tokens.
    pub has_oauth2: bool,
    /// API keys.
    pub has_api_key: bool,
    /// HTTP basic authentication.
    pub has_basic_auth: bool,
    /// Client certificates.
    pub has_mutual_tls: bool,
    /// Whether a client certificate alone is not enough, or must be there.
    pub is_mutual_tls_mandatory: bool,
    /// Whether one of oauth2, basic and api key must be there.
    pub is_token_mandatory: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            has_oauth2: true,
            has_api_key: false,
            has_basic_auth: false,
            has_mutual_tls: false,
            is_mutual_tls_mandatory: false,
            is_token_mandatory: true,
        }
    }
}

/// Requests per second that the backend may get; `None` for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxTps {
    /// With production keys.
    pub production: Option<u64>,
    /// With sandbox keys.
    pub sandbox: Option<u64>,
}

/// Who sees an API in the Store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Signed-in users of the tenant.
    Private,
    /// Users with one of the given roles.
    Restricted,
}

/// Cross-origin settings of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Off means the gateway adds no cross-origin headers.
    pub is_enabled: bool,
    /// Origins allowed, `*` for all.
    pub allow_origins: Vec<String>,
    /// Whether cookies may be sent.
    pub allow_credentials: bool,
    /// Request headers allowed.
    pub allow_headers: Vec<String>,
    /// Verbs allowed.
    pub allow_methods: Vec<String>,
}

/// A scope of an API and the roles that may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiScope {
    /// The name in tokens.
    pub name: String,
    /// The name people read.
    pub display_name: String,
    /// What it allows.
    pub description: String,
    /// Roles of which a user needs one; none means everybody.
    pub roles: Vec<Role>,
    /// Whether it is shared by several APIs.
    pub is_shared: bool,
}

/// Returns the path under which a gateway serves an API: `/context/version`, or the context with `{version}` filled in.
#[must_use]
pub fn versioned_context(context: &str, version: &str) -> String {
    let context = context.trim_end_matches('/');
    if context.contains("{version}") { context.replace("{version}", version) } else { format!("{context}/{version}") }
}

#[cfg(test)]
mod tests {
    use super::versioned_context;

    #[test]
    fn the_version_follows_the_context_unless_a_template_says_where_it_goes() {
        assert_eq!(versioned_context("/pizza", "1.0.0"), "/pizza/1.0.0");
        assert_eq!(versioned_context("/{version}/pizza", "1.0.0"), "/1.0.0/pizza");
    }
}
