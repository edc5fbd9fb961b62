//! Writes an API as an archive.

use portcullis_database::{Apimgtdb, Regdb, belongings};
use portcullis_http::contract::document::write_whole;
use portcullis_http::zip::{self, Files};
use portcullis_model::document::DocumentSource;
use portcullis_model::graphql::{costs_of, write_costs};
use portcullis_model::{Api, Refused, Revision};
use serde_json::{Value, json};
use std::sync::Arc;

use super::project::{ArchiveFormat, put, written};
use crate::design::Language;
use crate::design::wsdl::{self, Kept};
use crate::dto::api_body;
use crate::dto::product::is_product;
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{ApiView, ExportApi, Seen};
use crate::openapi;
use crate::registry::{Registry, Snapshot, find_view, seen};

impl Registry {
    pub(crate) async fn export_api(&self, message: ExportApi) -> Result<Seen<(String, Vec<u8>)>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let id = match message.id {
            Some(id) => id,
            None => named(&snapshot, &message)?,
        };
        let view = find_view(&snapshot, &message.asker.identity, &id)?;
        if is_product(&view.api) {
            return Err(Refused::not_found("API", id).into());
        }
        let view = if message.is_latest_revision { latest(&snapshot, view)? } else { view };
        let (format, keeps_status) = (message.format, message.keeps_status);
        let made = openapi::aside(move || {
            let files = files_of(&snapshot, &view, format, keeps_status)?;
            let archive = zip::write(&files).map_err(|reason| PublisherError::field("API", reason))?;
            Ok(seen(&snapshot, (format!("{}-{}.zip", view.api.name, view.api.version), archive)))
        });
        made.await?
    }
}

/// Finds an API by name and version.
fn named(snapshot: &Snapshot, message: &ExportApi) -> Result<String, PublisherError> {
    let tenant = message.asker.identity.principal.tenant.clone();
    let key = (tenant, message.name.clone(), message.version.clone());
    let found = snapshot.read::<Apimgtdb>().api_names.get(&key).map(ToString::to_string);
    found.ok_or_else(|| Refused::not_found("API", format!("{}:{}", message.name, message.version)).into())
}

/// Returns an API as it was in its latest revision.
fn latest(snapshot: &Snapshot, view: ApiView) -> Result<ApiView, PublisherError> {
    let mut revisions = snapshot.read::<Apimgtdb>().revisions.range((view.api.id, 0)..=(view.api.id, u32::MAX));
    let last: Arc<Revision> = revisions
        .next_back()
        .map(|(_, revision)| Arc::clone(revision))
        .ok_or_else(|| Refused::not_found("revision of API", view.api.id))?;
    let api = Api { lifecycle: view.api.lifecycle, ..(*last.content).clone() };
    Ok(ApiView { api: Arc::new(api), definition: Arc::clone(&last.definition), ..view })
}

fn files_of(
    snapshot: &Snapshot,
    view: &ApiView,
    format: ArchiveFormat,
    keeps_status: bool,
) -> Result<Files, PublisherError> {
    let (api, mut files) = (&view.api, Files::new());
    let root = format!("{}-{}", api.name, api.version);
    let mut body = api_body::write(api, None);
    if !keeps_status {
        body["lifeCycleStatus"] = json!("CREATED");
    }
    put(&mut files, &format!("{root}/api"), "api", &body, format)?;
    put_definition(&mut files, &root, view, format)?;
    put(
        &mut files,
        &format!("{root}/deployment_environments"),
        "deployment_environments",
        &places(snapshot, api),
        format,
    )?;
    for document in belongings::documents_of(snapshot.read::<Regdb>(), api.id) {
        let folder = format!("{root}/Docs/{}", file_name(&document.name)?);
        put(&mut files, &format!("{folder}/document"), "document", &write_whole(document), format)?;
        let content = snapshot.read::<Regdb>().document_contents.get(&(api.id, document.id));
        if let Some(content) = content {
            let is_file = document.source == DocumentSource::File;
            let name = if is_file { &document.file_name } else { &document.name };
            files.insert(format!("{folder}/{}", file_name(name)?), content.bytes.clone());
        }
    }
    if let Some(picture) = snapshot.read::<Regdb>().thumbnails.get(&api.id) {
        let end = picture.media_type.rsplit('/').next().unwrap_or("png");
        files.insert(format!("{root}/Image/icon.{end}"), picture.bytes.clone());
    }
    Ok(files)
}

/// Writes the definition of an API, in the language of its type.
fn put_definition(files: &mut Files, root: &str, view: &ApiView, format: ArchiveFormat) -> Result<(), PublisherError> {
    let (api, text) = (&view.api, &view.definition);
    let stem = match Language::of(api, text) {
        Language::Graphql => {
            files.insert(format!("{root}/Definitions/schema.graphql"), text.as_bytes().to_vec());
            let costs = costs_of(api);
            if !costs.is_empty() {
                let costs = json!({"list": write_costs(&costs)});
                put(files, &format!("{root}/Definitions/graphql-complexity"), "graphql_complexity", &costs, format)?;
            }
            return Ok(());
        }
        Language::Wsdl => {
            let (bytes, end) = match wsdl::kept(text) {
                Some(Kept::Document(text)) => (text.into_bytes(), "wsdl"),
                Some(Kept::Archive(bytes)) => (bytes, "zip"),
                None => return Ok(()),
            };
            files.insert(format!("{root}/WSDL/{}-{}.{end}", api.name, api.version), bytes);
            return Ok(());
        }
        Language::Asyncapi => "asyncapi",
        Language::Openapi => "swagger",
    };
    if let Ok(document) = openapi::document::parse_text(text) {
        let (name, text) = written(&format!("{root}/Definitions/{stem}"), &document, format)?;
        files.insert(name, text.into_bytes());
    }
    Ok(())
}

/// Returns where an API is deployed.
fn places(snapshot: &Snapshot, api: &Api) -> Value {
    let revisions = snapshot.read::<Apimgtdb>().revisions.range((api.id, 0)..=(api.id, u32::MAX));
    let all = revisions.flat_map(|(_, revision)| &revision.deployments);
    all.map(|one| {
        json!({
            "displayOnDevportal": one.is_displayed,
            "deploymentEnvironment": one.environment,
            "deploymentVhost": one.vhost,
        })
    })
    .collect()
}

/// Checks that a name can be that of a file in an archive.
fn file_name(name: &str) -> Result<String, PublisherError> {
    let is_plain = !name.contains(['/', '\\', ':', '\0']) && !matches!(name, "" | "." | ".." | "document.yaml");
    if is_plain {
        return Ok(name.to_owned());
    }
    let reason = format!("the document {name:?} cannot be the name of a file; rename it");
    Err(PublisherError::Fields(vec![FieldFault::new("documents", reason)]))
}
