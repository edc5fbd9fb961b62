//! The body of a request whose client must keep a pace until its call is answered.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::body::{BodyFault, ClientBody};
use crate::alarm::Alarm;
use crate::pace::{Pace, SlowestPace};

/// A body that must not come too slowly.
pub(crate) struct Paced {
    body: ClientBody,
    pace: Pace,
    /// `None` once the client has time: its call is answered.
    slowest: Option<SlowestPace>,
    alarm: Alarm,
}

impl Paced {
    pub(super) fn new(body: ClientBody, slowest: SlowestPace, alarm: Alarm) -> Self {
        Self { body, pace: Pace::default(), slowest: Some(slowest), alarm }
    }

    /// Lets it come as slowly as it likes from now on.
    pub(super) fn is_let_go(&mut self) {
        self.slowest = None;
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let now_ms = self.alarm.now_ms();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Some(slowest) = self.slowest else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.pace.moves(frame.data_ref().map_or(0, Bytes::len), now_ms, Some(slowest));
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.pace.waits(now_ms);
                self.alarm.set_at(self.pace.too_late_at_ms(slowest));
                if self.alarm.is_due(cx) {
                    return Poll::Ready(Some(Err(BodyFault::TooSlow)));
                }
            }
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
