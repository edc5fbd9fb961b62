//! `/publisher/apis/{id}/definition`: the definition as text.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::{Api, ApiKind};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::Value;

use super::overview::expected;
use super::{find, frame};
use crate::actor::Publisher;
use crate::design::wsdl::is_archive;
use crate::design::{Recognised, recognise};
use crate::messages::{ApiView, PutDefinition, PutDesign};
use crate::rest::answer::flat;
use crate::rest::definitions::CREATE;
use crate::rest::request::Request;

#[derive(Template)]
#[template(path = "publisher_definition.html")]
struct DefinitionPage {
    frame: Frame,
    api: Arc<Api>,
    text: String,
    wrong: Wrong,
    may_change: bool,
}

impl DefinitionPage {
    fn of(viewer: Viewer, view: &ApiView, text: String, wrong: Wrong) -> Self {
        let may_change = viewer.may(CREATE);
        let frame = frame(viewer, view, "/design").below(format!("/publisher/apis/{}/design", view.api.id), "Design");
        Self { frame, api: Arc::clone(&view.api), text, wrong, may_change }
    }

    /// Returns what the text is.
    fn label(&self) -> &'static str {
        match self.api.kind {
            ApiKind::Graphql => "Schema in GraphQL's language",
            ApiKind::Soap => "WSDL, XML",
            ApiKind::Ws | ApiKind::Sse | ApiKind::Async | ApiKind::Websub | ApiKind::Webhook => {
                "AsyncAPI document, JSON or YAML"
            }
            ApiKind::Http | ApiKind::SoapToRest | ApiKind::Product => "OpenAPI document, JSON or YAML",
        }
    }
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    // An archive is replaced by the REST API; as text it would say nothing.
    let is_archive = is_archive(&view.definition);
    let text = match serde_json::from_str::<Value>(&view.definition) {
        Ok(value) => format!("{value:#}"),
        Err(_) if is_archive => String::new(),
        Err(_) => view.definition.to_string(),
    };
    Ok(render(&DefinitionPage::of(viewer, &view, text, Wrong::default())))
}

pub(super) async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let text = fields.raw("text").to_owned();
    let expected = expected(&fields);
    let outcome = match recognise(text.clone().into_bytes()).await.map_err(ApiError::from) {
        Ok(Recognised::Openapi(text)) => {
            flat(publisher.ask(PutDefinition { asker, id: id.clone(), text, expected }).await)
        }
        Ok(Recognised::Other(design)) => {
            flat(publisher.ask(PutDesign { asker, id: id.clone(), design: *design, expected }).await)
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => Ok(say_and_go("The definition is saved.", &format!("/publisher/apis/{id}/definition"))),
        Err(error) => {
            let view = find(&publisher, &request, &id).await?;
            Ok(render_again(&DefinitionPage::of(viewer, &view, text, error.clone().into()), &error))
        }
    }
}
