//! What calls send at the same time goes out one after the other, from one place.
//!
//! A system call that sends takes a long way through the kernel's code, and evicts the gateway's own from the processor's caches. Where many
//! calls can go on, each leaves what it sends here and goes on to wait for what comes; when all of them are as far, it is sent, message after
//! message, by the same few instructions. Nothing is sent later than the work of these calls would have taken anyway. (J.
//! Larus, M. Parkes: Using Cohort Scheduling to Enhance Server Performance, USENIX 2002.)
//!
//! What cannot be sent at once, or not to its end, goes back to the task whose it is.

use std::cell::{OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::client::Client;
use crate::downstream::wire::Wire;
use crate::upstream::link::{Link, SharedLink};
use crate::worker::Worker;

/// Messages that are sent between two looks at the clock.
const PER_LOOK_AT_CLOCK: usize = 8;

/// The messages of one worker that wait to be sent.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: RefCell<Vec<Message>>,
    /// The task that sends them.
    sender: OnceCell<Waker>,
}

/// A message that waits where it was written.
struct Message {
    on: Connection,
    of: Owner,
}

/// The task whose a message is.
enum Owner {
    /// The one that serves a connection, by its number.
    Seat(usize),
    /// One of many on a connection.
    Task(Waker),
}

enum Connection {
    /// Nothing is sent of a request that was given up.
    Backend(Weak<RefCell<Link>>),
    Client(Rc<Wire>),
}

impl Outbox {
    /// Says whether messages are to be left here: there are many calls under way.
    pub(crate) fn is_of_use(&self, worker: &Worker) -> bool {
        worker.counters.requests_in_progress.get() >= worker.settings.sends_together_from && self.sender.get().is_some()
    }

    /// Has a request sent which its connection holds.
    pub(crate) fn take_request(&self, link: &SharedLink, client: &Client, cx: &Context<'_>) {
        self.take(Connection::Backend(Rc::downgrade(link)), client, cx);
    }

    /// Has an answer sent which its connection holds.
    pub(crate) fn take_answer(&self, wire: &Rc<Wire>, client: &Client, cx: &Context<'_>) {
        self.take(Connection::Client(Rc::clone(wire)), client, cx);
    }

    fn take(&self, on: Connection, client: &Client, cx: &Context<'_>) {
        let of = client.seat().map_or_else(|| Owner::Task(cx.waker().clone()), Owner::Seat);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty()
            && let Some(sender) = self.sender.get()
        {
            sender.wake_by_ref();
        }
        waiting.push(Message { on, of });
    }
}

/// Sends what waits, until it is dropped.
pub(crate) async fn send(worker: Rc<Worker>) {
    let outbox = &worker.outbox;
    let mut messages = Vec::new();
    poll_fn(|cx| {
        outbox.sender.get_or_init(|| cx.waker().clone());
        std::mem::swap(&mut messages, &mut *outbox.waiting.borrow_mut());
        let mut now = None;
        for (number, message) in messages.drain(..).enumerate() {
            if number % PER_LOOK_AT_CLOCK == 0 {
                now = None;
            }
            let is_sent = match message.on {
                Connection::Client(wire) => wire.send_left(),
                Connection::Backend(link) => link.upgrade().is_none_or(|link| {
                    let now = *now.get_or_insert_with(Instant::now);
                    link.borrow_mut().send_left(now)
                }),
            };
            if !is_sent {
                match message.of {
                    Owner::Seat(seat) => worker.connections.wake(seat),
                    Owner::Task(waker) => waker.wake(),
                }
            }
        }
        Poll::<()>::Pending
    })
    .await;
}
