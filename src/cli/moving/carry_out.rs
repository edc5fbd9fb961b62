//! Brings a plan in: limits, APIs, applications with subscriptions, over the REST contracts. What is there already stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use portcullis_http::client::Client;
use portcullis_http::percent::encoded;
use serde_json::{Value, json};

use super::{Api, Application, FileArguments, Level, Plan, Policy, Unit};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::remote::of_client;
use crate::request::send;

const ADMIN: &str = "/api/am/admin/v4";
const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";
/// The plan of APIs that have none of their own.
const UNLIMITED: &str = "Unlimited";
/// How an operation asks for any token.
const ANY: &str = "Application & Application User";

/// Makes everything that is planned.
///
/// # Errors
/// Where the server refuses something or cannot be reached. What was made until then stays; the command can be given again.
pub(super) async fn carry_out(plan: &Plan, arguments: &FileArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let client = &remote.client;
    for policy in &plan.policies {
        make_policy(client, policy).await?;
    }
    let mut made_apis = BTreeMap::new();
    for (number, api) in plan.apis.iter().enumerate() {
        let made = make_api(client, api, arguments).await.map_err(|failure| beside(&failure, &api.name))?;
        output::say(&format!("{} of {}: {} at {}", number + 1, plan.apis.len(), api.name, api.context));
        made_apis.insert(api.name.clone(), made);
    }
    for application in &plan.applications {
        make_application(client, application, plan, &made_apis)
            .await
            .map_err(|failure| beside(&failure, &application.name))?;
    }
    let held = plan.apis.iter().filter(|api| api.is_held).count();
    let further = if held > 0 { format!("; {held} wait to be looked at and published") } else { String::new() };
    output::say(&format!("{} APIs and {} applications are here{further}", plan.apis.len(), plan.applications.len()));
    if !plan.applications.is_empty() {
        output::say(
            "next: portcullis key api-key issue APPLICATION     for each application, or keys in the developer portal",
        );
    }
    Ok(())
}

/// Says which of the things it was about.
fn beside(failure: &Failure, name: &str) -> Failure {
    let why = failure.summary();
    Failure::new(Exit::Failed, format!("{name} cannot be imported"), why, failure.next_step())
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let body: Value = client.get(path).await.map_err(|fault| of_client(&fault))?;
    Ok(body["list"].as_array().cloned().unwrap_or_default())
}

fn word(unit: Unit) -> &'static str {
    match unit {
        Unit::Sec => "sec",
        Unit::Min => "min",
        Unit::Hour => "hour",
        Unit::Days => "days",
    }
}

async fn make_policy(client: &Client, policy: &Policy) -> Result<(), Failure> {
    let kind = if policy.level == Level::Plan { "subscription" } else { "advanced" };
    let path = format!("{ADMIN}/throttling/policies/{kind}");
    if list(client, &path).await?.iter().any(|there| there["policyName"] == policy.name.as_str()) {
        return Ok(());
    }
    let (number, unit) = policy.per;
    let amount = json!({"requestCount": policy.requests, "timeUnit": word(unit), "unitTime": number});
    let mut body = json!({
        "policyName": policy.name,
        "displayName": policy.name,
        "description": "imported",
        "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": amount},
    });
    if policy.level == Level::Plan {
        body["stopOnQuotaReach"] = json!(true);
    }
    if let Some((count, unit)) = policy.burst {
        body["rateLimitCount"] = json!(count);
        body["rateLimitTimeUnit"] = json!(word(unit));
    }
    send(client, Method::POST, &path, &body).await.map_err(|failure| beside(&failure, &policy.name))?;
    Ok(())
}

/// An API that is there now.
struct Made {
    id: String,
    is_published: bool,
}

/// Makes an API, or finds the one that is there, and publishes it where that was not done yet.
async fn make_api(client: &Client, api: &Api, arguments: &FileArguments) -> Result<Made, Failure> {
    let query = encoded(&format!("name:\"{}\"", api.name));
    let there = list(client, &format!("{PUBLISHER}/apis?limit=1000&query={query}")).await?;
    let is_it = |one: &&Value| one["name"] == api.name.as_str() && one["version"] == arguments.api_version.as_str();
    let wanted = body(api, &arguments.api_version);
    let waits = arguments.no_publish || api.is_held;
    let id = if let Some(found) = there.iter().find(is_it) {
        let id = text(found, "id");
        output::say(&format!("{} {} is there already, and stays as it is", api.name, arguments.api_version));
        let state = text(found, "lifeCycleStatus");
        if state != "CREATED" || waits {
            return Ok(Made { id, is_published: state == "PUBLISHED" });
        }
        // An import that broke off, or was told not to publish, goes on here; what somebody made otherwise is theirs to publish.
        let path = format!("{PUBLISHER}/apis/{id}");
        let found: Value = client.get(&path).await.map_err(|fault| of_client(&fault))?;
        if let Some(field) = differs(&found, &wanted) {
            output::say(&format!(
                "{} is not published: its {field} is not what the file says; look at it, and publish it in the publisher",
                api.name
            ));
            return Ok(Made { id, is_published: false });
        }
        id
    } else {
        text(&send(client, Method::POST, &format!("{PUBLISHER}/apis"), &wanted).await?, "id")
    };
    if waits {
        return Ok(Made { id, is_published: false });
    }
    let is_published = publish(client, &id).await?;
    if !is_published {
        output::say(&format!("{} waits for its publication to be approved", api.name));
    }
    Ok(Made { id, is_published })
}

/// Deploys an API and publishes it; says whether it is published, or waits for somebody's approval.
async fn publish(client: &Client, id: &str) -> Result<bool, Failure> {
    let revision = json!({"description": "imported"});
    let revision = send(client, Method::POST, &format!("{PUBLISHER}/apis/{id}/revisions"), &revision).await?;
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let path = format!("{PUBLISHER}/apis/{id}/deploy-revision?revisionId={}", text(&revision, "id"));
    send(client, Method::POST, &path, &places).await?;
    let path = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    let changed = send(client, Method::POST, &path, &json!({})).await?;
    Ok(changed["lifecycleState"]["state"] == "Published")
}

/// Returns the first field by which an API that is there lets other calls pass than the one that is wanted.
fn differs(there: &Value, wanted: &Value) -> Option<&'static str> {
    let texts = |body: &Value, field: &str| -> BTreeSet<String> {
        body[field].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let operations = |body: &Value| -> BTreeSet<[String; 3]> {
        let all = body["operations"].as_array().into_iter().flatten();
        // The server says Any where Application & Application User was asked for.
        let one = |one: &Value| ["target", "verb", "authType"].map(|field| text(one, field).replace(ANY, "Any"));
        all.map(one).collect()
    };
    // Where every operation is open, the schemes say nothing.
    let is_open = wanted["securityScheme"].is_null();
    if there["description"] != wanted["description"] {
        Some("description")
    } else if operations(there) != operations(wanted) {
        Some("operations")
    } else if !is_open && texts(there, "securityScheme") != texts(wanted, "securityScheme") {
        Some("securityScheme")
    } else if texts(there, "policies") != texts(wanted, "policies") {
        Some("policies")
    } else if !wanted["transport"].is_null() && texts(there, "transport") != texts(wanted, "transport") {
        Some("transport")
    } else if text(there, "apiThrottlingPolicy") != text(wanted, "apiThrottlingPolicy") {
        Some("apiThrottlingPolicy")
    } else {
        None
    }
}

fn body(api: &Api, version: &str) -> Value {
    let is_open = api.proofs.is_empty();
    let target = if api.is_exact { "/" } else { "/*" };
    let operation = |verb: &String| {
        json!({
            "target": target,
            "verb": verb,
            "authType": if is_open { "None" } else { ANY },
        })
    };
    let mut body = json!({
        "name": api.name,
        "version": version,
        "context": api.context,
        "isDefaultVersion": true,
        "description": "imported",
        "tags": api.tags,
        "policies": [api.plan.as_deref().unwrap_or(UNLIMITED)],
        "operations": api.verbs.iter().map(operation).collect::<Vec<_>>(),
        "endpointConfig": endpoints(api),
        "apiPolicies": {"request": api.request_policies, "response": api.response_policies, "fault": []},
    });
    if !is_open {
        let mut schemes = api.proofs.clone();
        schemes.push("oauth_basic_auth_api_key_mandatory".to_owned());
        body["securityScheme"] = json!(schemes);
    }
    if !api.transports.is_empty() {
        body["transport"] = json!(api.transports);
    }
    if let Some(limit) = &api.limit {
        body["apiThrottlingPolicy"] = json!(limit);
    }
    if let Some(cors) = &api.cors {
        body["corsConfiguration"] = cors.clone();
    }
    if let Some(seconds) = api.cache_s {
        body["responseCachingEnabled"] = json!(true);
        body["cacheTimeout"] = json!(seconds);
    }
    body
}

fn endpoints(api: &Api) -> Value {
    let one = |(url, weight): &(String, u64)| {
        let mut config = json!({});
        if let Some(ms) = api.timeout_ms {
            config["actionDuration"] = json!(ms.to_string());
            config["actionSelect"] = json!("fault");
        }
        if api.backends.len() > 1 {
            config["weight"] = json!((*weight).clamp(1, 1_000));
        }
        json!({"url": url, "config": config})
    };
    match api.backends.as_slice() {
        [only] => json!({"endpoint_type": "http", "production_endpoints": one(only)}),
        several => json!({
            "endpoint_type": "load_balance",
            "algoClassName": if api.by_load { "LeastRequests" } else { "WeightedRoundRobin" },
            "production_endpoints": several.iter().map(one).collect::<Vec<_>>(),
        }),
    }
}

async fn make_application(
    client: &Client,
    application: &Application,
    plan: &Plan,
    made: &BTreeMap<String, Made>,
) -> Result<(), Failure> {
    let name = &application.name;
    let there = list(client, &format!("{STORE}/applications?limit=1000")).await?;
    let id = match there.iter().find(|one| one["name"] == name.as_str()) {
        Some(found) => text(found, "applicationId"),
        None => {
            let body =
                json!({"name": name, "throttlingPolicy": UNLIMITED, "tokenType": "JWT", "description": "imported"});
            text(&send(client, Method::POST, &format!("{STORE}/applications"), &body).await?, "applicationId")
        }
    };
    let path = format!("{STORE}/subscriptions?limit=1000&applicationId={}", encoded(&id));
    let has = list(client, &path).await?;
    for api in plan.apis.iter().filter(|api| application.subscriptions.contains(&api.name)) {
        let there = &made[&api.name];
        if has.iter().any(|one| one["apiId"] == there.id.as_str()) {
            continue;
        }
        if !there.is_published {
            output::say(&format!(
                "{name} is not subscribed to {}, which is not published: give the command again once it is",
                api.name
            ));
            continue;
        }
        let policy = api.plan.as_deref().unwrap_or(UNLIMITED);
        let body = json!({"applicationId": id, "apiId": there.id, "throttlingPolicy": policy});
        send(client, Method::POST, &format!("{STORE}/subscriptions"), &body).await?;
    }
    Ok(())
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_that_is_there_is_published_only_where_it_lets_the_same_calls_pass() {
        let api = Api { verbs: vec!["GET".to_owned()], proofs: vec!["api_key".to_owned()], ..Api::default() };
        let wanted = body(&api, "1.0.0");
        let mut there = wanted.clone();
        // As the server says it: in another order, and with what is not in the file.
        there["securityScheme"] = json!(["oauth_basic_auth_api_key_mandatory", "api_key"]);
        there["apiThrottlingPolicy"] = Value::Null;
        there["operations"][0]["throttlingPolicy"] = json!("Unlimited");
        there["operations"][0]["authType"] = json!("Any");
        assert_eq!(differs(&there, &wanted), None);
        for (field, value) in [
            ("description", json!("somebody's draft")),
            ("securityScheme", json!(["oauth2"])),
            ("operations", json!([{"target": "/*", "verb": "GET", "authType": "None"}])),
            ("policies", json!(["Gold"])),
            ("apiThrottlingPolicy", json!("10KPerMin")),
        ] {
            let mut other = there.clone();
            other[field] = value;
            assert_eq!(differs(&other, &wanted), Some(field));
        }
    }
}
