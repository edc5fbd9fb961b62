//! The body of a call that is refused before anybody reads it: thrown away within bounds, so that a client that still
//! sends gets to read why. Otherwise the refusal ends its HTTP/2 stream, or its connection, under its hands.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http::HeaderMap;
use http::header::EXPECT;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::downstream::body::ClientBody;

/// Bytes that are thrown away of one call; a client that sends more is cut off.
pub(crate) const BYTES_MAX: usize = 16 << 20;
/// How long a body is thrown away for.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(5);

/// Reads `body` and forgets it, beside the answer. Nothing is read of a client that waits to be told to send: it has
/// its answer before.
pub(crate) fn throw_away(headers: &HeaderMap, body: ClientBody) {
    // Over HTTP/1.1, who carries the connection does it.
    let ClientBody::Http2(body) = body else { return };
    let waits = headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if body.is_end_stream() || waits {
        return;
    }
    tokio::task::spawn_local(async move {
        // A body that takes too long is dropped like one that is too large: there is nothing more to do for its client.
        let _ended = tokio::time::timeout(TIME_MAX, read_to_the_end(body)).await;
    });
}

async fn read_to_the_end(mut body: Incoming) {
    let mut left = BYTES_MAX;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) else { return };
        left = less;
    }
}
