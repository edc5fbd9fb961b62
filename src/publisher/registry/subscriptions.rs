//! What a publisher sees of subscriptions, policies, roles and tenants, and the blocking of subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_database::command::SetSubscriptionState as SetSubscriptionStateCommand;
use portcullis_database::monetization::pending_invoice;
use portcullis_database::statistics::reading::calls_of;
use portcullis_database::{Apimgtdb, Statdb, Userdb, people, subscriptions};
use portcullis_model::statistics::usage;
use portcullis_model::{ApiId, QuotaPolicy, Refused, Role, Subscription, SubscriptionId};
use serde_json::Value;
use uuid::Uuid;

use super::{Registry, Snapshot, find, may_see, seen, written};
use crate::fault::PublisherError;
use crate::messages::{
    GetLinterRules, GetSubscriptionUsage, HasRole, ListPolicies, ListSubscriptions, ListTenants, Seen,
    SetSubscriptionState, SubscriptionView, Written,
};

impl Registry {
    pub(crate) async fn list_subscriptions(
        &self,
        message: ListSubscriptions,
    ) -> Result<Seen<(Vec<SubscriptionView>, usize)>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let database = snapshot.read::<Apimgtdb>();
        let identity = &message.asker.identity;
        // API by API, each in the order of time. Those that are not shown are counted and not looked up.
        let mut ids: Vec<SubscriptionId> = match &message.api {
            Some(api) => subscriptions::of_api(database, find(&snapshot, identity, api)?.id),
            None => {
                let seen = database.apis.values().filter(|api| may_see(identity, api));
                seen.flat_map(|api| subscriptions::of_api(database, api.id)).collect()
            }
        };
        if let Some(wanted) = &message.query {
            ids.retain(|id| database.subscriptions.get(id).is_some_and(|one| holds(&snapshot, one, wanted)));
        }
        let total = ids.len();
        let shown = ids.iter().skip(message.page.offset).take(message.page.limit);
        let shown = shown.filter_map(|id| database.subscriptions.get(id));
        let views = shown.map(|one| view_of(&snapshot, one)).collect();
        Ok(seen(&snapshot, (views, total)))
    }

    pub(crate) async fn subscription_usage(
        &self,
        message: GetSubscriptionUsage,
    ) -> Result<Seen<BTreeMap<String, String>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let not_found = || Refused::not_found("subscription", message.id);
        let database = snapshot.read::<Apimgtdb>();
        let subscription = database.subscriptions.get(&message.id).ok_or_else(not_found)?;
        let api = database.apis.get(&subscription.api).filter(|api| may_see(&message.asker.identity, api));
        let api = api.ok_or_else(not_found)?;
        let stat = snapshot.read::<Statdb>();
        let mut properties = usage::properties(&calls_of(stat, api.id, subscription.application));
        if api.is_monetized() {
            properties.extend(pending_invoice(database, stat, &api.tenant, subscription, snapshot.now()));
        }
        Ok(seen(&snapshot, properties))
    }

    pub(crate) async fn set_subscription_state(
        &self,
        message: SetSubscriptionState,
    ) -> Result<Written<SubscriptionView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let not_found = || Refused::not_found("subscription", message.id);
        let database = snapshot.read::<Apimgtdb>();
        let subscription = database.subscriptions.get(&message.id).ok_or_else(not_found)?;
        let api = database.apis.get(&subscription.api).filter(|api| may_see(&message.asker.identity, api));
        api.ok_or_else(not_found)?;
        let command = SetSubscriptionStateCommand { subscription: message.id, state: message.state };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let after = self.handle.view();
        let changed = after.read::<Apimgtdb>().subscriptions.get(&message.id).ok_or_else(not_found)?;
        let view = view_of(&after, changed);
        Ok(written(committed, |()| view))
    }

    pub(crate) async fn list_policies(
        &self,
        message: ListPolicies,
    ) -> Result<Seen<Vec<Arc<QuotaPolicy>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = &message.asker.identity.principal.tenant;
        let first = (tenant.clone(), message.level, String::new());
        let policies = snapshot.read::<Apimgtdb>().policies.range(first..);
        let of_level =
            policies.take_while(|((its_tenant, level, _), _)| its_tenant == tenant && *level == message.level);
        let policies = of_level.map(|(_, policy)| Arc::clone(policy)).collect();
        Ok(seen(&snapshot, policies))
    }

    pub(crate) async fn has_role(&self, message: HasRole) -> Result<Seen<bool>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = message.asker.identity.principal.tenant.clone();
        let has_role = snapshot.read::<Userdb>().roles.contains_key(&(tenant, Role(message.role)));
        Ok(seen(&snapshot, has_role))
    }

    pub(crate) async fn list_tenants(&self, message: ListTenants) -> Result<Seen<Vec<String>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let data = snapshot.read::<Userdb>();
        let domains = data.tenants.keys().filter(|tenant| people::is_active(data, tenant) == message.is_active);
        let domains = domains.map(|tenant| tenant.0.clone()).collect();
        Ok(seen(&snapshot, domains))
    }
}

impl Registry {
    /// Returns the rules for the pages that write definitions, as the tenant's configuration has them.
    pub(crate) async fn get_linter_rules(
        &self,
        message: GetLinterRules,
    ) -> Result<Seen<Option<String>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let config = snapshot.read::<Userdb>().tenant_configs.get(&message.asker.identity.principal.tenant).cloned();
        let document: Option<Value> = config.and_then(|config| serde_json::from_str(&config.document).ok());
        let rules = document.as_ref().and_then(|document| document.get("LinterCustomRules"));
        let rules = rules.filter(|rules| !rules.is_null());
        // A text, or the rules themselves.
        let rules = rules.map(|rules| rules.as_str().map_or_else(|| rules.to_string(), str::to_owned));
        Ok(seen(&snapshot, rules.filter(|rules| !rules.is_empty())))
    }
}

/// Says whether a subscription has `wanted` in it, which may name a field that is not looked at (`plan:gold`).
fn holds(snapshot: &Snapshot, subscription: &Subscription, wanted: &str) -> bool {
    let wanted = wanted.split_once(':').map_or(wanted, |(_, text)| text);
    let application = snapshot.read::<Apimgtdb>().applications.get(&subscription.application);
    let name = application.map_or("", |application| application.name.as_str());
    [name, &subscription.subscriber.0, &subscription.plan, subscription.state.as_contract()]
        .iter()
        .any(|text| text.to_lowercase().contains(wanted))
}

fn view_of(snapshot: &Snapshot, subscription: &Arc<Subscription>) -> SubscriptionView {
    let database = snapshot.read::<Apimgtdb>();
    let application = subscription.application;
    let first = (application, ApiId(Uuid::nil()));
    let of_application = database.subscriptions_by_application.range(first..);
    SubscriptionView {
        subscription: Arc::clone(subscription),
        application: database.applications.get(&application).cloned(),
        subscription_count: of_application.take_while(|((its, _), _)| *its == application).count(),
    }
}
