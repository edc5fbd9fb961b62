//! `/publisher/create`: a new API, from scratch or from a document that describes it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::PolicyLevel;
use portcullis_portal::{Fields, Frame, Shell, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::{Map, Value, json};

use crate::actor::Publisher;
use crate::design::{Recognised, recognise};
use crate::messages::{ApiView, Asker, CreateApi, ImportDesign, ImportOpenapi, ListPolicies, Written};
use crate::openapi::fetch::fetch;
use crate::rest::answer::flat;
use crate::rest::definitions::CREATE;
use crate::rest::request::Request;

#[derive(Template)]
#[template(path = "publisher_create.html")]
struct CreatePage {
    frame: Frame,
    fields: Fields,
    wrong: Wrong,
    is_import: bool,
    plans: Vec<String>,
    kinds: [(&'static str, &'static str); 4],
}

impl CreatePage {
    fn has_plan(&self, plan: &str) -> bool {
        if self.wrong.text().is_some() {
            self.fields.all("plan").iter().any(|one| one == plan)
        } else {
            plan == "Unlimited"
        }
    }
}

/// What gateways carry: the contract's word, and what people call it.
const KINDS: [(&str, &str); 4] = [
    ("HTTP", "REST over HTTP"),
    ("WS", "WebSocket"),
    ("SSE", "Server-sent events"),
    ("WEBSUB", "WebSub: events sent to callbacks"),
];

async fn page(
    publisher: &Address<Publisher>,
    asker: Asker,
    viewer: Viewer,
    fields: Fields,
    wrong: Wrong,
) -> Result<CreatePage, ApiError> {
    let seen = flat(publisher.ask(ListPolicies { asker, level: PolicyLevel::Subscription }).await)?;
    let frame = Frame::new(viewer, Shell::Publisher, "/publisher/create", "Create an API").below("/publisher", "APIs");
    let plans = seen.value.iter().map(|plan| plan.name.clone()).collect();
    let is_import = fields.has("text");
    Ok(CreatePage { frame, fields, wrong, is_import, plans, kinds: KINDS })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let asker = request.list_asker(CREATE)?;
    let page = page(&publisher, asker, viewer, Fields::default(), Wrong::default()).await?;
    Ok(render(&page))
}

/// Returns the contract's fields that both forms have.
fn contract_fields(fields: &Fields) -> Map<String, Value> {
    let mut body = Map::new();
    for name in ["name", "version", "context", "description"] {
        if let Some(text) = fields.filled(name) {
            body.insert(name.to_owned(), text.into());
        }
    }
    body.insert("policies".to_owned(), json!(fields.all("plan")));
    if let Some(url) = fields.filled("endpoint") {
        let endpoint = json!({"url": url});
        let config = json!({
            "endpoint_type": "http", "production_endpoints": endpoint, "sandbox_endpoints": endpoint,
        });
        body.insert("endpointConfig".to_owned(), config);
    }
    body
}

pub(super) async fn from_scratch(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let mut body = contract_fields(&fields);
    body.insert("type".to_owned(), fields.filled("type").unwrap_or("HTTP").into());
    match flat(publisher.ask(CreateApi { asker: asker.clone(), fields: body }).await) {
        Ok(made) => Ok(made_page(&made.value.api.id.to_string())),
        Err(error) => again(&publisher, asker, viewer, fields, error).await,
    }
}

fn made_page(id: &str) -> Response {
    say_and_go("The API is created. What is left to do is listed below.", &format!("/publisher/apis/{id}"))
}

async fn again(
    publisher: &Address<Publisher>,
    asker: Asker,
    viewer: Viewer,
    fields: Fields,
    error: ApiError,
) -> Result<Response, ApiError> {
    let page = page(publisher, asker, viewer, fields, error.clone().into()).await?;
    Ok(render_again(&page, &error))
}

/// Returns the document that a form holds: pasted, as a file, or what is at an address.
async fn document_of(asker: &Asker, fields: &Fields) -> Result<Vec<u8>, ApiError> {
    match (fields.filled("text"), fields.file("file"), fields.filled("url")) {
        (Some(_), None, None) => Ok(fields.raw("text").as_bytes().to_vec()),
        (None, Some(file), None) => Ok(file.bytes.to_vec()),
        (None, None, Some(url)) => fetch(&asker.identity.principal.tenant, "url", url).await.map(String::into_bytes),
        (None, None, None) => {
            Err(ApiError::bad_request("text: paste a document, choose a file, or say at which address it is"))
        }
        _ => Err(ApiError::bad_request("text: give the document once: as text, as a file or by its address")),
    }
}

/// Makes an API of a document, in whichever language it is.
async fn made_of(
    publisher: &Address<Publisher>,
    asker: &Asker,
    document: Vec<u8>,
    fields: Map<String, Value>,
) -> Result<Written<ApiView>, ApiError> {
    let asker = asker.clone();
    match recognise(document).await? {
        Recognised::Openapi(text) => flat(publisher.ask(ImportOpenapi { asker, text, fields }).await),
        Recognised::Other(design) => flat(publisher.ask(ImportDesign { asker, design: *design, fields }).await),
    }
}

pub(super) async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CREATE)?;
    let outcome = match document_of(&asker, &fields).await {
        Ok(document) => made_of(&publisher, &asker, document, contract_fields(&fields)).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(made_page(&made.value.api.id.to_string())),
        Err(error) => again(&publisher, asker, viewer, fields, error).await,
    }
}
