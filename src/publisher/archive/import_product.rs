//! Brings an API product in from an archive, with the APIs that it is made of where that is wanted.

use portcullis_database::Apimgtdb;
use portcullis_http::zip;
use portcullis_model::{ApiId, Refused};
use serde_json::{Map, Value, json};

use super::project::Project;
use crate::dto::product::is_product;
use crate::dto::revision::read_deployments;
use crate::fault::PublisherError;
use crate::messages::{ApiView, Asker, CreateProduct, GetApi, ImportProduct, UpdateProduct, Written};
use crate::openapi;
use crate::registry::{Registry, Snapshot};

impl Registry {
    /// Imports an archive of a product.
    pub(crate) async fn import_product(&self, message: ImportProduct) -> Result<Written<ApiView>, PublisherError> {
        let ImportProduct {
            asker,
            archive,
            overwrites,
            rotates_revisions,
            keeps_provider,
            imports_apis,
            overwrites_apis,
        } = message;
        // Several writes: a retry finds what the first try made, and says so.
        let asker = Asker { idempotency: None, ..asker };
        let read = openapi::aside(move || {
            let files = zip::read(&archive).map_err(|reason| PublisherError::field("file", reason))?;
            Project::of_product(&files)
        });
        let mut project = read.await??;
        if !keeps_provider {
            project.fields.shift_remove("provider");
            project.apis.iter_mut().for_each(|api| drop(api.fields.shift_remove("provider")));
        }
        let snapshot = self.snapshot_to_write().await?;
        let existing = named(&snapshot, &asker, &project.name, &project.version);
        let there = existing.and_then(|id| snapshot.read::<Apimgtdb>().apis.get(&id));
        if there.is_some_and(|there| !is_product(there)) {
            return Err(PublisherError::field("file", "an API has this name and version"));
        }
        if existing.is_some() && !overwrites {
            return Err(Refused::exists("API product", format!("{}:{}", project.name, project.version)).into());
        }
        let deployments = read_deployments(project.deployments.clone())?;
        for api in &project.apis {
            let is_there = named(&snapshot, &asker, &api.name, &api.version).is_some();
            let is_wanted = if is_there { overwrites_apis } else { imports_apis };
            if is_wanted {
                self.import_project(&asker, api, is_there, rotates_revisions, false).await?;
            }
        }
        let fields = self.with_ids(&asker, project.fields.clone()).await?;
        let made = match existing {
            None => self.create_product(CreateProduct { asker: asker.clone(), fields }).await?,
            Some(id) => {
                let update = UpdateProduct { asker: asker.clone(), id: id.to_string(), fields, expected: None };
                self.update_product(update).await?
            }
        };
        let id = made.value.api.id;
        if let Err(error) = self.bring(&asker, id, &project, deployments, rotates_revisions).await {
            if existing.is_none() {
                self.take_back(&asker, id).await;
            }
            return Err(error);
        }
        let view = self.get_api(GetApi { asker, id: id.to_string() }).await?;
        Ok(Written { value: view.value, index: view.index, unreached: made.unreached })
    }

    /// Names the APIs of a product by the ids that they have here.
    async fn with_ids(
        &self,
        asker: &Asker,
        mut fields: Map<String, Value>,
    ) -> Result<Map<String, Value>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        for api in fields.get_mut("apis").and_then(Value::as_array_mut).into_iter().flatten() {
            let text = |name: &str| api.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (name, version) = (text("name"), text("version"));
            let id = named(&snapshot, asker, &name, &version);
            let id = id.ok_or_else(|| Refused::not_found("API", format!("{name}:{version}")))?;
            if let Some(api) = api.as_object_mut() {
                api.insert("apiId".to_owned(), json!(id.to_string()));
            }
        }
        Ok(fields)
    }
}

fn named(snapshot: &Snapshot, asker: &Asker, name: &str, version: &str) -> Option<ApiId> {
    let key = (asker.identity.principal.tenant.clone(), name.to_owned(), version.to_owned());
    snapshot.read::<Apimgtdb>().api_names.get(&key).copied()
}
