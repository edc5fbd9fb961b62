//! Connections to backends over HTTP/2, each of which carries many calls at a time: by hyper, on the worker's thread.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;

use super::UpstreamError;
use super::link::{Stream, Trust};
use super::outbound::Outbound;
use crate::alarm::millis;
use crate::route::endpoint::Origin;

/// Calls on one connection at a time; servers usually allow a hundred or more.
const CALLS_MAX: usize = 100;
/// How often a backend is asked for a sign of life, and how long it may take to give one.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a backend may send of one answer before the client takes it, in bytes.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same of all answers on a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A connection that speaks HTTP/2.
pub(crate) struct Line {
    sender: http2::SendRequest<Outbound>,
    calls: Cell<usize>,
    /// Since when no call is under way, in the worker's milliseconds.
    idle_since_ms: Cell<u64>,
}

/// A call's place on a connection.
pub(crate) struct Seat {
    line: Rc<Line>,
    alarms: Rc<crate::alarm::Alarms>,
}

/// What a connection turned out to speak.
pub(crate) enum Opened {
    /// HTTP/2.
    Line(Rc<Line>),
    /// HTTP/1.1: the backend chose that over TLS.
    OnlyHttp1,
}

impl Line {
    /// Connects to an origin within `timeout`: with prior knowledge over a plain connection (RFC 9113 §3.3), else as the
    /// backend chooses in the TLS handshake (§3.2).
    ///
    /// # Errors
    /// Where no connection comes about.
    pub(crate) async fn open(
        origin: &Origin,
        trust: Option<&Arc<Trust>>,
        head_bytes_max: usize,
        timeout: Duration,
    ) -> Result<Opened, UpstreamError> {
        let opening = Self::open_at_leisure(origin, trust, head_bytes_max);
        tokio::time::timeout(timeout, opening).await.map_err(|_| UpstreamError::ConnectTimeout)?
    }

    async fn open_at_leisure(
        origin: &Origin,
        trust: Option<&Arc<Trust>>,
        head_bytes_max: usize,
    ) -> Result<Opened, UpstreamError> {
        let stream = Stream::connect(origin, trust.map(|trust| &trust.with_http2)).await?;
        if !stream.speaks_http2() {
            return Ok(Opened::OnlyHttp1);
        }
        let handshake = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(64 << 10))
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| UpstreamError::Connect(io::Error::other(error)))?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection to a backend ended");
            }
        });
        Ok(Opened::Line(Rc::new(Self { sender, calls: Cell::new(0), idle_since_ms: Cell::new(0) })))
    }

    /// Says whether it can carry one more call.
    pub(crate) fn has_room(&self) -> bool {
        !self.sender.is_closed() && self.calls.get() < CALLS_MAX
    }

    /// Says whether it is to be kept: it is open, and was used not too long ago.
    pub(crate) fn is_kept(&self, now_ms: u64, idle_timeout: Duration) -> bool {
        let is_old = now_ms.saturating_sub(self.idle_since_ms.get()) > millis(idle_timeout);
        !self.sender.is_closed() && (self.calls.get() > 0 || !is_old)
    }

    /// Takes a place for a call.
    pub(crate) fn seat(self: &Rc<Self>, alarms: &Rc<crate::alarm::Alarms>) -> Seat {
        self.calls.set(self.calls.get() + 1);
        Seat { line: Rc::clone(self), alarms: Rc::clone(alarms) }
    }
}

impl Seat {
    /// Sends a call.
    pub(crate) fn send(
        &self,
        request: Request<Outbound>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>> + 'static {
        let mut sender = self.line.sender.clone();
        async move {
            // Waits where the backend takes no more calls at a time.
            if let Err(error) = sender.ready().await {
                debug!(%error, "connection to a backend takes no more calls");
            }
            sender.try_send_request(request).await
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.line.calls.set(self.line.calls.get() - 1);
        self.line.idle_since_ms.set(self.alarms.now_ms());
    }
}

/// Runs what connections need on the worker's own thread.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
