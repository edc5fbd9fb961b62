//! The files of the log: names, order, and reading at an offset. Does not know what is in them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// One file of the log, open for as long as somebody may read from it, also after it was dropped.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Segment {
    /// Creates the file of segment `number`, which must not exist.
    pub(super) fn create(directory: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(directory, number);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { number, path, file })
    }

    /// Opens an existing segment.
    pub(super) fn open(directory: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(directory, number);
        let file = File::options().read(true).write(true).open(&path)?;
        Ok(Self { number, path, file })
    }

    /// Reads exactly `length` bytes at `offset`.
    pub(super) fn read(&self, offset: u32, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, u64::from(offset))?;
        Ok(bytes)
    }
}

pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.log"))
}

/// Returns the numbers of the segments in `directory`, in order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for item in fs::read_dir(directory)? {
        let name = item?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|number| number.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Tells up to which segment there were any, so that a lost one is missed: without it, its votes and entries would never
/// have been.
const NEWEST: &str = "newest";

/// Notes that segment `number` is on disk.
pub(super) fn note_newest(directory: &Path, number: u64) -> io::Result<()> {
    let new = directory.join("newest.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{number}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(NEWEST))?;
    sync_directory(directory)
}

/// Returns the segment that was noted last; 0 where none was.
pub(super) fn newest(directory: &Path) -> io::Result<u64> {
    let path = directory.join(NEWEST);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim_end().parse().unwrap_or_else(|_| {
            tracing::warn!(path = %path.display(), "it is not known which segment of the Raft log was the last");
            0
        })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

/// Makes creations, renames and removals in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
