//! A cluster of real nodes: made by the commands that people use, asked over the ports that people use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::http::{self, Ask, Client};
use crate::node::Node;
use crate::verdict::{Broken, broken};

const PASSWORD: &str = "correct horse battery staple";
/// How long a client waits for an answer before it gives up: less than the product's own deadline of 30 s, as real
/// clients do.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long the cluster may take to form or to come back.
const RECOVERY: Duration = Duration::from_secs(60);

/// A cluster.
pub struct Cluster {
    /// The nodes, number 1 first.
    pub nodes: Vec<Node>,
    tls: Arc<rustls::ClientConfig>,
}

/// What a node says of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The leader's number, if one is known.
    pub leader: Option<usize>,
    /// The term.
    pub term: u64,
    /// How many nodes vote.
    pub voters: usize,
}

impl Cluster {
    /// Bootstraps the first of these nodes, joins the others by token, and waits until all vote.
    ///
    /// # Errors
    /// Where the cluster does not form within a minute.
    pub async fn start(mut nodes: Vec<Node>, directory: &Path) -> Result<Self> {
        let size = nodes.len();
        let password_file = directory.join("data/password");
        std::fs::write(&password_file, PASSWORD)?;
        let first = nodes.remove(0);
        let bind = first.address();
        let password_file = password_file.display().to_string();
        cli(&first, &["cluster", "bootstrap", "--bind", &bind, "--admin-password-file", &password_file])?;
        first.start()?;
        let tls = until("the certificate authority's file", async || {
            http::trust(&first.seen_from_outside(&first.data_dir.join("tls/ca.pem")).ok()?).ok()
        })
        .await?;
        let mut cluster = Self { nodes: vec![first], tls };
        cluster.ready(1).await?;
        for node in nodes {
            cluster.join(&node, 1)?;
            node.start()?;
            let number = node.number;
            cluster.nodes.push(node);
            cluster.ready(number).await?;
        }
        until("every node votes", async || {
            let status = cluster.status().await?;
            (status.voters == size && status.leader.is_some()).then_some(())
        })
        .await?;
        Ok(cluster)
    }

    /// Makes a node's data directory, by a token from node `from`. It joins when it is started.
    ///
    /// # Errors
    /// Where the cluster refuses.
    pub fn join(&self, node: &Node, from: usize) -> Result<()> {
        let host = self.node(from);
        let server = format!("https://{}:9443", host.address());
        let token = cli(host, &["cluster", "token", "create", "--server", &server])?;
        cli(node, &["cluster", "join", "--bind", &node.address(), "--token", token.trim()]).map(drop)
    }

    /// Has a node that is ready take a snapshot.
    ///
    /// # Errors
    /// Where it refuses.
    pub async fn take_snapshot(&self, number: usize) -> Result<()> {
        let ask = Ask::json("POST", "/api/portcullis/v1/cluster/snapshots", &serde_json::json!({}));
        self.admin(number).send(ask).await.expect(201).map(drop)
    }

    /// Returns how many nodes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the id that a node has in the cluster now.
    pub fn id_of(&self, number: usize) -> u64 {
        self.node(number).id()
    }

    /// Returns the number of the node that has this id now, if any has.
    pub fn number_of(&self, id: u64) -> Option<usize> {
        self.nodes.iter().find(|node| node.id() == id).map(|node| node.number)
    }

    /// Returns the numbers of the nodes whose ids a header names; ids of nodes that are gone are left out.
    pub fn numbers(&self, header: &str) -> Vec<usize> {
        header.split(',').filter_map(|id| self.number_of(id.trim().parse().ok()?)).collect()
    }

    /// Returns a node by its number.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// Returns a client of a node's management port, signed in as administrator.
    pub fn admin(&self, number: usize) -> Client {
        self.management(number).with_basic("admin", PASSWORD)
    }

    /// Returns a client of a node's management port, not signed in.
    pub fn management(&self, number: usize) -> Client {
        Client::new(&self.node(number).address(), 9443, Some(Arc::clone(&self.tls)), PATIENCE)
    }

    /// Returns a client of a node's gateway.
    pub fn gateway(&self, number: usize) -> Client {
        Client::new(&self.node(number).address(), 8280, None, PATIENCE)
    }

    /// Returns a client of a node's gateway over TLS.
    pub fn secure_gateway(&self, number: usize) -> Client {
        Client::new(&self.node(number).address(), 8243, Some(Arc::clone(&self.tls)), PATIENCE)
    }

    /// Waits until a node says that it is ready.
    ///
    /// # Errors
    /// Where it is not within a minute, or ended.
    pub async fn ready(&self, number: usize) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < RECOVERY {
            if let Some(status) = self.node(number).ended() {
                broken!("node {number} ended by itself: {status}");
            }
            if self.is_ready(number).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        broken!("node {number} is not ready within {} s", RECOVERY.as_secs())
    }

    /// Says whether a node says that it is ready.
    pub async fn is_ready(&self, number: usize) -> bool {
        let health = Client::new(&self.node(number).address(), 9763, None, Duration::from_secs(1));
        health.send(Ask::get("/readyz")).await.expect(200).is_ok()
    }

    /// Says whether the others say that a node votes.
    pub async fn is_voter(&self, number: usize) -> bool {
        let id = self.id_of(number);
        for other in self.nodes.iter().filter(|other| other.number != number && other.is_started()) {
            let ask = Ask::get("/api/portcullis/v1/cluster/status").within(Duration::from_secs(1));
            let Ok(reply) = self.admin(other.number).send(ask).await.expect(200) else { continue };
            let body = reply.json();
            let is_it = |node: &&Value| node["id"] == id && matches!(node["role"].as_str(), Some("voter" | "leader"));
            if body["nodes"].as_array().into_iter().flatten().any(|node| is_it(&node)) {
                return true;
            }
        }
        false
    }

    /// Returns what a node says of the cluster, if it answers within a second.
    pub async fn status_of(&self, number: usize) -> Option<Status> {
        let ask = Ask::get("/api/portcullis/v1/cluster/status").within(Duration::from_secs(1));
        let body = self.admin(number).send(ask).await.expect(200).ok()?.json();
        let votes = |node: &&Value| matches!(node["role"].as_str(), Some("voter" | "leader"));
        let voters = body["nodes"].as_array().map_or(0, |nodes| nodes.iter().filter(votes).count());
        let leader = body["leader"].as_u64().and_then(|id| self.number_of(id));
        Some(Status { leader, term: body["term"].as_u64().unwrap_or_default(), voters })
    }

    /// Returns what the node of the highest term says of the cluster.
    pub async fn status(&self) -> Option<Status> {
        let mut best: Option<Status> = None;
        for node in self.nodes.iter().filter(|node| node.is_started()) {
            let Some(status) = self.status_of(node.number).await else { continue };
            let is_better =
                best.is_none_or(|best| (status.term, status.leader.is_some()) > (best.term, best.leader.is_some()));
            if is_better {
                best = Some(status);
            }
        }
        best
    }

    /// Waits for a leader and returns its number.
    ///
    /// # Errors
    /// Where there is none within a minute.
    pub async fn leader(&self) -> Result<usize> {
        until("a leader", async || self.status().await?.leader).await
    }

    /// Waits until all nodes are ready and hold the same state.
    ///
    /// # Errors
    /// Where they do not within a minute; says which differ.
    pub async fn settle(&self) -> Result<()> {
        for node in &self.nodes {
            self.ready(node.number).await?;
        }
        self.leader().await?;
        until("every node at the same index", async || {
            let mut digests = Vec::new();
            for node in &self.nodes {
                let ask = Ask::get("/api/portcullis/v1/cluster/digest");
                digests.push(self.admin(node.number).send(ask).await.expect(200).ok()?.json());
            }
            let first = &digests[0];
            if digests.iter().any(|digest| digest["applied_index"] != first["applied_index"]) {
                return None;
            }
            Some(if digests.iter().all(|digest| digest["digest"] == first["digest"]) {
                Ok(())
            } else {
                Err(Broken(format!("nodes hold different states at the same index: {digests:?}")).into())
            })
        })
        .await?
    }
}

/// Waits until `condition` gives a value, for a minute.
///
/// # Errors
/// Where it does not.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < RECOVERY {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    broken!("{what}: not within {} s", RECOVERY.as_secs())
}

/// Runs a command of the product as an operator would on that node, and returns what it prints.
fn cli(node: &Node, arguments: &[&str]) -> Result<String> {
    let mut command = node.command();
    command.args(arguments).env("PORTCULLIS_USER", "admin").env("PORTCULLIS_PASSWORD", PASSWORD);
    command.arg("--data-dir").arg(&node.data_dir);
    let output = command.output().context("the binary")?;
    if !output.status.success() {
        bail!("portcullis {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns a number that was not returned before.
fn serial() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Returns a copy of the binary that nobody replaces during the run.
///
/// # Errors
/// Where there is none or it cannot be copied.
pub fn copy_binary(binary: &Path, directory: &Path) -> Result<PathBuf> {
    let name = binary.file_name().unwrap_or_default();
    let copy = directory.join("data/programs").join(format!("{}-{}", serial(), name.to_string_lossy()));
    std::fs::create_dir_all(directory.join("data/programs"))?;
    std::fs::copy(binary, &copy)
        .with_context(|| format!("{}: build it, or name one with --binary", binary.display()))?;
    Ok(copy.canonicalize()?)
}
