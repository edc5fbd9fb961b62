//! What the nodes logged: no panic, no flood, and not so much kept that it fills the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result};

use crate::node::Node;
use crate::verdict::Verdict;

/// Lines a node may log in one second. What logs more is stuck in a loop: it burns a core and fills a disk.
const LINES_PER_SECOND_MAX: usize = 2_000;
/// Bytes of a log that are kept.
const KEPT: u64 = 8 << 20;
/// Length of the date and time, up to the second, that every line begins with.
const SECOND: usize = "2026-01-01T00:00:00".len();

/// Judges the log of a node, and cuts what is too long.
///
/// # Errors
/// Where it cannot be read.
pub fn check(node: &Node) -> Result<Verdict> {
    let mut seconds: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut verdict = Verdict::Valid;
    let file = File::open(&node.log).with_context(|| node.log.display().to_string())?;
    for line in BufReader::new(file).lines() {
        let line = line?;
        if line.contains("panicked at") || line.contains("actor failed and is restarted") {
            verdict = verdict.and(Verdict::Invalid(format!("node {} panicked: {line}", node.number)));
        }
        let second = line.get(..SECOND).unwrap_or_default().to_owned();
        let entry = seconds.entry(second).or_default();
        entry.0 += 1;
        entry.1 = line;
    }
    if let Some((second, (count, last))) = seconds.iter().max_by_key(|(_, (count, _))| *count)
        && *count > LINES_PER_SECOND_MAX
    {
        let last: String = last.chars().skip(SECOND).take(200).collect();
        let why = format!("node {} logged {count} lines in the second {second}, the last: …{last}", node.number);
        verdict = verdict.and(Verdict::Invalid(why));
    }
    let file = File::options().write(true).open(&node.log)?;
    if file.metadata()?.len() > KEPT {
        file.set_len(KEPT)?;
    }
    Ok(verdict)
}
