//! What the gateway's key manager knows of APIs, applications and subscriptions. On a node without one it is asked
//! elsewhere: a gateway has no such tables.

use axum::Json;
use axum::extract::{Path, State};
use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager;
use portcullis_database::handle::View;
use portcullis_http::{ApiError, Signed};
use portcullis_model::api::versioned_context;
use portcullis_model::limit::PAGE_LIMIT_MAX;
use portcullis_model::{Api, ApiId, Application, ApplicationId, Component, DeployedApi, KeyType, Subscription};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asked, Face, Shared, Wanted, deployed, needed};

/// The name of the cluster's own key manager in the original's contracts.
const RESIDENT: &str = "Resident Key Manager";

impl Face {
    /// Returns what the key manager of this node knows.
    fn known(&self) -> Result<View<KeyManager>, ApiError> {
        let keys = self.keys.as_ref().ok_or_else(|| self.places.elsewhere(Component::KeyManager))?;
        Ok(keys.view())
    }
}

/// Returns the number that stands for an id where the contract has one: the original's are rows of a table.
fn number(id: Uuid) -> u32 {
    let [.., a, b, c, d] = id.into_bytes();
    u32::from_be_bytes([a & 0x7f, b, c, d])
}

pub(super) async fn apis(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let (wanted, tenant) = Wanted::of(&signed, asked)?;
    let view = face.deployed.view();
    let is_wanted = |api: &DeployedApi| {
        let context = versioned_context(&api.context, &api.version);
        let fits = |wanted: &Option<String>, texts: &[&str]| {
            wanted.as_deref().filter(|text| !text.is_empty()).is_none_or(|text| texts.contains(&text))
        };
        fits(&wanted.context, &[&api.context, &context]) && fits(&wanted.version, &[&api.version])
    };
    let all = deployed(&view, face.gateway.environments(), &tenant).filter(|api| is_wanted(api));
    let list: Vec<Value> = all.take(PAGE_LIMIT_MAX).map(|api| about(api)).collect();
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

fn about(api: &DeployedApi) -> Value {
    json!({
        "apiUUID": api.id.to_string(),
        "apiId": number(api.id.0),
        "provider": api.provider.0,
        "name": api.name,
        "version": api.version,
        "context": versioned_context(&api.context, &api.version),
        "policy": api.api_policy,
        "apiType": api.kind.as_contract(),
        "isDefaultVersion": api.is_default_version,
        "status": api.lifecycle.as_contract(),
    })
}

pub(super) async fn api(
    State(face): Shared,
    Path(id): Path<String>,
    signed: Signed,
    asked: Asked,
) -> Result<Json<Value>, ApiError> {
    let (_, tenant) = Wanted::of(&signed, asked)?;
    let view = face.deployed.view();
    let unknown = || ApiError::not_found("API", id.chars().take(100).collect::<String>());
    let id: ApiId = id.parse().map_err(|_| unknown())?;
    let found = deployed(&view, face.gateway.environments(), &tenant).find(|api| api.id == id).ok_or_else(unknown)?;
    let known = face.known()?;
    let tables = known.read::<Apimgtdb>();
    let from = (id, ApplicationId(Uuid::nil()));
    let all = tables.subscriptions_by_api.range(from..).take_while(|((api, _), _)| *api == id);
    let subscriptions: Vec<Value> = all
        .filter_map(|(_, id)| tables.subscriptions.get(id))
        .filter_map(|one| tables.applications.get(&one.application).map(|owner| subscribed(tables, one, owner)))
        .take(PAGE_LIMIT_MAX)
        .collect();
    let operations: Vec<Value> = found
        .operations
        .iter()
        .map(|operation| {
            json!({
                "authScheme": operation.auth.as_contract(),
                "throttlingPolicy": operation.policy,
                "httpMethod": operation.verb,
                "urlPattern": operation.target,
                "scopes": operation.scopes,
            })
        })
        .collect();
    let mut shown = about(found);
    shown["urlMappings"] = operations.into();
    // Spelled as in the contract.
    shown["subscripitons"] = subscriptions.into();
    Ok(Json(shown))
}

fn subscribed(tables: &Apimgtdb, one: &Subscription, owner: &Application) -> Value {
    json!({
        "subscriptionUUID": one.id.to_string(),
        "subscriptionPolicy": one.plan,
        "status": one.state.as_contract(),
        "application": application(tables, owner),
    })
}

fn application(tables: &Apimgtdb, one: &Application) -> Value {
    let keys: Vec<Value> = [KeyType::Production, KeyType::Sandbox]
        .into_iter()
        .filter_map(|kind| tables.key_mappings.get(&(one.id, kind)).map(|client| (kind, client)))
        .map(|(kind, client)| json!({ "consumerKey": client.0, "keyType": kind.as_contract(), "keyManager": RESIDENT }))
        .collect();
    json!({
        "uuid": one.id.to_string(),
        "id": number(one.id.0),
        "name": one.name,
        "subName": one.owner.0,
        "policy": one.policy,
        "tokenType": one.token_type.as_contract(),
        "attributes": one.attributes,
        "keys": keys,
    })
}

pub(super) async fn applications(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let (wanted, tenant) = Wanted::of(&signed, asked)?;
    let known = face.known()?;
    let tables = known.read::<Apimgtdb>();
    let is_given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !is_given(&wanted.name) && !is_given(&wanted.uuid) {
        return Err(ApiError::bad_request("name, uuid: one of them must say which application."));
    }
    let fits = |one: &Application| {
        one.tenant == tenant
            && wanted.name.as_ref().filter(|name| !name.is_empty()).is_none_or(|name| *name == one.name)
    };
    let list: Vec<Value> = match wanted.uuid.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => {
            let id: Option<ApplicationId> = id.parse().ok();
            let found = id.and_then(|id| tables.applications.get(&id)).filter(|one| fits(one));
            found.map(|one| application(tables, one)).into_iter().collect()
        }
        None => {
            let all = tables.applications.iter().filter(|(_, one)| fits(one));
            all.take(PAGE_LIMIT_MAX).map(|(_, one)| application(tables, one)).collect()
        }
    };
    if list.is_empty() {
        return Err(ApiError::not_found("application", wanted.name.or(wanted.uuid).unwrap_or_default()));
    }
    Ok(Json(json!({ "count": list.len(), "list": list })))
}

pub(super) async fn subscription(State(face): Shared, signed: Signed, asked: Asked) -> Result<Json<Value>, ApiError> {
    let (wanted, tenant) = Wanted::of(&signed, asked)?;
    let (api, owner) = (needed("apiUUID", wanted.api_uuid)?, needed("appUUID", wanted.app_uuid)?);
    let known = face.known()?;
    let tables = known.read::<Apimgtdb>();
    let ids: Option<(ApplicationId, ApiId)> = owner.parse().ok().zip(api.parse().ok());
    let found = ids.and_then(|ids| tables.subscriptions_by_application.get(&ids));
    let found = found.and_then(|id| tables.subscriptions.get(id)).filter(|one| {
        // Who subscribes may be of another tenant than the API: each side's administrators see it.
        one.tenant == tenant || tables.apis.get(&one.api).is_some_and(|api: &std::sync::Arc<Api>| api.tenant == tenant)
    });
    let one = found.ok_or_else(|| ApiError::not_found("subscription", "of this application to this API"))?;
    Ok(Json(json!({
        "subscriptionId": number(one.id.0),
        "policyId": one.plan,
        "apiId": number(one.api.0),
        "appId": number(one.application.0),
        "subscriptionState": one.state.as_contract(),
    })))
}
