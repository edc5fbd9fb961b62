//! What is inside a backup's chunks: whether the cluster key follows (u8) and the key, then the state as the database
//! writes it; compressed by zstd, cut into chunks, each sealed where the backup is encrypted.

use std::io::{self, Read, Write};
use std::path::Path;

use portcullis_database::ClusterKey;
use portcullis_database::snapshot::SnapshotError;

use super::frame::{FrameReader, FrameWriter};
use super::head::{self, Head};
use super::key::{self, BackupKey};
use super::seal::{CIPHER, ChunkSeal};
use super::{BackupError, invalid, of_io, take};

/// Bytes of a chunk before it is sealed.
const CHUNK_BYTES: usize = 256 << 10;
/// How hard zstd tries: fast enough not to be what a backup waits for.
const LEVEL: i32 = 3;

/// Cuts what is written into chunks, and seals them.
pub(super) struct ChunkWriter<W: Write> {
    frames: FrameWriter<W>,
    seal: Option<ChunkSeal>,
    chunk: Vec<u8>,
}

impl<W: Write> ChunkWriter<W> {
    fn put(&mut self, is_last: bool) -> io::Result<()> {
        if let Some(seal) = &mut self.seal {
            seal.seal(&mut self.chunk, is_last)?;
        }
        if !self.chunk.is_empty() {
            self.frames.chunk(&self.chunk)?;
        }
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.frames.finish()
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    /// A full chunk is written only when more comes, so that the last one is known to be it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            self.put(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a backup to `out`: `state` writes the state.
pub(super) fn write<W: Write>(
    out: W,
    head: &Head,
    secrets: Option<(&[u8; 32], &ClusterKey)>,
    state: impl FnOnce(&mut dyn Write) -> Result<(), SnapshotError>,
) -> Result<W, SnapshotError> {
    let bytes = head::to_bytes(head).map_err(io::Error::other)?;
    let seal = secrets.map(|(key, _)| ChunkSeal::new(key, &bytes));
    let frames = FrameWriter::new(out, &bytes)?;
    let chunks = ChunkWriter { frames, seal, chunk: Vec::with_capacity(CHUNK_BYTES + 16) };
    let mut packed = zstd::Encoder::new(chunks, LEVEL)?;
    packed.write_all(&[u8::from(secrets.is_some())])?;
    if let Some((_, cluster_key)) = secrets {
        packed.write_all(cluster_key.as_bytes())?;
    }
    state(&mut packed)?;
    Ok(packed.finish()?.finish()?)
}

/// Reads the chunks one after the other, unsealed.
struct ChunkReader<R> {
    frames: FrameReader<R>,
    seal: Option<ChunkSeal>,
    /// Opened, being given out.
    chunk: Vec<u8>,
    given: usize,
    /// Read, not opened: whether it is the last is known when the one after it is read.
    held: Option<Vec<u8>>,
    is_over: bool,
    is_wrong_key: bool,
}

impl<R: Read> ChunkReader<R> {
    fn new(frames: FrameReader<R>, seal: Option<ChunkSeal>) -> Self {
        Self { frames, seal, chunk: Vec::new(), given: 0, held: None, is_over: false, is_wrong_key: false }
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut next = std::mem::take(&mut self.chunk);
        let is_there = self.frames.next(&mut next)?;
        let held = if is_there { self.held.replace(next) } else { self.held.take() };
        self.is_over = !is_there;
        self.given = 0;
        let Some(mut chunk) = held else { return Ok(()) };
        if let Some(seal) = &mut self.seal
            && seal.open(&mut chunk, self.is_over).is_none()
        {
            self.is_wrong_key = true;
            return Err(invalid("a chunk does not open with this key"));
        }
        self.chunk = chunk;
        Ok(())
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() && !self.is_over {
            self.advance()?;
        }
        let rest = &self.chunk[self.given..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Reads a backup from its beginning to its end: `state` reads the state. Returns the head, the cluster key where it is
/// in it, and what `state` returned.
pub(super) fn read<T>(
    input: &mut impl Read,
    path: &Path,
    key: Option<&BackupKey>,
    state: impl FnOnce(&mut dyn Read) -> Result<T, SnapshotError>,
) -> Result<(Head, Option<ClusterKey>, T), BackupError> {
    let (head, bytes) = head::read(input, path)?;
    let seal = match (&head.encryption, key) {
        (None, _) => None,
        (Some(_), None) => return Err(BackupError::NeedsKey(path.to_owned())),
        (Some(encryption), Some(key)) => {
            let salt = hex::decode(&encryption.salt).ok().filter(|_| encryption.cipher == CIPHER);
            let salt = salt.ok_or_else(|| BackupError::Damaged {
                path: path.to_owned(),
                reason: format!("its cipher {:?} or salt is not known", encryption.cipher),
            })?;
            let key = key.derive(&encryption.derivation)?;
            Some(ChunkSeal::new(&key::of_backup(&key, &salt), &bytes))
        }
    };
    let mut chunks = ChunkReader::new(FrameReader::new(input, &bytes), seal);
    let unpacked = unpack(&mut chunks, state);
    let is_wrong_key = chunks.is_wrong_key;
    let (cluster_key, value) = unpacked.map_err(|e| match e {
        _ if is_wrong_key => BackupError::WrongKey(path.to_owned()),
        SnapshotError::Io(e) => of_io(path, &e),
        source => BackupError::State { path: path.to_owned(), source },
    })?;
    Ok((head, cluster_key, value))
}

fn unpack<T>(
    chunks: &mut ChunkReader<impl Read>,
    state: impl FnOnce(&mut dyn Read) -> Result<T, SnapshotError>,
) -> Result<(Option<ClusterKey>, T), SnapshotError> {
    let mut packed = zstd::Decoder::new(&mut *chunks)?.single_frame();
    let cluster_key = match take::<1>(&mut packed)? {
        [0] => None,
        [1] => Some(ClusterKey::new(take(&mut packed)?)),
        _ => return Err(invalid("its content does not begin as it should").into()),
    };
    let value = state(&mut packed)?;
    if packed.read(&mut [0])? > 0 {
        return Err(invalid("bytes follow the state").into());
    }
    drop(packed);
    // The checksum over all is at the end.
    io::copy(chunks, &mut io::sink())?;
    Ok((cluster_key, value))
}
