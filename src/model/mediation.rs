//! Operation policies: what is done to a call, to its answer, or to a fault on the way. A publisher applies them to an
//! API or to one of its operations, by name and with parameters; what each of them does is in [`Step`].
//!
//! Order: in the request flow the API's policies come before the operation's, in the response and fault flows after
//! them, so that each operation's policies are next to the backend.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ai;
use crate::api::Api;
use crate::lambda;

pub mod guardrail;
pub mod intercept;
mod json_parameter;
pub mod masking;
pub mod models;
pub mod own;
pub mod own_answer;
mod parameters;
pub mod prompt;
pub mod soap;
pub mod step;
pub mod threat;
pub mod token;

pub use step::{Kind, Parameter, Step};

/// Policies of one flow.
pub const POLICIES_MAX: usize = 50;
/// Characters of a parameter.
pub const PARAMETER_CHARS_MAX: usize = 32_768;
/// How long an answer is given again where the publisher says nothing else (`cacheTimeout`), in seconds, as in WSO2.
const CACHED_FOR_S: u64 = 300;
/// The version of most policies that come with the program.
pub const VERSION: &str = "v1";

/// Which way something goes when a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flow {
    /// A call, on its way to the backend.
    Request,
    /// An answer, on its way to the caller.
    Response,
    /// What a caller is told where no backend answered.
    Fault,
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Fault];

    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Fault => "fault",
        }
    }
}

/// A policy as a publisher applied it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The policy's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is set of its parameters.
    pub parameters: BTreeMap<String, String>,
}

/// The policies that are applied in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flows {
    /// To calls.
    pub request: Vec<Applied>,
    /// To answers.
    pub response: Vec<Applied>,
    /// To faults.
    pub fault: Vec<Applied>,
}

impl Flows {
    /// Returns what is applied in a flow.
    #[must_use]
    pub fn of(&self, flow: Flow) -> &[Applied] {
        match flow {
            Flow::Request => &self.request,
            Flow::Response => &self.response,
            Flow::Fault => &self.fault,
        }
    }

    /// Returns the steps of a flow, in their order. What is not understood is left out.
    pub fn steps(&self, flow: Flow) -> impl Iterator<Item = Step> + '_ {
        self.of(flow).iter().filter_map(move |applied| Step::of(applied, flow).ok())
    }

    /// Says whether nothing is applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Flow::ALL.iter().all(|flow| self.of(*flow).is_empty())
    }
}

/// The policies of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mediation {
    /// Those of every operation.
    pub api: Flows,
    /// Those of single operations, by `VERB target`; and, under a key that is none, what all of them end with.
    pub operations: BTreeMap<String, Flows>,
    /// How long an answer may be given again without asking the backend, in seconds; `None` for not at all.
    pub cached_for_s: Option<u64>,
}

/// What is wrong with a policy that is to be applied: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPolicy {
    /// The place in the document, such as `request[0].parameters.headerName`.
    pub place: String,
    /// Why it is not accepted.
    pub reason: String,
}

impl Mediation {
    /// Reads the policies of an API out of what is kept of its document (`Api::other_fields`). What is not understood
    /// is left out: it was refused when it was sent.
    #[must_use]
    pub fn of_document(fields: &Value) -> Self {
        let api = fields.get("apiPolicies").map(|value| flows_of(value).0).unwrap_or_default();
        let operations = fields.get("operations").and_then(Value::as_object);
        let operations = operations.into_iter().flatten().filter_map(|(key, operation)| {
            let (flows, _) = flows_of(operation.get("operationPolicies")?);
            Some((key.clone(), flows)).filter(|(_, flows)| !flows.is_empty())
        });
        let is_cached = fields.get("responseCachingEnabled") == Some(&Value::Bool(true));
        let timeout_s = fields.get("cacheTimeout").and_then(Value::as_u64).unwrap_or(CACHED_FOR_S);
        let cached_for_s = is_cached.then_some(timeout_s).filter(|seconds| *seconds > 0);
        Self { api, operations: operations.collect(), cached_for_s }
    }

    /// The same of an API whose other fields were read: with the answers of one that answers itself, the functions of one
    /// that calls them, and the rules of an AI API.
    #[must_use]
    pub fn of_api(api: &Api, fields: &Value) -> Self {
        let mut mediation = Self::of_document(fields);
        own_answer::put_last(&mut mediation, api, fields);
        lambda::put_around(&mut mediation, api, fields);
        ai::put(&mut mediation, api, fields);
        mediation
    }

    /// Says whether nothing is done to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.api.is_empty() && self.operations.is_empty() && self.cached_for_s.is_none()
    }

    /// Returns what the calls of all operations are answered after their steps, where the API does that by itself and
    /// alike: it may be large, and is the same for each of them.
    #[must_use]
    pub fn answer_of_all(&self) -> Option<own_answer::OwnAnswer> {
        own_answer::of_all(self)
    }

    /// Returns the steps of an operation in a flow, in their order, without [`Self::answer_of_all`]. What is not understood
    /// is left out.
    #[must_use]
    pub fn steps(&self, operation: &str, flow: Flow) -> Vec<Step> {
        let own = self.operations.get(operation).map_or(&[][..], |flows| flows.of(flow));
        let api = self.api.of(flow);
        let (first, second) = if flow == Flow::Request { (api, own) } else { (own, api) };
        let step = |applied| match (own_answer::of_applied(applied), lambda::call_of(applied)) {
            (Some(answer), _) => Some(Step::Answer(Box::new(answer))),
            (_, Some(function)) => Some(Step::CallFunction(function)),
            _ if lambda::is_answer(applied) => Some(Step::TakeAnswer),
            _ => Step::of(applied, flow).ok(),
        };
        first.iter().chain(second).filter_map(step).collect()
    }
}

/// Reads policies as the contract has them (`{request: [], response: [], fault: []}`), and what is wrong with them.
#[must_use]
pub fn flows_of(document: &Value) -> (Flows, Vec<BadPolicy>) {
    let (mut flows, mut faults) = (Flows::default(), Vec::new());
    for flow in Flow::ALL {
        let name = flow.as_contract();
        let items = match document.get(name) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(items)) if items.len() <= POLICIES_MAX => items,
            Some(Value::Array(_)) => {
                faults.push(bad(name, format!("at most {POLICIES_MAX} policies are accepted")));
                continue;
            }
            Some(_) => {
                faults.push(bad(name, "must be a list"));
                continue;
            }
        };
        let mut read = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let place = format!("{name}[{number}]");
            let all = own::applied_of_item(item)
                .and_then(|all| all.iter().try_for_each(|applied| Step::of(applied, flow).map(|_| ())).map(|()| all));
            match all {
                Ok(all) => read.extend(all),
                Err(inside) => {
                    let place = if inside.place.is_empty() { place } else { format!("{place}.{}", inside.place) };
                    faults.push(BadPolicy { place, ..inside });
                }
            }
        }
        if read.len() > POLICIES_MAX {
            faults.push(bad(name, format!("have {} steps together; at most {POLICIES_MAX} are accepted", read.len())));
        }
        match flow {
            Flow::Request => flows.request = read,
            Flow::Response => flows.response = read,
            Flow::Fault => flows.fault = read,
        }
    }
    (flows, faults)
}

fn bad(place: impl Into<String>, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { place: place.into(), reason: reason.into() }
}

/// Reads one policy that comes with the program, or the name and parameters of another.
fn applied_of(item: &Value) -> Result<Applied, BadPolicy> {
    let name = item.get("policyName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| bad("policyName", "must be there"))?;
    let version = item.get("policyVersion").and_then(Value::as_str).unwrap_or(VERSION);
    let empty = Map::new();
    let parameters = match item.get("parameters") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(map)) => map,
        Some(_) => return Err(bad("parameters", "must be an object")),
    };
    let mut read = BTreeMap::new();
    for (key, value) in parameters {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(bad(format!("parameters.{key}"), "must be a text, a number, true or false"));
            }
        };
        if text.chars().count() > PARAMETER_CHARS_MAX {
            let reason = format!("has more than {PARAMETER_CHARS_MAX} characters");
            return Err(bad(format!("parameters.{key}"), reason));
        }
        read.insert(key.clone(), text);
    }
    Ok(Applied { name: name.to_owned(), version: version.to_owned(), parameters: read })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header(name: &str) -> Value {
        json!({"policyName": "addHeader", "policyVersion": "v1", "parameters": {"headerName": name, "headerValue": 1}})
    }

    #[test]
    fn the_policies_of_an_operation_are_next_to_the_backend() {
        let fields = json!({
            "apiPolicies": {"request": [header("x-api")], "response": [header("x-api")]},
            "operations": {"GET /menu": {"operationPolicies": {"request": [header("x-own")], "response": [header("x-own")]}}},
        });
        let mediation = Mediation::of_document(&fields);
        let names = |flow| {
            let steps = mediation.steps("GET /menu", flow).into_iter();
            steps.map(|step| if let Step::SetHeader { name, .. } = step { name } else { panic!() }).collect::<Vec<_>>()
        };
        assert_eq!(names(Flow::Request), ["x-api", "x-own"]);
        assert_eq!(names(Flow::Response), ["x-own", "x-api"]);
        assert_eq!(mediation.steps("GET /other", Flow::Request).len(), 1);
        assert!(Mediation::of_document(&json!({})).is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let document = json!({
            "request": [
                header("x y"),
                {"policyName": "addHeader", "parameters": {"headerName": "x"}},
                {"policyName": "makeCoffee"},
                {"policyName": "rewriteResourcePath", "policyVersion": "v9", "parameters": {}},
                {"policyName": "removeHeader", "parameters": {"headerName": "x", "header": "y"}},
            ],
            "response": [{"policyName": "changeHTTPMethod", "parameters": {"httpMethod": "GET"}}],
            "fault": 7,
        });
        let (_, faults) = flows_of(&document);
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(
            places,
            [
                "request[0].parameters.headerName",
                "request[1].parameters.headerValue",
                "request[2].policyName",
                "request[3].policyVersion",
                "request[4].parameters.header",
                "response[0].policyName",
                "fault",
            ]
        );
    }
}
