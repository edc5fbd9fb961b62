//! Subscriptions of a subscriber's applications.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_database::statistics::reading::calls_of;
use portcullis_database::{Apimgtdb, Committed, Statdb, command, monetization};
use portcullis_http::{List, Stamped, etag};
use portcullis_model::statistics::usage;
use portcullis_model::{
    Api, ApiId, ApplicationId, Refused, Subscription, SubscriptionId, SubscriptionState, Timestamp,
};
use uuid::Uuid;

use crate::actor::{Desk, Request, StoreView};
use crate::apis::{find_offered, looks_of, plan_names, stamped};
use crate::applications::{apis_of, applications_of, find_owned};
use crate::dto::api::ApiInfoDto;
use crate::dto::application::ApplicationInfoDto;
use crate::dto::subscription::{SubscriptionBody, SubscriptionDto, UpdateSubscriptionBody, UsageDto};
use crate::error::StoreError;
use crate::messages::{
    CreateSubscription, CreateSubscriptions, DeleteSubscription, GetSubscription, GetSubscriptionUsage,
    ListSubscriptions, Subscriber, UpdateSubscription,
};
use crate::policies::may_choose;

/// Subscriptions in one request.
const SUBSCRIPTIONS_AT_ONCE: usize = 100;

impl Request for ListSubscriptions {
    type Reply = Stamped<List<SubscriptionDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let applications: Vec<ApplicationId> = match (self.application, self.api) {
            (Some(id), _) => vec![find_owned(&view, &self.subscriber, id)?.id],
            (None, Some(_)) => applications_of(&view, &self.subscriber).iter().map(|one| one.id).collect(),
            (None, None) => {
                let reason = "either applicationId or apiId must be given as a query parameter";
                return Err(Refused::invalid("applicationId", reason).into());
            }
        };
        let found: Vec<Arc<Subscription>> =
            applications.into_iter().flat_map(|id| subscriptions_of(&view, id, self.api)).collect();
        let total = found.len();
        let shown = found.iter().skip(self.page.offset).take(self.page.limit);
        let shown = shown.map(|one| describe(&view, one)).collect();
        Ok(stamped(List::part(shown, total, self.page), &view))
    }
}

impl Request for CreateSubscription {
    type Reply = Stamped<SubscriptionDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let subscription = prepare(&view, &self.subscriber, self.body, "")?;
        let owned_by = Some(self.subscriber.principal.clone());
        let create = command::CreateSubscription { subscription, owned_by };
        let made = desk.submit(create, &self.subscriber).await?;
        Ok(reply(&desk, made))
    }
}

impl Request for CreateSubscriptions {
    type Reply = Stamped<Vec<SubscriptionDto>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let count = self.bodies.len();
        if count == 0 || count > SUBSCRIPTIONS_AT_ONCE {
            let reason = format!("must hold 1 to {SUBSCRIPTIONS_AT_ONCE} subscriptions, not {count}");
            return Err(Refused::invalid("body", reason).into());
        }
        let view = desk.view_for(self.subscriber.consistency).await?;
        let mut subscriptions = Vec::with_capacity(count);
        for (number, body) in self.bodies.into_iter().enumerate() {
            subscriptions.push(prepare(&view, &self.subscriber, body, &format!("[{number}]."))?);
        }
        let owned_by = Some(self.subscriber.principal.clone());
        let create = command::CreateSubscriptions { subscriptions, owned_by };
        let Committed { reply, index, unreached } = desk.submit(create, &self.subscriber).await?;
        let view = desk.view();
        Ok(Stamped { body: reply.iter().map(|one| describe(&view, one)).collect(), index, unreached })
    }
}

impl Request for GetSubscription {
    type Reply = Stamped<SubscriptionDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let subscription = find(&view, &self.subscriber, self.subscription)?;
        Ok(stamped(describe(&view, &subscription), &view))
    }
}

impl Request for GetSubscriptionUsage {
    type Reply = Stamped<UsageDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let subscription = find(&view, &self.subscriber, self.subscription)?;
        let (database, stat) = (view.read::<Apimgtdb>(), view.read::<Statdb>());
        let mut properties = usage::properties(&calls_of(stat, subscription.api, subscription.application));
        if let Some(api) = database.apis.get(&subscription.api).filter(|api| api.is_monetized()) {
            properties.extend(monetization::pending_invoice(database, stat, &api.tenant, &subscription, view.now()));
        }
        Ok(stamped(UsageDto { properties }, &view))
    }
}

impl Request for UpdateSubscription {
    type Reply = Stamped<SubscriptionDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let old = find(&view, &self.subscriber, self.subscription)?;
        check_same(&self.body, &old)?;
        let plan = self.body.requested_throttling_policy.or(self.body.throttling_policy);
        let plan = plan.ok_or_else(|| Refused::invalid("throttlingPolicy", "is required"))?;
        let api = view.read::<Apimgtdb>().apis.get(&old.api).ok_or_else(|| Refused::not_found("API", old.api))?;
        check_plan(&view, &self.subscriber, api, &plan)?;
        let owned_by = Some(self.subscriber.principal.clone());
        let update = command::UpdateSubscription { id: self.subscription, owned_by, plan };
        let updated = desk.submit(update, &self.subscriber).await?;
        Ok(reply(&desk, updated))
    }
}

impl Request for DeleteSubscription {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        if !self.condition.is_empty() {
            let view = desk.view_for(self.subscriber.consistency).await?;
            let body = serde_json::to_vec(&describe(&view, &*find(&view, &self.subscriber, self.subscription)?))?;
            if etag::check_if_match(&self.condition, &etag::of(&body)).is_err() {
                let key = self.subscription.to_string();
                return Err(Refused::Stale { noun: "subscription".to_owned(), key }.into());
            }
        }
        let owned_by = Some(self.subscriber.principal.clone());
        let delete = command::DeleteSubscription { id: self.subscription, owned_by };
        let Committed { index, unreached, .. } = desk.submit(delete, &self.subscriber).await?;
        Ok(Stamped { body: (), index, unreached })
    }
}

/// Makes a subscription of what was asked for. `at` is where in the request it stands, for the error.
fn prepare(
    view: &StoreView,
    subscriber: &Subscriber,
    body: SubscriptionBody,
    at: &str,
) -> Result<Subscription, StoreError> {
    let no_uuid = |field: &str| Refused::invalid(&format!("{at}{field}"), "must be the id (a UUID) of an existing one");
    let application: ApplicationId = body.application_id.parse().map_err(|_| no_uuid("applicationId"))?;
    let api: ApiId = body.api_id.parse().map_err(|_| no_uuid("apiId"))?;
    // Only what the subscriber may see can be subscribed to; the state machine checks the rest.
    let visible = find_offered(view, subscriber, api)?;
    check_plan(view, subscriber, &visible, &body.throttling_policy)?;
    Ok(Subscription {
        id: SubscriptionId::from_random(random_bytes()),
        tenant: subscriber.principal.tenant.clone(),
        application,
        api,
        plan: body.throttling_policy,
        state: SubscriptionState::Unblocked,
        subscriber: subscriber.username().clone(),
        created_at: Timestamp(0),
    })
}

/// Refuses a plan that is not for the subscriber's roles, or not among those of the subscriber's organization.
fn check_plan(view: &StoreView, subscriber: &Subscriber, api: &Api, plan: &str) -> Result<(), Refused> {
    // Roles of another tenant are none in this one.
    let is_own = subscriber.principal.tenant == api.tenant;
    let names = plan_names(view, api, &subscriber.as_visitor());
    if !names.iter().any(|name| name == plan) {
        let (name, version) = (&api.name, &api.version);
        let reason = format!("API {name} {version} has no plan {plan}; it has: {}", names.join(", "));
        return Err(Refused::invalid("throttlingPolicy", reason));
    }
    if may_choose(view, &api.tenant, plan, if is_own { &subscriber.roles } else { &[] }) {
        return Ok(());
    }
    Err(Refused::NotAllowed { reason: format!("the business plan {plan} is not for your roles") })
}

/// Refuses a change of what does not change: application, API and state.
fn check_same(body: &UpdateSubscriptionBody, old: &Subscription) -> Result<(), Refused> {
    if body.application_id.as_ref().is_some_and(|id| *id != old.application.to_string()) {
        return Err(Refused::invalid("applicationId", "cannot change: subscribe the other application instead"));
    }
    if body.api_id.as_ref().is_some_and(|id| *id != old.api.to_string()) {
        return Err(Refused::invalid("apiId", "cannot change: subscribe to the other API instead"));
    }
    match body.status {
        Some(status) if status.as_contract() != old.state.as_contract() => {
            let reason = format!("is {} and is changed in the Publisher only", old.state.as_contract());
            Err(Refused::invalid("status", reason))
        }
        _ => Ok(()),
    }
}

fn subscriptions_of(view: &StoreView, application: ApplicationId, api: Option<ApiId>) -> Vec<Arc<Subscription>> {
    let database = view.read::<Apimgtdb>();
    let (first, last) = api.map_or((ApiId(Uuid::nil()), ApiId(Uuid::max())), |api| (api, api));
    let ids = database.subscriptions_by_application.range((application, first)..=(application, last));
    let mut found: Vec<_> = ids.filter_map(|(_, id)| database.subscriptions.get(id)).cloned().collect();
    found.sort_by_key(|one| (one.created_at, one.id));
    found
}

fn find(view: &StoreView, subscriber: &Subscriber, id: SubscriptionId) -> Result<Arc<Subscription>, Refused> {
    let found = view.read::<Apimgtdb>().subscriptions.get(&id);
    let subscription = found.ok_or_else(|| Refused::not_found("subscription", id))?;
    if find_owned(view, subscriber, subscription.application).is_err() {
        let reason = format!("you do not have permission to access the subscription with id {id}");
        return Err(Refused::NotAllowed { reason });
    }
    Ok(Arc::clone(subscription))
}

fn reply(desk: &Desk, committed: Committed<Subscription>) -> Stamped<SubscriptionDto> {
    let Committed { reply, index, unreached } = committed;
    Stamped { body: describe(&desk.view(), &reply), index, unreached }
}

fn describe(view: &StoreView, subscription: &Subscription) -> SubscriptionDto {
    let database = view.read::<Apimgtdb>();
    let api = database.apis.get(&subscription.api).map(|api| ApiInfoDto::new(api, looks_of(view, api.id)));
    let application = database.applications.get(&subscription.application);
    let application = application.map(|one| ApplicationInfoDto::new(one, apis_of(view, one.id).count()));
    SubscriptionDto::new(subscription, api, application)
}
