//! Brings an API in from an archive: all of it, or nothing where it is new.

use portcullis_database::Apimgtdb;
use portcullis_model::api_endpoint::primary_field;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::mediation::{Kind, VERSION};
use portcullis_model::{ApiId, KeyType, Refused};
use serde_json::{Map, Value, json};

use super::certificates::check_certificates;
use super::project::{Definition, Project};
use super::writes::Writes;
use crate::design::Design;
use crate::dto::product::is_product;
use crate::dto::revision::read_deployments;
use crate::fault::PublisherError;
use crate::messages::{
    ApiView, Asker, CreateApi, DeleteApi, GetApi, ImportApi, ImportDesign, ImportOpenapi, ImportedApi, PutApiEndpoint,
    PutAsset, PutDefinition, PutDesign, PutSequence, Seen, UpdateApi, Written,
};
use crate::openapi;
use crate::own_policy::{OwnPolicy, Specification, apply, key_of, synapse};
use crate::registry::{Registry, seen};

impl Registry {
    /// Imports an archive; with `is_dry_run` it is read and checked alone.
    pub(crate) async fn import_api(&self, message: ImportApi) -> Result<Written<ImportedApi>, PublisherError> {
        let ImportApi { asker, archive, overwrites, rotates_revisions, keeps_provider, is_dry_run } = message;
        // Several writes: a retry finds what the first try made, and says so.
        let asker = Asker { idempotency: None, ..asker };
        let read = openapi::aside(move || Project::of_archive(&archive));
        let mut project = read.await??;
        if !keeps_provider {
            project.fields.shift_remove("provider");
        }
        let mut writes = Writes::default();
        match self.import_project(&asker, &project, overwrites, rotates_revisions, is_dry_run, &mut writes).await {
            Ok(Seen { value: view, index }) => {
                Ok(writes.answer(ImportedApi { view, left_out: project.left_out }, index))
            }
            Err(error) => {
                self.take_back_certificates(&asker, &writes.trusted).await;
                Err(error)
            }
        }
    }

    /// Imports an API; with `is_dry_run` it is checked alone. Where that fails, certificates of backends are left to be taken
    /// back.
    pub(super) async fn import_project(
        &self,
        asker: &Asker,
        project: &Project,
        overwrites: bool,
        rotates_revisions: bool,
        is_dry_run: bool,
        writes: &mut Writes,
    ) -> Result<Seen<Option<ApiView>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let key = (asker.identity.principal.tenant.clone(), project.name.clone(), project.version.clone());
        let existing = snapshot.read::<Apimgtdb>().api_names.get(&key).copied();
        if existing.is_some() && !overwrites {
            return Err(Refused::exists("API", format!("{}:{}", project.name, project.version)).into());
        }
        let mut design = None;
        match &project.definition {
            Some(Definition::Openapi(text)) => drop(openapi::read(text.clone()).await?),
            Some(other) => design = other.design().await?,
            None => {}
        }
        let deployments = read_deployments(project.deployments.clone())?;
        check_certificates(&snapshot, &asker.identity.principal.tenant, existing, project)?;
        if is_dry_run {
            return Ok(seen(&snapshot, None));
        }
        let made = match existing {
            Some(id) => self.overwrite(asker, id, project, design, writes).await?,
            None => self.create(asker, project, design, writes).await?,
        };
        let id = made.api.id;
        let brought = self.bring(asker, id, project, deployments, rotates_revisions, writes).await;
        if let Err(error) = brought {
            if existing.is_none() {
                self.take_back(asker, id).await;
            }
            return Err(error);
        }
        let Seen { value, index } = self.get_api(GetApi { asker: asker.clone(), id: id.to_string() }).await?;
        Ok(Seen { value: Some(value), index })
    }

    /// Deletes an API that was imported in part.
    pub(super) async fn take_back(&self, asker: &Asker, id: ApiId) {
        let undo = DeleteApi { asker: asker.clone(), id: id.to_string() };
        if let Err(error) = self.delete_api(undo).await {
            tracing::warn!(%id, %error, "an API that was imported in part could not be taken back");
        }
    }

    async fn create(
        &self,
        asker: &Asker,
        project: &Project,
        design: Option<Design>,
        writes: &mut Writes,
    ) -> Result<ApiView, PublisherError> {
        let mut fields = project.fields.clone();
        without_named(&mut fields);
        let by = asker.clone();
        let made = match (design, project.definition.clone()) {
            (Some(design), _) => self.import_design(ImportDesign { asker: by, design, fields }).await?,
            (None, Some(Definition::Openapi(text))) => {
                self.import_openapi(ImportOpenapi { asker: by, text, fields }).await?
            }
            (None, _) => self.create_api(CreateApi { asker: by, fields }).await?,
        };
        let id = writes.add(made).api.id;
        // What the fields name has to be there first; and they say more of the operations than a document can.
        match self.complete(asker, id, project, writes).await {
            Ok(view) => Ok(view),
            Err(error) => {
                self.take_back(asker, id).await;
                Err(error)
            }
        }
    }

    async fn overwrite(
        &self,
        asker: &Asker,
        id: ApiId,
        project: &Project,
        design: Option<Design>,
        writes: &mut Writes,
    ) -> Result<ApiView, PublisherError> {
        let before = self.get_api(GetApi { asker: asker.clone(), id: id.to_string() }).await?.value;
        if is_product(&before.api) {
            return Err(PublisherError::field("file", "a product has this name and version"));
        }
        let by = asker.clone();
        if let Some(design) = design {
            writes.add(self.put_design(PutDesign { asker: by, id: id.to_string(), design, expected: None }).await?);
        } else if let Some(Definition::Openapi(text)) = project.definition.clone() {
            let put = PutDefinition { asker: by, id: id.to_string(), text, expected: None };
            writes.add(self.put_definition(put).await?);
        }
        self.complete(asker, id, project, writes).await
    }

    /// Brings along what the fields of an API name, and then the fields.
    async fn complete(
        &self,
        asker: &Asker,
        id: ApiId,
        project: &Project,
        writes: &mut Writes,
    ) -> Result<ApiView, PublisherError> {
        for (specification, definition) in &project.policies {
            self.bring_policy(asker, id, specification, definition.as_deref(), writes).await?;
        }
        for fields in &project.endpoints {
            let own = fields.get("id").and_then(Value::as_str).filter(|own| !own.is_empty()).map(str::to_owned);
            let (asker, api, fields) = (asker.clone(), id.to_string(), fields.clone());
            writes.add(self.put_api_endpoint(PutApiEndpoint { asker, api, id: own, is_new: true, fields }).await?);
        }
        for (stage, content) in project.sequences.clone() {
            let put = PutSequence { asker: asker.clone(), api: id.to_string(), stage, content };
            writes.add(self.put_sequence(put).await?);
        }
        let (asker, id, fields) = (asker.clone(), id.to_string(), project.fields.clone());
        Ok(writes.add(self.update_api(UpdateApi { asker, id, fields, expected: None }).await?))
    }

    /// Brings along an operation policy: as one of the API, where the tenant has not the same.
    async fn bring_policy(
        &self,
        asker: &Asker,
        api: ApiId,
        specification: &str,
        definition: Option<&str>,
        writes: &mut Writes,
    ) -> Result<(), PublisherError> {
        // What comes with the program is not brought along.
        if is_of_program(specification) {
            return Ok(());
        }
        let specification = Specification::parse(specification)?;
        let name = key_of(&specification.name, &specification.version);
        let place = format!("Policies/{}_{}", specification.name, specification.version);
        let definition = definition.ok_or_else(|| PublisherError::field(&place, "has no definition (.j2)"))?;
        let own = OwnPolicy { steps: synapse::map(definition, &specification)?, specification };
        let document = json!(own).to_string();
        let snapshot = self.snapshot_to_write().await?;
        let there = apply::find(&snapshot, &asker.identity.principal.tenant, Some(api), &name);
        let is_same = |asset: &Asset| asset.document == document && asset.content == definition;
        if there.as_deref().is_some_and(is_same) {
            return Ok(());
        }
        let put = PutAsset {
            asker: asker.clone(),
            kind: AssetKind::OperationPolicy,
            id: there.filter(|asset| asset.api.is_some()).map(|asset| asset.id),
            api: Some(api.to_string()),
            name,
            document,
            content: definition.to_owned(),
            expected: None,
        };
        writes.add(self.put_asset(put).await?);
        Ok(())
    }
}

/// Takes out of the fields of an API what names things that are brought along after it.
fn without_named(fields: &mut Map<String, Value>) {
    for name in ["apiPolicies", primary_field(KeyType::Production), primary_field(KeyType::Sandbox)] {
        fields.shift_remove(name);
    }
    for operation in fields.get_mut("operations").and_then(Value::as_array_mut).into_iter().flatten() {
        operation.as_object_mut().and_then(|operation| operation.shift_remove("operationPolicies"));
    }
}

/// Says whether a specification is that of a policy that comes with the program.
fn is_of_program(specification: &str) -> bool {
    let Ok(read) = openapi::document::parse_text(specification) else { return false };
    let said = read.get("data").unwrap_or(&read);
    let version = said.get("version").and_then(Value::as_str).unwrap_or(VERSION);
    said.get("name").and_then(Value::as_str).is_some_and(|name| Kind::of(name, version).is_some())
}
