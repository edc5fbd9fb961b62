//! `/scim2`: reads requests, says who may do what, and writes answers. What is asked is answered by the actor.

use axum::Router;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_database::{Caller, Idempotency};
use portcullis_http::Stamped;
use portcullis_http::idempotency::RequestKey;
use portcullis_model::port::Identity;
use serde_json::{Map, Value};

use super::bulk;
use super::discovery;
use super::filter::get as member;
use super::listing::{Search, Shape};
use super::schema::{self, Resource};
use super::scim_call::{Action, ScimCall, ScimReply, Which};
use super::scim_error::{SCIM_JSON, ScimError};
use crate::actor::Admin;

/// What administers everything.
const ADMIN: &str = "apim:admin";

/// A right to one kind of thing, as the original names it.
#[derive(Clone, Copy)]
pub(super) enum Right {
    Create,
    List,
    View,
    Update,
    Delete,
}

impl Right {
    /// Returns the scopes that give the right.
    fn scopes(self, resource: Resource) -> [String; 2] {
        let noun = match resource {
            Resource::User => "user",
            Resource::Group => "group",
            Resource::Role => "role",
        };
        let verb = match self {
            Self::Create => "create",
            Self::List => "list",
            Self::View => "view",
            Self::Update => "update",
            Self::Delete => "delete",
        };
        [ADMIN.to_owned(), format!("internal_{noun}_mgt_{verb}")]
    }
}

/// Refuses a caller who may not do something to a kind of resource.
pub(super) fn check_right(identity: &Identity, right: Right, resource: Resource) -> Result<(), ScimError> {
    let scopes = right.scopes(resource);
    if identity.has_any(&scopes.each_ref().map(String::as_str)) {
        return Ok(());
    }
    let caller = &identity.principal;
    Err(ScimError::forbidden(format!("{caller} has none of the scopes this needs: {}", scopes.join(", "))))
}

/// Returns the ETag of a version.
pub(super) fn etag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// Returns the routes, to be mounted at `/scim2`.
pub(crate) fn routes(admin: &Address<Admin>) -> Router {
    let mut router = Router::new();
    for resource in [Resource::User, Resource::Group, Resource::Role] {
        let face = Face { admin: admin.clone(), resource };
        let of_resource = Router::new()
            .route(resource.path(), get(search).post(create))
            .route(&format!("{}/.search", resource.path()), post(search_by_body))
            .route(&format!("{}/{{id}}", resource.path()), get(read).put(replace).patch(patch).delete(remove))
            .with_state(face);
        router = router.merge(of_resource);
    }
    let me = Face { admin: admin.clone(), resource: Resource::User };
    let me = Router::new()
        .route("/Me", get(read_me).put(replace_me).patch(patch_me).post(sign_up).delete(keep_me))
        .with_state(me);
    let bulk = Router::new().route("/Bulk", post(bulk::run)).with_state(admin.clone());
    let described = Router::new()
        .route("/ServiceProviderConfig", get(service_provider))
        .route("/ServiceProviderConfigs", get(service_provider))
        .route("/ResourceTypes", get(resource_types))
        .route("/ResourceTypes/{name}", get(resource_type))
        .route("/Schemas", get(schemas))
        .route("/Schemas/{id}", get(schema_of));
    router.merge(me).merge(bulk).merge(described).fallback(no_such_path)
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> ScimError {
    ScimError::not_found("path", uri.path())
}

#[derive(Clone)]
struct Face {
    admin: Address<Admin>,
    resource: Resource,
}

/// A request with what all of them have, its body read.
pub(super) struct Asked {
    pub(super) identity: Identity,
    pub(super) caller: Caller,
    pub(super) base: String,
    headers: HeaderMap,
    query: Query,
    body: Option<Map<String, Value>>,
}

/// The parameters of a search.
#[derive(Clone, Debug, Default)]
struct Query {
    search: Search,
    attributes: Vec<String>,
    excluded: Vec<String>,
}

impl Query {
    fn of(text: &str) -> Result<Self, ScimError> {
        let mut query = Self { search: Search { start: 1, ..Search::default() }, ..Self::default() };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            query.take(&name, &value)?;
        }
        Ok(query)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), ScimError> {
        let number =
            || value.trim().parse::<i64>().map_err(|_| ScimError::value(format!("{name}: must be a whole number.")));
        let names = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match name {
            "filter" => self.search.filter = Some(value.to_owned()).filter(|text| !text.trim().is_empty()),
            "sortBy" => self.search.sort_by = Some(value.to_owned()).filter(|text| !text.trim().is_empty()),
            "sortOrder" => {
                self.search.is_descending = match value {
                    "ascending" | "" => false,
                    "descending" => true,
                    _ => return Err(ScimError::value("sortOrder: must be ascending or descending.")),
                }
            }
            // Less than the first is the first, less than none is none (section 3.4.2.4).
            "startIndex" => self.search.start = usize::try_from(number()?.max(1)).unwrap_or(usize::MAX),
            "count" => self.search.count = Some(usize::try_from(number()?.max(0)).unwrap_or(usize::MAX)),
            "attributes" => self.attributes = names(),
            "excludedAttributes" => self.excluded = names(),
            // Others, such as the original's `domain`, choose among what is not there.
            _ => {}
        }
        Ok(())
    }

    fn shape(&self, resource: Resource) -> Result<Shape, ScimError> {
        Shape::of(resource, &self.attributes, &self.excluded)
    }
}

impl Asked {
    /// Reads a request of somebody who signed in.
    pub(super) async fn of(request: Request) -> Result<Self, ScimError> {
        let (parts, body) = request.into_parts();
        let identity = parts.extensions.get::<Identity>().cloned();
        let identity = identity.ok_or_else(|| {
            ScimError::new(401, None, "This needs a sign-in: send basic credentials or a bearer token.")
        })?;
        let key = parts.extensions.get::<RequestKey>().cloned();
        let idempotency = key.map(|key| Idempotency { key: key.key, request: key.request });
        let caller =
            Caller::new(identity.principal.clone()).with_idempotency(idempotency).from_address(identity.origin);
        let original = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let base = base_of(original, &parts.headers);
        let query = Query::of(parts.uri.query().unwrap_or_default())?;
        let bytes = portcullis_http::body::read(&parts.headers, body, bulk::BYTES_MAX).await?;
        let body = if bytes.iter().all(u8::is_ascii_whitespace) { None } else { Some(object(&bytes)?) };
        Ok(Self { identity, caller, base, headers: parts.headers, query, body })
    }

    pub(super) fn body(&mut self) -> Result<Map<String, Value>, ScimError> {
        self.body.take().ok_or_else(|| ScimError::syntax("The body is empty; a JSON object is expected."))
    }

    /// Returns the version that `If-Match` demands.
    fn if_match(&self) -> Result<Option<u64>, ScimError> {
        let Some(header) = self.headers.get(IF_MATCH) else { return Ok(None) };
        version_of(header.to_str().unwrap_or_default()).map_err(|()| ScimError::stale())
    }
}

/// Reads a version out of an entity tag; `None` for any (`*`).
pub(super) fn version_of(tag: &str) -> Result<Option<u64>, ()> {
    let tag = tag.trim();
    if tag == "*" {
        return Ok(None);
    }
    tag.trim_start_matches("W/").trim_matches('"').parse().map(Some).map_err(|_| ())
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, ScimError> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ScimError::syntax("The body must be a JSON object.")),
        Err(error) => Err(ScimError::syntax(format!("The body is not valid JSON: {error}."))),
    }
}

/// Returns the address of `/scim2` as the caller knows it.
fn base_of(uri: &http::Uri, headers: &HeaderMap) -> String {
    let host = uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    let path = uri.path();
    let end = path.find("/scim2").map_or(path.len(), |at| at + "/scim2".len());
    let path = &path[..end];
    if host.is_empty() { path.to_owned() } else { format!("https://{host}{path}") }
}

fn answered(reply: ScimReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match reply.body {
        Some(body) => (status, [(CONTENT_TYPE, SCIM_JSON)], body.to_string()).into_response(),
        None => status.into_response(),
    };
    let text = |text: &str| HeaderValue::from_str(text).ok();
    if let Some(location) = reply.location.as_deref().and_then(text) {
        response.headers_mut().insert(LOCATION, location);
    }
    if let Some(version) = reply.version.map(etag).as_deref().and_then(text) {
        response.headers_mut().insert(ETAG, version);
    }
    match reply.index {
        Some(index) => Stamped { body: response, index, unreached: reply.unreached }.into_response(),
        None => response,
    }
}

impl Face {
    async fn ask(&self, asked: Asked, action: Action) -> Result<Response, ScimError> {
        let shape = asked.query.shape(self.resource)?;
        let Asked { caller, base, headers, .. } = asked;
        let reply = self.admin.ask(ScimCall { caller, base, resource: self.resource, action, shape }).await??;
        let known = headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
        if let (Some(known), Some(version), None) = (known, reply.version, reply.index)
            && known.split(',').any(|tag| version_of(tag) == Ok(Some(version)))
        {
            let tag = HeaderValue::from_str(&etag(version)).unwrap_or(HeaderValue::from_static("*"));
            return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
        }
        Ok(answered(reply))
    }
}

async fn search(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::List, face.resource)?;
    let search = asked.query.search.clone();
    face.ask(asked, Action::Search(search)).await
}

async fn search_by_body(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::List, face.resource)?;
    let body = asked.body()?;
    for name in ["filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes"] {
        let text = match member(&body, name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            Some(other) => other.to_string(),
        };
        asked.query.take(name, &text)?;
    }
    let search = asked.query.search.clone();
    face.ask(asked, Action::Search(search)).await
}

async fn create(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::Create, face.resource)?;
    let document = asked.body()?;
    face.ask(asked, Action::Create(document)).await
}

async fn read(State(face): State<Face>, Path(id): Path<String>, request: Request) -> Result<Response, ScimError> {
    let asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::View, face.resource)?;
    face.ask(asked, Action::Read(Which::Id(id))).await
}

async fn replace(State(face): State<Face>, Path(id): Path<String>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::Update, face.resource)?;
    let (document, if_match) = (asked.body()?, asked.if_match()?);
    face.ask(asked, Action::Replace { which: Which::Id(id), document, if_match }).await
}

async fn patch(State(face): State<Face>, Path(id): Path<String>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::Update, face.resource)?;
    let (request, if_match) = (asked.body()?, asked.if_match()?);
    face.ask(asked, Action::Patch { which: Which::Id(id), request, if_match }).await
}

async fn remove(State(face): State<Face>, Path(id): Path<String>, request: Request) -> Result<Response, ScimError> {
    let asked = Asked::of(request).await?;
    check_right(&asked.identity, Right::Delete, face.resource)?;
    let if_match = asked.if_match()?;
    face.ask(asked, Action::Delete { which: Which::Id(id), if_match }).await
}

async fn read_me(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let asked = Asked::of(request).await?;
    face.ask(asked, Action::Read(Which::Caller)).await
}

async fn replace_me(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    let (document, if_match) = (asked.body()?, asked.if_match()?);
    face.ask(asked, Action::Replace { which: Which::Caller, document, if_match }).await
}

async fn patch_me(State(face): State<Face>, request: Request) -> Result<Response, ScimError> {
    let mut asked = Asked::of(request).await?;
    let (request, if_match) = (asked.body()?, asked.if_match()?);
    face.ask(asked, Action::Patch { which: Which::Caller, request, if_match }).await
}

/// RFC 7644, section 3.11 leaves these to the server.
async fn sign_up() -> ScimError {
    ScimError::new(501, None, "Sign up at /api/identity/user/v1.0/me.")
}

async fn keep_me() -> ScimError {
    ScimError::forbidden("Only an administrator deletes users.")
}

/// The address of `/scim2`, for what is the same for everybody.
fn base_of_request(request: &Request) -> String {
    let original = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
    base_of(original, request.headers())
}

fn shown(body: &Value) -> Response {
    ([(CONTENT_TYPE, SCIM_JSON)], body.to_string()).into_response()
}

async fn service_provider(request: Request) -> Response {
    shown(&discovery::service_provider(&base_of_request(&request)))
}

async fn resource_types(request: Request) -> Response {
    shown(&discovery::list(&schema::resource_types(&base_of_request(&request))))
}

async fn resource_type(Path(name): Path<String>, request: Request) -> Result<Response, ScimError> {
    one_of("resource type", &name, schema::resource_types(&base_of_request(&request)))
}

async fn schemas(request: Request) -> Response {
    shown(&discovery::list(&schema::schemas(&base_of_request(&request))))
}

async fn schema_of(Path(id): Path<String>, request: Request) -> Result<Response, ScimError> {
    one_of("schema", &id, schema::schemas(&base_of_request(&request)))
}

fn one_of(what: &str, id: &str, all: Vec<Value>) -> Result<Response, ScimError> {
    let found = all.into_iter().find(|one| one["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id)));
    found.map(|one| shown(&one)).ok_or_else(|| ScimError::not_found(what, &id.chars().take(100).collect::<String>()))
}
