//! Endpoints of an API that have names, and which of them it chose: in files by their names, on servers by ids.

use http::Method;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::compare::overlay;
use super::server::Server;
use crate::exit::Exit;
use crate::failure::Failure;

/// The field by which a server has a choice, the one by which a file says it, and the id that means none of them.
const CHOICES: [(&str, &str, &str); 2] = [
    ("primaryProductionEndpointId", "primaryProductionEndpoint", "default_production_endpoint"),
    ("primarySandboxEndpointId", "primarySandboxEndpoint", "default_sandbox_endpoint"),
];

/// Says whether a file chooses endpoints.
pub(super) fn chooses(spec: &Value) -> bool {
    CHOICES.iter().any(|(_, field, _)| spec.get(field).is_some())
}

impl Server {
    /// Makes endpoints and choices what a file may say of them. `api` is what the server says of the API at `at`.
    pub(super) async fn with_endpoint_names(&self, at: &str, api: &mut Value) -> Result<(), Failure> {
        let mut all = self.list(&format!("{at}/endpoints")).await?;
        let Some(fields) = api.as_object_mut() else { return Ok(()) };
        for (id, field, _) in CHOICES {
            let chosen = fields.shift_remove(id);
            if let Some(found) = all.iter().find(|one| Some(&one["id"]) == chosen.as_ref()) {
                fields.insert(field.to_owned(), found["name"].clone());
            }
        }
        for one in &mut all {
            one.as_object_mut().map(|fields| fields.shift_remove("id"));
        }
        if !all.is_empty() {
            fields.insert("endpoints".to_owned(), Value::Array(all));
        }
        Ok(())
    }

    /// Puts ids where a file chooses endpoints of the API at `at`.
    ///
    /// # Errors
    /// Where it has no endpoint of that name.
    pub(super) async fn with_endpoint_ids(&self, at: &str, spec: &mut Value) -> Result<(), Failure> {
        if !chooses(spec) {
            return Ok(());
        }
        let all = self.list(&format!("{at}/endpoints")).await?;
        let Some(fields) = spec.as_object_mut() else { return Ok(()) };
        for (id, field, usual) in CHOICES {
            let Some(chosen) = fields.shift_remove(field).filter(|chosen| !chosen.is_null()) else { continue };
            let value = match chosen.as_str() {
                None => {
                    let what = format!("spec.{field} is no name");
                    let why = format!("it is {chosen}; YAML reads no, yes and numbers as what they are");
                    return Err(Failure::new(Exit::Failed, what, why, "put it in quotes"));
                }
                Some("") => json!(usual),
                Some(name) => match all.iter().find(|one| one["name"] == name) {
                    Some(found) => found["id"].clone(),
                    None => {
                        let what = format!("there is no endpoint {name}");
                        let why = format!("spec.{field} names it");
                        return Err(Failure::new(Exit::NotFound, what, why, "add it to spec.endpoints"));
                    }
                },
            };
            fields.insert(id.to_owned(), value);
        }
        Ok(())
    }

    /// Makes the endpoints that a file names, and changes those that are there.
    pub(super) async fn bring_endpoints(&self, at: &str, wanted: &[Value]) -> Result<(), Failure> {
        let there = self.list(&format!("{at}/endpoints")).await?;
        for one in wanted {
            match there.iter().find(|there| there["name"] == one["name"]) {
                Some(before) => {
                    let id = encoded(before["id"].as_str().unwrap_or_default());
                    self.send(Method::PUT, &format!("{at}/endpoints/{id}"), &overlay(before, one)).await?
                }
                None => self.send(Method::POST, &format!("{at}/endpoints"), one).await?,
            };
        }
        Ok(())
    }

    /// Deletes the endpoints that a file does not name; none of them may be chosen any more.
    pub(super) async fn remove_other_endpoints(&self, at: &str, wanted: &[Value]) -> Result<(), Failure> {
        for gone in self.list(&format!("{at}/endpoints")).await? {
            if !wanted.iter().any(|wanted| wanted["name"] == gone["name"]) {
                self.remove(&format!("{at}/endpoints/{}", encoded(gone["id"].as_str().unwrap_or_default()))).await?;
            }
        }
        Ok(())
    }
}
