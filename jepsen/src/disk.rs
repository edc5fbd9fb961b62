//! A disk for each node: a file system in a file, which can be full and from which the power can be cut. It is mounted by
//! the node's own process tree in a mount namespace that ends with it, so nothing has to be unmounted.

use std::path::Path;
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
        let Some((device, owner)) = owner_of(line) else { continue };
        let pid = owner.trim_start_matches(crate::net::PREFIX);
        let is_left = !Path::new("/proc").join(pid).exists();
        if run == Some(owner) || is_left {
            // One that is still mounted somewhere goes when it is not any more.
            let _ = Command::new("losetup").args(["--detach", device]).output();
        }
    }
}

/// Returns device and run of a line of `losetup --raw`, if it is a disk of ours. The image may be deleted already, which
/// stands behind its name.
fn owner_of(line: &str) -> Option<(&str, &str)> {
    let (device, file) = line.split_once(' ')?;
    let (name, _) = file.rsplit('/').next()?.split_once(".ext4")?;
    let (run, _) = name.rsplit_once("-n")?;
    run.starts_with(crate::net::PREFIX).then_some((device, run))
}

fn ran(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_known_by_its_run_also_when_its_image_is_deleted() {
        let line = r"/dev/loop3 /tmp/store/1-set-power-n3-s1/data/pcj-2358-n2.ext4\x20(deleted)";
        assert_eq!(owner_of(line), Some(("/dev/loop3", "pcj-2358")));
        assert_eq!(owner_of("/dev/loop3 /tmp/pcj-2358-n12.ext4"), Some(("/dev/loop3", "pcj-2358")));
        assert_eq!(owner_of("/dev/loop4 /srv/images/other-n2.ext4"), None);
        assert_eq!(owner_of("/dev/loop4"), None);
        assert_eq!(image_name("pcj-7", 2), "pcj-7-n2.ext4");
    }
}
