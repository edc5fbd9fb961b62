//! Finds the tenant's own policies among those that an API applies, and puts what they stand for beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_database::{Apimgtdb, assets};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::mediation::own::STEPS;
use portcullis_model::mediation::step::Kind;
use portcullis_model::mediation::{Flow, VERSION};
use portcullis_model::{Api, ApiId, AssetId, TenantDomain};
use serde_json::{Map, Value};

use super::{OwnPolicy, key_of};
use crate::dto::api_body::kept_fields;
use crate::fault::{FieldFault, PublisherError};
use crate::registry::Snapshot;

/// Policies that are applied in an API and its operations together.
const APPLIED_MAX: usize = 10_000;
/// Bytes that the tenant's own policies add to an API: what they stand for, and parameters that are not set.
const ADDED_BYTES_MAX: usize = 1 << 20;
/// Bytes of the tenant's policies that are read for one request.
const DOCUMENTS_BYTES_MAX: usize = 16 << 20;
/// What is wrong with one request that is told at a time.
const FAULTS_MAX: usize = 100;

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
    /// Where a policy is not applied as its specification says, or more are applied than are accepted.
    pub(crate) fn resolve(&self, fields: &mut Map<String, Value>) -> Result<(), PublisherError> {
        let operations = fields.get("operations").and_then(Value::as_array).into_iter().flatten();
        let of_operations = operations.filter_map(|operation| operation.get("operationPolicies"));
        let count: usize = fields.get("apiPolicies").into_iter().chain(of_operations).map(count_of).sum();
        if count > APPLIED_MAX {
            let reason = format!(
                "{count} policies are applied in the API and its operations together; at most {APPLIED_MAX} are accepted"
            );
            return Err(PublisherError::field("operations", reason));
        }
        Resolving::new(self).all(fields)
    }
}

/// Counts the policies that are applied in one place.
fn count_of(flows: &Value) -> usize {
    Flow::ALL.iter().filter_map(|flow| flows.get(flow.as_contract())?.as_array()).map(Vec::len).sum()
}

/// Where in an item something is wrong, and what.
type Wrong = (String, String);

/// What a name stands for.
enum Known {
    Own {
        id: AssetId,
        policy: OwnPolicy,
        steps_bytes: usize,
    },
    /// A policy that is gone, as the API applies it already.
    Kept {
        steps: Value,
        steps_bytes: usize,
    },
    Nothing,
}

/// The policies of one request. Each of the tenant's is read once.
struct Resolving<'a> {
    lookup: &'a Lookup<'a>,
    kept: Map<String, Value>,
    known: BTreeMap<(String, String), Arc<Known>>,
    documents_left: usize,
    added_left: usize,
    faults: Vec<FieldFault>,
}

impl<'a> Resolving<'a> {
    fn new(lookup: &'a Lookup<'a>) -> Self {
        Self {
            lookup,
            kept: lookup.current.map(kept_fields).unwrap_or_default(),
            known: BTreeMap::new(),
            documents_left: DOCUMENTS_BYTES_MAX,
            added_left: ADDED_BYTES_MAX,
            faults: Vec::new(),
        }
    }

    fn all(mut self, fields: &mut Map<String, Value>) -> Result<(), PublisherError> {
        if let Some(flows) = fields.get_mut("apiPolicies") {
            self.flows("apiPolicies", flows);
        }
        let operations = fields.get_mut("operations").and_then(Value::as_array_mut);
        for (number, operation) in operations.into_iter().flatten().enumerate() {
            if let Some(flows) = operation.get_mut("operationPolicies") {
                self.flows(&format!("operations[{number}].operationPolicies"), flows);
            }
        }
        if self.faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(self.faults)) }
    }

    fn flows(&mut self, place: &str, flows: &mut Value) {
        for flow in Flow::ALL {
            let items = flows.get_mut(flow.as_contract()).and_then(Value::as_array_mut);
            for (number, item) in items.into_iter().flatten().enumerate() {
                if self.faults.len() >= FAULTS_MAX {
                    return;
                }
                if let Some(item) = item.as_object_mut()
                    && let Err((inside, reason)) = self.item(item, flow)
                {
                    let place = format!("{place}.{}[{number}].{inside}", flow.as_contract());
                    self.faults.push(FieldFault::new(place, reason));
                }
            }
        }
    }

    fn item(&mut self, item: &mut Map<String, Value>, flow: Flow) -> Result<(), Wrong> {
        item.shift_remove(STEPS);
        let name = item.get("policyName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = item.get("policyVersion").and_then(Value::as_str).unwrap_or(VERSION).to_owned();
        if name.is_empty() || Kind::of(&name, &version).is_some() {
            return Ok(());
        }
        match &*self.known(&name, &version)? {
            Known::Nothing => {}
            Known::Kept { steps, steps_bytes } => {
                spend(&mut self.added_left, *steps_bytes)?;
                item.insert(STEPS.to_owned(), steps.clone());
            }
            Known::Own { id, policy, steps_bytes } => {
                if !policy.specification.flows().any(|its| its == flow) {
                    let reason = format!("{name} does not fit the {} flow", flow.as_contract());
                    return Err(("policyName".to_owned(), reason));
                }
                let mut parameters = match item.get("parameters") {
                    Some(Value::Object(parameters)) => parameters.clone(),
                    _ => Map::new(),
                };
                check(policy, &mut parameters, &mut self.added_left)?;
                spend(&mut self.added_left, *steps_bytes)?;
                item.insert("policyVersion".to_owned(), Value::String(version));
                item.insert("policyId".to_owned(), Value::String(id.to_string()));
                item.insert("parameters".to_owned(), Value::Object(parameters));
                item.insert(STEPS.to_owned(), Value::Array(policy.steps.clone()));
            }
        }
        Ok(())
    }

    fn known(&mut self, name: &str, version: &str) -> Result<Arc<Known>, Wrong> {
        let key = (name.to_owned(), version.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        let Lookup { snapshot, tenant, current } = self.lookup;
        let known = match find(snapshot, tenant, current.map(|api| api.id), &key_of(name, version)) {
            Some(asset) => {
                let wrong = |reason: String| ("policyName".to_owned(), reason);
                let left = self.documents_left.checked_sub(asset.document.len());
                self.documents_left = left.ok_or_else(|| {
                    wrong(format!("the policies that are named have more than {DOCUMENTS_BYTES_MAX} bytes together; apply fewer different ones"))
                })?;
                let policy: OwnPolicy =
                    serde_json::from_str(&asset.document).map_err(|error| wrong(error.to_string()))?;
                let steps_bytes = policy.steps.iter().map(|step| step.to_string().len()).sum();
                Known::Own { id: asset.id, policy, steps_bytes }
            }
            None => kept_steps(&self.kept, name, version)
                .map_or(Known::Nothing, |steps| Known::Kept { steps_bytes: steps.to_string().len(), steps }),
        };
        let known = Arc::new(known);
        self.known.insert(key, Arc::clone(&known));
        Ok(known)
    }
}

/// Takes from what the policies of a request may add to the API.
fn spend(left: &mut usize, bytes: usize) -> Result<(), Wrong> {
    *left = left.checked_sub(bytes).ok_or_else(|| {
        let reason = format!("with it the policies stand for more than {ADDED_BYTES_MAX} bytes; apply fewer of them, or apply them to the whole API");
        ("policyName".to_owned(), reason)
    })?;
    Ok(())
}

/// Checks parameters against a specification, and fills in what is not set.
fn check(own: &OwnPolicy, parameters: &mut Map<String, Value>, added_left: &mut usize) -> Result<(), Wrong> {
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
            Some(text) => {
                if set.is_none() {
                    spend(added_left, attribute.name.len() + text.len())?;
                }
                parameters.insert(attribute.name.clone(), Value::String(text));
            }
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

/// Returns the policies that an API applies, by name and version, as they are kept of it.
pub(crate) fn named_in(kept: &Map<String, Value>) -> BTreeSet<(String, String)> {
    let operations = kept.get("operations").and_then(Value::as_object).into_iter().flatten();
    let of_operations = operations.filter_map(|(_, operation)| operation.get("operationPolicies"));
    let all = kept.get("apiPolicies").into_iter().chain(of_operations);
    let items = all.flat_map(|flows| Flow::ALL.map(|flow| flows.get(flow.as_contract()).and_then(Value::as_array)));
    let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let named = items.flatten().flatten().filter_map(|item| {
        let version = text(item, "policyVersion").unwrap_or_else(|| VERSION.to_owned());
        Some((text(item, "policyName")?, version))
    });
    named.collect()
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
