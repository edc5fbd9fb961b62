//! Brings a plan in: limits, APIs, applications with subscriptions, over the REST contracts. What is there already stays as it is.

use std::collections::BTreeMap;

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
    let mut ids = BTreeMap::new();
    for (number, api) in plan.apis.iter().enumerate() {
        let id = make_api(client, api, arguments).await.map_err(|failure| beside(&failure, &api.name))?;
        output::say(&format!("{} of {}: {} at {}", number + 1, plan.apis.len(), api.name, api.context));
        ids.insert(api.name.clone(), id);
    }
    for application in &plan.applications {
        make_application(client, application, plan, &ids, arguments)
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

/// Makes an API, or finds the one that is there; returns its id.
async fn make_api(client: &Client, api: &Api, arguments: &FileArguments) -> Result<String, Failure> {
    let query = encoded(&format!("name:\"{}\"", api.name));
    let there = list(client, &format!("{PUBLISHER}/apis?limit=1000&query={query}")).await?;
    let is_it = |one: &&Value| one["name"] == api.name.as_str() && one["version"] == arguments.api_version.as_str();
    if let Some(found) = there.iter().find(is_it) {
        output::say(&format!("{} {} is there already, and stays as it is", api.name, arguments.api_version));
        return Ok(text(found, "id"));
    }
    let made = send(client, Method::POST, &format!("{PUBLISHER}/apis"), &body(api, &arguments.api_version)).await?;
    let id = text(&made, "id");
    if arguments.no_publish || api.is_held {
        return Ok(id);
    }
    let revision = json!({"description": "imported"});
    let revision = send(client, Method::POST, &format!("{PUBLISHER}/apis/{id}/revisions"), &revision).await?;
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let path = format!("{PUBLISHER}/apis/{id}/deploy-revision?revisionId={}", text(&revision, "id"));
    send(client, Method::POST, &path, &places).await?;
    let path = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    send(client, Method::POST, &path, &json!({})).await?;
    Ok(id)
}

fn body(api: &Api, version: &str) -> Value {
    let is_open = api.proofs.is_empty();
    let target = if api.is_exact { "/" } else { "/*" };
    let operation = |verb: &String| {
        json!({
            "target": target,
            "verb": verb,
            "authType": if is_open { "None" } else { "Application & Application User" },
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
    ids: &BTreeMap<String, String>,
    arguments: &FileArguments,
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
        let api_id = &ids[&api.name];
        // What is not published cannot be subscribed to.
        if arguments.no_publish || api.is_held || has.iter().any(|one| one["apiId"] == api_id.as_str()) {
            continue;
        }
        let policy = api.plan.as_deref().unwrap_or(UNLIMITED);
        let body = json!({"applicationId": id, "apiId": api_id, "throttlingPolicy": policy});
        send(client, Method::POST, &format!("{STORE}/subscriptions"), &body).await?;
    }
    Ok(())
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}
