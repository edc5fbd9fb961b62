//! APIs and products with all that belongs to them: definition, documents, deployments, state of life.

use http::Method;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::compare::{Change, overlay};
use super::endpoints;
use super::kind::{Key, Kind, Shape};
use super::server::{Found, Server};
use crate::exit::Exit;
use crate::failure::Failure;

const PUBLISHER: &str = "/api/am/publisher/v4";
/// What belongs to an API and is written beside it.
const BESIDE: [&str; 7] =
    ["definition", "endpoints", "complexity", "documents", "deployments", "lifeCycleStatus", "state"];

/// What is written beside an API.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) definition: Option<Value>,
    pub(super) endpoints: Option<Value>,
    pub(super) complexity: Option<Value>,
    pub(super) documents: Option<Value>,
    pub(super) deployments: Option<Value>,
    pub(super) state: Option<String>,
}

impl Beside {
    /// Takes it out of what a file says.
    fn take(spec: &mut Value) -> Self {
        let mut take = |name: &str| spec.as_object_mut().and_then(|fields| fields.shift_remove(name));
        let [definition, endpoints, complexity, documents, deployments, life, state] =
            BESIDE.map(|name| take(name).filter(|value| !value.is_null()));
        let state = life.or(state).and_then(|state| state.as_str().map(str::to_owned));
        Self { definition, endpoints, complexity, documents, deployments, state }
    }

    fn endpoints(&self) -> Option<&[Value]> {
        self.endpoints.as_ref().and_then(Value::as_array).map(Vec::as_slice)
    }
}

impl Server {
    /// Reads an API or a product.
    pub(super) async fn read_api(&self, kind: &Kind, id: &str) -> Result<Found, Failure> {
        let at = self.at(kind, id);
        let raw = self.get(&at).await?;
        let mut spec = self.portable(kind, &at, raw.clone()).await?;
        let documents = self.documents(&at).await?;
        if !documents.is_empty() {
            spec["documents"] = Value::Array(documents);
        }
        let deployments = self.list(&format!("{at}/deployments")).await?;
        let mut stale = None;
        if !deployments.is_empty() {
            let place = |one: &Value| json!({"name": one["name"], "vhost": one["vhost"], "displayOnDevportal": one["displayOnDevportal"]});
            spec["deployments"] = deployments.iter().map(place).collect();
            stale = self.is_stale(kind, &deployments, &spec).await?.then_some("deployments");
        }
        if kind.shape == Shape::Product && self.get(&format!("{at}/is-outdated")).await?["isOutdated"] == true {
            stale = Some("apis");
        }
        let mut found = self.found(kind, id.to_owned(), raw, spec);
        found.stale = stale;
        Ok(found)
    }

    /// Says whether gateways have another state of it.
    async fn is_stale(&self, kind: &Kind, deployments: &[Value], spec: &Value) -> Result<bool, Failure> {
        let mut revisions: Vec<&str> = deployments.iter().filter_map(|one| one["revisionUuid"].as_str()).collect();
        revisions.sort_unstable();
        revisions.dedup();
        for revision in revisions {
            let at = self.at(kind, revision);
            let Some(reply) = self.bytes(&at).await? else { continue };
            let raw: Value = reply.json().unwrap_or_default();
            let then = self.portable(kind, &at, raw).await?;
            let (then, mut now) = (self.found(kind, String::new(), json!({}), then).spec, spec.clone());
            now = self.found(kind, String::new(), json!({}), now).spec;
            let fields = now.as_object().into_iter().flatten();
            let is_content = |name: &str| {
                !matches!(name, "documents" | "deployments" | "lifeCycleStatus" | "state" | "isDefaultVersion")
            };
            if fields.filter(|(name, _)| is_content(name)).any(|(name, value)| then.get(name) != Some(value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes ids out, puts names where others are referred to, and adds what has paths of its own. `raw` is what the server
    /// says of what is at `at`.
    async fn portable(&self, kind: &Kind, at: &str, mut raw: Value) -> Result<Value, Failure> {
        if kind.shape == Shape::Api {
            // The definition is said itself.
            if let Some(fields) = raw.as_object_mut() {
                fields.retain(|name, _| !matches!(name.as_str(), "wsdlInfo" | "wsdlUrl"));
            }
            self.with_endpoint_names(at, &mut raw).await?;
            if let Some(definition) = self.definition(at, &raw).await? {
                raw["definition"] = definition;
            }
            if let Some(costs) = self.costs(at, &raw).await? {
                raw["complexity"] = costs;
            }
        }
        if let Some(info) = raw.get_mut("advertiseInfo").and_then(Value::as_object_mut) {
            info.shift_remove("apiOwner");
        }
        self.with_organization_names(&mut raw).await?;
        without_ids(&mut raw, "apiPolicies");
        for list in ["operations", "scopes"] {
            for item in raw.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                item.as_object_mut().map(|fields| fields.shift_remove("id"));
                item.get_mut("scope").and_then(Value::as_object_mut).map(|fields| fields.shift_remove("id"));
                without_ids(item, "operationPolicies");
            }
        }
        if kind.shape == Shape::Product {
            for part in raw.get_mut("apis").and_then(Value::as_array_mut).into_iter().flatten() {
                let Some(fields) = part.as_object_mut() else { continue };
                fields.shift_remove("apiId");
                let operations = fields.get("operations").and_then(Value::as_array).cloned().unwrap_or_default();
                let least = |one: &Value| json!({"verb": one["verb"], "target": one["target"]});
                fields.insert("operations".to_owned(), operations.iter().map(least).collect());
            }
            // What a product has of its APIs is not its own to say.
            raw.as_object_mut().map(|fields| fields.shift_remove("scopes"));
        }
        Ok(raw)
    }

    /// Makes an API or a product.
    pub(super) async fn create_api(&self, kind: &Kind, key: &Key, mut spec: Value) -> Result<(), Failure> {
        let beside = Beside::take(&mut spec);
        spec["name"] = json!(key.name);
        spec["version"] = json!(key.version);
        let mut spec = self.with_ids_of_others(kind, spec).await?;
        let mut first = spec.clone();
        if let Some(fields) = first.as_object_mut() {
            fields.retain(|name, _| !name.starts_with("primary"));
        }
        let made = match &beside.definition {
            None => self.send(Method::POST, kind.path, &first).await?,
            Some(definition) => self.import_definition(kind, definition, &first).await?,
        };
        let at = self.at(kind, made["id"].as_str().unwrap_or_default());
        if let Some(endpoints) = beside.endpoints() {
            self.bring_endpoints(&at, endpoints).await?;
        }
        // The fields say more of the operations than a definition can.
        if beside.definition.is_some() || endpoints::chooses(&spec) {
            self.with_endpoint_ids(&at, &mut spec).await?;
            let body = overlay(&self.get(&at).await?, &spec);
            self.send(Method::PUT, &at, &body).await?;
        }
        if let Some(costs) = &beside.complexity {
            self.put_costs(&at, costs).await?;
        }
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        self.bring(kind, &id, &beside, true).await
    }

    /// Changes an API or a product.
    pub(super) async fn update_api(
        &self,
        kind: &Kind,
        mut spec: Value,
        found: &Found,
        changes: &[Change],
    ) -> Result<(), Failure> {
        let beside = Beside::take(&mut spec);
        let at = self.at(kind, &found.id);
        let is_of = |change: &Change, part: &str| {
            change.path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let has_changed = |part: &str| changes.iter().any(|change| is_of(change, part));
        let definition = beside.definition.as_ref().filter(|_| has_changed("definition"));
        if let Some(definition) = definition {
            self.put_definition(&at, &found.raw, definition).await?;
        }
        let endpoints = beside.endpoints().filter(|_| has_changed("endpoints") || has_changed("secrets"));
        if let Some(endpoints) = endpoints {
            self.bring_endpoints(&at, endpoints).await?;
        }
        let fields_changed = changes.iter().any(|change| !BESIDE.iter().any(|part| is_of(change, part)));
        let fields_changed = fields_changed || definition.is_some();
        if fields_changed {
            let mut spec = self.with_ids_of_others(kind, spec).await?;
            self.with_endpoint_ids(&at, &mut spec).await?;
            let body = overlay(&self.get(&at).await?, &spec);
            self.send(Method::PUT, &at, &body).await?;
        }
        if let Some(endpoints) = endpoints {
            self.remove_other_endpoints(&at, endpoints).await?;
        }
        let costs = beside.complexity.as_ref().filter(|_| has_changed("complexity"));
        if let Some(costs) = costs {
            self.put_costs(&at, costs).await?;
        }
        let is_changed = fields_changed || found.stale.is_some() || endpoints.is_some() || costs.is_some();
        self.bring(kind, &found.id, &beside, is_changed).await
    }

    /// Puts ids where an API or a product names organizations, and a product its APIs.
    async fn with_ids_of_others(&self, kind: &Kind, mut spec: Value) -> Result<Value, Failure> {
        self.with_organization_ids(&mut spec).await?;
        if kind.shape != Shape::Product {
            return Ok(spec);
        }
        for part in spec.get_mut("apis").and_then(Value::as_array_mut).into_iter().flatten() {
            let (name, version) =
                (part["name"].as_str().unwrap_or_default(), part["version"].as_str().unwrap_or_default());
            let id = self.id_of_api(PUBLISHER, name, version).await?;
            part["apiId"] = json!(id);
        }
        Ok(spec)
    }

    /// Returns the id of an API by its name and version.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) async fn id_of_api(&self, face: &str, name: &str, version: &str) -> Result<String, Failure> {
        let query = encoded(&format!("name:\"{name}\""));
        for collection in ["apis", "api-products"] {
            if collection == "api-products" && face != PUBLISHER {
                continue;
            }
            let all = self.list(&format!("{face}/{collection}?query={query}")).await?;
            if let Some(found) = all.iter().find(|one| one["name"] == name && one["version"] == version) {
                return Ok(found["id"].as_str().unwrap_or_default().to_owned());
            }
        }
        let what = format!("there is no API {name} {version}");
        Err(Failure::new(
            Exit::NotFound,
            what,
            "the object refers to it",
            "add it, as an object of the kind Api; it must be published to be subscribed to",
        ))
    }
}

/// Takes the ids of policies out, which are known by name and version.
fn without_ids(value: &mut Value, field: &str) {
    for (_, flow) in value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten() {
        for policy in flow.as_array_mut().into_iter().flatten() {
            policy.as_object_mut().map(|fields| fields.shift_remove("policyId"));
        }
    }
}
