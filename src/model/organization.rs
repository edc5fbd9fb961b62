//! Organizations: groups of a tenant's developers, such as partners, that see those APIs alone which are shared with them
//! and get plans of their own. Whose developer somebody is says the user's attribute `organization`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::Api;
use crate::id::AssetId;

/// The attribute of SCIM (RFC 7643, 4.3) that says to which organization somebody belongs, and where it is.
pub const USER_ATTRIBUTE: [&str; 2] = ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "organization"];
/// What an API names that is shared with every organization.
pub const EVERY_ORGANIZATION: &str = "all";
/// What an API names that is shared with none.
pub const NO_ORGANIZATION: &str = "none";

/// What is kept of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// What it is called elsewhere: what the attribute of its people says. Unique in the tenant.
    pub external_organization_id: String,
    /// What people read.
    pub display_name: String,
    /// What is said of it.
    #[serde(default)]
    pub description: String,
}

/// Returns the organization that a user's attributes name, as it is called elsewhere.
///
/// `attributes` is a JSON object in the form of SCIM.
#[must_use]
pub fn named_in(attributes: &str) -> Option<String> {
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    let [schema, name] = USER_ATTRIBUTE;
    attributes[schema][name].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Api {
    /// Says whether people of an organization of its tenant may see it in the Store.
    #[must_use]
    pub fn is_shared_with(&self, organization: AssetId) -> bool {
        let (fields, id) = (self.sharing(), organization.to_string());
        let mut named = fields["visibleOrganizations"].as_array().into_iter().flatten().filter_map(Value::as_str);
        named.any(|one| one == EVERY_ORGANIZATION || one == id)
    }

    /// Returns the plans that people of an organization may choose instead of those of everybody; `None` where they have
    /// none of their own.
    #[must_use]
    pub fn plans_of_organization(&self, organization: AssetId) -> Option<Vec<String>> {
        let (fields, id) = (self.sharing(), organization.to_string());
        let mut all = fields["organizationPolicies"].as_array().into_iter().flatten();
        let own = all.find(|one| one["organizationID"] == *id)?;
        Some(texts(&own["policies"]).map(str::to_owned).collect())
    }

    /// Says whether an organization may choose a plan.
    #[must_use]
    pub fn has_organization_plan(&self, plan: &str) -> bool {
        let fields = self.sharing();
        let mut all = fields["organizationPolicies"].as_array().into_iter().flatten();
        all.any(|one| texts(&one["policies"]).any(|one| one == plan))
    }

    /// Returns the fields that organizations are in. Most APIs have none, and need not be read.
    fn sharing(&self) -> Value {
        let is_there =
            self.other_fields.contains("rganizations\"") || self.other_fields.contains("organizationPolicies\"");
        if is_there { serde_json::from_str(&self.other_fields).unwrap_or_default() } else { Value::Null }
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organization_is_what_the_attribute_of_enterprises_says() {
        let attributes =
            r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"organization": " acme "}}"#;
        assert_eq!(named_in(attributes).as_deref(), Some("acme"));
        for nothing in ["", "{}", r#"{"organization": "acme"}"#, "[1]"] {
            assert_eq!(named_in(nothing), None, "{nothing}");
        }
    }
}
