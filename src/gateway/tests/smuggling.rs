//! Requests that gateway and backend might read differently (RFC 9112 §11.2): each is refused, and nothing of it
//! reaches the backend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use serde_json::{Value, json};
use stage::{Backend, Stage, api};

fn policy(name: &str, parameters: &Value) -> Value {
    json!({"policyName": name, "policyVersion": "v1", "parameters": parameters})
}

#[tokio::test]
async fn requests_with_an_unclear_end_are_refused() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let start = "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n";
    let cases = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\ncontent-length : 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x5\r\n\r\nhello",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "X: a\r\n Folded: b\r\n\r\n",
        "X\0: a\r\n\r\n",
        "X: a\rb\r\n\r\n",
        "Host: b\r\n\r\n",
    ];
    for case in cases {
        let mut client = stage.client().await;
        client.send(&format!("{start}{case}")).await;
        let head = client.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{case:?} was answered {head:?}");
        assert_eq!(backend.calls(), 0, "{case:?} reached the backend");
    }
}

#[tokio::test]
async fn requests_that_do_not_say_for_which_host_they_are_are_refused() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let key = "Authorization: Bearer good\r\n";
    for (target, hosts) in [
        ("", ""),
        ("", "Host: a\r\nHost: b\r\n"),
        ("", "Host: a b\r\n"),
        ("", "Host: a/b\r\n"),
        ("", "Host: user@a\r\n"),
        ("", "Host: a:80@b\r\n"),
        ("", "Host: a:8x\r\n"),
        ("", "Host: a, b\r\n"),
        ("", "Host: <a>\r\n"),
        ("http://user@a", "Host: a\r\n"),
    ] {
        let mut client = stage.client().await;
        client.send(&format!("GET {target}/pizza/1.0.0/menu HTTP/1.1\r\n{key}{hosts}\r\n")).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 400 "), "{target:?} {hosts:?}");
    }
    assert_eq!(backend.calls(), 0);
    for (target, host, told) in [
        ("", "a", "a"),
        ("", "A-b.example:8280", "A-b.example:8280"),
        ("", "[::1]", "[::1]"),
        ("", "[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("", "my_service", "my_service"),
        ("", "", ""),
        ("http://target:80", "other", "target:80"),
        ("http://target", "other", "target"),
    ] {
        // Twice over one connection: what goes on of a request's fields may be that of the one before.
        let mut client = stage.client().await;
        for request in [("", "other"), (target, host), ("", "other"), (target, host)] {
            let (target, host) = request;
            client.send(&format!("GET {target}/pizza/1.0.0/menu HTTP/1.1\r\n{key}Host: {host}\r\n\r\n")).await;
            assert_eq!(client.reply().await.status, 200, "{target:?} {host:?}");
        }
        assert_eq!(backend.last_field("x-forwarded-host"), told, "{target:?} {host:?}");
    }
}

#[tokio::test]
async fn what_a_backend_may_read_as_a_header_of_the_gateways_is_not_sent_on() {
    let backend = Backend::start().await;
    let assertion_header = Some(http::HeaderName::from_static("x-jwt-assertion"));
    let stage = Stage::new(portcullis_gateway::Settings { assertion_header, ..stage::settings() });
    stage.deploy(api(backend.address));
    let mut client = stage.client().await;
    client
        .send(
            "GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nX_JWT_Assertion: forged\r\nX-JWT_Assertion: forged\r\n\
             X_Forwarded_For: 192.0.2.1\r\nX_Request_ID: mine\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\n\
             Proxy_Authorization: Basic eDp5\r\nX_Own: mine\r\n\r\n",
        )
        .await;
    assert_eq!(client.reply().await.status, 200);
    let seen = backend.last();
    let with_underscores: Vec<_> = seen.headers.keys().filter(|name| name.as_str().contains('_')).collect();
    assert_eq!(with_underscores, ["x_own"]);

    // Nor what may be read as one that policies set, remove or rename.
    let policies = json!({"request": [
        policy("addHeader", &json!({"headerName": "X-User", "headerValue": "nobody"})),
        policy("addHeader", &json!({"headerName": "X_Group_Id", "headerValue": "none"})),
        policy("removeHeader", &json!({"headerName": "X-Debug-Level"})),
        policy("renameHeader", &json!({"currentHeaderName": "X-Old", "updatedHeaderName": "X-New"})),
        policy("renameHeader", &json!({"currentHeaderName": "X-Gone", "updatedHeaderName": "X-There"})),
    ]});
    let operations = json!({"GET /open": {"operationPolicies": policies}});
    stage.mediate(api(backend.address).id, &json!({"operations": operations}));
    client
        .send(
            "GET /pizza/1.0.0/open HTTP/1.1\r\nHost: a\r\nX_User: admin\r\nX-User: admin\r\nX-Group-Id: admins\r\n\
             X-Group_Id: admins\r\nX_Debug_Level: 9\r\nX-Debug_Level: 9\r\nX-Old: 1\r\nX_Old: 2\r\nX_New: 3\r\n\
             X_Gone: 4\r\nX_Own: mine\r\n\r\n",
        )
        .await;
    assert_eq!(client.reply().await.status, 200);
    let seen = backend.last();
    let mut own: Vec<_> = seen.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    own.retain(|(name, _)| name.starts_with("x-") || name.starts_with("x_"));
    own.retain(|(name, _)| !name.starts_with("x-forwarded-") && *name != "x-request-id");
    own.sort_unstable();
    assert_eq!(own, [("x-new", "1"), ("x-user", "nobody"), ("x_group_id", "none"), ("x_own", "mine")]);
}

#[tokio::test]
async fn a_header_of_the_gateways_with_underscores_is_told_by_the_gateway_alone() {
    let backend = Backend::start().await;
    let assertion_header = Some(http::HeaderName::from_static("x_jwt_assertion"));
    let stage = Stage::new(portcullis_gateway::Settings { assertion_header, ..stage::settings() });
    let api = api(backend.address);
    stage.deploy(portcullis_model::DeployedApi { authorization_header: Some("X_Secret".to_owned()), ..api });
    stage.keys.set("good", Ok(stage::verdict()));
    let mut client = stage.client().await;
    for (path, secret) in [("/open", ""), ("/menu", "X_Secret: Bearer good\r\nX-Secret: Bearer good\r\n")] {
        // Twice over one connection: what goes on of a request's fields may be that of the one before.
        for _ in 0..2 {
            client
                .send(&format!(
                    "GET /pizza/1.0.0{path} HTTP/1.1\r\nHost: a\r\n{secret}X-JWT-Assertion: forged\r\n\
                     X-JWT_Assertion: forged\r\nX_JWT_Assertion: forged\r\n\r\n"
                ))
                .await;
            assert_eq!(client.reply().await.status, 200, "{path}");
            let names: Vec<_> = backend.last().headers.keys().map(|name| name.as_str().replace('_', "-")).collect();
            let are_kept_back = names.iter().all(|name| name != "x-jwt-assertion" && name != "x-secret");
            assert!(are_kept_back, "{path} {names:?}");
        }
    }
}

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    for path in [
        "/pizza/1.0.0/files/../admin",
        "/pizza/1.0.0/files/%2e%2e/admin",
        "/pizza/1.0.0/files/..%2fadmin",
        "/pizza/1.0.0/files%2fadmin",
        "/pizza/1.0.0//admin",
        "/pizza/1.0.0/./admin",
        "/pizza/1.0.0/files/%5c..%5cadmin",
        "/pizza/1.0.0/files/..;/admin",
        "/pizza/1.0.0/files/a%00",
        "/pizza/1.0.0/files/%",
    ] {
        let reply = client.get(path, Some("good")).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "400"), "{path}");
    }
    let reply = client.get("/pizza/1.0.0/%61dmin", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "900910"), "an encoded letter hides no operation");
    let reply = client.get("/pizza/1.0.0/admin/", Some("good")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "900910"), "nor does a slash at the end");
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_each_by_its_own() {
    let backend = Backend::start().await;
    let stage = Stage::with_apis([api(backend.address)]);
    let mut client = stage.client().await;
    let call = |verb: &str, id: u32, rest: &str| {
        format!("{verb} /pizza/1.0.0/{id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{rest}")
    };
    let requests = [
        call("POST", 1, "Content-Length: 5\r\n\r\nhello").replace("/1 ", "/files/1 "),
        call("POST", 2, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").replace("/2 ", "/files/2 "),
        call("GET", 3, "\r\n").replace("/3 ", "/order/3 "),
    ];
    client.send(&requests.concat()).await;
    assert_eq!(client.reply().await.text(), "POST /base/files/1 5");
    assert_eq!(client.reply().await.text(), "POST /base/files/2 5");
    assert_eq!(client.reply().await.text(), "GET /base/order/3 0");
}
