//! What a server has of a kind, and how it is changed: which of the shapes does it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use portcullis_http::client::{Client, Reply};
use portcullis_http::client_error::ClientError;
use serde_json::{Value, json};

use super::kind::{Key, Kind, Shape};
use super::placeholder;
use super::plan::{Action, Step};
use crate::failure::Failure;
use crate::form::{self, Part};
use crate::remote::of_client;
use crate::request::say_unreached;

/// Objects of one page of a list.
const PAGE: usize = 1_000;
/// Pages of one list.
const PAGES_MAX: usize = 100;

/// An object that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// What tells it apart.
    pub key: Key,
    /// Its id.
    pub id: String,
    /// All that the server says of it.
    pub raw: Value,
    /// The same as a file says it.
    pub spec: Value,
    /// Whether it comes with the program and stays as it is.
    pub is_of_program: bool,
    /// What of it is in force as it was before, and not as it is.
    pub stale: Option<&'static str>,
}

/// A server, signed in.
#[derive(Debug)]
pub struct Server {
    client: Client,
}

impl Server {
    /// Takes a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns what is there of a kind and has one of these keys.
    ///
    /// # Errors
    /// Where the server refuses or cannot be reached.
    pub async fn find(&mut self, kind: &'static Kind, is_meant: &dyn Fn(&Key) -> bool) -> Result<Vec<Found>, Failure> {
        if kind.shape == Shape::Single {
            let raw = self.get(kind.path).await?;
            return Ok(vec![self.found(kind, String::new(), raw.clone(), raw)]);
        }
        let mut found = Vec::new();
        for item in self.list(kind.path).await? {
            if !is_meant(&kind.key_of(&item)) {
                continue;
            }
            let id = item[kind.id].as_str().unwrap_or_default().to_owned();
            found.push(match kind.shape {
                Shape::Api | Shape::Product => self.read_api(kind, &id).await?,
                Shape::Application => self.read_application(kind, &id).await?,
                Shape::Plain | Shape::Listed | Shape::Single | Shape::Denial => {
                    let raw = match kind.shape {
                        Shape::Plain => match self.bytes(&self.at(kind, &id)).await? {
                            Some(reply) => reply.json().map_err(|fault| of_client(&fault))?,
                            // What is listed and not shown is the program's own: the key manager that it is itself.
                            None => continue,
                        },
                        _ => item,
                    };
                    self.found(kind, id, raw.clone(), raw)
                }
                _ => self.read_with_content(kind, id, item).await?,
            });
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    /// Does what a step says.
    ///
    /// # Errors
    /// Where the server refuses or cannot be reached, or a text stands for something that cannot be read.
    pub async fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        match &step.action {
            Action::Same => Ok(()),
            Action::Delete(found) => self.delete(step.kind, found).await,
            Action::Create(object) => {
                let spec = placeholder::expand_all(&object.spec, &object.directory)?;
                match step.kind.shape {
                    Shape::Api | Shape::Product => self.create_api(step.kind, &object.key, spec).await,
                    Shape::Application => self.write_application(step.kind, &object.key, spec, None).await,
                    _ => self.create_plain(step.kind, &object.key, spec).await,
                }
            }
            Action::Update(object, found, changes) => {
                let spec = placeholder::expand_all(&object.spec, &object.directory)?;
                match step.kind.shape {
                    Shape::Api | Shape::Product => self.update_api(step.kind, spec, found, changes).await,
                    Shape::Application => self.write_application(step.kind, &object.key, spec, Some(found)).await,
                    _ => self.update_plain(step.kind, spec, found).await,
                }
            }
        }
    }

    async fn delete(&self, kind: &Kind, found: &Found) -> Result<(), Failure> {
        let reply = self.client.delete(&self.at(kind, &found.id)).await.map_err(|fault| of_client(&fault))?;
        say_unreached(&reply);
        Ok(())
    }

    /// Makes what the server says of an object what a file may say of it.
    pub(super) fn found(&self, kind: &Kind, id: String, raw: Value, mut spec: Value) -> Found {
        let key = kind.key_of(&raw);
        let is_of_program = is_of_program(kind, &raw);
        if let Some(fields) = spec.as_object_mut() {
            let is_identity =
                |name: &str| kind.shape != Shape::Denial && (name == kind.name || Some(name) == kind.version);
            fields.retain(|name, _| {
                !kind.made.contains(&name.as_str()) && (kind.shape == Shape::Single || !is_identity(name))
            });
        }
        without_nothing(&mut spec);
        Found { key, id, raw, spec, is_of_program, stale: None }
    }

    /// Returns the path of an object.
    pub(super) fn at(&self, kind: &Kind, id: &str) -> String {
        let collection =
            if kind.shape == Shape::Denial { "/api/am/admin/v4/throttling/deny-policy" } else { kind.path };
        format!("{collection}/{}", portcullis_http::percent::encoded(id))
    }

    /// Returns the client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Reads a document.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.client.get(path).await.map_err(|fault| of_client(&fault))
    }

    /// Reads bytes; nothing where there are none.
    pub(super) async fn bytes(&self, path: &str) -> Result<Option<Reply>, Failure> {
        match self.client.send(Method::GET, path, &[], Bytes::new()).await {
            Ok(reply) => Ok(Some(reply)),
            Err(ClientError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(fault) => Err(of_client(&fault)),
        }
    }

    /// Reads all of a list.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for page in 0..PAGES_MAX {
            let body = self.get(&format!("{path}{joint}limit={PAGE}&offset={}", page * PAGE)).await?;
            let items = body.get("list").or_else(|| body.get("certificates")).and_then(Value::as_array);
            let items = items.cloned().unwrap_or_default();
            let (is_last, has_pages) = (items.len() < PAGE, body.get("pagination").is_some());
            all.extend(items);
            if is_last || !has_pages {
                break;
            }
        }
        Ok(all)
    }

    /// Sends a document.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let reply = self.client.send_json(method, path, body).await.map_err(|fault| of_client(&fault))?;
        self.answered(&reply)
    }

    /// Sends a form.
    pub(super) async fn send_form(&self, method: Method, path: &str, parts: &[Part<'_>]) -> Result<Value, Failure> {
        let (content_type, body) = form::write(parts);
        let sent = self.client.send(method, path, &[(CONTENT_TYPE, content_type)], body).await;
        self.answered(&sent.map_err(|fault| of_client(&fault))?)
    }

    fn answered(&self, reply: &Reply) -> Result<Value, Failure> {
        say_unreached(reply);
        // Some answers are a word and no document.
        Ok(reply.json().unwrap_or_else(|_| json!(null)))
    }
}

/// Says whether something is not the tenant's to change: it comes with the program, or is a key manager of all tenants,
/// which the list of the tenant's own names too.
fn is_of_program(kind: &Kind, raw: &Value) -> bool {
    let begins = |name: &&str| raw[*name].as_str().is_some_and(|at| at.starts_with("1970-"));
    raw["isReadOnly"].as_bool() == Some(true)
        // Lists say `isGlobal`, and what shows a single one `global`.
        || (kind.word == "KeyManager" && ["isGlobal", "global"].iter().any(|name| raw[*name].as_bool() == Some(true)))
        || ["createdTime", "createdAt"].iter().any(begins)
}

/// Takes out fields that hold nothing.
pub(super) fn without_nothing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nothing);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nothing),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::kind::of_word;

    #[test]
    fn key_managers_of_all_tenants_are_not_the_tenants_own() {
        let key_manager = of_word("KeyManager").unwrap();
        assert!(is_of_program(key_manager, &json!({"name": "staff", "isGlobal": true})));
        assert!(is_of_program(key_manager, &json!({"name": "staff", "global": true})));
        assert!(!is_of_program(key_manager, &json!({"name": "staff", "isGlobal": false, "global": false})));
        assert!(is_of_program(of_word("Environment").unwrap(), &json!({"isReadOnly": true})));
        assert!(is_of_program(of_word("Api").unwrap(), &json!({"createdTime": "1970-01-01T00:00:00Z"})));
    }
}
