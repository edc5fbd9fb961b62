//! WebSockets (RFC 6455): the handshake is a call like others, and each frame with data after it is an event that
//! quotas are asked about. Frames are passed on byte for byte; the gateway neither joins nor unpacks messages – but for
//! those of clients of GraphQL, which are gathered whole, read, and written anew as one frame (`reading`).

mod frame;
mod handshake;
mod lane;
mod reading;
mod relay;
mod session;

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use handshake::{is_asked_for, open, query_token, query_without_token};
pub(crate) use reading::Protocol;
pub(crate) use session::Session;

use crate::client::Client;
use crate::upstream::link::Link;
use crate::worker::Worker;
use relay::Relay;

/// A connection to a backend that has agreed to speak WebSocket, for a client that is about to be told so.
pub(crate) struct Upgrade {
    link: Link,
    session: Rc<Session>,
}

/// Carries a WebSocket to its end, once the client was told that it is one. `read` is what was read of the client
/// already; `guard` is ready when the connection must end at once.
pub(crate) async fn carry<T: AsyncRead + AsyncWrite + Unpin>(
    worker: &Worker,
    client: &Client,
    stream: T,
    read: BytesMut,
    upgrade: Upgrade,
    guard: impl FnMut(&Context<'_>) -> Poll<()>,
) {
    let _open = Open::new(worker, client);
    let Upgrade { link, session } = upgrade;
    relay::run(Relay::new((stream, read), link.into_stream(), session), guard).await;
}

/// Counts an open WebSocket.
struct Open<'a> {
    worker: &'a Worker,
    client: &'a Client,
}

impl<'a> Open<'a> {
    fn new(worker: &'a Worker, client: &'a Client) -> Self {
        worker.counters.websockets.add(1);
        // From here on the connection is watched by what it carries, not by requests that come.
        client.is_multiplexed();
        client.call_begins();
        Self { worker, client }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.worker.counters.websockets.subtract(1);
        self.client.call_ends(self.worker.alarms.now_ms());
    }
}
