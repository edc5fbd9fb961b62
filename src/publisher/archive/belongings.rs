//! Brings along what belongs to an API or a product of an archive: costs of fields, picture, documents, deployments, and where
//! it was in its life.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_http::contract::content;
use portcullis_model::document::{Content, Document, DocumentSource};
use portcullis_model::limit::API_REVISIONS_MAX;
use portcullis_model::{ApiId, DocumentId, Lifecycle, LifecycleAction, Revision};

use super::project::{Project, ProjectDocument};
use super::writes::Writes;
use crate::dto::lifecycle::Checklist;
use crate::fault::PublisherError;
use crate::messages::{
    Asker, ChangeLifecycle, CreateRevision, DeleteRevision, DeployRevision, GetApi, ListDocuments, ListRevisions,
    PutDocument, PutDocumentContent, PutFieldCosts, PutThumbnail, RevisionMeant, UndeployRevision,
};
use crate::registry::Registry;

impl Registry {
    /// Brings along what belongs to an API, deploys it, and moves it to where it was in its life.
    pub(super) async fn bring(
        &self,
        asker: &Asker,
        id: ApiId,
        project: &Project,
        deployments: Vec<portcullis_model::Deployment>,
        rotates_revisions: bool,
        writes: &mut Writes,
    ) -> Result<(), PublisherError> {
        let text = id.to_string();
        self.bring_certificates(asker, id, project, writes).await?;
        if let Some(fields) = project.field_costs.clone() {
            let put = PutFieldCosts { asker: asker.clone(), id: text.clone(), fields };
            writes.add(self.put_field_costs(put).await?);
        }
        if let Some(picture) = &project.picture {
            let thumbnail = content::picture(picture.clone())
                .map_err(|error| PublisherError::field("Image/icon", error.description().to_owned()))?;
            let put = PutThumbnail { asker: asker.clone(), id: text.clone(), thumbnail };
            writes.add(self.put_thumbnail(put).await?);
        }
        let there = self.list_documents(ListDocuments { asker: asker.clone(), id: text.clone() }).await?.value;
        for document in &project.documents {
            self.bring_document(asker, id, document, &there, writes).await?;
        }
        if !deployments.is_empty() {
            let revision = self.new_revision(asker, &text, rotates_revisions, writes).await?;
            let deploy = DeployRevision { asker: asker.clone(), id: text.clone(), revision: revision.id, deployments };
            writes.add(self.deploy_revision(deploy).await?);
        }
        let state = ["lifeCycleStatus", "state"].iter().find_map(|name| project.fields.get(*name)?.as_str());
        let wanted = state.unwrap_or("CREATED");
        let from = self.get_api(GetApi { asker: asker.clone(), id: text.clone() }).await?.value.api.lifecycle;
        for action in steps(from, wanted) {
            let checklist = Checklist::default();
            let change = ChangeLifecycle { asker: asker.clone(), id: text.clone(), action, checklist };
            writes.add(self.change_lifecycle(change).await?);
        }
        Ok(())
    }

    async fn bring_document(
        &self,
        asker: &Asker,
        api: ApiId,
        one: &ProjectDocument,
        there: &[Arc<Document>],
        writes: &mut Writes,
    ) -> Result<(), PublisherError> {
        let read = one.body.clone().into_document(api, DocumentId::from_random(random_bytes()));
        let mut document = read.map_err(|error| PublisherError::field("Docs", error.description().to_owned()))?;
        let before = there.iter().find(|other| other.name == document.name);
        if let Some(before) = before {
            document.id = before.id;
        }
        let put = PutDocument { asker: asker.clone(), document, is_new: before.is_none(), expected: None };
        let stored = writes.add(self.put_document(put).await?);
        let Some((name, bytes)) = one.content.clone() else { return Ok(()) };
        let media_type = match stored.source {
            DocumentSource::Markdown => "text/markdown; charset=utf-8",
            DocumentSource::File => "application/octet-stream",
            _ => "text/plain; charset=utf-8",
        };
        let file_name = if stored.source == DocumentSource::File { name } else { String::new() };
        let content = Content { media_type: media_type.to_owned(), bytes };
        let put = PutDocumentContent { asker: asker.clone(), document: stored, content, file_name, insists: false };
        writes.add(self.put_document_content(put).await?);
        Ok(())
    }

    /// Makes a revision; where there are as many as there may be, the oldest goes, if that is wanted.
    async fn new_revision(
        &self,
        asker: &Asker,
        id: &str,
        rotates: bool,
        writes: &mut Writes,
    ) -> Result<Arc<Revision>, PublisherError> {
        let list = ListRevisions { asker: asker.clone(), id: id.to_owned() };
        let revisions = self.list_revisions(list).await?.value;
        if let Some(oldest) = revisions.first().filter(|_| rotates && revisions.len() >= API_REVISIONS_MAX) {
            if !oldest.deployments.is_empty() {
                let revision = RevisionMeant::Id(oldest.id);
                let leave = UndeployRevision { asker: asker.clone(), id: id.to_owned(), revision, environments: None };
                writes.add(self.undeploy_revision(leave).await?);
            }
            let delete = DeleteRevision { asker: asker.clone(), id: id.to_owned(), revision: oldest.id };
            writes.add(self.delete_revision(delete).await?);
        }
        let description = "imported".to_owned();
        let create = CreateRevision { asker: asker.clone(), id: id.to_owned(), description };
        Ok(writes.add(self.create_revision(create).await?))
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
