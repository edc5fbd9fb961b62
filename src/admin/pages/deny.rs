//! `/admin/deny`: who is turned away, whatever quota is left.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::Caller;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{DenyPolicy, PolicyId, TenantDomain};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};
use serde_json::{Value, json};

use super::{asker, frame};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::deny_body::DenyBody;
use crate::messages::{ChangeDenyPolicy, CreateDenyPolicy, DeleteDenyPolicy, ListDenyPolicies};
use crate::rest_denials::{MANAGE, VIEW};

/// Entries that are shown.
const SHOWN_MAX: usize = 500;

/// An entry of the list.
struct Row {
    policy: Arc<DenyPolicy>,
    whom: String,
    since: String,
    until: String,
}

#[derive(Template)]
#[template(path = "admin_deny.html")]
struct DenyPage {
    frame: Frame,
    rows: Vec<Row>,
    fields: Fields,
    wrong: Wrong,
    may_change: bool,
}

/// Says whom the contract's value means.
fn whom(value: &Value) -> String {
    let text = |name: &str| value[name].as_str();
    let without = if value["invert"] == true { "all but " } else { "" };
    match (value.as_str(), text("fixedIp"), text("startingIp"), text("endingIp")) {
        (Some(text), ..) => text.to_owned(),
        (_, Some(network), ..) => format!("{without}{network}"),
        (_, _, Some(from), Some(to)) => format!("{without}{from} – {to}"),
        _ => value.to_string(),
    }
}

fn row(policy: Arc<DenyPolicy>) -> Row {
    let value = json!(DenyBody::of(&policy))["conditionValue"].take();
    Row {
        whom: whom(&value),
        since: when(policy.created_at),
        until: policy.expires_at.map_or_else(|| "for ever".to_owned(), when),
        policy,
    }
}

async fn page(
    admin: &Address<Admin>,
    tenant: TenantDomain,
    viewer: Viewer,
    fields: Fields,
    wrong: Wrong,
) -> Result<DenyPage, ApiError> {
    let found = admin.ask(ListDenyPolicies { tenant }).await.map_err(AdminError::from)?;
    let may_change = viewer.may(MANAGE);
    let rows = found.into_iter().rev().take(SHOWN_MAX).map(row).collect();
    Ok(DenyPage { frame: frame(viewer, "/admin/deny", "Deny list"), rows, fields, wrong, may_change })
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, VIEW)?.principal.tenant;
    Ok(render(&page(&admin, tenant, viewer, Fields::default(), Wrong::default()).await?))
}

/// Returns an entry as the contract has it.
fn body_of(fields: &Fields) -> Value {
    let (kind, value) = (fields.text("kind"), fields.text("value"));
    let value = match kind {
        "IP" => json!({"fixedIp": value, "invert": false}),
        "IPRANGE" => {
            let (from, to) = value.split_once('-').unwrap_or((value, ""));
            json!({"startingIp": from.trim(), "endingIp": to.trim(), "invert": false})
        }
        _ => json!(value),
    };
    let ends = fields.filled("ends").map(|day| format!("{day}T00:00:00Z"));
    json!({"conditionType": kind, "conditionValue": value, "conditionStatus": true, "expiresAt": ends})
}

async fn created(admin: &Address<Admin>, caller: Caller, fields: &Fields) -> Result<(), ApiError> {
    let body: DenyBody = serde_json::from_value(body_of(fields))
        .map_err(|error| ApiError::bad_request(format!("conditionValue: {error}")))?;
    let policy = body.into_policy(&caller.principal.tenant, PolicyId::from_random([0; 16]))?;
    admin.ask(CreateDenyPolicy { caller, policy }).await.map_err(AdminError::from)??;
    Ok(())
}

pub(super) async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let tenant = caller.principal.tenant.clone();
    match created(&admin, caller, &fields).await {
        Ok(()) => Ok(say_and_go("Turned away on every gateway from now on.", "/admin/deny")),
        Err(error) => {
            let page = page(&admin, tenant, viewer, fields, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

pub(super) async fn act(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path((id, act)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let id: PolicyId = id.parse().map_err(|_| ApiError::not_found("deny policy", &id))?;
    let said = match act.as_str() {
        "delete" => {
            admin.ask(DeleteDenyPolicy { caller, id }).await.map_err(AdminError::from)??;
            "Deleted: calls pass again."
        }
        "on" | "off" => {
            let message = ChangeDenyPolicy { caller, id, is_active: Some(act == "on"), expires_at: None };
            admin.ask(message).await.map_err(AdminError::from)??;
            if act == "on" { "In force again." } else { "Not in force until it is switched on." }
        }
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(say_and_go(said, "/admin/deny"))
}
