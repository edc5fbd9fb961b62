//! `/key-managers/{keyManagerId}/api-usages` and `app-usages` of the Admin v4 contract: what would miss a key manager.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::{Context, Handler, Message};
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use portcullis_actor::Address;
use portcullis_database::{Apimgtdb, key_managers};
use portcullis_http::{ApiError, PageQuery, Signed};
use portcullis_model::key_manager::RESIDENT_KEY_MANAGER;
use portcullis_model::{Api, Application, ApplicationId, ClientId, KeyManagerId, Refused, TenantDomain};
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;

const VIEW: &[&str] = &["apim:admin", "apim:admin_operations"];
/// What an API names that takes tokens of every key manager.
const EVERY: &str = "all";

/// Asks what uses a key manager. The one that is part of the cluster goes by its name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Usage, AdminError>")]
struct FindUsage {
    tenant: TenantDomain,
    key_manager: String,
}

/// What uses a key manager, by name.
#[derive(Clone, Debug, Default)]
struct Usage {
    /// APIs that take its tokens, and what they name: it, or all.
    apis: Vec<(Arc<Api>, String)>,
    /// Applications that have keys of it.
    applications: Vec<Arc<Application>>,
}

impl Handler<FindUsage> for Admin {
    type Result = Result<Usage, AdminError>;

    fn handle(&mut self, message: FindUsage, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let database = view.read::<Apimgtdb>();
        let FindUsage { tenant, key_manager } = message;
        let (name, applications) = if key_manager == RESIDENT_KEY_MANAGER {
            let applications: BTreeSet<ApplicationId> = database.key_mappings.keys().map(|(id, _)| *id).collect();
            (key_manager, applications)
        } else {
            let id = key_manager.parse::<KeyManagerId>().ok();
            let found = id.and_then(|id| key_managers::find(database, &tenant, id));
            let found = found.ok_or_else(|| Refused::not_found("key manager", key_manager))?;
            let mapped = database.mapped_keys.range((found.id, ClientId(String::new()))..);
            let mapped = mapped.take_while(|((its, _), _)| *its == found.id).map(|(_, key)| key.application);
            (found.name.clone(), mapped.collect())
        };
        let of_tenant = database.apis.values().filter(|api| api.tenant == tenant);
        let mut apis: Vec<_> =
            of_tenant.filter_map(|api| named(api, &name).map(|entry| (Arc::clone(api), entry))).collect();
        apis.sort_by(|(one, _), (other, _)| {
            (&one.name, &one.version, one.id).cmp(&(&other.name, &other.version, other.id))
        });
        let applications = applications.iter().filter_map(|id| database.applications.get(id));
        let mut applications: Vec<_> = applications.filter(|one| one.tenant == tenant).cloned().collect();
        applications.sort_by(|one, other| (&one.name, &one.owner, one.id).cmp(&(&other.name, &other.owner, other.id)));
        Ok(Usage { apis, applications })
    }
}

/// Returns by which word an API names a key manager, where it takes tokens of it.
fn named(api: &Api, name: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
    match fields["keyManagers"].as_array() {
        None => Some(EVERY.to_owned()),
        Some(list) => list.iter().filter_map(Value::as_str).find(|one| [EVERY, name].contains(one)).map(str::to_owned),
    }
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/key-managers/{keyManagerId}/api-usages", get(apis))
        .route("/key-managers/{keyManagerId}/app-usages", get(applications))
        .with_state(admin.clone())
}

async fn find(admin: &Address<Admin>, signed: &Signed, key_manager: String) -> Result<Usage, ApiError> {
    signed.require(VIEW)?;
    let message = FindUsage { tenant: signed.0.principal.tenant.clone(), key_manager };
    Ok(admin.ask(message).await.map_err(AdminError::from)??)
}

async fn apis(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    let page = page.page()?;
    let all = find(&admin, &signed, id).await?.apis;
    let shown = all.iter().skip(page.offset).take(page.limit).map(|(api, entry)| {
        json!({
            "id": api.id.to_string(),
            "type": "API",
            "transportType": api.kind.as_contract(),
            "name": api.name,
            "description": api.description,
            "context": api.context,
            "version": api.version,
            "provider": api.provider.0,
            "status": api.lifecycle.as_contract(),
            "keyManagerEntry": entry,
        })
    });
    Ok(Json(json!({"apiCount": all.len(), "apis": shown.collect::<Vec<_>>()})))
}

async fn applications(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Value>, ApiError> {
    let page = page.page()?;
    let all = find(&admin, &signed, id).await?.applications;
    let shown = all.iter().skip(page.offset).take(page.limit).map(|application| {
        json!({
            "name": application.name,
            "uuid": application.id.to_string(),
            "owner": application.owner.0,
            "organization": application.tenant.0,
        })
    });
    Ok(Json(json!({"applicationCount": all.len(), "applications": shown.collect::<Vec<_>>()})))
}
