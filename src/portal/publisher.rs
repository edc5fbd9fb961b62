//! `/publisher`: the APIs of the visitor's tenant and how far each is.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::request::Parts;
use portcullis_http::ApiError;
use portcullis_http::page::PageQuery;

use crate::page::{self, Frame, Part};
use crate::{Addresses, ApiRow, Portal};

/// Scopes of which a visitor needs one.
const SCOPES: &[&str] = &["apim:api_view", "apim:api_create", "apim:api_publish", "apim:api_manage", "apim:admin"];

#[derive(Template)]
#[template(path = "publisher.html")]
struct PublisherPage {
    frame: Frame,
    addresses: Addresses,
    apis: Vec<ApiRow>,
    part: Part,
}

pub(crate) async fn show(State(portal): State<Portal>, parts: Parts, Query(query): Query<PageQuery>) -> Response {
    match render(&portal, &parts, &query).await {
        Ok(response) => response,
        Err(error) => page::refuse("/publisher", &error),
    }
}

async fn render(portal: &Portal, parts: &Parts, query: &PageQuery) -> Result<Response, ApiError> {
    let visitor = portal.visitor(parts, SCOPES).await?;
    let wanted = page::wanted(query)?;
    let found = portal.data.apis(&visitor.principal.tenant, wanted);
    let part = Part::of("/publisher", wanted, found.rows.len(), found.total);
    let frame = Frame { title: "Publisher", section: "/publisher", user: Some(visitor.principal.to_string()) };
    Ok(page::render(&PublisherPage { frame, addresses: portal.data.addresses(), apis: found.rows, part }))
}
