//! The routes of `/internal/data/v1`, and what callers may ask for.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use portcullis_actor::Address;
use portcullis_database::access;
use portcullis_database::handle::View;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{PolicyLevel, TenantDomain};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Look, limits, written};
use crate::actor::Admin;
use crate::admin_error::AdminError;

const SCOPES: &[&str] = &["apim:admin"];
/// In which the original names the tenant that is asked about.
const TENANT_HEADER: &str = "xwso2tenant";
/// Entries of one answer. What is beyond is reached by `offset`.
const ENTRIES_MAX: usize = 10_000;

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/apis", get(apis))
        .route("/applications", get(applications))
        .route("/subscriptions", get(subscriptions))
        .route("/application-key-mappings", get(key_mappings))
        .route("/subscription-policies", get(subscription_policies))
        .route("/application-policies", get(application_policies))
        .route("/api-policies", get(api_policies))
        .route("/global-policies", get(global_policies))
        .route("/scopes", get(scopes))
        .route("/keymanagers", get(key_managers))
        .route("/endpoint-certificates", get(endpoint_certificates))
        .route("/webhooks-subscriptions", get(webhooks))
        .route("/block", get(block))
        .route("/keyTemplates", get(key_templates))
        .route("/throttle", get(throttle))
        .route("/throttleAsString", get(throttle_as_string))
        .route("/isThrottled", get(is_throttled))
        .with_state(admin.clone())
}

/// The parameters of these operations; each takes those that it needs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    pub(super) api_id: Option<String>,
    pub(super) app_id: Option<String>,
    pub(super) context: Option<String>,
    pub(super) version: Option<String>,
    pub(super) consumer_key: Option<String>,
    pub(super) policy_name: Option<String>,
    pub(super) scope_key: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) query: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// A question: of which tenant, what of it, and the state that answers it.
pub(super) struct Question {
    pub(super) tenant: TenantDomain,
    pub(super) wanted: Wanted,
    pub(super) view: View<access::Admin>,
}

impl Question {
    /// Returns the part of all entries that is asked for.
    pub(super) fn page(&self, all: impl Iterator<Item = Value>) -> Vec<Value> {
        let limit = self.wanted.limit.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX);
        all.skip(self.wanted.offset.unwrap_or(0)).take(limit).collect()
    }

    fn list(&self, all: impl Iterator<Item = Value>) -> Json<Value> {
        Json(json!({ "list": self.page(all) }))
    }
}

/// Says whether a text is the one that was asked for, if any was.
pub(super) fn fits(wanted: Option<&str>, text: &str) -> bool {
    wanted.filter(|wanted| !wanted.is_empty()).is_none_or(|wanted| wanted == text)
}

/// What a caller brings along.
struct Asked {
    signed: Signed,
    headers: HeaderMap,
    query: Result<Query<Wanted>, QueryRejection>,
    admin: Address<Admin>,
}

impl FromRequestParts<Address<Admin>> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        admin: &Address<Admin>,
    ) -> Result<Self, Self::Rejection> {
        let signed = Signed::from_request_parts(parts, admin).await?;
        let query = Query::from_request_parts(parts, admin).await;
        Ok(Self { signed, headers: parts.headers.clone(), query, admin: admin.clone() })
    }
}

impl Asked {
    /// Reads the question of an administrator: of his own tenant, or of any where he is of the first.
    async fn question(self) -> Result<Question, ApiError> {
        self.signed.require(SCOPES)?;
        let Query(wanted) = self.query.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
        let principal = &self.signed.0.principal;
        let named = self.headers.get(TENANT_HEADER).and_then(|value| value.to_str().ok());
        let tenant = match named.filter(|name| !name.is_empty()) {
            Some(name) => TenantDomain(name.to_owned()),
            None => principal.tenant.clone(),
        };
        if tenant != principal.tenant && !principal.tenant.is_super() {
            return Err(ApiError::forbidden(format!("{principal} is not of the tenant {tenant}.")));
        }
        let view = self.admin.ask(Look).await.map_err(AdminError::from)?;
        Ok(Question { tenant, wanted, view })
    }
}

type Answer = Result<Json<Value>, ApiError>;

async fn apis(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::apis(&question)))
}

async fn applications(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::applications(&question)))
}

async fn subscriptions(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::subscriptions(&question)))
}

async fn key_mappings(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::key_mappings(&question)))
}

async fn policies(asked: Asked, level: PolicyLevel) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::policies(&question, level)))
}

async fn subscription_policies(asked: Asked) -> Answer {
    policies(asked, PolicyLevel::Subscription).await
}

async fn application_policies(asked: Asked) -> Answer {
    policies(asked, PolicyLevel::Application).await
}

async fn api_policies(asked: Asked) -> Answer {
    policies(asked, PolicyLevel::Advanced).await
}

async fn global_policies(asked: Asked) -> Answer {
    policies(asked, PolicyLevel::Custom).await
}

async fn scopes(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::scopes(&question)))
}

async fn key_managers(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(Json(question.page(written::key_managers(&question)).into()))
}

async fn endpoint_certificates(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(Json(question.page(written::endpoint_certificates(&question)).into()))
}

async fn webhooks(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(question.list(written::webhooks(&question)))
}

async fn block(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(Json(limits::denied(&question)))
}

async fn key_templates(asked: Asked) -> Answer {
    let question = asked.question().await?;
    Ok(Json(question.page(limits::key_templates(&question)).into()))
}

/// The counters that have nothing left, each with when it begins anew, in milliseconds since 1970.
async fn throttle(asked: Asked) -> Answer {
    let question = asked.question().await?;
    let spent = limits::spent(&question).map(|(key, ends_at)| (key, Value::from(ends_at)));
    Ok(Json(Value::Object(spent.take(ENTRIES_MAX).collect())))
}

async fn throttle_as_string(asked: Asked) -> Result<String, ApiError> {
    let question = asked.question().await?;
    let keys: Vec<String> = limits::spent(&question).map(|(key, _)| key).take(ENTRIES_MAX).collect();
    Ok(keys.join(","))
}

async fn is_throttled(asked: Asked) -> Result<String, ApiError> {
    let question = asked.question().await?;
    let key = question.wanted.query.clone().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| ApiError::bad_request("query: is missing; it names the counter."))?;
    Ok(limits::spent(&question).any(|(spent, _)| spent == key).to_string())
}
