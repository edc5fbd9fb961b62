//! Answers that clients over HTTP/2 take piece by piece. Such a client can stop taking one while its connection goes on,
//! so each is watched by itself: one that is not taken for too long gives its place at the backend free.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::alarm::millis;
use crate::pace::{Pace, SlowestPace};
use crate::upstream::UpstreamError;
use crate::upstream::coming::Coming;

/// An answer under way.
pub(crate) struct Held {
    /// `None` once it was taken away.
    coming: RefCell<Option<Coming>>,
    /// How the client takes it: waited for while it is the client's turn, not while it is the backend's.
    pace: Cell<Pace>,
    /// Bytes that the client was offered last.
    offered: Cell<usize>,
    slowest: Option<SlowestPace>,
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
        let mut pace = self.pace.get();
        // Who asks for more has taken what was there before.
        pace.moves(self.offered.take(), now_ms, self.slowest);
        let frame = coming.poll_frame(cx);
        if let Poll::Ready(frame) = &frame {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            self.offered.set(data.map_or(0, Bytes::len));
            pace.waits(now_ms);
        }
        self.pace.set(pace);
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
    pub(crate) fn hold(&self, coming: Coming, slowest: Option<SlowestPace>, now_ms: u64) -> Rc<Held> {
        let mut pace = Pace::default();
        pace.waits(now_ms);
        let held = Held { coming: RefCell::new(Some(coming)), pace: Cell::new(pace), offered: Cell::new(0), slowest };
        let held = Rc::new(held);
        self.0.borrow_mut().push(Rc::downgrade(&held));
        held
    }

    /// Takes away what clients have not taken for `patience`, or take too slowly; returns how many answers that were, and
    /// how many of them were taken too slowly.
    pub(crate) fn expire(&self, now_ms: u64, patience: Duration) -> (u64, u64) {
        let patience_ms = millis(patience);
        let mut taken = Vec::new();
        self.0.borrow_mut().retain(|held| {
            let Some(held) = held.upgrade() else { return false };
            let pace = held.pace.get();
            let is_stalled = pace.waited_since_ms().is_some_and(|at_ms| now_ms.saturating_sub(at_ms) > patience_ms);
            let too_late = held.slowest.and_then(|slowest| pace.too_late_at_ms(slowest));
            let is_below_pace = !is_stalled && too_late.is_some_and(|at_ms| now_ms > at_ms);
            if is_stalled || is_below_pace {
                taken.extend(held.coming.take().map(|coming| (coming, is_below_pace)));
            }
            !is_stalled && !is_below_pace
        });
        // Dropped after the borrow has ended.
        taken.retain(|(coming, _)| !coming.is_ended());
        let below_pace = taken.iter().filter(|(_, is_below_pace)| *is_below_pace).count();
        (taken.len() as u64, below_pace as u64)
    }
}
