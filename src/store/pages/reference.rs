//! `/devportal/apis/{api}/reference`: what can be called, rendered from the definition.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use portcullis_http::page::Page;
use portcullis_http::{ApiError, PageQuery, Stamped};
use portcullis_portal::calling::{self, Language, Operation};
use portcullis_portal::{Frame, Part, Viewer, markdown, page, render};
use serde_json::Value;

use super::sample::{of_schema, resolved};
use super::{Guest, base_url, find, frame, key_header, operations_of};
use crate::dto::api::ApiDto;
use crate::messages::{GetAsyncapi, GetDefinition, GetSchema, GetWsdl, Visitor};
use crate::rest::query::{Query, id};
use crate::rest::{Face, designs};

/// The verbs of OpenAPI, as a path holds them.
const VERBS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
/// Parameters and answers of one operation that are shown.
const PARTS_MAX: usize = 50;
/// Characters of a schema that are shown: a page has a bound.
const SCHEMA_CHARS_MAX: usize = 15_000;
/// Characters of a sample.
const SAMPLE_CHARS_MAX: usize = 2_000;

/// An operation as the page shows it.
struct Shown {
    verb: String,
    target: String,
    summary: String,
    description: String,
    parameters: Vec<Parameter>,
    body: Option<String>,
    answers: Vec<(String, String)>,
}

struct Parameter {
    name: String,
    place: String,
    kind: String,
    about: String,
    is_required: bool,
}

#[derive(Template)]
#[template(path = "store_reference.html")]
struct ReferencePage {
    frame: Frame,
    api: ApiDto,
    url: Option<String>,
    language: Language,
    operations: Vec<Shown>,
    /// What is called otherwise than by OpenAPI, and the line for the shell that calls it.
    others: Vec<(Operation, String)>,
    /// The schema of GraphQL, as far as it is shown.
    schema: Option<String>,
    is_cut: bool,
    part: Part,
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn parameter(document: &Value, value: &Value) -> Parameter {
    let value = resolved(document, value);
    let schema = resolved(document, &value["schema"]);
    // In Swagger 2 the type is the parameter's own.
    let kind = [text(schema, "type"), text(value, "type")].into_iter().find(|kind| !kind.is_empty());
    Parameter {
        name: text(value, "name"),
        place: text(value, "in"),
        kind: kind.unwrap_or_default(),
        about: text(value, "description"),
        is_required: value["required"].as_bool().unwrap_or(false),
    }
}

fn body_of(document: &Value, operation: &Value) -> Option<String> {
    let content = resolved(document, operation.get("requestBody")?)["content"].as_object()?;
    let (_, media) = content.iter().find(|(name, _)| name.contains("json")).or_else(|| content.iter().next())?;
    let sample = media.get("example").cloned().unwrap_or_else(|| of_schema(document, &media["schema"], 0));
    Some(format!("{sample:#}").chars().take(SAMPLE_CHARS_MAX).collect())
}

fn shown(document: &Value, item: &Value, verb: &str, target: &str) -> Shown {
    let operation = &item[verb];
    let lists = [&item["parameters"], &operation["parameters"]].into_iter().filter_map(Value::as_array).flatten();
    let parameters = lists.take(PARTS_MAX).map(|one| parameter(document, one)).collect();
    let answers = operation["responses"].as_object().into_iter().flatten().take(PARTS_MAX);
    Shown {
        verb: verb.to_uppercase(),
        target: target.to_owned(),
        summary: text(operation, "summary"),
        description: markdown::render(&text(operation, "description")),
        parameters,
        body: body_of(document, operation),
        answers: answers.map(|(code, one)| (code.clone(), text(resolved(document, one), "description"))).collect(),
    }
}

/// Returns the places of a document's operations: target and verb.
fn places(document: &Value) -> Vec<(&str, &str)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(target, item)| {
            let verbs = VERBS.into_iter().filter(|verb| item.get(*verb).is_some());
            verbs.map(move |verb| (target.as_str(), verb))
        })
        .collect()
}

/// Returns the part of the operations of an API in another language than OpenAPI.
fn others(api: &ApiDto, url: Option<&String>, wanted: Page) -> Vec<(Operation, String)> {
    let (language, key) = (Language::of(api.kind), key_header(api).of_variable());
    let with_line = |one: Operation| {
        let line = url.map(|url| calling::line(language, url, Some(&one), &key)).unwrap_or_default();
        (one, line)
    };
    operations_of(api).into_iter().skip(wanted.offset).take(wanted.limit).map(with_line).collect()
}

/// Shows an API in another language than OpenAPI: what can be called, with a line for the shell, and a schema.
async fn show_other(
    face: &Face,
    visitor: Visitor,
    viewer: Viewer,
    found: ApiDto,
    wanted: Page,
) -> Result<Response, ApiError> {
    let language = Language::of(found.kind);
    let schema = match language {
        Language::Graphql => {
            let message = GetSchema { visitor, api: id("API", &found.id)? };
            Some(face.ask(message).await?.body)
        }
        _ => None,
    };
    let url = base_url(&found);
    let others = others(&found, url.as_ref(), wanted);
    let path = format!("/devportal/apis/{}/reference", found.id);
    let page = ReferencePage {
        frame: frame(viewer, &found, "/reference"),
        part: Part::of(&path, "", wanted, others.len(), found.operations.len()),
        is_cut: schema.as_ref().is_some_and(|text| text.chars().nth(SCHEMA_CHARS_MAX).is_some()),
        schema: schema.map(|text| text.chars().take(SCHEMA_CHARS_MAX).collect()),
        operations: Vec::new(),
        language,
        others,
        url,
        api: found,
    };
    Ok(render(&page))
}

async fn document_of(face: &Face, visitor: Visitor, api: &str) -> Result<Value, ApiError> {
    Ok(face.ask(GetDefinition { visitor, api: id("API", api)?, environment: None }).await?.body)
}

pub(crate) async fn show(
    State(face): State<Face>,
    Guest(visitor): Guest,
    viewer: Viewer,
    Path(api): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let wanted = page::wanted(&query)?;
    let found = find(&face, &visitor, &api).await?;
    if Language::of(found.kind) != Language::Openapi {
        return show_other(&face, visitor, viewer, found, wanted).await;
    }
    // One that is gone in between has none.
    let document = document_of(&face, visitor, &api).await.unwrap_or_default();
    let all = places(&document);
    let of_page = all.iter().skip(wanted.offset).take(wanted.limit);
    let operations: Vec<Shown> =
        of_page.map(|(target, verb)| shown(&document, &document["paths"][target], verb, target)).collect();
    let page = ReferencePage {
        frame: frame(viewer, &found, "/reference"),
        part: Part::of(&format!("/devportal/apis/{api}/reference"), "", wanted, operations.len(), all.len()),
        url: base_url(&found),
        language: Language::Openapi,
        operations,
        others: Vec::new(),
        schema: None,
        is_cut: false,
        api: found,
    };
    Ok(render(&page))
}

/// The definition as a file, in its language.
pub(crate) async fn definition(
    State(face): State<Face>,
    Guest(visitor): Guest,
    Path(api): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (language, api_id) = (Language::of(find(&face, &visitor, &api).await?.kind), id("API", &api)?);
    Ok(match language {
        Language::Openapi => Json(document_of(&face, visitor, &api).await?).into_response(),
        Language::Graphql => {
            let schema = face.ask(GetSchema { visitor, api: api_id }).await?.body;
            ([(CONTENT_TYPE, "text/plain; charset=utf-8")], schema.to_string()).into_response()
        }
        Language::Sockets | Language::Events | Language::Topics => {
            let message = GetAsyncapi { visitor, api: api_id, environment: None };
            Json(face.ask(message).await?.body).into_response()
        }
        Language::Soap => {
            let Stamped { body, index, .. } = face.ask(GetWsdl { visitor, api: api_id, environment: None }).await?;
            designs::write_wsdl(&headers, body, index)
        }
    })
}
