//! Handles what is asked about limits: which ones a call would meet. Nothing is counted.

use actix::{Context, Handler};
use portcullis_database::Apimgtdb;
use portcullis_database::access;
use portcullis_database::counters::Terms;
use portcullis_database::handle::View;
use portcullis_model::api::versioned_context;
use portcullis_model::throttle::deny_list::{Suspect, SuspectApplication};
use portcullis_model::throttle::{ApiPlan, Call, Caller, CustomPlan, DenyList, MetLimit, Subscriber, TokenClaims};
use portcullis_model::{Application, DeployedApi, Refused, TenantDomain, Username};

use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{LimitStanding, TestCall, TestedCall};

impl Handler<TestCall> for Admin {
    type Result = Result<TestedCall, AdminError>;

    fn handle(&mut self, message: TestCall, _context: &mut Context<Self>) -> Self::Result {
        Ok(test(&self.handle.view(), &message)?)
    }
}

fn test(view: &View<access::Admin>, wanted: &TestCall) -> Result<TestedCall, Refused> {
    let deployed = view.deployed();
    let api = api_of(view, wanted)?;
    let number = operation_of(&api, wanted)?;
    let (plan, _) = ApiPlan::compile(&api, &wanted.environment, deployed);
    let custom = deployed.custom_rules().filter_map(|(policy, rule)| CustomPlan::compile(policy, rule).ok().flatten());
    let custom: Vec<CustomPlan> = custom.collect();
    let application = application_of(view, wanted)?;
    let caller = application.as_ref().map(|application| Known::of(view, wanted, &api, application)).transpose()?;
    let anonymous = Caller::ANONYMOUS;
    let call = Call {
        client: wanted.client,
        headers: &wanted.headers,
        query: &wanted.query,
        api_context: plan.context(),
        api_version: plan.version(),
        api_tenant: &api.tenant.0,
        resource_key: plan.resource_key(number),
        caller: caller.as_ref().map_or(anonymous, |known| known.caller(&wanted.claims)),
    };
    let subscriber = caller.as_ref().map(|known| known.subscriber(wanted));
    let limits = plan.meets(number, &call, subscriber.as_ref(), &custom, deployed);
    let suspect = Suspect {
        client: wanted.client,
        api_context: plan.context(),
        api_tenant: &api.tenant,
        application: application.as_ref().map(|one| SuspectApplication {
            owner: &one.owner,
            name: &one.name,
            tenant: &one.tenant,
        }),
        user: caller.as_ref().map(|known| (&known.user, &known.tenant)),
    };
    let denied_by = DenyList::compile(deployed.denials()).denial(&suspect, view.now());
    let limits = limits.iter().map(|limit| standing(view, &plan, limit)).collect();
    Ok(TestedCall { denied_by, limits })
}

/// What is known of who calls.
struct Known {
    user: Username,
    user_id: String,
    application_id: String,
    tenant: TenantDomain,
    application_policy: String,
    plan: String,
    application: portcullis_model::ApplicationId,
}

impl Known {
    fn of(
        view: &View<access::Admin>,
        wanted: &TestCall,
        api: &DeployedApi,
        application: &Application,
    ) -> Result<Self, Refused> {
        let database = view.read::<Apimgtdb>();
        let id = database.subscriptions_by_application.get(&(application.id, api.id));
        let subscription = id.and_then(|id| database.subscriptions.get(id));
        let unsubscribed = || {
            let reason = format!("{} is not subscribed to {} {}", application.name, api.name, api.version);
            Refused::invalid("application", reason)
        };
        let plan = subscription.ok_or_else(unsubscribed)?.plan.clone();
        let user = wanted.user.clone().unwrap_or_else(|| application.owner.clone());
        Ok(Self {
            user_id: format!("{user}@{}", application.tenant),
            user,
            application_id: application.id.to_string(),
            tenant: application.tenant.clone(),
            application_policy: application.policy.clone(),
            plan,
            application: application.id,
        })
    }

    fn caller<'a>(&'a self, claims: &'a dyn TokenClaims) -> Caller<'a> {
        Caller {
            user_id: &self.user_id,
            application_id: &self.application_id,
            application_tenant: &self.tenant.0,
            claims,
        }
    }

    fn subscriber(&self, wanted: &TestCall) -> Subscriber<'_> {
        Subscriber {
            application: self.application,
            tenant: &self.tenant,
            application_policy: &self.application_policy,
            plan: &self.plan,
            user: &self.user,
            key_type: wanted.key_type,
        }
    }
}

/// Finds the API by id, by its context with the version, or as NAME:VERSION.
fn api_of(view: &View<access::Admin>, wanted: &TestCall) -> Result<DeployedApi, Refused> {
    let text = wanted.api.as_str();
    let is_meant = |api: &DeployedApi| {
        api.tenant == wanted.tenant
            && (api.id.to_string() == text
                || versioned_context(&api.context, &api.version) == text
                || text.rsplit_once(':').is_some_and(|(name, version)| api.name == name && api.version == version))
    };
    let rows = view.deployed().apis.iter().filter(|((environment, _), _)| *environment == wanted.environment);
    let found = rows.map(|(_, api)| api).find(|api| is_meant(api));
    let missing = || {
        let reason = format!(
            "no API {text} is deployed in {}; give its id, NAME:VERSION, or its context with the version",
            wanted.environment
        );
        Refused::invalid("api", reason)
    };
    found.map(|api| api.as_ref().clone()).ok_or_else(missing)
}

/// Finds the operation by verb and template, or by a path that begins as the template does.
fn operation_of(api: &DeployedApi, wanted: &TestCall) -> Result<usize, Refused> {
    let fits = |template: &str| {
        let (mut templates, mut segments) =
            (template.trim_matches('/').split('/'), wanted.path.trim_matches('/').split('/'));
        loop {
            match (templates.next(), segments.next()) {
                (None, None) => return true,
                (Some("*"), _) => return true,
                (Some(one), Some(segment)) if one == segment || one.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let found = api.operations.iter().position(|one| one.verb == wanted.verb && one.target == wanted.path);
    let found = found.or_else(|| api.operations.iter().position(|one| one.verb == wanted.verb && fits(&one.target)));
    found.ok_or_else(|| {
        let known: Vec<_> = api.operations.iter().take(10).map(|one| format!("{} {}", one.verb, one.target)).collect();
        let reason = format!("{} {} is no operation of the API; it has {}", wanted.verb, wanted.path, known.join(", "));
        Refused::invalid("path", reason)
    })
}

fn application_of(view: &View<access::Admin>, wanted: &TestCall) -> Result<Option<Application>, Refused> {
    let Some(text) = wanted.application.as_deref() else { return Ok(None) };
    let all = view.read::<Apimgtdb>().applications.values().filter(|one| one.tenant == wanted.tenant);
    let found: Vec<_> = all.filter(|one| one.id.to_string() == text || one.name == text).collect();
    match found.as_slice() {
        [one] => Ok(Some(one.as_ref().clone())),
        [] => Err(Refused::invalid("application", format!("there is no application {text}"))),
        _ => Err(Refused::invalid("application", format!("several users have an application {text}: give its id"))),
    }
}

fn standing(view: &View<access::Admin>, plan: &ApiPlan, limit: &MetLimit) -> LimitStanding {
    let key = &limit.counter;
    let counters = view.counters();
    let terms = Terms::of(view.deployed(), &key.limit_key());
    let open = counters.standing_of(key, view.now()).filter(|standing| !standing.is_over);
    let bound = terms.map_or(0, |terms| terms.limit);
    LimitStanding {
        level: key.level(),
        policy: key.policy.clone(),
        key: key.in_the_originals_form(plan.context(), plan.version()),
        counter: key.to_string(),
        unit: limit.unit,
        limit: bound,
        window_ms: terms.map_or(0, |terms| terms.length_ms),
        kind: terms.map(|terms| terms.kind).unwrap_or_default(),
        remaining: open.as_ref().map_or(bound, |standing| standing.remaining),
        resets_at: open.map(|standing| standing.ends_at),
    }
}
