//! What the feed tells of lists that gateways keep: who is turned away, and the key templates of custom rules.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_database::State;
use portcullis_model::{DenyCondition, DenyPolicy, PolicyId, TenantDomain, Timestamp};
use serde_json::json;

use super::event::{Blocking, Event, KeyTemplate};

/// The lists as they were told.
#[derive(Default)]
pub(super) struct Lists {
    denied: BTreeMap<(TenantDomain, PolicyId), Blocking>,
    /// When the first of them ends by itself.
    ends_at: Option<Timestamp>,
    templates: BTreeSet<String>,
}

impl Lists {
    /// Says whether time alone may change them.
    pub(super) fn wait_for_time(&self) -> bool {
        self.ends_at.is_some()
    }

    /// Adds what is to be told of `new`, as of `now`; `last` is the state that was told of before.
    pub(super) fn step(&mut self, last: Option<&State>, new: &State, now: Timestamp, events: &mut Vec<Event>) {
        let has_changed = last.is_none_or(|last| !last.deployed.deny_policies.ptr_eq(&new.deployed.deny_policies));
        if has_changed || self.ends_at.is_some_and(|end| end <= now) {
            self.tell_denied(new, now, events);
        }
        if last.is_none_or(|last| !last.deployed.policy_rules.ptr_eq(&new.deployed.policy_rules)) {
            self.tell_templates(new, events);
        }
    }

    fn tell_denied(&mut self, new: &State, now: Timestamp, events: &mut Vec<Event>) {
        let in_force = new.deployed.deny_policies.iter().filter(|(_, policy)| policy.is_in_force(now));
        self.ends_at = in_force.clone().filter_map(|(_, policy)| policy.expires_at).min();
        let denied: BTreeMap<_, _> = in_force.map(|(key, policy)| (key.clone(), blocking(policy))).collect();
        for (key, before) in &self.denied {
            if denied.get(key) != Some(before) {
                events.push(Event::Blocking(Blocking { state: "false", ..before.clone() }));
            }
        }
        let are_new = denied.iter().filter(|(key, policy)| self.denied.get(key) != Some(policy));
        events.extend(are_new.map(|(_, policy)| Event::Blocking(policy.clone())));
        self.denied = denied;
    }

    fn tell_templates(&mut self, new: &State, events: &mut Vec<Event>) {
        let rules = new.deployed.policy_rules.values().filter_map(|rules| rules.custom.as_ref());
        let templates: BTreeSet<String> = rules.map(|rule| rule.key_template.clone()).collect();
        let told = |template: &String, key_template_state| {
            Event::KeyTemplate(KeyTemplate { key_template_value: template.clone(), key_template_state })
        };
        events.extend(self.templates.difference(&templates).map(|template| told(template, "remove")));
        events.extend(templates.difference(&self.templates).map(|template| told(template, "add")));
        self.templates = templates;
    }
}

fn blocking(policy: &DenyPolicy) -> Blocking {
    Blocking {
        blocking_condition: policy.condition.kind(),
        condition_value: value_of(&policy.condition),
        state: "true",
        tenant_domain: policy.tenant.to_string(),
        condition_id: policy.id.to_string(),
    }
}

/// Returns what a condition says, in the original's form: text, or JSON where it has several parts.
fn value_of(condition: &DenyCondition) -> String {
    match condition {
        DenyCondition::Api(context) => context.clone(),
        DenyCondition::Application { owner, name } => format!("{owner}:{name}"),
        DenyCondition::Ip { network, is_inverted } => {
            let address = network.trunc();
            let is_one = address.prefix_len() == address.max_prefix_len();
            let text = if is_one { address.addr().to_string() } else { address.to_string() };
            json!({"fixedIp": text, "invert": is_inverted}).to_string()
        }
        DenyCondition::IpRange { from, to, is_inverted } => {
            json!({"startingIp": from, "endingIp": to, "invert": is_inverted}).to_string()
        }
        DenyCondition::User { tenant, username } => format!("{username}@{tenant}"),
        DenyCondition::Tenant(tenant) => tenant.to_string(),
    }
}
