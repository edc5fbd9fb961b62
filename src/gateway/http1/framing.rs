//! Where a body ends (RFC 9112 §6.3), and chunked coding read strictly (§7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::SizeHint;

use super::Malformed;

/// Bytes of a chunk's first line: a size, and extensions that nobody uses.
const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// Bytes of the trailers.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Trailers of one message.
const TRAILERS_MAX: usize = 64;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is nothing more.
    Ended,
    /// So many bytes are left.
    Length(u64),
    /// Chunks follow.
    Chunked(Chunk),
    /// The end of the connection ends the body.
    UntilClose,
}

/// Says whether an answer has no body, whatever its fields say of one (RFC 9112 §6.3).
pub(crate) fn is_without_body(is_to_head: bool, status: StatusCode) -> bool {
    is_to_head || status.is_informational() || matches!(status.as_u16(), 204 | 304)
}

/// What of a chunk comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// The line with the size.
    Size,
    /// So many bytes of data.
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// Trailers, or the empty line that ends all.
    Trailers,
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Data.
    Data(Bytes),
    /// Trailers; the body has ended with them.
    Trailers(HeaderMap),
    /// The body has ended.
    End,
    /// More must be read first.
    NeedsMore,
}

impl Framing {
    /// Takes the next piece from what was read.
    ///
    /// # Errors
    /// Where chunks are malformed.
    pub(crate) fn next(&mut self, read: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            return match self {
                Self::Ended | Self::Length(0) => {
                    *self = Self::Ended;
                    Ok(Piece::End)
                }
                _ if read.is_empty() => Ok(Piece::NeedsMore),
                Self::UntilClose => Ok(Piece::Data(read.split().freeze())),
                Self::Length(left) => Ok(Piece::Data(take(read, left))),
                Self::Chunked(Chunk::Data(left)) => {
                    let data = take(read, left);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::DataEnd);
                    }
                    Ok(Piece::Data(data))
                }
                Self::Chunked(Chunk::DataEnd) => {
                    if read.len() < 2 {
                        return Ok(Piece::NeedsMore);
                    }
                    if &read[..2] != b"\r\n" {
                        return Err(Malformed("a chunk does not end where it should"));
                    }
                    read.advance(2);
                    *self = Self::Chunked(Chunk::Size);
                    continue;
                }
                Self::Chunked(Chunk::Size) => match chunk_size(read)? {
                    Some(0) => {
                        *self = Self::Chunked(Chunk::Trailers);
                        continue;
                    }
                    Some(size) => {
                        *self = Self::Chunked(Chunk::Data(size));
                        continue;
                    }
                    None => Ok(Piece::NeedsMore),
                },
                Self::Chunked(Chunk::Trailers) => {
                    let piece = trailers(read)?;
                    if piece != Piece::NeedsMore {
                        *self = Self::Ended;
                    }
                    Ok(piece)
                }
            };
        }
    }

    /// Says whether nothing is left of the body.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended | Self::Length(0))
    }

    /// Returns what is known of the length of what is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// Notes that the connection has ended.
    ///
    /// # Errors
    /// Where the body has not.
    pub(crate) fn connection_ended(&mut self) -> Result<(), Malformed> {
        match self {
            Self::Ended | Self::UntilClose => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Malformed("the body is cut off")),
        }
    }
}

/// Writes the first line of a chunk of so many bytes.
pub(crate) fn write_chunk_size(out: &mut Vec<u8>, count: usize) {
    let digits = (usize::BITS - count.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[count >> (4 * digit) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

fn take(read: &mut BytesMut, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
    *left -= count as u64;
    read.split_to(count).freeze()
}

/// Takes the line with a chunk's size; `None` where it is not there yet.
fn chunk_size(read: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("the size of a chunk is malformed");
    let Some(end) = read.iter().take(CHUNK_LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if read.len() < CHUNK_LINE_BYTES_MAX { Ok(None) } else { Err(BAD) };
    };
    let line = read[..end].strip_suffix(b"\r").ok_or(BAD)?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(BAD);
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BAD);
    }
    let size = digits.iter().fold(0, |size, digit| size * 16 + u64::from(char::from(*digit).to_digit(16).unwrap_or(0)));
    read.advance(end + 1);
    Ok(Some(size))
}

fn trailers(read: &mut BytesMut) -> Result<Piece, Malformed> {
    const BAD: Malformed = Malformed("the trailers are malformed");
    let mut parsed = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let (length, map) = match httparse::parse_headers(read, &mut parsed) {
        Ok(httparse::Status::Complete((length, headers))) => {
            let mut map = HeaderMap::with_capacity(headers.len());
            for header in headers {
                let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| BAD)?;
                map.append(name, HeaderValue::from_bytes(header.value).map_err(|_| BAD)?);
            }
            (length, map)
        }
        Ok(httparse::Status::Partial) if read.len() < TRAILER_BYTES_MAX => return Ok(Piece::NeedsMore),
        Ok(httparse::Status::Partial) | Err(_) => return Err(BAD),
    };
    // The parser takes a line feed alone for a line end; others do not.
    let mut before = 0;
    for &byte in &read[..length] {
        if byte == b'\n' && before != b'\r' {
            return Err(BAD);
        }
        before = byte;
    }
    read.advance(length);
    Ok(if map.is_empty() { Piece::End } else { Piece::Trailers(map) })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{Chunk, Framing, Piece};

    /// Feeds `text` in parts of `step` bytes; returns the data, and whether the body ended.
    fn read(text: &[u8], step: usize) -> Result<(Vec<u8>, bool), super::Malformed> {
        let mut framing = Framing::Chunked(Chunk::Size);
        let mut buffer = BytesMut::new();
        let mut data = Vec::new();
        for part in text.chunks(step) {
            buffer.extend_from_slice(part);
            loop {
                match framing.next(&mut buffer)? {
                    Piece::Data(more) => data.extend_from_slice(&more),
                    Piece::Trailers(_) | Piece::End => return Ok((data, true)),
                    Piece::NeedsMore => break,
                }
            }
        }
        Ok((data, false))
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let text = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nx-sum: 1\r\n\r\n";
        for step in 1..text.len() {
            assert_eq!(read(text, step).unwrap(), (b"hello world".to_vec(), true), "in parts of {step}");
        }
        assert_eq!(read(b"5\r\nhel", 3).unwrap(), (b"hel".to_vec(), false));
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for count in [1, 9, 10, 15, 16, 255, 256, 65_535, 1 << 20] {
            let mut line = Vec::new();
            super::write_chunk_size(&mut line, count);
            assert_eq!(String::from_utf8(line).unwrap(), format!("{count:x}\r\n"));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX\r\n",
            "+5\r\nhello",
            "0x5\r\nhello",
            "5\r \r\nhello",
            "5;a\rb\r\nhello",
            "\r\n",
            "fffffffffffffffff\r\n",
            " 5\r\n",
        ] {
            assert!(read(text.as_bytes(), 64).is_err(), "{text:?}");
        }
    }
}
