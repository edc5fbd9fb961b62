//! A disk for each node: a file system in a file, which can be full and from which the power can be cut. It is mounted by
//! the node's own process tree in a mount namespace that ends with it, so nothing has to be unmounted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Size of a disk: what a long run writes, several times.
const BYTES: u64 = 2 << 30;
/// How long the kernel may take to be done with a file system whose last process has ended.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Returns the name of a node's image; the process that supervises the run is in it, so that what it leaves behind is
/// known.
fn image_name(run: &str, number: usize) -> String {
    format!("{run}-n{number}.ext4")
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The block device.
    pub device: String,
}

impl Disk {
    /// Makes an empty disk in a file of the run's folder. It is detached by `detach_all`.
    ///
    /// # Errors
    /// Where the machine does not allow it.
    pub fn create(run: &str, number: usize, directory: &Path) -> Result<Self> {
        let image = directory.join(image_name(run, number));
        std::fs::File::create(&image)?.set_len(BYTES)?;
        // Without blocks that only root may use: nodes are root here.
        ran(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let device = ran(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        Ok(Self { device: device.trim().to_owned() })
    }

    /// Cuts the power: what was not synced is lost. `inside` is the file system's root as a process that has it mounted
    /// sees it.
    ///
    /// # Errors
    /// Where the file system cannot be shut down.
    pub fn cut_power(inside: &Path) -> Result<()> {
        ran(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(inside)).map(drop)
    }

    /// Waits until the kernel has let go of the file system. A new mount begins anew then.
    ///
    /// # Errors
    /// Where it does not.
    pub fn wait_until_gone(&self) -> Result<()> {
        let name = self.device.trim_start_matches("/dev/");
        let start = Instant::now();
        while start.elapsed() < GONE_WITHIN {
            if !Path::new("/proc/fs/ext4").join(name).exists() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{}: the file system is still in use", self.device)
    }
}

/// Detaches the disks of runs whose supervisor has ended; also those of `run`, where it is given.
pub fn detach_all(run: Option<&str>) {
    let listed =
        Command::new("losetup").args(["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"]).output();
    let Ok(listed) = listed else { return };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some((device, file)) = line.split_once(' ') else { continue };
        let name = PathBuf::from(file.trim_end_matches(" (deleted)"));
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(rest) = name.strip_prefix(crate::net::PREFIX).filter(|_| name.ends_with(".ext4")) else { continue };
        let is_own = run.is_some_and(|run| name.starts_with(&format!("{run}-n")));
        let is_left = rest.split('-').next().is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if is_own || is_left {
            // One that is still mounted somewhere goes when it is not any more.
            let _ = Command::new("losetup").args(["--detach", device]).output();
        }
    }
}

fn ran(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
