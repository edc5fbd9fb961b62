//! Subscriptions that wait for a publisher's decision, their plans, and who subscribed.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::command::{DecideTask, UpdateSubscription};
use portcullis_database::{Apimgtdb, Userdb, key_managers, people, tasks};
use portcullis_model::task::{Task, TaskSubject};
use portcullis_model::{KeyManager, Refused, Subscription, SubscriptionId};

use super::{Registry, Snapshot, may_see, seen, written};
use crate::fault::PublisherError;
use crate::messages::{
    Asker, ChangePlan, DecideSubscription, GetSubscriber, ListKeyManagers, ListSubscriptionTasks, Seen, Subscriber,
    Written,
};

impl Registry {
    pub(crate) async fn list_subscription_tasks(
        &self,
        message: ListSubscriptionTasks,
    ) -> Result<Seen<Vec<Arc<Task>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let found = waiting(&snapshot, &message.asker);
        Ok(seen(&snapshot, found))
    }

    pub(crate) async fn decide_subscription(&self, message: DecideSubscription) -> Result<Written<()>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let is_retry = message.asker.idempotency.is_some();
        let is_there = waiting(&snapshot, &message.asker).iter().any(|task| task.id == message.id);
        if !is_there && !is_retry {
            return Err(Refused::not_found("workflow", message.id).into());
        }
        let tenant = message.asker.identity.principal.tenant.clone();
        let command = DecideTask { tenant, id: message.id, is_approved: message.is_approved };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    pub(crate) async fn change_plan(&self, message: ChangePlan) -> Result<Written<Arc<Subscription>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        subscription(&snapshot, &message.asker, message.id)?;
        let command = UpdateSubscription { id: message.id, owned_by: None, plan: message.plan };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, Arc::new))
    }

    pub(crate) async fn get_subscriber(&self, message: GetSubscriber) -> Result<Seen<Subscriber>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let found = subscription(&snapshot, &message.asker, message.id)?;
        let application = snapshot.read::<Apimgtdb>().applications.get(&found.application);
        let tenant =
            application.map_or_else(|| message.asker.identity.principal.tenant.clone(), |one| one.tenant.clone());
        let data = snapshot.read::<Userdb>();
        let user = people::user(data, &tenant, &found.subscriber);
        let attributes = user.map_or_else(|| "{}".to_owned(), |user| people::profile_of(data, user).attributes.clone());
        let claims: BTreeMap<String, serde_json::Value> = serde_json::from_str(&attributes).unwrap_or_default();
        Ok(seen(&snapshot, Subscriber { name: found.subscriber.0.clone(), attributes: claims }))
    }

    pub(crate) async fn list_key_managers(
        &self,
        message: ListKeyManagers,
    ) -> Result<Seen<Vec<Arc<KeyManager>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = &message.asker.identity.principal.tenant;
        let mut all: Vec<_> = key_managers::of_tenant(snapshot.read::<Apimgtdb>(), tenant).cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(seen(&snapshot, all))
    }
}

/// Returns the subscriptions that wait, to APIs that the asker sees, those first that wait longest.
fn waiting(snapshot: &Snapshot, asker: &Asker) -> Vec<Arc<Task>> {
    let database = snapshot.read::<Apimgtdb>();
    let is_meant = |task: &&Arc<Task>| match &task.subject {
        TaskSubject::Subscription(id) => {
            let subscription = database.subscriptions.get(id);
            let api = subscription.and_then(|subscription| database.apis.get(&subscription.api));
            api.is_some_and(|api| may_see(&asker.identity, api))
        }
        _ => false,
    };
    let mut found: Vec<_> =
        tasks::of_tenant(database, &asker.identity.principal.tenant).filter(is_meant).map(Arc::clone).collect();
    found.sort_by_key(|task| (task.created_at, task.id));
    found
}

/// Finds a subscription to an API that the asker sees.
fn subscription(snapshot: &Snapshot, asker: &Asker, id: SubscriptionId) -> Result<Arc<Subscription>, PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    let found = database
        .subscriptions
        .get(&id)
        .filter(|one| database.apis.get(&one.api).is_some_and(|api| may_see(&asker.identity, api)));
    found.cloned().ok_or_else(|| Refused::not_found("subscription", id).into())
}
