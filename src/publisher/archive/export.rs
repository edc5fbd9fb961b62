//! Writes APIs and products as archives.

use portcullis_database::{Apimgtdb, Regdb, assets, belongings};
use portcullis_http::contract::document::write_whole;
use portcullis_http::zip::{self, Files};
use portcullis_model::api_endpoint::endpoints_among;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::document::DocumentSource;
use portcullis_model::graphql::{costs_of, write_costs};
use portcullis_model::mediation::own_answer::sequences_among;
use portcullis_model::product::parts_of;
use portcullis_model::{Api, ApiKind, Refused, Revision, websub};
use serde_json::{Value, json};
use std::sync::Arc;

use super::certificates::add_certificates;
use super::policy::add_policy;
use super::project::{ArchiveFormat, put, written};
use super::soap_sequences::add_sequences;
use crate::design::wsdl::{self, Kept};
use crate::design::{Language, asyncapi};
use crate::dto::api_body::{self, kept_fields};
use crate::dto::product::{self, is_product};
use crate::dto::{api_endpoint, policies};
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{ApiView, ExportApi, ExportProduct, Seen};
use crate::openapi;
use crate::own_policy::{apply, key_of};
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
        let view = if message.shows_secrets { self.unsealed(view, &message.asker.identity) } else { view };
        let (format, keeps_status) = (message.format, message.keeps_status);
        let made = openapi::aside(move || {
            let mut files = Files::new();
            let root = format!("{}-{}", view.api.name, view.api.version);
            add_api((&snapshot, &mut files), &view, &root, format, keeps_status)?;
            let archive = zip::write(&files).map_err(|reason| PublisherError::field("API", reason))?;
            Ok(seen(&snapshot, (format!("{}-{}.zip", view.api.name, view.api.version), archive)))
        });
        made.await?
    }

    /// Exports a product with the APIs that it is made of.
    pub(crate) async fn export_product(
        &self,
        message: ExportProduct,
    ) -> Result<Seen<(String, Vec<u8>)>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let identity = message.asker.identity.clone();
        let (name, version) = (message.name, message.version);
        let missing = || Refused::not_found("API product", format!("{name}:{version}"));
        let key = (identity.principal.tenant.clone(), name.clone(), version.clone());
        let id = snapshot.read::<Apimgtdb>().api_names.get(&key).copied().ok_or_else(missing)?;
        let view = find_view(&snapshot, &identity, &id.to_string())?;
        if !is_product(&view.api) {
            return Err(missing().into());
        }
        let view = match message.revision {
            Some(number) => numbered(&snapshot, view, number)?,
            None if message.is_latest_revision => latest(&snapshot, view)?,
            None => view,
        };
        let (format, keeps_status) = (message.format, message.keeps_status);
        let made = openapi::aside(move || {
            let mut files = Files::new();
            let root = format!("{}-{}", view.api.name, view.api.version);
            let mut body = product::of_body(&view.api, api_body::write(&view.api, None));
            if !keeps_status {
                body["state"] = json!("CREATED");
            }
            put(&mut files, &format!("{root}/api_product"), "api_product", &body, format)?;
            add_belongings((&snapshot, &mut files), &view, &root, format)?;
            for part in parts_of(&view.api) {
                let api = find_view(&snapshot, &identity, &part.api.to_string())?;
                let within = format!("{root}/APIs/{}-{}", api.api.name, api.api.version);
                add_api((&snapshot, &mut files), &api, &within, format, keeps_status)?;
            }
            let archive = zip::write(&files).map_err(|reason| PublisherError::field("API product", reason))?;
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
    Ok(as_of(view, &last))
}

/// Returns an API as it was in a revision of it.
fn numbered(snapshot: &Snapshot, view: ApiView, number: u32) -> Result<ApiView, PublisherError> {
    let revision = snapshot.read::<Apimgtdb>().revisions.get(&(view.api.id, number)).cloned();
    let revision = revision.ok_or_else(|| Refused::not_found("revision", number))?;
    Ok(as_of(view, &revision))
}

fn as_of(view: ApiView, revision: &Revision) -> ApiView {
    let api = Api { lifecycle: view.api.lifecycle, ..(*revision.content).clone() };
    ApiView { api: Arc::new(api), definition: Arc::clone(&revision.definition), ..view }
}

/// Adds an API to an archive, in a folder.
fn add_api(
    (snapshot, files): (&Snapshot, &mut Files),
    view: &ApiView,
    root: &str,
    format: ArchiveFormat,
    keeps_status: bool,
) -> Result<(), PublisherError> {
    let api = &view.api;
    let mut body = api_body::write(api, None);
    if !keeps_status {
        body["lifeCycleStatus"] = json!("CREATED");
    }
    if let Some(secret) = &view.websub_secret {
        // Shown to whom the API shows it; without, its sources could not send any more where it is imported.
        body[websub::FIELD]["secret"] = json!(secret.0);
    }
    if api.kind == ApiKind::SoapToRest {
        add_sequences(files, &body, root);
    }
    add_certificates((snapshot, files), api, root, format)?;
    put(files, &format!("{root}/api"), "api", &body, format)?;
    let endpoints: Vec<Value> = endpoints_among(&kept_fields(api)).iter().map(api_endpoint::write).collect();
    if !endpoints.is_empty() {
        put(files, &format!("{root}/endpoints"), "endpoints", &json!(endpoints), format)?;
    }
    let sequences = sequences_among(&kept_fields(api)).into_iter();
    let sequences: Vec<Value> =
        sequences.map(|one| json!({"sequenceType": one.stage.as_contract(), "sequence": one.content})).collect();
    if !sequences.is_empty() {
        put(files, &format!("{root}/sequence_backends"), "sequence_backends", &json!(sequences), format)?;
    }
    for asset in own_policies(snapshot, api) {
        let body = policies::write_own(&asset);
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let stem = format!("{root}/Policies/{}_{}", text("name"), text("version"));
        add_policy(files, &stem, &body, Some(asset.content.clone()), format)?;
    }
    add_belongings((snapshot, files), view, root, format)
}

/// Returns the tenant's own policies that an API applies, and those that are its own.
fn own_policies(snapshot: &Snapshot, api: &Api) -> Vec<Arc<Asset>> {
    let database = snapshot.read::<Apimgtdb>();
    let own = assets::of_tenant(database, &api.tenant, AssetKind::OperationPolicy);
    let mut all: Vec<Arc<Asset>> = own.filter(|asset| asset.api == Some(api.id)).cloned().collect();
    for (name, version) in apply::named_in(&kept_fields(api)) {
        let key = key_of(&name, &version);
        if all.iter().all(|known| known.name != key) {
            all.extend(apply::find(snapshot, &api.tenant, Some(api.id), &key));
        }
    }
    all
}

/// Adds what APIs and products have alike: the definition, documents, the picture, and where they are deployed.
fn add_belongings(
    (snapshot, files): (&Snapshot, &mut Files),
    view: &ApiView,
    root: &str,
    format: ArchiveFormat,
) -> Result<(), PublisherError> {
    let api = &view.api;
    put_definition(files, root, view, format)?;
    let places = places(snapshot, api);
    put(files, &format!("{root}/deployment_environments"), "deployment_environments", &places, format)?;
    for document in belongings::documents_of(snapshot.read::<Regdb>(), api.id) {
        let folder = format!("{root}/Docs/{}", file_name(&document.name)?);
        put(files, &format!("{folder}/document"), "document", &write_whole(document), format)?;
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
    Ok(())
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
        // As the original has it: channels have no other document.
        Language::Openapi if Language::Asyncapi.check(api.kind).is_ok() => {
            let (name, text) = written(&format!("{root}/Definitions/asyncapi"), &asyncapi::generate(api), format)?;
            files.insert(name, text.into_bytes());
            return Ok(());
        }
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
