//! Brings an API in from an archive: all of it, or nothing where it is new.

use std::sync::Arc;

use portcullis_database::Apimgtdb;
use portcullis_database::handle::random_bytes;
use portcullis_http::contract::content;
use portcullis_http::zip;
use portcullis_model::document::{Content, Document, DocumentSource};
use portcullis_model::limit::API_REVISIONS_MAX;
use portcullis_model::{ApiId, DocumentId, Lifecycle, LifecycleAction, Refused, Revision};
use serde_json::Value;

use super::project::{Definition, Project, ProjectDocument};
use crate::design::Design;
use crate::dto::lifecycle::Checklist;
use crate::dto::product::is_product;
use crate::dto::revision::read_deployments;
use crate::fault::PublisherError;
use crate::messages::{
    ApiView, Asker, ChangeLifecycle, CreateApi, CreateRevision, DeleteApi, DeleteRevision, DeployRevision, GetApi,
    ImportApi, ImportDesign, ImportOpenapi, ListDocuments, ListRevisions, PutDefinition, PutDesign, PutDocument,
    PutDocumentContent, PutFieldCosts, PutThumbnail, RevisionMeant, UndeployRevision, UpdateApi, Written,
};
use crate::openapi;
use crate::registry::{Registry, seen};

impl Registry {
    /// Imports an archive; with `is_dry_run` it is read and checked alone.
    pub(crate) async fn import_api(&self, message: ImportApi) -> Result<Written<Option<ApiView>>, PublisherError> {
        let ImportApi { asker, archive, overwrites, rotates_revisions, keeps_provider, is_dry_run } = message;
        // Several writes: a retry finds what the first try made, and says so.
        let asker = Asker { idempotency: None, ..asker };
        let read = openapi::aside(move || {
            let files = zip::read(&archive).map_err(|reason| PublisherError::field("file", reason))?;
            Project::of(&files)
        });
        let mut project = read.await??;
        if !keeps_provider {
            project.fields.shift_remove("provider");
        }
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
        if is_dry_run {
            return Ok(Written { value: None, index: seen(&snapshot, ()).index, unreached: Vec::new() });
        }
        let made = match existing {
            Some(id) => self.overwrite(&asker, id, &project, design).await?,
            None => self.create(&asker, &project, design).await?,
        };
        let id = made.value.api.id;
        let brought = self.bring(&asker, id, &project, deployments, rotates_revisions).await;
        if let Err(error) = brought {
            if existing.is_none() {
                let undo = DeleteApi { asker, id: id.to_string() };
                if let Err(error) = self.delete_api(undo).await {
                    tracing::warn!(%id, %error, "an API that was imported in part could not be taken back");
                }
            }
            return Err(error);
        }
        let view = self.get_api(GetApi { asker, id: id.to_string() }).await?;
        Ok(Written { value: Some(view.value), index: view.index, unreached: made.unreached })
    }

    async fn create(
        &self,
        asker: &Asker,
        project: &Project,
        design: Option<Design>,
    ) -> Result<Written<ApiView>, PublisherError> {
        let (asker, fields) = (asker.clone(), project.fields.clone());
        if let Some(design) = design {
            return self.import_design(ImportDesign { asker, design, fields }).await;
        }
        let Some(Definition::Openapi(text)) = project.definition.clone() else {
            return self.create_api(CreateApi { asker, fields }).await;
        };
        let made = self.import_openapi(ImportOpenapi { asker: asker.clone(), text, fields: fields.clone() }).await?;
        let id = made.value.api.id.to_string();
        // The fields say more of the operations than a document can.
        let update = UpdateApi { asker: asker.clone(), id: id.clone(), fields, expected: None };
        match self.update_api(update).await {
            Ok(written) => Ok(written),
            Err(error) => {
                self.delete_api(DeleteApi { asker, id }).await?;
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
    ) -> Result<Written<ApiView>, PublisherError> {
        let (asker, id, fields) = (asker.clone(), id.to_string(), project.fields.clone());
        let before = self.get_api(GetApi { asker: asker.clone(), id: id.clone() }).await?.value;
        if is_product(&before.api) {
            return Err(PublisherError::field("file", "a product has this name and version"));
        }
        if let Some(design) = design {
            self.put_design(PutDesign { asker: asker.clone(), id: id.clone(), design, expected: None }).await?;
        } else if let Some(Definition::Openapi(text)) = project.definition.clone() {
            let put = PutDefinition { asker: asker.clone(), id: id.clone(), text, expected: None };
            self.put_definition(put).await?;
        }
        self.update_api(UpdateApi { asker, id, fields, expected: None }).await
    }

    /// Brings along what belongs to an API, deploys it, and moves it to where it was in its life.
    async fn bring(
        &self,
        asker: &Asker,
        id: ApiId,
        project: &Project,
        deployments: Vec<portcullis_model::Deployment>,
        rotates_revisions: bool,
    ) -> Result<(), PublisherError> {
        let text = id.to_string();
        if let Some(fields) = project.field_costs.clone() {
            self.put_field_costs(PutFieldCosts { asker: asker.clone(), id: text.clone(), fields }).await?;
        }
        if let Some(picture) = &project.picture {
            let thumbnail = content::picture(picture.clone())
                .map_err(|error| PublisherError::field("Image/icon", error.description().to_owned()))?;
            self.put_thumbnail(PutThumbnail { asker: asker.clone(), id: text.clone(), thumbnail }).await?;
        }
        let there = self.list_documents(ListDocuments { asker: asker.clone(), id: text.clone() }).await?.value;
        for document in &project.documents {
            self.bring_document(asker, id, document, &there).await?;
        }
        if !deployments.is_empty() {
            let revision = self.new_revision(asker, &text, rotates_revisions).await?;
            let deploy = DeployRevision { asker: asker.clone(), id: text.clone(), revision: revision.id, deployments };
            self.deploy_revision(deploy).await?;
        }
        let wanted = project.fields.get("lifeCycleStatus").and_then(Value::as_str).unwrap_or("CREATED");
        let from = self.get_api(GetApi { asker: asker.clone(), id: text.clone() }).await?.value.api.lifecycle;
        for action in steps(from, wanted) {
            let checklist = Checklist::default();
            self.change_lifecycle(ChangeLifecycle { asker: asker.clone(), id: text.clone(), action, checklist })
                .await?;
        }
        Ok(())
    }

    async fn bring_document(
        &self,
        asker: &Asker,
        api: ApiId,
        one: &ProjectDocument,
        there: &[Arc<Document>],
    ) -> Result<(), PublisherError> {
        let read = one.body.clone().into_document(api, DocumentId::from_random(random_bytes()));
        let mut document = read.map_err(|error| PublisherError::field("Docs", error.description().to_owned()))?;
        let before = there.iter().find(|other| other.name == document.name);
        if let Some(before) = before {
            document.id = before.id;
        }
        let put = PutDocument { asker: asker.clone(), document, is_new: before.is_none(), expected: None };
        let stored = self.put_document(put).await?.value;
        let Some((name, bytes)) = one.content.clone() else { return Ok(()) };
        let media_type = match stored.source {
            DocumentSource::Markdown => "text/markdown; charset=utf-8",
            DocumentSource::File => "application/octet-stream",
            _ => "text/plain; charset=utf-8",
        };
        let file_name = if stored.source == DocumentSource::File { name } else { String::new() };
        let content = Content { media_type: media_type.to_owned(), bytes };
        let put = PutDocumentContent { asker: asker.clone(), document: stored, content, file_name, insists: false };
        self.put_document_content(put).await.map(|_| ())
    }

    /// Makes a revision; where there are as many as there may be, the oldest goes, if that is wanted.
    async fn new_revision(&self, asker: &Asker, id: &str, rotates: bool) -> Result<Arc<Revision>, PublisherError> {
        let list = ListRevisions { asker: asker.clone(), id: id.to_owned() };
        let revisions = self.list_revisions(list).await?.value;
        if let Some(oldest) = revisions.first().filter(|_| rotates && revisions.len() >= API_REVISIONS_MAX) {
            if !oldest.deployments.is_empty() {
                let revision = RevisionMeant::Id(oldest.id);
                let leave = UndeployRevision { asker: asker.clone(), id: id.to_owned(), revision, environments: None };
                self.undeploy_revision(leave).await?;
            }
            let delete = DeleteRevision { asker: asker.clone(), id: id.to_owned(), revision: oldest.id };
            self.delete_revision(delete).await?;
        }
        let description = "imported".to_owned();
        let create = CreateRevision { asker: asker.clone(), id: id.to_owned(), description };
        Ok(self.create_revision(create).await?.value)
    }
}

/// Returns what leads an API from one state of its life to the one that an archive names. From where it came to an end,
/// nothing does.
fn steps(from: Lifecycle, to: &str) -> Vec<LifecycleAction> {
    let begins = match from {
        Lifecycle::Created | Lifecycle::Prototyped => vec![LifecycleAction::Publish],
        Lifecycle::Published => Vec::new(),
        _ => return Vec::new(),
    };
    let then = |more: &[LifecycleAction]| begins.iter().copied().chain(more.iter().copied()).collect();
    match to.to_ascii_uppercase().as_str() {
        "PUBLISHED" => begins,
        "PROTOTYPED" if from == Lifecycle::Created => vec![LifecycleAction::DeployAsPrototype],
        "BLOCKED" => then(&[LifecycleAction::Block]),
        "DEPRECATED" => then(&[LifecycleAction::Deprecate]),
        "RETIRED" => then(&[LifecycleAction::Deprecate, LifecycleAction::Retire]),
        _ => Vec::new(),
    }
}
