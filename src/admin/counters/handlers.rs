//! Handles what is asked about counters: a part of the list, with names in place of ids.

use actix::{Context, Handler, Message};
use portcullis_database::counters::listing::CounterStanding;
use portcullis_database::handle::{View, wall_clock};
use portcullis_database::{Apimgtdb, access};
use portcullis_model::counter::CounterSubject;
use portcullis_model::{ApiId, ApplicationId, CounterKey, PolicyLevel, TenantDomain, Username};

use crate::actor::Admin;

/// Asks for counters in the order of their keys.
#[derive(Clone, Debug, Message)]
#[rtype(result = "CountersPart")]
pub(crate) struct ListCounters {
    /// Whose; everybody's where none is named.
    pub(crate) tenant: Option<TenantDomain>,
    pub(crate) level: Option<PolicyLevel>,
    /// The policy's name.
    pub(crate) policy: Option<String>,
    /// The application's name.
    pub(crate) application: Option<String>,
    pub(crate) user: Option<Username>,
    pub(crate) after: Option<CounterKey>,
    pub(crate) limit: usize,
}

/// A part of the list.
#[derive(Clone, Debug)]
pub(crate) struct CountersPart {
    pub(crate) shown: Vec<ShownCounter>,
    /// Where the next part begins: after this.
    pub(crate) next: Option<CounterKey>,
}

/// A counter, and what it counts in words.
#[derive(Clone, Debug)]
pub(crate) struct ShownCounter {
    pub(crate) standing: CounterStanding,
    /// What it is about: `Shop of mia, Pizza 1.0.0`.
    pub(crate) about: String,
}

impl ListCounters {
    fn picks(&self, view: &View<access::Admin>, key: &CounterKey) -> bool {
        let is_of_application = |wanted: &String| {
            let known = key.application().and_then(|id| view.read::<Apimgtdb>().applications.get(&id));
            known.is_some_and(|known| known.name == *wanted || known.id.to_string() == *wanted)
        };
        self.tenant.as_ref().is_none_or(|tenant| *tenant == key.tenant)
            && self.level.is_none_or(|level| key.level().policy_level() == Some(level))
            && self.policy.as_ref().is_none_or(|policy| *policy == key.policy)
            && self.user.as_ref().is_none_or(|user| key.user() == Some(user))
            && self.application.as_ref().is_none_or(is_of_application)
    }
}

impl Handler<ListCounters> for Admin {
    type Result = actix::MessageResult<ListCounters>;

    fn handle(&mut self, message: ListCounters, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        let now = wall_clock().max(view.now());
        let picks = |key: &CounterKey| message.picks(&view, key);
        let page = view.counters().page(&picks, message.after.as_ref(), message.limit);
        let standings = page.keys.iter().filter_map(|key| view.counters().standing_of(key, now));
        let shown = standings.map(|standing| ShownCounter { about: about(&view, &standing.key), standing });
        actix::MessageResult(CountersPart { shown: shown.collect(), next: page.next })
    }
}

fn about(view: &View<access::Admin>, key: &CounterKey) -> String {
    let data = view.read::<Apimgtdb>();
    let api =
        |id: &ApiId| data.apis.get(id).map_or_else(|| id.to_string(), |api| format!("{} {}", api.name, api.version));
    let application = |id: &ApplicationId| {
        data.applications.get(id).map_or_else(|| id.to_string(), |one| format!("{} of {}", one.name, one.owner))
    };
    let of_user = |user: &Option<Username>| user.as_ref().map(|user| format!(", {user}")).unwrap_or_default();
    match &key.subject {
        CounterSubject::Subscription { application: id, api: called }
        | CounterSubject::SubscriptionBurst { application: id, api: called }
        | CounterSubject::SubscriptionUnit { application: id, api: called, .. } => {
            format!("{}, {}", application(id), api(called))
        }
        CounterSubject::Application { application: id, user }
        | CounterSubject::ApplicationBurst { application: id, user } => {
            format!("{}, called for {user}", application(id))
        }
        CounterSubject::Api { api: called, user, .. } => format!("{}{}", api(called), of_user(user)),
        CounterSubject::Resource { api: called, operation, user, .. } => {
            format!("{} {operation}{}", api(called), of_user(user))
        }
        CounterSubject::Custom(text) => text.clone(),
        CounterSubject::ApiMaximum { api: called, key_type } => {
            format!("{}, {} keys", api(called), key_type.as_contract())
        }
        CounterSubject::Anonymous { api: called, client } => format!("{}, without a key from {client}", api(called)),
    }
}
