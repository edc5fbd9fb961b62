//! What is preloaded into the nodes, so that their clocks go wrong and their syncs are late or fail: `shim/faults.c`,
//! built where a run needs it, and the page that it shares with this program.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

const SOURCE: &str = include_str!("../shim/faults.c");

/// A number in the page, by its place.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// Nanoseconds that are added to the wall clock.
    Offset = 0,
    /// By how many millionths it runs faster, since `Base`.
    Drift = 1,
    /// When it began to run faster, in nanoseconds since 1970.
    Base = 2,
    /// By how many microseconds each sync is late.
    SyncDelay = 3,
    /// Not 0: syncs of the Raft log fail.
    LogSyncsFail = 4,
    /// How many wrong times were told.
    WrongTimes = 5,
    /// How many syncs were late.
    LateSyncs = 6,
    /// How many syncs failed.
    FailedSyncs = 7,
}

/// Cells of a page.
const CELLS: usize = 8;

/// Builds the library that is preloaded, and returns where it is.
///
/// # Errors
/// Where there is no C compiler, or it refuses.
pub fn build(directory: &Path) -> Result<PathBuf> {
    let (source, library) = (directory.join("faults.c"), directory.join("faults.so"));
    std::fs::write(&source, SOURCE)?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let output = command.output().context("the C compiler cc (Debian: apt-get install gcc libc6-dev)")?;
    if !output.status.success() {
        bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(library)
}

/// The page of one node.
#[derive(Debug)]
pub struct Page {
    /// The library.
    pub library: PathBuf,
    /// The file by which the page is shared.
    pub path: PathBuf,
    file: File,
}

impl Page {
    /// Makes a page of zeros.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn create(library: &Path, path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(&[0; CELLS * 8], 0)?;
        Ok(Self { library: library.to_owned(), path: path.to_owned(), file })
    }

    /// Sets a number; the node sees it at once.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set(&self, cell: Cell, value: i64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_le_bytes(), cell as u64 * 8)?)
    }

    /// Returns a number.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn get(&self, cell: Cell) -> Result<i64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, cell as u64 * 8)?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// Has the wall clock be wrong by so many seconds, and run faster by so many millionths from now on.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set_clock(&self, offset_s: i64, drift_ppm: i64) -> Result<()> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.set(Cell::Drift, 0)?;
        self.set(Cell::Base, i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))?;
        self.set(Cell::Offset, offset_s * 1_000_000_000)?;
        self.set(Cell::Drift, drift_ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(page: &Page) -> i64 {
        let mut command = Command::new("date");
        command.arg("+%s").env("LD_PRELOAD", &page.library).env("PCJ_CONTROL", &page.path);
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_program_sees_the_clock_and_the_disk_of_its_page() {
        let directory = std::env::temp_dir().join(format!("portcullis-preload-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("raft/log")).unwrap();
        let library = match build(&directory) {
            Ok(library) => library,
            Err(why) => {
                assert!(std::env::var_os("PORTCULLIS_TESTS_ALL").is_none(), "{why:#}");
                eprintln!("NOT RUN: {why:#}");
                return;
            }
        };
        let page = Page::create(&library, &directory.join("page")).unwrap();
        let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let (before, told) = (now(), date(&page));
        assert!((before..=now()).contains(&told));
        assert_eq!(page.get(Cell::WrongTimes).unwrap(), 0);
        page.set_clock(-86_400, 0).unwrap();
        assert!(date(&page) <= before - 80_000);
        assert!(page.get(Cell::WrongTimes).unwrap() > 0);

        let sync = || {
            let mut command = Command::new("dd");
            command.args(["if=/dev/zero", "bs=1", "count=1", "conv=fsync", "status=none"]);
            command.arg(format!("of={}", directory.join("raft/log/1").display()));
            command.env("LD_PRELOAD", &page.library).env("PCJ_CONTROL", &page.path).output().unwrap().status
        };
        page.set(Cell::SyncDelay, 1).unwrap();
        assert!(sync().success());
        assert_eq!(page.get(Cell::LateSyncs).unwrap(), 1);
        page.set(Cell::LogSyncsFail, 1).unwrap();
        assert!(!sync().success());
        assert_eq!(page.get(Cell::FailedSyncs).unwrap(), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
