//! A client's connection as seen from its bytes: what it waits for and since when, so that slow clients are found.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::header::{ORIGIN, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use portcullis_model::agent::AgentFamily;
use portcullis_model::id::ApiId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::{Alarms, millis};
use crate::authenticate::{Known, VerdictKey};
use crate::control_frames::ControlFrames;
use crate::downstream::head::Fields;
use crate::pace::{Pace, SlowestPace};
use crate::peer::PeerCertificate;
use crate::route::table::PlaceOfApi;
use crate::settings::ClientLimits;
use crate::upstream::exchange::Exchange;
use crate::upstream::request::X_REQUEST_ID;
use crate::websocket::Upgrade;

/// What is known of one client's connection.
pub(crate) struct Client {
    /// The address, as text for `X-Forwarded-For`.
    pub(crate) ip: String,
    pub(crate) address: SocketAddr,
    pub(crate) is_https: bool,
    /// The certificate that it showed in the handshake.
    certificate: RefCell<Option<Rc<PeerCertificate>>>,
    /// Its word about where calls come from counts.
    pub(crate) is_trusted_proxy: bool,
    in_progress: Cell<usize>,
    /// When the first byte of a head came, in the worker's milliseconds; `None` between requests.
    head_since_ms: Cell<Option<u64>>,
    idle_since_ms: Cell<u64>,
    /// How the client takes what is sent.
    pace: Cell<Pace>,
    slowest: Option<SlowestPace>,
    /// Calls share the connection (HTTP/2): what is read between them is no head.
    is_multiplexed: Cell<bool>,
    /// It was closed for the frames that it sent.
    has_flooded: Cell<bool>,
    /// What the connection becomes once the answer under way is sent.
    upgrade: RefCell<Option<Upgrade>>,
    /// What the client last said of itself, and what kind of program that is.
    agent: RefCell<(HeaderValue, AgentFamily)>,
    /// What was learnt from the fields of its last request, where the next one may have the same.
    learnt: RefCell<Option<Learnt>>,
    /// Room for the next exchange with a backend.
    room: Cell<Option<Box<Exchange>>>,
    /// Its number among the worker's connections.
    seat: Cell<usize>,
    /// Where its last call counted in the statistics.
    counted_at: Cell<Option<usize>>,
}

/// What was learnt from the fields of a request, as far as it was asked for.
#[derive(Default)]
struct Learnt {
    /// Whether they have come more than once.
    are_repeated: bool,
    agent: Option<AgentFamily>,
    has_origin: Option<bool>,
    has_request_id: Option<bool>,
    /// What stands for the token in them, at an API of one version of the routes, and what was last known of it.
    token: Option<(VerdictKey, u64, Rc<Known>)>,
    /// What of them goes on, and where.
    sent: Option<(SentTo, Box<[u8]>)>,
    /// To what the request led whose first line they followed.
    way: Option<LearntWay>,
}

/// To what a request leads, by the routes of one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LearntWay {
    pub(crate) version: u64,
    pub(crate) place: PlaceOfApi,
    /// The operation's number.
    pub(crate) operation: usize,
}

/// Where fields go on to: the same of them goes to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentTo {
    /// The number of the API, which is another when it is compiled anew.
    pub(crate) api: u64,
    /// The number of the backend.
    pub(crate) endpoint: u64,
    /// Whether fields that hold a key are left out.
    pub(crate) is_without_key: bool,
}

/// What a connection waits too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Its next request: closing it is usual.
    Idle,
    /// The rest of a head, or that the client takes what is sent.
    Slow,
    /// That the client takes what is sent, of which it takes too little.
    BelowPace,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        is_https: bool,
        is_trusted_proxy: bool,
        slowest: Option<SlowestPace>,
        now_ms: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            ip: address.ip().to_canonical().to_string(),
            address,
            is_https,
            is_trusted_proxy,
            certificate: RefCell::new(None),
            in_progress: Cell::new(0),
            head_since_ms: Cell::new(None),
            idle_since_ms: Cell::new(now_ms),
            pace: Cell::default(),
            slowest,
            is_multiplexed: Cell::new(false),
            has_flooded: Cell::new(false),
            upgrade: RefCell::new(None),
            agent: RefCell::new((HeaderValue::from_static(""), AgentFamily::None)),
            learnt: RefCell::new(None),
            room: Cell::new(None),
            seat: Cell::new(usize::MAX),
            counted_at: Cell::new(None),
        })
    }

    /// Takes room for an exchange with a backend, if there is any.
    pub(crate) fn take_room(&self) -> Option<Box<Exchange>> {
        self.room.take()
    }

    /// Keeps room for the next exchange.
    pub(crate) fn keep_room(&self, room: Box<Exchange>) {
        self.room.set(Some(room));
    }

    /// Returns where its last call counted in the statistics.
    pub(crate) fn counted_at(&self) -> Option<usize> {
        self.counted_at.get()
    }

    /// Notes where its last call counted in the statistics.
    pub(crate) fn is_counted_at(&self, place: usize) {
        self.counted_at.set(Some(place));
    }

    /// Notes its number among the worker's connections.
    pub(crate) fn sits_at(&self, seat: usize) {
        self.seat.set(seat);
    }

    /// Returns its number among the worker's connections, by which the task is woken that does its calls; `None` where each call
    /// has a task of its own.
    pub(crate) fn seat(&self) -> Option<usize> {
        (!self.has_many_calls()).then(|| self.seat.get())
    }

    /// Notes the certificate that the client showed in the handshake.
    pub(crate) fn shows(&self, certificate: Option<Rc<PeerCertificate>>) {
        *self.certificate.borrow_mut() = certificate;
    }

    /// Returns the certificate that the client showed in the handshake.
    pub(crate) fn certificate(&self) -> Option<Rc<PeerCertificate>> {
        self.certificate.borrow().clone()
    }

    /// Notes how the fields of the request that begins are known.
    pub(crate) fn sends(&self, fields: Fields) {
        match fields {
            Fields::New => *self.learnt.borrow_mut() = None,
            Fields::Kept => *self.learnt.borrow_mut() = Some(Learnt::default()),
            Fields::Repeated | Fields::Same => {
                if let Some(learnt) = &mut *self.learnt.borrow_mut() {
                    learnt.are_repeated = true;
                    learnt.way = learnt.way.filter(|_| fields == Fields::Same);
                }
            }
        }
    }

    /// Returns what is learnt from the fields of a request, which is looked for once as long as they are the same.
    fn learns<T: Copy>(&self, place: impl Fn(&mut Learnt) -> &mut Option<T>, look: impl FnOnce() -> T) -> T {
        match &mut *self.learnt.borrow_mut() {
            Some(learnt) => *place(learnt).get_or_insert_with(look),
            None => look(),
        }
    }

    /// Says whether these fields of the request name the page that sends it (RFC 6454 §7).
    pub(crate) fn names_origin(&self, headers: &HeaderMap) -> bool {
        self.learns(|learnt| &mut learnt.has_origin, || headers.contains_key(ORIGIN))
    }

    /// Says whether these fields of the request give it an id.
    pub(crate) fn gives_request_id(&self, headers: &HeaderMap) -> bool {
        self.learns(|learnt| &mut learnt.has_request_id, || headers.contains_key(X_REQUEST_ID))
    }

    /// Returns what is known of the token in the fields of the request at an API of one version of the routes, where it was looked
    /// for. What was known of it before does where it `is_good`; else it is looked for by what stands for it.
    pub(crate) fn known_at(
        &self,
        (api, version): (ApiId, u64),
        is_good: impl Fn(&Known) -> bool,
        find: impl FnOnce(&VerdictKey) -> Option<Rc<Known>>,
    ) -> Option<Rc<Known>> {
        let mut learnt = self.learnt.borrow_mut();
        let (token, of, known) = learnt.as_mut()?.token.as_mut()?;
        if *of != version || !token.is_at(api) {
            return None;
        }
        if !is_good(known) {
            *known = find(token)?;
        }
        Some(Rc::clone(known))
    }

    /// Keeps what stands for the token in the fields of the request, and what is known of it, for the next one with the same.
    pub(crate) fn keep_token(&self, token: VerdictKey, version: u64, known: &Rc<Known>) {
        if let Some(learnt) = &mut *self.learnt.borrow_mut() {
            learnt.token = Some((token, version, Rc::clone(known)));
        }
    }

    /// Returns to what the request leads by the routes of a version, where one with the same head was led there before.
    pub(crate) fn way_at(&self, version: u64) -> Option<LearntWay> {
        self.learnt.borrow().as_ref()?.way.filter(|way| way.version == version)
    }

    /// Keeps to what the request leads, for the next one with the same head.
    pub(crate) fn keep_way(&self, way: LearntWay) {
        if let Some(learnt) = &mut *self.learnt.borrow_mut() {
            learnt.way = Some(way);
        }
    }

    /// Writes what of the fields of the request goes on: as it was written before, where it was.
    pub(crate) fn write_sent(&self, to: SentTo, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut learnt = self.learnt.borrow_mut();
        match learnt.as_mut().filter(|learnt| learnt.are_repeated) {
            Some(Learnt { sent: Some((its, text)), .. }) if *its == to => out.extend_from_slice(text),
            Some(learnt) => {
                let at = out.len();
                write(out);
                learnt.sent = Some((to, out[at..].into()));
            }
            None => write(out),
        }
    }

    /// Returns what kind of program sends these fields of the request.
    pub(crate) fn agent(&self, headers: &HeaderMap) -> AgentFamily {
        self.learns(|learnt| &mut learnt.agent, || self.agent_of(headers))
    }

    /// Who says the same as with the call before is looked up once.
    fn agent_of(&self, headers: &HeaderMap) -> AgentFamily {
        let Some(said) = headers.get(USER_AGENT) else { return AgentFamily::None };
        let mut agent = self.agent.borrow_mut();
        if agent.0 != said {
            // A copy, which does not hold the memory of the head it came in.
            let own = HeaderValue::from_bytes(said.as_bytes()).unwrap_or_else(|_| said.clone());
            *agent = (own, AgentFamily::of(said.as_bytes()));
        }
        agent.1
    }

    pub(crate) fn call_begins(&self) {
        self.in_progress.set(self.in_progress.get() + 1);
        self.head_since_ms.set(None);
    }

    /// Notes that some of a head is here.
    pub(crate) fn head_begins(&self, now_ms: u64) {
        if self.head_since_ms.get().is_none() {
            self.head_since_ms.set(Some(now_ms));
        }
    }

    /// Says whether the client took all that it was offered so far, and in time.
    pub(crate) fn takes_all(&self) -> bool {
        self.pace.get().is_even()
    }

    /// Notes how many bytes the client took of those that it was offered; `None` where it takes none now.
    pub(crate) fn was_written(&self, taken: Option<usize>, now_ms: u64) {
        let mut pace = self.pace.get();
        match taken {
            Some(_) if pace.is_even() => return,
            Some(bytes) => pace.moves(bytes, now_ms, self.slowest),
            None => pace.waits(now_ms),
        }
        self.pace.set(pace);
    }

    /// Notes what the connection becomes once the answer under way is sent.
    pub(crate) fn will_upgrade(&self, upgrade: Upgrade) {
        *self.upgrade.borrow_mut() = Some(upgrade);
    }

    /// Takes what the connection becomes now that HTTP is over.
    pub(crate) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.borrow_mut().take()
    }

    /// Notes that the connection does not carry one request after the other: it speaks HTTP/2, or no HTTP any more.
    pub(crate) fn is_multiplexed(&self) {
        self.is_multiplexed.set(true);
    }

    /// Says whether calls share the connection.
    pub(crate) fn has_many_calls(&self) -> bool {
        self.is_multiplexed.get()
    }

    /// Says whether the connection was closed for the frames that the client sent.
    pub(crate) fn has_flooded(&self) -> bool {
        self.has_flooded.get()
    }

    pub(crate) fn call_ends(&self, now_ms: u64) {
        self.in_progress.set(self.in_progress.get() - 1);
        self.idle_since_ms.set(now_ms);
    }

    /// Returns until when the connection may go on as it is, in the worker's milliseconds; `None` for without end.
    pub(crate) fn deadline_ms(&self, limits: &ClientLimits) -> Option<(u64, Wait)> {
        let after = |since: u64, limit| since.saturating_add(millis(limit));
        let pace = self.pace.get();
        if let Some(since) = pace.waited_since_ms() {
            let stalled = (after(since, limits.stall_timeout), Wait::Slow);
            let behind_at_ms = self.slowest.and_then(|slowest| pace.too_late_at_ms(slowest));
            let behind = behind_at_ms.filter(|at_ms| *at_ms < stalled.0).map(|at_ms| (at_ms, Wait::BelowPace));
            return Some(behind.unwrap_or(stalled));
        }
        if self.in_progress.get() > 0 {
            return None;
        }
        match self.head_since_ms.get() {
            Some(since) => Some((after(since, limits.head_timeout), Wait::Slow)),
            None => Some((after(self.idle_since_ms.get(), limits.idle_timeout), Wait::Idle)),
        }
    }
}

/// Returns how many bytes a write got rid of; `None` where it waits.
pub(crate) fn taken(written: &Poll<io::Result<usize>>) -> Option<usize> {
    match written {
        Poll::Ready(Ok(count)) => Some(*count),
        Poll::Ready(Err(_)) => Some(0),
        Poll::Pending => None,
    }
}

/// A client's byte stream that carries many calls at a time: tells its [`Client`] whether the client takes what is sent, and
/// ends where the client sends more frames than its calls explain.
pub(crate) struct Watched<T> {
    stream: T,
    /// What was read before it was known what the connection speaks.
    before: BytesMut,
    client: Rc<Client>,
    alarms: Rc<Alarms>,
    frames: ControlFrames,
}

impl<T> Watched<T> {
    pub(crate) fn new(stream: T, before: BytesMut, client: &Rc<Client>, alarms: &Rc<Alarms>) -> Self {
        let frames = ControlFrames::new(alarms.now_ms());
        Self { stream, before, client: Rc::clone(client), alarms: Rc::clone(alarms), frames }
    }

    fn was_written(&mut self, taken: Option<usize>) {
        self.frames.was_sent(taken.unwrap_or_default());
        self.client.was_written(taken, self.alarms.now_ms());
    }

    fn was_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.frames.take(bytes, self.alarms.now_ms()) {
            return Ok(());
        }
        self.client.has_flooded.set(true);
        Err(io::Error::other("the client sends too many frames that belong to no call"))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = buf.filled().len();
        if self.before.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let count = self.before.len().min(buf.remaining());
            buf.put_slice(&self.before.split_to(count));
        }
        Poll::Ready(self.was_read(&buf.filled()[from..]))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.was_written(taken(&written));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.was_written(flushed.is_ready().then_some(0));
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.was_written(shut.is_ready().then_some(0));
        shut
    }
}
