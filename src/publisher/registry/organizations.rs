//! With which organizations APIs are shared.

use std::collections::BTreeSet;

use portcullis_database::{Apimgtdb, Userdb, organizations};
use portcullis_model::organization::{EVERY_ORGANIZATION, NO_ORGANIZATION, Organization};
use portcullis_model::{Api, AssetId, PolicyLevel};
use serde_json::Value;

use super::{Registry, Snapshot, seen};
use crate::dto::api_body::kept_fields;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{GetOrganization, Seen};

/// Organizations that have plans of their own at one API.
const ORGANIZATIONS_MAX: usize = 200;

/// Checks that the organizations and plans exist which an API names and did not name before.
pub(super) fn check_sharing(snapshot: &Snapshot, api: &Api, before: Option<&Api>) -> Result<(), PublisherError> {
    let fields = kept_fields(api);
    let (visible, policies) = (fields.get("visibleOrganizations"), fields.get("organizationPolicies"));
    if visible.is_none() && policies.is_none() {
        return Ok(());
    }
    let database = snapshot.read::<Apimgtdb>();
    let mut known: BTreeSet<String> =
        organizations::of_tenant(database, &api.tenant).map(|(asset, _)| asset.id.to_string()).collect();
    known.extend([EVERY_ORGANIZATION, NO_ORGANIZATION].map(str::to_owned));
    known.extend(before.map(named).unwrap_or_default());
    let has_plan =
        |plan: &str| database.policies.contains_key(&(api.tenant.clone(), PolicyLevel::Subscription, plan.to_owned()));
    let mut faults = Vec::new();
    for (number, one) in items(visible).enumerate() {
        if !one.as_str().is_some_and(|id| known.contains(id)) {
            faults.push(fault(format!("visibleOrganizations[{number}]"), one, "organization"));
        }
    }
    if items(policies).count() > ORGANIZATIONS_MAX {
        let reason = format!("may have at most {ORGANIZATIONS_MAX} organizations");
        faults.push(FieldFault::new("organizationPolicies", reason));
    }
    for (number, one) in items(policies).take(ORGANIZATIONS_MAX).enumerate() {
        let place = format!("organizationPolicies[{number}]");
        if !one["organizationID"].as_str().is_some_and(|id| known.contains(id)) {
            faults.push(fault(format!("{place}.organizationID"), &one["organizationID"], "organization"));
        }
        for (number, plan) in items(one.get("policies")).enumerate() {
            if !plan.as_str().is_some_and(has_plan) {
                faults.push(fault(format!("{place}.policies[{number}]"), plan, "business plan"));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(faults)) }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn fault(place: String, value: &Value, noun: &str) -> FieldFault {
    FieldFault::new(place, format!("there is no {noun} {value}"))
}

/// Returns the organizations that an API names.
fn named(api: &Api) -> Vec<String> {
    let fields = kept_fields(api);
    let visible = items(fields.get("visibleOrganizations")).filter_map(Value::as_str);
    let with_plans = items(fields.get("organizationPolicies")).filter_map(|one| one["organizationID"].as_str());
    visible.chain(with_plans).map(str::to_owned).collect()
}

impl Registry {
    pub(crate) async fn get_organization(
        &self,
        message: GetOrganization,
    ) -> Result<Seen<Option<(AssetId, Organization)>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let user = &message.asker.identity.principal;
        let found = organizations::of_user(snapshot.read::<Apimgtdb>(), snapshot.read::<Userdb>(), user);
        Ok(seen(&snapshot, found))
    }
}
