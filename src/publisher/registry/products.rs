//! Puts API products together from operations of APIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::SubmitError;
use portcullis_database::command::UpdateApi as UpdateApiCommand;
use portcullis_model::api::{ApiScope, EndpointConfig, Operation};
use portcullis_model::api_endpoint::served_endpoints;
use portcullis_model::lambda::calls_functions;
use portcullis_model::product::{ProductPart, parts_of, set_parts};
use portcullis_model::{Api, ApiKind, Endpoint, Lifecycle, Refused};
use serde_json::{Map, Value, json};

use super::apis::{pretty, refuse_stale};
use super::headings::check_categories;
use super::organizations::check_sharing;
use super::{Registry, Snapshot, find, seen, view_of, written};
use crate::dto::api::{Reading, blank, read};
use crate::dto::api_body::kept_fields;
use crate::dto::operations::{self, key_of};
use crate::dto::product::{FIRST_VERSION, Meant, is_product, read_meant};
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{ApiView, CreateProduct, IsOutdated, Seen, UpdateProduct, Written};
use crate::openapi;
use crate::own_policy::apply::Lookup;

/// What of a body only the system writes.
const READ_ONLY: [&str; 8] =
    ["state", "apiType", "scopes", "operations", "endpointConfig", "type", "revisionedApiProductId", "lastUpdatedTime"];

/// A product as it is to be, without its own fields.
struct Parts {
    operations: Vec<Operation>,
    /// What is kept of the operations, by `VERB target`.
    kept: Map<String, Value>,
    scopes: Vec<ApiScope>,
    parts: Vec<ProductPart>,
    /// The documents of the APIs, with what the product has of them.
    sources: Vec<(Vec<String>, Arc<str>)>,
}

impl Registry {
    pub(crate) async fn create_product(&self, message: CreateProduct) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let mut fields = message.fields;
        let meant = read_meant(&mut fields).map_err(PublisherError::Fields)?;
        let parts = collect(&snapshot, &message.asker.identity, &meant)?;
        fields.entry("version").or_insert_with(|| json!(FIRST_VERSION));
        let base = self.new_api(&snapshot, &message.asker.identity, &fields);
        Lookup { snapshot: &snapshot, tenant: &base.tenant, current: None }.resolve(&mut fields)?;
        let product = self.read_product(fields, base, &parts, true)?;
        let definition = definition(&product, parts).await?;
        self.submit_new(&message.asker, product, definition).await
    }

    pub(crate) async fn update_product(&self, message: UpdateProduct) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let current = find(&snapshot, &message.asker.identity, &message.id)?;
        if !is_product(&current) {
            return Err(Refused::not_found("API product", message.id).into());
        }
        if let Some(expected) = message.expected {
            refuse_stale(&current, expected)?;
        }
        let mut fields = message.fields;
        let meant = read_meant(&mut fields).map_err(PublisherError::Fields)?;
        let parts = collect(&snapshot, &message.asker.identity, &meant)?;
        Lookup { snapshot: &snapshot, tenant: &current.tenant, current: Some(&*current) }.resolve(&mut fields)?;
        let base = Api {
            name: current.name.clone(),
            context: current.context.clone(),
            version: current.version.clone(),
            // What bodies neither show nor change stays.
            other_fields: current.other_fields.clone(),
            ..blank(current.id, current.tenant.clone(), current.provider.clone())
        };
        let product = self.read_product(fields, base, &parts, false)?;
        check_categories(&snapshot, &product, &current.categories)?;
        check_sharing(&snapshot, &product, Some(&*current))?;
        let definition = Some(definition(&product, parts).await?);
        let command = UpdateApiCommand { api: product, definition, expected: Some(current.updated_at) };
        let committed = self.handle.submit(command, &message.asker.caller()).await.map_err(|error| match error {
            SubmitError::Refused(Refused::Stale { key, .. }) => {
                PublisherError::from(Refused::Stale { noun: "API product".to_owned(), key })
            }
            error => error.into(),
        })?;
        let view = self.view_after(&message.id, &message.asker)?;
        Ok(written(committed, |()| view))
    }

    fn read_product(
        &self,
        mut fields: Map<String, Value>,
        base: Api,
        parts: &Parts,
        is_new: bool,
    ) -> Result<Api, PublisherError> {
        for name in READ_ONLY {
            fields.shift_remove(name);
        }
        fields.insert("operations".to_owned(), operations::write_whole(&parts.operations, Some(&parts.kept)));
        set_parts(&mut fields, &parts.parts);
        let previous = EndpointConfig::default();
        let reading = Reading { base, previous: &previous, key: &self.key, sets_identity: is_new };
        let product = read(fields, reading).map_err(PublisherError::Fields)?;
        Ok(Api {
            kind: ApiKind::Product,
            scopes: parts.scopes.clone(),
            endpoints: all_endpoints(&parts.parts),
            ..product
        })
    }

    /// Says whether an API of a product is other than the product has it.
    pub(crate) async fn is_outdated(&self, message: IsOutdated) -> Result<Seen<bool>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let product = find(&snapshot, &message.asker.identity, &message.id)?;
        if !is_product(&product) {
            return Err(Refused::not_found("API product", message.id).into());
        }
        let has = parts_of(&product);
        let meant: Vec<Meant> =
            has.iter().map(|part| Meant { id: part.api.to_string(), operations: part.operations.clone() }).collect();
        let now = collect(&snapshot, &message.asker.identity, &meant);
        let is_outdated = now.map_or(true, |now| {
            now.parts != has || now.operations != product.operations || now.scopes != product.scopes
        });
        Ok(seen(&snapshot, is_outdated))
    }
}

/// Collects what a product is put together from.
fn collect(
    snapshot: &Snapshot,
    identity: &portcullis_model::port::Identity,
    meant: &[Meant],
) -> Result<Parts, PublisherError> {
    let mut all =
        Parts { operations: Vec::new(), kept: Map::new(), scopes: Vec::new(), parts: Vec::new(), sources: Vec::new() };
    let mut whose: BTreeMap<String, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for (number, one) in meant.iter().enumerate() {
        let api = find(snapshot, identity, &one.id)?;
        let mut fault = |reason: String| faults.push(FieldFault::new(format!("apis[{number}]"), reason));
        if api.kind != ApiKind::Http || api.lifecycle == Lifecycle::Retired {
            let (kind, state) = (api.kind.as_contract(), api.lifecycle);
            fault(format!("{} is {kind} and {state}; a product has HTTP APIs that are not retired", api.name));
            continue;
        }
        if calls_functions(&api) {
            fault(format!("{} has functions of AWS Lambda, which products do not carry", api.name));
            continue;
        }
        if all.parts.iter().any(|part| part.api == api.id) {
            fault(format!("{} is there twice", api.name));
            continue;
        }
        for key in &one.operations {
            match api.operations.iter().find(|operation| key_of(operation) == *key) {
                None => fault(format!("{} {} has no operation {key}", api.name, api.version)),
                Some(operation) => {
                    if let Some(other) = whose.insert(key.clone(), api.name.clone()) {
                        fault(format!("{key} is of {other} too; a product has an operation once"));
                        continue;
                    }
                    add(&mut all, &api, operation);
                }
            }
        }
        all.sources.push((one.operations.clone(), view_of(snapshot, Arc::clone(&api)).definition));
        all.parts.push(ProductPart {
            api: api.id,
            name: api.name.clone(),
            version: api.version.clone(),
            operations: one.operations.clone(),
            endpoints: served_endpoints(&api),
        });
    }
    if faults.is_empty() { Ok(all) } else { Err(PublisherError::Fields(faults)) }
}

fn add(all: &mut Parts, api: &Api, operation: &Operation) {
    let fields = kept_fields(api);
    let mut kept = fields
        .get("operations")
        .and_then(|operations| operations.get(key_of(operation)))
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let policies = joined(fields.get("apiPolicies"), kept.get("operationPolicies"));
    kept.insert("operationPolicies".to_owned(), policies);
    all.kept.insert(key_of(operation), Value::Object(kept));
    let mut operation = operation.clone();
    if let Some(policy) = &api.api_policy {
        operation.policy.clone_from(policy);
    }
    let asked = api.scopes.iter().filter(|scope| operation.scopes.contains(&scope.name));
    for scope in asked {
        if !all.scopes.iter().any(|known| known.name == scope.name) {
            all.scopes.push(scope.clone());
        }
    }
    all.operations.push(operation);
}

/// Returns the endpoints of all parts: by them it is known which keys the product serves. Calls go by the parts.
fn all_endpoints(parts: &[ProductPart]) -> EndpointConfig {
    let all = |of: fn(&EndpointConfig) -> &Vec<Endpoint>| {
        parts.iter().flat_map(|part| of(&part.endpoints)).cloned().collect()
    };
    EndpointConfig {
        production: all(|endpoints| &endpoints.production),
        sandbox: all(|endpoints| &endpoints.sandbox),
        ..EndpointConfig::default()
    }
}

/// Joins the policies of an API and of an operation of it, so that each operation's are next to the backend.
fn joined(of_api: Option<&Value>, of_operation: Option<&Value>) -> Value {
    let flow = |from: Option<&Value>, name: &str| -> Vec<Value> {
        from.and_then(|flows| flows.get(name)).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let join =
        |first: Option<&Value>, second: Option<&Value>, name: &str| [flow(first, name), flow(second, name)].concat();
    json!({
        "request": join(of_api, of_operation, "request"),
        "response": join(of_operation, of_api, "response"),
        "fault": join(of_operation, of_api, "fault"),
    })
}

async fn definition(product: &Api, parts: Parts) -> Result<Arc<str>, PublisherError> {
    let product = product.clone();
    let joined = openapi::aside(move || {
        let read = |text: &str| openapi::document::parse_text(text).unwrap_or_default();
        let sources: Vec<_> = parts.sources.into_iter().map(|(operations, text)| (operations, read(&text))).collect();
        Arc::from(pretty(&openapi::product::join(&product, &sources)))
    });
    joined.await
}
