use std::sync::Arc;

use portcullis_model::task::{TaskKind, TaskSubject};
use portcullis_model::{
    Api, Application, ApplicationState, Lifecycle, PolicyLevel, Principal, Refused, Subscription, SubscriptionState,
};
use serde::{Deserialize, Serialize};

use super::create_application::find_application;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::subscriptions::keep_subscription;
use crate::tasks::{self, Question};

/// The feature level that brought plans of organizations.
const ORGANIZATIONS_SINCE: u32 = 2;

/// Subscribes an application to an API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateSubscription {
    /// The subscription with its id; `created_at` is set here.
    pub subscription: Subscription,
    /// Refuses where the application belongs to somebody else; `None` for administrators' tools.
    pub owned_by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for CreateSubscription where C: Writes<Apimgtdb> {}

impl Command for CreateSubscription {
    type Reply = Subscription;

    fn subject(&self) -> String {
        format!("application {} to API {}", self.subscription.application, self.subscription.api)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Subscription, Refused> {
        subscribe(state, moment, self.subscription, self.owned_by.as_ref())
    }
}

/// Checks a subscription and puts it into the state.
pub(super) fn subscribe(
    state: &mut State,
    moment: &Moment,
    mut subscription: Subscription,
    owned_by: Option<&Principal>,
) -> Result<Subscription, Refused> {
    let application = find_application(state, subscription.application, owned_by)?;
    if application.state != ApplicationState::Approved {
        return Err(Refused::wrong_state(format!("application {} is not approved", application.name)));
    }
    let api = state.apimgt.apis.get(&subscription.api).filter(|api| api.is_offered_to(&application.tenant));
    let api = Arc::clone(api.ok_or_else(|| Refused::not_found("API", subscription.api))?);
    if !matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped) {
        let reason = format!("API {} {} is {} and takes no subscriptions", api.name, api.version, api.lifecycle);
        return Err(Refused::wrong_state(reason));
    }
    check_plan(state, &api, &subscription.plan)?;
    let pair = (subscription.application, subscription.api);
    if state.apimgt.subscriptions_by_application.contains_key(&pair) {
        let key = format!("of application {} to API {} {}", application.name, api.name, api.version);
        return Err(Refused::exists("subscription", key));
    }
    if state.apimgt.subscriptions.contains_key(&subscription.id) {
        return Err(Refused::exists("subscription", subscription.id));
    }
    subscription.tenant = application.tenant.clone();
    subscription.created_at = moment.now;
    if tasks::are_wanted(state, &application.tenant, TaskKind::SubscriptionCreation) {
        let task = tasks::draft(state, moment, question(&subscription, &application, &api))?;
        subscription.state = SubscriptionState::OnHold;
        tasks::open(state, task);
    }
    keep_subscription(state, subscription.clone());
    Ok(subscription)
}

/// Returns what is asked before a subscription is good for calls.
fn question(subscription: &Subscription, application: &Application, api: &Api) -> Question {
    let (owner, plan) = (&application.owner, &subscription.plan);
    Question {
        tenant: application.tenant.clone(),
        subject: TaskSubject::Subscription(subscription.id),
        about: subscription.id.to_string(),
        description: format!(
            "Approve API [{} - {}] subscription creation request from subscriber - {owner} for the application - {}",
            api.name, api.version, application.name
        ),
        properties: vec![
            ("apiName", api.name.clone()),
            ("apiVersion", api.version.clone()),
            ("subscriber", owner.0.clone()),
            ("applicationName", application.name.clone()),
            ("subscriptionTier", plan.clone()),
        ],
        asked_by: Principal { tenant: application.tenant.clone(), username: owner.clone() },
    }
}

/// Refuses a plan that the API does not offer or that does not exist.
pub(super) fn check_plan(state: &State, api: &Api, plan: &str) -> Result<(), Refused> {
    let key = (api.tenant.clone(), PolicyLevel::Subscription, plan.to_owned());
    if offers(state, api, plan) && state.apimgt.policies.contains_key(&key) {
        return Ok(());
    }
    let reason = format!("API {} {} has no plan {plan}; it has: {}", api.name, api.version, api.plans.join(", "));
    Err(Refused::invalid("throttlingPolicy", reason))
}

/// Says whether an API has a plan for anybody: for everybody, or for an organization, which the Store knows. Below the
/// feature level that brought organizations there are none.
pub(super) fn offers(state: &State, api: &Api, plan: &str) -> bool {
    api.plans.iter().any(|one| one == plan)
        || (state.feature_level() >= ORGANIZATIONS_SINCE && api.has_organization_plan(plan))
}

#[cfg(test)]
mod tests {
    use portcullis_model::{QuotaPolicy, TenantDomain};
    use serde_json::json;

    use super::super::CreateApplication;
    use super::super::store_fixture::{Fixture, api, application, subscription};
    use super::*;

    fn create(fixture: &mut Fixture, number: u8, plan: &str) -> Result<Subscription, Refused> {
        fixture.apply(CreateSubscription { subscription: subscription(number, 1, 7, plan), owned_by: None })
    }

    #[test]
    fn an_application_subscribes_once_with_a_plan_of_the_api() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        for plan in ["Silver", "Nothing", "50PerMin"] {
            assert!(matches!(create(&mut fixture, 3, plan), Err(Refused::Invalid { .. })), "{plan}");
        }
        create(&mut fixture, 3, "Gold").unwrap();
        assert!(matches!(create(&mut fixture, 4, "Bronze"), Err(Refused::AlreadyExists { .. })));
        assert_eq!(fixture.state.apimgt.subscriptions.len(), 1);
        assert_eq!(fixture.state.apimgt.subscriptions_by_api.len(), 1);
    }

    #[test]
    fn another_tenant_subscribes_to_what_is_open_to_it_alone() {
        let fields = |text: &str| Api {
            tenant: TenantDomain("shop.example".to_owned()),
            other_fields: text.to_owned(),
            ..api(7)
        };
        let specific =
            |tenant| json!({"subscriptionAvailability": "SPECIFIC_TENANTS", "subscriptionAvailableTenants": [tenant]});
        for (text, is_open) in [
            ("{}".to_owned(), false),
            (json!({"subscriptionAvailability": "CURRENT_TENANT"}).to_string(), false),
            (specific("other.example").to_string(), false),
            (specific("carbon.super").to_string(), true),
            (json!({"subscriptionAvailability": "ALL_TENANTS"}).to_string(), true),
        ] {
            let mut fixture = Fixture::new();
            fixture.publish(fields(&text));
            fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
            let gold = fixture.state.apimgt.policies.values().find(|policy| policy.name == "Gold").cloned().unwrap();
            let theirs = QuotaPolicy { tenant: TenantDomain("shop.example".to_owned()), ..gold.as_ref().clone() };
            let key = (theirs.tenant.clone(), theirs.level, theirs.name.clone());
            fixture.state.apimgt.policies.insert(key, Arc::new(theirs));
            let made = create(&mut fixture, 3, "Gold");
            assert_eq!(made.is_ok(), is_open, "{text}: {made:?}");
        }
    }

    #[test]
    fn an_api_that_is_not_published_takes_no_subscription() {
        let mut fixture = Fixture::new();
        fixture.apply(CreateApplication { application: application(1, "Shop") }).unwrap();
        assert!(matches!(create(&mut fixture, 3, "Gold"), Err(Refused::NotFound { .. })));
        for lifecycle in [Lifecycle::Created, Lifecycle::Blocked, Lifecycle::Deprecated, Lifecycle::Retired] {
            fixture.publish(Api { lifecycle, ..api(7) });
            assert!(matches!(create(&mut fixture, 3, "Gold"), Err(Refused::WrongState { .. })), "{lifecycle}");
        }
        fixture.publish(Api { lifecycle: Lifecycle::Prototyped, ..api(7) });
        create(&mut fixture, 3, "Gold").unwrap();
    }
}
