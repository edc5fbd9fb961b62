//! Paths below `/t/DOMAIN`, by which the original's clients name a tenant: what is below is the same as without, for that
//! tenant alone.

use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use http::{HeaderValue, Uri};
use portcullis_database::StateCell;
use portcullis_http::ApiError;
use portcullis_http::auth::PathTenant;
use portcullis_model::TenantDomain;

use crate::management;

/// What stands before a tenant's domain.
const PREFIX: &str = "/t/";
/// The header by which the Store is told the tenant.
const TENANT_HEADER: &str = "x-wso2-tenant";

/// Has a request below `/t/DOMAIN` answered as the same one without, for that tenant.
pub(crate) async fn below<Answer>(cell: &StateCell, request: Request, next: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    let (_, path) = split(request.uri().path()).unwrap_or_default();
    let by_page = management::reads_pages(request.method(), &format!("/{path}"), request.headers());
    match of_tenant(request, cell) {
        Ok(request) => next(request).await,
        Err(refusal) => management::refused(by_page, refusal),
    }
}

/// Returns the tenant's domain and what is below it, without its slash; `None` where a path names no tenant.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// Takes the tenant out of the path of a request that names one.
fn of_tenant(mut request: Request, cell: &StateCell) -> Result<Request, ApiError> {
    let whole = request.uri().clone();
    let Some((domain, path)) = split(whole.path()) else { return Ok(request) };
    let tenant = TenantDomain(domain.to_owned());
    if !cell.load().user.tenants.contains_key(&tenant) {
        return Err(ApiError::not_found("tenant", domain.chars().take(255).collect::<String>()));
    }
    let query = whole.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/{path}{query}");
    let mut parts = whole.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ApiError::bad_request("The path is not valid."))?;
    let header = HeaderValue::from_str(domain).map_err(|_| ApiError::bad_request("The domain is not valid."))?;
    request.headers_mut().insert(TENANT_HEADER, header);
    request.extensions_mut().insert(OriginalUri(whole.clone()));
    request.extensions_mut().insert(PathTenant(tenant));
    Ok(request)
}
