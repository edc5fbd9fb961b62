//! Applications: what a subscriber registers in the Store to call APIs with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ApplicationId;
use crate::tenant::TenantDomain;
use crate::time::Timestamp;
use crate::user::Username;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The id.
    pub id: ApplicationId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The user it belongs to.
    pub owner: Username,
    /// At most 100 characters; unique per owner, whatever the case of its letters.
    pub name: String,
    /// At most 512 characters.
    pub description: String,
    /// Name of the application policy that limits it.
    pub policy: String,
    /// Form of the access tokens its keys get.
    pub token_type: TokenType,
    /// Whether it may be used.
    pub state: ApplicationState,
    /// Groups it is shared with.
    pub groups: Vec<String>,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Form of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    /// A signed JSON Web Token.
    Jwt,
    /// A random text that only the key manager understands; `OAUTH` in the contracts.
    Opaque,
}

impl TokenType {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::Opaque => "OAUTH",
        }
    }
}

/// Whether an application may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplicationState {
    /// Waits for a decision.
    Created,
    /// May be used.
    Approved,
    /// Refused.
    Rejected,
}

impl ApplicationState {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
        }
    }
}
