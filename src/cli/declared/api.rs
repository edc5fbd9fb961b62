//! APIs and products with all that belongs to them: definition, documents, deployments, state of life.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::compare::{Change, overlay};
use super::form::Part;
use super::kind::{Key, Kind, Shape};
use super::server::{Found, Server};
use crate::exit::Exit;
use crate::failure::Failure;

const PUBLISHER: &str = "/api/am/publisher/v4";
/// What belongs to an API and is written beside it.
const BESIDE: [&str; 5] = ["definition", "documents", "deployments", "lifeCycleStatus", "state"];
/// What of a document is the server's.
const MADE_OF_DOCUMENT: [&str; 5] = ["documentId", "createdBy", "createdTime", "lastUpdatedBy", "lastUpdatedTime"];

/// What is written beside an API.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) definition: Option<Value>,
    pub(super) documents: Option<Value>,
    pub(super) deployments: Option<Value>,
    pub(super) state: Option<String>,
}

impl Beside {
    /// Takes it out of what a file says.
    fn take(spec: &mut Value) -> Self {
        let mut take = |name: &str| spec.as_object_mut().and_then(|fields| fields.shift_remove(name));
        let [definition, documents, deployments, life, state] =
            BESIDE.map(|name| take(name).filter(|value| !value.is_null()));
        let state = life.or(state).and_then(|state| state.as_str().map(str::to_owned));
        Self { definition, documents, deployments, state }
    }
}

impl Server {
    /// Reads an API or a product.
    pub(super) async fn read_api(&self, kind: &Kind, id: &str) -> Result<Found, Failure> {
        let at = self.at(kind, id);
        let raw = self.get(&at).await?;
        let mut spec = self.portable(kind, raw.clone()).await?;
        let has_definition = kind.shape == Shape::Api && raw["type"] == "HTTP";
        if has_definition {
            spec["definition"] = self.get(&format!("{at}/swagger")).await?;
        }
        let documents = self.documents(&at).await?;
        if !documents.is_empty() {
            spec["documents"] = Value::Array(documents);
        }
        let deployments = self.list(&format!("{at}/deployments")).await?;
        let mut stale = None;
        if !deployments.is_empty() {
            let place = |one: &Value| json!({"name": one["name"], "vhost": one["vhost"], "displayOnDevportal": one["displayOnDevportal"]});
            spec["deployments"] = deployments.iter().map(place).collect();
            stale = self.is_stale(kind, &deployments, &spec, has_definition).await?.then_some("deployments");
        }
        if kind.shape == Shape::Product && self.get(&format!("{at}/is-outdated")).await?["isOutdated"] == true {
            stale = Some("apis");
        }
        let mut found = self.found(kind, id.to_owned(), raw, spec);
        found.stale = stale;
        Ok(found)
    }

    /// Says whether gateways have another state of it.
    async fn is_stale(
        &self,
        kind: &Kind,
        deployments: &[Value],
        spec: &Value,
        has_definition: bool,
    ) -> Result<bool, Failure> {
        let mut revisions: Vec<&str> = deployments.iter().filter_map(|one| one["revisionUuid"].as_str()).collect();
        revisions.sort_unstable();
        revisions.dedup();
        for revision in revisions {
            let at = self.at(kind, revision);
            let Some(reply) = self.bytes(&at).await? else { continue };
            let raw: Value = reply.json().unwrap_or_default();
            let mut then = self.portable(kind, raw).await?;
            if has_definition {
                then["definition"] = self.get(&format!("{at}/swagger")).await?;
            }
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

    /// Takes ids out, and puts names where others are referred to.
    async fn portable(&self, kind: &Kind, mut raw: Value) -> Result<Value, Failure> {
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

    async fn documents(&self, at: &str) -> Result<Vec<Value>, Failure> {
        let mut documents = Vec::new();
        for mut document in self.list(&format!("{at}/documents")).await? {
            let id = document["documentId"].as_str().unwrap_or_default().to_owned();
            let source = document["sourceType"].as_str().unwrap_or_default().to_owned();
            if let Some(fields) = document.as_object_mut() {
                let is_empty = |value: &Value| value.is_null() || *value == json!("");
                fields.retain(|name, value| !MADE_OF_DOCUMENT.contains(&name.as_str()) && !is_empty(value));
            }
            if source != "URL"
                && let Some(reply) = self.bytes(&format!("{at}/documents/{id}/content")).await?
            {
                match source.as_str() {
                    "FILE" => document["contentBase64"] = json!(STANDARD.encode(&reply.bytes)),
                    _ => document["content"] = json!(String::from_utf8_lossy(&reply.bytes)),
                }
            }
            documents.push(document);
        }
        Ok(documents)
    }

    /// Makes an API or a product.
    pub(super) async fn create_api(&self, kind: &Kind, key: &Key, mut spec: Value) -> Result<(), Failure> {
        let beside = Beside::take(&mut spec);
        spec["name"] = json!(key.name);
        spec["version"] = json!(key.version);
        let spec = self.with_ids_of_others(kind, spec).await?;
        let made = match &beside.definition {
            None => self.send(Method::POST, kind.path, &spec).await?,
            Some(definition) => {
                let (definition, fields) = (definition.to_string(), spec.to_string());
                let parts = [
                    Part::file("file", "definition.json", definition.as_bytes()),
                    Part::text("additionalProperties", &fields),
                ];
                let made = self.send_form(Method::POST, &format!("{}/import-openapi", kind.path), &parts).await?;
                // The fields say more of the operations than a definition can.
                let at = self.at(kind, made["id"].as_str().unwrap_or_default());
                let body = overlay(&self.get(&at).await?, &spec);
                self.send(Method::PUT, &at, &body).await?
            }
        };
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
        let definition_changed = changes.iter().any(|change| is_of(change, "definition"));
        if let Some(definition) = beside.definition.as_ref().filter(|_| definition_changed) {
            let text = definition.to_string();
            self.send_form(Method::PUT, &format!("{at}/swagger"), &[Part::text("apiDefinition", &text)]).await?;
        }
        let fields_changed = changes.iter().any(|change| !BESIDE.iter().any(|part| is_of(change, part)));
        if fields_changed || definition_changed {
            let spec = self.with_ids_of_others(kind, spec).await?;
            let body = overlay(&self.get(&at).await?, &spec);
            self.send(Method::PUT, &at, &body).await?;
        }
        let is_stale = found.stale.is_some();
        self.bring(kind, &found.id, &beside, fields_changed || definition_changed || is_stale).await
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

    /// Makes the documents those of a file.
    pub(super) async fn bring_documents(&self, at: &str, wanted: &[Value]) -> Result<(), Failure> {
        let there = self.list(&format!("{at}/documents")).await?;
        for document in wanted {
            let mut body = document.clone();
            let mut take = |name: &str| body.as_object_mut().and_then(|fields| fields.shift_remove(name));
            let (text, file) = (take("content"), take("contentBase64"));
            let before = there.iter().find(|one| one["name"] == body["name"]);
            let kept = match before {
                Some(before) => {
                    let path = format!("{at}/documents/{}", before["documentId"].as_str().unwrap_or_default());
                    self.send(Method::PUT, &path, &overlay(before, &body)).await?
                }
                None => self.send(Method::POST, &format!("{at}/documents"), &body).await?,
            };
            let path = format!("{at}/documents/{}/content", kept["documentId"].as_str().unwrap_or_default());
            if let Some(text) = text.as_ref().and_then(Value::as_str) {
                self.send_form(Method::POST, &path, &[Part::text("inlineContent", text)]).await?;
            } else if let Some(file) = file.as_ref().and_then(Value::as_str) {
                let content = STANDARD.decode(file.trim()).map_err(|fault| {
                    let what = format!("contentBase64 of the document {} is no base64", body["name"]);
                    Failure::new(Exit::Failed, what, fault.to_string(), "base64 FILE     writes it")
                })?;
                let name = body["fileName"].as_str().or_else(|| body["name"].as_str()).unwrap_or("document");
                self.send_form(Method::POST, &path, &[Part::file("file", name, &content)]).await?;
            }
        }
        for gone in there.iter().filter(|one| !wanted.iter().any(|wanted| wanted["name"] == one["name"])) {
            let id = gone["documentId"].as_str().unwrap_or_default();
            self.remove(&format!("{at}/documents/{id}")).await?;
        }
        Ok(())
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
