//! What a WebSocket may do for as long as it lasts: its token, its API and its quotas, asked about at each frame.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::Method;
use http::request::Parts;
use portcullis_model::port::KeyRefusal;
use portcullis_model::{ApiId, KeyType};
use serde_json::{Map, Value, json};
use tracing::debug;

use super::frame::{Head, Kind};
use super::reading::{Message, PendingVerdict, Protocol, Verdict};
use crate::alarm::{Alarm, millis};
use crate::authenticate::{self, Known};
use crate::certificate;
use crate::credentials::{KeyKind, OwnedKey};
use crate::gathering::{Begun, PassedFrame};
use crate::handler::graphql::{self, Judged};
use crate::limiter::{self, Asked};
use crate::peer::PeerCertificate;
use crate::quota::{Cost, Limits};
use crate::refusal::Refusal;
use crate::route::api::CompiledApi;
use crate::route::operations::Found;
use crate::route::path;
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
    pub(super) const STALE: Self =
        Self { code: 1013, reason: "This node does not know the present state: try another" };
    pub(super) const INVALID: Self = Self { code: 4001, reason: "Invalid Credentials" };
    pub(super) const FORBIDDEN: Self = Self { code: 4002, reason: "The subscription does not allow it any more" };
    pub(super) const DENIED: Self = Self { code: 4002, reason: "You have been blocked from accessing the resource" };
    pub(super) const BAD_MESSAGE: Self = Self { code: 4005, reason: "A message is none that the protocol has" };
    pub(super) const TOO_LARGE: Self = Self { code: 1009, reason: "A message is larger than is read" };
    pub(super) const THROTTLED: Self = Self { code: 4003, reason: "Websocket frame throttled out" };
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
    /// The handshake: by its path the API was found, and policies may look at the rest.
    request: Parts,
    /// The client's address.
    client: IpAddr,
    is_from_proxy: bool,
    limits: RefCell<Rc<Limits>>,
    /// The key, and what it is good for; `None` where the API asks for none.
    known: RefCell<Option<(OwnedKey, Rc<Known>)>>,
    /// The certificate that the client showed, where the API looks at it.
    certificate: Option<Rc<PeerCertificate>>,
    /// The version of routes and policies that was looked at last.
    version: Cell<u64>,
    /// A look at token and routes that is under way, and why the connection must end.
    look: RefCell<Option<Look>>,
    must_leave: Cell<Option<Farewell>>,
    /// Where its frames count in the statistics.
    counted: Cell<Option<usize>>,
    /// What its client speaks, where its messages are read.
    protocol: Cell<Option<Protocol>>,
}

impl Session {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        asked: &Asked<'_>,
        known: Option<(OwnedKey, Rc<Known>)>,
        limits: Rc<Limits>,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            api: asked.api.id,
            request: asked.request.clone(),
            client: asked.client,
            is_from_proxy: asked.is_from_proxy,
            limits: RefCell::new(limits),
            known: RefCell::new(known),
            certificate: asked.certificate.clone(),
            version: Cell::new(asked.routes.version),
            look: RefCell::new(None),
            must_leave: Cell::new(None),
            counted: Cell::new(None),
            protocol: Cell::new(None),
        })
    }

    /// Notes what its client speaks, whose messages are read then.
    pub(crate) fn speaks(&self, protocol: Protocol) {
        self.protocol.set(Some(protocol));
    }

    /// Returns what its client speaks, where its messages are read.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.protocol.get()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.worker.alarms.now_ms()
    }

    pub(super) fn alarm(&self) -> Alarm {
        self.worker.alarms.alarm()
    }

    pub(super) fn idle_ms(&self) -> u64 {
        millis(self.worker.tuning().websocket_idle_timeout).max(2)
    }

    pub(super) fn stall_ms(&self) -> u64 {
        millis(self.worker.settings.client.stall_timeout)
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

    /// Has the frames counted in the statistics where the handshake is.
    pub(crate) fn counts_as(&self, handshake: &Begun<'_>) {
        self.counted.set(self.worker.gathering.as_ref().map(|gathering| gathering.begin(handshake)));
    }

    /// Counts a frame with data that went on its way.
    pub(super) fn passed(&self, from: Side, head: &Head) {
        if let (Some(gathering), Some(place)) = (&self.worker.gathering, self.counted.get()) {
            let (is_from_client, begins_message) = (from == Side::Client, head.kind == Kind::Data);
            let frame = PassedFrame { is_from_client, begins_message, bytes: head.payload };
            gathering.pass(place, &frame, self.worker.clock.ticked());
        }
    }

    /// Decides about a message of GraphQL.
    pub(super) fn judge(self: &Rc<Self>, protocol: Protocol, message: Vec<u8>) -> PendingVerdict {
        let session = Rc::clone(self);
        Box::pin(async move {
            if !session.is_current()
                && let Some(farewell) = session.look_at_rights().await
            {
                return Verdict::Leave(farewell);
            }
            if session.has_expired() {
                return Verdict::Leave(Farewell::INVALID);
            }
            session.worker.counters.websocket_frames.add(1);
            let bytes = message.len() as u64;
            match Message::read(protocol, &message) {
                None => Verdict::Leave(Farewell::BAD_MESSAGE),
                Some(Message::Other(other)) => {
                    // It asks nothing, so it is no call.
                    let cost = Cost { bytes, events: 1, ..Cost::default() };
                    if session.take(&cost).await {
                        Verdict::Pass(other.to_string().into_bytes())
                    } else {
                        Verdict::Leave(Farewell::THROTTLED)
                    }
                }
                Some(Message::Question { id, payload }) => match session.judge_question(payload, bytes).await {
                    Ok(payload) => {
                        let question = json!({"id": id, "type": protocol.question(), "payload": payload});
                        Verdict::Pass(question.to_string().into_bytes())
                    }
                    Err(refusal) => Verdict::Tell(protocol.refuse(&id, code_of(&refusal), refusal.description())),
                },
            }
        })
    }

    async fn judge_question(&self, payload: Map<String, Value>, bytes: u64) -> Result<Value, Refusal> {
        let routes = self.worker.routes();
        let path = path::check(self.request.uri.path()).map_err(|bad| Refusal::bad_request(bad.to_string()))?;
        let found = routes.table.find(&self.request, self.is_from_proxy, &path);
        let route = found.filter(|route| route.api.id == self.api).ok_or_else(Refusal::no_api)?;
        let graphql = route.api.graphql.as_deref().ok_or_else(Refusal::no_resource)?;
        let asked = |rule| Asked {
            routes: &routes,
            api: route.api,
            rule,
            request: &self.request,
            client: self.client,
            connection: None,
            is_from_proxy: self.is_from_proxy,
            anonymous_key_type: KeyType::Production,
            certificate: None,
            trace: None,
            request_id: None,
        };
        let entry = asked(&graphql.entry);
        let known = self.known.borrow().as_ref().map(|(_, known)| Rc::clone(known));
        let now = self.worker.clock.now().timestamp;
        let judged = Judged { worker: &self.worker, asked: &asked, entry: &entry, known: known.as_deref(), now };
        let judged = graphql::judge(&judged, payload, &cost(Side::Client, bytes)).await;
        if judged.as_ref().is_err_and(Refusal::is_throttled) {
            self.worker.counters.refused_quota.add(1);
        }
        judged
    }

    /// Decides about a frame with data.
    pub(super) fn decide(self: &Rc<Self>, from: Side, bytes: u64) -> Decision {
        if !self.is_current() {
            return self.decide_later(from, bytes, true);
        }
        self.worker.counters.websocket_frames.add(1);
        if let Some(farewell) = self.must_leave_now() {
            return Decision::Leave(farewell);
        }
        if self.has_expired() {
            return Decision::Leave(Farewell::INVALID);
        }
        let now = self.worker.clock.now().timestamp;
        match self.limits.borrow().take_now(&cost(from, bytes), now) {
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
            if session.has_expired() {
                return Decision::Leave(Farewell::INVALID);
            }
            if session.take(&cost(from, bytes)).await { Decision::Pass } else { Decision::Drop }
        }))
    }

    /// Takes a cost from the session's limits; says whether they allow it.
    async fn take(&self, cost: &Cost) -> bool {
        let limits = Rc::clone(&self.limits.borrow());
        let now = self.worker.clock.now().timestamp;
        let is_allowed = limits.take(&self.worker, cost, now).await.is_ok();
        if !is_allowed {
            self.worker.counters.refused_quota.add(1);
        }
        is_allowed
    }

    /// Says whether the token's time is over.
    fn has_expired(&self) -> bool {
        let now = self.worker.clock.now().timestamp;
        self.known.borrow().as_ref().is_some_and(|(_, known)| known.has_ended(now))
    }

    /// Says whether nothing has changed in the log that the token, the API or the policies could have to do with.
    fn is_current(&self) -> bool {
        let projection = &self.worker.projection;
        let generation = projection.verdict_generation();
        self.version.get() == projection.version()
            && self
                .known
                .borrow()
                .as_ref()
                .is_none_or(|(_, known)| known.is_of(generation) && !known.must_be_asked_again(&self.worker))
    }

    /// Looks at the API, the token and the policies again; returns why the connection must end.
    async fn look_at_rights(&self) -> Option<Farewell> {
        let routes = self.worker.routes();
        // What was a path once is one still.
        let path = path::check(self.request.uri.path()).ok()?;
        let found = routes.table.find(&self.request, self.is_from_proxy, &path);
        let Some(route) = found.filter(|route| route.api.id == self.api) else {
            return Some(Farewell::API_GONE);
        };
        if route.api.is_blocked {
            return Some(Farewell::BLOCKED);
        }
        if let Some(farewell) = self.look_at_key(route.api, routes.version).await {
            return Some(farewell);
        }
        let rule = match (&route.api.graphql, route.api.operations.find(&Method::GET, &path[route.place.end..])) {
            (Some(graphql), _) => &graphql.entry,
            (None, Found::Operation(number)) => &route.api.rules[number],
            (None, _) => return Some(Farewell::API_GONE),
        };
        let asked = Asked {
            routes: &routes,
            api: route.api,
            rule,
            request: &self.request,
            client: self.client,
            connection: None,
            is_from_proxy: self.is_from_proxy,
            anonymous_key_type: KeyType::Production,
            certificate: None,
            trace: None,
            request_id: None,
        };
        let known = self.known.borrow().as_ref().map(|(_, known)| Rc::clone(known));
        let now = self.worker.clock.now().timestamp;
        if limiter::check_denied(&asked, known.as_deref(), now).is_err() {
            return Some(Farewell::DENIED);
        }
        if !route.api.is_open {
            self.limits.replace(limiter::limits(&self.worker, &asked, known.as_deref()));
        }
        self.version.set(routes.version);
        None
    }

    /// Asks about the key again; returns why the connection must end.
    async fn look_at_key(&self, api: &CompiledApi, version: u64) -> Option<Farewell> {
        let key = self.known.borrow().as_ref().map(|(key, _)| key.clone())?;
        let is_certificate = key.kind == KeyKind::Certificate;
        // One that must be there must stay, whatever else was shown.
        if is_certificate || api.schemes.security.is_mutual_tls_mandatory {
            let now = self.worker.clock.now().timestamp;
            match certificate::verdict(&self.worker, api, version, self.certificate.as_deref(), now) {
                Err(_) => return Some(Farewell::INVALID),
                Ok(known) if is_certificate => {
                    *self.known.borrow_mut() = Some((key, known));
                    return None;
                }
                Ok(_) => {}
            }
        }
        match authenticate::verdict(&self.worker, self.api, key.shown(), Some(self.client), (None, None)).await {
            Ok(known) => *self.known.borrow_mut() = Some((key, known)),
            Err(KeyRefusal::Invalid | KeyRefusal::Expired) => return Some(Farewell::INVALID),
            Err(KeyRefusal::Blocked | KeyRefusal::NotSubscribed | KeyRefusal::Inactive) => {
                return Some(Farewell::FORBIDDEN);
            }
            // What was known holds until more is known.
            Err(KeyRefusal::Unavailable) => {}
        }
        None
    }

    /// Looks whether the connection must end though no frame comes.
    pub(super) fn look_again(self: &Rc<Self>, cx: &mut Context<'_>) {
        if self.has_expired() {
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
        if self.known.borrow().is_some() && !self.worker.settings.freshness.is_fresh() {
            return Some(Farewell::STALE);
        }
        if self.worker.phase() != Phase::Serving {
            return Some(Farewell::GOING_AWAY);
        }
        self.must_leave.get()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(gathering), Some(place)) = (&self.worker.gathering, self.counted.get()) {
            gathering.leave(place);
        }
    }
}

/// Returns by which code a client is told why its query was refused: the original's where it has one.
fn code_of(refusal: &Refusal) -> u32 {
    match refusal.number() {
        900_820 => 4020,
        900_821 => 4021,
        900_422 => 4022,
        900_901..=900_905 => 4001,
        900_805 | 900_906..=900_910 => 4002,
        _ if refusal.is_throttled() => 4003,
        other => other,
    }
}

/// Returns what a frame with data costs: an event, its bytes, and of a client's frame what a call costs.
fn cost(from: Side, bytes: u64) -> Cost {
    Cost { requests: u64::from(from == Side::Client), bytes, events: 1, ..Cost::default() }
}
