//! The connections of one worker to one origin: the last one put back is the first one taken, so that the fewest stay
//! open.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use super::UpstreamError;
use super::line::Line;
use super::link::{Link, SharedLink};
use crate::alarm::{Alarms, millis};
use crate::route::endpoint::Origin;
use crate::settings::UpstreamLimits;

/// The pools of one worker.
pub(crate) struct Pools {
    by_origin: RefCell<HashMap<u64, Rc<Pool>, RandomState>>,
    limits: UpstreamLimits,
    alarms: Rc<Alarms>,
}

/// The connections to one origin.
pub(crate) struct Pool {
    origin: Arc<Origin>,
    limits: UpstreamLimits,
    alarms: Rc<Alarms>,
    /// The one unused for longest first.
    idle: RefCell<Vec<SharedLink>>,
    in_use: Cell<usize>,
    waiting: Cell<usize>,
    freed: Notify,
    /// Until when other backends are preferred, in the worker's milliseconds.
    suspended_until_ms: Cell<u64>,
    /// The connections that speak HTTP/2.
    lines: RefCell<Vec<Rc<Line>>>,
    /// Held by whoever opens one of them.
    opening: tokio::sync::Mutex<()>,
    /// The backend chose HTTP/1.1 where it was offered HTTP/2.
    speaks_http1: Cell<bool>,
}

/// The right to have one connection in use.
pub(crate) struct Slot {
    pool: Rc<Pool>,
}

impl Pools {
    pub(crate) fn new(limits: UpstreamLimits, alarms: Rc<Alarms>) -> Self {
        Self { by_origin: RefCell::default(), limits, alarms }
    }

    /// Returns the pool of an origin.
    pub(crate) fn of(&self, origin: &Arc<Origin>) -> Rc<Pool> {
        if let Some(pool) = self.by_origin.borrow().get(&origin.id) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool {
            origin: Arc::clone(origin),
            limits: self.limits,
            alarms: Rc::clone(&self.alarms),
            idle: RefCell::default(),
            in_use: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
            suspended_until_ms: Cell::new(0),
            lines: RefCell::default(),
            opening: tokio::sync::Mutex::default(),
            speaks_http1: Cell::new(false),
        });
        self.by_origin.borrow_mut().insert(origin.id, Rc::clone(&pool));
        pool
    }

    /// Closes connections that were not used for long, and forgets pools without any.
    pub(crate) fn expire(&self) {
        self.by_origin.borrow_mut().retain(|_, pool| {
            pool.expire();
            let has_connections = !pool.idle.borrow().is_empty() || !pool.lines.borrow().is_empty();
            has_connections || Rc::strong_count(pool) > 1 || pool.is_suspended()
        });
    }

    /// Closes all unused connections.
    pub(crate) fn close_idle(&self) {
        for pool in self.by_origin.borrow().values() {
            pool.idle.borrow_mut().clear();
            pool.lines.borrow_mut().clear();
        }
    }
}

impl Pool {
    /// Returns where the connections go.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns a connection with room for one more call over HTTP/2.
    pub(crate) fn line(&self) -> Option<Rc<Line>> {
        self.lines.borrow().iter().find(|line| line.has_room()).cloned()
    }

    /// Returns what whoever opens a connection for HTTP/2 holds.
    pub(crate) fn opening(&self) -> &tokio::sync::Mutex<()> {
        &self.opening
    }

    /// Keeps a connection for HTTP/2.
    pub(crate) fn keep(&self, line: &Rc<Line>) {
        self.lines.borrow_mut().push(Rc::clone(line));
    }

    /// Notes that the backend chose HTTP/1.1.
    pub(crate) fn note_http1(&self) {
        self.speaks_http1.set(true);
    }

    /// Says whether the backend chose HTTP/1.1.
    pub(crate) fn speaks_http1(&self) -> bool {
        self.speaks_http1.get()
    }

    /// Returns how many calls are under way there.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// Says whether other backends are to be preferred for a while.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended_until_ms.get() > self.alarms.now_ms()
    }

    /// Notes that no connection came about.
    pub(crate) fn suspend(&self) {
        let suspension_ms = millis(self.limits.suspension);
        self.suspended_until_ms.set(self.alarms.now_ms().saturating_add(suspension_ms));
    }

    /// Notes that a connection came about.
    pub(crate) fn resume(&self) {
        self.suspended_until_ms.set(0);
    }

    /// Waits for the right to have one more connection in use.
    ///
    /// # Errors
    /// Where too many wait already, or none becomes free in the time for connecting.
    pub(crate) async fn slot(self: &Rc<Self>) -> Result<Slot, UpstreamError> {
        loop {
            if let Some(slot) = self.slot_now() {
                return Ok(slot);
            }
            self.wait_for_slot().await?;
        }
    }

    /// Returns the right to have one more connection in use where it can be had without waiting.
    pub(crate) fn slot_now(self: &Rc<Self>) -> Option<Slot> {
        if self.in_use.get() >= self.limits.connections_max {
            return None;
        }
        self.in_use.set(self.in_use.get() + 1);
        Some(Slot { pool: Rc::clone(self) })
    }

    async fn wait_for_slot(&self) -> Result<(), UpstreamError> {
        if self.waiting.get() >= self.limits.waiting_max {
            return Err(UpstreamError::NoConnectionFree);
        }
        let _waiting = Waiting::new(&self.waiting);
        let freed = async {
            while self.in_use.get() >= self.limits.connections_max {
                self.freed.notified().await;
            }
        };
        tokio::time::timeout(self.limits.connect_timeout, freed).await.map_err(|_| UpstreamError::NoConnectionFree)
    }

    fn expire(&self) {
        let now_ms = self.alarms.now_ms();
        let mut idle = self.idle.borrow_mut();
        let old = idle.partition_point(|link| self.is_too_old(&link.borrow(), now_ms));
        idle.drain(..old);
        self.lines.borrow_mut().retain(|line| line.is_kept(now_ms, self.limits.idle_timeout));
    }

    fn is_too_old(&self, link: &Link, now_ms: u64) -> bool {
        now_ms.saturating_sub(link.idle_since_ms) > millis(self.limits.idle_timeout)
    }
}

/// Counts one who waits, for as long as it waits.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Slot {
    /// Takes an open connection, if there is one that can be used.
    pub(crate) fn take_idle(&self) -> Option<SharedLink> {
        let now_ms = self.pool.alarms.now_ms();
        loop {
            let link = self.pool.idle.borrow_mut().pop()?;
            let is_good = {
                let mut link = link.borrow_mut();
                !self.pool.is_too_old(&link, now_ms) && link.is_usable()
            };
            if is_good {
                return Some(link);
            }
        }
    }

    /// Puts a connection back for the next one.
    pub(crate) fn put_back(self, link: SharedLink) {
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < self.pool.limits.idle_max {
            link.borrow_mut().rest(self.pool.alarms.now_ms());
            idle.push(link);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.in_use.set(self.pool.in_use.get() - 1);
        if self.pool.waiting.get() > 0 {
            self.pool.freed.notify_one();
        }
    }
}
