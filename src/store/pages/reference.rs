//! `/devportal/apis/{api}/reference`: what can be called, rendered from the definition.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use portcullis_http::{ApiError, PageQuery};
use portcullis_portal::{Frame, Part, Viewer, markdown, page, render};
use serde_json::Value;

use super::sample::{of_schema, resolved};
use super::{Guest, base_url, find, frame};
use crate::dto::api::ApiDto;
use crate::messages::{GetDefinition, Visitor};
use crate::rest::Face;
use crate::rest::query::{Query, id};

/// The verbs of OpenAPI, as a path holds them.
const VERBS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
/// Parameters and answers of one operation that are shown.
const PARTS_MAX: usize = 50;
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
    operations: Vec<Shown>,
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
    // An API of another protocol may have none.
    let document = document_of(&face, visitor, &api).await.unwrap_or_default();
    let all = places(&document);
    let of_page = all.iter().skip(wanted.offset).take(wanted.limit);
    let operations: Vec<Shown> =
        of_page.map(|(target, verb)| shown(&document, &document["paths"][target], verb, target)).collect();
    let page = ReferencePage {
        frame: frame(viewer, &found, "/reference"),
        part: Part::of(&format!("/devportal/apis/{api}/reference"), "", wanted, operations.len(), all.len()),
        url: base_url(&found),
        operations,
        api: found,
    };
    Ok(render(&page))
}

/// The definition as a file.
pub(crate) async fn definition(
    State(face): State<Face>,
    Guest(visitor): Guest,
    Path(api): Path<String>,
) -> Result<Response, ApiError> {
    Ok(Json(document_of(&face, visitor, &api).await?).into_response())
}
