//! Objects that are one document, or a document with a file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::compare::overlay;
use super::kind::{Key, Kind, Shape};
use super::server::{Found, Server};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::form::Part;

const RULESETS: &str = "/api/am/governance/v1/rulesets";
const PUBLISHER: &str = "/api/am/publisher/v4";
/// How the name of an operation policy's definition ends.
const DEFINITION: &[u8] = b".j2";

impl Server {
    /// Reads an object whose file is at a path of its own, or that refers to others by their ids.
    pub(super) async fn read_with_content(&self, kind: &Kind, id: String, item: Value) -> Result<Found, Failure> {
        let at = self.at(kind, &id);
        let mut spec = item.clone();
        match kind.shape {
            Shape::Certificate => spec["certificate"] = self.text(&format!("{at}/content")).await?,
            Shape::Ruleset => spec["rulesetContent"] = self.text(&format!("{at}/content")).await?,
            Shape::Service => spec["definition"] = self.text(&format!("{at}/definition")).await?,
            Shape::Archive => return self.read_archive(kind, id, item).await,
            Shape::GovernancePolicy => {
                let ids = spec["rulesets"].as_array().cloned().unwrap_or_default();
                let all = self.list(RULESETS).await?;
                let name = |id: &Value| all.iter().find(|one| one["id"] == *id).map(|one| one["name"].clone());
                spec["rulesets"] = ids.iter().map(|id| name(id).unwrap_or_else(|| id.clone())).collect();
            }
            _ => {}
        }
        Ok(self.found(kind, id, item, spec))
    }

    async fn text(&self, path: &str) -> Result<Value, Failure> {
        let reply = self.bytes(path).await?;
        Ok(reply.map_or(Value::Null, |reply| json!(String::from_utf8_lossy(&reply.bytes))))
    }

    /// Reads an operation policy. Only those of the tenant have a definition, which is in an archive.
    async fn read_archive(&self, kind: &Kind, id: String, item: Value) -> Result<Found, Failure> {
        let reply = self.bytes(&format!("{}/content", self.at(kind, &id))).await?;
        let archive = reply.map(|reply| reply.bytes).unwrap_or_default();
        let mut found = self.found(kind, id, item, json!({"archive": STANDARD.encode(&archive)}));
        // The names of the files in an archive are plain; those of the program have a specification alone.
        found.is_of_program = !archive.windows(DEFINITION.len()).any(|window| window == DEFINITION);
        Ok(found)
    }

    /// Makes an object.
    pub(super) async fn create_plain(&self, kind: &Kind, key: &Key, mut spec: Value) -> Result<(), Failure> {
        if kind.shape != Shape::Denial && !kind.name.is_empty() {
            spec[kind.name] = json!(key.name);
        }
        if let (Some(field), Some(version)) = (kind.version, &key.version) {
            spec[field] = json!(version);
        }
        match kind.shape {
            Shape::Archive => {
                let wrong = |why: String| {
                    let next = "portcullis export --kind OperationPolicy     writes it";
                    Failure::new(Exit::Failed, "spec.archive is no archive of a policy", why, next)
                };
                let text = spec["archive"].as_str().ok_or_else(|| wrong("it is not there".to_owned()))?;
                let archive = STANDARD.decode(text.trim()).map_err(|fault| wrong(fault.to_string()))?;
                let parts = [Part::file("file", "policy.zip", &archive)];
                self.send_form(Method::POST, &format!("{PUBLISHER}/operation-policies/import"), &parts).await?;
            }
            Shape::Certificate | Shape::Ruleset | Shape::Service => {
                self.send_fields(Method::POST, kind, kind.path, &spec).await?;
            }
            _ => {
                let body = self.with_ids(kind, spec).await?;
                self.send(Method::POST, kind.path, &body).await?;
            }
        }
        Ok(())
    }

    /// Changes an object.
    pub(super) async fn update_plain(&self, kind: &Kind, spec: Value, found: &Found) -> Result<(), Failure> {
        let at = self.at(kind, &found.id);
        match kind.shape {
            Shape::Archive => {
                let why = "an operation policy stays as it is, because APIs use it by name and version";
                return Err(Failure::new(Exit::Conflict, "it is there already", why, "give the policy a new version"));
            }
            Shape::Single => {
                self.send(Method::PUT, kind.path, &overlay(&found.raw, &spec)).await?;
            }
            Shape::Denial => {
                let body = json!({"conditionStatus": spec.get("conditionStatus").unwrap_or(&json!(true)), "expiresAt": spec["expiresAt"]});
                self.send(Method::PATCH, &at, &body).await?;
            }
            Shape::Certificate | Shape::Ruleset | Shape::Service => {
                let mut before = found.spec.clone();
                for (name, value) in
                    [(Some(kind.name), Some(&found.key.name)), (kind.version, found.key.version.as_ref())]
                {
                    if let (Some(name), Some(value)) = (name, value) {
                        before[name] = json!(value);
                    }
                }
                self.send_fields(Method::PUT, kind, &at, &overlay(&before, &spec)).await?;
            }
            _ => {
                let mut body = overlay(&found.raw, &self.with_ids(kind, spec).await?);
                super::server::without_nothing(&mut body);
                self.send(Method::PUT, &at, &body).await?;
            }
        }
        Ok(())
    }

    /// Sends what the contract takes as a form.
    async fn send_fields(&self, method: Method, kind: &Kind, path: &str, spec: &Value) -> Result<(), Failure> {
        let text = |name: &str| spec[name].as_str().unwrap_or_default();
        if kind.shape == Shape::Service {
            let mut metadata = spec.clone();
            metadata.as_object_mut().map(|fields| fields.shift_remove("definition"));
            let (metadata, definition) = (metadata.to_string(), text("definition").to_owned());
            let mut parts = vec![Part::file("serviceMetadata", "metadata.json", metadata.as_bytes())];
            if !definition.is_empty() {
                parts.push(Part::file("definitionFile", "definition", definition.as_bytes()));
            }
            self.send_form(method, path, &parts).await?;
            return Ok(());
        }
        let fields = spec.as_object().into_iter().flatten();
        let parts: Vec<Part<'_>> = fields
            .filter_map(|(name, value)| {
                let text = value.as_str()?;
                let is_file = matches!(name.as_str(), "certificate" | "rulesetContent");
                Some(if is_file { Part::file(name, name, text.as_bytes()) } else { Part::text(name, text) })
            })
            .collect();
        self.send_form(method, path, &parts).await?;
        Ok(())
    }

    /// Puts ids where a file has names.
    async fn with_ids(&self, kind: &Kind, mut spec: Value) -> Result<Value, Failure> {
        if kind.shape != Shape::GovernancePolicy {
            return Ok(spec);
        }
        let Some(names) = spec["rulesets"].as_array().cloned() else { return Ok(spec) };
        let all = self.list(RULESETS).await?;
        let id = |name: &Value| {
            let found = all.iter().find(|one| one["name"] == *name || one["id"] == *name);
            found.map(|one| one["id"].clone()).ok_or_else(|| {
                let what = format!("there is no ruleset {name}");
                Failure::new(
                    Exit::NotFound,
                    what,
                    "spec.rulesets names rulesets",
                    "add it, as an object of the kind Ruleset",
                )
            })
        };
        spec["rulesets"] = Value::Array(names.iter().map(id).collect::<Result<_, _>>()?);
        Ok(spec)
    }
}
