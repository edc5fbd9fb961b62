//! Faults of what is stored: a byte changes while a node is down. What was acknowledged is never skipped: over damage in
//! log or snapshot the node must not start, and comes back as a new node. A damaged message store is set aside.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::time::Instant;

use super::{Mode, Nemesis};
use crate::random::Random;
use crate::verdict::broken;

/// How long a node may take to start or to refuse.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

impl Nemesis {
    pub(super) async fn corrupt(&mut self, mode: Mode) -> Result<Vec<usize>> {
        let number = self.any();
        let f = mode.words().0;
        if mode == Mode::CorruptSnapshot {
            self.cluster.take_snapshot(number).await.context("the snapshot that is to be damaged")?;
        }
        self.begin(f, mode, &[number]);
        self.expect_running(number)?;
        let node = self.node(number);
        let is_killed = node.kill()?;
        let seed = self.random.next().to_string();
        let node = self.node(number);
        let mut command = node.command_of(&std::env::current_exe()?);
        command.args(["damage", mode.words().1, "--seed", &seed]).arg(&node.data_dir);
        let output = command.output().context("damaging")?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            bail!("nothing could be damaged: {said} {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        self.end_with(f, mode, &[number], is_killed, &json!({"damage": said}));
        Ok(vec![number])
    }

    pub(super) async fn mend(&mut self, mode: Mode, nodes: &[usize]) -> Result<()> {
        for number in nodes {
            self.node(*number).start()?;
            let has_started = self.starts(*number).await?;
            if mode == Mode::CorruptMessages {
                if !has_started {
                    broken!("node {number} does not start over a damaged message store, which it should set aside");
                }
                self.begin("restart", mode, nodes);
                self.end("restart", mode, nodes, true);
                continue;
            }
            if has_started {
                broken!("node {number} started over damage in what it had acknowledged ({})", mode.words().1);
            }
            self.node(*number).forget_ended();
            self.replace(mode, *number).await?;
        }
        Ok(())
    }

    /// Says whether a node becomes ready; if not, it has ended by itself and not as if all were well.
    async fn starts(&self, number: usize) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < STARTED_WITHIN {
            if let Some(status) = self.node(number).ended() {
                if status.success() {
                    broken!("node {number} ended over damage as if all were well");
                }
                return Ok(false);
            }
            if self.cluster.is_ready(number).await {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        broken!("node {number} neither starts nor ends over damage ({} s)", STARTED_WITHIN.as_secs())
    }
}

/// Changes one byte of what a node has stored below `directory`, and says which.
///
/// # Errors
/// Where there is nothing of that kind.
pub fn damage(what: &str, directory: &Path, seed: u64) -> Result<String> {
    let file = match what {
        "log" => newest(&directory.join("raft/log"))?,
        "snapshot" => newest(&directory.join("raft/snapshots"))?,
        "message-store" => directory.join("mbstoredb/db"),
        other => bail!("there is no {other} to be damaged"),
    };
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    // Zeros may be room that is not used yet. What is in the last part may not have been acknowledged.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    let mut random = Random::new(seed);
    let mut at = random.below(used / 2);
    while bytes.get(at).copied().unwrap_or(1) == 0 {
        at += 1;
    }
    let byte = *bytes.get(at).context("an empty file")?;
    let changed = byte ^ (1 << random.below(8));
    let open = File::options().write(true).open(&file)?;
    open.write_all_at(&[changed], at as u64)?;
    open.sync_all()?;
    Ok(format!("{}: byte {at} of {} was {byte:#04x} and is {changed:#04x}", file.display(), used + 1))
}

/// Returns the file whose name comes last; names count up.
fn newest(directory: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .filter_map(|item| Some(item.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files.pop().with_context(|| format!("{}: nothing there", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_one_bit_of_the_newest_file() {
        let directory = std::env::temp_dir().join(format!("portcullis-damage-{}", std::process::id()));
        let log = directory.join("raft/log");
        std::fs::create_dir_all(&log).unwrap();
        let mut bytes = vec![7; 100];
        bytes.extend([0; 100]);
        for name in ["0000000000000001.log", "0000000000000002.log"] {
            std::fs::write(log.join(name), &bytes).unwrap();
        }
        damage("log", &directory, 5).unwrap();
        assert_eq!(std::fs::read(log.join("0000000000000001.log")).unwrap(), bytes);
        let now = std::fs::read(log.join("0000000000000002.log")).unwrap();
        let changed: Vec<_> = now.iter().zip(&bytes).filter(|(now, then)| now != then).collect();
        assert_eq!(changed.len(), 1);
        assert_eq!((changed[0].0 ^ changed[0].1).count_ones(), 1);
        assert!(damage("snapshot", &directory, 5).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
