//! The chunks of a backup, with a checksum each and one over all: a backup that was cut off or changed anywhere is told
//! from a whole one without its key.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::{invalid, take};

/// Bytes of a chunk as it stands in the file: with the tag of the cipher, where it is encrypted.
pub(super) const CHUNK_BYTES_MAX: usize = (256 << 10) + 16;
const DIGEST_BYTES: usize = 32;

/// Writes framed chunks.
pub(super) struct FrameWriter<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> FrameWriter<W> {
    /// Begins with the head.
    pub(super) fn new(mut out: W, head: &[u8]) -> io::Result<Self> {
        out.write_all(head)?;
        Ok(Self { out, digest: Sha256::new_with_prefix(head) })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes)
    }

    /// Writes a chunk, which is not empty.
    pub(super) fn chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        self.put(&length.to_le_bytes())?;
        self.put(&crc32fast::hash(chunk).to_le_bytes())?;
        self.put(chunk)
    }

    /// Writes the end.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.chunk(&[])?;
        let digest = self.digest.finalize();
        self.out.write_all(&digest)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads framed chunks.
pub(super) struct FrameReader<R> {
    input: R,
    digest: Sha256,
    offset: u64,
}

impl<R: Read> FrameReader<R> {
    /// Reads what follows the head, which was read.
    pub(super) fn new(input: R, head: &[u8]) -> Self {
        Self { input, digest: Sha256::new_with_prefix(head), offset: head.len() as u64 }
    }

    /// Reads the next chunk into `chunk`. Says `false` at the end, once all that was read is what was written and
    /// nothing follows.
    pub(super) fn next(&mut self, chunk: &mut Vec<u8>) -> io::Result<bool> {
        let length: [u8; 4] = take(&mut self.input)?;
        let checksum: [u8; 4] = take(&mut self.input)?;
        let bytes = u32::from_le_bytes(length) as usize;
        let damaged = || invalid(format!("the chunk at byte {} does not match its checksum", self.offset));
        if bytes > CHUNK_BYTES_MAX {
            return Err(damaged());
        }
        chunk.resize(bytes, 0);
        self.input.read_exact(chunk)?;
        if crc32fast::hash(chunk).to_le_bytes() != checksum {
            return Err(damaged());
        }
        self.digest.update(length);
        self.digest.update(checksum);
        self.digest.update(&chunk);
        self.offset += 8 + bytes as u64;
        if bytes > 0 {
            return Ok(true);
        }
        let expected: [u8; DIGEST_BYTES] = self.digest.clone().finalize().into();
        if take::<DIGEST_BYTES>(&mut self.input)? != expected {
            return Err(invalid("the SHA-256 at its end is not that of its content"));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(false),
            _ => Err(invalid("bytes follow its end")),
        }
    }
}

/// Reads all chunks and checks them.
pub(super) fn pass(input: &mut impl Read, head: &[u8]) -> io::Result<()> {
    let mut frames = FrameReader::new(input, head);
    let mut chunk = Vec::new();
    while frames.next(&mut chunk)? {}
    Ok(())
}
