//! Frames on a connection between nodes: a length (u32, little-endian) and that many bytes. Knows no message.

use std::io;

use portcullis_model::limit::RECORD_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of one frame: a record with the envelope around it.
pub(super) const FRAME_BYTES_MAX: usize = RECORD_BYTES_MAX + 64;
const READ_BYTES: usize = 64 << 10;

/// Reads frames. What was read of a frame is kept when reading is abandoned, so that it can be raced.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0 }
    }

    /// Returns the next frame; `None` where the other side closed the connection between two frames.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            self.buffer.reserve(READ_BYTES);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let pending = &self.buffer[self.start..];
        let Some((length, rest)) = pending.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame claims {length} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let frame = rest[..length].to_vec();
        self.start += 4 + length;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            // A large frame is rare: its memory is given back.
            self.buffer.shrink_to(READ_BYTES * 4);
        }
        Ok(Some(frame))
    }
}

/// Appends a frame to `buffer`.
pub(super) fn put(buffer: &mut Vec<u8>, frame: &[u8]) -> io::Result<()> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {} bytes is too large", frame.len()),
        ));
    }
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(frame);
    Ok(())
}

/// Writes one frame and flushes it.
pub(super) async fn write(output: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    put(&mut bytes, frame)?;
    output.write_all(&bytes).await?;
    output.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_the_bytes_arrive() {
        let mut bytes = Vec::new();
        for frame in [&b"one"[..], b"", &[7; 300_000]] {
            put(&mut bytes, frame).unwrap();
        }
        let (mut here, there) = tokio::io::duplex(17);
        tokio::spawn(async move { here.write_all(&bytes).await });
        let mut reader = FrameReader::new(there);
        assert_eq!(reader.next().await.unwrap().unwrap(), b"one");
        assert_eq!(reader.next().await.unwrap().unwrap(), b"");
        assert_eq!(reader.next().await.unwrap().unwrap(), vec![7; 300_000]);
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_frame_with_an_absurd_length_is_refused_before_it_is_read() {
        let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0xff, 1, 2][..]);
        assert_eq!(reader.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
