//! Subscriptions, of one API or of all, and how they are blocked.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, PageQuery};
use portcullis_model::{Api, SubscriptionState};
use portcullis_portal::{Fields, Frame, Part, Shell, Viewer, page, render, say_and_go, when};

use super::{find, frame};
use crate::actor::Publisher;
use crate::messages::{ListSubscriptions, SetSubscriptionState, SubscriptionView};
use crate::rest::answer::flat;
use crate::rest::request::{Params, Request};
use crate::rest::subscriptions::{BLOCK, VIEW};

#[derive(Template)]
#[template(path = "publisher_subscriptions.html")]
struct SubscriptionsPage {
    frame: Frame,
    /// The API, where they are of one.
    api: Option<Arc<Api>>,
    rows: Vec<(SubscriptionView, String)>,
    part: Part,
    may_block: bool,
}

async fn rows(
    publisher: &Address<Publisher>,
    request: &Request,
    api: Option<String>,
    query: &PageQuery,
    path: &str,
) -> Result<(Vec<(SubscriptionView, String)>, Part), ApiError> {
    let asker = request.list_asker(VIEW)?;
    let wanted = page::wanted(query)?;
    let message = ListSubscriptions { asker, api, query: None, page: wanted };
    let (found, total) = flat(publisher.ask(message).await)?.value;
    let rows: Vec<_> = found.into_iter().map(|one| (one.clone(), when(one.subscription.created_at))).collect();
    let part = Part::of(path, "", wanted, rows.len(), total);
    Ok((rows, part))
}

pub(super) async fn all(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let path = "/publisher/subscriptions";
    let (rows, part) = rows(&publisher, &request, None, &query, path).await?;
    let may_block = viewer.may(BLOCK);
    let frame = Frame::new(viewer, Shell::Publisher, path, "Subscriptions");
    Ok(render(&SubscriptionsPage { frame, api: None, rows, part, may_block }))
}

pub(super) async fn of_api(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    let path = format!("/publisher/apis/{id}/subscriptions");
    let (rows, part) = rows(&publisher, &request, Some(id), &query, &path).await?;
    let may_block = viewer.may(BLOCK);
    let frame = frame(viewer, &view, "/subscriptions");
    Ok(render(&SubscriptionsPage { frame, api: Some(view.api), rows, part, may_block }))
}

pub(super) async fn set(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(BLOCK)?;
    let text = fields.text("subscription");
    let subscription = text.parse().map_err(|_| ApiError::not_found("subscription", text))?;
    let (state, said) = match fields.text("state") {
        "block" => (SubscriptionState::Blocked, "Blocked: no call of the application passes."),
        "block-production" => (SubscriptionState::ProdOnlyBlocked, "Blocked for production: only sandbox calls pass."),
        _ => (SubscriptionState::Unblocked, "Unblocked: calls pass."),
    };
    flat(publisher.ask(SetSubscriptionState { asker, id: subscription, state }).await)?;
    Ok(say_and_go(said, &format!("/publisher/apis/{id}/subscriptions")))
}
