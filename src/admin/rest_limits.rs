//! `/throttling` of Portcullis' own API: which limits a call would meet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_actor::Address;
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, Problem, Signed};
use portcullis_model::{KeyType, Refused, Username};
use serde::{Deserialize, Serialize};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{LimitStanding, TestCall};

/// Headers and claims of a call that is tested.
const ENTRIES_MAX: usize = 100;

pub(crate) fn routes(admin: Address<Admin>) -> Router {
    Router::new().route("/throttling/test", post(test)).with_state(admin)
}

fn administrator(signed: Result<Signed, ApiError>) -> Result<Signed, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin", "apim:admin_tier_manage"])?;
    Ok(signed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestBody {
    api: String,
    environment: Option<String>,
    verb: Option<String>,
    path: Option<String>,
    application: Option<String>,
    user: Option<String>,
    key_type: Option<String>,
    client_ip: Option<IpAddr>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: String,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct TestedBody {
    denied_by: Option<String>,
    count: usize,
    list: Vec<LimitBody>,
}

#[derive(Serialize)]
struct LimitBody {
    level: &'static str,
    code: u32,
    policy: String,
    key: String,
    counter: String,
    counts: &'static str,
    limit: u64,
    window_s: u64,
    window_kind: &'static str,
    remaining: u64,
    resets_at: Option<String>,
}

impl From<LimitStanding> for LimitBody {
    fn from(from: LimitStanding) -> Self {
        Self {
            level: from.level.as_str(),
            code: from.level.code(),
            policy: from.policy,
            key: from.key,
            counter: from.counter,
            counts: from.unit.as_str(),
            limit: from.limit,
            window_s: from.window_ms.div_ceil(1000),
            window_kind: from.kind.as_contract(),
            remaining: from.remaining,
            resets_at: from.resets_at.map(rfc3339),
        }
    }
}

async fn test(
    State(admin): State<Address<Admin>>,
    signed: Result<Signed, ApiError>,
    body: Result<Body<TestBody>, ApiError>,
) -> Result<Json<TestedBody>, Problem> {
    let signed = administrator(signed)?;
    let Body(body) = body?;
    let invalid = |field: &str, reason: &str| AdminError::from(Refused::invalid(field, reason));
    if body.headers.len() > ENTRIES_MAX || body.claims.len() > ENTRIES_MAX {
        return Err(invalid("headers", &format!("must be at most {ENTRIES_MAX}, as must claims")).into());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &body.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid("headers", "hold a name that is none"))?;
        let value =
            HeaderValue::try_from(value.as_str()).map_err(|_| invalid("headers", "hold a value that is none"))?;
        headers.append(name, value);
    }
    let key_type = body.key_type.as_deref().map(str::to_ascii_uppercase);
    let key_type: KeyType = key_type
        .map_or(Ok(KeyType::Production), |text| text.parse())
        .map_err(|_| invalid("key_type", "must be PRODUCTION or SANDBOX"))?;
    let message = TestCall {
        tenant: signed.0.principal.tenant,
        api: body.api,
        environment: body.environment.unwrap_or_else(|| "Default".to_owned()),
        verb: body.verb.unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase(),
        path: body.path.unwrap_or_else(|| "/".to_owned()),
        application: body.application,
        user: body.user.map(Username),
        key_type,
        client: body.client_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        headers,
        query: body.query.trim_start_matches('?').to_owned(),
        claims: body.claims.into_iter().collect(),
    };
    let tested = admin.ask(message).await.map_err(AdminError::from)??;
    let list: Vec<LimitBody> = tested.limits.into_iter().map(LimitBody::from).collect();
    Ok(Json(TestedBody { denied_by: tested.denied_by.map(|id| id.to_string()), count: list.len(), list }))
}
