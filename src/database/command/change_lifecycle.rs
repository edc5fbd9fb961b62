use std::cmp::Ordering;
use std::sync::Arc;

use portcullis_model::mediation::own_answer::answers_itself;
use portcullis_model::task::{TaskKind, TaskSubject};
use portcullis_model::{
    Api, ApiId, ApiKind, ApplicationId, Lifecycle, LifecycleAction, Refused, Subscription, SubscriptionId,
    SubscriptionState,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::create_subscription::offers;
use super::deploy_revision::leave;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::subscriptions::{keep_subscription, remove_subscription};
use crate::tasks::{self, Question};
use crate::{api_history, api_rules, level, projection};

/// Moves an API to another state of its life. In force on every live gateway when the answer comes. Replies the
/// state, which is the old one where the tenant wants such changes decided about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeLifecycle {
    /// The API.
    pub api: ApiId,
    /// What to do.
    pub action: LifecycleAction,
    /// With the first publication: whether older published versions become deprecated.
    pub deprecates_old_versions: bool,
    /// With the first publication: whether subscribers of older versions must subscribe anew; their subscriptions are
    /// copied otherwise.
    pub requires_resubscription: bool,
}

impl<C: Component> SubmittedBy<C> for ChangeLifecycle where C: Writes<Apimgtdb> {}

impl Command for ChangeLifecycle {
    type Reply = Lifecycle;
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("{} {:?}", self.api, self.action)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<Lifecycle, Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        if let Some(task) = tasks::state_change(&state.apimgt, &api) {
            let reason = format!("{}:{} waits for a decision already: {}", api.name, api.version, task.description);
            return Err(Refused::wrong_state(reason));
        }
        let waits =
            TaskKind::holds(api.lifecycle, self.action) && tasks::are_wanted(state, &api.tenant, TaskKind::ApiState);
        if !waits {
            return self.change(state, moment);
        }
        self.check(state, &api)?;
        let task = tasks::draft(state, moment, self.question(&api, moment))?;
        tasks::open(state, task);
        Ok(api.lifecycle)
    }
}

impl ChangeLifecycle {
    fn check(&self, state: &State, api: &Api) -> Result<Lifecycle, Refused> {
        let target = target_of(api, self.action)?;
        if target == Lifecycle::Published {
            check_publishable(state, api)?;
        }
        Ok(target)
    }

    fn question(&self, api: &Api, moment: &Moment) -> Question {
        let (action, user) = (self.action.as_contract(), &moment.principal.username);
        Question {
            tenant: api.tenant.clone(),
            subject: TaskSubject::ApiState {
                api: api.id,
                action: self.action,
                deprecates_old_versions: self.deprecates_old_versions,
                requires_resubscription: self.requires_resubscription,
            },
            about: api.id.to_string(),
            description: format!(
                "Pending lifecycle state change action: {action}, for API [{} - {}] by {user}",
                api.name, api.version
            ),
            properties: vec![
                ("apiName", api.name.clone()),
                ("apiVersion", api.version.clone()),
                ("apiProvider", api.provider.0.clone()),
                ("action", action.to_owned()),
                ("currentState", api.lifecycle.as_contract().to_owned()),
            ],
            asked_by: moment.principal.clone(),
        }
    }

    /// Does it, whether or not such changes wait for a decision.
    pub(super) fn change(self, state: &mut State, moment: &Moment) -> Result<Lifecycle, Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let target = self.check(state, &api)?;
        let is_first = matches!(api.lifecycle, Lifecycle::Created | Lifecycle::Prototyped);
        move_to(state, &api, target, moment);
        if target == Lifecycle::Published && is_first {
            let older = older_versions(state, &api);
            if !self.requires_resubscription {
                copy_subscriptions(state, &api, &older, moment);
            }
            if self.deprecates_old_versions {
                for old in older.iter().filter(|old| old.lifecycle == Lifecycle::Published) {
                    move_to(state, old, Lifecycle::Deprecated, moment);
                    projection::refresh(state, &old.tenant, &old.name, old.id);
                }
            }
        }
        if target == Lifecycle::Retired {
            retire(state, self.api);
        }
        projection::refresh(state, &api.tenant, &api.name, self.api);
        Ok(target)
    }
}

fn target_of(api: &Api, action: LifecycleAction) -> Result<Lifecycle, Refused> {
    api.lifecycle.after(action).ok_or_else(|| {
        let possible: Vec<&str> = api.lifecycle.transitions().iter().map(|(one, _)| one.as_contract()).collect();
        let possible = if possible.is_empty() { "nothing".to_owned() } else { possible.join(", ") };
        Refused::wrong_state(format!(
            "{}:{} is {}: {} is not possible, but {possible}",
            api.name,
            api.version,
            api.lifecycle,
            action.as_contract()
        ))
    })
}

/// The original's guards of publication: a business plan and an endpoint, unless the API is only advertised.
fn check_publishable(state: &State, api: &Api) -> Result<(), Refused> {
    if is_advertised_only(api) {
        return Ok(());
    }
    if api.plans.is_empty() {
        return Err(Refused::invalid("policies", "publishing needs at least one business plan"));
    }
    // Events come to gateways by themselves, and some APIs answer by themselves. Nodes of the first level know neither.
    if state.feature_level() > level::FIRST && (api.kind == ApiKind::Websub || answers_itself(api)) {
        return Ok(());
    }
    let endpoints = projection::endpoints_in_force(state, api);
    if endpoints.production.is_empty() && endpoints.sandbox.is_empty() {
        return Err(Refused::invalid("endpointConfig", "publishing needs a production or a sandbox endpoint"));
    }
    Ok(())
}

fn is_advertised_only(api: &Api) -> bool {
    serde_json::from_str::<serde_json::Value>(&api.other_fields)
        .is_ok_and(|fields| fields["advertiseInfo"]["advertised"] == serde_json::Value::Bool(true))
}

fn move_to(state: &mut State, api: &Api, target: Lifecycle, moment: &Moment) {
    let moved = Api {
        lifecycle: target,
        is_default_version: api.is_default_version && target != Lifecycle::Retired,
        updated_at: api_history::time_of_change(moment, api.updated_at),
        updated_by: moment.principal.username.clone(),
        ..api.clone()
    };
    state.apimgt.apis.insert(api.id, Arc::new(moved));
    api_history::record_lifecycle(state, api.id, Some(api.lifecycle), target, moment);
}

/// Takes a retired API off all gateways and removes its subscriptions.
fn retire(state: &mut State, api: ApiId) {
    for revision in projection::revisions_of(state, api) {
        leave(state, &revision, |_| true);
    }
    for (_, id) in subscriptions_of(state, api) {
        remove_subscription(state, id);
    }
}

fn subscriptions_of(state: &State, api: ApiId) -> Vec<(ApplicationId, SubscriptionId)> {
    let first = (api, ApplicationId(uuid::Uuid::nil()));
    state
        .apimgt
        .subscriptions_by_api
        .range(first..)
        .take_while(|((its_api, _), _)| *its_api == api)
        .map(|((_, application), id)| (*application, *id))
        .collect()
}

/// Returns the other versions of the API by the same provider that come before it, oldest first.
fn older_versions(state: &State, api: &Api) -> Vec<Arc<Api>> {
    let mut older: Vec<Arc<Api>> = api_rules::versions_of(state, &api.tenant, &api.name)
        .iter()
        .filter_map(|id| state.apimgt.apis.get(id))
        .filter(|other| other.provider == api.provider)
        .filter(|other| compare_versions(&other.version, &api.version) == Ordering::Less)
        .cloned()
        .collect();
    older.sort_by(|one, other| compare_versions(&one.version, &other.version));
    older
}

/// Gives the subscribers of older versions the same subscription to this one, where it offers their plan; the newest
/// of the older versions goes first.
fn copy_subscriptions(state: &mut State, api: &Api, older: &[Arc<Api>], moment: &Moment) {
    let mut copied: u32 = 0;
    for old in older.iter().rev() {
        for (application, id) in subscriptions_of(state, old.id) {
            let Some(subscription) = state.apimgt.subscriptions.get(&id).cloned() else { continue };
            let is_usable = !matches!(subscription.state, SubscriptionState::OnHold | SubscriptionState::Rejected);
            let is_there = state.apimgt.subscriptions_by_api.contains_key(&(api.id, application));
            if !is_usable || is_there || !offers(state, api, &subscription.plan) {
                continue;
            }
            copied += 1;
            let id = derived_id(moment, copied);
            let copy = Subscription { id, api: api.id, created_at: moment.now, ..(*subscription).clone() };
            keep_subscription(state, copy);
        }
    }
}

/// Derives an id from the proposer's random bytes: how many are needed is known only here.
fn derived_id(moment: &Moment, number: u32) -> SubscriptionId {
    let digest = Sha256::new().chain_update(moment.random).chain_update(number.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    SubscriptionId::from_random(bytes)
}

/// Compares version texts: runs of digits by their value, everything else as text; `1.9.0` comes before `1.10.0`.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        match (one.is_empty(), other.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (part, rest) = leading_run(one);
        let (other_part, other_rest) = leading_run(other);
        let (number, other_number) = (part.trim_start_matches('0'), other_part.trim_start_matches('0'));
        let are_numbers =
            part.starts_with(|c: char| c.is_ascii_digit()) && other_part.starts_with(|c: char| c.is_ascii_digit());
        let order = if are_numbers {
            number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number))
        } else {
            part.cmp(other_part)
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
}

/// Splits off the longest beginning that is all digits, or has none.
fn leading_run(text: &str) -> (&str, &str) {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(text.len());
    text.split_at(end)
}
