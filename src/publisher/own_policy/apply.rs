//! Finds the tenant's own policies among those that an API applies, and puts what they stand for beside them.

use portcullis_database::{Apimgtdb, assets};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::mediation::own::STEPS;
use portcullis_model::mediation::step::Kind;
use portcullis_model::mediation::{Flow, VERSION};
use portcullis_model::{Api, ApiId, TenantDomain};
use serde_json::{Map, Value};
use std::sync::Arc;

use super::{OwnPolicy, key_of};
use crate::dto::api_body::kept_fields;
use crate::fault::{FieldFault, PublisherError};
use crate::registry::Snapshot;

/// Whose policies are looked up.
pub(crate) struct Lookup<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) tenant: &'a TenantDomain,
    /// The API as it is, whose own policies count first; and what it applies already stays where a policy is gone.
    pub(crate) current: Option<&'a Api>,
}

impl Lookup<'_> {
    /// Puts what the tenant's own policies stand for into the fields of an API, and nothing else of that kind.
    ///
    /// # Errors
    /// Where a policy is not applied as its specification says.
    pub(crate) fn resolve(&self, fields: &mut Map<String, Value>) -> Result<(), PublisherError> {
        let mut faults = Vec::new();
        let kept = self.current.map(kept_fields).unwrap_or_default();
        if let Some(flows) = fields.get_mut("apiPolicies") {
            self.flows("apiPolicies", flows, &kept, &mut faults);
        }
        let operations = fields.get_mut("operations").and_then(Value::as_array_mut);
        for (number, operation) in operations.into_iter().flatten().enumerate() {
            if let Some(flows) = operation.get_mut("operationPolicies") {
                self.flows(&format!("operations[{number}].operationPolicies"), flows, &kept, &mut faults);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(faults)) }
    }

    fn flows(&self, place: &str, flows: &mut Value, kept: &Map<String, Value>, faults: &mut Vec<FieldFault>) {
        for flow in Flow::ALL {
            let items = flows.get_mut(flow.as_contract()).and_then(Value::as_array_mut);
            for (number, item) in items.into_iter().flatten().enumerate() {
                let place = format!("{place}.{}[{number}]", flow.as_contract());
                if let Some(item) = item.as_object_mut()
                    && let Err((inside, reason)) = self.item(item, flow, kept)
                {
                    faults.push(FieldFault::new(format!("{place}.{inside}"), reason));
                }
            }
        }
    }

    fn item(
        &self,
        item: &mut Map<String, Value>,
        flow: Flow,
        kept: &Map<String, Value>,
    ) -> Result<(), (String, String)> {
        item.shift_remove(STEPS);
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("policyName");
        let version = item.get("policyVersion").and_then(Value::as_str).unwrap_or(VERSION).to_owned();
        if name.is_empty() || (version == VERSION && Kind::named(&name).is_some()) {
            return Ok(());
        }
        let api = self.current.map(|api| api.id);
        let Some(asset) = find(self.snapshot, self.tenant, api, &key_of(&name, &version)) else {
            if let Some(steps) = kept_steps(kept, &name, &version) {
                item.insert(STEPS.to_owned(), steps);
            }
            return Ok(());
        };
        let own: OwnPolicy =
            serde_json::from_str(&asset.document).map_err(|error| ("policyName".to_owned(), error.to_string()))?;
        if !own.specification.flows().any(|its| its == flow) {
            return Err(("policyName".to_owned(), format!("{name} does not fit the {} flow", flow.as_contract())));
        }
        let mut parameters = match item.get("parameters") {
            Some(Value::Object(parameters)) => parameters.clone(),
            _ => Map::new(),
        };
        check(&own, &mut parameters)?;
        item.insert("policyVersion".to_owned(), Value::String(version));
        item.insert("policyId".to_owned(), Value::String(asset.id.to_string()));
        item.insert("parameters".to_owned(), Value::Object(parameters));
        item.insert(STEPS.to_owned(), Value::Array(own.steps));
        Ok(())
    }
}

/// Checks parameters against a specification, and fills in what is not set.
fn check(own: &OwnPolicy, parameters: &mut Map<String, Value>) -> Result<(), (String, String)> {
    let name = &own.specification.name;
    let attributes = &own.specification.policy_attributes;
    parameters.retain(|_, value| !value.is_null());
    for key in parameters.keys() {
        if !attributes.iter().any(|attribute| attribute.name == *key) {
            return Err((format!("parameters.{key}"), format!("{name} has no such parameter")));
        }
    }
    for attribute in attributes {
        let place = format!("parameters.{}", attribute.name);
        let set = parameters.get(&attribute.name);
        let text = set.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        match text.or_else(|| attribute.default_text()) {
            None if attribute.required => return Err((place, "must be there".to_owned())),
            None => {}
            Some(text) if !attribute.allows(&text) => {
                return Err((place, format!("{text:?} is none of those that the policy allows")));
            }
            Some(text) => drop(parameters.insert(attribute.name.clone(), Value::String(text))),
        }
    }
    Ok(())
}

/// Finds a policy by its key: the API's own, or else the tenant's.
pub(crate) fn find(snapshot: &Snapshot, tenant: &TenantDomain, api: Option<ApiId>, key: &str) -> Option<Arc<Asset>> {
    let all = || assets::of_tenant(snapshot.read::<Apimgtdb>(), tenant, AssetKind::OperationPolicy);
    let of = |api: Option<ApiId>| all().find(|asset| asset.api == api && asset.name == key).cloned();
    api.and_then(|api| of(Some(api))).or_else(|| of(None))
}

/// Returns what a policy stands for where the API applies it already.
fn kept_steps(kept: &Map<String, Value>, name: &str, version: &str) -> Option<Value> {
    let operations = kept.get("operations").and_then(Value::as_object).into_iter().flatten();
    let of_operations = operations.filter_map(|(_, operation)| operation.get("operationPolicies"));
    let all = kept.get("apiPolicies").into_iter().chain(of_operations);
    let items = all.flat_map(|flows| Flow::ALL.map(|flow| flows.get(flow.as_contract()).and_then(Value::as_array)));
    let found = items.flatten().flatten().find(|item| item["policyName"] == name && item["policyVersion"] == version);
    found.and_then(|item| item.get(STEPS)).cloned()
}

/// Takes out of policies that are applied what they stand for: that is nobody's to see.
pub(crate) fn hide_steps(flows: &mut Value) {
    for flow in Flow::ALL {
        for item in flows.get_mut(flow.as_contract()).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(item) = item.as_object_mut() {
                item.shift_remove(STEPS);
            }
        }
    }
}
