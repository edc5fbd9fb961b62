//! What a tenant keeps besides APIs: policies of its own, services, rulesets. Each is a document that the component which
//! serves it understands, with a text beside it; what holds for all of them is here.

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, AssetId};
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// Assets of one kind in one tenant.
pub const ASSETS_MAX: usize = 2_000;
/// Characters of an asset's name.
pub const ASSET_NAME_CHARS_MAX: usize = 512;
/// Bytes of an asset: document and content together.
pub const ASSET_BYTES_MAX: usize = 2 << 20;

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AssetKind {
    /// An operation policy of a tenant's own; its content is what it was made from.
    OperationPolicy,
    /// A service in the catalogue; its content is its definition.
    Service,
    /// A ruleset by which definitions are judged; its content is the ruleset as it was sent.
    Ruleset,
    /// Says which rulesets APIs must keep to, and what becomes of those that do not.
    GovernancePolicy,
    /// Policies that are applied to all APIs of the environments that it names.
    GatewayPolicy,
    /// What is other of an API in one environment, whose name it has.
    EnvironmentProperties,
    /// A provider of large language models; its content is the definition of its API.
    LlmProvider,
    /// A group of a tenant's developers, told apart by what it is called elsewhere.
    Organization,
    /// A look of the developer portal; its content is the archive that was sent, in base64.
    Theme,
    /// Of which alerts a user wants to be told, by e-mail.
    AlertSubscription,
    /// Which use of a monetized API was told to whoever bills it; and, of no API, how telling it stands.
    UsageBook,
    /// Who wants to be told of calls that find no API, by e-mail.
    BotSubscription,
    /// Says that an API is published to a store of another system, whose id it has as its name.
    ExternalPublication,
    /// The id that an API has at the service that audits its definition.
    AuditRegistration,
}

impl AssetKind {
    /// What it is called.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::OperationPolicy => "operation policy",
            Self::Service => "service",
            Self::Ruleset => "ruleset",
            Self::GovernancePolicy => "governance policy",
            Self::GatewayPolicy => "gateway policy",
            Self::EnvironmentProperties => "set of environment properties",
            Self::LlmProvider => "LLM provider",
            Self::Organization => "organization",
            Self::Theme => "theme",
            Self::AlertSubscription => "alert subscription",
            Self::UsageBook => "book of use",
            Self::BotSubscription => "subscription to alerts of bots",
            Self::ExternalPublication => "publication to an external store",
            Self::AuditRegistration => "registration for audits",
        }
    }
}

/// Something that a tenant keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The id.
    pub id: AssetId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// What it is.
    pub kind: AssetKind,
    /// The API that it belongs to, with which it goes; `None` where it is of the whole tenant.
    pub api: Option<ApiId>,
    /// By what it is told apart from the others of its kind, tenant and API, whatever the case of its letters.
    pub name: String,
    /// What is said of it, JSON.
    pub document: String,
    /// What it was made from, as it was sent; empty where there is no such text.
    pub content: String,
    /// Who made it.
    pub created_by: Username,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Username,
    /// When.
    pub updated_at: Timestamp,
}
