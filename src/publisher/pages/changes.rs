//! In which way an API is not what it was: between two revisions, or a revision and the API now.

use std::collections::BTreeMap;

use portcullis_model::api::{EndpointConfig, EndpointStrategy};
use portcullis_model::{Api, Operation};

/// Changes that are told.
const CHANGES_MAX: usize = 200;

/// Tells what changed from an API with its definition to another.
pub(super) fn between((then, before): (&Api, &str), (now, after): (&Api, &str)) -> Vec<String> {
    let mut changes = operations(then, now);
    changes.extend(endpoints(&then.endpoints, &now.endpoints));
    changes.extend(added_and_gone("plan ", &then.plans, &now.plans));
    let limit = |api: &Api| api.api_policy.clone().unwrap_or_else(|| "none".to_owned());
    if then.api_policy != now.api_policy {
        changes.push(format!("limit of the whole API: {} → {}", limit(then), limit(now)));
    }
    let parts = [
        ("description", then.description != now.description),
        ("security", then.security != now.security || then.authorization_header != now.authorization_header),
        ("transports", (then.has_http, then.has_https) != (now.has_http, now.has_https)),
        ("scopes", then.scopes != now.scopes),
        ("visibility", then.visibility != now.visibility || then.visible_roles != now.visible_roles),
        ("CORS", then.cors != now.cors),
        ("other settings", then.other_fields != now.other_fields),
        ("text of the definition", before != after),
    ];
    changes.extend(parts.iter().filter(|(_, is_other)| *is_other).map(|(name, _)| format!("{name} changed")));
    let more = changes.len().saturating_sub(CHANGES_MAX);
    changes.truncate(CHANGES_MAX);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    changes
}

fn operations(then: &Api, now: &Api) -> Vec<String> {
    let named = |api: &Api| -> BTreeMap<String, Operation> {
        api.operations.iter().map(|one| (format!("{} {}", one.verb, one.target), one.clone())).collect()
    };
    let (before, after) = (named(then), named(now));
    let added = after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("+ {name}"));
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("− {name}"));
    let other = before.iter().filter(|(name, one)| after.get(*name).is_some_and(|other| other != *one));
    added.chain(gone).chain(other.map(|(name, _)| format!("settings of {name} changed"))).collect()
}

/// Addresses are told, secrets never: these are in the document alone.
fn endpoints(then: &EndpointConfig, now: &EndpointConfig) -> Vec<String> {
    let urls = |of: &[portcullis_model::Endpoint]| -> Vec<String> { of.iter().map(|one| one.url.clone()).collect() };
    let mut changes = Vec::new();
    for (name, before, after) in [
        ("production endpoint ", &then.production, &now.production),
        ("sandbox endpoint ", &then.sandbox, &now.sandbox),
    ] {
        changes.extend(added_and_gone(name, &urls(before), &urls(after)));
        for one in before {
            let other = after.iter().find(|other| other.url == one.url && other.timeout_ms != one.timeout_ms);
            changes.extend(
                other.map(|other| format!("{name}{}: {} → {}", one.url, time(one.timeout_ms), time(other.timeout_ms))),
            );
        }
    }
    if then.strategy != now.strategy {
        changes.push(format!("endpoints: {} → {}", strategy(then.strategy), strategy(now.strategy)));
    }
    if changes.is_empty() && then != now {
        changes.push("settings of endpoints changed".to_owned());
    }
    changes
}

fn time(timeout_ms: Option<u64>) -> String {
    timeout_ms.map_or_else(|| "the usual time".to_owned(), |ms| format!("{ms} ms"))
}

fn strategy(strategy: EndpointStrategy) -> &'static str {
    match strategy {
        EndpointStrategy::Single => "one",
        EndpointStrategy::RoundRobin => "load balancing",
        EndpointStrategy::Failover => "failover",
    }
}

fn added_and_gone(noun: &str, before: &[String], after: &[String]) -> Vec<String> {
    let added = after.iter().filter(|one| !before.contains(one)).map(|one| format!("+ {noun}{one}"));
    let gone = before.iter().filter(|one| !after.contains(one)).map(|one| format!("− {noun}{one}"));
    added.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_model::Endpoint;

    use super::*;

    #[test]
    fn endpoints_are_told_by_their_addresses() {
        let endpoint = |url: &str, timeout_ms| Endpoint { url: url.to_owned(), timeout_ms };
        let then = EndpointConfig {
            production: vec![endpoint("http://a", None), endpoint("http://b", Some(5))],
            ..EndpointConfig::default()
        };
        let now = EndpointConfig {
            production: vec![endpoint("http://b", Some(7)), endpoint("http://c", None)],
            strategy: EndpointStrategy::Failover,
            ..EndpointConfig::default()
        };
        let told = [
            "+ production endpoint http://c",
            "− production endpoint http://a",
            "production endpoint http://b: 5 ms → 7 ms",
            "endpoints: one → failover",
        ];
        assert_eq!(endpoints(&then, &now), told);
        assert!(endpoints(&then, &then).is_empty());
        let other = EndpointConfig { document: "{}".to_owned(), ..then.clone() };
        assert_eq!(endpoints(&then, &other), ["settings of endpoints changed"]);
    }
}
