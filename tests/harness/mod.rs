//! Starts real clusters of the real binary on loopback addresses of their own, and talks to them like a user.
//!
//! Every test gets its own block of addresses (127.B.C.1, .2, …), so that clusters with default ports run side by side.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

pub mod archive;
pub mod backend;
pub mod browser;
pub mod chat;
pub mod country_file;
pub mod http;
pub mod journey;
pub mod mail;
pub mod minute;
pub mod node;
pub mod offer;
pub mod receiver;
pub mod routes;
pub mod visitor;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(unused_imports, reason = "each test file uses its own part of the harness")]
pub use http::{Client, Reply};
pub use node::Node;

/// The administrator's password of every test cluster.
pub const PASSWORD: &str = "correct horse battery staple";
/// How long any condition may take: far above what is normal, so that only a real fault runs into it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of real processes in a directory of its own; all of it is gone when this is dropped.
pub struct Cluster {
    /// The nodes, in the order in which they were started.
    pub nodes: Vec<Node>,
    directory: tempfile::TempDir,
    block: (u8, u8),
}

impl Cluster {
    /// Starts `size` nodes: bootstraps the first, joins the others by token, and waits until all vote.
    pub async fn start(size: u8) -> Self {
        let mut cluster = Self::empty();
        cluster.bootstrap().await;
        for _ in 1..size {
            cluster.join().await;
        }
        cluster.wait_for_voters(size.into()).await;
        cluster
    }

    /// Makes the directory and picks the addresses, but starts nothing.
    pub fn empty() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let block =
            (u8::try_from(10 + process % 200).expect("below 210"), u8::try_from(number % 250).expect("below 250"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("password"), PASSWORD).expect("the password file");
        Self { nodes: Vec::new(), directory, block }
    }

    /// Returns the address of node `number`, counted from 1.
    pub fn address(&self, number: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.block.0, self.block.1, u8::try_from(number).expect("few nodes"))
    }

    /// Returns a path inside the cluster's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the file that holds the administrator's password.
    pub fn password_file(&self) -> PathBuf {
        self.path("password")
    }

    /// Writes the configuration of a node whose data directory is not made yet.
    pub fn configure(&self, number: usize, text: &str) {
        let directory = self.path(&format!("n{number}"));
        std::fs::create_dir_all(&directory).expect("the data directory");
        std::fs::write(directory.join("node.toml"), text).expect("node.toml");
    }

    /// Runs the CLI and returns its output; the administrator's credentials are in the environment.
    pub fn cli(&self, arguments: &[&str]) -> std::process::Output {
        node::command(self.directory.path())
            .env("PORTCULLIS_USER", "admin")
            .env("PORTCULLIS_PASSWORD", PASSWORD)
            .args(arguments)
            .output()
            .expect("the binary runs")
    }

    /// Starts the CLI with the administrator's credentials, whose output a test reads as it comes.
    pub fn spawn_cli_as_admin(&self, arguments: &[&str]) -> std::process::Child {
        node::command(self.directory.path())
            .env("PORTCULLIS_USER", "admin")
            .env("PORTCULLIS_PASSWORD", PASSWORD)
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Starts the CLI, whose output is kept until it has ended.
    pub fn spawn_cli(&self, arguments: &[&str]) -> std::process::Child {
        node::command(self.directory.path())
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Starts the node of a data directory that has joined already.
    pub async fn start_joined(&mut self, number: usize) {
        self.start_node(number).await;
    }

    /// Runs the CLI and returns what it prints on stdout; fails the test where it fails.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(
            output.status.success(),
            "portcullis {arguments:?} failed with {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Bootstraps the first node and starts it.
    pub async fn bootstrap(&mut self) {
        self.bootstrap_with(&[]).await;
    }

    /// Bootstraps the first node with further arguments and starts it.
    pub async fn bootstrap_with(&mut self, further: &[&str]) {
        let address = self.address(1).to_string();
        let password_file = self.password_file();
        let mut arguments = vec![
            "cluster",
            "bootstrap",
            "--data-dir",
            "n1",
            "--bind",
            &address,
            "--admin-password-file",
            password_file.to_str().expect("UTF-8 path"),
        ];
        arguments.extend(further);
        self.cli_ok(&arguments);
        self.start_node(1).await;
    }

    /// Has one more node join, and starts it.
    pub async fn join(&mut self) {
        self.join_with(&[]).await;
    }

    /// Has one more node join with further arguments, and starts it.
    pub async fn join_with(&mut self, further: &[&str]) {
        let token = self.join_token();
        self.join_by(&token, further).await;
    }

    /// Has one more node join with a token and further arguments, and starts it.
    pub async fn join_by(&mut self, token: &str, further: &[&str]) {
        let number = self.nodes.len() + 1;
        let address = self.address(number).to_string();
        let data_dir = format!("n{number}");
        let mut arguments = vec!["cluster", "join", "--data-dir", &data_dir, "--bind", &address, "--token", token];
        arguments.extend(further);
        self.cli_ok(&arguments);
        self.start_node(number).await;
    }

    /// Makes a join token through the CLI.
    pub fn join_token(&self) -> String {
        let server = self.nodes.iter().find(|node| node.is_running()).expect("a running node").management_url();
        let printed = self.cli_ok(&["cluster", "token", "create", "--server", &server, "--data-dir", "n1"]);
        printed.trim().to_owned()
    }

    async fn start_node(&mut self, number: usize) {
        let node = Node::start(self.path(&format!("n{number}")), self.address(number)).await;
        self.nodes.push(node);
    }

    /// Waits until `voters` nodes vote and all of them are alive.
    pub async fn wait_for_voters(&self, voters: usize) {
        until(&format!("{voters} voters"), async || {
            let status = self.status().await?;
            let nodes = status["nodes"].as_array()?;
            let voting = nodes
                .iter()
                .filter(|node| matches!(node["role"].as_str(), Some("voter" | "leader")) && node["health"] == "alive")
                .count();
            (voting == voters && status["leader"].is_number()).then_some(())
        })
        .await;
    }

    /// Returns the cluster's status as the first running node that answers sees it.
    pub async fn status(&self) -> Option<Value> {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let reply = node.admin().get("/api/portcullis/v1/cluster/status").await;
            if let Ok(reply) = reply
                && reply.status == 200
            {
                return Some(reply.json());
            }
        }
        None
    }

    /// Returns the position of the leader among `nodes`.
    pub async fn leader(&self) -> usize {
        let id = until("a leader", async || self.status().await?["leader"].as_u64()).await;
        usize::try_from(id).expect("small") - 1
    }

    /// Returns the positions of all running nodes but the leader.
    pub async fn followers(&self) -> Vec<usize> {
        let leader = self.leader().await;
        (0..self.nodes.len()).filter(|position| *position != leader && self.nodes[*position].is_running()).collect()
    }
}

/// Waits until `condition` gives a value, and returns it; fails the test after [`PATIENCE`].
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not reached within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the path of a file below `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
