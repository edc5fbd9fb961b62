//! The journey of an API from its definition to a call, over the REST contracts, step by step.

use serde_json::{Value, json};

use super::Node;
use super::http::{Client, multipart};

/// An API that is published, and an application that may call it.
pub struct Published {
    /// The API's id.
    pub api: String,
    /// The API's path on a gateway: `/context/version`.
    pub path: String,
    /// The application's id.
    pub application: String,
    /// The subscription's id.
    pub subscription: String,
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
}

/// What to publish.
pub struct Wish<'a> {
    /// The API's name, also its context.
    pub name: &'a str,
    /// The production backend's URL.
    pub backend: &'a str,
    /// The business plan.
    pub plan: &'a str,
    /// The application's policy.
    pub application_policy: &'a str,
    /// `JWT` or `OAUTH`.
    pub token_type: &'a str,
    /// Who does it all, by name and password; the first administrator where nobody is named.
    pub as_user: Option<(&'a str, &'a str)>,
}

impl<'a> Wish<'a> {
    /// An unlimited API with opaque tokens.
    pub fn new(name: &'a str, backend: &'a str) -> Self {
        Self { name, backend, plan: "Unlimited", application_policy: "Unlimited", token_type: "OAUTH", as_user: None }
    }
}

impl Wish<'_> {
    fn client(&self, node: &Node) -> Client {
        self.as_user.map_or_else(|| node.admin(), |(name, password)| node.as_user(name, password))
    }
}

/// The OpenAPI document that tests import.
pub fn definition(name: &str) -> String {
    format!(
        "openapi: 3.0.3\ninfo:\n  title: {name}\n  version: 1.0.0\npaths:\n  /menu:\n    get:\n      responses:\n        '200':\n          description: the menu\n  /order:\n    post:\n      responses:\n        '201':\n          description: ordered\n  /order/{{orderId}}:\n    get:\n      parameters:\n        - name: orderId\n          in: path\n          required: true\n          schema:\n            type: string\n      responses:\n        '200':\n          description: the order\n"
    )
}

/// Imports, deploys and publishes an API on `node`, and returns its id.
pub async fn publish(node: &Node, wish: &Wish<'_>) -> String {
    let admin = wish.client(node);
    let properties = json!({
        "name": wish.name,
        "context": format!("/{}", wish.name),
        "version": "1.0.0",
        "policies": [wish.plan],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": wish.backend}},
    });
    let (body, content_type) = multipart(&[
        ("file", Some("openapi.yaml"), &definition(wish.name)),
        ("additionalProperties", None, &properties.to_string()),
    ]);
    let created = admin
        .send("POST", "/api/am/publisher/v4/apis/import-openapi", &[("content-type", &content_type)], body)
        .await
        .expect("import")
        .expect(201)
        .json();
    let api = text(&created, "id");
    deploy(&admin, &api).await;
    admin
        .send("POST", &format!("/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId={api}"), &[], "")
        .await
        .expect("publish")
        .expect(200);
    api
}

/// Makes a revision of an API and deploys it; returns the revision's id.
pub async fn deploy(admin: &Client, api: &str) -> String {
    let revision = admin
        .json("POST", &format!("/api/am/publisher/v4/apis/{api}/revisions"), &json!({"description": "first"}))
        .await
        .expect("revision")
        .expect(201)
        .json();
    let revision = text(&revision, "id");
    let places = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    admin
        .json("POST", &format!("/api/am/publisher/v4/apis/{api}/deploy-revision?revisionId={revision}"), &places)
        .await
        .expect("deploy")
        .expect(200);
    revision
}

/// Publishes an API and subscribes a new application to it.
pub async fn publish_and_subscribe(node: &Node, wish: &Wish<'_>) -> Published {
    let api = publish(node, wish).await;
    subscribe(node, wish, api).await
}

/// Subscribes a new application, with production keys, to an API.
pub async fn subscribe(node: &Node, wish: &Wish<'_>, api: String) -> Published {
    let store = wish.client(node);
    let application = json!({
        "name": format!("{} app", wish.name),
        "throttlingPolicy": wish.application_policy,
        "tokenType": wish.token_type,
        "description": "made by a test",
    });
    let application = store
        .json("POST", "/api/am/devportal/v3/applications", &application)
        .await
        .expect("application")
        .expect(201)
        .json();
    let application = text(&application, "applicationId");
    let keys = generate_keys(&store, &application, "PRODUCTION").await;
    let subscription = json!({"applicationId": application, "apiId": api, "throttlingPolicy": wish.plan});
    let subscription = store
        .json("POST", "/api/am/devportal/v3/subscriptions", &subscription)
        .await
        .expect("subscription")
        .expect(201)
        .json();
    Published {
        path: format!("/{}/1.0.0", wish.name),
        subscription: text(&subscription, "subscriptionId"),
        client_id: text(&keys, "consumerKey"),
        client_secret: text(&keys, "consumerSecret"),
        api,
        application,
    }
}

/// Generates an application's keys of one type.
pub async fn generate_keys(store: &Client, application: &str, key_type: &str) -> Value {
    let wish = json!({"keyType": key_type, "grantTypesToBeSupported": ["client_credentials"]});
    let path = format!("/api/am/devportal/v3/applications/{application}/generate-keys");
    store.json("POST", &path, &wish).await.expect("keys").expect(200).json()
}

/// Gets a token from a node's `/oauth2/token` by client credentials.
pub async fn token(node: &Node, published: &Published) -> String {
    token_of(node, (&published.client_id, &published.client_secret)).await
}

/// Gets a token by the credentials of a client: id and secret.
pub async fn token_of(node: &Node, (id, secret): (&str, &str)) -> String {
    let client = node.anonymous().with_basic(id, secret);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = client
        .send("POST", "/oauth2/token", &form, "grant_type=client_credentials")
        .await
        .expect("token")
        .expect(200)
        .json();
    text(&reply, "access_token")
}

/// Returns a text field; fails the test where there is none.
#[track_caller]
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text field {field} in {value}")).to_owned()
}
