//! What a gateway of the original would have been sent for an API, as configuration of its mediation engine (Synapse): a
//! view of what this one serves, for who is used to it. Nothing is read from it.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use portcullis_http::{ApiError, Signed};
use portcullis_model::api::{Endpoint, versioned_context};
use portcullis_model::mediation::{Flow, Flows};
use portcullis_model::{DeployedApi, KeyType};
use quick_xml::escape::escape;
use serde_json::{Value, json};

use super::{Asked, Found, Shared, Wanted};

const NAMESPACE: &str = "http://ws.apache.org/ns/synapse";

pub(super) async fn api(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let Found { api, .. } = Wanted::find(&face, &signed, asked)?;
    let mut text = format!(
        "<api xmlns=\"{NAMESPACE}\" name=\"{}--{}\" context=\"{}\" version=\"{}\" version-type=\"context\">",
        escape(&api.provider.0),
        escape(named(&api)),
        escape(versioned_context(&api.context, &api.version)),
        escape(&api.version),
    );
    for operation in &api.operations {
        let target = &operation.target;
        let mapping = if target.contains(['{', '*']) { "uri-template" } else { "url-mapping" };
        let _ = write!(
            text,
            "<resource methods=\"{}\" {mapping}=\"{}\"><inSequence><send><endpoint key=\"{}\"/></send></inSequence>\
             <outSequence><send/></outSequence></resource>",
            escape(&operation.verb),
            escape(target),
            escape(endpoint_name(&api, KeyType::Production)),
        );
    }
    text.push_str("</api>");
    Ok(Json(json!({ "api": text })))
}

pub(super) async fn endpoints(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let Found { api, .. } = Wanted::find(&face, &signed, asked)?;
    let of_kind = [(KeyType::Production, &api.endpoints.production), (KeyType::Sandbox, &api.endpoints.sandbox)];
    let shown = of_kind.into_iter().filter(|(_, all)| !all.is_empty());
    let texts: Vec<String> = shown.map(|(kind, all)| endpoint(&endpoint_name(&api, kind), all)).collect();
    Ok(Json(json!({ "endpoints": texts })))
}

pub(super) async fn sequences(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let Found { view, api } = Wanted::find(&face, &signed, asked)?;
    let row = |environment: &String| view.deployed().mediations.get(&(environment.clone(), api.id));
    let mediation = face.gateway.environments().iter().find_map(row);
    let texts = mediation.map(|mediation| flows(&named(&api), &mediation.api)).unwrap_or_default();
    Ok(Json(json!({ "sequences": texts })))
}

pub(super) async fn local_entries(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let Found { view, api } = Wanted::find(&face, &signed, asked)?;
    let row = |environment: &String| view.deployed().checked_definitions.get(&(environment.clone(), api.id));
    let definition = face.gateway.environments().iter().find_map(row);
    let entry = definition.map(|definition| {
        format!("<localEntry xmlns=\"{NAMESPACE}\" key=\"{}\">{}</localEntry>", api.id, escape(definition.as_ref()))
    });
    Ok(Json(json!({ "localEntries": entry.into_iter().collect::<Vec<_>>() })))
}

fn named(api: &DeployedApi) -> String {
    format!("{}--v{}", api.name, api.version)
}

fn endpoint_name(api: &DeployedApi, kind: KeyType) -> String {
    let kind = match kind {
        KeyType::Production => "production",
        KeyType::Sandbox => "sandbox",
    };
    format!("{}_API{kind}Endpoint", named(api))
}

fn endpoint(name: &str, all: &[Endpoint]) -> String {
    let mut text = format!("<endpoint xmlns=\"{NAMESPACE}\" name=\"{}\">", escape(name));
    let is_shared = all.len() > 1;
    if is_shared {
        text.push_str("<loadbalance>");
    }
    for one in all {
        let url = escape(&one.url);
        let http = format!("<http uri-template=\"{url}\"/>");
        text.push_str(&if is_shared { format!("<endpoint>{http}</endpoint>") } else { http });
    }
    text.push_str(if is_shared { "</loadbalance></endpoint>" } else { "</endpoint>" });
    text
}

/// Returns the policies of an API by flow, each with its name.
fn flows(name: &str, flows: &Flows) -> Vec<String> {
    let shown = Flow::ALL.into_iter().filter(|flow| !flows.of(*flow).is_empty());
    shown
        .map(|flow| {
            let title = match flow {
                Flow::Request => "In",
                Flow::Response => "Out",
                Flow::Fault => "Fault",
            };
            let mut text = format!("<sequence xmlns=\"{NAMESPACE}\" name=\"{}--{title}\">", escape(name));
            for policy in flows.of(flow) {
                let _ = write!(text, "<sequence key=\"{}_{}\"/>", escape(&policy.name), escape(&policy.version));
            }
            text.push_str("</sequence>");
            text
        })
        .collect()
}
