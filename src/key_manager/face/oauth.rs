//! The OAuth 2 endpoints: `/oauth2/token`, `/oauth2/revoke`, `/oauth2/introspect`, `/oauth2/userinfo`, `/oauth2/jwks`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use portcullis_actor::Address;
use portcullis_http::Stamped;
use portcullis_model::authorization::{TokenBinding, TokenDetails};
use serde_json::{Map, Value, json};

use super::discovery::GRANT_TYPES;
use super::form::{Form, evidence, login};
use super::reply::unkept;
use crate::actor::KeyManager;
use crate::assertion_grant::JWT_BEARER;
use crate::authorization_request::read_resources;
use crate::claims::{APPLICATION, APPLICATION_USER, Confirmation};
use crate::device::DEVICE_CODE;
use crate::exchange::{ACCESS_TOKEN_TYPE, Exchange, TOKEN_EXCHANGE};
use crate::messages::{DescribeUser, Grant, Introspect, Introspection, ListKeys, RequestToken, Revoke};
use crate::oauth_error::OauthError;
use crate::push::Push;
use crate::saml::SAML2_BEARER;
use crate::scope_grant;

type Face = State<Address<KeyManager>>;

pub(super) fn routes(address: Address<KeyManager>) -> Router {
    Router::new()
        .route("/oauth2/token", post(token))
        .route("/oauth2/par", post(push))
        .route("/oauth2/revoke", post(revoke))
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/userinfo", get(user_info).post(user_info))
        .route("/oauth2/jwks", get(jwks))
        .with_state(address)
}

async fn token(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let form = Form::read(request).await?;
    let login = form.login()?;
    let parameters = &form.parameters;
    let grant = read_grant(&form)?;
    let is_exchange = matches!(grant, Grant::Exchange(_));
    let scopes = parameters.get("scope").map(scope_grant::parse).transpose()?;
    let resources = read_resources(parameters)?;
    let reply = face.ask(RequestToken { login, grant, scopes, resources, evidence: form.evidence }).await??;
    let mut body = Map::new();
    body.insert("access_token".to_owned(), reply.access_token.into());
    if is_exchange {
        body.insert("issued_token_type".to_owned(), ACCESS_TOKEN_TYPE.into());
    }
    if let Some(refresh_token) = reply.refresh_token {
        body.insert("refresh_token".to_owned(), refresh_token.into());
    }
    if let Some(id_token) = reply.id_token {
        body.insert("id_token".to_owned(), id_token.into());
    }
    body.insert("scope".to_owned(), reply.scopes.join(" ").into());
    body.insert("token_type".to_owned(), if reply.is_key_bound { "DPoP" } else { "Bearer" }.into());
    body.insert("expires_in".to_owned(), reply.expires_in_s.into());
    Ok(unkept(Json(Value::Object(body))))
}

fn read_grant(form: &Form) -> Result<Grant, OauthError> {
    let parameters = &form.parameters;
    let need = |name: &str| parameters.need(name).map(str::to_owned);
    let get = |name: &str| parameters.get(name).map(str::to_owned);
    match parameters.need("grant_type")? {
        "client_credentials" => Ok(Grant::ClientCredentials),
        "password" => Ok(Grant::Password { username: form.user(&need("username")?), password: need("password")? }),
        "refresh_token" => Ok(Grant::RefreshToken(need("refresh_token")?)),
        "authorization_code" => Ok(Grant::AuthorizationCode {
            code: need("code")?,
            redirect_uri: get("redirect_uri"),
            verifier: get("code_verifier"),
        }),
        JWT_BEARER => Ok(Grant::Assertion(need("assertion")?)),
        SAML2_BEARER => Ok(Grant::Saml(need("assertion")?)),
        DEVICE_CODE => Ok(Grant::DeviceCode(need("device_code")?)),
        TOKEN_EXCHANGE => Ok(Grant::Exchange(Exchange {
            subject_token: need("subject_token")?,
            subject_token_type: need("subject_token_type")?,
            actor_token: get("actor_token"),
            actor_token_type: get("actor_token_type"),
            requested_token_type: get("requested_token_type"),
            audiences: parameters.all("audience").map(str::to_owned).collect(),
        })),
        _ => Err(OauthError::unsupported_grant_type(format!("Served are {}.", GRANT_TYPES.join(", ")))),
    }
}

async fn push(State(face): State<Address<KeyManager>>, request: Request<Body>) -> Result<Response, OauthError> {
    let form = Form::read(request).await?;
    let login = form.login()?;
    let pushed = face.ask(Push { login, evidence: form.evidence, parameters: form.parameters }).await??;
    let body = Json(json!({ "request_uri": pushed.reference, "expires_in": pushed.expires_in_s }));
    Ok(unkept((StatusCode::CREATED, body)))
}

async fn revoke(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let form = Form::read(request).await?;
    let login = form.login()?;
    let token = form.parameters.need("token")?.to_owned();
    let revoked = face.ask(Revoke { login, evidence: form.evidence, token }).await??;
    Ok(match revoked.index {
        Some(index) => unkept(Stamped { body: StatusCode::OK, index, unreached: revoked.unreached }),
        None => unkept(StatusCode::OK),
    })
}

async fn introspect(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let form = Form::read(request).await?;
    let login = login(&form.headers, &form.parameters)?;
    let token = form.parameters.need("token")?.to_owned();
    let as_user = login.raw.map(|(name, password)| (form.user(&name), password));
    let message = Introspect { login: login.client, as_user, evidence: form.evidence, token };
    let found = face.ask(message).await??;
    let Introspection::Active {
        client,
        username,
        subject,
        is_user_token,
        is_refresh_token,
        scopes,
        issued_at_s,
        expires_at_s,
        jti,
        details,
    } = found
    else {
        return Ok(unkept(Json(json!({ "active": false }))));
    };
    let mut body = json!({
        "active": true,
        "scope": scopes.join(" "),
        "client_id": client.0,
        "username": username,
        "token_type": if is_refresh_token { "refresh_token" } else { "Bearer" },
        "exp": expires_at_s,
        "iat": issued_at_s,
        "nbf": issued_at_s,
        "sub": subject,
        "aud": client.0,
        "aut": if is_user_token { APPLICATION_USER } else { APPLICATION },
    });
    if let Some(fields) = body.as_object_mut() {
        add_details(fields, jti, *details);
    }
    Ok(unkept(Json(body)))
}

fn add_details(fields: &mut Map<String, Value>, jti: Option<String>, details: TokenDetails) {
    if let Some(jti) = jti {
        fields.insert("jti".to_owned(), jti.into());
    }
    if let Some(at) = details.signed_in_at {
        fields.insert("auth_time".to_owned(), at.as_secs().into());
    }
    if !details.resources.is_empty() {
        fields.insert("aud".to_owned(), details.resources.into());
    }
    if let Some(actor) = details.actor {
        fields.insert("act".to_owned(), json!({ "sub": actor }));
    }
    if let Some(binding) = details.binding {
        if matches!(binding, TokenBinding::Key(_)) {
            fields.insert("token_type".to_owned(), "DPoP".into());
        }
        fields.insert("cnf".to_owned(), json!(Confirmation::of(&binding)));
    }
}

async fn user_info(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let (parts, _) = request.into_parts();
    let shown = shown_token(&parts.headers);
    let (token, is_shown_as_bound) =
        shown.ok_or_else(|| OauthError::invalid_token("Send the access token as Bearer."))?;
    let evidence = evidence(&parts)?;
    let user = face.ask(DescribeUser { token, is_shown_as_bound, evidence }).await??;
    let mut body = user.claims;
    body.insert("sub".to_owned(), user.subject.into());
    Ok(unkept(Json(body)))
}

async fn jwks(State(face): Face) -> Result<Response, OauthError> {
    let keys = face.ask(ListKeys).await??;
    // Short, so that a new key is known soon; a reader that meets an unknown `kid` asks again anyhow.
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], keys).into_response())
}

/// Returns the token of a request, and whether it is shown as bound to a key.
fn shown_token(headers: &HeaderMap) -> Option<(String, bool)> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let is_bound = scheme.eq_ignore_ascii_case("DPoP");
    (is_bound || scheme.eq_ignore_ascii_case("Bearer")).then(|| (token.trim().to_owned(), is_bound))
}
