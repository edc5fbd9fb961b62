//! The opening handshake of a WebSocket (RFC 6455 §4), with the client and, before it is answered, with the backend.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use super::{Session, Upgrade};
use crate::attempt;
use crate::body::ReplyBody;
use crate::forward::Passage;
use crate::proof::{self, ShownOnce};
use crate::refusal::Refusal;
use crate::route::endpoint::Endpoint;
use crate::sharing::Candidates;
use crate::upstream::UpstreamError;
use crate::upstream::head;
use crate::upstream::link::Link;
use crate::upstream::request::BodyLength;
use crate::worker::Worker;

/// The query parameter that may hold the token: browsers let no page set a header on a handshake.
const TOKEN_PARAMETER: &str = "access_token";

/// Finds the token in a query.
pub(crate) fn query_token(query: Option<&str>) -> Option<&str> {
    let mut tokens = parameters(query?).filter_map(|(name, value)| (name == TOKEN_PARAMETER).then_some(value?));
    // Of two nobody knows which is meant.
    tokens.next().filter(|token| !token.is_empty() && tokens.next().is_none())
}

/// Returns a query without the token, which is none of the backend's business.
pub(crate) fn query_without_token(query: &str) -> String {
    let kept = query.split('&').filter(|part| part.split('=').next() != Some(TOKEN_PARAMETER));
    kept.collect::<Vec<_>>().join("&")
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').map(|part| part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value))))
}

/// Opens a WebSocket with a backend and returns what the client is to be told; what follows is left with the client's
/// connection.
///
/// # Errors
/// Where the request is no handshake, or no backend agrees to one.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    session: Rc<Session>,
) -> Result<Response<ReplyBody>, Refusal> {
    check(passage.request)?;
    let group = passage.api.endpoints(passage.part, passage.key_type);
    if group.endpoints.is_empty() {
        return Err(Refusal::no_endpoint_for(passage.key_type.as_contract()));
    }
    let once = match &group.proof {
        Some(proof) => Some((proof, proof::shown(worker, proof).await?)),
        None => None,
    };
    let query = passage.query.map(query_without_token).filter(|query| !query.is_empty());
    let query = match &once {
        Some((_, ShownOnce::Pair(pair))) => Some(query.map_or_else(|| pair.clone(), |query| format!("{query}&{pair}"))),
        _ => query,
    };
    let shown = once.as_ref().and_then(|(proof, once)| once.of(proof));
    let passage = &Passage { query: query.as_deref(), shown, ..*passage };
    let mut last = UpstreamError::Suspended { is_alone: group.endpoints.len() == 1, ready_in: Duration::ZERO };
    for (_, endpoint) in Candidates::of(worker, group, &passage.request.headers, None) {
        passage.way.destination.set(endpoint.id);
        let tried = try_endpoint(worker, passage, endpoint).await;
        if let Some(standing) = &endpoint.standing {
            match tried.as_ref().map_err(UpstreamError::codes) {
                Ok(_) => standing.succeeded(),
                Err(Some(codes)) => {
                    standing.failed(&codes, worker.clock.now().instant);
                }
                Err(None) => standing.was_not_tried(worker.clock.now().instant),
            }
        }
        match tried {
            Ok((link, head)) => return answer(passage, link, head, session),
            Err(error) if error.is_before_sending() => last = error,
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    worker.counters.upstream_errors.add(1);
    Err(Refusal::from_upstream(&last))
}

/// Says whether a call asks that its connection become a WebSocket.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket")
}

/// Refuses what is no handshake.
fn check(request: &Parts) -> Result<(), Refusal> {
    let headers = &request.headers;
    let is_upgrade = request.version == Version::HTTP_11
        && request.method == Method::GET
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade");
    if !is_upgrade {
        return Err(Refusal::upgrade_required());
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
        return Err(Refusal::upgrade_required());
    }
    // What follows the handshake are frames; a body would be taken for them (RFC 6455 §4.1 knows none).
    let is_none = |length: &HeaderValue| length.as_bytes() == b"0";
    if headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(is_none) {
        return Err(Refusal::bad_request("a WebSocket handshake must have no body"));
    }
    // Sixteen bytes in base64.
    if headers.get_all(SEC_WEBSOCKET_KEY).iter().filter(|key| key.len() == 24).count() != 1 {
        return Err(Refusal::bad_request("a WebSocket handshake must have one Sec-WebSocket-Key of 16 bytes"));
    }
    Ok(())
}

/// Says whether a comma-separated header has a token, whatever its case.
fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

async fn try_endpoint(
    worker: &Worker,
    passage: &Passage<'_>,
    endpoint: &Endpoint,
) -> Result<(Link, head::Incoming), UpstreamError> {
    let limits = &worker.settings.upstream;
    let pool = worker.pools.of(&endpoint.origin);
    // A WebSocket takes no place in the pool: what bounds them is the number of clients' connections.
    let connected = Link::connect(&endpoint.origin, worker.trust(&endpoint.origin), limits.connect_timeout).await;
    let mut link = match connected {
        Ok(link) => {
            worker.counters.upstream_connects.add(1);
            pool.resume();
            link
        }
        Err(error) => {
            worker.counters.upstream_connect_errors.add(1);
            pool.suspend();
            return Err(error);
        }
    };
    let outgoing = attempt::outgoing(passage, BodyLength::None, true);
    outgoing.write(endpoint, &mut link.write);
    let timeout = endpoint.timeout.unwrap_or(limits.head_timeout);
    let exchanged = tokio::time::timeout(timeout, exchange(&mut link, limits.head_bytes_max));
    let head = exchanged.await.map_err(|_| UpstreamError::HeadTimeout)??;
    Ok((link, head))
}

/// Sends the request that is in the link and reads the head of the answer.
async fn exchange(link: &mut Link, head_bytes_max: usize) -> Result<head::Incoming, UpstreamError> {
    let mut written = 0;
    poll_fn(|cx| {
        while written < link.write.len() {
            written += ready!(link.poll_write_own(cx, written))?;
        }
        link.poll_flush(cx)
    })
    .await
    .map_err(UpstreamError::Send)?;
    link.write.clear();
    loop {
        let head = if link.read.is_empty() {
            None
        } else {
            head::parse(&mut link.read, &mut link.memory, &Method::GET, false)?
        };
        match head {
            Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS || !head.status.is_informational() => {
                return Ok(head);
            }
            Some(_) => continue,
            None if link.read.len() > head_bytes_max => return Err(UpstreamError::Protocol("the head is too large")),
            None => {}
        }
        let count = poll_fn(|cx| match link.poll_read(cx) {
            Poll::Ready(Err(cause)) => Poll::Ready(Err(UpstreamError::Receive(cause))),
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
            Poll::Pending => Poll::Pending,
        });
        if count.await? == 0 {
            return Err(UpstreamError::Closed);
        }
    }
}

fn answer(
    passage: &Passage<'_>,
    link: Link,
    mut head: head::Incoming,
    session: Rc<Session>,
) -> Result<Response<ReplyBody>, Refusal> {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::handshake_refused(head.status));
    }
    if !head.headers.contains_key(SEC_WEBSOCKET_ACCEPT) {
        return Err(Refusal::from_upstream(&UpstreamError::Protocol("it accepts a WebSocket without saying so")));
    }
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut response = Response::new(ReplyBody::whole(bytes::Bytes::new()));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    passage.client.will_upgrade(Upgrade { link, session });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::{query_token, query_without_token};

    #[test]
    fn the_token_is_taken_out_of_the_query() {
        assert_eq!(query_token(Some("room=7&access_token=abc")), Some("abc"));
        assert_eq!(query_token(Some("access_token=abc&access_token=def")), None, "nobody knows which is meant");
        for none in [None, Some("room=7"), Some("access_token"), Some("access_token="), Some("my_access_token=a")] {
            assert_eq!(query_token(none), None, "{none:?}");
        }
        assert_eq!(query_without_token("room=7&access_token=abc&x"), "room=7&x");
        assert_eq!(query_without_token("access_token=abc"), "");
    }
}
