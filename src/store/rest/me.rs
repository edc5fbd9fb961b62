//! `/me`: what is the caller's own.

use axum::extract::State;
use portcullis_http::{ApiError, Body, Stamped};
use serde::Deserialize;

use super::Face;
use super::visitor::MaySubscribe;
use crate::messages::ChangePassword;

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
