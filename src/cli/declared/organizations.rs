//! Organizations that APIs name: in files by what they are called elsewhere (`externalOrganizationId`), because ids are other
//! ones in another tenant.

use portcullis_model::organization::{EVERY_ORGANIZATION, NO_ORGANIZATION};
use serde_json::Value;

use super::server::Server;
use crate::exit::Exit;
use crate::failure::Failure;

const ORGANIZATIONS: &str = "/api/am/publisher/v4/organizations";
const ID: &str = "organizationId";
const NAME: &str = "externalOrganizationId";

impl Server {
    /// Puts names where an API has ids. Organizations that are gone are left out: their ids mean nobody.
    pub(super) async fn with_organization_names(&self, raw: &mut Value) -> Result<(), Failure> {
        if named(raw).is_empty() {
            return Ok(());
        }
        let all = self.list(ORGANIZATIONS).await?;
        replace(raw, |id| find(&all, ID, id).map(|one| one[NAME].clone()));
        Ok(())
    }

    /// Puts ids where a file has names.
    ///
    /// # Errors
    /// Where there is no organization of a name.
    pub(super) async fn with_organization_ids(&self, spec: &mut Value) -> Result<(), Failure> {
        let named = named(spec);
        if named.is_empty() {
            return Ok(());
        }
        let all = self.list(ORGANIZATIONS).await?;
        let meant = |name: &str| find(&all, NAME, name).or_else(|| find(&all, ID, name));
        if let Some(unknown) = named.iter().find(|name| meant(name).is_none()) {
            let what = format!("there is no organization {unknown}");
            let next = "an administrator makes it by POST to /api/am/admin/v4/organizations";
            return Err(Failure::new(Exit::NotFound, what, "the object shares an API with it", next));
        }
        replace(spec, |name| meant(name).map(|one| one[ID].clone()));
        Ok(())
    }
}

fn find<'a>(all: &'a [Value], field: &str, text: &str) -> Option<&'a Value> {
    all.iter().find(|one| one[field].as_str().is_some_and(|one| one.eq_ignore_ascii_case(text)))
}

fn is_one(text: &str) -> bool {
    text != EVERY_ORGANIZATION && text != NO_ORGANIZATION
}

/// Returns the organizations that an API names.
fn named(api: &Value) -> Vec<String> {
    let items = |field: &str| api[field].as_array().into_iter().flatten();
    let visible = items("visibleOrganizations").filter_map(Value::as_str).filter(|text| is_one(text));
    let with_plans = items("organizationPolicies").filter_map(|one| one["organizationID"].as_str());
    visible.chain(with_plans).map(str::to_owned).collect()
}

/// Puts others in their places; those for which there is none go.
fn replace(api: &mut Value, other: impl Fn(&str) -> Option<Value>) {
    if let Some(visible) = api.get_mut("visibleOrganizations").and_then(Value::as_array_mut) {
        let kept = visible.iter().filter_map(|one| match one.as_str() {
            Some(text) if is_one(text) => other(text),
            _ => Some(one.clone()),
        });
        *visible = kept.collect();
    }
    if let Some(policies) = api.get_mut("organizationPolicies").and_then(Value::as_array_mut) {
        let kept = policies.iter().filter_map(|one| {
            let mut one = one.clone();
            one["organizationID"] = other(one["organizationID"].as_str()?)?;
            Some(one)
        });
        *policies = kept.collect::<Vec<Value>>();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn organizations_are_named_and_those_that_are_gone_are_left_out() {
        let all = [json!({"organizationId": "1-1", "externalOrganizationId": "acme"})];
        let mut api = json!({
            "visibleOrganizations": ["all", "1-1", "2-2"],
            "organizationPolicies": [
                {"organizationID": "1-1", "policies": ["Silver"]}, {"organizationID": "2-2", "policies": ["Gold"]},
            ],
        });
        assert_eq!(named(&api), ["1-1", "2-2", "1-1", "2-2"]);
        replace(&mut api, |id| find(&all, ID, id).map(|one| one[NAME].clone()));
        let wanted = json!({
            "visibleOrganizations": ["all", "acme"],
            "organizationPolicies": [{"organizationID": "acme", "policies": ["Silver"]}],
        });
        assert_eq!(api, wanted);
        assert_eq!(find(&all, NAME, "ACME"), Some(&all[0]));
        assert!(named(&json!({"visibleOrganizations": ["none"]})).is_empty());
    }
}
