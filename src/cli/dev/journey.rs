//! The sample: an API that is imported, deployed, published, subscribed to and called, by the same REST contracts
//! that everybody uses. Nothing is put into the state by another way.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portcullis_http::client::Client;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::of_client;

/// The sample API's definition.
const DEFINITION: &str = include_str!("pizza_shack.yaml");
/// Where the sample API is on the gateway.
pub const CONTEXT: &str = "/pizzashack";
/// Its version.
pub const VERSION: &str = "1.0.0";
/// How long the token that is printed lives, in seconds.
const TOKEN_LIFE_S: u64 = 24 * 3600;

/// What separates the parts of the form; it is in neither of them.
const BOUNDARY: &str = "portcullis-sample-form-boundary";

const PUBLISHER: &str = "/api/am/publisher/v4";
const STORE: &str = "/api/am/devportal/v3";

/// What the sample made.
#[derive(Clone, Debug)]
pub struct Sample {
    /// A live token.
    pub token: String,
    /// The application's consumer key.
    pub consumer_key: String,
    /// The application's consumer secret.
    pub consumer_secret: String,
}

/// Makes the sample through one node, whose `client` is signed in as the administrator.
///
/// # Errors
/// The first step that is refused.
pub async fn make(client: &Client, backend: SocketAddr) -> Result<Sample, Failure> {
    let api = publish(client, backend).await?;
    subscribe(client, &api).await
}

/// Imports the definition, deploys a revision and publishes it; returns the API's id.
async fn publish(client: &Client, backend: SocketAddr) -> Result<String, Failure> {
    let endpoint = json!({"url": format!("http://{backend}")});
    let properties = json!({
        "name": "PizzaShackAPI",
        "version": VERSION,
        "context": CONTEXT,
        "policies": ["Bronze", "Silver", "Gold", "Unlimited"],
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": endpoint,
            "sandbox_endpoints": endpoint,
        },
    });
    let api = import(client, &properties).await?;
    let id = text(&api, "id")?;
    let revision = json!({"description": "first"});
    let revision = post(client, &format!("{PUBLISHER}/apis/{id}/revisions"), &revision).await?;
    let revision = text(&revision, "id")?;
    let gateways = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    post(client, &format!("{PUBLISHER}/apis/{id}/deploy-revision?revisionId={revision}"), &gateways).await?;
    let change = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    post(client, &change, &json!({})).await?;
    Ok(id)
}

/// Makes an application with keys and a subscription; returns its credentials and a token.
async fn subscribe(client: &Client, api: &str) -> Result<Sample, Failure> {
    let application = json!({
        "name": "Sample",
        "description": "The application of the five-minute tour",
        "throttlingPolicy": "Unlimited",
        "tokenType": "JWT",
    });
    let application = post(client, &format!("{STORE}/applications"), &application).await?;
    let application = text(&application, "applicationId")?;
    let subscription = json!({"applicationId": application, "apiId": api, "throttlingPolicy": "Gold"});
    post(client, &format!("{STORE}/subscriptions"), &subscription).await?;
    let wanted = json!({
        "keyType": "PRODUCTION",
        "grantTypesToBeSupported": ["client_credentials"],
        "validityTime": TOKEN_LIFE_S,
        "scopes": ["default"],
        "additionalProperties": {"application_access_token_expiry_time": TOKEN_LIFE_S.to_string()},
    });
    let keys = post(client, &format!("{STORE}/applications/{application}/generate-keys"), &wanted).await?;
    let (consumer_key, consumer_secret) = (text(&keys, "consumerKey")?, text(&keys, "consumerSecret")?);
    let application_client = client.clone().with_basic(&consumer_key, &consumer_secret);
    let token: Value = application_client
        .post_form("/oauth2/token", &[("grant_type", "client_credentials")])
        .await
        .map_err(|fault| at("/oauth2/token", &of_client(&fault)))?;
    Ok(Sample { token: text(&token, "access_token")?, consumer_key, consumer_secret })
}

/// Sends the definition as the file of a multipart form, as the contract wants it.
async fn import(client: &Client, properties: &Value) -> Result<Value, Failure> {
    let part =
        |head: &str, body: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let mut form = part("name=\"file\"; filename=\"pizza_shack.yaml\"\r\nContent-Type: application/yaml", DEFINITION);
    form.push_str(&part("name=\"additionalProperties\"", &properties.to_string()));
    form.push_str(&format!("--{BOUNDARY}--\r\n"));
    let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={BOUNDARY}"))
        .expect("letters and hyphens are a valid header");
    let path = format!("{PUBLISHER}/apis/import-openapi");
    let reply = client
        .send(Method::POST, &path, &[(CONTENT_TYPE, kind)], Bytes::from(form))
        .await
        .map_err(|fault| at(&path, &of_client(&fault)))?;
    reply.json().map_err(|fault| at(&path, &of_client(&fault)))
}

async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, Failure> {
    client.post(path, body).await.map_err(|fault| at(path, &of_client(&fault)))
}

fn text(body: &Value, field: &str) -> Result<String, Failure> {
    body.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        let why = format!("there is no field {field} in it");
        Failure::new(Exit::Failed, "an answer of the node is not what its contract says", why, "report this")
    })
}

/// Says at which step of the sample it failed.
fn at(path: &str, failure: &Failure) -> Failure {
    let why = anstream::adapter::strip_str(&failure.to_string()).to_string();
    let what = format!("the sample could not be made at {path}");
    Failure::new(failure.exit, what, why, "report this with the lines above")
}
