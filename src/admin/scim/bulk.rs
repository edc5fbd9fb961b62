//! Many operations in one request (RFC 7644, section 3.7), one after the other: what one makes, later ones may name by
//! its `bulkId`.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portcullis_actor::Address;
use portcullis_database::{Caller, Idempotency};
use portcullis_http::Stamped;
use portcullis_model::NodeId;
use serde_json::{Map, Value, json};

use super::filter::get as member;
use super::listing::Shape;
use super::rest::{Asked, Right, check_right, etag, version_of};
use super::schema::Resource;
use super::scim_call::{Action, ScimCall, ScimReply, Which};
use super::scim_error::{SCIM_JSON, ScimError};
use crate::actor::Admin;

/// Operations of one request.
pub(super) const OPERATIONS_MAX: usize = 1_000;
/// Bytes of one request.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// One operation, as far as it can be told before others are done.
struct Operation {
    method: String,
    bulk_id: Option<String>,
    resource: Resource,
    id: Option<String>,
    if_match: Option<u64>,
    data: Map<String, Value>,
}

/// Runs the operations of a request.
pub(super) async fn run(State(admin): State<Address<Admin>>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    let body = asked.body()?;
    let operations = member(&body, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| ScimError::syntax("Operations: must be a list of operations."))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ScimError::new(413, None, format!("Operations: at most {OPERATIONS_MAX} at once.")));
    }
    let failures_max = match member(&body, "failOnErrors") {
        None | Some(Value::Null) => u64::MAX,
        Some(number) => {
            let number = number.as_u64().filter(|number| *number > 0);
            number.ok_or_else(|| ScimError::value("failOnErrors: must be a number of 1 or more."))?
        }
    };
    let mut run = Run { admin, asked, made: BTreeMap::new(), index: None, unreached: Vec::new() };
    let (mut results, mut failures) = (Vec::new(), 0);
    for (number, operation) in operations.iter().enumerate() {
        let (result, is_failed) = run.one(number, operation).await;
        results.push(result);
        failures += u64::from(is_failed);
        if failures >= failures_max {
            break;
        }
    }
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": results});
    let answer = (StatusCode::OK, [(CONTENT_TYPE, SCIM_JSON)], body.to_string()).into_response();
    Ok(match run.index {
        Some(index) => Stamped { body: answer, index, unreached: run.unreached }.into_response(),
        None => answer,
    })
}

struct Run {
    admin: Address<Admin>,
    asked: Asked,
    /// The ids of what was made, by `bulkId`.
    made: BTreeMap<String, String>,
    index: Option<u64>,
    unreached: Vec<NodeId>,
}

impl Run {
    /// Runs one operation; says what came of it, and whether it failed.
    async fn one(&mut self, number: usize, operation: &Value) -> (Value, bool) {
        let text =
            |name: &str| operation.as_object().and_then(|operation| member(operation, name)).and_then(Value::as_str);
        let mut result = Map::new();
        result.insert("method".to_owned(), text("method").unwrap_or_default().to_ascii_uppercase().into());
        if let Some(bulk_id) = text("bulkId") {
            result.insert("bulkId".to_owned(), bulk_id.into());
        }
        let done = match self.read(operation) {
            Ok(operation) => self.run(number, operation).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(reply) => {
                if let Some(location) = reply.location {
                    result.insert("location".to_owned(), location.into());
                }
                if let Some(version) = reply.version {
                    result.insert("version".to_owned(), etag(version).into());
                }
                result.insert("status".to_owned(), reply.status.to_string().into());
                (Value::Object(result), false)
            }
            Err(error) => {
                result.insert("status".to_owned(), error.status.to_string().into());
                result.insert("response".to_owned(), error.body());
                (Value::Object(result), true)
            }
        }
    }

    fn read(&self, operation: &Value) -> Result<Operation, ScimError> {
        let operation = operation.as_object().ok_or_else(|| ScimError::syntax("An operation must be an object."))?;
        let text = |name: &str| member(operation, name).and_then(Value::as_str);
        let method = text("method").unwrap_or_default().to_ascii_uppercase();
        let path = text("path").ok_or_else(|| ScimError::path("path: is missing."))?;
        let mut found = None;
        for resource in [Resource::User, Resource::Group, Resource::Role] {
            if let Some(rest) = path.strip_prefix(resource.path())
                && (rest.is_empty() || rest.starts_with('/'))
            {
                found = Some((resource, rest.trim_start_matches('/')));
            }
        }
        let (resource, id) =
            found.ok_or_else(|| ScimError::path("path: must begin with /Users, /Groups or /v2/Roles."))?;
        let id = if id.is_empty() { None } else { Some(self.resolved(id)?) };
        let mut data = Value::Object(member(operation, "data").and_then(Value::as_object).cloned().unwrap_or_default());
        self.resolve(&mut data, 0)?;
        let if_match = match text("version") {
            Some(tag) => version_of(tag).map_err(|()| ScimError::stale())?,
            None => None,
        };
        let bulk_id = text("bulkId").map(str::to_owned);
        if method == "POST" && bulk_id.is_none() {
            return Err(ScimError::syntax("bulkId: is needed with POST."));
        }
        let Value::Object(data) = data else { return Err(ScimError::syntax("data: must be an object.")) };
        Ok(Operation { method, bulk_id, resource, id, if_match, data })
    }

    /// Puts the id of what was made in the place of `bulkId:…`.
    fn resolved(&self, text: &str) -> Result<String, ScimError> {
        let Some(name) = text.strip_prefix("bulkId:") else { return Ok(text.to_owned()) };
        let made = self.made.get(name).cloned();
        made.ok_or_else(|| {
            ScimError::new(
                409,
                Some("invalidValue"),
                format!("bulkId:{name} was not made by an operation before this one."),
            )
        })
    }

    fn resolve(&self, value: &mut Value, depth: usize) -> Result<(), ScimError> {
        const DEPTH_MAX: usize = 16;
        match value {
            Value::String(text) if text.starts_with("bulkId:") => *text = self.resolved(text)?,
            Value::Array(_) | Value::Object(_) if depth > DEPTH_MAX => {
                return Err(ScimError::syntax(format!("data: is nested more than {DEPTH_MAX} deep.")));
            }
            Value::Array(values) => {
                for one in values {
                    self.resolve(one, depth + 1)?;
                }
            }
            Value::Object(object) => {
                for (_, one) in object {
                    self.resolve(one, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn run(&mut self, number: usize, operation: Operation) -> Result<ScimReply, ScimError> {
        let Operation { method, bulk_id, resource, id, if_match, data } = operation;
        let (right, action) = match (method.as_str(), id) {
            ("POST", None) => (Right::Create, Action::Create(data)),
            ("PUT", Some(id)) => (Right::Update, Action::Replace { which: Which::Id(id), document: data, if_match }),
            ("PATCH", Some(id)) => (Right::Update, Action::Patch { which: Which::Id(id), request: data, if_match }),
            ("DELETE", Some(id)) => (Right::Delete, Action::Delete { which: Which::Id(id), if_match }),
            _ => {
                return Err(ScimError::syntax(
                    "method: POST goes to a kind of resource; PUT, PATCH and DELETE to one of it.",
                ));
            }
        };
        check_right(&self.asked.identity, right, resource)?;
        let caller = self.caller(number);
        let base = self.asked.base.clone();
        let reply = self.admin.ask(ScimCall { caller, base, resource, action, shape: Shape::default() }).await??;
        if let (Some(bulk_id), Some(id)) = (bulk_id, reply.body.as_ref().and_then(|body| body["id"].as_str())) {
            self.made.insert(bulk_id, id.to_owned());
        }
        self.index = self.index.max(reply.index);
        for node in &reply.unreached {
            if !self.unreached.contains(node) {
                self.unreached.push(*node);
            }
        }
        Ok(reply)
    }

    /// Each operation has a key of its own, so that a retry of the whole request acts once.
    fn caller(&self, number: usize) -> Caller {
        let caller = &self.asked.caller;
        let idempotency = caller.idempotency.as_ref().map(|one| {
            let mut key = one.key.clone();
            // Keys are ASCII.
            key.truncate(240);
            Idempotency { key: format!("{key} {number}"), request: one.request }
        });
        caller.clone().with_idempotency(idempotency)
    }
}
