//! `/token`, `/revoke`, `/authorize` and `/userinfo` on the gateway: passed to the key manager's face, body and all.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body as _;
use portcullis_model::limit::MANAGEMENT_DEADLINE;
use portcullis_model::port::ShownCertificates;

use crate::body::ReplyBody;
use crate::call_id::CallId;
use crate::caller;
use crate::client::Client;
use crate::downstream::body::ClientBody;
use crate::peer::PeerCertificate;
use crate::refusal::Refusal;
use crate::upstream::request::X_REQUEST_ID;
use crate::worker::Worker;

/// Bytes of such a request's body: a form with a token or an assertion.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Says whether a path is one of the key manager's.
pub(crate) fn is_face(path: &str) -> bool {
    matches!(path, "/token" | "/revoke" | "/authorize" | "/userinfo")
}

/// Answers a call to the key manager's face. The client's address, and what certificates it showed, are in the request's
/// extensions.
///
/// # Errors
/// Where the body is too large or does not come, or the key manager does not answer.
pub(crate) async fn call(
    worker: &Worker,
    client: &Client,
    (parts, request_id): (&Parts, &CallId),
    peer: Option<&PeerCertificate>,
    body: ClientBody,
) -> Result<Response<ReplyBody>, Refusal> {
    let body = read(worker, body).await?;
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request.headers_mut().insert(X_REQUEST_ID, request_id.to_value());
    let caller = caller::address(worker, client, &parts.headers);
    request.extensions_mut().insert(SocketAddr::new(caller, client.address.port()));
    if let Some(shown) = peer {
        let chain = shown.chain.iter().map(|one| one.as_ref().to_vec()).collect();
        request.extensions_mut().insert(ShownCertificates(chain));
    }
    let answer = tokio::time::timeout(MANAGEMENT_DEADLINE, worker.ports.oauth.call(request)).await;
    answer.map(|response| response.map(ReplyBody::whole)).map_err(|_| Refusal::key_manager_silent())
}

async fn read(worker: &Worker, mut body: ClientBody) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::body_too_large());
    }
    let mut alarm = worker.alarms.alarm();
    alarm.set(worker.settings.client.head_timeout);
    let mut whole = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Pending if alarm.is_due(cx) => Poll::Ready(Err(())),
            polled => polled.map(Ok),
        });
        match frame.await {
            Err(()) => return Err(Refusal::stalled_client()),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(Refusal::bad_request("the body is incomplete or not valid")),
            Ok(Some(Ok(frame))) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
        if whole.len() > BODY_BYTES_MAX {
            return Err(Refusal::body_too_large());
        }
    }
}
