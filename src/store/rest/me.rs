//! `/me`: what is the caller's own.

use axum::extract::State;
use axum::response::Response;
use portcullis_http::{ApiError, Body, Stamped};
use serde::Deserialize;

use super::Face;
use super::answer::ok;
use super::visitor::MaySubscribe;
use crate::messages::{ChangePassword, GetOrganization};

/// The contract's body of a change of password.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PasswordsBody {
    current_password: String,
    new_password: String,
}

pub(super) async fn change_password(
    State(face): State<Face>,
    MaySubscribe(by): MaySubscribe,
    Body(body): Body<PasswordsBody>,
) -> Result<Stamped<()>, ApiError> {
    face.ask(ChangePassword { by, current: body.current_password, new: body.new_password }).await
}

pub(super) async fn organization(
    State(face): State<Face>,
    MaySubscribe(by): MaySubscribe,
) -> Result<Response, ApiError> {
    ok(face.ask(GetOrganization { user: by.principal }).await?)
}
