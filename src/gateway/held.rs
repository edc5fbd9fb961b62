//! Answers that clients over HTTP/2 take piece by piece. Such a client can stop taking one while its connection goes on,
//! so each is watched by itself: one that is not taken for too long gives its place at the backend free.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::upstream::UpstreamError;
use crate::upstream::coming::Coming;

/// An answer under way.
pub(crate) struct Held {
    /// `None` once it was taken away.
    coming: RefCell<Option<Coming>>,
    /// Since when it is the client's turn to take, in the worker's milliseconds; `None` while it is the backend's.
    offered_at_ms: Cell<Option<u64>>,
}

impl Held {
    /// Reads the next frame.
    pub(crate) fn poll_frame(
        &self,
        now_ms: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let mut coming = self.coming.borrow_mut();
        let Some(coming) = coming.as_mut() else {
            return Poll::Ready(Some(Err(UpstreamError::ClientStalled)));
        };
        let frame = coming.poll_frame(cx);
        self.offered_at_ms.set(frame.is_ready().then_some(now_ms));
        frame
    }

    /// Says whether there is nothing more to read.
    pub(crate) fn is_ended(&self) -> bool {
        self.coming.borrow().as_ref().is_some_and(|coming| coming.is_ended())
    }

    /// Returns what is known of the length of what is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.coming.borrow().as_ref().map_or_else(SizeHint::default, |coming| coming.size_hint())
    }
}

/// The answers of one worker that are watched.
#[derive(Default)]
pub(crate) struct Offers(RefCell<Vec<Weak<Held>>>);

impl Offers {
    /// Watches an answer.
    pub(crate) fn hold(&self, coming: Coming, now_ms: u64) -> Rc<Held> {
        let held = Rc::new(Held { coming: RefCell::new(Some(coming)), offered_at_ms: Cell::new(Some(now_ms)) });
        self.0.borrow_mut().push(Rc::downgrade(&held));
        held
    }

    /// Takes away what clients have not taken for `patience`, and returns how many answers that were.
    pub(crate) fn expire(&self, now_ms: u64, patience: Duration) -> u64 {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let mut taken = Vec::new();
        self.0.borrow_mut().retain(|held| {
            let Some(held) = held.upgrade() else { return false };
            let is_late = held.offered_at_ms.get().is_some_and(|at_ms| now_ms.saturating_sub(at_ms) > patience_ms);
            if is_late {
                taken.extend(held.coming.take());
            }
            !is_late
        });
        // Dropped after the borrow has ended.
        taken.into_iter().filter(|coming| !coming.is_ended()).count() as u64
    }
}
