//! Brings an API product in from an archive, with the APIs that it is made of where that is wanted: all that is new, or
//! nothing of it.

use portcullis_database::Apimgtdb;
use portcullis_model::{ApiId, Deployment, Refused};
use serde_json::{Map, Value, json};

use super::certificates::check_certificates;
use super::project::Project;
use super::writes::Writes;
use crate::dto::identity::normal_context;
use crate::dto::product::is_product;
use crate::dto::revision::read_deployments;
use crate::fault::PublisherError;
use crate::messages::{Asker, CreateProduct, GetApi, ImportProduct, UpdateProduct, Written};
use crate::openapi;
use crate::registry::{Registry, Snapshot};

/// An import of a product, as far as it has come.
struct ProductImport {
    asker: Asker,
    /// The product, where it is there already.
    existing: Option<ApiId>,
    rotates_revisions: bool,
    /// What was not there before, in the order of its making.
    made: Vec<ApiId>,
    writes: Writes,
}

impl Registry {
    /// Imports an archive of a product.
    pub(crate) async fn import_product(&self, message: ImportProduct) -> Result<Written<Vec<String>>, PublisherError> {
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
        let read = openapi::aside(move || Project::of_product_archive(&archive));
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
        let is_brought = |name: &str, version: &str| {
            imports_apis && project.apis.iter().any(|api| api.name == name && api.version == version)
        };
        check_parts(&snapshot, &asker, &project.fields, is_brought)?;
        if existing.is_none() {
            check_context(&snapshot, &asker, &project)?;
        }
        let is_there = |api: &Project| named(&snapshot, &asker, &api.name, &api.version).is_some();
        let is_wanted = |(_, is_there): &(&Project, bool)| if *is_there { overwrites_apis } else { imports_apis };
        let wanted: Vec<(&Project, bool)> =
            project.apis.iter().map(|api| (api, is_there(api))).filter(is_wanted).collect();
        let tenant = &asker.identity.principal.tenant;
        for (api, _) in &wanted {
            check_certificates(&snapshot, tenant, named(&snapshot, &asker, &api.name, &api.version), api)?;
        }
        check_certificates(&snapshot, tenant, existing, &project)?;
        let mut import =
            ProductImport { asker, existing, rotates_revisions, made: Vec::new(), writes: Writes::default() };
        let done = async {
            for (api, is_there) in wanted {
                self.import_part(&mut import, api, is_there).await?;
            }
            self.import_whole(&mut import, &project, deployments).await
        };
        match done.await {
            Ok(index) => Ok(import.writes.answer(project.left_out, index)),
            Err(error) => {
                // A product before the APIs that it is made of.
                for id in import.made.iter().rev() {
                    self.take_back(&import.asker, *id).await;
                }
                self.take_back_certificates(&import.asker, &import.writes.trusted).await;
                Err(error)
            }
        }
    }

    /// Imports an API of a product.
    async fn import_part(
        &self,
        import: &mut ProductImport,
        api: &Project,
        is_there: bool,
    ) -> Result<(), PublisherError> {
        let ProductImport { asker, rotates_revisions, writes, .. } = import;
        let part = self.import_project(asker, api, is_there, *rotates_revisions, false, writes).await?;
        if !is_there {
            import.made.extend(part.value.map(|view| view.api.id));
        }
        Ok(())
    }

    /// Imports a product whose APIs are there; returns as of which index it is.
    async fn import_whole(
        &self,
        import: &mut ProductImport,
        project: &Project,
        deployments: Vec<Deployment>,
    ) -> Result<u64, PublisherError> {
        let asker = import.asker.clone();
        let fields = self.with_ids(&asker, project.fields.clone()).await?;
        let made = match import.existing {
            None => self.create_product(CreateProduct { asker: asker.clone(), fields }).await?,
            Some(id) => {
                let update = UpdateProduct { asker: asker.clone(), id: id.to_string(), fields, expected: None };
                self.update_product(update).await?
            }
        };
        let id = import.writes.add(made).api.id;
        if import.existing.is_none() {
            import.made.push(id);
        }
        self.bring(&asker, id, project, deployments, import.rotates_revisions, &mut import.writes).await?;
        Ok(self.get_api(GetApi { asker, id: id.to_string() }).await?.index)
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

/// Checks that the APIs of a product are there, or are brought along.
fn check_parts(
    snapshot: &Snapshot,
    asker: &Asker,
    fields: &Map<String, Value>,
    is_brought: impl Fn(&str, &str) -> bool,
) -> Result<(), Refused> {
    for api in fields.get("apis").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| api.get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        if named(snapshot, asker, name, version).is_none() && !is_brought(name, version) {
            return Err(Refused::not_found("API", format!("{name}:{version}")));
        }
    }
    Ok(())
}

/// Checks that no other API has the context of a new product, before anything is made.
fn check_context(snapshot: &Snapshot, asker: &Asker, project: &Project) -> Result<(), PublisherError> {
    let tenant = &asker.identity.principal.tenant;
    let text = project.fields.get("context").and_then(Value::as_str).unwrap_or_default();
    let context = normal_context(text, tenant).map_err(|reason| PublisherError::field("context", reason))?;
    let mut all = snapshot.read::<Apimgtdb>().apis.values().filter(|api| api.tenant == *tenant);
    if all.any(|api| api.context == context && api.name != project.name) {
        return Err(Refused::exists("API context", context).into());
    }
    Ok(())
}

fn named(snapshot: &Snapshot, asker: &Asker, name: &str, version: &str) -> Option<ApiId> {
    let key = (asker.identity.principal.tenant.clone(), name.to_owned(), version.to_owned());
    snapshot.read::<Apimgtdb>().api_names.get(&key).copied()
}
