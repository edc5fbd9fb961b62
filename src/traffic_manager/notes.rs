//! What the next start of a node must know of this one, on a node that has no message store: its number, and up to which
//! time it may have used the reserve. One small file, replaced whole.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_database::handle::wall_clock;
use portcullis_model::Timestamp;
use tracing::error;

use crate::store::{Found, StoreError};

/// The file's name below the data directory.
const FILE: &str = "allowances.notes";
/// Format (u16), number of the start (u64), ceiling (u64), CRC-32 of these; all big-endian.
const BYTES: usize = 22;
const FORMAT: u16 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    incarnation: u64,
    ceiling: Timestamp,
}

impl Noted {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&FORMAT.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.ceiling.0.to_be_bytes());
        let sum = crc32fast::hash(&bytes[..18]);
        bytes[18..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_be_bytes);
        let is_whole = bytes[..2] == FORMAT.to_be_bytes() && bytes[18..] == crc32fast::hash(&bytes[..18]).to_be_bytes();
        let noted = Self { incarnation: number(2)?, ceiling: Timestamp(number(10)?) };
        is_whole.then_some(noted)
    }
}

/// The notes of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    path: PathBuf,
    /// What is in the file. Held while it is written, so that no older note replaces a newer one.
    noted: Arc<Mutex<Noted>>,
}

impl Notes {
    /// Opens the notes below `data_dir`, and notes a start. Notes that cannot be understood are as good as none: the
    /// log is told so, and waits longer before it gives the node a share of the reserve.
    pub(crate) fn open(data_dir: &Path) -> Result<(Self, Found), StoreError> {
        let path = data_dir.join(FILE);
        let before = match std::fs::read(&path) {
            Ok(bytes) => {
                let noted = Noted::of_bytes(&bytes);
                if noted.is_none() {
                    error!(file = %path.display(), "the notes of earlier starts are damaged and are begun anew");
                }
                noted
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(StoreError::Io { path, cause }),
        };
        // Where nothing is known the log may know higher numbers than this would count; the time is surely another.
        let incarnation = before.map_or_else(|| wall_clock().0.max(1), |noted| noted.incarnation + 1);
        let ceiling = before.map_or(Timestamp(0), |noted| noted.ceiling);
        let noted = Noted { incarnation, ceiling };
        let notes = Self { path, noted: Arc::new(Mutex::new(noted)) };
        notes.write(|_| {})?;
        let is_new = before.is_none();
        let statements = Vec::new();
        Ok((
            notes,
            Found {
                incarnation,
                ceiling,
                is_new,
                statements,
                of_others: Vec::new(),
                damaged: 0,
                live_bytes: 0,
                set_aside: None,
            },
        ))
    }

    /// Notes durably the number of this start.
    pub(crate) async fn note_incarnation(&self, incarnation: u64) -> Result<(), StoreError> {
        self.change(move |noted| noted.incarnation = noted.incarnation.max(incarnation)).await
    }

    /// Notes durably up to which time this start may use the reserve.
    pub(crate) async fn note_ceiling(&self, ceiling: Timestamp) -> Result<(), StoreError> {
        self.change(move |noted| noted.ceiling = noted.ceiling.max(ceiling)).await
    }

    async fn change(&self, change: impl FnOnce(&mut Noted) + Send + 'static) -> Result<(), StoreError> {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || notes.write(change)).await.map_err(|_| StoreError::Stopped)?
    }

    /// Changes the notes and replaces the file: a new one is made durable, takes the name, and the name is made durable.
    fn write(&self, change: impl FnOnce(&mut Noted)) -> Result<(), StoreError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = *noted;
        change(&mut next);
        let replaced = (|| {
            let new = self.path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(&next.to_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        })();
        replaced.map_err(|cause| StoreError::Io { path: self.path.clone(), cause })?;
        *noted = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_start_has_a_higher_number_and_knows_the_ceiling() {
        let directory = tempfile::tempdir().unwrap();
        let (notes, first) = Notes::open(directory.path()).unwrap();
        assert!(first.is_new && first.incarnation > 0);
        notes.note_ceiling(Timestamp(5_000)).await.unwrap();
        notes.note_ceiling(Timestamp(4_000)).await.unwrap();
        notes.note_incarnation(first.incarnation + 7).await.unwrap();
        let (_, second) = Notes::open(directory.path()).unwrap();
        assert!(!second.is_new);
        assert_eq!((second.incarnation, second.ceiling), (first.incarnation + 8, Timestamp(5_000)));
    }

    #[test]
    fn damaged_notes_are_as_good_as_none_and_do_not_stop_the_node() {
        let directory = tempfile::tempdir().unwrap();
        let (_, first) = Notes::open(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[12] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (_, second) = Notes::open(directory.path()).unwrap();
        assert!(second.is_new && second.incarnation >= first.incarnation);
    }
}
