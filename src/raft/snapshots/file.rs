//! One snapshot file: written whole, read to its end, checked in every byte.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_database::snapshot::{self, Summary};
use portcullis_database::{State, codec, level};

use super::SnapshotFileError;
use super::chunk::{ChunkReader, ChunkWriter};
use super::head::{FORMAT, FORMAT_OF_LEVEL_1, FileHead, HEAD_BYTES, META_BYTES_MAX};
use crate::types::SnapshotMeta;

const BUFFER_BYTES: usize = 1 << 20;

/// A snapshot file that is open, so that it can be read to its end even after a newer one took its place.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// What is in it, between the moment it is checked and the moment it is installed.
    loaded: Mutex<Option<(SnapshotMeta, State)>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A snapshot that was sent and then not wanted; one that was adopted has another name by now.
        if self.path.extension().is_some_and(|extension| extension == "tmp")
            && let Err(e) = fs::remove_file(&self.path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), error = %e, "a snapshot that is not used cannot be removed");
        }
    }
}

impl SnapshotFile {
    pub(super) fn open(path: &Path) -> Result<Self, SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self(Arc::new(Inner { path: path.to_owned(), file, bytes, loaded: Mutex::new(None) })))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns how long the file is.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Reads into `buffer` from `offset` and returns how much was read.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file.read_at(buffer, offset)
    }

    pub(super) fn io(&self) -> impl Fn(io::Error) -> SnapshotFileError {
        let path = self.0.path.clone();
        move |source| SnapshotFileError::Io { path: path.clone(), source }
    }

    pub(super) fn damaged(&self) -> SnapshotFileError {
        SnapshotFileError::Damaged { path: self.0.path.clone() }
    }

    /// Reads the head: the position and membership, and where the state begins.
    pub(super) fn head(&self) -> Result<(SnapshotMeta, FileHead, u64), SnapshotFileError> {
        let mut head = [0; HEAD_BYTES];
        self.0.file.read_exact_at(&mut head, 0).map_err(|_| self.damaged())?;
        let head = FileHead::parse(&head).filter(|head| head.meta_bytes <= META_BYTES_MAX);
        let head = head.ok_or_else(|| self.damaged())?;
        if head.format > FORMAT {
            return Err(SnapshotFileError::TooNew { path: self.0.path.clone(), format: head.format });
        }
        let mut meta = vec![0; head.meta_bytes as usize];
        self.0.file.read_exact_at(&mut meta, HEAD_BYTES as u64).map_err(|_| self.damaged())?;
        if crc32fast::hash(&meta) != head.meta_checksum {
            return Err(self.damaged());
        }
        let meta = codec::decode(&meta).map_err(|_| self.damaged())?;
        Ok((meta, head, HEAD_BYTES as u64 + u64::from(head.meta_bytes)))
    }

    /// Reads the state with `read`, which sees it as the database wrote it, and checks every byte.
    fn read_state<T>(
        &self,
        read: impl FnOnce(&mut dyn io::Read) -> Result<T, snapshot::SnapshotError>,
    ) -> Result<(SnapshotMeta, FileHead, T), SnapshotFileError> {
        let (meta, head, start) = self.head()?;
        // Another reader may be sending the same file: a handle of its own has a position of its own.
        let mut file = File::open(&self.0.path).or_else(|_| self.0.file.try_clone()).map_err(self.io())?;
        file.seek(SeekFrom::Start(start)).map_err(self.io())?;
        let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
        let failed = |source| SnapshotFileError::State { path: self.0.path.clone(), source };
        let value = if head.has_chunks() {
            let mut chunks = ChunkReader::new(&mut input, start);
            let value = read(&mut chunks).map_err(failed)?;
            chunks.finish().map_err(|e| failed(e.into()))?;
            value
        } else {
            let value = read(&mut input).map_err(failed)?;
            if input.read(&mut [0]).map_err(self.io())? > 0 {
                return Err(self.damaged());
            }
            value
        };
        Ok((meta, head, value))
    }

    /// Reads the state, checking every byte.
    pub(crate) fn load(&self) -> Result<(SnapshotMeta, State), SnapshotFileError> {
        let loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(loaded) = loaded {
            return Ok(loaded);
        }
        self.read_state(snapshot::read_from).map(|(meta, _, state)| (meta, state))
    }

    /// Loads the state and keeps it for the next [`SnapshotFile::load`]: what does not load is never installed.
    pub(crate) fn check(&self) -> Result<(), SnapshotFileError> {
        let loaded = self.load()?;
        *self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        Ok(())
    }

    /// Counts what is in it, checking every byte.
    pub(super) fn inspect(&self) -> Result<(SnapshotMeta, u16, Summary), SnapshotFileError> {
        self.read_state(snapshot::inspect_from).map(|(meta, head, summary)| (meta, head.format, summary))
    }

    /// Writes a file at `path`, and brings it to disk.
    pub(super) fn write(path: &Path, meta: &SnapshotMeta, state: &State) -> Result<(), SnapshotFileError> {
        let failed = |source| SnapshotFileError::Io { path: path.to_owned(), source };
        let of_state = |source| SnapshotFileError::State { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let position = codec::encode(meta)?;
        // As the nodes of the state's feature level read it.
        let format = if state.feature_level() == level::FIRST { FORMAT_OF_LEVEL_1 } else { FORMAT };
        let meta_bytes = u32::try_from(position.len()).unwrap_or(u32::MAX);
        let head = FileHead { format, meta_bytes, meta_checksum: crc32fast::hash(&position) };
        out.write_all(&head.to_bytes()).and_then(|()| out.write_all(&position)).map_err(failed)?;
        if head.has_chunks() {
            let mut chunks = ChunkWriter::new(out);
            snapshot::write(state, &mut chunks).map_err(of_state)?;
            out = chunks.finish().map_err(failed)?;
        } else {
            snapshot::write(state, &mut out).map_err(of_state)?;
        }
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    }
}
