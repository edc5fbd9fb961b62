//! `/services/export` and `/services/import`: archives with a folder for each service.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::ETAG;
use portcullis_actor::Address;
use portcullis_http::zip::Files;
use portcullis_http::{ApiError, MultipartForm, etag, percent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rest::{VIEW, WRITE, all, put};
use super::service::{self, Service};
use crate::actor::Publisher;
use crate::archive;
use crate::openapi;
use crate::rest::answer::{self, wrote};
use crate::rest::request::{Params, Request, flag, required};

/// Services of one archive.
const SERVICES_MAX: usize = 200;

#[derive(Deserialize)]
pub struct ExportQuery {
    name: Option<String>,
    version: Option<String>,
}

pub async fn export(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ExportQuery>,
) -> Result<Response, ApiError> {
    let asker = request.asker(VIEW)?;
    let (name, version) = (required("name", query.name)?, required("version", query.version)?);
    let seen = all(&publisher, asker).await?;
    let mut read = seen.value.iter().filter_map(|asset| Service::of(asset).map(|service| (asset, service)));
    let found = read.find(|(_, service)| service.name == name && service.version == version);
    let (asset, service) = found.ok_or_else(|| ApiError::not_found("Service", format!("{name}:{version}")))?;
    let root = format!("{name}-{version}").replace(['/', '\\', ':'], "_");
    let end = match asset.content.trim_start().as_bytes().first() {
        Some(b'{') => "json",
        Some(b'<') => "wsdl",
        _ if service.definition_type == "GRAPHQL_SDL" => "graphql",
        _ => "yaml",
    };
    let mut metadata = json!(service);
    metadata["key"] = metadata["serviceKey"].take();
    metadata.as_object_mut().and_then(|fields| fields.shift_remove("serviceKey"));
    let mut files = Files::new();
    files.insert(format!("{root}/metadata.yaml"), archive::yaml(&metadata)?.into_bytes());
    files.insert(format!("{root}/definition.{end}"), asset.content.clone().into_bytes());
    let archive = archive::packed(&files)?;
    let tag = etag::of(&archive);
    let named = format!("attachment; filename*=UTF-8''{}.zip", percent::encoded(&root));
    let mut response = answer::archive(archive, &named, seen.index);
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

#[derive(Deserialize)]
pub struct ImportQuery {
    overwrite: Option<String>,
}

/// What of a folder of an archive is understood.
#[derive(Default)]
struct Folder<'a> {
    metadata: Option<&'a [u8]>,
    definition: Option<&'a [u8]>,
}

/// Understands an archive: what is said of each service, and its definition. All of it, before anything is kept.
async fn read_all(archive: Vec<u8>) -> Result<Vec<(Service, String)>, ApiError> {
    let wrong = |reason: String| ApiError::bad_request(format!("file: {reason}"));
    let files = openapi::aside(move || archive::unpacked(&archive)).await??;
    let mut folders: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
    for (name, bytes) in &files {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let one = folders.entry(folder).or_default();
        match file.split_once('.').map_or(file, |(stem, _)| stem) {
            "metadata" => one.metadata = Some(bytes),
            "definition" => one.definition = Some(bytes),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (folder, Folder { metadata, definition }) in folders {
        let Some(metadata) = metadata else { continue };
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| wrong(format!("{folder} is not UTF-8")));
        let definition = definition.ok_or_else(|| wrong(format!("{folder} has no definition beside its metadata")))?;
        let (metadata, definition) = (text(metadata)?, text(definition)?);
        let service = Service::parse(folder, &metadata)?;
        service.check_definition(&definition).await?;
        found.push((service, definition));
    }
    match found.len() {
        0 => Err(wrong("has no folder with a metadata.yaml and a definition".to_owned())),
        count if count > SERVICES_MAX => {
            Err(wrong(format!("has {count} services; at most {SERVICES_MAX} are accepted")))
        }
        _ => Ok(found),
    }
}

pub async fn import(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ImportQuery>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    // Several writes: a retry finds what the first try made.
    let asker = crate::messages::Asker { idempotency: None, ..request.asker(WRITE)? };
    let overwrites = flag("overwrite", query.overwrite.as_deref())?;
    let services = read_all(form.part("file")?.bytes.to_vec()).await?;
    let there = all(&publisher, asker.clone()).await?.value;
    let existing = |service: &Service| there.iter().find(|asset| asset.name == service.service_key);
    if let Some((service, _)) = services.iter().find(|(service, _)| existing(service).is_some() && !overwrites) {
        let refused = portcullis_model::Refused::exists("service", &service.service_key);
        return Err(ApiError::from(refused));
    }
    let (mut list, mut last): (Vec<Value>, _) = (Vec::new(), None);
    for (service, definition) in services {
        let before = existing(&service).map(|asset| &**asset);
        let written = put(&publisher, asker.clone(), before, &service, definition).await?;
        list.push(service::write_least(&written.value));
        last = Some(written);
    }
    let last = last.ok_or_else(|| ApiError::bad_request("file: has no service"))?;
    Ok(wrote(StatusCode::OK, &last, json!({"count": list.len(), "list": list})))
}
