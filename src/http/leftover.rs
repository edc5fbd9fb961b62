//! What the handler left of a request's body: read and thrown away, within bounds, so that a client that still sends
//! gets to read its answer. Without that, a refusal ends an HTTP/2 stream, or an HTTP/1.1 connection, under its hands.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX;
use tokio::runtime::Handle;
use tracing::debug;

/// Bytes that are thrown away of one request. Twice the largest body that is taken: a client whose body is too large
/// by a little gets its answer, and one that sends without end does not keep the node busy.
const BYTES_MAX: usize = 2 * MANAGEMENT_BODY_BYTES_MAX;
/// How long a body is thrown away for.
const TIME_MAX: Duration = Duration::from_secs(5);

/// A request's body that reads itself to its end when it is dropped before that.
pub(crate) struct Whole {
    /// `None` once it came to its end, or broke.
    rest: Option<Incoming>,
    /// Whether the client sends only when it is told to (`Expect`), which has not happened: then nothing is under way.
    is_held_back: bool,
}

/// Makes the body of `request` one that is read to its end whatever becomes of it.
pub(crate) fn read_to_the_end(request: Request<Incoming>) -> Request<Whole> {
    let is_held_back = is_held_back(request.headers());
    request.map(|body| Whole { rest: Some(body), is_held_back })
}

fn is_held_back(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl Body for Whole {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // Whoever asks for the body tells the client to send it.
        self.is_held_back = false;
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(rest).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !rest.is_end_stream() && !self.is_held_back) else { return };
        // Outside of a runtime the connection is gone as well, and nobody waits for an answer.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(throw_away(rest));
        }
    }
}

async fn throw_away(mut rest: Incoming) {
    let whole = async {
        let mut left = BYTES_MAX;
        while let Some(Ok(frame)) = rest.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.remaining());
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    if tokio::time::timeout(TIME_MAX, whole).await.is_err() {
        debug!("a body that nobody wanted took too long and is cut off");
    }
}
