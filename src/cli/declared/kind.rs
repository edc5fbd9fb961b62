//! The kinds of objects that files may have, in the order in which they need each other.

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;

const CATEGORIES: &str = "/api/am/admin/v4/api-categories";
const LABELS: &str = "/api/am/admin/v4/labels";
const SCOPES: &str = "/api/am/publisher/v4/scopes";
const ADVANCED: &str = "/api/am/admin/v4/throttling/policies/advanced";
const APPLICATION: &str = "/api/am/admin/v4/throttling/policies/application";
const SUBSCRIPTION: &str = "/api/am/admin/v4/throttling/policies/subscription";
const CUSTOM: &str = "/api/am/admin/v4/throttling/policies/custom";
const MADE_OF_POLICY: &[&str] = &["policyId", "isDeployed", "type"];
const KEY_MANAGERS: &str = "/api/am/admin/v4/key-managers";
const ENVIRONMENTS: &str = "/api/am/admin/v4/environments";
const CERTIFICATES: &str = "/api/am/publisher/v4/endpoint-certificates";
const OPERATIONS: &str = "/api/am/publisher/v4/operation-policies";
const RULESETS: &str = "/api/am/governance/v1/rulesets";
const GOVERNANCE_POLICIES: &str = "/api/am/governance/v1/policies";
const MADE_OF_GOVERNANCE: &[&str] = &["id", "createdBy", "createdTime", "updatedBy", "updatedTime"];
const CATALOGUE: &str = "/api/am/service-catalog/v1/services";
const APIS: &str = "/api/am/publisher/v4/apis";
const PRODUCTS: &str = "/api/am/publisher/v4/api-products";
const APPLICATIONS: &str = "/api/am/devportal/v3/applications";
const DENIALS: &str = "/api/am/admin/v4/throttling/deny-policies";

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// What `kind` of a document says.
    pub word: &'static str,
    /// Where the server has them.
    pub path: &'static str,
    /// How they are read and written.
    pub shape: Shape,
    /// The field with the name.
    pub name: &'static str,
    /// The field with the version, where there is one.
    pub version: Option<&'static str>,
    /// The field with the id.
    pub id: &'static str,
    /// The fields that only the server says.
    pub made: &'static [&'static str],
}

/// How objects of a kind are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A list; each has a path of its own with all its fields.
    Plain,
    /// A list that has all fields of each.
    Listed,
    /// One document of the tenant.
    Single,
    /// Deny policies: no names, and little of them can be changed.
    Denial,
    /// A form with a certificate.
    Certificate,
    /// An archive, which is not changed once it is there.
    Archive,
    /// A form with the rules.
    Ruleset,
    /// Refers to rulesets by their names.
    GovernancePolicy,
    /// A form with a definition.
    Service,
    /// An API with all that belongs to it.
    Api,
    /// A product with all that belongs to it.
    Product,
    /// An application with its subscriptions.
    Application,
}

/// What tells objects of a kind apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The version, of kinds that have one.
    pub version: Option<String>,
}

const fn plain(word: &'static str, path: &'static str, name: &'static str, id: &'static str) -> Kind {
    Kind { word, path, shape: Shape::Plain, name, version: None, id, made: &[] }
}

/// What only the server says of APIs and products.
const MADE_OF_API: &[&str] = &[
    "id",
    "provider",
    "hasThumbnail",
    "isRevision",
    "revisionedApiId",
    "revisionedApiProductId",
    "revisionId",
    "workflowStatus",
    "createdTime",
    "lastUpdatedTime",
    "lastUpdatedTimestamp",
    "additionalPropertiesMap",
    "apiType",
];

/// The kinds, each after those that it may refer to.
pub const KINDS: &[Kind] = &[
    Kind { shape: Shape::Single, ..plain("TenantConfiguration", "/api/am/admin/v4/tenant-config", "", "") },
    Kind { shape: Shape::Listed, made: &["id", "numberOfAPIs"], ..plain("Category", CATEGORIES, "name", "id") },
    Kind { shape: Shape::Listed, made: &["id"], ..plain("Label", LABELS, "name", "id") },
    Kind { made: &["id", "usageCount"], ..plain("Scope", SCOPES, "name", "id") },
    Kind { made: MADE_OF_POLICY, ..plain("AdvancedPolicy", ADVANCED, "policyName", "policyId") },
    Kind { made: MADE_OF_POLICY, ..plain("ApplicationPolicy", APPLICATION, "policyName", "policyId") },
    Kind { made: MADE_OF_POLICY, ..plain("SubscriptionPolicy", SUBSCRIPTION, "policyName", "policyId") },
    Kind { made: MADE_OF_POLICY, ..plain("CustomRule", CUSTOM, "policyName", "policyId") },
    Kind { made: &["id"], ..plain("KeyManager", KEY_MANAGERS, "name", "id") },
    Kind { made: &["id", "isReadOnly"], ..plain("Environment", ENVIRONMENTS, "name", "id") },
    Kind { shape: Shape::Certificate, ..plain("EndpointCertificate", CERTIFICATES, "alias", "alias") },
    Kind { shape: Shape::Archive, version: Some("version"), ..plain("OperationPolicy", OPERATIONS, "name", "id") },
    Kind { shape: Shape::Ruleset, made: MADE_OF_GOVERNANCE, ..plain("Ruleset", RULESETS, "name", "id") },
    Kind {
        shape: Shape::GovernancePolicy,
        made: MADE_OF_GOVERNANCE,
        ..plain("GovernancePolicy", GOVERNANCE_POLICIES, "name", "id")
    },
    Kind {
        shape: Shape::Service,
        version: Some("version"),
        made: &["id", "md5", "usage", "createdTime", "lastUpdatedTime", "createdBy", "updatedBy"],
        ..plain("Service", CATALOGUE, "name", "id")
    },
    Kind { shape: Shape::Api, version: Some("version"), made: MADE_OF_API, ..plain("Api", APIS, "name", "id") },
    Kind {
        shape: Shape::Product,
        version: Some("version"),
        made: MADE_OF_API,
        ..plain("ApiProduct", PRODUCTS, "name", "id")
    },
    Kind {
        shape: Shape::Application,
        made: &[
            "applicationId",
            "status",
            "subscriptionCount",
            "owner",
            "createdTime",
            "updatedTime",
            "keys",
            "subscriptionScopes",
            "hashEnabled",
        ],
        ..plain("Application", APPLICATIONS, "name", "applicationId")
    },
    Kind {
        shape: Shape::Denial,
        made: &["conditionId"],
        ..plain("DenyPolicy", DENIALS, "conditionType", "conditionId")
    },
];

impl Kind {
    /// Says whether what is not in the files may be deleted.
    pub fn may_be_deleted(&self) -> bool {
        self.shape != Shape::Single
    }

    /// Returns what tells an object apart, by its fields as the server has them.
    pub fn key_of(&self, body: &Value) -> Key {
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        match self.shape {
            Shape::Single => Key { name: "tenant".to_owned(), version: None },
            Shape::Denial => Key { name: denial_name(body), version: None },
            _ => Key { name: text(self.name), version: self.version.map(text) },
        }
    }
}

/// Deny policies have no names: they are told apart by whom they turn away.
fn denial_name(body: &Value) -> String {
    let (kind, value) = (body["conditionType"].as_str().unwrap_or_default(), &body["conditionValue"]);
    let part = |field: &str| value[field].as_str().unwrap_or_default();
    let others = if value["invert"].as_bool() == Some(true) { "all but " } else { "" };
    let whom = match (value.as_str(), kind) {
        (Some(text), _) => text.to_owned(),
        (None, "IPRANGE") => format!("{others}{}-{}", part("startingIp"), part("endingIp")),
        (None, _) => format!("{others}{}", part("fixedIp")),
    };
    format!("{kind} {whom}")
}

/// Returns the kind of a word.
///
/// # Errors
/// Where there is none.
pub fn of_word(word: &str) -> Result<&'static Kind, Failure> {
    KINDS.iter().find(|kind| kind.word.eq_ignore_ascii_case(word)).ok_or_else(|| {
        let known = KINDS.iter().map(|kind| kind.word).collect::<Vec<_>>().join(", ");
        Failure::new(
            Exit::Failed,
            format!("{word} is no kind of object"),
            format!("there are {known}"),
            "use one of those",
        )
    })
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deny_policies_are_told_apart_by_whom_they_turn_away() {
        let name = |body: Value| denial_name(&body);
        assert_eq!(name(json!({"conditionType": "API", "conditionValue": "/pizza/1.0.0"})), "API /pizza/1.0.0");
        let address = json!({"conditionType": "IP", "conditionValue": {"fixedIp": "192.0.2.1"}});
        assert_eq!(name(address), "IP 192.0.2.1");
        let range = json!({"startingIp": "192.0.2.1", "endingIp": "192.0.2.9", "invert": true});
        assert_eq!(
            name(json!({"conditionType": "IPRANGE", "conditionValue": range})),
            "IPRANGE all but 192.0.2.1-192.0.2.9"
        );
    }

    #[test]
    fn no_kind_is_there_twice() {
        let mut words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), KINDS.len());
    }
}
