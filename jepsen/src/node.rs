//! One node: a real process of the real binary in a namespace of its own, which can be killed, paused, stopped in order,
//! and lose its power. Every such fault is looked for afterwards in what the kernel says of the process.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::disk::Disk;
use crate::net;
use crate::preload::Page;
use crate::verdict::broken;

/// How long the kernel may take to act on a signal.
const SIGNAL_WITHIN: Duration = Duration::from_secs(2);
/// How long a node may take to stop in order: what is under way may take 10 s.
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// Mounts the disk and becomes the program, in the mount namespace that `ip netns exec` makes.
const MOUNT: &str = r#"mount -t ext4 -o noatime "$0" "$1" && shift && exec "$@""#;
/// Written before a power cut and not synced: it must be gone afterwards.
const CANARY: &str = "unsynced";

/// A node.
pub struct Node {
    /// Its number, from 1: its place and its address.
    pub number: usize,
    /// Its data directory. Where it has a disk of its own only its own processes see what is in it.
    pub data_dir: PathBuf,
    /// What it logs goes here.
    pub log: PathBuf,
    /// Its own disk, where the run needs that.
    pub disk: Option<Disk>,
    /// What is preloaded into it, where the run needs that.
    pub page: Option<Page>,
    namespace: String,
    binary: Mutex<PathBuf>,
    child: Mutex<Option<Child>>,
    mutant: Option<String>,
    /// Entries between two snapshots; the program's own default where nothing is said.
    pub snapshot_entries: Option<u64>,
    /// Its id in the cluster, which is another each time it joins.
    id: AtomicU64,
}

impl Node {
    /// Returns node `number` of a run, which is not started.
    pub fn new(number: usize, run: &str, binary: &Path, directory: &Path) -> Self {
        Self {
            number,
            data_dir: directory.join(format!("data/n{number}/node")),
            log: directory.join(format!("n{number}.log")),
            disk: None,
            page: None,
            namespace: net::node_name(run, number),
            binary: Mutex::new(binary.to_owned()),
            child: Mutex::new(None),
            mutant: None,
            snapshot_entries: None,
            id: AtomicU64::new(number as u64),
        }
    }

    /// Has the program have a deliberate fault, which only builds with the feature `mutants` know.
    pub fn set_mutant(&mut self, name: &str) {
        self.mutant = Some(name.to_owned());
    }

    /// Returns its address.
    pub fn address(&self) -> String {
        net::address(self.number)
    }

    /// Returns its id in the cluster.
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Says which id it has from now on.
    pub fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Returns the program that it runs, or will run.
    pub fn binary(&self) -> PathBuf {
        // A path is whole, also after a panic.
        self.binary.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Has it run another program from the next start on.
    pub fn set_binary(&self, binary: &Path) {
        *self.binary.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = binary.to_owned();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        // What is kept is a process or none, also after a panic.
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns its program as a command; see `command_of`.
    pub fn command(&self) -> Command {
        self.command_of(&self.binary())
    }

    /// Returns a command inside the node's namespace that has its disk and sees no settings of this machine's user.
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        if let Some(disk) = &self.disk {
            command.args(["sh", "-c", MOUNT, &disk.device]).arg(self.mount_point());
        }
        command.arg(program).env("NO_COLOR", "1");
        let home = self.mount_point().parent().unwrap_or(&self.data_dir);
        command.current_dir(home).env("HOME", home).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if ["PORTCULLIS_", "XDG_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the process. It stops by itself should this program end.
    ///
    /// # Errors
    /// Where it runs already or cannot be started.
    pub fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log).context("the log")?;
        let mut child = self.lock();
        if child.is_some() {
            bail!("node {} runs already", self.number);
        }
        let mut command = self.command();
        command.args(["server", "--until-stdin-ends", "--data-dir"]).arg(&self.data_dir);
        command.args(["--set", &format!("observability.bind={}", self.address())]);
        if let Some(entries) = self.snapshot_entries {
            command.args(["--set", &format!("cluster.snapshot_entries={entries}")]);
        }
        if let Some(page) = &self.page {
            command.env("LD_PRELOAD", &page.library).env("PCJ_CONTROL", &page.path);
        }
        if let Some(mutant) = &self.mutant {
            command.env("PORTCULLIS_MUTANT", mutant);
        }
        // A signal to this program from a terminal is not one to the node.
        command.process_group(0);
        *child = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().context("the node")?);
        Ok(())
    }

    /// Says whether it was started and not killed.
    pub fn is_started(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns how the process ended, where it did so by itself.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Says that it is known that the process ended by itself: it may be started again.
    pub fn forget_ended(&self) {
        let mut child = self.lock();
        if child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
            *child = None;
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.lock().as_ref().map(Pid::from_child)
    }

    /// Returns where its disk is mounted, or would be.
    pub fn mount_point(&self) -> &Path {
        self.data_dir.parent().unwrap_or(&self.data_dir)
    }

    /// Returns a path on its disk as everybody sees it.
    ///
    /// # Errors
    /// Where it has a disk of its own and does not run.
    pub fn seen_from_outside(&self, inside: &Path) -> Result<PathBuf> {
        if self.disk.is_none() {
            return Ok(inside.to_owned());
        }
        let pid = self.pid().with_context(|| format!("node {} does not run", self.number))?;
        let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_nonzero()));
        Ok(root.join(inside.strip_prefix("/").unwrap_or(inside)))
    }

    /// Kills the process (SIGKILL), and says whether it was the node's process and is gone.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&self) -> Result<bool> {
        let Some(mut child) = self.lock().take() else { bail!("node {} does not run", self.number) };
        let executable = std::fs::read_link(format!("/proc/{}/exe", child.id()));
        let is_node = executable.is_ok_and(|path| path == self.binary());
        child.kill().context("kill")?;
        child.wait().context("wait")?;
        Ok(is_node && !Path::new(&format!("/proc/{}", child.id())).exists())
    }

    /// Cuts the power of its disk and kills the process. Returns whether the disk is dead and the process gone.
    ///
    /// # Errors
    /// Where it does not run, or has no disk of its own.
    pub fn cut_power(&self) -> Result<bool> {
        let disk = self.disk.as_ref().context("no disk of its own")?;
        let outside = self.seen_from_outside(self.mount_point())?;
        std::fs::write(outside.join(CANARY), "not synced")?;
        Disk::cut_power(&outside)?;
        let is_dead = std::fs::write(outside.join("written after the power cut"), "").is_err();
        // It may have noticed and be ending by itself; gone it is in any case.
        self.kill()?;
        disk.wait_until_gone()?;
        Ok(is_dead)
    }

    /// Says whether what was not synced before a power cut is gone, as it must be; removes it otherwise.
    ///
    /// # Errors
    /// Where it does not run, or has no disk of its own.
    pub fn has_lost_what_was_not_synced(&self) -> Result<bool> {
        let canary = self.seen_from_outside(self.mount_point())?.join(CANARY);
        let is_lost = std::fs::read(&canary).map_or(true, |text| text.is_empty());
        // It is not there, mostly.
        let _ = std::fs::remove_file(canary);
        Ok(is_lost)
    }

    /// Stops the process in order (SIGTERM), as an upgrade does.
    ///
    /// # Errors
    /// Where it does not run, or does not end well.
    pub async fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < STOP_WITHIN {
            if let Some(status) = self.ended() {
                if !status.success() {
                    broken!("node {} did not stop in order: {status}", self.number);
                }
                self.forget_ended();
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        broken!("node {} did not stop within {} s", self.number, STOP_WITHIN.as_secs())
    }

    /// Stops every thread of the process (SIGSTOP), and says whether they all stand.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<bool> {
        self.signal(Signal::STOP)?;
        Ok(self.threads_become(|state| state == 'T'))
    }

    /// Lets the process go on (SIGCONT), and says whether it does.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<bool> {
        self.signal(Signal::CONT)?;
        Ok(self.threads_become(|state| state != 'T'))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("node {} does not run", self.number))?;
        kill_process(pid, signal).context("the signal")
    }

    fn threads_become(&self, wanted: impl Fn(char) -> bool) -> bool {
        let Some(pid) = self.pid() else { return false };
        let start = Instant::now();
        while start.elapsed() < SIGNAL_WITHIN {
            let states = thread_states(pid);
            if !states.is_empty() && states.iter().all(|state| wanted(*state)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

fn thread_states(pid: Pid) -> Vec<char> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else { return Vec::new() };
    let state = |thread: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    };
    threads.filter_map(state).collect()
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.lock().take() {
            // It may have ended by itself; either way nothing is left behind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
