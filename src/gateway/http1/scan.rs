//! Ordinary heads, read with one look at each byte. What is out of the ordinary in any way, or not all there, is left to
//! the parser that knows every way of writing a head; what is taken here, it takes too, and finds the same in it.

use std::ops::Range;

/// A line of a head after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A field.
    Field(Field),
    /// The empty line behind them; with where what follows the head begins.
    End(usize),
}

/// Where a field is in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Range<usize>,
    /// Without the white space around it.
    pub(crate) value: Range<usize>,
    /// Where the next line begins.
    pub(crate) end: usize,
}

/// Which bytes are those of a token (RFC 9110 §5.6.2), by their number.
const IS_TOKEN: [bool; 256] = {
    let mut is_token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        is_token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut number = 0;
    while number < others.len() {
        is_token[others[number] as usize] = true;
        number += 1;
    }
    is_token
};

/// Reads the line of `head` that begins at `at`; `None` where it is no ordinary one, or has not ended.
pub(crate) fn line(head: &[u8], at: usize) -> Option<Line> {
    let rest = head.get(at..)?;
    if rest.starts_with(b"\r\n") {
        return Some(Line::End(at + 2));
    }
    let name = token(rest).filter(|length| rest[*length] == b':')?;
    let begin = name + 1 + usize::from(rest.get(name + 1) == Some(&b' '));
    let length = text(rest.get(begin..)?)?;
    let value = &rest[begin..begin + length];
    if rest.get(begin + length..begin + length + 2) != Some(b"\r\n") {
        return None;
    }
    // More white space than one blank in front is rare.
    let first = value.len() - value.trim_ascii_start().len();
    let last = value.trim_ascii_end().len().max(first);
    let value = at + begin + first..at + begin + last;
    Some(Line::Field(Field { name: at..at + name, value, end: at + begin + length + 2 }))
}

/// Returns how many bytes of a token `bytes` begins with; `None` where there are none, or all are.
pub(crate) fn token(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| !IS_TOKEN[usize::from(*byte)]).filter(|length| *length > 0)
}

/// Returns how many bytes come before the first control character other than a tab; `None` where there is none.
pub(crate) fn text(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let controls = controls(u64::from_le_bytes(*chunk));
        if controls != 0 {
            return Some(number * 8 + controls.trailing_zeros() as usize / 8);
        }
    }
    let first = rest.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t')?;
    Some(chunks.len() * 8 + first)
}

/// Returns the highest bit of each byte of a word that is a control character other than a tab. No byte touches another.
fn controls(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    const LOW: u64 = EACH * 0x7f;
    // Those which are zero once the wanted byte is taken from each.
    let equal = |byte: u64| {
        let differs = word ^ (EACH * byte);
        !(((differs & LOW) + LOW) | differs | LOW)
    };
    // Those without one of the bits that make a byte more than 31.
    let below_blank = !(word | word << 1 | word >> 1) & (EACH * 0x40);
    (below_blank << 1) & !equal(u64::from(b'\t')) | equal(0x7f)
}

#[cfg(test)]
mod tests {
    use super::{Field, Line, controls, line};

    #[test]
    fn controls_are_found_whatever_is_beside_them() {
        for byte in 0..=u8::MAX {
            for beside in 0..=u8::MAX {
                let word = [beside, byte, beside, beside, byte, byte, beside, byte];
                let expected = word.map(|byte| if byte.is_ascii_control() && byte != b'\t' { 0x80 } else { 0 });
                assert_eq!(controls(u64::from_le_bytes(word)).to_le_bytes(), expected, "{byte} beside {beside}");
            }
        }
    }

    fn field(head: &str) -> Option<(&str, &str, usize)> {
        match line(head.as_bytes(), 0)? {
            Line::Field(Field { name, value, end }) => Some((&head[name], &head[value], end)),
            Line::End(_) => None,
        }
    }

    #[test]
    fn fields_are_found() {
        assert_eq!(field("A: b\r\n\r\n"), Some(("A", "b", 6)));
        assert_eq!(
            field("Content-Type:text/plain; charset=utf-8 \t\r\nB: c"),
            Some(("Content-Type", "text/plain; charset=utf-8", 42))
        );
        assert_eq!(field("a:\r\n"), Some(("a", "", 4)));
        assert_eq!(field("a: \t \r\n"), Some(("a", "", 7)));
        assert_eq!(field("a: b\tc ü\r\n"), Some(("a", "b\tc ü", 11)));
        assert_eq!(line(b"\r\nrest", 0), Some(Line::End(2)));
        assert_eq!(line(b"x\r\n", 1), Some(Line::End(3)));
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_others() {
        for head in [
            "",
            "a",
            "a:",
            "a: b",
            "a: b\r",
            "a: b\n",
            "a: b\rc\r\n",
            "a : b\r\n",
            ": b\r\n",
            " a: b\r\n",
            "a b: c\r\n",
        ] {
            assert_eq!(field(head), None, "{head:?}");
        }
        for control in (0..32).filter(|byte| *byte != b'\t').chain([0x7f]) {
            let head = [b"a: 12345678".as_slice(), &[control], b"9\r\n"].concat();
            assert_eq!(line(&head, 0), None, "{control}");
        }
    }
}
