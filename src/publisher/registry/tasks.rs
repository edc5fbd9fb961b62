//! What waits for a decision about an API.

use portcullis_database::{Apimgtdb, command, tasks};
use portcullis_model::Refused;
use portcullis_model::task::TaskSubject;

use super::{Registry, find, written};
use crate::fault::PublisherError;
use crate::messages::{CancelDeployment, CancelStateChange, Written};

impl Registry {
    pub(crate) async fn cancel_state_change(&self, message: CancelStateChange) -> Result<Written<()>, PublisherError> {
        let CancelStateChange { asker, id } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?;
        let task = tasks::state_change(snapshot.read::<Apimgtdb>(), &api);
        let id = task.ok_or_else(|| Refused::not_found("pending state change of API", &id))?.id;
        let tenant = api.tenant.clone();
        let committed = self.handle.submit(command::CancelTask { tenant, id }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    pub(crate) async fn cancel_deployment(&self, message: CancelDeployment) -> Result<Written<()>, PublisherError> {
        let CancelDeployment { asker, id, revision, environment } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?;
        let mut waiting = tasks::deployments(snapshot.read::<Apimgtdb>(), &api, revision);
        let is_meant = |subject: &TaskSubject| matches!(subject, TaskSubject::Deployment { deployment, .. } if deployment.environment == environment);
        let task = waiting.find(|task| is_meant(&task.subject));
        let id = task.ok_or_else(|| Refused::not_found("pending deployment to", &environment))?.id;
        let tenant = api.tenant.clone();
        let committed = self.handle.submit(command::CancelTask { tenant, id }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}
