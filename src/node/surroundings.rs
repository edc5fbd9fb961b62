//! What the operating system lets this process have, as it says itself: read when a node is reported about. Linux; elsewhere
//! there is nothing to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bytes of each text.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Files of the data directory that are listed.
const FILES_MAX: usize = 1_000;
/// How deep they are looked for.
const DEPTH_MAX: usize = 3;

/// What is read, each with its file.
const FILES: [(&str, &str); 17] = [
    ("kernel", "/proc/sys/kernel/osrelease"),
    ("operating_system", "/etc/os-release"),
    ("load", "/proc/loadavg"),
    ("memory", "/proc/meminfo"),
    ("limits", "/proc/self/limits"),
    ("process", "/proc/self/status"),
    ("cgroup_memory_max", "/sys/fs/cgroup/memory.max"),
    ("cgroup_cpu_max", "/sys/fs/cgroup/cpu.max"),
    ("pressure_cpu", "/proc/pressure/cpu"),
    ("pressure_memory", "/proc/pressure/memory"),
    ("pressure_io", "/proc/pressure/io"),
    ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
    ("net.ipv4.ip_local_port_range", "/proc/sys/net/ipv4/ip_local_port_range"),
    ("net.ipv4.tcp_max_syn_backlog", "/proc/sys/net/ipv4/tcp_max_syn_backlog"),
    ("fs.file-max", "/proc/sys/fs/file-max"),
    ("vm.overcommit_memory", "/proc/sys/vm/overcommit_memory"),
    ("transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled"),
];

/// Reads what there is, by name.
#[must_use]
pub(crate) fn look() -> BTreeMap<&'static str, String> {
    let read = |(name, file): (&'static str, &str)| {
        let mut text = fs::read_to_string(file).ok()?;
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
        }
        Some((name, text.trim_end().to_owned()))
    };
    let mut found: BTreeMap<_, _> = FILES.into_iter().filter_map(read).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    found.insert("cores", cores.to_string());
    found
}

/// Lists the files of the data directory with their bytes, not what is in them.
#[must_use]
pub(crate) fn files_of(data_dir: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    list(data_dir, data_dir, 0, &mut found);
    found
}

fn list(root: &Path, directory: &Path, depth: usize, found: &mut BTreeMap<String, u64>) {
    let Ok(items) = fs::read_dir(directory) else { return };
    for item in items.flatten() {
        let Ok(about) = item.metadata() else { continue };
        if found.len() >= FILES_MAX {
            return;
        }
        if about.is_dir() && depth < DEPTH_MAX {
            list(root, &item.path(), depth + 1, found);
        } else if about.is_file() {
            let name = item.path().strip_prefix(root).map_or_else(|_| item.path(), Path::to_owned);
            found.insert(name.display().to_string(), about.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_with_their_bytes_and_nothing_is_read_of_them() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("tls")).unwrap();
        fs::write(directory.path().join("tls/node.key"), "secret").unwrap();
        assert_eq!(files_of(directory.path()), BTreeMap::from([("tls/node.key".to_owned(), 6)]));
        assert_ne!(look()["cores"], "0");
    }
}
