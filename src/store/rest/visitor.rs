//! Who makes a request: anybody for what is open, a signed-in user with a scope for the rest.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use portcullis_database::Idempotency;
use portcullis_http::{ApiError, MaybeKey, MaybeSigned, Signed};
use portcullis_model::{RequestId, TenantDomain};
use serde::Deserialize;

use super::query::{Query, word};
use crate::messages::{Consistency, Subscriber, Visitor};

/// Header that names the tenant whose Store is meant.
const TENANT_HEADER: &str = "x-wso2-tenant";
/// Characters of a tenant's domain (RFC 1035).
const TENANT_CHARS_MAX: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let MaybeSigned(identity) = match MaybeSigned::from_request_parts(parts, state).await {
            Ok(signed) => signed,
            Err(never) => match never {},
        };
        let asked = tenant_asked(parts)?;
        let own = identity.as_ref().map(|one| one.principal.tenant.clone());
        let tenant = asked.or(own).unwrap_or_else(TenantDomain::super_tenant);
        let (user, roles) = identity.map(|one| (one.principal, one.roles)).unzip();
        Ok(Self { tenant, user, roles: roles.unwrap_or_default() })
    }
}

/// Returns the tenant named by header or by query (`X-WSO2-Tenant-Q`).
fn tenant_asked(parts: &Parts) -> Result<Option<TenantDomain>, ApiError> {
    #[derive(Deserialize)]
    struct ByQuery {
        #[serde(rename = "X-WSO2-Tenant-Q")]
        tenant: Option<String>,
    }
    let unreadable =
        || ApiError::bad_request(format!("X-WSO2-Tenant: must be a domain of at most {TENANT_CHARS_MAX} characters"));
    let by_header = parts.headers.get(TENANT_HEADER).map(|value| value.to_str().map(str::to_owned));
    let by_header = by_header.transpose().map_err(|_| unreadable())?;
    let by_query = axum::extract::Query::<ByQuery>::try_from_uri(&parts.uri).ok().and_then(|query| query.0.tenant);
    let domain = by_header.or(by_query).filter(|domain| !domain.is_empty());
    match domain {
        Some(domain) if domain.len() > TENANT_CHARS_MAX => Err(unreadable()),
        domain => Ok(domain.map(TenantDomain)),
    }
}

/// A signed-in user who may work with applications.
pub(crate) struct MayManageApplications(pub Subscriber);
/// A signed-in user who may export and import any application of the tenant.
pub(crate) struct MayMoveApplications(pub Subscriber);
/// A signed-in user who may work with API keys.
pub(crate) struct MayManageApiKeys(pub Subscriber);
/// A signed-in user who may work with subscriptions.
pub(crate) struct MayManageSubscriptions(pub Subscriber);
/// A signed-in user who may subscribe.
pub(crate) struct MaySubscribe(pub Subscriber);
/// A signed-in user who may delete comments.
pub(crate) struct MayDeleteComments(pub Subscriber);
/// A signed-in user who may read settings.
pub(crate) struct MayReadSettings(pub TenantDomain);

impl<S: Send + Sync> FromRequestParts<S> for MayManageApplications {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:subscribe", "apim:app_manage", "apim:app_import_export"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MayMoveApplications {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:app_import_export"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MayManageApiKeys {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:subscribe", "apim:app_manage", "apim:api_key"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MayManageSubscriptions {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:subscribe", "apim:sub_manage"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaySubscribe {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:subscribe"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MayDeleteComments {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        subscriber(parts, state, &["apim:subscribe", "apim:admin"]).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MayReadSettings {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let signed = Signed::from_request_parts(parts, state).await?;
        signed.require(&["apim:store_settings", "apim:subscribe"])?;
        Ok(Self(signed.0.principal.tenant))
    }
}

async fn subscriber<S: Send + Sync>(parts: &mut Parts, state: &S, scopes: &[&str]) -> Result<Subscriber, ApiError> {
    #[derive(Deserialize)]
    struct Freshness {
        consistency: Option<String>,
    }
    let signed = Signed::from_request_parts(parts, state).await?;
    signed.require(scopes)?;
    let Query(Freshness { consistency }) = Query::from_request_parts(parts, state).await?;
    let words = [
        ("", Consistency::Unsaid),
        ("linearizable", Consistency::Linearizable),
        ("leader", Consistency::Linearizable),
        ("stale", Consistency::Stale),
    ];
    let consistency = word("consistency", consistency.as_deref(), &words)?;
    let MaybeKey(key) = match MaybeKey::from_request_parts(parts, state).await {
        Ok(key) => key,
        Err(never) => match never {},
    };
    let Signed(identity) = signed;
    Ok(Subscriber {
        principal: identity.principal,
        roles: identity.roles,
        idempotency: key.map(|key| Idempotency { key: key.key, request: key.request }),
        consistency,
        origin: identity.origin,
        request: RequestId::current(),
    })
}
