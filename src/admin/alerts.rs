//! `/alert-types` and `/alert-subscriptions` of the Admin v4 contract: of which alerts an administrator wants to be told by
//! e-mail. Alerts are found, and mails sent, elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_database::handle::random_bytes;
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::alert::{ALERT_EMAILS_MAX, ALERT_SUBSCRIPTIONS_MAX, AlertKind, AlertSubscription};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{AssetId, Refused};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, DeleteAsset, PutAsset};
use crate::rest_policies::caller;
use crate::user_handlers::check_email;

const SCOPES: &[&str] = &["apim:admin", "apim:admin_alert_manage"];
const KIND: AssetKind = AssetKind::AlertSubscription;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/alert-types", get(types))
        .route("/alert-subscriptions", get(show).put(subscribe).delete(unsubscribe))
        .with_state(admin.clone())
}

fn write_kind(kind: AlertKind) -> Value {
    let place = AlertKind::ALL.iter().position(|one| *one == kind).map_or(0, |place| place + 1);
    json!({"id": place.to_string(), "name": kind.name()})
}

fn write(subscription: &AlertSubscription) -> Value {
    let kinds = subscription.kinds.iter().filter_map(|name| AlertKind::named(name)).map(write_kind);
    json!({"alerts": kinds.collect::<Vec<_>>(), "emailList": subscription.emails})
}

async fn types(signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(SCOPES)?;
    let all: Vec<Value> = AlertKind::ALL.into_iter().map(write_kind).collect();
    Ok(Json(json!({"count": all.len(), "alerts": all})))
}

#[derive(Deserialize)]
struct KindBody {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionBody {
    #[serde(default)]
    alerts: Vec<KindBody>,
    #[serde(default)]
    email_list: Vec<String>,
}

impl SubscriptionBody {
    fn read(self) -> Result<AlertSubscription, Refused> {
        let mut kinds: Vec<String> = Vec::new();
        for (number, body) in self.alerts.into_iter().enumerate() {
            let is_meant = |kind: &AlertKind| {
                let known = write_kind(*kind);
                body.id.as_ref().is_none_or(|id| known["id"] == **id)
                    && body.name.as_ref().is_none_or(|name| known["name"] == **name)
            };
            let named = body.id.is_some() || body.name.is_some();
            let kind = AlertKind::ALL.into_iter().find(is_meant).filter(|_| named);
            let kind = kind.ok_or_else(|| {
                Refused::invalid(&format!("alerts[{number}]"), "must be one of /alert-types, by id or name")
            })?;
            if !kinds.iter().any(|known| known == kind.name()) {
                kinds.push(kind.name().to_owned());
            }
        }
        let count = self.email_list.len();
        if kinds.is_empty() || count == 0 || count > ALERT_EMAILS_MAX {
            let reason = format!("must have 1 to {ALERT_EMAILS_MAX} addresses, beside at least one of alerts");
            return Err(Refused::invalid("emailList", reason));
        }
        for email in &self.email_list {
            if email.is_empty() {
                return Err(Refused::invalid("emailList", "must not have an empty address"));
            }
            check_email(email)?;
        }
        Ok(AlertSubscription { kinds, emails: self.email_list })
    }
}

/// Returns the asset that keeps the caller's subscription.
async fn own(admin: &Address<Admin>, signed: &Signed) -> Result<(Option<Arc<Asset>>, usize), ApiError> {
    signed.require(SCOPES)?;
    let all = assets::all(admin, signed, KIND).await?;
    let name = &signed.0.principal.username.0;
    Ok((all.iter().find(|asset| asset.name == *name).cloned(), all.len()))
}

async fn show(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let (own, _) = own(&admin, &signed).await?;
    let kept = own.and_then(|asset| serde_json::from_str(&asset.document).ok());
    Ok(Json(write(&kept.unwrap_or_default())))
}

async fn subscribe(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<SubscriptionBody>,
) -> Result<Response, ApiError> {
    let (before, count) = own(&admin, &signed).await?;
    let subscription = body.read().map_err(AdminError::from)?;
    if before.is_none() && count >= ALERT_SUBSCRIPTIONS_MAX {
        let max = ALERT_SUBSCRIPTIONS_MAX as u64;
        return Err(AdminError::from(Refused::LimitReached { what: "alert subscriptions".to_owned(), max }).into());
    }
    let name = signed.0.principal.username.0.clone();
    let message = PutAsset {
        caller: caller(signed, key),
        kind: KIND,
        id: before.as_ref().map_or_else(|| AssetId::from_random(random_bytes()), |asset| asset.id),
        is_new: before.is_none(),
        name,
        document: json!(subscription).to_string(),
        content: String::new(),
    };
    let Committed { index, unreached, .. } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: Json(write(&subscription)).into_response(), index, unreached }.into_response())
}

/// Ends the caller's subscription, if there is one.
async fn unsubscribe(State(admin): State<Address<Admin>>, signed: Signed, key: MaybeKey) -> Result<Response, ApiError> {
    let (Some(before), _) = own(&admin, &signed).await? else { return Ok(StatusCode::OK.into_response()) };
    let message = DeleteAsset { caller: caller(signed, key), kind: KIND, id: before.id };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
