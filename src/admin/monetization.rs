//! `/monetization/publish-usage` of the Admin v4 contract: tells whoever bills it which use there was of the tenant's
//! monetized APIs, and how that stands.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{AsyncContext as _, Context, Handler, Message, ResponseFuture};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::{Apimgtdb, Caller, Handle, SubmitError, access, assets, command};
use portcullis_http::{ApiError, Signed};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{AssetId, Refused, TenantDomain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::billing::{BillingEngine, tell_all};

const SCOPES: &[&str] = &["apim:admin", "apim:monetization_usage_publish"];
/// Under which name a tenant keeps how it stands.
const NAME: &str = "publication";
/// After how long a run that nobody ended is taken to be lost with its node.
const RUN_LASTS_MS: u64 = 10 * 60_000;

/// How the last run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    is_running: bool,
    /// Why it failed; empty where it did not.
    fault: String,
    started_at: Timestamp,
    /// When all was told; `None` where that never was.
    told_at: Option<Timestamp>,
    /// What was told.
    told: String,
}

impl Run {
    fn is_on(&self, now: Timestamp) -> bool {
        self.is_running && now.0 < self.started_at.0.saturating_add(RUN_LASTS_MS)
    }
}

/// Begins a run, unless one is on; says which it is.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<bool, AdminError>")]
struct Begin {
    caller: Caller,
}

/// Runs, on after the answer.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
struct Go {
    tenant: TenantDomain,
}

/// Asks how it stands.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Run")]
struct GetRun {
    tenant: TenantDomain,
}

fn kept(handle: &Handle<access::Admin>, tenant: &TenantDomain) -> (Option<Arc<Asset>>, Run) {
    let view = handle.view();
    let mut all = assets::of_tenant(view.read::<Apimgtdb>(), tenant, AssetKind::UsageBook);
    let asset = all.find(|asset| asset.api.is_none() && asset.name == NAME).cloned();
    let run = asset.as_ref().and_then(|asset| serde_json::from_str(&asset.document).ok()).unwrap_or_default();
    (asset, run)
}

async fn keep(
    handle: &Handle<access::Admin>,
    before: Option<&Asset>,
    run: &Run,
    caller: &Caller,
    tenant: &TenantDomain,
) -> Result<(), SubmitError> {
    let by = caller.principal.username.clone();
    let asset = Asset {
        id: before.map_or_else(|| AssetId::from_random(random_bytes()), |before| before.id),
        tenant: tenant.clone(),
        kind: AssetKind::UsageBook,
        api: None,
        name: NAME.to_owned(),
        document: json!(run).to_string(),
        content: String::new(),
        created_by: by.clone(),
        created_at: Timestamp::default(),
        updated_by: by,
        updated_at: Timestamp::default(),
    };
    let expected = before.map(|before| before.updated_at);
    handle.submit(command::PutAsset { asset, is_new: before.is_none(), expected }, caller).await.map(|_| ())
}

impl Handler<Begin> for Admin {
    type Result = ResponseFuture<Result<bool, AdminError>>;

    fn handle(&mut self, message: Begin, _context: &mut Context<Self>) -> Self::Result {
        let (handle, has_engine) = (self.handle.clone(), self.billing.is_some());
        Box::pin(async move {
            if !has_engine {
                let what = "that is told of use: monetization.billing_url is not set on this node";
                return Err(Refused::not_found("billing engine", what).into());
            }
            let tenant = message.caller.principal.tenant.clone();
            let (before, run) = kept(&handle, &tenant);
            let now = wall_clock();
            if run.is_on(now) {
                return Ok(false);
            }
            let begun = Run { is_running: true, fault: String::new(), started_at: now, ..run };
            match keep(&handle, before.as_deref(), &begun, &message.caller, &tenant).await {
                Ok(()) => Ok(true),
                // Somebody began at the same time.
                Err(SubmitError::Refused(Refused::Stale { .. } | Refused::AlreadyExists { .. })) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }
}

impl Handler<Go> for Admin {
    type Result = ();

    fn handle(&mut self, message: Go, context: &mut Context<Self>) {
        let Some(engine) = self.billing.clone() else { return };
        let handle = self.handle.clone();
        context.spawn(wrap_future(async move { run(&handle, &engine, &message.tenant).await }));
    }
}

/// Tells all, and keeps how it ended.
async fn run(handle: &Handle<access::Admin>, engine: &BillingEngine, tenant: &TenantDomain) {
    let outcome = tell_all(handle, engine, tenant).await;
    let (before, run) = kept(handle, tenant);
    let ended = match outcome {
        Ok(told) => Run {
            is_running: false,
            told_at: Some(wall_clock()),
            told: format!("{} batches of {} APIs", told.batches, told.apis),
            ..run
        },
        Err(fault) => Run { is_running: false, fault: fault.to_string(), ..run },
    };
    if let Err(error) = keep(handle, before.as_deref(), &ended, &Caller::system(), tenant).await {
        tracing::warn!(%error, "how telling the use of APIs ended could not be kept");
    }
}

impl Handler<GetRun> for Admin {
    type Result = ResponseFuture<Run>;

    fn handle(&mut self, message: GetRun, _context: &mut Context<Self>) -> Self::Result {
        let handle = self.handle.clone();
        Box::pin(async move { kept(&handle, &message.tenant).1 })
    }
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/monetization/publish-usage", post(publish))
        .route("/monetization/publish-usage/status", get(status))
        .with_state(admin.clone())
}

async fn publish(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Response, ApiError> {
    signed.require(SCOPES)?;
    let tenant = signed.0.principal.tenant.clone();
    let caller = Caller::new(signed.0.principal).from_address(signed.0.origin);
    let begun = admin.ask(Begin { caller }).await.map_err(AdminError::from)??;
    let message = if begun {
        admin.ask(Go { tenant }).await.map_err(AdminError::from)?;
        "usage records are being published; /monetization/publish-usage/status says how that ends"
    } else {
        "usage records are being published already"
    };
    let body = json!({"status": "ACCEPTED", "message": message});
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn status(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(SCOPES)?;
    let run = admin.ask(GetRun { tenant: signed.0.principal.tenant }).await.map_err(AdminError::from)?;
    let (state, status) = match (&run, run.is_on(wall_clock())) {
        (_, true) => ("RUNNING", "INPROGRESS"),
        (run, _) if run.started_at == Timestamp::default() => ("COMPLETED", "NEVER PUBLISHED"),
        (run, _) if run.is_running => ("COMPLETED", "FAILED"),
        (run, _) if run.fault.is_empty() => ("COMPLETED", "SUCCESSFUL"),
        _ => ("COMPLETED", "FAILED"),
    };
    let text = |time: Timestamp| (time != Timestamp::default()).then(|| time.0.to_string());
    Ok(Json(json!({
        "state": state,
        "status": status,
        "startedTime": text(run.started_at),
        // As the contract spells it.
        "lastPublsihedTime": run.told_at.and_then(text),
        "message": if run.fault.is_empty() { run.told } else { run.fault },
    })))
}
