//! Requests that gateway and backend might read differently (RFC 9112 §11.2): each is refused, and nothing of it
//! reaches the backend.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use stage::{Backend, Stage, api};

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
    for case in
        ["GET /pizza/1.0.0/menu HTTP/1.1\r\n\r\n", "GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
    {
        let mut client = stage.client().await;
        client.send(case).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 400 "), "{case:?}");
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
