//! `/bot-detection-data` and `/alert-subscriptions/bot-detection` of the Admin v4 contract: calls that led to no API, and who is
//! mailed about them. They are of no tenant, and the first one's to see.

use actix::{Context, Handler, Message};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::command::NoteStrayCalls;
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Committed, Statdb};
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::alert::ALERT_SUBSCRIPTIONS_MAX;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::stray_call::StrayCall;
use portcullis_model::{AssetId, Refused, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, DeleteAsset, PutAsset};
use crate::rest_policies::caller;
use crate::user_handlers::check_email;

const SCOPES: &[&str] = &["apim:admin", "apim:admin_alert_manage"];
const VIEW: &[&str] = &["apim:admin", "apim:bot_data"];
const KIND: AssetKind = AssetKind::BotSubscription;
/// Calls that are shown, the latest.
const SHOWN_MAX: usize = 1_000;

/// Asks for the calls that led to no API, the latest first; of those of one millisecond, the ones that a gateway's worker handed
/// on last. Those that are too old are not among them, also where they are there still.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Vec<(Timestamp, std::sync::Arc<StrayCall>)>")]
struct ListStrayCalls;

impl Handler<ListStrayCalls> for Admin {
    type Result = Vec<(Timestamp, std::sync::Arc<StrayCall>)>;

    fn handle(&mut self, _message: ListStrayCalls, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let now = wall_clock();
        let is_young = |at: &Timestamp| at.after(NoteStrayCalls::KEPT) > now;
        let all =
            view.read::<Statdb>().stray_calls.iter().rev().take_while(|((at, ..), _)| is_young(at)).take(SHOWN_MAX);
        all.map(|((at, ..), call)| (*at, call.clone())).collect()
    }
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/bot-detection-data", get(data))
        .route("/alert-subscriptions/bot-detection", get(list).post(subscribe))
        .route("/alert-subscriptions/bot-detection/{uuid}", delete(unsubscribe))
        .with_state(admin.clone())
}

fn require(signed: &Signed, scopes: &[&str]) -> Result<(), ApiError> {
    signed.require(scopes)?;
    if signed.0.principal.tenant.is_super() {
        return Ok(());
    }
    let reason = "calls that led to no API are of no tenant: the first tenant's administrators see them".to_owned();
    Err(AdminError::from(Refused::NotAllowed { reason }).into())
}

async fn data(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    require(&signed, VIEW)?;
    let calls = admin.ask(ListStrayCalls).await.map_err(AdminError::from)?;
    let write = |(at, call): &(Timestamp, std::sync::Arc<StrayCall>)| {
        json!({
            "recordedTime": at.0,
            "messageID": call.request_id,
            "apiMethod": call.verb,
            "path": call.path,
            "headerSet": call.headers,
            // Bodies of such calls are not read.
            "messageBody": "",
            "clientIp": call.from.to_string(),
        })
    };
    let list: Vec<Value> = calls.iter().map(write).collect();
    Ok(Json(json!({"count": list.len(), "list": list})))
}

fn write(asset: &Asset) -> Value {
    json!({"uuid": asset.id.to_string(), "email": asset.name})
}

async fn list(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    require(&signed, SCOPES)?;
    let all = assets::all(&admin, &signed, KIND).await?;
    let list: Vec<Value> = all.iter().map(|asset| write(asset)).collect();
    Ok(Json(json!({"count": list.len(), "list": list})))
}

#[derive(Deserialize)]
struct SubscriptionBody {
    email: String,
}

async fn subscribe(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<SubscriptionBody>,
) -> Result<Response, ApiError> {
    require(&signed, SCOPES)?;
    if body.email.is_empty() {
        return Err(Refused::invalid("email", "must not be empty").into());
    }
    check_email(&body.email).map_err(AdminError::from)?;
    let all = assets::all(&admin, &signed, KIND).await?;
    // Who is told already is told.
    if let Some(known) = all.iter().find(|asset| asset.name.eq_ignore_ascii_case(&body.email)) {
        return Ok(Json(write(known)).into_response());
    }
    if all.len() >= ALERT_SUBSCRIPTIONS_MAX {
        let max = ALERT_SUBSCRIPTIONS_MAX as u64;
        return Err(AdminError::from(Refused::LimitReached { what: "alert subscriptions".to_owned(), max }).into());
    }
    let message = PutAsset {
        caller: caller(signed, key),
        kind: KIND,
        id: AssetId::from_random(random_bytes()),
        is_new: true,
        name: body.email,
        document: "{}".to_owned(),
        content: String::new(),
    };
    let Committed { reply, index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: Json(write(&reply)).into_response(), index, unreached }.into_response())
}

async fn unsubscribe(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    require(&signed, SCOPES)?;
    let id: AssetId =
        id.trim_start_matches("urn:uuid:").parse().map_err(|_| ApiError::not_found("alert subscription", &id))?;
    let message = DeleteAsset { caller: caller(signed, key), kind: KIND, id };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
