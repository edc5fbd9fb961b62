//! Deadlines of connections and exchanges, looked at once per tick: setting one costs a store, not a timer.
//!
//! It is not for exact times: an alarm goes off up to two ticks late, and never early.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Returns what changes with each tick, until nobody looks at it any more. A thread of its own sees to that: a worker that waits for
/// sockets alone, and for no time, waits for less (`docs/decisions/0125-workers-have-a-runtime-of-one-thread.md`).
///
/// # Errors
/// Where the system gives no thread.
pub(crate) fn ticks() -> io::Result<watch::Receiver<()>> {
    let (ticking, ticks) = watch::channel(());
    let tick = move || {
        while ticking.send(()).is_ok() {
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("gateway-ticks".to_owned()).spawn(tick)?;
    Ok(ticks)
}

/// Returns a duration in whole milliseconds, the largest number for one that has more.
pub(crate) const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis() as u64)
}

/// The mark of an alarm that is not set.
const NEVER: u64 = u64::MAX;

/// All alarms of one worker.
pub(crate) struct Alarms {
    started: Instant,
    /// Milliseconds from the start to the last tick.
    now_ms: Cell<u64>,
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    all: Vec<Slot>,
    free: Vec<usize>,
}

struct Slot {
    deadline_ms: u64,
    waker: Option<Waker>,
}

impl Alarms {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { started: Instant::now(), now_ms: Cell::new(0), slots: RefCell::default() })
    }

    /// Returns the time of the last tick, in milliseconds since the worker started.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Moves the time and wakes the tasks whose alarm is due.
    pub(crate) fn tick(&self) {
        let now_ms = millis(self.started.elapsed());
        self.now_ms.set(now_ms);
        // Woken after the borrow has ended: dropping a waker may drop a task, and with it an alarm.
        let due: Vec<Waker> = {
            let mut slots = self.slots.borrow_mut();
            slots
                .all
                .iter_mut()
                .filter(|slot| slot.deadline_ms <= now_ms)
                .filter_map(|slot| slot.waker.take())
                .collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Returns a new alarm that is not set.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let mut slots = self.slots.borrow_mut();
        let empty = Slot { deadline_ms: NEVER, waker: None };
        let slot = match slots.free.pop() {
            Some(slot) => {
                slots.all[slot] = empty;
                slot
            }
            None => {
                slots.all.push(empty);
                slots.all.len() - 1
            }
        };
        Alarm { alarms: Rc::clone(self), slot, deadline_ms: NEVER }
    }
}

/// One deadline, and the task to wake when it has passed.
pub(crate) struct Alarm {
    alarms: Rc<Alarms>,
    slot: usize,
    deadline_ms: u64,
}

impl Alarm {
    /// Returns the time of the last tick, in milliseconds since the worker started.
    pub(crate) fn now_ms(&self) -> u64 {
        self.alarms.now_ms()
    }

    /// Sets the deadline to `after` from now.
    pub(crate) fn set(&mut self, after: Duration) {
        let after_ms = millis(after).saturating_add(millis(TICK));
        self.set_at(Some(self.alarms.now_ms().saturating_add(after_ms)));
    }

    /// Sets the deadline in milliseconds since the worker started, or unsets it.
    pub(crate) fn set_at(&mut self, deadline_ms: Option<u64>) {
        let deadline_ms = deadline_ms.unwrap_or(NEVER);
        if self.deadline_ms != deadline_ms {
            self.deadline_ms = deadline_ms;
            self.alarms.slots.borrow_mut().all[self.slot].deadline_ms = deadline_ms;
        }
    }

    /// Says whether the deadline has passed; if not, has the task woken when it does.
    pub(crate) fn is_due(&self, cx: &Context<'_>) -> bool {
        if self.deadline_ms <= self.alarms.now_ms() {
            return true;
        }
        let mut slots = self.alarms.slots.borrow_mut();
        let waker = &mut slots.all[self.slot].waker;
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let old = waker.replace(cx.waker().clone());
            drop(slots);
            drop(old);
        }
        false
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let old = {
            let mut slots = self.alarms.slots.borrow_mut();
            slots.free.push(self.slot);
            let slot = &mut slots.all[self.slot];
            slot.deadline_ms = NEVER;
            slot.waker.take()
        };
        drop(old);
    }
}
