//! Makes, deploys, restores and deletes revisions.

use std::sync::Arc;

use portcullis_database::Apimgtdb;
use portcullis_database::command::{
    ChangeDeployment as ChangeDeploymentCommand, CreateRevision as CreateRevisionCommand,
    DeleteRevision as DeleteRevisionCommand, DeployRevision as DeployRevisionCommand,
    RestoreRevision as RestoreRevisionCommand, UndeployRevision as UndeployRevisionCommand,
};
use portcullis_database::tasks as waiting;
use portcullis_model::task::{Task, TaskSubject};
use portcullis_model::{ApiId, Refused, Revision};

use super::{Registry, Snapshot, environments, find, find_revision, new_revision_id, seen, written};
use crate::fault::PublisherError;
use crate::messages::{
    ApiView, ChangeDeployment, CreateRevision, DeleteRevision, DeployRevision, DeployedRevision, ListRevisions,
    RestoreRevision, RevisionMeant, Seen, UndeployRevision, Written,
};

impl Registry {
    pub(crate) async fn list_revisions(
        &self,
        message: ListRevisions,
    ) -> Result<Seen<Vec<Arc<Revision>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let revisions = revisions_of(&snapshot, api.id);
        Ok(seen(&snapshot, revisions))
    }

    pub(crate) async fn create_revision(
        &self,
        message: CreateRevision,
    ) -> Result<Written<Arc<Revision>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        self.settle_mocks(&message.asker, &snapshot, &api).await?;
        let revision = new_revision_id();
        let command = CreateRevisionCommand { api: api.id, revision, description: message.description };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let after = self.handle.view();
        // The number, not the id drawn here: a retry is answered with the revision that the first attempt made.
        let made = after.read::<Apimgtdb>().revisions.get(&(api.id, committed.reply)).cloned();
        let made = made.ok_or_else(|| Refused::not_found("revision", committed.reply))?;
        Ok(written(committed, |_| made))
    }

    pub(crate) async fn delete_revision(
        &self,
        message: DeleteRevision,
    ) -> Result<Written<Vec<Arc<Revision>>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let command = DeleteRevisionCommand { api: api.id, revision: message.revision };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let left = revisions_of(&self.handle.view(), api.id);
        Ok(written(committed, |()| left))
    }

    pub(crate) async fn deploy_revision(
        &self,
        message: DeployRevision,
    ) -> Result<Written<DeployedRevision>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        // What is judged is what gateways get; where it is not there, the command says so, or repeats its answer.
        if let Ok(revision) = find_revision(&snapshot, api.id, message.revision) {
            self.refuse_ungoverned(&revision.content, Some(&revision.definition), "API_DEPLOY").await?;
        }
        let places = environments::open_to(&snapshot, &message.asker.identity);
        let deployments = environments::placed(&places, message.deployments)?;
        let command = DeployRevisionCommand { api: api.id, revision: message.revision, deployments };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let after = self.handle.view();
        let revision = find_revision(&after, api.id, message.revision)?;
        let deployment = |task: &Arc<Task>| match &task.subject {
            TaskSubject::Deployment { deployment, .. } => Some(deployment.clone()),
            _ => None,
        };
        let waiting =
            waiting::deployments(after.read::<Apimgtdb>(), &api, revision.id).filter_map(deployment).collect();
        Ok(written(committed, |()| DeployedRevision { revision, waiting }))
    }

    pub(crate) async fn change_deployment(
        &self,
        message: ChangeDeployment,
    ) -> Result<Written<Arc<Revision>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let ChangeDeployment { asker, environment, is_displayed, .. } = message;
        let command = ChangeDeploymentCommand { api: api.id, environment: environment.clone(), is_displayed };
        let committed = self.handle.submit(command, &asker.caller()).await?;
        let all = revisions_of(&self.handle.view(), api.id);
        let found = all.into_iter().find(|one| one.deployments.iter().any(|place| place.environment == environment));
        let found = found.ok_or_else(|| Refused::not_found("deployment to", environment))?;
        Ok(written(committed, |()| found))
    }

    pub(crate) async fn undeploy_revision(
        &self,
        message: UndeployRevision,
    ) -> Result<Written<Arc<Revision>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let revision = match message.revision {
            RevisionMeant::Id(id) => id,
            RevisionMeant::Number(number) => {
                let found = snapshot.read::<Apimgtdb>().revisions.get(&(api.id, number));
                found.ok_or_else(|| Refused::not_found("revision", number))?.id
            }
        };
        let command = UndeployRevisionCommand { api: api.id, revision, environments: message.environments };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let revision = find_revision(&self.handle.view(), api.id, revision)?;
        Ok(written(committed, |()| revision))
    }

    pub(crate) async fn restore_revision(&self, message: RestoreRevision) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let command = RestoreRevisionCommand { api: api.id, revision: message.revision };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let view = self.view_after(&api.id.to_string(), &message.asker)?;
        Ok(written(committed, |()| view))
    }
}

fn revisions_of(snapshot: &Snapshot, api: ApiId) -> Vec<Arc<Revision>> {
    let revisions = &snapshot.read::<Apimgtdb>().revisions;
    revisions.range((api, 0)..=(api, u32::MAX)).map(|(_, revision)| Arc::clone(revision)).collect()
}
