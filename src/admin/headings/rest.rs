//! `/api-categories` and `/labels` of the Admin v4 contract: a thin face over the messages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::Committed;
use portcullis_database::handle::random_bytes;
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::{Api, HeadingId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::handlers::{DeleteHeading, ListHeadings, PutHeading};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::rest_policies::caller;

const CATEGORIES: &[&str] = &["apim:admin", "apim:admin_operations", "apim:api_category"];
const LABELS: &[&str] = &["apim:admin"];

/// One of the two kinds as a part of the path.
#[derive(Clone)]
struct Face {
    admin: Address<Admin>,
    kind: HeadingKind,
    scopes: &'static [&'static str],
    path: &'static str,
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    let face = |kind, scopes, path| Face { admin: admin.clone(), kind, scopes, path };
    let categories = Router::new()
        .route("/api-categories", get(list).post(create))
        .route("/api-categories/{apiCategoryId}", put(change).delete(remove))
        .with_state(face(HeadingKind::Category, CATEGORIES, "api-categories"));
    let labels = Router::new()
        .route("/labels", get(list).post(create))
        .route("/labels/{labelId}", put(change).delete(remove))
        .route("/labels/{labelId}/usage", get(usage))
        .with_state(face(HeadingKind::Label, LABELS, "labels"));
    categories.merge(labels)
}

/// The contract's `APICategory` and `Label`.
#[derive(Deserialize)]
struct HeadingBody {
    name: String,
    #[serde(default)]
    description: Option<String>,
}

impl Face {
    fn id(&self, text: &str) -> Result<HeadingId, ApiError> {
        text.parse().map_err(|_| ApiError::not_found(self.kind.noun(), text))
    }

    fn write(&self, heading: &Heading, apis: usize) -> Value {
        let mut body = json!({"id": heading.id.to_string(), "name": heading.name, "description": heading.description});
        if self.kind == HeadingKind::Category {
            body["numberOfAPIs"] = apis.into();
        }
        body
    }

    async fn all(&self, signed: &Signed) -> Result<Vec<(Arc<Heading>, Vec<Arc<Api>>)>, ApiError> {
        signed.require(self.scopes)?;
        let message = ListHeadings { tenant: signed.0.principal.tenant.clone(), kind: self.kind };
        Ok(self.admin.ask(message).await.map_err(AdminError::from)?)
    }

    async fn put(
        &self,
        signed: Signed,
        key: MaybeKey,
        body: HeadingBody,
        id: Option<HeadingId>,
    ) -> Result<Committed<Arc<Heading>>, ApiError> {
        signed.require(self.scopes)?;
        let caller = caller(signed, key);
        let heading = Heading {
            id: id.unwrap_or_else(|| HeadingId::from_random(random_bytes())),
            tenant: caller.principal.tenant.clone(),
            kind: self.kind,
            name: body.name,
            description: body.description.unwrap_or_default(),
        };
        let message = PutHeading { caller, heading, is_new: id.is_none() };
        Ok(self.admin.ask(message).await.map_err(AdminError::from)??)
    }
}

async fn list(State(face): State<Face>, signed: Signed) -> Result<Json<Value>, ApiError> {
    let all = face.all(&signed).await?;
    let list: Vec<Value> = all.iter().map(|(heading, apis)| face.write(heading, apis.len())).collect();
    let mut body = json!({"count": list.len(), "list": list});
    // Of labels the contract has pages; there are few enough for one.
    if face.kind == HeadingKind::Label {
        let count = list.len();
        body["pagination"] = json!({"offset": 0, "limit": count, "total": count, "next": "", "previous": ""});
    }
    Ok(Json(body))
}

async fn create(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<HeadingBody>,
) -> Result<Response, ApiError> {
    let made = face.put(signed, key, body, None).await?;
    let location = format!("/api/am/admin/v4/{}/{}", face.path, made.reply.id);
    let body = (StatusCode::CREATED, [(LOCATION, location)], Json(face.write(&made.reply, 0))).into_response();
    Ok(Stamped { body, index: made.index, unreached: made.unreached }.into_response())
}

async fn change(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<HeadingBody>,
) -> Result<Response, ApiError> {
    let id = face.id(&id)?;
    let apis = face.all(&signed).await?.iter().find(|(heading, _)| heading.id == id).map_or(0, |(_, apis)| apis.len());
    let made = face.put(signed, key, body, Some(id)).await?;
    let body = Json(face.write(&made.reply, apis)).into_response();
    Ok(Stamped { body, index: made.index, unreached: made.unreached }.into_response())
}

async fn remove(
    State(face): State<Face>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(face.scopes)?;
    let message = DeleteHeading { caller: caller(signed, key), kind: face.kind, id: face.id(&id)? };
    let Committed { reply: (), index, unreached } = face.admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

async fn usage(State(face): State<Face>, signed: Signed, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let (all, wanted) = (face.all(&signed).await?, face.id(&id)?);
    let (_, apis) =
        all.into_iter().find(|(label, _)| label.id == wanted).ok_or_else(|| ApiError::not_found("label", id))?;
    let list: Vec<Value> = apis
        .iter()
        .map(|api| json!({"id": api.id.to_string(), "name": api.name, "version": api.version, "provider": api.provider.0}))
        .collect();
    Ok(Json(json!({"apis": {"count": list.len(), "list": list}})))
}
