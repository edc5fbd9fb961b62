//! Checked chunks: the state in a snapshot file is cut into pieces, each with its length and CRC-32, so that damage is
//! noticed where it is, by whoever passes the bytes on, without reading the whole file first.
//!
//! A chunk is its length (u32), the CRC-32 of its bytes (u32) and its bytes; one of length 0 is the end. Little-endian.

use std::io::{self, ErrorKind, Read, Write};

use super::head::{FileHead, HEAD_BYTES, META_BYTES_MAX};

/// Bytes of a chunk, the last apart.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
const FRAME_BYTES: usize = 8;

fn damaged(offset: u64) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the chunk at byte {offset} does not match its checksum"))
}

fn frame(chunk: &[u8]) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let length = u32::try_from(chunk.len()).expect("a chunk is less than 4 GiB");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..].copy_from_slice(&crc32fast::hash(chunk).to_le_bytes());
    frame
}

/// Returns the length and the checksum that a frame announces, if the length is possible.
fn announced(frame: [u8; FRAME_BYTES], offset: u64) -> io::Result<(usize, u32)> {
    let [a, b, c, d, e, f, g, h] = frame;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > CHUNK_BYTES {
        return Err(damaged(offset));
    }
    Ok((length, u32::from_le_bytes([e, f, g, h])))
}

/// Writes chunks.
pub(super) struct ChunkWriter<W> {
    out: W,
    chunk: Vec<u8>,
}

impl<W: Write> ChunkWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, chunk: Vec::with_capacity(CHUNK_BYTES) }
    }

    fn put_chunk(&mut self) -> io::Result<()> {
        self.out.write_all(&frame(&self.chunk))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Writes what is left and the end, and gives the output back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.chunk.is_empty() {
            self.put_chunk()?;
        }
        self.put_chunk()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.put_chunk()?;
        }
        Ok(taken)
    }

    /// What is not a whole chunk stays: a chunk is written when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads chunks, each checked before any of its bytes is given out.
pub(super) struct ChunkReader<R> {
    input: R,
    /// Where the next chunk begins in the file.
    offset: u64,
    chunk: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: Read> ChunkReader<R> {
    /// Reads from `input`, which stands at `offset` of the file.
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { input, offset, chunk: Vec::new(), given: 0, is_over: false }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut frame = [0; FRAME_BYTES];
        self.input.read_exact(&mut frame)?;
        let (length, checksum) = announced(frame, self.offset)?;
        self.chunk.resize(length, 0);
        self.input.read_exact(&mut self.chunk)?;
        if crc32fast::hash(&self.chunk) != checksum {
            return Err(damaged(self.offset));
        }
        self.offset += (FRAME_BYTES + length) as u64;
        self.given = 0;
        self.is_over = length == 0;
        Ok(())
    }

    /// Reads to the end, which must follow, and after which nothing may be.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.read(&mut [0])? > 0 || self.input.read(&mut [0])? > 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "bytes follow the state"));
        }
        Ok(())
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() && !self.is_over {
            self.next_chunk()?;
        }
        let rest = &self.chunk[self.given..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Checks the bytes of a snapshot file as they pass, in pieces of any size. Holds one chunk at most.
pub(crate) struct Passing {
    expected: Expected,
    /// Bytes of what is expected that are there already.
    held: Vec<u8>,
    /// Where `held` begins in the file.
    offset: u64,
}

#[derive(Clone, Copy)]
enum Expected {
    Head,
    Meta {
        length: usize,
        checksum: u32,
        has_chunks: bool,
    },
    Frame,
    Chunk {
        length: usize,
        checksum: u32,
    },
    /// Format 1 has no chunks: what follows is checked when it is loaded.
    Anything,
    Nothing,
}

impl Passing {
    pub(crate) fn new() -> Self {
        Self { expected: Expected::Head, held: Vec::new(), offset: 0 }
    }

    /// Checks the next bytes.
    ///
    /// # Errors
    /// Where a part of the file that is whole now is not as it was written.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let needed = match self.expected {
                Expected::Head => HEAD_BYTES,
                Expected::Meta { length, .. } | Expected::Chunk { length, .. } => length,
                Expected::Frame => FRAME_BYTES,
                Expected::Anything => return Ok(()),
                Expected::Nothing => return Err(io::Error::new(ErrorKind::InvalidData, "bytes follow the snapshot")),
            };
            let taken = bytes.len().min(needed - self.held.len());
            self.held.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.held.len() == needed {
                self.expected = self.check()?;
                self.offset += needed as u64;
                self.held.clear();
            }
        }
        Ok(())
    }

    /// Checks what is whole, and returns what comes next.
    fn check(&self) -> io::Result<Expected> {
        let invalid = || io::Error::new(ErrorKind::InvalidData, "the snapshot's head is damaged");
        match self.expected {
            Expected::Head => {
                let head: [u8; HEAD_BYTES] = self.held.as_slice().try_into().map_err(|_| invalid())?;
                let head =
                    FileHead::parse(&head).filter(|head| head.meta_bytes <= META_BYTES_MAX).ok_or_else(invalid)?;
                let length = head.meta_bytes as usize;
                Ok(Expected::Meta { length, checksum: head.meta_checksum, has_chunks: head.has_chunks() })
            }
            Expected::Meta { checksum, .. } if crc32fast::hash(&self.held) != checksum => Err(invalid()),
            Expected::Meta { has_chunks: false, .. } => Ok(Expected::Anything),
            Expected::Meta { has_chunks: true, .. } => Ok(Expected::Frame),
            Expected::Frame => {
                let frame = self.held.as_slice().try_into().map_err(|_| invalid())?;
                let (length, checksum) = announced(frame, self.offset)?;
                match length {
                    0 if checksum != crc32fast::hash(&[]) => Err(damaged(self.offset)),
                    0 => Ok(Expected::Nothing),
                    _ => Ok(Expected::Chunk { length, checksum }),
                }
            }
            Expected::Chunk { checksum, .. } if crc32fast::hash(&self.held) != checksum => {
                Err(damaged(self.offset - FRAME_BYTES as u64))
            }
            Expected::Chunk { .. } => Ok(Expected::Frame),
            Expected::Anything | Expected::Nothing => Ok(self.expected),
        }
    }

    /// Says whether the whole file has passed.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.expected, Expected::Anything | Expected::Nothing)
    }
}
