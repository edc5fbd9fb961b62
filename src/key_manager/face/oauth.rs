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
use serde_json::{Map, Value, json};

use super::form::{Form, login};
use super::reply::unkept;
use crate::actor::KeyManager;
use crate::claims::{APPLICATION, APPLICATION_USER};
use crate::messages::{DescribeUser, Grant, Introspect, Introspection, ListKeys, RequestToken, Revoke};
use crate::oauth_error::OauthError;
use crate::scope_grant;

type Face = State<Address<KeyManager>>;

pub(super) fn routes(address: Address<KeyManager>) -> Router {
    Router::new()
        .route("/oauth2/token", post(token))
        .route("/oauth2/revoke", post(revoke))
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/userinfo", get(user_info).post(user_info))
        .route("/oauth2/jwks", get(jwks))
        .with_state(address)
}

async fn token(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let (headers, form) = Form::read(request).await?;
    let login = login(&headers, &form)?.client;
    let grant = match form.need("grant_type")? {
        "client_credentials" => Grant::ClientCredentials,
        "password" => {
            Grant::Password { username: form.need("username")?.to_owned(), password: form.need("password")?.to_owned() }
        }
        "refresh_token" => Grant::RefreshToken(form.need("refresh_token")?.to_owned()),
        _ => {
            return Err(OauthError::unsupported_grant_type(
                "Served are client_credentials, password and refresh_token.",
            ));
        }
    };
    let scopes = form.get("scope").map(scope_grant::parse).transpose()?;
    let reply = face.ask(RequestToken { login, grant, scopes }).await??;
    let mut body = Map::new();
    body.insert("access_token".to_owned(), reply.access_token.into());
    if let Some(refresh_token) = reply.refresh_token {
        body.insert("refresh_token".to_owned(), refresh_token.into());
    }
    if let Some(id_token) = reply.id_token {
        body.insert("id_token".to_owned(), id_token.into());
    }
    body.insert("scope".to_owned(), reply.scopes.join(" ").into());
    body.insert("token_type".to_owned(), "Bearer".into());
    body.insert("expires_in".to_owned(), reply.expires_in_s.into());
    Ok(unkept(Json(Value::Object(body))))
}

async fn revoke(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let (headers, form) = Form::read(request).await?;
    let login = login(&headers, &form)?.client;
    let token = form.need("token")?.to_owned();
    let revoked = face.ask(Revoke { login, token }).await??;
    Ok(match revoked.index {
        Some(index) => unkept(Stamped { body: StatusCode::OK, index, unreached: revoked.unreached }),
        None => unkept(StatusCode::OK),
    })
}

async fn introspect(State(face): Face, request: Request<Body>) -> Result<Response, OauthError> {
    let (headers, form) = Form::read(request).await?;
    let login = login(&headers, &form)?;
    let token = form.need("token")?.to_owned();
    let found = face.ask(Introspect { login: login.client, as_user: login.raw, token }).await??;
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
    if let (Some(jti), Some(fields)) = (jti, body.as_object_mut()) {
        fields.insert("jti".to_owned(), jti.into());
    }
    Ok(unkept(Json(body)))
}

async fn user_info(State(face): Face, headers: HeaderMap) -> Result<Response, OauthError> {
    let token = bearer(&headers).ok_or_else(|| OauthError::invalid_token("Send the access token as Bearer."))?;
    let user = face.ask(DescribeUser { token }).await??;
    let mut body = json!({ "sub": user.subject, "preferred_username": user.username, "groups": user.roles });
    if let (false, Some(fields)) = (user.email.is_empty(), body.as_object_mut()) {
        fields.insert("email".to_owned(), user.email.into());
    }
    Ok(unkept(Json(body)))
}

async fn jwks(State(face): Face) -> Result<Response, OauthError> {
    let keys = face.ask(ListKeys).await??;
    // Short, so that a new key is known soon; a reader that meets an unknown `kid` asks again anyhow.
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], keys).into_response())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim().to_owned())
}
