//! What this node can use of its machine: disk, sync time, open files, memory. Read when somebody asks.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_model::facts::MachineFacts;

/// The file that is written and synced to see how long that takes.
const PROBE: &str = ".sync-probe";
/// How often it is written: the median of so many counts.
const PROBES: usize = 5;

/// Looks at the machine. Blocks for as long as a few small writes to the disk take.
#[must_use]
pub fn look(data_dir: &Path) -> MachineFacts {
    let (disk_bytes, disk_free_bytes) = disk(data_dir).unwrap_or_default();
    let sync_us = match sync_time(data_dir) {
        Ok(time) => Some(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        Err(e) => {
            tracing::warn!(error = %e, path = %data_dir.display(), "a file in the data directory cannot be written and synced");
            None
        }
    };
    MachineFacts {
        disk_bytes,
        disk_free_bytes,
        sync_us,
        open_files_max: open_files_max(),
        open_files: open_files(),
        resident_bytes: resident_bytes().unwrap_or_default(),
    }
}

/// Returns the size of the file system and what is free on it for this user.
fn disk(data_dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(data_dir).ok()?;
    Some((found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Returns how long a small write and its sync take: the median of a few.
///
/// # Errors
/// Where the file cannot be written.
fn sync_time(data_dir: &Path) -> io::Result<Duration> {
    let path = data_dir.join(PROBE);
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let began = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    drop(file);
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times[PROBES / 2])
}

/// Returns how many files this process may have open; 0 where that is not known.
pub(crate) fn open_files_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or_default()
}

/// Returns how many files this process has open; 0 where that is not known.
pub(crate) fn open_files() -> u64 {
    // One of them is the directory that is being read.
    fs::read_dir("/proc/self/fd").map_or(0, |items| items.count().saturating_sub(1) as u64)
}

/// Returns the bytes of the files in a directory, one level down; 0 where there is none.
pub(crate) fn bytes_below(directory: &Path) -> u64 {
    let Ok(items) = fs::read_dir(directory) else { return 0 };
    let files = items.filter_map(|item| item.ok()?.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|file| file.len()).sum()
}

/// Returns the process's memory in RAM, where the operating system tells (Linux).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has_and_the_probe_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let facts = look(directory.path());
        assert!(facts.disk_bytes >= facts.disk_free_bytes && facts.disk_bytes > 0, "{facts:?}");
        assert!(
            facts.sync_us.is_some() && facts.open_files > 0 && facts.open_files_max >= facts.open_files,
            "{facts:?}"
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(look(&directory.path().join("missing")).sync_us, None);
    }
}
