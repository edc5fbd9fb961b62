//! Claims of a tenant: what users' attributes are called, and which scopes tell them.

use serde::{Deserialize, Serialize};

/// Claims of one dialect, dialects, scopes, and claims of one scope.
pub const CLAIMS_MAX: usize = 200;
/// Characters of a URI, a name or a text.
pub const CLAIM_CHARS_MAX: usize = 512;

/// What a tenant's claims are. A tenant that never changed them has the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimSettings {
    /// Grows by one with each change.
    pub version: u64,
    /// The claims of the original's own dialect.
    pub local: Vec<LocalClaim>,
    /// The other dialects; that of OpenID Connect is always among them.
    pub dialects: Vec<ClaimDialect>,
    /// The scopes of OpenID Connect.
    pub scopes: Vec<ClaimScope>,
}

/// A claim of the original's own dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalClaim {
    /// Its name within the dialect.
    pub name: String,
    /// The attribute of SCIM that it is kept as.
    pub attribute: String,
    /// What people call it.
    pub title: String,
    /// What it is.
    pub description: String,
}

/// Claims under other names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimDialect {
    /// The dialect.
    pub uri: String,
    /// Its claims.
    pub claims: Vec<ExternalClaim>,
}

/// A claim of another dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalClaim {
    /// Its name there.
    pub uri: String,
    /// The claim of the original's own dialect that it is.
    pub local: String,
}

/// A scope and what it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimScope {
    /// The scope.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The claims, as OpenID Connect calls them.
    pub claims: Vec<String>,
}

impl ClaimSettings {
    /// Returns a dialect.
    #[must_use]
    pub fn dialect(&self, uri: &str) -> Option<&ClaimDialect> {
        self.dialects.iter().find(|dialect| dialect.uri == uri)
    }
}
