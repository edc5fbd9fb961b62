//! What the comparisons with hyper feed both readers: bodies, and messages with one byte changed.

use proptest::prelude::*;

/// A body, framed or not, as its head may say or not.
pub(crate) fn body() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "hello world",
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        "b;x=y\r\nhello world\r\n0\r\nx-sum: 1\r\n\r\n",
        "B \r\nhello world\r\n00\r\n\r\n",
        "",
    ])
}

/// A text as it is, or with one byte in it replaced or put in.
pub(crate) fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..3_usize, any::<prop::sample::Index>(), prop::sample::select(b"\r\n \t:0;fg\0\xff,".to_vec()));
    (text, change).prop_map(|(text, (kind, at, byte))| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => {}
        }
        bytes
    })
}
