//! `/services`: what is in the catalogue.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, List, MultipartForm, PageQuery, Stamped};
use portcullis_model::AssetId;
use portcullis_model::asset::{Asset, AssetKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::service::{self, Service};
use super::usage::users_of;
use crate::actor::Publisher;
use crate::messages::{Asker, DeleteAsset, ListAssets, PutAsset, Seen, Written};
use crate::rest::answer::{flat, read as read_answer, wrote};
use crate::rest::request::{Params, Request, flag};

pub(super) const VIEW: &[&str] = &["service_catalog:service_view", "apim:api_view"];
pub(super) const WRITE: &[&str] = &["service_catalog:service_write"];
pub(super) const KIND: AssetKind = AssetKind::Service;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    name: Option<String>,
    version: Option<String>,
    definition_type: Option<String>,
    key: Option<String>,
    shrink: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

impl ListQuery {
    /// Returns what is asked for besides the page, for links to others.
    fn tail(&self) -> String {
        let mut tail = url::form_urlencoded::Serializer::new(String::new());
        for (name, asked) in [
            ("name", &self.name),
            ("version", &self.version),
            ("definitionType", &self.definition_type),
            ("key", &self.key),
            ("shrink", &self.shrink),
            ("sortBy", &self.sort_by),
            ("sortOrder", &self.sort_order),
        ] {
            tail.extend_pairs(asked.iter().filter(|text| !text.is_empty()).map(|text| (name, text)));
        }
        tail.finish()
    }
}

/// Says whether a service is asked for by its key: a part of one, or several with commas between them, each in whole.
fn has_key(service: &Service, asked: &str) -> bool {
    if asked.contains(',') {
        return asked.split(',').any(|key| key.trim() == service.service_key);
    }
    service.service_key.to_lowercase().contains(&asked.to_lowercase())
}

/// Returns the services of the tenant.
pub(super) async fn all(publisher: &Address<Publisher>, asker: Asker) -> Result<Seen<Vec<Arc<Asset>>>, ApiError> {
    flat(publisher.ask(ListAssets { asker, kind: KIND, api: None }).await)
}

/// Finds a service by its id.
pub(super) async fn one(publisher: &Address<Publisher>, asker: Asker, id: &str) -> Result<Seen<Arc<Asset>>, ApiError> {
    let seen = all(publisher, asker).await?;
    let found = seen.value.into_iter().find(|asset| asset.id.to_string() == id);
    Ok(Seen { value: found.ok_or_else(|| ApiError::not_found("Service", id))?, index: seen.index })
}

/// Finds a service by its key.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn find_by_key(
    publisher: &Address<Publisher>,
    asker: Asker,
    key: &str,
) -> Result<(Arc<Asset>, Service), ApiError> {
    let found = all(publisher, asker).await?.value.into_iter().find(|asset| asset.name == key);
    let found = found.and_then(|asset| Service::of(&asset).map(|service| (asset, service)));
    found.ok_or_else(|| ApiError::not_found("Service", key))
}

pub async fn list(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let (asker, page) = (request.list_asker(VIEW)?, query.page.page()?);
    let is_short = flag("shrink", query.shrink.as_deref())?;
    let tail = query.tail();
    let seen = all(&publisher, asker.clone()).await?;
    let asked = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, version) = (asked(query.name).map(|name| name.to_lowercase()), asked(query.version));
    let (kind, key) = (asked(query.definition_type), asked(query.key));
    let read = seen.value.into_iter().filter_map(|asset| Service::of(&asset).map(|service| (asset, service)));
    let mut found: Vec<(Arc<Asset>, Service)> = read
        .filter(|(_, service)| {
            name.as_ref().is_none_or(|name| service.name.to_lowercase().contains(name))
                && version.as_ref().is_none_or(|version| service.version.contains(version))
                && kind.as_ref().is_none_or(|kind| service.definition_type.starts_with(kind))
                && key.as_ref().is_none_or(|key| has_key(service, key))
        })
        .collect();
    match query.sort_by.as_deref() {
        None | Some("" | "name") => found.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name)),
        Some("definitionType") => found.sort_by(|(_, one), (_, other)| one.definition_type.cmp(&other.definition_type)),
        Some("createdTime") => found.sort_by_key(|(asset, _)| asset.created_at),
        Some("lastUpdatedTime") => found.sort_by_key(|(asset, _)| asset.updated_at),
        Some(other) => {
            let known = "name, definitionType, createdTime and lastUpdatedTime are possible";
            return Err(ApiError::bad_request(format!("sortBy: is `{other}`; {known}")));
        }
    }
    if query.sort_order.as_deref() == Some("desc") {
        found.reverse();
    }
    let total = found.len();
    let mut shown = Vec::new();
    for (asset, _) in found.iter().skip(page.offset).take(page.limit) {
        shown.push(if is_short {
            service::write_least(asset)
        } else {
            service::write(asset, users_of(&publisher, asker.clone(), &asset.name).await?.len())
        });
    }
    let list = List::part(shown, total, page).with_links("/services", &tail);
    Ok(read_answer(&request.headers, &json!(list), seen.index))
}

/// Understands what a form says of a service.
async fn of_form(form: &MultipartForm) -> Result<(Service, Option<String>), ApiError> {
    let metadata = form.part("serviceMetadata")?.text("serviceMetadata")?;
    let service = Service::parse("serviceMetadata", metadata)?;
    let definition = match form.text("definitionFile")? {
        Some(text) => Some(text),
        None => form.text("inlineContent")?,
    };
    let definition = definition.filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(definition) = &definition {
        service.check_definition(definition).await?;
    }
    Ok((service, definition))
}

/// Keeps a service.
pub(super) async fn put(
    publisher: &Address<Publisher>,
    asker: Asker,
    before: Option<&Asset>,
    service: &Service,
    definition: String,
) -> Result<Written<Arc<Asset>>, ApiError> {
    let others = all(publisher, asker.clone()).await?.value;
    let is_other = |asset: &Arc<Asset>| before.is_none_or(|before| before.id != asset.id);
    // One with the same key is the command's to refuse, which knows a retry from another service.
    let is_same = |its: &Service| {
        its.name == service.name && its.version == service.version && its.service_key != service.service_key
    };
    if others.iter().filter(|asset| is_other(asset)).filter_map(|asset| Service::of(asset)).any(|its| is_same(&its)) {
        let refused = portcullis_model::Refused::exists("service", format!("{}:{}", service.name, service.version));
        return Err(ApiError::from(refused));
    }
    let message = PutAsset {
        asker,
        kind: KIND,
        id: before.map(|asset| asset.id),
        api: None,
        name: service.service_key.clone(),
        document: json!(service).to_string(),
        content: definition,
        expected: None,
    };
    flat(publisher.ask(message).await)
}

pub async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(WRITE)?;
    let (service, definition) = of_form(&form).await?;
    let definition = definition.ok_or_else(|| {
        let reason = "definitionFile: must be there, or inlineContent; definitions are not fetched from definitionUrl";
        ApiError::bad_request(reason)
    })?;
    let written = put(&publisher, asker, None, &service, definition).await?;
    Ok(wrote(StatusCode::CREATED, &written, service::write(&written.value, 0)))
}

pub async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let seen = one(&publisher, asker.clone(), &id).await?;
    let usage = users_of(&publisher, asker, &seen.value.name).await?.len();
    Ok(read_answer(&request.headers, &service::write(&seen.value, usage), seen.index))
}

pub async fn update(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(WRITE)?;
    let before = one(&publisher, asker.clone(), &id).await?.value;
    let (service, definition) = of_form(&form).await?;
    let is = Service::of(&before);
    let stays = is.is_some_and(|is| {
        is.name == service.name && is.version == service.version && is.service_key == service.service_key
    });
    if !stays {
        return Err(ApiError::bad_request(
            "name, version and serviceKey: stay as they are; add another service instead",
        ));
    }
    let definition = definition.unwrap_or_else(|| before.content.clone());
    let written = put(&publisher, asker.clone(), Some(&before), &service, definition).await?;
    let usage = users_of(&publisher, asker, &before.name).await?.len();
    Ok(wrote(StatusCode::OK, &written, service::write(&written.value, usage)))
}

pub async fn delete(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(WRITE)?;
    let known = id.parse::<AssetId>().map_err(|_| ApiError::not_found("Service", &id))?;
    // A retry finds it gone, which the command knows from one that never was.
    if let Some(asset) = all(&publisher, asker.clone()).await?.value.into_iter().find(|asset| asset.id == known)
        && let Some(api) = users_of(&publisher, asker.clone(), &asset.name).await?.first()
    {
        let reason =
            format!("The API {}:{} is made from the service {}; delete that first.", api.name, api.version, asset.name);
        return Err(ApiError::new(409, 409, "Conflict", reason));
    }
    let written = flat(publisher.ask(DeleteAsset { asker, kind: KIND, id: known, api: None }).await)?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index: written.index, unreached: written.unreached }.into_response())
}

pub async fn definition(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = one(&publisher, request.asker(VIEW)?, &id).await?;
    let text = seen.value.content.clone();
    let media_type = match text.trim_start().as_bytes().first() {
        Some(b'{') => "application/json",
        Some(b'<') => "text/xml",
        _ => "application/yaml",
    };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response())
}

pub async fn settings(request: Request) -> Result<Response, ApiError> {
    request.asker(VIEW)?;
    let body: Value = json!({"scopes": ["service_catalog:service_view", "service_catalog:service_write"]});
    Ok(axum::Json(body).into_response())
}
