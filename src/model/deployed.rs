//! What a gateway serves: the deployed projection of the registry.

use serde::{Deserialize, Serialize};

use crate::api::{ApiKind, Cors, EndpointConfig, MaxTps, Operation, Security};
use crate::id::{ApiId, RevisionId};
use crate::lifecycle::Lifecycle;
use crate::tenant::TenantDomain;
use crate::user::Username;

/// A deployed revision of an API, with what of the API itself is in force at once (lifecycle, default version, plans).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedApi {
    /// The API.
    pub id: ApiId,
    /// The revision deployed.
    pub revision: RevisionId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The provider.
    pub provider: Username,
    /// The name.
    pub name: String,
    /// The context without the version.
    pub context: String,
    /// The version.
    pub version: String,
    /// Whether calls without a version go to this one.
    pub is_default_version: bool,
    /// The protocol.
    pub kind: ApiKind,
    /// Where the API is in its life.
    pub lifecycle: Lifecycle,
    /// The virtual host.
    pub vhost: String,
    /// What can be called.
    pub operations: Vec<Operation>,
    /// Where calls go.
    pub endpoints: EndpointConfig,
    /// Name of the advanced policy for the whole API.
    pub api_policy: Option<String>,
    /// Whether it is served over plain HTTP.
    pub has_http: bool,
    /// Whether it is served over HTTPS.
    pub has_https: bool,
    /// How a caller may prove who it is.
    pub security: Security,
    /// Header that carries the token instead of `Authorization`.
    pub authorization_header: Option<String>,
    /// Requests per second that the backend may get.
    pub max_tps: MaxTps,
    /// Cross-origin settings.
    pub cors: Option<Cors>,
}
