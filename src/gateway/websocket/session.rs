//! What a WebSocket may do for as long as it lasts: its token, its API and its quotas, asked about at each frame.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use portcullis_model::ApiId;
use portcullis_model::port::KeyRefusal;
use tracing::debug;

use crate::alarm::Alarm;
use crate::authenticate::{self, Known};
use crate::quota::Cost;
use crate::worker::{Phase, Worker};

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Backend,
}

/// Why the gateway ends a WebSocket: the close code and the reason that the client is told (RFC 6455 §7.4, and the
/// original's own codes from 4000 on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Farewell {
    pub(super) const GOING_AWAY: Self = Self { code: 1001, reason: "The gateway ends the connection" };
    pub(super) const IDLE: Self = Self { code: 1001, reason: "Nothing was heard of the client for too long" };
    pub(super) const API_GONE: Self = Self { code: 1001, reason: "The API is no longer deployed here" };
    pub(super) const PROTOCOL: Self = Self { code: 1002, reason: "A frame breaks the protocol" };
    pub(super) const BACKEND_GONE: Self = Self { code: 1011, reason: "The back end closed the connection" };
    pub(super) const INVALID: Self = Self { code: 4001, reason: "Invalid Credentials" };
    pub(super) const FORBIDDEN: Self = Self { code: 4002, reason: "The subscription does not allow it any more" };
    pub(super) const BLOCKED: Self = Self { code: 4002, reason: "The API is blocked" };
}

/// What becomes of a frame.
pub(super) enum Decision {
    /// It goes on.
    Pass,
    /// A quota does not allow it.
    Drop,
    /// The connection ends.
    Leave(Farewell),
    /// It is not known yet.
    Wait(PendingDecision),
}

/// A decision that is waited for.
pub(super) type PendingDecision = Pin<Box<dyn Future<Output = Decision>>>;

/// A look whether the connection may go on, which is waited for.
type Look = Pin<Box<dyn Future<Output = Option<Farewell>>>>;

/// What one WebSocket is held to.
pub(crate) struct Session {
    worker: Rc<Worker>,
    api: ApiId,
    /// The path of the handshake, decoded: where the API was found.
    path: Vec<u8>,
    /// The token, and what it is good for; `None` where the API asks for none.
    known: RefCell<Option<(String, Rc<Known>)>>,
    routes_version: Cell<u64>,
    /// A look at token and routes that is under way, and why the connection must end.
    look: RefCell<Option<Look>>,
    must_leave: Cell<Option<Farewell>>,
}

impl Session {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        api: ApiId,
        path: Vec<u8>,
        known: Option<(String, Rc<Known>)>,
        routes_version: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            api,
            path,
            known: RefCell::new(known),
            routes_version: Cell::new(routes_version),
            look: RefCell::new(None),
            must_leave: Cell::new(None),
        })
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.worker.alarms.now_ms()
    }

    pub(super) fn alarm(&self) -> Alarm {
        self.worker.alarms.alarm()
    }

    pub(super) fn idle_ms(&self) -> u64 {
        u64::try_from(self.worker.settings.client.websocket_idle_timeout.as_millis()).unwrap_or(u64::MAX).max(2)
    }

    pub(super) fn stall_ms(&self) -> u64 {
        u64::try_from(self.worker.settings.client.stall_timeout.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns a key to mask a frame of the gateway's own with.
    pub(super) fn mask(&self) -> [u8; 4] {
        let mut mask = [0; 4];
        // Without random bytes the frame is still valid: the key hides nothing, it keeps old proxies from being fooled.
        if let Err(error) = getrandom::fill(&mut mask) {
            debug!(%error, "no random bytes for a mask");
        }
        mask
    }

    pub(super) fn note_left(&self, farewell: Farewell) {
        debug!(api = %self.api, code = farewell.code, reason = farewell.reason, "websocket ended by the gateway");
    }

    /// Decides about a frame with data.
    pub(super) fn decide(self: &Rc<Self>, from: Side, bytes: u64) -> Decision {
        if !self.is_current() {
            return self.decide_later(from, bytes, true);
        }
        self.worker.counters.websocket_frames.add(1);
        let known = self.known.borrow();
        let Some((_, known)) = known.as_ref() else { return Decision::Pass };
        let now = self.worker.clock.now().timestamp;
        if known.key.expires_at <= now {
            return Decision::Leave(Farewell::INVALID);
        }
        match known.limits.take_now(&cost(from, bytes), now) {
            Some(Ok(())) => Decision::Pass,
            Some(Err(_)) => {
                self.worker.counters.refused_quota.add(1);
                Decision::Drop
            }
            None => self.decide_later(from, bytes, false),
        }
    }

    fn decide_later(self: &Rc<Self>, from: Side, bytes: u64, must_look: bool) -> Decision {
        let session = Rc::clone(self);
        Decision::Wait(Box::pin(async move {
            if must_look && let Some(farewell) = session.look_at_rights().await {
                return Decision::Leave(farewell);
            }
            let known = session.known.borrow().as_ref().map(|(_, known)| Rc::clone(known));
            let Some(known) = known else { return Decision::Pass };
            let now = session.worker.clock.now().timestamp;
            if known.key.expires_at <= now {
                return Decision::Leave(Farewell::INVALID);
            }
            match known.limits.take(&session.worker, &cost(from, bytes), now).await {
                Ok(_) => Decision::Pass,
                Err(_) => {
                    session.worker.counters.refused_quota.add(1);
                    Decision::Drop
                }
            }
        }))
    }

    /// Says whether nothing has changed in the log that the token or the API could have to do with.
    fn is_current(&self) -> bool {
        let projection = &self.worker.projection;
        let generation = projection.verdict_generation();
        self.routes_version.get() == projection.table_version()
            && self.known.borrow().as_ref().is_none_or(|(_, known)| known.is_of(generation))
    }

    /// Looks at the API and the token again; returns why the connection must end.
    async fn look_at_rights(&self) -> Option<Farewell> {
        let version = self.worker.projection.table_version();
        if self.routes_version.get() != version {
            let routes = self.worker.routes();
            match routes.table.find(&self.path) {
                Some(route) if route.api.id == self.api && route.api.is_blocked => return Some(Farewell::BLOCKED),
                Some(route) if route.api.id == self.api => {}
                _ => return Some(Farewell::API_GONE),
            }
            self.routes_version.set(version);
        }
        let token = self.known.borrow().as_ref().map(|(token, _)| token.clone())?;
        match authenticate::verdict(&self.worker, self.api, &token).await {
            Ok(known) => {
                *self.known.borrow_mut() = Some((token, known));
                None
            }
            Err(KeyRefusal::Invalid | KeyRefusal::Expired) => Some(Farewell::INVALID),
            Err(KeyRefusal::Blocked | KeyRefusal::NotSubscribed | KeyRefusal::Inactive) => Some(Farewell::FORBIDDEN),
            // What was known holds until more is known.
            Err(KeyRefusal::Unavailable) => None,
        }
    }

    /// Looks whether the connection must end though no frame comes.
    pub(super) fn look_again(self: &Rc<Self>, cx: &mut Context<'_>) {
        let now = self.worker.clock.now().timestamp;
        let is_over = self.known.borrow().as_ref().is_some_and(|(_, known)| known.key.expires_at <= now);
        if is_over {
            self.must_leave.set(Some(Farewell::INVALID));
            return;
        }
        if self.is_current() {
            return;
        }
        let look = self.look.borrow_mut().take();
        let mut look = look.unwrap_or_else(|| {
            let session = Rc::clone(self);
            Box::pin(async move { session.look_at_rights().await })
        });
        match look.as_mut().poll(cx) {
            Poll::Ready(farewell) => self.must_leave.set(farewell),
            Poll::Pending => *self.look.borrow_mut() = Some(look),
        }
    }

    /// Returns why the connection must end now.
    pub(super) fn must_leave_now(&self) -> Option<Farewell> {
        if self.worker.phase() != Phase::Serving {
            return Some(Farewell::GOING_AWAY);
        }
        self.must_leave.get()
    }
}

/// Returns what a frame with data costs: an event, its bytes, and of a client's frame what a call costs.
fn cost(from: Side, bytes: u64) -> Cost {
    Cost { requests: u64::from(from == Side::Client), bytes, events: 1, ..Cost::default() }
}
