//! The files of the log: names, order, and reading at an offset. Does not know what is in them.

use std::fs::{self, File};
use std::io;
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

fn path_of(directory: &Path, number: u64) -> PathBuf {
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

/// Makes creations, renames and removals in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
