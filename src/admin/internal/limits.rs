//! Who is turned away, and which counters have nothing left.

use portcullis_database::Apimgtdb;
use portcullis_database::counters::listing::LIST_MAX;
use portcullis_model::api::versioned_context;
use portcullis_model::counter::CounterSubject;
use portcullis_model::{CounterKey, DenyCondition, TenantDomain};
use serde_json::{Value, json};

use super::rest::Question;
use super::written::of_tenant;

/// Counters that are looked at for one answer.
const LOOKED_AT_MAX: usize = 100_000;

/// Returns whom the tenant's deny policies turn away, by kind, as the original's traffic manager says it. Policies about a
/// whole tenant have no place in it.
pub(super) fn denied(question: &Question) -> Value {
    let (mut apis, mut applications, mut users, mut addresses) = (vec![], vec![], vec![], vec![]);
    let now = question.view.now();
    for one in of_tenant(&question.view.read::<Apimgtdb>().deny_policies, &question.tenant) {
        if !one.is_in_force(now) {
            continue;
        }
        match &one.condition {
            DenyCondition::Api(context) => apis.push(json!(context)),
            DenyCondition::Application { owner, name } => applications.push(json!(format!("{owner}:{name}"))),
            DenyCondition::User { tenant, username } => users.push(json!(format!("{username}@{tenant}"))),
            DenyCondition::Ip { network, is_inverted } => addresses.push(json!({
                "type": "IP", "fixedIp": network.to_string(), "invert": is_inverted,
                "tenantDomain": question.tenant.0, "id": one.id.to_string(),
            })),
            DenyCondition::IpRange { from, to, is_inverted } => addresses.push(json!({
                "type": "IPRANGE", "startingIp": from, "endingIp": to, "invert": is_inverted,
                "tenantDomain": question.tenant.0, "id": one.id.to_string(),
            })),
            DenyCondition::Tenant(_) => {}
        }
    }
    json!({
        "api": apis, "application": applications, "ip": addresses, "user": users, "custom": [], "subscription": [],
    })
}

/// Returns the templates by which custom rules make keys of calls.
pub(super) fn key_templates(question: &Question) -> impl Iterator<Item = Value> {
    let rules = &question.view.read::<Apimgtdb>().policy_rules;
    let is_of = |tenant: &TenantDomain| *tenant == question.tenant;
    let custom = rules.iter().filter(move |((tenant, ..), _)| is_of(tenant));
    custom.filter_map(|(_, rules)| rules.custom.as_ref()).map(|rule| rule.key_template.clone().into())
}

/// Returns the counters of the tenant that have nothing left, by the keys that the original gives them, with when they begin
/// anew, in milliseconds since 1970.
pub(super) fn spent(question: &Question) -> impl Iterator<Item = (String, u64)> {
    let counters = question.view.counters();
    let (mut after, mut looked_at) = (Some(before_all_of(&question.tenant)), 0);
    let pages = std::iter::from_fn(move || {
        if looked_at >= LOOKED_AT_MAX {
            return None;
        }
        let page = counters.list(after.as_ref(), LIST_MAX, question.view.now());
        after = Some(page.last()?.key.clone());
        looked_at += page.len();
        Some(page)
    });
    let of_tenant = pages.flatten().take_while(|one| one.key.tenant == question.tenant);
    let spent = of_tenant.filter(|one| !one.is_over && one.remaining == 0);
    spent.map(|one| (key_of(question, &one.key), one.ends_at.0))
}

/// Returns a key before all those of a tenant's counters: no policy has an empty name.
fn before_all_of(tenant: &TenantDomain) -> CounterKey {
    let subject = CounterSubject::Custom(String::new());
    CounterKey { tenant: tenant.clone(), policy: String::new(), subject }
}

fn key_of(question: &Question, key: &CounterKey) -> String {
    let api = key.api().and_then(|id| question.view.read::<Apimgtdb>().apis.get(&id));
    let (context, version) = match api {
        Some(api) => (versioned_context(&api.context, &api.version), api.version.as_str()),
        None => (String::new(), ""),
    };
    key.in_the_originals_form(&context, version)
}
