//! `/organizations` of the Admin v4 contract, and to which one the caller belongs.

use actix::{Context, Handler, Message};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::LOCATION;
use portcullis_actor::Address;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, Userdb, organizations};
use portcullis_http::contract::organization::{write, write_information};
use portcullis_http::{ApiError, Body, MaybeKey, Signed, Stamped};
use portcullis_model::asset::{ASSET_NAME_CHARS_MAX, AssetKind};
use portcullis_model::organization::Organization;
use portcullis_model::{AssetId, Principal, Refused};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::assets::{self, DeleteAsset, PutAsset};
use crate::rest_policies::caller;

const VIEW: &[&str] = &["apim:admin", "apim:organization_read"];
const MANAGE: &[&str] = &["apim:admin", "apim:organization_manage"];
const OWN: &[&str] = &["apim:admin", "apim:admin_settings"];
const KIND: AssetKind = AssetKind::Organization;
/// Characters of a name, as the contract has it.
const NAME_CHARS_MAX: usize = 255;
/// Characters of a description, as the contract has it.
const DESCRIPTION_CHARS_MAX: usize = 1_023;

/// Asks to which organization somebody belongs.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<(AssetId, Organization)>")]
struct AskOrganization {
    user: Principal,
}

impl Handler<AskOrganization> for Admin {
    type Result = Option<(AssetId, Organization)>;

    fn handle(&mut self, message: AskOrganization, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        organizations::of_user(view.read::<Apimgtdb>(), view.read::<Userdb>(), &message.user)
    }
}

pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    Router::new()
        .route("/organizations", get(list).post(create))
        .route("/organizations/{organizationId}", get(show).put(update).delete(remove))
        .route("/me/organization-information", get(own))
        .with_state(admin.clone())
}

/// The contract's `Organization`. What the contract has the server say is ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrganizationBody {
    external_organization_id: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

impl OrganizationBody {
    /// Checks it. One without a name goes by what it is called elsewhere.
    fn read(self) -> Result<Organization, Refused> {
        let external_organization_id = self.external_organization_id.trim().to_owned();
        let display_name = self.display_name.unwrap_or_else(|| external_organization_id.clone());
        let description = self.description.unwrap_or_default();
        for (field, text, min, max) in [
            ("externalOrganizationId", &external_organization_id, 1, ASSET_NAME_CHARS_MAX),
            ("displayName", &display_name, 1, NAME_CHARS_MAX),
            ("description", &description, 0, DESCRIPTION_CHARS_MAX),
        ] {
            let chars = text.chars().count();
            if chars < min || chars > max {
                return Err(Refused::invalid(field, format!("must have {min} to {max} characters, not {chars}")));
            }
        }
        Ok(Organization { external_organization_id, display_name, description })
    }
}

async fn all(admin: &Address<Admin>, signed: &Signed) -> Result<Vec<Value>, ApiError> {
    let assets = assets::all(admin, signed, KIND).await?;
    Ok(assets.iter().filter_map(|asset| write(asset)).collect())
}

async fn list(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let list = all(&admin, &signed).await?;
    Ok(Json(json!({"count": list.len(), "list": list})))
}

async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    signed.require(VIEW)?;
    let found = all(&admin, &signed).await?.into_iter().find(|one| one["organizationId"] == *id);
    found.map(Json).ok_or_else(|| ApiError::not_found(KIND.noun(), id))
}

async fn put(
    admin: &Address<Admin>,
    signed: Signed,
    key: MaybeKey,
    id: Option<AssetId>,
    body: OrganizationBody,
) -> Result<(Value, Committed<()>), ApiError> {
    signed.require(MANAGE)?;
    let organization = body.read().map_err(AdminError::from)?;
    let message = PutAsset {
        caller: caller(signed, key),
        kind: KIND,
        id: id.unwrap_or_else(|| AssetId::from_random(random_bytes())),
        is_new: id.is_none(),
        name: organization.external_organization_id.clone(),
        document: json!(organization).to_string(),
        content: String::new(),
    };
    let Committed { reply, index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    let body = write(&reply).ok_or_else(|| ApiError::not_found(KIND.noun(), reply.id))?;
    Ok((body, Committed { reply: (), index, unreached }))
}

async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Body(body): Body<OrganizationBody>,
) -> Result<Response, ApiError> {
    let (body, Committed { index, unreached, .. }) = put(&admin, signed, key, None, body).await?;
    let id = body["organizationId"].as_str().unwrap_or_default();
    let location = format!("/api/am/admin/v4/organizations/{id}");
    let body = (StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response();
    Ok(Stamped { body, index, unreached }.into_response())
}

async fn update(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
    Body(body): Body<OrganizationBody>,
) -> Result<Response, ApiError> {
    let id = id_of(&id)?;
    let (body, Committed { index, unreached, .. }) = put(&admin, signed, key, Some(id), body).await?;
    Ok(Stamped { body: Json(body).into_response(), index, unreached }.into_response())
}

async fn remove(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    key: MaybeKey,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    signed.require(MANAGE)?;
    let message = DeleteAsset { caller: caller(signed, key), kind: KIND, id: id_of(&id)? };
    let Committed { reply: (), index, unreached } = admin.ask(message).await.map_err(AdminError::from)??;
    Ok(Stamped { body: StatusCode::OK, index, unreached }.into_response())
}

fn id_of(text: &str) -> Result<AssetId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(KIND.noun(), text))
}

async fn own(State(admin): State<Address<Admin>>, signed: Signed) -> Result<Json<Value>, ApiError> {
    signed.require(OWN)?;
    let user = signed.0.principal.clone();
    let found = admin.ask(AskOrganization { user }).await.map_err(AdminError::from)?;
    Ok(Json(write_information(found.as_ref())))
}
