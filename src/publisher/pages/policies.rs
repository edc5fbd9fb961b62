//! `/publisher/apis/{id}/policies`: what is done to calls on their way, in order, for each resource or for all.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::Api;
use portcullis_model::mediation::step::KINDS;
use portcullis_model::mediation::{Flow, Kind};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::overview::{body_of, update};
use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::ApiView;
use crate::rest::apis::UPDATE;
use crate::rest::operation_policies::VIEW;
use crate::rest::request::{Params, Request};

/// Where policies are applied: at a resource by its place, or at the whole API.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PlaceQuery {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    flow: String,
    #[serde(default)]
    add: String,
}

/// A policy that is applied.
struct Applied {
    title: String,
    settings: String,
}

/// The policies of one flow, in order.
struct FlowList {
    flow: &'static str,
    applied: Vec<Applied>,
    kinds: Vec<&'static Kind>,
}

#[derive(Template)]
#[template(path = "publisher_policies.html")]
struct PoliciesPage {
    frame: Frame,
    api: Arc<Api>,
    wrong: Wrong,
    place: PlaceQuery,
    /// Value, name, and whether it is the one that is shown.
    places: Vec<(String, String, bool)>,
    flows: Vec<FlowList>,
    /// The policy that is about to be applied.
    adding: Option<&'static Kind>,
    may_change: bool,
}

/// Returns the policies at a place of an API's body.
fn policies_at<'a>(body: &'a Map<String, Value>, place: &PlaceQuery) -> &'a Value {
    let whole = || body.get("apiPolicies").unwrap_or(&Value::Null);
    match place.resource.parse::<usize>() {
        Ok(number) => body.get("operations").map_or(&Value::Null, |all| &all[number]["operationPolicies"]),
        Err(_) => whole(),
    }
}

fn applied(policy: &Value) -> Applied {
    let name = policy["policyName"].as_str().unwrap_or_default();
    let title = Kind::named(name).map_or(name, |kind| kind.title).to_owned();
    let settings = policy["parameters"].as_object().into_iter().flatten();
    let settings: Vec<String> = settings
        .map(|(name, value)| format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    Applied { title, settings: settings.join(", ") }
}

fn flow_list(flow: Flow, policies: &Value, is_ai: bool) -> FlowList {
    let all = policies[flow.as_contract()].as_array().into_iter().flatten();
    let kinds = KINDS.iter().filter(|kind| kind.flows.contains(&flow) && (is_ai || !kind.is_for_ai())).collect();
    FlowList { flow: flow.as_contract(), applied: all.map(applied).collect(), kinds }
}

fn page(viewer: Viewer, view: &ApiView, place: PlaceQuery, wrong: Wrong) -> PoliciesPage {
    let body = body_of(view);
    let is_ai = portcullis_model::ai::is_ai(&view.api);
    let policies = policies_at(&body, &place);
    let all = ("".to_owned(), "All resources".to_owned(), place.resource.is_empty());
    let single = view.api.operations.iter().enumerate().map(|(number, one)| {
        let value = number.to_string();
        let is_shown = value == place.resource;
        (value, format!("{} {}", one.verb, one.target), is_shown)
    });
    PoliciesPage {
        places: std::iter::once(all).chain(single).collect(),
        flows: Flow::ALL.iter().map(|flow| flow_list(*flow, policies, is_ai)).collect(),
        adding: KINDS.iter().find(|kind| kind.name == place.add),
        may_change: viewer.may(UPDATE),
        frame: frame(viewer, view, "/policies"),
        api: Arc::clone(&view.api),
        wrong,
        place,
    }
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    Params(place): Params<PlaceQuery>,
) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&page(viewer, &view, place, Wrong::default())))
}

/// Returns a policy as a form says it.
fn policy_of(kind: &Kind, fields: &Fields) -> Value {
    let mut parameters = Map::new();
    for parameter in kind.parameters {
        let text = fields.text(&format!("p-{}", parameter.name));
        let value = match parameter.kind {
            _ if text.is_empty() => continue,
            "Integer" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
            "Boolean" => (text == "true").into(),
            _ => text.into(),
        };
        parameters.insert(parameter.name.to_owned(), value);
    }
    json!({"policyName": kind.name, "policyVersion": kind.version, "parameters": parameters})
}

/// Applies, removes or moves a policy in a list.
fn edit(list: &mut Vec<Value>, fields: &Fields) -> Result<(), ApiError> {
    let number = fields.text("number").parse::<usize>().ok().filter(|number| *number < list.len());
    match (fields.text("act"), number) {
        ("add", _) => {
            let name = fields.text("policy");
            let kind = KINDS.iter().find(|kind| kind.name == name);
            let kind = kind.ok_or_else(|| ApiError::bad_request(format!("policy: there is none called {name}")))?;
            list.push(policy_of(kind, fields));
        }
        ("remove", Some(number)) => drop(list.remove(number)),
        ("up", Some(number)) if number > 0 => list.swap(number, number - 1),
        _ => {}
    }
    Ok(())
}

pub(super) async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    let text = |name: &str| fields.text(name).to_owned();
    let place = PlaceQuery { resource: text("resource"), flow: text("flow"), add: text("policy") };
    let mut body = body_of(&view);
    let mut policies = policies_at(&body, &place).as_object().cloned().unwrap_or_default();
    for flow in Flow::ALL {
        policies.entry(flow.as_contract()).or_insert_with(|| json!([]));
    }
    let mut outcome = match policies.get_mut(&place.flow).and_then(Value::as_array_mut) {
        Some(list) => edit(list, &fields),
        None => Err(ApiError::bad_request("flow: must be request, response or fault")),
    };
    match place.resource.parse::<usize>() {
        Ok(number) => {
            if let Some(operation) = body.get_mut("operations").and_then(|all| all.get_mut(number)) {
                operation["operationPolicies"] = policies.into();
            }
        }
        Err(_) => drop(body.insert("apiPolicies".to_owned(), policies.into())),
    }
    if outcome.is_ok() {
        outcome = update(&publisher, &request, &id, &fields, body).await;
    }
    match outcome {
        Ok(()) => {
            let path = format!(
                "/publisher/apis/{id}/policies?resource={}",
                place.resource.parse::<usize>().map_or_else(|_| String::new(), |number| number.to_string())
            );
            Ok(say_and_go("Saved. Deploy a new revision for gateways to do it.", &path))
        }
        Err(error) => Ok(render_again(&page(viewer, &view, place, error.clone().into()), &error)),
    }
}
