//! One node: a real process of the real binary in a namespace of its own, which can be killed and paused. Every such
//! fault is looked for afterwards in what the kernel says of the process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::net;

/// How long the kernel may take to act on a signal.
const SIGNAL_WITHIN: Duration = Duration::from_secs(2);

/// A node.
pub struct Node {
    /// Its number, from 1; also its id in the cluster.
    pub number: usize,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// What it logs goes here.
    pub log: PathBuf,
    namespace: String,
    binary: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Node {
    /// Returns node `number` of a run, which is not started.
    pub fn new(number: usize, run: &str, binary: &Path, directory: &Path) -> Self {
        Self {
            number,
            data_dir: directory.join(format!("data/n{number}")),
            log: directory.join(format!("n{number}.log")),
            namespace: net::node_name(run, number),
            binary: binary.to_owned(),
            child: Mutex::new(None),
        }
    }

    /// Returns its address.
    pub fn address(&self) -> String {
        net::address(self.number)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        // What is kept is a process or none, also after a panic.
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the binary as a command inside the node's namespace, which sees no settings of this machine's user.
    pub fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(&self.binary).env("NO_COLOR", "1");
        let home = self.data_dir.parent().unwrap_or(&self.data_dir);
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

    fn pid(&self) -> Option<Pid> {
        self.lock().as_ref().map(Pid::from_child)
    }

    /// Kills the process (SIGKILL), and says whether it was the node's process and is gone.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&self) -> Result<bool> {
        let Some(mut child) = self.lock().take() else { bail!("node {} does not run", self.number) };
        let executable = std::fs::read_link(format!("/proc/{}/exe", child.id()));
        let is_node = executable.is_ok_and(|path| path == self.binary);
        child.kill().context("kill")?;
        child.wait().context("wait")?;
        Ok(is_node && !Path::new(&format!("/proc/{}", child.id())).exists())
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
