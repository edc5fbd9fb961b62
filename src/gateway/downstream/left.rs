//! All of an answer, left to be sent while its connection waits for the next request: by the [outbox](crate::outbox), or by
//! the connection's own task where the client does not take it at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use super::wire::{Stream, closed};

/// What is kept of the room for what is written, from one answer to the next.
pub(super) const KEPT_BYTES: usize = 4 << 10;

/// An answer that was left to be sent; none where it has no bytes.
#[derive(Default)]
pub(crate) struct LeftAnswer {
    /// What is to be written; kept for its capacity.
    bytes: Vec<u8>,
    written: usize,
    /// Whether others are to write it.
    waits: bool,
}

impl LeftAnswer {
    /// Takes the room for what is written; what was left must have been sent.
    pub(crate) fn take_room(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Takes it back.
    pub(crate) fn keep_room(&mut self, room: Vec<u8>) {
        self.bytes = room;
    }

    /// Leaves an answer to be sent by others.
    pub(crate) fn leave(&mut self, bytes: Vec<u8>) {
        *self = Self { bytes, written: 0, waits: true };
    }

    /// Says whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Says whether there is one that nobody else is to send.
    pub(crate) fn is_own(&self) -> bool {
        self.is_there() && !self.waits
    }

    /// Says whether others are to send it.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Sends it to its end. `was_written` is told of each write.
    pub(super) fn poll(
        &mut self,
        stream: Option<&mut Stream>,
        cx: &mut Context<'_>,
        mut was_written: impl FnMut(&Poll<io::Result<usize>>),
    ) -> Poll<io::Result<()>> {
        self.waits = false;
        let Some(stream) = stream else { return Poll::Ready(Err(closed())) };
        while self.written < self.bytes.len() {
            let written = Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.written..]);
            was_written(&written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        let flushed = Pin::new(stream).poll_flush(cx).map_ok(|()| 0);
        was_written(&flushed);
        ready!(flushed)?;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        Poll::Ready(Ok(()))
    }
}
