//! `/publisher/apis/{id}/try`: calls an API before anybody may subscribe to it, with a key that publishers get. The browser
//! sends, straight to the gateway.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::Api;
use portcullis_model::api::versioned_context;
use portcullis_model::environment::{DEFAULT_VHOST, VirtualHost};
use portcullis_model::internal_key::INTERNAL_KEY_VALIDITY_S;
use portcullis_portal::calling::{KeyHeader, Language, Operation, TryForm};
use portcullis_portal::{Addresses, Fields, Frame, Viewer, Wrong, may_send_to, render, render_again};
use serde::Deserialize;

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{ApiView, GenerateInternalKey, ListEnvironments, ListRevisions};
use crate::rest::answer::flat;
use crate::rest::apis::VIEW;
use crate::rest::internal_keys::GENERATE;
use crate::rest::request::{Params, Request};

#[derive(Deserialize)]
pub(super) struct TryQuery {
    /// The operation to begin with: `GET /menu`.
    #[serde(default)]
    operation: String,
}

#[derive(Template)]
#[template(path = "publisher_try.html")]
struct TryPage {
    frame: Frame,
    api: Arc<Api>,
    form: TryForm,
    minutes: u64,
    may_get_key: bool,
    wrong: Wrong,
}

/// Returns where a gateway serves what is deployed of an API; nothing where none does.
async fn address(
    publisher: &Address<Publisher>,
    request: &Request,
    addresses: &Addresses,
    api: &Api,
) -> Result<Option<String>, ApiError> {
    let message = ListRevisions { asker: request.asker(VIEW)?, id: api.id.to_string() };
    let revisions = flat(publisher.ask(message).await)?.value;
    let environments = flat(publisher.ask(ListEnvironments { asker: request.asker(VIEW)? }).await)?.value;
    let deployments = revisions.iter().flat_map(|one| &one.deployments);
    let hosts = deployments.filter_map(|deployment| {
        let environment = environments.iter().find(|one| one.name == deployment.environment)?;
        environment.vhost(&deployment.vhost)
    });
    // What whatever host of a gateway serves is the nearest.
    let host = hosts.min_by_key(|host| host.host != DEFAULT_VHOST);
    let path = versioned_context(&api.context, &api.version);
    Ok(host.map(|host| format!("{}{path}", base(addresses, host, api.has_https))))
}

/// Returns a gateway's address at a virtual host.
fn base(addresses: &Addresses, host: &VirtualHost, has_https: bool) -> String {
    if host.host == DEFAULT_VHOST {
        return if has_https { addresses.gateway_https.clone() } else { addresses.gateway_http.clone() };
    }
    let (scheme, port, usual) = if has_https { ("https", host.https_port, 443) } else { ("http", host.http_port, 80) };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    let slash = if host.http_context.is_empty() { "" } else { "/" };
    format!("{scheme}://{}{port}{slash}{}", host.host, host.http_context)
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    (viewer, addresses): (Viewer, Addresses),
    view: &ApiView,
    operation: String,
) -> Result<TryPage, ApiError> {
    let api = &view.api;
    let url = address(publisher, request, &addresses, api).await?.unwrap_or_default();
    let operations =
        api.operations.iter().map(|one| Operation { verb: one.verb.clone(), target: one.target.clone() }).collect();
    let header = KeyHeader { name: "Internal-Key".to_owned(), scheme: "" };
    let definition = format!("/publisher/apis/{}/definition", api.id);
    let place = (Language::of(api.kind.as_contract()), url.as_str());
    Ok(TryPage {
        form: TryForm::new(place, header, operations, operation, definition),
        minutes: INTERNAL_KEY_VALIDITY_S / 60,
        may_get_key: viewer.may(GENERATE),
        frame: frame(viewer, view, "/try"),
        api: Arc::clone(api),
        wrong: Wrong::default(),
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    Extension(addresses): Extension<Addresses>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    Params(query): Params<TryQuery>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    let page = page(&publisher, &request, (viewer, addresses), &view, query.operation).await?;
    Ok(may_send_to(render(&page), &page.form.url))
}

pub(super) async fn get_key(
    State(publisher): State<Address<Publisher>>,
    Extension(addresses): Extension<Addresses>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(GENERATE)?;
    let view = find(&publisher, &request, &id).await?;
    let operation = fields.text("operation").to_owned();
    let mut page = page(&publisher, &request, (viewer, addresses), &view, operation).await?;
    match flat(publisher.ask(GenerateInternalKey { asker, api: id }).await) {
        Ok(key) => {
            page.form = page.form.with_key(key.value);
            Ok(may_send_to(render(&page), &page.form.url))
        }
        Err(error) => {
            page.wrong = error.clone().into();
            Ok(may_send_to(render_again(&page, &error), &page.form.url))
        }
    }
}
