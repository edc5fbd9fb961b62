//! Counters: who holds what, what was used, and giving a limit anew.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use portcullis_database::codec;
use portcullis_database::command::ResetCounters;
use portcullis_database::counters::listing::{CounterStanding, LIST_MAX, NodeStanding};
use portcullis_database::{Caller, handle};
use portcullis_http::time::rfc3339;
use portcullis_http::{ApiError, Body, Problem, Signed, Stamped};
use portcullis_model::counter::CounterSelector;
use portcullis_model::port::Identity;
use portcullis_model::{ApplicationId, CounterKey, PolicyLevel, Principal, TenantDomain, Username};
use serde::{Deserialize, Serialize};

use super::{Face, administrator};

/// Counters listed where the caller does not say.
const LIMIT_DEFAULT: usize = 100;
/// Entries of one reset, so that it ends.
const ENTRIES_MAX: usize = 2_000;

/// Which counters. All that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    tenant: Option<String>,
    level: Option<String>,
    policy: Option<String>,
    application: Option<String>,
    user: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
struct CounterList {
    count: usize,
    list: Vec<CounterBody>,
    /// What `after` is for the next page, where there is one.
    next: Option<String>,
}

#[derive(Serialize)]
struct CounterBody {
    key: String,
    tenant: String,
    policy: String,
    application: Option<String>,
    user: Option<String>,
    limit: u64,
    begins_at: String,
    ends_at: String,
    is_sliding: bool,
    is_over: bool,
    pool: u64,
    remaining: u64,
    owed: u64,
    is_dry: bool,
    is_exhausted: bool,
    used_in_all: u64,
    holdings: Vec<NodeStanding>,
}

#[derive(Serialize)]
struct UsageList {
    count: usize,
    list: Vec<UsageBody>,
    next: Option<String>,
}

#[derive(Serialize)]
struct UsageBody {
    key: String,
    tenant: String,
    policy: String,
    used_in_all: u64,
}

#[derive(Serialize)]
struct ResetBody {
    count: u64,
}

impl CounterBody {
    fn of(standing: CounterStanding) -> Self {
        let CounterStanding { key, limit, is_sliding, is_over, pool, remaining, .. } = standing;
        Self {
            key: key.to_string(),
            application: key.application().map(|application| application.to_string()),
            user: key.user().map(ToString::to_string),
            tenant: key.tenant.to_string(),
            policy: key.policy,
            limit,
            begins_at: rfc3339(standing.begins_at),
            ends_at: rfc3339(standing.ends_at),
            is_sliding,
            is_over,
            pool,
            remaining,
            owed: standing.owed,
            is_dry: standing.is_dry,
            is_exhausted: standing.is_exhausted,
            used_in_all: standing.used_in_all,
            holdings: standing.holdings,
        }
    }
}

impl Which {
    /// Returns what picks the counters; of all tenants where an administrator of the first asks for none.
    fn picker(&self, principal: &Principal) -> Result<(Option<TenantDomain>, CounterSelector), Problem> {
        let own = principal.tenant.clone();
        let wanted = self.tenant.clone().map(TenantDomain);
        if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != own && !own.is_super()) {
            return Err(Problem::forbidden(format!("{principal} may not see the counters of tenant {wanted}")));
        }
        let tenant = if own.is_super() { wanted } else { Some(own.clone()) };
        let selector = CounterSelector {
            tenant: tenant.clone().unwrap_or(own),
            level: self.level.as_deref().map(level).transpose()?,
            policy: self.policy.clone(),
            application: self.application.as_deref().map(application).transpose()?,
            user: self.user.clone().map(Username),
        };
        Ok((tenant, selector))
    }

    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIST_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(wrong("limit", &format!("must be 1 to {LIST_MAX}")))
        }
    }

    fn after(&self) -> Result<Option<CounterKey>, Problem> {
        let Some(text) = &self.after else { return Ok(None) };
        let bytes = hex::decode(text).ok().and_then(|bytes| codec::decode(&bytes).ok());
        bytes.map(Some).ok_or_else(|| wrong("after", "must be what `next` of the page before was"))
    }
}

fn wrong(field: &str, what: &str) -> Problem {
    Problem::bad_request(format!("{field}: {what}"))
}

fn level(text: &str) -> Result<PolicyLevel, Problem> {
    match text {
        "subscription" => Ok(PolicyLevel::Subscription),
        "application" => Ok(PolicyLevel::Application),
        "advanced" => Ok(PolicyLevel::Advanced),
        "custom" => Ok(PolicyLevel::Custom),
        _ => Err(wrong("level", "must be subscription, application, advanced or custom")),
    }
}

fn application(text: &str) -> Result<ApplicationId, Problem> {
    text.parse().map_err(|_| wrong("application", "must be an application's id (portcullis app list)"))
}

fn next(key: Option<&CounterKey>) -> Option<String> {
    key.and_then(|key| codec::encode(key).ok()).map(hex::encode)
}

pub(super) async fn list(
    State(face): State<Face>,
    signed: Result<Signed, ApiError>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let principal = administrator(signed)?.principal;
    let (tenant, selector) = which.picker(&principal)?;
    let picks = |key: &CounterKey| picks(&selector, tenant.as_ref(), key);
    let view = face.handle.view();
    let now = handle::wall_clock().max(view.now());
    let page = view.counters().page(&picks, which.after()?.as_ref(), which.limit()?);
    let standings = page.keys.iter().filter_map(|key| view.counters().standing_of(key, now));
    let list: Vec<CounterBody> = standings.map(CounterBody::of).collect();
    Ok(Json(CounterList { count: list.len(), list, next: next(page.next.as_ref()) }).into_response())
}

fn picks(selector: &CounterSelector, tenant: Option<&TenantDomain>, key: &CounterKey) -> bool {
    let of_tenant = CounterSelector { tenant: key.tenant.clone(), ..selector.clone() };
    tenant.is_none_or(|tenant| *tenant == key.tenant) && of_tenant.picks(key)
}

pub(super) async fn usage(
    State(face): State<Face>,
    signed: Result<Signed, ApiError>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let principal = administrator(signed)?.principal;
    let (tenant, selector) = which.picker(&principal)?;
    let picks = |key: &CounterKey| picks(&selector, tenant.as_ref(), key);
    let view = face.handle.view();
    let page = view.counters().usage_page(&picks, which.after()?.as_ref(), which.limit()?);
    let row = |key: &CounterKey| UsageBody {
        key: key.to_string(),
        tenant: key.tenant.to_string(),
        policy: key.policy.clone(),
        used_in_all: view.counters().usage.get(key).copied().unwrap_or(0),
    };
    let list: Vec<UsageBody> = page.keys.iter().map(row).collect();
    Ok(Json(UsageList { count: list.len(), list, next: next(page.next.as_ref()) }).into_response())
}

pub(super) async fn reset(
    State(face): State<Face>,
    signed: Result<Signed, ApiError>,
    body: Result<Body<Which>, ApiError>,
) -> Result<Response, Problem> {
    let Identity { principal, origin, .. } = administrator(signed)?;
    let Body(which) = body?;
    let (_, selector) = which.picker(&principal)?;
    if which.policy.is_none() && which.application.is_none() && which.user.is_none() {
        return Err(wrong("policy", "give a policy, an application or a user: all counters at once are not reset"));
    }
    let caller = Caller::new(principal).from_address(origin);
    let (mut count, mut after, mut unreached, mut index) = (0, None, Vec::new(), 0);
    for _ in 0..ENTRIES_MAX {
        let command = ResetCounters { selector: selector.clone(), after: after.take() };
        let done = face.handle.submit(command, &caller).await.map_err(|fault| Problem::from_fault(&fault))?;
        count += done.reply.count;
        (unreached, index) = (done.unreached, done.index);
        after = done.reply.looked_to;
        if after.is_none() {
            break;
        }
    }
    Ok(Stamped { body: Json(ResetBody { count }), index, unreached }.into_response())
}
