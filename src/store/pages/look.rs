//! Lays what a theme says over the pages: a style sheet and a logo, each at an address of its own that never changes its
//! content.

use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use portcullis_http::ApiError;
use portcullis_model::TenantDomain;
use portcullis_portal::Viewer;

use crate::looks::Worn;
use crate::messages::{FindLook, GetLook, Visitor};
use crate::rest::Face;

/// Where looks are.
const BASE: &str = "/devportal/looks";
/// The part of a path that an API's pages have before its id.
const OF_APIS: &str = "/devportal/apis/";

/// Says for the page of a request where its look is.
pub(super) async fn wear(State(face): State<Face>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let api = parts.uri.path().strip_prefix(OF_APIS).and_then(|rest| rest.split('/').next()?.parse().ok());
    if let Ok(visitor) = Visitor::from_request_parts(&mut parts, &face).await
        && let Some(mut viewer) = parts.extensions.get::<Viewer>().cloned()
        // A page without its look is better than none.
        && let Ok(Some(worn)) = face.ask(FindLook { tenant: visitor.tenant.clone(), api }).await
    {
        viewer.look = Some(path(&visitor.tenant, &worn, "style.css"));
        parts.extensions.insert(viewer);
    }
    next.run(Request::from_parts(parts, body)).await
}

fn path(tenant: &TenantDomain, worn: &Worn, file: &str) -> String {
    format!("{BASE}/{tenant}/{}/{}/{file}", worn.theme.id, worn.version)
}

pub(super) async fn show(
    State(face): State<Face>,
    Path((tenant, id, version, file)): Path<(String, String, u64, String)>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("look", &file);
    let tenant = TenantDomain(tenant);
    let id = id.parse().map_err(|_| missing())?;
    let worn = face.ask(GetLook { tenant: tenant.clone(), id }).await?.filter(|worn| worn.version == version);
    let worn = worn.ok_or_else(missing)?;
    let (media_type, content) = match file.as_str() {
        "style.css" => {
            let style = worn.theme.look.style(&path(&tenant, &worn, "logo"));
            ("text/css; charset=utf-8", style.into_bytes())
        }
        "logo" => worn.theme.look.logo.as_ref().ok_or_else(missing)?.picture(),
        _ => return Err(missing()),
    };
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    Ok((headers, content).into_response())
}
