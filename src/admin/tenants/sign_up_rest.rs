//! `/api/identity`: signing up and setting a lost password, by people who cannot sign in. Slowed down by address.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use http::request::Parts;
use portcullis_actor::Address;
use portcullis_database::{Committed, SubmitError};
use portcullis_http::auth::PathTenant;
use portcullis_http::{ApiError, Body, Stamped};
use portcullis_model::{Refused, RequestId, TenantDomain, Username};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::messages::{SignUp, UseResetCode};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::join_rate::JoinRate;

/// What the handlers need.
#[derive(Clone)]
struct Face {
    admin: Address<Admin>,
    rate: Arc<Mutex<JoinRate>>,
}

/// Returns the routes, to be mounted at `/api/identity`.
pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/user/v1.0/me", post(sign_up))
        .route("/recovery/v0.9/set-password", post(set_password))
        .with_state(Face { admin: admin.clone(), rate: Arc::default() })
}

/// Where a request comes from, and to which tenant.
struct Whence {
    address: Option<IpAddr>,
    tenant: Option<TenantDomain>,
}

impl<S: Send + Sync> FromRequestParts<S> for Whence {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let tenant = parts.extensions.get::<PathTenant>().map(|tenant| tenant.0.clone());
        Ok(Self { address, tenant })
    }
}

impl Face {
    fn slow_down(&self, from: &Whence) -> Result<(), ApiError> {
        let Some(address) = from.address else { return Ok(()) };
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.note(address, Instant::now()).map_err(|wait| {
            ApiError::too_many_requests("Too many requests of this kind came from this address; try again later.", wait)
        })
    }
}

#[derive(Deserialize)]
struct SignUpBody {
    user: NewUser,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewUser {
    username: String,
    password: String,
    tenant_domain: Option<String>,
    #[serde(default)]
    claims: Vec<Claim>,
}

#[derive(Deserialize)]
struct Claim {
    uri: String,
    value: String,
}

/// Claims of one request.
const CLAIMS_MAX: usize = 100;

/// Brings the original's claims into the form of SCIM; returns them with the address for e-mail.
fn attributes_of(claims: Vec<Claim>) -> Result<(Map<String, Value>, String), ApiError> {
    if claims.len() > CLAIMS_MAX {
        return Err(ApiError::bad_request(format!("claims: at most {CLAIMS_MAX}.")));
    }
    let (mut attributes, mut name, mut custom, mut email) = (Map::new(), Map::new(), Map::new(), String::new());
    for claim in claims {
        let short = claim.uri.rsplit('/').next().unwrap_or_default().to_owned();
        match short.as_str() {
            "givenname" => drop(name.insert("givenName".to_owned(), claim.value.into())),
            "lastname" => drop(name.insert("familyName".to_owned(), claim.value.into())),
            "emailaddress" => {
                email.clone_from(&claim.value);
                attributes.insert("emails".to_owned(), json!([{"value": claim.value, "primary": true}]));
            }
            "mobile" | "telephone" => {
                let kind = if short == "mobile" { "mobile" } else { "work" };
                let numbers = attributes.entry("phoneNumbers").or_insert_with(|| json!([]));
                numbers
                    .as_array_mut()
                    .into_iter()
                    .for_each(|all| all.push(json!({"type": kind, "value": claim.value})));
            }
            "displayName" | "nickname" => drop(attributes.insert("displayName".to_owned(), claim.value.into())),
            "organization" => {
                let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
                attributes.insert(urn.to_owned(), json!({"organization": claim.value}));
            }
            "" => return Err(ApiError::bad_request("claims: each has the URI of a claim.")),
            _ => drop(custom.insert(short, claim.value.into())),
        }
    }
    if !name.is_empty() {
        attributes.insert("name".to_owned(), name.into());
    }
    if !custom.is_empty() {
        attributes.insert("urn:scim:schemas:extension:custom:User".to_owned(), custom.into());
    }
    Ok((attributes, email))
}

async fn sign_up(State(face): State<Face>, from: Whence, Body(body): Body<SignUpBody>) -> Result<Response, ApiError> {
    face.slow_down(&from)?;
    let NewUser { username, password, tenant_domain, claims } = body.user;
    let tenant = from.tenant.or_else(|| tenant_domain.filter(|domain| !domain.is_empty()).map(TenantDomain));
    let tenant = tenant.unwrap_or_else(TenantDomain::super_tenant);
    let username = username.strip_prefix("PRIMARY/").unwrap_or(&username);
    let username = username.strip_suffix(&format!("@{tenant}")).unwrap_or(username).to_owned();
    let (attributes, email) = attributes_of(claims)?;
    let (origin, request) = (from.address, RequestId::current());
    let message = SignUp { origin, request, tenant, username: Username(username), password, email, attributes };
    match face.admin.ask(message).await.map_err(AdminError::from)? {
        Ok(Committed { index, unreached, .. }) => {
            Ok(Stamped { body: (StatusCode::CREATED, Json(json!({}))), index, unreached }.into_response())
        }
        // The numbers are the original's.
        Err(AdminError::Submit(SubmitError::Refused(refused @ Refused::AlreadyExists { .. }))) => {
            Err(ApiError::new(409, 20_030, "Username already exists", refused.to_string()))
        }
        Err(AdminError::Submit(SubmitError::Refused(Refused::Invalid { field, reason }))) if field == "password" => {
            Err(ApiError::new(400, 20_035, "Password policy violated", format!("The password {reason}.")))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct NewPasswordBody {
    key: String,
    password: String,
}

async fn set_password(
    State(face): State<Face>,
    from: Whence,
    Body(body): Body<NewPasswordBody>,
) -> Result<Response, ApiError> {
    face.slow_down(&from)?;
    let (origin, request) = (from.address, RequestId::current());
    let message = UseResetCode { origin, request, text: body.key, password: body.password };
    let Committed { reply: (), index, unreached } = face.admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}
