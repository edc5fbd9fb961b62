//! Has calls that go on at the same time send one after the other.
//!
//! A system call that sends takes a long way through the kernel's code, and evicts the gateway's own from the processor's caches. Where many
//! calls can go on, each does its work up to what it sends, gives way, and sends when the others are as far: the same code runs many
//! times in a row. Nothing is sent later than all of these would have taken anyway. (J. Larus, M. Parkes: Using Cohort
//! Scheduling to Enhance Server Performance, USENIX 2002.)

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use crate::worker::Worker;

/// Calls under way below which none gives way: there is nothing to be won.
const CALLS_MIN: u64 = 8;

/// Whether the task under way gives way.
#[derive(Default)]
pub(crate) struct Cohort {
    is_giving_way: Cell<bool>,
}

impl Cohort {
    /// Notes that a task begins or goes on.
    pub(crate) fn goes_on(&self) {
        self.is_giving_way.set(false);
    }

    /// Says whether a task waits for nothing but its turn: there is nothing to look after meanwhile.
    pub(crate) fn is_giving_way(&self) -> bool {
        self.is_giving_way.get()
    }
}

/// Lets the calls that can go on do so first, up to here, where there are many; says whether that was done.
pub(crate) async fn give_way(worker: &Worker) -> bool {
    if worker.counters.requests_in_progress.get() < CALLS_MIN {
        return false;
    }
    let mut has_given_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_given_way, true) {
            return Poll::Ready(());
        }
        worker.cohort.is_giving_way.set(true);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    true
}
