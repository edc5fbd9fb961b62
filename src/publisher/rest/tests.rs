//! The journey of a publisher over the REST paths, against a state in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_database::command::{Bootstrap, apply};
use portcullis_database::{
    Applied, ClusterKey, Command, Entry, Handle, ProposeError, Proposer, StateCell, access, codec,
};
use portcullis_model::port::Identity;
use portcullis_model::{NodeAddresses, NodeId, Principal, Role, Sealed, TenantDomain, Timestamp, Username};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Applies at once what is proposed: a cluster of one, without a log.
struct AtOnce {
    cell: Arc<StateCell>,
    one_at_a_time: Mutex<()>,
}

impl AtOnce {
    fn apply(&self, entry: &Entry) -> Applied {
        let _turn = self.one_at_a_time.lock().unwrap();
        let mut state = (*self.cell.load()).clone();
        let index = state.applied_index + 1;
        let outcome = apply(&mut state, index, entry).expect("the command is known");
        self.cell.publish(state);
        Applied { outcome }
    }
}

impl Proposer for AtOnce {
    fn propose(&self, entry: Entry, _within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move { Ok(self.apply(&entry)) })
    }

    fn fence(&self, _index: u64, _within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
        Box::pin(async { vec![NodeId(3)] })
    }

    fn linearize(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
        Box::pin(async { Ok(()) })
    }
}

fn bootstrap() -> Entry {
    fn number<X: Command>(_: &X) -> u16 {
        X::NUMBER
    }
    let address = "127.0.0.1:1".parse().unwrap();
    let command = Bootstrap {
        cluster_id: uuid::Uuid::nil(),
        cluster_name: "test".to_owned(),
        ca_certificate: String::new(),
        ca_key: Sealed(Vec::new()),
        node_name: "n1".to_owned(),
        node_addresses: NodeAddresses {
            cluster: address,
            management: address,
            gateway_http: address,
            gateway_https: address,
        },
        admin_password_hash: String::new(),
    };
    Entry {
        command: number(&command),
        proposed_at: Timestamp(1_767_323_045_678),
        random: [1; 32],
        principal: Principal::system(),
        idempotency: None,
        payload: codec::encode(&command).unwrap(),
    }
}

struct Desk {
    cell: Arc<StateCell>,
    router: Router,
    identity: Identity,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Desk {
    fn open() -> Self {
        let cell = StateCell::new();
        let proposer = Arc::new(AtOnce { cell: Arc::clone(&cell), one_at_a_time: Mutex::new(()) });
        proposer.apply(&bootstrap());
        let handle = Handle::<access::Publisher>::new(Arc::clone(&cell), proposer);
        let router = crate::start(handle, ClusterKey::new([7; 32]), None, None).publisher_v4;
        let principal = Principal { tenant: TenantDomain::super_tenant(), username: Username("admin".to_owned()) };
        let scopes = ["apim:api_create", "apim:api_publish", "apim:api_view", "apim:api_delete", "apim:tier_view"];
        let identity = Identity {
            principal,
            roles: [Role("admin".to_owned())].into(),
            scopes: scopes.map(str::to_owned).into(),
            origin: None,
            is_token: false,
        };
        Self { cell, router, identity }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(self.identity.clone());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, verb: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder().method(verb).uri(path).header(CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    async fn form(&self, verb: &str, path: &str, parts: &[(&str, &str)]) -> Answer {
        let mut text = String::new();
        for (name, content) in parts {
            let file = if *name == "file" { "; filename=\"api.yaml\"" } else { "" };
            text.push_str(&format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
            ));
        }
        text.push_str("--XX--\r\n");
        let request =
            Request::builder().method(verb).uri(path).header(CONTENT_TYPE, "multipart/form-data; boundary=XX");
        self.send(request.body(Body::from(text)).unwrap()).await
    }

    fn index(&self) -> u64 {
        self.cell.load().applied_index
    }
}

const MENU: &str = "openapi: 3.0.1\ninfo: {title: Menu, version: 1.0.0}\npaths:\n  /menu:\n    get: {responses: {'200': {description: OK}}}\n";

fn properties() -> String {
    json!({
        "name": "PizzaShackAPI", "context": "/pizzashack", "version": "1.0.0", "policies": ["Gold", "Bronze"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:8080/"}},
    })
    .to_string()
}

#[tokio::test]
async fn an_imported_document_is_revised_deployed_and_published() {
    let desk = Desk::open();
    let made =
        desk.form("POST", "/apis/import-openapi", &[("file", MENU), ("additionalProperties", &properties())]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.headers[LOCATION], format!("/api/am/publisher/v4/apis/{id}"));
    assert_eq!(made.body["operations"][0]["target"], "/menu");
    assert_eq!(made.body["lifeCycleStatus"], "CREATED");

    let revision = desk.call("POST", &format!("/apis/{id}/revisions"), Some(&json!({"description": "first"}))).await;
    assert_eq!((revision.status, &revision.body["displayName"]), (StatusCode::CREATED, &json!("Revision 1")));
    let revision = revision.body["id"].as_str().unwrap().to_owned();
    let without_body = Request::builder().method("POST").uri(format!("/apis/{id}/revisions"));
    let second = desk.send(without_body.body(Body::empty()).unwrap()).await;
    assert_eq!((second.status, &second.body["displayName"]), (StatusCode::CREATED, &json!("Revision 2")));
    let place = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
    let deployed = desk.call("POST", &format!("/apis/{id}/deploy-revision?revisionId={revision}"), Some(&place)).await;
    assert_eq!((deployed.status, &deployed.body[0]["name"]), (StatusCode::OK, &json!("Default")), "{}", deployed.body);
    assert_eq!(deployed.headers["x-fence-unreached"], "3", "the answer names the nodes that may lag");

    let published = desk.call("POST", &format!("/apis/change-lifecycle?action=Publish&apiId={id}"), None).await;
    assert_eq!((published.status, &published.body["lifecycleState"]["state"]), (StatusCode::OK, &json!("Published")));
    assert_eq!(desk.cell.load().deployed.apis.len(), 1);
    let state = desk.call("GET", &format!("/apis/{id}/lifecycle-state"), None).await;
    assert_eq!(state.body["availableTransitions"][0]["event"], "Block");
    let history = desk.call("GET", &format!("/apis/{id}/lifecycle-history"), None).await;
    assert_eq!((&history.body["count"], &history.body["list"][1]["postState"]), (&json!(2), &json!("PUBLISHED")));
    let list = desk.call("GET", "/apis?query=name:pizza%20status:published", None).await;
    assert_eq!((&list.body["pagination"]["total"], &list.body["list"][0]["id"]), (&json!(1), &json!(id)));
    let none = desk.call("GET", "/apis?query=status:created", None).await;
    assert_eq!(none.body["count"], 0);
    let as_revision = desk.call("GET", &format!("/apis/{revision}"), None).await;
    assert_eq!((&as_revision.body["isRevision"], &as_revision.body["revisionedApiId"]), (&json!(true), &json!(id)));
    let gone = desk
        .call("POST", &format!("/apis/{id}/undeploy-revision?revisionId={revision}&allEnvironments=true"), None)
        .await;
    assert_eq!((gone.status, gone.body), (StatusCode::CREATED, json!([])));
    assert_eq!(desk.cell.load().deployed.apis.len(), 0);
}

#[tokio::test]
async fn bad_input_gets_a_clear_answer_and_changes_nothing() {
    let desk = Desk::open();
    let good = json!({"name": "Pizza", "context": "/pizza", "version": "1.0.0", "policies": ["Gold"]});
    assert_eq!(desk.call("POST", "/apis", Some(&good)).await.status, StatusCode::CREATED);
    let index = desk.index();
    let with = |name: &str, value: Value| {
        let mut body = json!({"name": "Other", "context": "/other", "version": "1.0.0"});
        body[name] = value;
        body
    };
    let rows = [
        (good.clone(), 409, "already exists"),
        (with("context", json!("/pizza")), 409, "context already exists"),
        (with("policies", json!(["Platinum"])), 400, "there is no business plan Platinum"),
        (with("policies", json!("Gold")), 400, "policies: must be a list"),
        (with("name", json!("x".repeat(61))), 400, "61 characters"),
        (with("context", json!("/a b")), 400, "context"),
        (with("context", json!("/")), 400, "must not be / alone"),
        (with("context", json!("/token")), 400, "belongs to the gateways"),
        (with("version", json!("..")), 400, "version"),
        (with("version", json!(1)), 400, "version: must be a text"),
        (with("type", json!("GRAPHQL")), 400, "/apis/import-graphql-schema"),
        (with("type", json!("ASYNC")), 400, "ASYNC"),
        (with("endpointConfig", json!({"production_endpoints": {"url": "nowhere"}})), 400, "not a URL"),
        (with("operations", json!([{"target": "/{a", "verb": "GET"}])), 400, "not closed"),
        (json!({"name": "Other"}), 400, "must be there"),
    ];
    for (body, status, text) in rows {
        let answer = desk.call("POST", "/apis", Some(&body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body["description"].as_str().unwrap().contains(text), "{text}: {}", answer.body);
    }
    let bad = desk.form("POST", "/apis/import-openapi", &[("file", "openapi: [")]).await;
    assert_eq!((bad.status, &bad.body["code"]), (StatusCode::BAD_REQUEST, &json!(900_754)), "{}", bad.body);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let url = desk.form("POST", "/apis/import-openapi", &[("url", &format!("http://{nobody}/x"))]).await;
    assert_eq!(url.status, StatusCode::BAD_REQUEST);
    assert!(url.body["description"].as_str().unwrap().starts_with("url: cannot connect"), "{}", url.body);
    for (text, said) in [
        ("<definitions/>", "/apis/import-wsdl"),
        ("# ours\ntype Query {\n  menu: [String]\n}", "/apis/import-graphql-schema"),
        ("asyncapi: 2.0.0", "/apis/import-asyncapi"),
    ] {
        let other = desk.form("POST", "/apis/import-openapi", &[("file", text)]).await;
        let (status, told) = (other.status, other.body["description"].as_str().unwrap_or_default().to_owned());
        assert!(status == StatusCode::BAD_REQUEST && told.contains(said), "{text}: {}", other.body);
    }
    let checked = desk.form("POST", "/apis/validate-openapi", &[("inlineAPIDefinition", "openapi: 9")]).await;
    assert_eq!((checked.status, &checked.body["isValid"]), (StatusCode::OK, &json!(false)));
    assert_eq!(desk.call("GET", "/apis/7", None).await.status, StatusCode::NOT_FOUND);
    let refused = [desk.cell.load().apimgt.apis.len(), desk.cell.load().deployed.apis.len()];
    assert_eq!((refused, desk.index() - index), ([1, 0], 3), "only what needs the state reached the log");
}

#[tokio::test]
async fn a_change_keeps_api_and_definition_in_step() {
    let desk = Desk::open();
    let made =
        desk.form("POST", "/apis/import-openapi", &[("file", MENU), ("additionalProperties", &properties())]).await;
    let path = format!("/apis/{}", made.body["id"].as_str().unwrap());
    let read = desk.call("GET", &path, None).await;
    let mut body = read.body;
    body["operations"] = json!([{"target": "/cook", "verb": "POST", "throttlingPolicy": "10KPerMin"}]);
    body["somethingNewer"] = json!({"kept": true});
    let changed = desk.call("PUT", &path, Some(&body)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(changed.body["somethingNewer"], json!({"kept": true}));
    let definition = desk.call("GET", &format!("{path}/swagger"), None).await;
    assert_eq!(definition.body["paths"]["/cook"]["post"]["x-throttling-tier"], "10KPerMin");
    assert_eq!(definition.body["paths"].get("/menu"), None);

    let replaced = desk.form("PUT", &format!("{path}/swagger"), &[("apiDefinition", MENU)]).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.body);
    let after = desk.call("GET", &path, None).await;
    assert_eq!(after.body["operations"][0]["target"], "/menu");

    assert_eq!(after.headers[LAST_MODIFIED].to_str().unwrap().len(), 29);
    let known = Request::builder().uri(&path).header(IF_NONE_MATCH, &after.headers[ETAG]).body(Body::empty()).unwrap();
    assert_eq!(desk.send(known).await.status, StatusCode::NOT_MODIFIED);
    let request = Request::builder().method("PUT").uri(&path).header(IF_MATCH, &read.headers[ETAG]);
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap();
    assert_eq!(desk.send(request).await.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_new_version_is_a_copy_with_its_own_life() {
    let desk = Desk::open();
    let made =
        desk.form("POST", "/apis/import-openapi", &[("file", MENU), ("additionalProperties", &properties())]).await;
    let id = made.body["id"].as_str().unwrap();
    desk.call("POST", &format!("/apis/change-lifecycle?action=Publish&apiId={id}"), None).await;
    let copy = desk.call("POST", &format!("/apis/copy-api?newVersion=2.0.0&apiId={id}"), None).await;
    assert_eq!(copy.status, StatusCode::CREATED, "{}", copy.body);
    assert_eq!((&copy.body["version"], &copy.body["lifeCycleStatus"]), (&json!("2.0.0"), &json!("CREATED")));
    let path = format!("/apis/{}/swagger", copy.body["id"].as_str().unwrap());
    assert_eq!(desk.call("GET", &path, None).await.body["info"]["version"], "2.0.0");
    let taken = desk.call("POST", "/apis/validate?query=context:/pizzashack", None).await;
    assert_eq!(taken.status, StatusCode::OK);
    assert_eq!(desk.call("POST", "/apis/validate?query=name:Free", None).await.status, StatusCode::NOT_FOUND);
    let again = desk.call("POST", &format!("/apis/copy-api?newVersion=2.0.0&apiId={id}"), None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_retry_with_the_same_key_gets_the_same_answer_and_acts_once() {
    let desk = Desk::open();
    let body = json!({"name": "Pizza", "context": "/pizza", "version": "1.0.0"});
    let with_key = |verb: &str, path: &str, key: &str, body: &Value| {
        let request = Request::builder().method(verb).uri(path).header(CONTENT_TYPE, "application/json");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(portcullis_http::RequestKey { key: key.to_owned(), request: [1; 32] });
        request
    };
    let first = desk.send(with_key("POST", "/apis", "a", &body)).await;
    let again = desk.send(with_key("POST", "/apis", "a", &body)).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED), "{}", again.body);
    assert_eq!((&first.body["id"], desk.cell.load().apimgt.apis.len()), (&again.body["id"], 1));
    let path = format!("/apis/{}", first.body["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(desk.send(with_key("DELETE", &path, "b", &Value::Null)).await.status, StatusCode::OK);
    }
    assert_eq!(desk.call("DELETE", &path, None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn scopes_and_tenants_are_kept_apart() {
    let mut desk = Desk::open();
    let made =
        desk.form("POST", "/apis/import-openapi", &[("file", MENU), ("additionalProperties", &properties())]).await;
    let path = format!("/apis/{}", made.body["id"].as_str().unwrap());
    let plans = desk.call("GET", "/throttling-policies/subscription?limit=2", None).await;
    assert_eq!((&plans.body["count"], plans.status), (&json!(2), StatusCode::OK));
    let of_api = desk.call("GET", &format!("{path}/subscription-policies"), None).await;
    assert_eq!(of_api.body.as_array().unwrap().len(), 2);
    desk.identity.scopes = ["apim:api_view".to_owned()].into();
    assert_eq!(desk.call("DELETE", &path, None).await.status, StatusCode::FORBIDDEN);
    desk.identity.principal.tenant = TenantDomain("example.com".to_owned());
    assert_eq!(desk.call("GET", &path, None).await.status, StatusCode::NOT_FOUND);
    let anonymous = Request::builder().uri(&path).body(Body::empty()).unwrap();
    let answer = desk.router.clone().oneshot(anonymous).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
