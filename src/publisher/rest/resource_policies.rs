//! `/apis/{apiId}/resource-policies`: how calls of an API of the type SOAPTOREST become messages of SOAP, and the answers JSON.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body};
use portcullis_model::{ApiKind, Operation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::{body_of, flat, insisted_on, read as read_answer, wrote};
use super::request::{Params, Request};
use crate::actor::Publisher;
use crate::design::soap_sequence;
use crate::messages::{ApiView, GetApi, UpdateApi};

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
const CHANGE: &[&str] = &["apim:api_create", "apim:api_manage"];
/// The policy that makes messages.
const CALL: &str = "jsonToSOAP";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    resource_path: Option<String>,
    verb: Option<String>,
    sequence_type: Option<String>,
}

/// Which way a sequence is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Way {
    const BOTH: [Self; 2] = [Self::In, Self::Out];

    fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Returns the id of a sequence: the same on every node, as long as the operation is called the same.
fn id_of(view: &ApiView, operation: &Operation, way: Way) -> String {
    let named = format!("resource policy {} {} {} {}", view.api.id, operation.verb, operation.target, way.as_str());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(named)[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn check_kind(view: &ApiView) -> Result<(), ApiError> {
    if view.api.kind == ApiKind::SoapToRest {
        return Ok(());
    }
    Err(ApiError::not_found("resource policies of API", view.api.id))
}

/// Returns the parameters by which an operation's calls become messages.
fn parameters<'a>(body: &'a Value, operation: &Operation) -> Option<&'a Value> {
    let all = body["operations"].as_array()?;
    let its =
        all.iter().find(|one| one["verb"] == operation.verb.as_str() && one["target"] == operation.target.as_str())?;
    let steps = its["operationPolicies"]["request"].as_array()?;
    steps.iter().find(|step| step["policyName"] == CALL).map(|step| &step["parameters"])
}

fn written(view: &ApiView, body: &Value, operation: &Operation, way: Way) -> Value {
    let content = match way {
        Way::In => parameters(body, operation).map(soap_sequence::write).unwrap_or_default(),
        Way::Out => soap_sequence::OUT.to_owned(),
    };
    json!({
        "id": id_of(view, operation, way),
        "httpVerb": operation.verb.to_ascii_lowercase(),
        "resourcePath": operation.target.trim_start_matches('/'),
        "content": content,
    })
}

fn find(view: &ApiView, id: &str) -> Result<(Operation, Way), ApiError> {
    let each = view.api.operations.iter().flat_map(|one| Way::BOTH.map(|way| (one, way)));
    let found = each.into_iter().find(|(one, way)| id_of(view, one, *way) == id);
    found.map(|(one, way)| (one.clone(), way)).ok_or_else(|| ApiError::not_found("resource policy", id))
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let way = match query.sequence_type.as_deref() {
        Some("in") => Way::In,
        Some("out") => Way::Out,
        _ => return Err(ApiError::bad_request("sequenceType: must be in or out")),
    };
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    let view = &seen.value;
    check_kind(view)?;
    let body = body_of(view);
    let path = query.resource_path.as_deref().map(|path| path.trim_start_matches('/').to_owned());
    let is_wanted = |one: &&Operation| {
        path.as_ref().is_none_or(|path| one.target.trim_start_matches('/') == path)
            && query.verb.as_ref().is_none_or(|verb| one.verb.eq_ignore_ascii_case(verb))
    };
    let wanted = view.api.operations.iter().filter(is_wanted);
    let list: Vec<Value> = wanted.map(|one| written(view, &body, one, way)).collect();
    Ok(read_answer(&request.headers, &json!({"list": list, "count": list.len()}), seen.index))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, policy)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    let view = &seen.value;
    check_kind(view)?;
    let (operation, way) = find(view, &policy)?;
    Ok(read_answer(&request.headers, &written(view, &body_of(view), &operation, way), seen.index))
}

pub async fn replace(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path((id, policy)): Path<(String, String)>,
    Body(sent): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let seen = flat(publisher.ask(GetApi { asker: asker.clone(), id: id.clone() }).await)?;
    let view = seen.value;
    check_kind(&view)?;
    let (operation, way) = find(&view, &policy)?;
    let content = sent.get("content").and_then(Value::as_str);
    let content = content.ok_or_else(|| ApiError::bad_request("content: must be there, a text"))?;
    let mut body = body_of(&view);
    match way {
        Way::Out => soap_sequence::check_out(content).map_err(ApiError::from)?,
        Way::In => {
            let parameters = soap_sequence::read(content).map_err(ApiError::from)?;
            let all = body["operations"].as_array_mut().into_iter().flatten();
            let mut its =
                all.filter(|one| one["verb"] == operation.verb.as_str() && one["target"] == operation.target.as_str());
            let steps = its.next().and_then(|one| one["operationPolicies"]["request"].as_array_mut());
            let step = steps.and_then(|steps| steps.iter_mut().find(|step| step["policyName"] == CALL));
            let step =
                step.ok_or_else(|| ApiError::bad_request("content: the operation has no policy jsonToSOAP any more"))?;
            step["parameters"] = parameters;
        }
    }
    let Value::Object(fields) = body else { return Err(ApiError::not_found("API", id)) };
    let expected = Some(view.api.updated_at);
    let changed = flat(publisher.ask(UpdateApi { asker, id, fields, expected }).await)?;
    let answer = written(&changed.value, &body_of(&changed.value), &operation, way);
    Ok(wrote(StatusCode::OK, &changed, answer))
}
