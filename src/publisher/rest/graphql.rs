//! `/apis/validate-graphql-schema`, `/apis/import-graphql-schema`, `/apis/{apiId}/graphql-schema` and
//! `/apis/{apiId}/graphql-policies/complexity`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, MultipartForm};
use portcullis_model::Api;
use portcullis_model::graphql::{costs_of, write_costs};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{flat, insisted_on, read as read_answer, wrote, wrote_api};
use super::definitions::{CREATE, document_of};
use super::request::{Params, Request, flag};
use crate::actor::Publisher;
use crate::design::{Design, Language, graphql};
use crate::dto::api_body::provider_of;
use crate::dto::operations;
use crate::fault::PublisherError;
use crate::messages::{ApiView, GetApi, GetSchemaTypes, ImportDesign, PutDesign, PutFieldCosts, Seen};
use crate::openapi;
use crate::registry::properties;

const VIEW: &[&str] = &["apim:api_view", "apim:api_manage"];
const VIEW_COSTS: &[&str] = &["apim:api_view", "apim:api_create", "apim:api_manage", "apim:api_publish"];

async fn read(text: String) -> Result<Design, PublisherError> {
    openapi::aside(move || graphql::read(&text)).await?
}

#[derive(Deserialize)]
pub struct ValidateQuery {
    #[serde(rename = "useIntrospection")]
    use_introspection: Option<String>,
}

/// Says whether a schema could be imported, and which operations its API would have.
pub async fn validate(
    request: Request,
    Params(query): Params<ValidateQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    if flag("useIntrospection", query.use_introspection.as_deref())? {
        let reason =
            "useIntrospection: schemas are not asked for from backends; send the schema as `file`, or its `url`";
        return Err(ApiError::bad_request(reason));
    }
    let text = document_of(&asker, &form, "schema").await?;
    let body = match read(text).await {
        Ok(design) => json!({
            "isValid": true,
            "errorMessage": "",
            "graphQLInfo": {
                "operations": operations::write(&design.operations, None),
                "graphQLSchema": {"name": null, "schemaDefinition": &*design.text},
            },
        }),
        Err(PublisherError::Definition(faults)) => {
            let all: Vec<String> = faults.iter().map(crate::fault::FieldFault::text).collect();
            json!({"isValid": false, "errorMessage": all.join("; "), "graphQLInfo": null})
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Json(body).into_response())
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    if let Some(kind) = form.text("type")?.filter(|kind| !kind.is_empty() && *kind != "GRAPHQL") {
        return Err(ApiError::bad_request(format!("type: is {kind}; a schema makes an API of the type GRAPHQL")));
    }
    let text = document_of(&asker, &form, "schema").await?;
    let fields = properties(form.text("additionalProperties")?)?;
    let design = read(text).await?;
    let written = flat(publisher.ask(ImportDesign { asker, design, fields }).await)?;
    Ok(wrote_api(StatusCode::CREATED, &written))
}

async fn seen(publisher: &Address<Publisher>, request: &Request, id: String) -> Result<Seen<ApiView>, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    refuse_others(&seen.value.api)?;
    Ok(seen)
}

/// Says 404 where an API has no schema.
fn refuse_others(api: &Api) -> Result<(), ApiError> {
    match Language::Graphql.check(api.kind) {
        Ok(()) => Ok(()),
        Err(_) => Err(ApiError::not_found("GraphQL schema of API", api.id)),
    }
}

/// Returns the name by which the original keeps a schema.
fn name_of(api: &Api) -> String {
    format!("{}--{}{}.graphql", provider_of(api), api.name, api.version)
}

pub async fn schema(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = seen(&publisher, &request, id).await?;
    let body = json!({"name": name_of(&seen.value.api), "schemaDefinition": &*seen.value.definition});
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn replace(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let text = form.part("schemaDefinition")?.text("schemaDefinition")?.to_owned();
    let insisted = insisted_on(&publisher, &asker, &request.headers, &id).await?;
    let expected = insisted.map(|view| view.api.updated_at);
    let design = read(text).await?;
    let written = flat(publisher.ask(PutDesign { asker, id, design, expected }).await)?;
    let view = &written.value;
    let body = json!({"name": name_of(&view.api), "schemaDefinition": &*view.definition});
    Ok(wrote(StatusCode::OK, &written, body))
}

pub async fn costs(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW_COSTS)?;
    let seen = flat(publisher.ask(GetApi { asker, id }).await)?;
    refuse_others(&seen.value.api)?;
    let body = json!({"list": write_costs(&costs_of(&seen.value.api))});
    Ok(read_answer(&request.headers, &body, seen.index))
}

pub async fn put_costs(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let written = flat(publisher.ask(PutFieldCosts { asker, id, fields }).await)?;
    let body = json!({"list": write_costs(&costs_of(&written.value.api))});
    Ok(wrote(StatusCode::OK, &written, body))
}

pub async fn types(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW_COSTS)?;
    let view = flat(publisher.ask(GetApi { asker: asker.clone(), id: id.clone() }).await)?;
    refuse_others(&view.value.api)?;
    let seen = flat(publisher.ask(GetSchemaTypes { asker, id }).await)?;
    let list: Vec<Value> = seen.value.iter().map(|(name, fields)| json!({"type": name, "fieldList": fields})).collect();
    Ok(read_answer(&request.headers, &json!({"typeList": list}), seen.index))
}
