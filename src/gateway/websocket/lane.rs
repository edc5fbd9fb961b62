//! One direction of a WebSocket: bytes that were read, the frame they are in, and bytes that wait to be written.

use bytes::{Buf as _, BytesMut};

use super::frame::{self, BadFrame, Head, Kind};

/// Bytes that may wait to be written before no more is read: what bounds the memory of a connection.
pub(super) const WAITING_BYTES_MAX: usize = 64 << 10;

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    /// What was read and not yet looked at.
    pub(super) read: BytesMut,
    /// What is to be written to the other side.
    pub(super) out: BytesMut,
    /// Bytes of the frame under way that are still to come.
    left: u64,
    is_dropping: bool,
    is_in_message: bool,
    /// What is left of the message under way is dropped.
    drops_message: bool,
    /// Whether the sender is a client, which must mask its frames.
    is_from_client: bool,
    /// The sender has sent its last frame.
    pub(super) has_closed: bool,
    /// The sender's end of the connection is over.
    pub(super) has_ended: bool,
}

/// What comes next in a lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More must be read, or written, first.
    Nothing,
    /// Bytes of a payload went on their way.
    Moved,
    /// A frame begins, of which nothing went on its way yet; a control frame is here whole.
    Frame(Head),
}

impl Lane {
    pub(super) fn new(is_from_client: bool, read: BytesMut) -> Self {
        Self {
            read,
            out: BytesMut::new(),
            left: 0,
            is_dropping: false,
            is_in_message: false,
            drops_message: false,
            is_from_client,
            has_closed: false,
            has_ended: false,
        }
    }

    /// Says whether there is room for more.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < WAITING_BYTES_MAX
    }

    /// Says whether a frame of the gateway's own may be put in between here: not in the midst of a frame, and one with
    /// data not in the midst of a message.
    pub(super) fn is_between_frames(&self) -> bool {
        self.left == 0 || self.is_dropping
    }

    /// Says whether a message of the gateway's own may be put in between here.
    pub(super) fn is_between_messages(&self) -> bool {
        self.is_between_frames() && (!self.is_in_message || self.drops_message)
    }

    /// Moves the payload under way, or finds the next frame.
    ///
    /// # Errors
    /// Where the sender breaks the protocol.
    pub(super) fn next(&mut self) -> Result<Next, BadFrame> {
        if self.left > 0 {
            if self.read.is_empty() || !(self.has_room() || self.is_dropping) {
                return Ok(Next::Nothing);
            }
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.read.len());
            self.take(count);
            return Ok(Next::Moved);
        }
        if self.has_closed {
            // What comes after the last frame is nobody's.
            self.read.clear();
            return Ok(Next::Nothing);
        }
        if !self.has_room() {
            return Ok(Next::Nothing);
        }
        let Some(head) = frame::parse(&self.read)? else { return Ok(Next::Nothing) };
        if head.mask.is_some() != self.is_from_client {
            return Err(BadFrame::Mask);
        }
        match head.kind {
            Kind::Continuation if !self.is_in_message => return Err(BadFrame::Order),
            Kind::Data if self.is_in_message => return Err(BadFrame::Order),
            Kind::Continuation | Kind::Data => {}
            Kind::Close | Kind::Ping | Kind::Pong => {
                let whole = head.length + usize::try_from(head.payload).unwrap_or(usize::MAX);
                if self.read.len() < whole {
                    return Ok(Next::Nothing);
                }
            }
        }
        Ok(Next::Frame(head))
    }

    /// Says whether a frame belongs to a message whose beginning was dropped.
    pub(super) fn follows_dropped(&self, head: &Head) -> bool {
        head.kind == Kind::Continuation && self.drops_message
    }

    /// Sends a frame that [`Lane::next`] found on its way.
    pub(super) fn pass(&mut self, head: &Head) {
        self.begin(head, false);
    }

    /// Drops a frame that [`Lane::next`] found, and what of its message follows.
    pub(super) fn drop_frame(&mut self, head: &Head) {
        self.begin(head, true);
    }

    fn begin(&mut self, head: &Head, is_dropped: bool) {
        match head.kind {
            Kind::Continuation | Kind::Data => {
                self.is_in_message = !head.is_final;
                self.drops_message = is_dropped && !head.is_final;
            }
            Kind::Close => self.has_closed = true,
            Kind::Ping | Kind::Pong => {}
        }
        self.is_dropping = is_dropped;
        self.left = head.length as u64 + head.payload;
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.read.len());
        self.take(count);
    }

    fn take(&mut self, count: usize) {
        self.left -= count as u64;
        if self.is_dropping {
            self.read.advance(count);
        } else {
            self.out.extend_from_slice(&self.read[..count]);
            self.read.advance(count);
        }
    }

    /// Returns the payload of a control frame that [`Lane::next`] found, unmasked.
    pub(super) fn payload(&self, head: &Head) -> Vec<u8> {
        let mask = head.mask.unwrap_or_default();
        let end = head.length + usize::try_from(head.payload).unwrap_or_default();
        let masked = self.read.get(head.length..end).unwrap_or_default();
        masked.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::super::frame::{BadFrame, Kind};
    use super::{Lane, Next};

    fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![opcode | if is_final { 0x80 } else { 0 }, u8::try_from(payload.len()).unwrap()];
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Feeds `bytes` in parts of `step`, drops messages that begin with `x`, and returns what went on.
    fn run(bytes: &[u8], step: usize) -> Vec<u8> {
        let mut lane = Lane::new(false, BytesMut::new());
        for part in bytes.chunks(step) {
            lane.read.extend_from_slice(part);
            loop {
                match lane.next().unwrap() {
                    Next::Nothing => break,
                    Next::Moved => {}
                    Next::Frame(head) => {
                        // Wait for the first byte of the payload to decide by.
                        if head.kind == Kind::Data && lane.read.len() <= head.length && head.payload > 0 {
                            break;
                        }
                        let is_unwanted = head.kind == Kind::Data && lane.read[head.length..].first() == Some(&b'x');
                        if is_unwanted || lane.follows_dropped(&head) {
                            lane.drop_frame(&head);
                        } else {
                            lane.pass(&head);
                        }
                    }
                }
            }
        }
        lane.out.to_vec()
    }

    #[test]
    fn a_dropped_message_goes_whole_and_control_frames_in_it_pass() {
        let bytes = [
            frame(1, true, b"one"),
            frame(1, false, b"x-first"),
            frame(9, true, b"ping"),
            frame(0, true, b"second"),
            frame(2, false, b"two"),
            frame(0, true, b"three"),
        ];
        let expected =
            [frame(1, true, b"one"), frame(9, true, b"ping"), frame(2, false, b"two"), frame(0, true, b"three")];
        let (bytes, expected) = (bytes.concat(), expected.concat());
        for step in 1..=bytes.len() {
            assert_eq!(run(&bytes, step), expected, "in parts of {step}");
        }
    }

    #[test]
    fn messages_out_of_order_and_frames_masked_wrongly_are_refused() {
        let faults = |is_from_client: bool, bytes: &[u8]| {
            let mut lane = Lane::new(is_from_client, BytesMut::from(bytes));
            loop {
                match lane.next() {
                    Ok(Next::Frame(head)) => lane.pass(&head),
                    Ok(Next::Moved) => {}
                    Ok(Next::Nothing) => return None,
                    Err(fault) => return Some(fault),
                }
            }
        };
        assert_eq!(faults(false, &frame(0, true, b"a")), Some(BadFrame::Order));
        assert_eq!(faults(false, &[frame(1, false, b"a"), frame(1, true, b"b")].concat()), Some(BadFrame::Order));
        assert_eq!(faults(true, &frame(1, true, b"a")), Some(BadFrame::Mask));
        assert_eq!(faults(false, &[0x81, 0x81, 0, 0, 0, 0, b'a']), Some(BadFrame::Mask));
        assert_eq!(faults(false, &frame(1, true, b"a")), None);
    }

    proptest! {
        #[test]
        fn what_is_not_dropped_goes_on_unchanged(
            messages in prop::collection::vec((prop::collection::vec(b'a'..b'f', 0..100), any::<bool>()), 0..20),
            step in 1_usize..64,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(payload, is_split)| match is_split {
                true => [frame(2, false, payload), frame(0, true, payload)].concat(),
                false => frame(1, true, payload),
            }).collect();
            prop_assert_eq!(run(&bytes, step), bytes);
        }
    }
}
