//! `/admin/policies`: business plans and limits, by level.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::{ApiError, Signed};
use portcullis_model::{PolicyId, PolicyLevel, Quota, QuotaPolicy};
use portcullis_portal::{Fields, Frame, Tab, Viewer, Wrong, render, render_again, say_and_go};
use serde_json::{Value, json};

use super::policy_form::{LEVELS, Limit, Sent, level_of};
use super::{ADMIN, asker, frame, json_text};
use crate::actor::Admin;
use crate::admin_error::AdminError;
use crate::messages::{ChangePolicy, CreatePolicy, DeletePolicy, GetPolicy, ListPolicies};
use crate::policy_body::PolicyBody;
use crate::rest_policies::{DELETE, MANAGE, VIEW};

/// A policy in the list.
struct Row {
    id: PolicyId,
    name: String,
    limit: String,
    about: String,
    stops: bool,
}

/// The policies of a level.
struct Group {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "admin_policies.html")]
struct PoliciesPage {
    frame: Frame,
    groups: Vec<Group>,
    may_change: bool,
}

/// Returns the pages about limits.
pub(super) fn tabs(path: &str) -> Vec<Tab> {
    let tab = |(to, name): (&str, &'static str)| Tab { path: to.to_owned(), name, is_current: to == path };
    let pages = [
        ("/admin/policies", "Policies"),
        ("/admin/policies/counters", "Counters"),
        ("/admin/policies/test", "Test a call"),
    ];
    pages.map(tab).into()
}

fn limit(policy: &QuotaPolicy) -> String {
    if policy.quota.is_unlimited() {
        return "no limit".to_owned();
    }
    let what = match policy.quota {
        Quota::Requests(count) => format!("{count} calls"),
        Quota::Events(count) => format!("{count} events"),
        Quota::Bandwidth { amount, unit } => format!("{amount} {unit:?}").to_uppercase(),
        Quota::AiTokens { requests, .. } => format!("{requests} calls to models"),
    };
    let unit = policy.window.unit.as_contract();
    match policy.window.length {
        1 => format!("{what} per {unit}"),
        length => format!("{what} per {length} {unit}"),
    }
}

pub(super) async fn list(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let tenant = asker(signed, VIEW)?.principal.tenant;
    let mut groups = Vec::new();
    for (level, word, title, about) in LEVELS {
        if level == PolicyLevel::Custom && !tenant.is_super() {
            continue;
        }
        let found = admin.ask(ListPolicies { tenant: tenant.clone(), level }).await.map_err(AdminError::from)?;
        let rows = found.iter().map(|one| Row {
            id: one.policy.id,
            name: one.policy.name.clone(),
            limit: limit(&one.policy),
            about: one.policy.description.clone(),
            stops: one.policy.stops_on_quota_reach,
        });
        groups.push(Group { word, title, about, rows: rows.collect() });
    }
    let may_change = viewer.may(MANAGE);
    // Who sees the policies alone, as those who offer plans do, has no other page.
    let tabs = if viewer.may(ADMIN) { tabs("/admin/policies") } else { Vec::new() };
    let frame = frame(viewer, "/admin/policies", "Policies").beside(tabs);
    Ok(render(&PoliciesPage { frame, groups, may_change }))
}

#[derive(Template)]
#[template(path = "admin_policy.html")]
struct PolicyPage {
    frame: Frame,
    word: &'static str,
    /// The policy that is changed; `None` for a new one.
    id: Option<String>,
    sent: Sent,
    wrong: Wrong,
    may_change: bool,
}

impl PolicyPage {
    fn of(viewer: Viewer, level: &str, id: Option<String>, sent: Sent, wrong: Wrong) -> Result<Self, ApiError> {
        let (_, word, title, _) = level_of(level)?;
        let title = if id.is_none() { format!("New: {title}") } else { sent.name.clone() };
        let may_change = viewer.may(MANAGE);
        let frame = frame(viewer, "/admin/policies", &title).below("/admin/policies", "Policies");
        Ok(Self { frame, word, id, sent, wrong, may_change })
    }

    fn is_custom(&self) -> bool {
        self.word == "custom"
    }

    fn is_plan(&self) -> bool {
        self.word == "subscription"
    }
}

/// Custom rules look at the calls of all tenants.
fn check_level(level: PolicyLevel, caller: &portcullis_database::Caller) -> Result<(), ApiError> {
    if level != PolicyLevel::Custom || caller.principal.tenant.is_super() {
        return Ok(());
    }
    Err(ApiError::forbidden("Only the first tenant has custom rules."))
}

pub(super) async fn new(signed: Signed, viewer: Viewer, Path(level): Path<String>) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    check_level(level_of(&level)?.0, &caller)?;
    Ok(render(&PolicyPage::of(viewer, &level, None, Sent::new(&level), Wrong::default())?))
}

pub(super) async fn show(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path((word, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let caller = asker(signed, VIEW)?;
    let (level, ..) = level_of(&word)?;
    check_level(level, &caller)?;
    let message = GetPolicy { tenant: caller.principal.tenant, level, id: policy_id(&id)? };
    let found = admin.ask(message).await.map_err(AdminError::from)??;
    let sent = Sent::of(&json!(PolicyBody::of(&found)));
    Ok(render(&PolicyPage::of(viewer, &word, Some(id), sent, Wrong::default())?))
}

fn policy_id(text: &str) -> Result<PolicyId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("policy", text))
}

/// Reads a body of the contract.
fn body_of(value: Value) -> Result<PolicyBody, ApiError> {
    serde_json::from_value(value).map_err(|error| ApiError::bad_request(format!("json: {error}")))
}

pub(super) async fn create(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path(word): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let (level, ..) = level_of(&word)?;
    check_level(level, &caller)?;
    let made = async {
        let body = body_of(fields_as_contract(&fields, json!({}))?)?;
        let (policy, rules) = body.into_policy(caller.principal.tenant.clone(), level)?;
        Ok::<_, ApiError>(admin.ask(CreatePolicy { caller, policy, rules }).await.map_err(AdminError::from)??)
    };
    match made.await {
        Ok(made) => Ok(say_and_go(&format!("{} is made.", made.reply.policy.name), "/admin/policies")),
        Err(error) => {
            let page = PolicyPage::of(viewer, &word, None, Sent::of_fields(&fields), error.clone().into())?;
            Ok(render_again(&page, &error))
        }
    }
}

/// Returns the contract's body that a form says: the whole of it as JSON, or the few fields that most policies have.
fn fields_as_contract(fields: &Fields, before: Value) -> Result<Value, ApiError> {
    if fields.text("act") == "json" {
        return json_text::parse("json", fields.raw("json"));
    }
    Ok(Limit::of(fields)?.write(fields, before))
}

pub(super) async fn change(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    viewer: Viewer,
    Path((word, id)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, MANAGE)?;
    let (level, ..) = level_of(&word)?;
    check_level(level, &caller)?;
    let changed = async {
        let policy = policy_id(&id)?;
        let message = GetPolicy { tenant: caller.principal.tenant.clone(), level, id: policy };
        let before = admin.ask(message).await.map_err(AdminError::from)??;
        let body = body_of(fields_as_contract(&fields, json!(PolicyBody::of(&before)))?)?;
        let (changed, rules) = body.into_policy(caller.principal.tenant.clone(), level)?;
        let message = ChangePolicy { caller, id: policy, policy: changed, rules };
        Ok::<_, ApiError>(admin.ask(message).await.map_err(AdminError::from)??)
    };
    match changed.await {
        Ok(_) => Ok(say_and_go("Saved: in force on every gateway.", &format!("/admin/policies/{word}/{id}"))),
        Err(error) => {
            let page = PolicyPage::of(viewer, &word, Some(id), Sent::of_fields(&fields), error.clone().into())?;
            Ok(render_again(&page, &error))
        }
    }
}

pub(super) async fn delete(
    State(admin): State<Address<Admin>>,
    signed: Signed,
    Path((word, id)): Path<(String, String)>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let caller = asker(signed, DELETE)?;
    let (level, ..) = level_of(&word)?;
    check_level(level, &caller)?;
    admin.ask(DeletePolicy { caller, level, id: policy_id(&id)? }).await.map_err(AdminError::from)??;
    Ok(say_and_go("The policy is deleted.", "/admin/policies"))
}
