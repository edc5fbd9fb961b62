//! The heads of WebSocket frames (RFC 6455 §5.2), read as they pass, and the few frames that the gateway sends itself.
//! Payloads are passed on as they are: who masked them and what extensions made of them is between the two ends.

use bytes::BytesMut;

/// Bytes of a control frame's payload (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The next part of a message.
    Continuation,
    /// A message, or its first part: text or bytes.
    Data,
    /// The end of the connection.
    Close,
    /// A question whether the other side lives.
    Ping,
    /// The answer to it.
    Pong,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Whether the message ends with it.
    pub(super) is_final: bool,
    /// The key its payload is masked with.
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the head itself.
    pub(super) length: usize,
    /// Bytes of the payload.
    pub(super) payload: u64,
}

impl Kind {
    /// Says whether it carries part of a message.
    pub(super) fn is_data(self) -> bool {
        matches!(self, Self::Continuation | Self::Data)
    }
}

impl Head {
    /// Returns the head of a message in one frame.
    pub(super) fn of_message(bytes: usize, mask: Option<[u8; 4]>) -> Self {
        Self { kind: Kind::Data, is_final: true, mask, length: 0, payload: bytes as u64 }
    }
}

/// A frame that no endpoint may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFrame {
    #[error("a frame has an opcode that is not known")]
    Opcode,
    #[error("a control frame is too long or in parts")]
    Control,
    #[error("a frame has a length that is not valid")]
    Length,
    #[error("a frame is masked that must not be, or the reverse")]
    Mask,
    #[error("a frame begins a message in the midst of another, or continues none")]
    Order,
}

/// Reads the head of the frame that `bytes` begin with; `None` where more must be read first.
///
/// # Errors
/// Where no endpoint may send such a frame.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, BadFrame> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let (kind, is_control) = match first & 0x0f {
        0 => (Kind::Continuation, false),
        1 | 2 => (Kind::Data, false),
        8 => (Kind::Close, true),
        9 => (Kind::Ping, true),
        10 => (Kind::Pong, true),
        _ => return Err(BadFrame::Opcode),
    };
    let is_final = first & 0x80 != 0;
    let short = second & 0x7f;
    if is_control && (!is_final || usize::from(short) > CONTROL_BYTES_MAX) {
        return Err(BadFrame::Control);
    }
    let extra = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let is_masked = second & 0x80 != 0;
    let length = 2 + extra + if is_masked { 4 } else { 0 };
    if bytes.len() < length {
        return Ok(None);
    }
    let extended = bytes[2..2 + extra].iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let payload = if extra == 0 { u64::from(short) } else { extended };
    if payload > u64::MAX / 2 {
        return Err(BadFrame::Length);
    }
    let mask = is_masked.then(|| [bytes[length - 4], bytes[length - 3], bytes[length - 2], bytes[length - 1]]);
    Ok(Some(Head { kind, is_final, mask, length, payload }))
}

/// Writes a frame of at most [`CONTROL_BYTES_MAX`] bytes; masked where it is for a backend.
pub(super) fn write(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    // At most 125, so it fits beside the bit for the mask.
    let length = payload.len() as u8;
    out.extend_from_slice(&[0x80 | opcode as u8, length | if mask.is_some() { 0x80 } else { 0 }]);
    match mask {
        Some(mask) => {
            out.extend_from_slice(&mask);
            out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => out.extend_from_slice(payload),
    }
}

/// Writes a message of text in one frame; masked where it is for a backend.
pub(super) fn write_message(text: &[u8], mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    out.extend_from_slice(&[0x80 | Opcode::Text as u8]);
    // Each is taken only where it holds the length.
    match text.len() {
        length @ 0..=CONTROL_BYTES_MAX => out.extend_from_slice(&[length as u8 | mask_bit]),
        length @ ..=0xffff => {
            out.extend_from_slice(&[126 | mask_bit]);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.extend_from_slice(&[127 | mask_bit]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    match mask {
        Some(mask) => {
            out.extend_from_slice(&mask);
            out.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        None => out.extend_from_slice(text),
    }
}

/// Writes a frame that closes a connection.
pub(super) fn write_close(code: u16, reason: &str, mask: Option<[u8; 4]>, out: &mut BytesMut) {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    write(Opcode::Close, &payload, mask, out);
}

/// What the gateway sends itself.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Opcode {
    Text = 1,
    Close = 8,
    Ping = 9,
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{BadFrame, Head, Kind, Opcode, parse, write};

    #[test]
    fn heads_of_all_lengths_are_read_and_waited_for() {
        let cases: [(&[u8], Kind, bool, u64); 5] = [
            (&[0x81, 5], Kind::Data, true, 5),
            (&[0x02, 126, 1, 0], Kind::Data, false, 256),
            (&[0x80, 127, 0, 0, 0, 1, 0, 0, 0, 0], Kind::Continuation, true, 1 << 32),
            (&[0x89, 0x80, 1, 2, 3, 4], Kind::Ping, true, 0),
            (&[0xc1, 0x85, 1, 2, 3, 4], Kind::Data, true, 5),
        ];
        for (bytes, kind, is_final, payload) in cases {
            for short in 0..bytes.len() {
                assert_eq!(parse(&bytes[..short]), Ok(None), "{bytes:?} up to {short}");
            }
            let head = parse(bytes).unwrap().unwrap();
            assert_eq!((head.kind, head.is_final, head.payload, head.length), (kind, is_final, payload, bytes.len()));
        }
    }

    #[test]
    fn frames_that_nobody_may_send_are_refused() {
        for (bytes, fault) in [
            (&[0x83_u8, 0][..], BadFrame::Opcode),
            (&[0x8b, 0], BadFrame::Opcode),
            (&[0x09, 0], BadFrame::Control),
            (&[0x88, 126, 0, 126], BadFrame::Control),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], BadFrame::Length),
        ] {
            assert_eq!(parse(bytes), Err(fault), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(Some(Head { length, .. })) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn a_frame_that_is_written_is_read_again(payload in prop::collection::vec(any::<u8>(), 0..=125), mask in any::<Option<[u8; 4]>>()) {
            let mut out = BytesMut::new();
            write(Opcode::Ping, &payload, mask, &mut out);
            let head = parse(&out).unwrap().unwrap();
            prop_assert_eq!((head.kind, head.is_final, head.mask), (Kind::Ping, true, mask));
            prop_assert_eq!(out.len(), head.length + payload.len());
            let mask = mask.unwrap_or_default();
            let plain: Vec<u8> = out[head.length..].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            prop_assert_eq!(plain, payload);
        }
    }
}
