//! Search, export and import of throttling policies by the Admin v4 contract: a thin face over the messages.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_http::{ApiError, MaybeKey, MultipartForm, Signed, Stamped};
use portcullis_model::{PolicyLevel, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangePolicy, CreatePolicy, ListPolicies, RuledPolicy};
use crate::policy_body::PolicyBody;
use crate::rest_policies::{DELETE as TRANSFER, VIEW, caller};

/// The version of the exported form.
const VERSION: &str = "v4.1.0";
/// The type of every exported document.
const KIND: &str = "rate-limiting policy";

/// Each level with its short name in queries, its name in documents, and the type in a policy's body.
const LEVELS: [(PolicyLevel, &str, &str, &str); 4] = [
    (PolicyLevel::Subscription, "sub", "subscription", "SubscriptionThrottlePolicy"),
    (PolicyLevel::Application, "app", "application", "ApplicationThrottlePolicy"),
    (PolicyLevel::Advanced, "api", "advanced", "AdvancedThrottlePolicy"),
    (PolicyLevel::Custom, "global", "custom", "CustomRule"),
];

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/throttling/policies/search", get(search))
        .route("/throttling/policies/export", get(export))
        .route("/throttling/policies/import", post(import))
        .with_state(admin.clone())
}

#[derive(Deserialize)]
struct SearchQuery {
    query: Option<String>,
}

/// What a search shows of a policy.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    policy_id: u32,
    uuid: String,
    policy_name: String,
    display_name: String,
    description: String,
    is_deployed: bool,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct DetailsList {
    count: usize,
    list: Vec<Details>,
}

/// A policy as a document.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subtype: String,
    #[serde(default)]
    version: String,
    data: serde_json::Value,
}

async fn all(admin: &Address<Admin>, tenant: &TenantDomain) -> Result<Vec<RuledPolicy>, ApiError> {
    let mut found = Vec::new();
    for (level, ..) in LEVELS {
        let message = ListPolicies { tenant: tenant.clone(), level };
        found.extend(admin.ask(message).await.map_err(AdminError::from)?);
    }
    Ok(found)
}

fn short_name(level: PolicyLevel) -> &'static str {
    LEVELS.iter().find(|(its, ..)| *its == level).map_or("", |(_, short, ..)| short)
}

fn level_named(short: &str) -> Result<PolicyLevel, ApiError> {
    let found = LEVELS.iter().find(|(_, its, ..)| *its == short).map(|(level, ..)| *level);
    found.ok_or_else(|| ApiError::bad_request(format!("type: `{short}` is none; there are sub, app, api and global")))
}

/// Searches by `type:TYPE` and `name:TEXT`, or by a word that is looked for in names.
async fn search(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Query(search): Query<SearchQuery>,
) -> Result<Json<DetailsList>, ApiError> {
    signed.require(TRANSFER).or_else(|_| signed.require(VIEW))?;
    let query = search.query.unwrap_or_default();
    let (mut level, mut name) = (None, None);
    for term in query.split([' ', '&']).filter(|term| !term.is_empty()) {
        match term.split_once(':') {
            Some(("type", "all")) => {}
            Some(("type", text)) => level = Some(level_named(text)?),
            Some(("name", text)) => name = Some(text.to_lowercase()),
            None => name = Some(term.to_lowercase()),
            Some((other, _)) => {
                return Err(ApiError::bad_request(format!("query: `{other}` is not known; there are type: and name:")));
            }
        }
    }
    let mut found = all(&admin, &signed.0.principal.tenant).await?;
    found.retain(|ruled| {
        level.is_none_or(|level| ruled.policy.level == level)
            && name.as_ref().is_none_or(|name| ruled.policy.name.to_lowercase().contains(name))
    });
    let list: Vec<_> = found.iter().map(details).collect();
    Ok(Json(DetailsList { count: list.len(), list }))
}

fn details(ruled: &RuledPolicy) -> Details {
    let policy = &ruled.policy;
    Details {
        // The contract has a number beside the id; it only has to be the same every time.
        policy_id: u32::try_from(policy.id.0.as_u128() >> 97).unwrap_or_default(),
        uuid: policy.id.to_string(),
        policy_name: policy.name.clone(),
        display_name: policy.display_name.clone(),
        description: policy.description.clone(),
        is_deployed: true,
        kind: short_name(policy.level),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportQuery {
    policy_id: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn export(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Query(wanted): Query<ExportQuery>,
) -> Result<Json<Exported>, ApiError> {
    signed.require(TRANSFER)?;
    if wanted.policy_id.is_none() && wanted.name.is_none() {
        return Err(ApiError::bad_request("policyId: is missing; give policyId, or name and type"));
    }
    let level = wanted.kind.as_deref().map(level_named).transpose()?;
    let is_meant = |ruled: &RuledPolicy| {
        wanted.policy_id.as_ref().is_none_or(|id| ruled.policy.id.to_string() == *id)
            && wanted.name.as_ref().is_none_or(|name| ruled.policy.name == *name)
            && level.is_none_or(|level| ruled.policy.level == level)
    };
    let found: Vec<_> = all(&admin, &signed.0.principal.tenant).await?.into_iter().filter(is_meant).collect();
    let key = wanted.name.or(wanted.policy_id).unwrap_or_default();
    match found.as_slice() {
        [] => Err(ApiError::not_found("policy", key)),
        [one] => {
            let subtype = LEVELS.iter().find(|(level, ..)| *level == one.policy.level).map_or("", |(.., name, _)| name);
            let data = serde_json::to_value(PolicyBody::of(one)).map_err(|_| ApiError::not_found("policy", key))?;
            let (kind, version) = (KIND.to_owned(), VERSION.to_owned());
            Ok(Json(Exported { kind, subtype: subtype.to_owned(), version, data }))
        }
        _ => Err(ApiError::bad_request(format!("name: several levels have a policy {key}; say which with type"))),
    }
}

#[derive(Deserialize)]
struct ImportQuery {
    overwrite: Option<bool>,
}

async fn import(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Query(how): Query<ImportQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    signed.require(TRANSFER)?;
    let document: Exported = serde_json::from_slice(&form.part("file")?.bytes)
        .map_err(|error| ApiError::bad_request(format!("file: is not an exported policy: {error}")))?;
    let level = level_of(&document)?;
    let tenant = signed.0.principal.tenant.clone();
    if level == PolicyLevel::Custom && !tenant.is_super() {
        let reason = "only the first tenant has custom rules".to_owned();
        return Err(AdminError::from(Refused::NotAllowed { reason }).into());
    }
    let body: PolicyBody = serde_json::from_value(document.data)
        .map_err(|error| ApiError::bad_request(format!("file: data is not a policy: {error}")))?;
    let message = ListPolicies { tenant: tenant.clone(), level };
    let existing = admin.ask(message).await.map_err(AdminError::from)?;
    let existing = existing.into_iter().find(|ruled| ruled.policy.name == body.name());
    let (policy, rules) = body.into_policy(tenant, level)?;
    let caller = caller(signed, key);
    let made = match existing {
        Some(_) if how.overwrite != Some(true) => {
            return Err(AdminError::from(Refused::exists("policy", &policy.name)).into());
        }
        Some(existing) => {
            let id = existing.policy.id;
            admin.ask(ChangePolicy { caller, id, policy, rules }).await.map_err(AdminError::from)??
        }
        None => admin.ask(CreatePolicy { caller, policy, rules }).await.map_err(AdminError::from)??,
    };
    let Committed { reply, index, unreached } = made;
    let body = (StatusCode::OK, Json(PolicyBody::of(&reply)));
    Ok(Stamped { body, index, unreached }.into_response())
}

/// Returns the level that a document says it is of, in its own words or those of the policy in it.
fn level_of(document: &Exported) -> Result<PolicyLevel, ApiError> {
    let kind = document.data.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    let subtype = document.subtype.split(' ').next().unwrap_or_default();
    let found = LEVELS.iter().find(|(_, short, name, its)| subtype == *name || subtype == *short || kind == *its);
    found
        .map(|(level, ..)| *level)
        .ok_or_else(|| ApiError::bad_request("subtype: must be subscription, application, advanced or custom"))
}
