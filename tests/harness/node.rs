//! One node: a real process of the real binary.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use super::http::Client;
use super::{PASSWORD, until};

/// A node.
pub struct Node {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its address.
    pub address: Ipv4Addr,
    child: Mutex<Option<Child>>,
}

/// Returns the binary as a command that runs in `directory` and sees no settings of the machine's user.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(directory).env("HOME", directory).env("NO_COLOR", "1").stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTCULLIS_") || name.starts_with("XDG_")) {
        command.env_remove(name);
    }
    command
}

impl Node {
    /// Starts a node on its data directory and waits until it is ready.
    pub async fn start(data_dir: PathBuf, address: Ipv4Addr) -> Self {
        let node = Self { data_dir, address, child: Mutex::new(None) };
        node.run();
        node.wait_ready().await;
        node
    }

    /// Returns a node that a test started by other means.
    pub fn elsewhere(data_dir: PathBuf, address: Ipv4Addr) -> Self {
        Self { data_dir, address, child: Mutex::new(None) }
    }

    /// Starts the process; it must not run.
    pub fn run(&self) {
        self.run_with(&[]);
    }

    /// Starts the process with further variables in its environment; it must not run.
    pub fn run_with(&self, variables: &[(&str, &Path)]) {
        let directory = self.data_dir.parent().expect("a data directory has a parent");
        let log = File::options().create(true).append(true).open(self.log_path()).expect("the log file");
        let child = command(directory)
            // What is decided is tested, not how soon: a busy machine's cluster may be late to grant the first call.
            .env("PORTCULLIS_THROTTLING__GRANT_WAIT_MS", "1000")
            // Whoever tests call is on this machine.
            .env("PORTCULLIS_GATEWAY__CALLBACKS_MAY_BE_PRIVATE", "true")
            .envs(variables.iter().copied())
            .args(["server", "--data-dir"])
            .arg(&self.data_dir)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let before = self.child.lock().expect("not poisoned").replace(child);
        assert!(before.is_none(), "the node runs already");
    }

    fn log_path(&self) -> PathBuf {
        self.data_dir.with_extension("log")
    }

    /// Returns what the node has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until the node says that it is ready.
    pub async fn wait_ready(&self) {
        until(&format!("node {} ready; its log:\n{}", self.address, self.log()), async || {
            self.assert_running();
            let reply = Client::plain(&format!("http://{}:9763", self.address)).get("/readyz").await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
    }

    /// Fails the test where the process has ended.
    pub fn assert_running(&self) {
        let mut child = self.child.lock().expect("not poisoned");
        let ended = child.as_mut().and_then(|child| child.try_wait().expect("the child can be waited for"));
        assert!(ended.is_none(), "node {} ended with {ended:?}:\n{}", self.address, self.log());
    }

    /// Says whether the process was started and not ended by the test.
    pub fn is_running(&self) -> bool {
        self.child.lock().expect("not poisoned").is_some()
    }

    /// Ends the process at once (SIGKILL).
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("not poisoned").take() {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child can be waited for");
        }
    }

    /// Asks the process to stop (SIGTERM) and waits for its end.
    pub async fn terminate(&self) -> ExitStatus {
        let mut child = self.child.lock().expect("not poisoned").take().expect("the node runs");
        let signalled = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(signalled.success());
        until("the node to stop after SIGTERM", async || child.try_wait().expect("the child can be waited for")).await
    }

    /// Stops the process in the midst of what it does: to the others it is as if cut off.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks the process to read its configuration again (SIGHUP).
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.lock().expect("not poisoned");
        let id = child.as_ref().expect("the node runs").id();
        let signalled = Command::new("kill").args([signal, &id.to_string()]).status().expect("kill runs");
        assert!(signalled.success());
    }

    /// Adds lines to a section of the node's configuration, for its next start.
    pub fn configure(&self, section: &str, lines: &str) {
        let file = self.data_dir.join("node.toml");
        let text = std::fs::read_to_string(&file).expect("node.toml");
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "no section {section} in {text}");
        std::fs::write(file, text.replacen(&head, &format!("{head}{lines}\n"), 1)).expect("node.toml can be written");
    }

    /// Waits until the process ends by itself.
    pub async fn wait_ended(&self) -> ExitStatus {
        let mut child = self.child.lock().expect("not poisoned").take().expect("the node runs");
        until("the node to end", async || child.try_wait().expect("the child can be waited for")).await
    }

    /// Returns the URL of the management port.
    pub fn management_url(&self) -> String {
        format!("https://{}:9443", self.address)
    }

    /// Returns a client of the management port, signed in as administrator.
    pub fn admin(&self) -> Client {
        self.anonymous().with_basic("admin", PASSWORD)
    }

    /// Returns a client of the management port, signed in as a user.
    pub fn as_user(&self, name: &str, password: &str) -> Client {
        self.anonymous().with_basic(name, password)
    }

    /// Returns a client of the management port, not signed in.
    pub fn anonymous(&self) -> Client {
        Client::secure(&self.management_url(), &self.ca())
    }

    /// Returns a client of the gateway's HTTP port.
    pub fn gateway(&self) -> Client {
        Client::plain(&format!("http://{}:8280", self.address))
    }

    /// Returns a client of the gateway's HTTPS port.
    pub fn secure_gateway(&self) -> Client {
        Client::secure(&format!("https://{}:8243", self.address), &self.ca())
    }

    fn ca(&self) -> PathBuf {
        self.data_dir.join("tls/ca.pem")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut()
            && let Some(mut child) = child.take()
        {
            // The process may have ended by itself; either way nothing is left behind.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of node {} ---\n{}", self.address, self.log());
        }
    }
}
