//! What the pages show, as plain rows, and how they ask for it.

use portcullis_http::page::Page;
use portcullis_model::api::{Visibility, versioned_context};
use portcullis_model::cluster::ClusterStatus;
use portcullis_model::policy::{DataUnit, PolicyLevel, Quota, QuotaPolicy};
use portcullis_model::port::PortFuture;
use portcullis_model::{Api, Lifecycle, Operation, OperationAuth, TenantDomain};

/// Operations of an API that its card shows.
const OPERATIONS_SHOWN_MAX: usize = 50;

/// Where the pages' contents come from. Asked at each view, so that a page is as new as its node.
pub trait Data: Send + Sync {
    /// Returns a page of a tenant's APIs, by name and version.
    fn apis(&self, tenant: &TenantDomain, page: Page) -> Rows<ApiRow>;

    /// Returns a page of the first tenant's APIs that everybody may see ([`PublishedApi::of`]), by name and version.
    fn published_apis(&self, page: Page) -> Rows<PublishedApi>;

    /// Returns a tenant's throttling policies, by level and name.
    fn policies(&self, tenant: &TenantDomain) -> Vec<PolicyRow>;

    /// Describes the cluster, in bounded time.
    fn cluster(&self) -> PortFuture<'_, ClusterStatus>;

    /// Returns the addresses that callers use.
    fn addresses(&self) -> Addresses;
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// How many rows there are in all.
    pub total: usize,
}

/// Base URLs as callers use them, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The management port: `https://localhost:9443`.
    pub management: String,
    /// The gateway's HTTPS port: `https://localhost:8243`.
    pub gateway_https: String,
    /// The gateway's HTTP port: `http://localhost:8280`.
    pub gateway_http: String,
    /// Where the Publisher's page is: a path where this node serves it, else a URL; `None` where nobody does.
    pub publisher: Option<String>,
    /// Where the developer portal is.
    pub devportal: Option<String>,
    /// Where Admin's page is.
    pub admin: Option<String>,
}

/// An API as its publisher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRow {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The path under which gateways serve it.
    pub path: String,
    /// The lifecycle state, as people read it.
    pub state: String,
    /// Whether a revision of it is deployed.
    pub is_deployed: bool,
    /// The business plans.
    pub plans: Vec<String>,
    /// Who provides it.
    pub provider: String,
}

impl ApiRow {
    /// Makes a row of an API.
    #[must_use]
    pub fn of(api: &Api, is_deployed: bool) -> Self {
        Self {
            id: api.id.to_string(),
            name: api.name.clone(),
            version: api.version.clone(),
            path: versioned_context(&api.context, &api.version),
            state: api.lifecycle.as_title().to_owned(),
            is_deployed,
            plans: api.plans.clone(),
            provider: api.provider.0.clone(),
        }
    }
}

/// An API that developers may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedApi {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Its URL at the gateway.
    pub url: String,
    /// The business plans a subscriber may choose; none for an API that needs no subscription.
    pub plans: Vec<String>,
    /// The first of its operations.
    pub operations: Vec<OperationRow>,
    /// How many operations are not among them.
    pub operations_left_out: usize,
    /// The operation to try first, as a line for the shell.
    pub sample: String,
}

/// One operation of a published API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// The verb.
    pub verb: String,
    /// The URI template below the API's URL.
    pub target: String,
    /// Whether it asks for a token.
    pub needs_token: bool,
}

impl PublishedApi {
    /// Says whether everybody may see and call an API: a published or prototyped one that is public.
    #[must_use]
    pub fn is_shown(api: &Api) -> bool {
        matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped) && api.visibility == Visibility::Public
    }

    /// Makes a card of an API, or `None` where not everybody may see it or it cannot be called: only published and
    /// prototyped APIs that are public are shown.
    #[must_use]
    pub fn of(api: &Api, addresses: &Addresses) -> Option<Self> {
        if !Self::is_shown(api) {
            return None;
        }
        let gateway = if api.has_https { &addresses.gateway_https } else { &addresses.gateway_http };
        let url = format!("{gateway}{}", versioned_context(&api.context, &api.version));
        let shown = api.operations.iter().take(OPERATIONS_SHOWN_MAX).map(|operation| OperationRow {
            verb: operation.verb.clone(),
            target: operation.target.clone(),
            needs_token: operation.auth != OperationAuth::None,
        });
        let needs_plan = api.lifecycle == Lifecycle::Published;
        Some(Self {
            id: api.id.to_string(),
            name: api.name.clone(),
            version: api.version.clone(),
            description: api.description.clone(),
            plans: if needs_plan { api.plans.clone() } else { Vec::new() },
            operations: shown.collect(),
            operations_left_out: api.operations.len().saturating_sub(OPERATIONS_SHOWN_MAX),
            sample: sample(api, &url),
            url,
        })
    }
}

/// Returns a line for the shell that calls the operation that is easiest to call.
fn sample(api: &Api, url: &str) -> String {
    let ease = |operation: &&Operation| (operation.verb != "GET", operation.target.contains('{'));
    let Some(operation) = api.operations.iter().min_by_key(ease) else {
        return format!("curl -k {}", quoted(url));
    };
    // Between double quotes, for the variable's sake, a name must not be able to end them or to run a command.
    let is_plain = |name: &&str| name.chars().all(|one| one.is_ascii_alphanumeric() || one == '-');
    let name = api.authorization_header.as_deref().filter(is_plain).unwrap_or("Authorization");
    let header = match operation.auth {
        OperationAuth::None => String::new(),
        _ => format!(" -H \"{name}: Bearer $TOKEN\""),
    };
    let target = operation.target.replace('*', "");
    let verb = if operation.verb == "GET" { String::new() } else { format!(" -X {}", quoted(&operation.verb)) };
    format!("curl -k{verb}{header} {}", quoted(&format!("{url}{target}")))
}

/// Returns a text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A throttling policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// The level, as people read it.
    pub level: &'static str,
    /// The name.
    pub name: String,
    /// How much in which window.
    pub limit: String,
    /// What it is for.
    pub description: String,
    /// Whether calls past the limit are refused.
    pub stops: bool,
}

impl PolicyRow {
    /// Makes a row of a policy.
    #[must_use]
    pub fn of(policy: &QuotaPolicy) -> Self {
        Self {
            level: match policy.level {
                PolicyLevel::Subscription => "Business plan",
                PolicyLevel::Application => "Application",
                PolicyLevel::Advanced => "Advanced",
                PolicyLevel::Custom => "Custom",
            },
            name: policy.name.clone(),
            limit: limit(policy),
            description: policy.description.clone(),
            stops: policy.stops_on_quota_reach,
        }
    }
}

fn limit(policy: &QuotaPolicy) -> String {
    if policy.quota.is_unlimited() {
        return "unlimited".to_owned();
    }
    let amount = match policy.quota {
        Quota::Requests(count) => format!("{count} requests"),
        Quota::Events(count) => format!("{count} events"),
        Quota::Bandwidth { amount, unit } => {
            let unit = match unit {
                DataUnit::Kb => "KB",
                DataUnit::Mb => "MB",
                DataUnit::Gb => "GB",
            };
            format!("{amount} {unit}")
        }
        Quota::AiTokens { requests, .. } => format!("{requests} requests to models"),
    };
    let unit = policy.window.unit.as_contract();
    match policy.window.length {
        1 => format!("{amount} per {unit}"),
        length => format!("{amount} per {length} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_text_cannot_leave_its_quotes_in_the_shell() {
        assert_eq!(quoted("/a'; rm -rf ~ '"), r"'/a'\''; rm -rf ~ '\'''");
    }
}
