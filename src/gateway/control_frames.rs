//! Bounds the frames of HTTP/2 (RFC 9113 §6) that carry nothing of a call. Each costs work, and some an answer, so that a
//! client who sends nothing else keeps a core busy without a call that a quota would count (CVE-2019-9511 to 9518).
//!
//! A connection has credit for a burst, which comes back with time, with each call, and with what the client is sent, as it
//! acknowledges that by frames of its own. Frames are found in the byte stream as it is read; what they hold is not looked at.

/// Frames that may come at once.
const BURST: u64 = 10_000;
/// Frames for which there is credit again after a second.
const PER_SECOND: u64 = 1_000;
/// Frames for which a call gives credit.
const PER_CALL: u64 = 4;
/// Bytes sent to the client that give credit for one frame: no more than a frame with an event in it has.
const BYTES_PER_FRAME: u64 = 24;
/// Bytes of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
/// Bytes that a client begins with (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// `END_STREAM` of `DATA`, `ACK` of `SETTINGS` and `PING`.
const FIRST_FLAG: u8 = 1;

/// What a connection may still send of such frames.
#[derive(Debug)]
pub(crate) struct ControlFrames {
    /// Bytes that come before the next frame's head.
    until_head: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that came.
    head_len: usize,
    credit: u64,
    /// Bytes sent for which no credit was given.
    sent: u64,
    /// Until when credit for time was given, in the worker's milliseconds.
    seen_ms: u64,
}

impl ControlFrames {
    /// Begins with a connection of which nothing was read.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { until_head: PREFACE_BYTES, head: [0; HEAD_BYTES], head_len: 0, credit: BURST, sent: 0, seen_ms: now_ms }
    }

    /// Notes that the client took some bytes.
    pub(crate) fn was_sent(&mut self, bytes: usize) {
        let sent = self.sent + bytes as u64;
        self.earns(sent / BYTES_PER_FRAME);
        self.sent = sent % BYTES_PER_FRAME;
    }

    /// Takes what was read; says whether the client keeps within its bound.
    pub(crate) fn take(&mut self, mut bytes: &[u8], now_ms: u64) -> bool {
        let spent_ms = now_ms.saturating_sub(self.seen_ms);
        let earned = spent_ms * PER_SECOND / 1000;
        if earned > 0 {
            self.earns(earned);
            self.seen_ms = now_ms;
        }
        let mut is_within = true;
        while !bytes.is_empty() {
            let skipped = self.until_head.min(bytes.len());
            self.until_head -= skipped;
            bytes = &bytes[skipped..];
            let count = (HEAD_BYTES - self.head_len).min(bytes.len());
            self.head[self.head_len..self.head_len + count].copy_from_slice(&bytes[..count]);
            self.head_len += count;
            bytes = &bytes[count..];
            if self.head_len == HEAD_BYTES {
                self.head_len = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.until_head = u32::from_be_bytes([0, high, middle, low]) as usize;
                is_within &= self.pays(kind, flags & FIRST_FLAG != 0, self.until_head == 0);
            }
        }
        is_within
    }

    fn earns(&mut self, frames: u64) {
        self.credit = BURST.min(self.credit + frames);
    }

    fn pays(&mut self, kind: u8, has_first_flag: bool, is_empty: bool) -> bool {
        let price = match kind {
            HEADERS => {
                self.earns(PER_CALL);
                0
            }
            DATA if !is_empty || has_first_flag => 0,
            // Bounded together with the fields.
            CONTINUATION => 0,
            // They are answered, and the answer is no more than was asked for.
            PING | SETTINGS if !has_first_flag => 2,
            _ => 1,
        };
        let left = self.credit.checked_sub(price);
        self.credit = left.unwrap_or_default();
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD_BYTES + payload, 0xff);
        bytes
    }

    /// Sends a frame again and again at one moment, and says how often that is suffered.
    fn suffered(frames: &mut ControlFrames, frame: &[u8]) -> usize {
        (0..50_000).take_while(|_| frames.take(frame, 0)).count()
    }

    fn begun() -> ControlFrames {
        let mut frames = ControlFrames::new(0);
        assert!(frames.take(&[b'P'; PREFACE_BYTES], 0));
        frames
    }

    #[test]
    fn what_carries_nothing_is_bounded_and_what_belongs_to_calls_is_not() {
        let cases = [
            (frame(PING, 0, 8), 5_000),
            (frame(SETTINGS, 0, 6), 5_000),
            (frame(PING, FIRST_FLAG, 8), 10_000),
            // A window, a priority, a reset, one of a kind that nobody knows, a piece of a body with nothing in it.
            (frame(8, 0, 4), 10_000),
            (frame(2, 0, 5), 10_000),
            (frame(3, 0, 4), 10_000),
            (frame(200, 0, 16_384), 10_000),
            (frame(DATA, 0, 0), 10_000),
            (frame(DATA, 0, 1), 50_000),
            (frame(DATA, FIRST_FLAG, 0), 50_000),
            (frame(HEADERS, 0, 30), 50_000),
            ([frame(HEADERS, 0, 30), frame(8, 0, 4), frame(8, 0, 4), frame(3, 0, 4)].concat(), 50_000),
        ];
        for (bytes, expected) in cases {
            assert_eq!(suffered(&mut begun(), &bytes), expected, "{:?}", &bytes[..HEAD_BYTES]);
        }
    }

    #[test]
    fn credit_comes_back_with_time_and_with_what_is_sent() {
        let mut frames = begun();
        let window = frame(8, 0, 4);
        assert_eq!((suffered(&mut frames, &window), suffered(&mut frames, &window)), (10_000, 0));
        assert_eq!((0..2_000).take_while(|_| frames.take(&window, 1_000)).count(), 1_000);
        for _ in 0..10 {
            frames.was_sent(12);
        }
        assert_eq!((0..2_000).take_while(|_| frames.take(&window, 1_000)).count(), 5);
        // Answers to pings are no reason for more of them.
        let mut pings = 0;
        while pings < 50_000 && frames.take(&frame(PING, 0, 8), 20_000) {
            frames.was_sent(17);
            pings += 1;
        }
        assert!((5_000..10_000).contains(&pings), "{pings}");
    }

    #[test]
    fn frames_are_found_however_the_bytes_come() {
        let stream = [vec![b'P'; PREFACE_BYTES], frame(DATA, 0, 300), frame(PING, 0, 8), frame(HEADERS, 0, 0)].concat();
        for step in [1, 2, 7, 9, 24, 25, 100, stream.len()] {
            let mut frames = ControlFrames::new(0);
            for bytes in stream.chunks(step) {
                assert!(frames.take(bytes, 0));
            }
            assert_eq!((frames.until_head, frames.head_len, frames.credit), (0, 0, BURST), "{step}");
            // All that is left for after these is paid for.
            assert_eq!(suffered(&mut frames, &frame(PING, 0, 8)), 5_000, "{step}");
        }
    }
}
