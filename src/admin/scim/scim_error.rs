//! Errors as SCIM has them (RFC 7644, section 3.12).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use portcullis_actor::AskError;
use portcullis_database::SubmitError;
use portcullis_http::ApiError;
use portcullis_model::Refused;
use portcullis_model::fault::{Fault, Retry};
use serde_json::{Value, json};

use crate::admin_error::AdminError;

/// The media type of SCIM.
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// Why a SCIM request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct ScimError {
    pub(crate) status: u16,
    pub(crate) kind: Option<&'static str>,
    pub(crate) detail: String,
    pub(crate) retry_after_s: Option<u64>,
}

impl ScimError {
    pub(crate) fn new(status: u16, kind: Option<&'static str>, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), retry_after_s: None }
    }

    /// 400: the request is not in the form of SCIM.
    pub(crate) fn syntax(detail: impl Into<String>) -> Self {
        Self::new(400, Some("invalidSyntax"), detail)
    }

    /// 400: a value has the wrong type or is missing.
    pub(crate) fn value(detail: impl Into<String>) -> Self {
        Self::new(400, Some("invalidValue"), detail)
    }

    /// 400: the path of a PATCH operation is not understood.
    pub(crate) fn path(detail: impl Into<String>) -> Self {
        Self::new(400, Some("invalidPath"), detail)
    }

    /// 400: the filter is not understood.
    pub(crate) fn filter(detail: impl Into<String>) -> Self {
        Self::new(400, Some("invalidFilter"), detail)
    }

    /// 400: an attribute that clients cannot change.
    pub(crate) fn mutability(detail: impl Into<String>) -> Self {
        Self::new(400, Some("mutability"), detail)
    }

    /// 403: the caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, None, detail)
    }

    /// 404: there is no such resource.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new(404, None, format!("There is no {what} {id}."))
    }

    /// 412: the resource is another by now.
    pub(crate) fn stale() -> Self {
        Self::new(412, None, "The resource is of another version than If-Match says; read it again.")
    }

    /// Returns the body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            body["scimType"] = kind.into();
        }
        body
    }

    fn of_fault(fault: &dyn Fault) -> Self {
        let kind = match fault.status() {
            409 => Some("uniqueness"),
            400 => Some("invalidValue"),
            _ => None,
        };
        let retry_after_s = match fault.retry() {
            Retry::After(duration) => Some(duration.as_secs().max(1)),
            Retry::Never => None,
        };
        Self { retry_after_s, ..Self::new(fault.status(), kind, fault.to_string()) }
    }
}

impl From<Refused> for ScimError {
    fn from(refused: Refused) -> Self {
        match &refused {
            Refused::WrongState { .. } => Self::new(409, None, refused.to_string()),
            Refused::Stale { .. } => Self::stale(),
            _ => Self::of_fault(&refused),
        }
    }
}

impl From<SubmitError> for ScimError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refused) => refused.into(),
            other => Self::of_fault(&other),
        }
    }
}

impl From<AdminError> for ScimError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Submit(error) => error.into(),
            other => Self::of_fault(&other),
        }
    }
}

impl From<AskError> for ScimError {
    fn from(error: AskError) -> Self {
        Self::of_fault(&error)
    }
}

impl From<ApiError> for ScimError {
    fn from(error: ApiError) -> Self {
        Self::new(error.status().as_u16(), (error.status() == 400).then_some("invalidSyntax"), error.description())
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(CONTENT_TYPE, SCIM_JSON)], self.body().to_string()).into_response();
        if self.status == 401 {
            let challenge = HeaderValue::from_static("Basic realm=\"Portcullis\", Bearer realm=\"Portcullis\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
