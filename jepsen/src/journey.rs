//! What a workload needs before it begins: APIs that are published, applications with keys, subscriptions. Each step is
//! one REST call that must succeed; the cluster is healthy then.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::http::{Ask, Client};

/// The Publisher's REST API.
pub const PUBLISHER: &str = "/api/am/publisher/v4";
/// The DevPortal's REST API.
pub const DEVPORTAL: &str = "/api/am/devportal/v3";
/// The Admin REST API.
pub const ADMIN: &str = "/api/am/admin/v4";

/// An application's keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The client id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("no field {field} in {value}"))
}

/// Returns what an API called `name` is created with.
pub fn api_body(name: &str, backend: &str, plans: &[&str]) -> Value {
    json!({
        "name": name, "context": format!("/{name}"), "version": "1.0.0", "policies": plans, "description": "0",
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": backend}},
        "operations": [{"target": "/menu", "verb": "GET", "authType": "Any", "throttlingPolicy": "Unlimited"}],
    })
}

/// Creates an API called `name` at `/name/1.0.0` with the plans, and returns its id.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_api(admin: &Client, name: &str, backend: &str, plans: &[&str]) -> Result<String> {
    create_api_of(admin, &api_body(name, backend, plans)).await
}

/// Creates an API of a body, and returns its id.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_api_of(admin: &Client, body: &Value) -> Result<String> {
    let made = admin.send(Ask::json("POST", format!("{PUBLISHER}/apis"), body)).await.expect(201).context("API")?;
    text(&made.json(), "id")
}

/// Deploys and publishes an API.
///
/// # Errors
/// Where the cluster refuses.
pub async fn publish(admin: &Client, api: &str) -> Result<()> {
    let revisions = format!("{PUBLISHER}/apis/{api}/revisions");
    let made = admin.send(Ask::json("POST", revisions, &json!({"description": "first"}))).await.expect(201)?;
    let revision = text(&made.json(), "id")?;
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let deploy = format!("{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}");
    admin.send(Ask::json("POST", deploy, &places)).await.expect(200).context("deploy")?;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={api}");
    admin.send(Ask::json("POST", publish, &json!({}))).await.expect(200).context("publish")?;
    Ok(())
}

/// Creates an application and returns its id.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_application(admin: &Client, name: &str, policy: &str, token_type: &str) -> Result<String> {
    let body = json!({"name": name, "throttlingPolicy": policy, "tokenType": token_type, "description": "0"});
    let made = admin.send(Ask::json("POST", format!("{DEVPORTAL}/applications"), &body)).await.expect(201)?;
    text(&made.json(), "applicationId")
}

/// Subscribes an application to an API and generates its production keys.
///
/// # Errors
/// Where the cluster refuses.
pub async fn subscribe(admin: &Client, application: &str, api: &str, plan: &str) -> Result<Keys> {
    let body = json!({"applicationId": application, "apiId": api, "throttlingPolicy": plan});
    admin
        .send(Ask::json("POST", format!("{DEVPORTAL}/subscriptions"), &body))
        .await
        .expect(201)
        .context("subscribe")?;
    let wish = json!({"keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"]});
    let path = format!("{DEVPORTAL}/applications/{application}/generate-keys");
    let keys = admin.send(Ask::json("POST", path, &wish)).await.expect(200).context("keys")?.json();
    Ok(Keys { id: text(&keys, "consumerKey")?, secret: text(&keys, "consumerSecret")? })
}

/// Returns the request for a token by client credentials.
pub fn token_request() -> Ask {
    Ask::form("/oauth2/token", "grant_type=client_credentials")
}

/// Gets a token.
///
/// # Errors
/// Where the cluster refuses.
pub async fn token(management: &Client, keys: &Keys) -> Result<String> {
    let client = management.with_basic(&keys.id, &keys.secret);
    let reply = client.send(token_request()).await.expect(200).context("token")?;
    text(&reply.json(), "access_token")
}

/// Makes a policy of `limit` requests a minute; `kind` is `subscription` or `application`.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_policy(admin: &Client, kind: &str, name: &str, limit: u64) -> Result<()> {
    create_policy_of(admin, kind, name, per("min", limit)).await
}

/// Makes a plan of `limit` requests in each `unit` (`sec` or `min`).
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_plan(admin: &Client, name: &str, unit: &str, limit: u64) -> Result<()> {
    create_policy_of(admin, "subscription", name, per(unit, limit)).await
}

async fn create_policy_of(admin: &Client, kind: &str, name: &str, limit: Value) -> Result<()> {
    let body = json!({
        "policyName": name, "displayName": name, "description": name, "defaultLimit": limit,
        "stopOnQuotaReach": true, "billingPlan": "FREE", "customAttributes": [],
    });
    let path = format!("{ADMIN}/throttling/policies/{kind}");
    admin.send(Ask::json("POST", path, &body)).await.expect(201).context("policy")?;
    Ok(())
}

/// Makes an advanced policy of `limit` requests a minute.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_advanced(admin: &Client, name: &str, limit: u64) -> Result<()> {
    let body = json!({"policyName": name, "displayName": name, "description": name, "defaultLimit": per("min", limit)});
    let path = format!("{ADMIN}/throttling/policies/advanced");
    admin.send(Ask::json("POST", path, &body)).await.expect(201).context("advanced policy")?;
    Ok(())
}

/// Makes a custom rule of a key template and an expression, of `limit` requests a minute.
///
/// # Errors
/// Where the cluster refuses.
pub async fn create_custom(admin: &Client, name: &str, rule: (&str, &str), limit: u64) -> Result<()> {
    let (template, expression) = rule;
    let body = json!({
        "policyName": name, "description": name, "keyTemplate": template, "expression": expression,
        "defaultLimit": per("min", limit),
    });
    let path = format!("{ADMIN}/throttling/policies/custom");
    admin.send(Ask::json("POST", path, &body)).await.expect(201).context("custom rule")?;
    Ok(())
}

fn per(unit: &str, limit: u64) -> Value {
    json!({"type": "REQUESTCOUNTLIMIT", "requestCount": {"timeUnit": unit, "unitTime": 1, "requestCount": limit}})
}
