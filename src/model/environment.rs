//! Gateway environments: places where APIs are deployed, each with the virtual hosts under which it answers.

use serde::{Deserialize, Serialize};

use crate::id::EnvironmentId;
use crate::tenant::TenantDomain;
use crate::user::Role;

/// The environment that every tenant has from the start. Nobody changes it.
pub const DEFAULT_ENVIRONMENT: &str = "Default";
/// Its virtual host, which means whatever host a gateway is reached at.
pub const DEFAULT_VHOST: &str = "localhost";
/// Environments of one tenant.
pub const ENVIRONMENTS_MAX: usize = 100;
/// Virtual hosts of one environment.
pub const VHOSTS_MAX: usize = 50;
/// Characters of names, hosts and paths (REST contract).
pub const ENVIRONMENT_NAME_CHARS_MAX: usize = 255;
/// Characters of a description (REST contract).
pub const ENVIRONMENT_DESCRIPTION_CHARS_MAX: usize = 1_023;
/// Additional properties, addresses for other protocols, and roles of one environment.
pub const ENVIRONMENT_LISTS_MAX: usize = 100;
/// Characters of one of them.
pub const ENVIRONMENT_TEXT_CHARS_MAX: usize = 1_024;

/// What keys an environment serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvironmentKind {
    /// Production and sandbox keys, each with the endpoints for it.
    Hybrid,
    /// Production keys alone.
    Production,
    /// Sandbox keys alone.
    Sandbox,
}

impl EnvironmentKind {
    /// All of them, by the contract's names.
    pub const ALL: [(&'static str, Self); 3] =
        [("hybrid", Self::Hybrid), ("production", Self::Production), ("sandbox", Self::Sandbox)];

    /// Returns the contract's name.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Production => "production",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Who may deploy to an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvironmentPermission {
    /// Every publisher of the tenant.
    #[default]
    Public,
    /// Who has one of these roles.
    Allow(Vec<Role>),
    /// Who has none of these roles.
    Deny(Vec<Role>),
}

/// A host name under which an environment answers, with the ports that clients are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualHost {
    /// The host, in small letters.
    pub host: String,
    /// What clients are told to put before the API's context, where something in front of the gateway takes it away.
    pub http_context: String,
    /// The port of HTTP.
    pub http_port: u16,
    /// The port of HTTPS.
    pub https_port: u16,
    /// Host and port of WebSockets, where they differ.
    pub ws: Option<(String, u16)>,
    /// Host and port of WebSockets over TLS, where they differ.
    pub wss: Option<(String, u16)>,
}

/// A gateway environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The id.
    pub id: EnvironmentId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// The name, unique in the tenant: gateways are told by it which environments they serve.
    pub name: String,
    /// The name that people read.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Who runs it; kept and shown.
    pub provider: String,
    /// What keys it serves.
    pub kind: EnvironmentKind,
    /// Under which hosts it answers; the first one where a deployment names none.
    pub vhosts: Vec<VirtualHost>,
    /// Who may deploy to it.
    pub permission: EnvironmentPermission,
    /// Addresses for other protocols, by protocol; kept and shown.
    pub uris: Vec<(String, String)>,
    /// Further properties, by name; kept and shown.
    pub properties: Vec<(String, String)>,
}

impl Environment {
    /// Returns the environment that every tenant has.
    #[must_use]
    pub fn default_of(tenant: &TenantDomain) -> Self {
        let ws = |port| Some((DEFAULT_VHOST.to_owned(), port));
        Self {
            id: EnvironmentId::of_names(&[&tenant.0, DEFAULT_ENVIRONMENT]),
            tenant: tenant.clone(),
            name: DEFAULT_ENVIRONMENT.to_owned(),
            display_name: DEFAULT_ENVIRONMENT.to_owned(),
            description: "The environment that is there from the start".to_owned(),
            provider: "wso2".to_owned(),
            kind: EnvironmentKind::Hybrid,
            vhosts: vec![VirtualHost {
                host: DEFAULT_VHOST.to_owned(),
                http_context: String::new(),
                http_port: 8280,
                https_port: 8243,
                ws: ws(9099),
                wss: ws(8099),
            }],
            permission: EnvironmentPermission::Public,
            uris: Vec::new(),
            properties: Vec::new(),
        }
    }

    /// Says whether it is the one that every tenant has.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT_ENVIRONMENT
    }

    /// Returns a virtual host by its name, whatever the case of its letters.
    #[must_use]
    pub fn vhost(&self, host: &str) -> Option<&VirtualHost> {
        self.vhosts.iter().find(|one| one.host.eq_ignore_ascii_case(host))
    }

    /// Says whether somebody with these roles may deploy to it.
    #[must_use]
    pub fn is_open_to(&self, roles: &[Role]) -> bool {
        match &self.permission {
            EnvironmentPermission::Public => true,
            EnvironmentPermission::Allow(allowed) => allowed.iter().any(|role| roles.contains(role)),
            EnvironmentPermission::Deny(denied) => !denied.iter().any(|role| roles.contains(role)),
        }
    }
}

/// Says whether a text is a host name as the contract has it: labels of letters, digits and hyphens between dots.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && is_plain && !label.starts_with('-') && !label.ends_with('-')
    };
    (1..=ENVIRONMENT_NAME_CHARS_MAX).contains(&text.len()) && text.split('.').all(is_label)
}

/// Says whether a text may be an environment's name: letters, digits, `_` and `-`.
#[must_use]
pub fn is_environment_name(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    (1..=ENVIRONMENT_NAME_CHARS_MAX).contains(&text.len()) && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_labels_between_dots() {
        for host in ["localhost", "api.example.com", "a-b.c1", "127.0.0.1"] {
            assert!(is_host_name(host), "{host}");
        }
        for not_host in ["", ".", "a.", "-a", "a-", "a b", "a:80", "*.example.com", "a/b", &"x".repeat(256)] {
            assert!(!is_host_name(not_host), "{not_host}");
        }
    }

    #[test]
    fn roles_open_and_close_an_environment() {
        let role = |name: &str| Role(name.to_owned());
        let with = |permission| Environment { permission, ..Environment::default_of(&TenantDomain::super_tenant()) };
        let ops = [role("ops")];
        assert!(with(EnvironmentPermission::Public).is_open_to(&[]));
        assert!(with(EnvironmentPermission::Allow(ops.to_vec())).is_open_to(&ops));
        assert!(!with(EnvironmentPermission::Allow(ops.to_vec())).is_open_to(&[role("dev")]));
        assert!(!with(EnvironmentPermission::Deny(ops.to_vec())).is_open_to(&ops));
    }
}
