//! Subscribes an application of an archive to the APIs that the archive names, as far as its owner may.

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, SubmitError, command};
use portcullis_model::{Application, Role, Subscription, SubscriptionId, SubscriptionState, Timestamp};
use serde_json::{Value, json};

use super::writes::Writes;
use crate::apis::{find_offered, plans_of};
use crate::applications::apis_of;
use crate::dto::application_archive::{ArchivedApi, ArchivedSubscription};
use crate::error::StoreError;
use crate::messages::{Subscriber, Visitor};
use crate::policies::may_choose;

/// Writes an API of an archive as lists have it.
pub(super) fn skipped(api: &ArchivedApi) -> Value {
    json!({"id": null, "name": api.api_name, "version": api.version, "provider": api.provider_name})
}

/// Subscribes to what is there, and returns what could not be subscribed to.
pub(super) async fn subscribe(
    writes: &mut Writes<'_>,
    owner: &Subscriber,
    application: &Application,
    wanted: Vec<ArchivedSubscription>,
    ignores_plans: bool,
) -> Result<Vec<Value>, StoreError> {
    let mut left_out = Vec::new();
    let visitor = Visitor {
        tenant: owner.principal.tenant.clone(),
        user: Some(owner.principal.clone()),
        roles: owner.roles.clone(),
    };
    for one in wanted {
        let view = writes.desk.view();
        let ArchivedSubscription { api_id, throttling_policy } = one;
        let key = (owner.principal.tenant.clone(), api_id.api_name.clone(), api_id.version.clone());
        let id = view.read::<Apimgtdb>().api_names.get(&key).copied();
        let Some(api) = id.and_then(|id| find_offered(&view, owner, id).ok()) else {
            left_out.push(skipped(&api_id));
            continue;
        };
        if apis_of(&view, application.id).any(|known| known == api.id) {
            continue;
        }
        // Roles of another tenant are none in this one.
        let roles: &[Role] = if api.tenant == owner.principal.tenant { &owner.roles } else { &[] };
        let plans = plans_of(&view, &api, &visitor).into_iter();
        let plans: Vec<_> = plans.filter(|plan| may_choose(&view, &api.tenant, &plan.name, roles)).collect();
        let has_plan = plans.iter().any(|plan| plan.name == throttling_policy);
        let other = plans.first().filter(|_| ignores_plans).map(|plan| plan.name.clone());
        let Some(plan) = Some(throttling_policy).filter(|_| has_plan).or(other) else {
            left_out.push(skipped(&api_id));
            continue;
        };
        let subscription = Subscription {
            id: SubscriptionId::from_random(random_bytes()),
            tenant: owner.principal.tenant.clone(),
            application: application.id,
            api: api.id,
            plan,
            state: SubscriptionState::Unblocked,
            subscriber: owner.principal.username.clone(),
            created_at: Timestamp(0),
        };
        let create = command::CreateSubscription { subscription, owned_by: Some(owner.principal.clone()) };
        match writes.submit(create).await {
            Ok(_) => {}
            // Blocked, retired, or not offered any more.
            Err(StoreError::Submit(SubmitError::Refused(_))) => left_out.push(skipped(&api_id)),
            Err(error) => return Err(error),
        }
    }
    Ok(left_out)
}
