//! A cluster of child processes of the binary, on loopback addresses of its own, and what is called in it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method};
use portcullis_http::client::Client;
use portcullis_http::tls;
use serde_json::{Value, json};

use crate::BenchError;
use crate::backend::Backend;

const PASSWORD: &str = "a password of benchmarks";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const GATEWAY_PORT: u16 = 8280;
/// The path that is called.
pub(crate) const PATH: &str = "/bench/1.0.0/menu";
const BOUNDARY: &str = "portcullis-bench-boundary";
const DEFINITION: &str = "openapi: 3.0.3\ninfo:\n  title: bench\n  version: 1.0.0\npaths:\n  /menu:\n    get:\n      responses:\n        '200':\n          description: the menu\n";

/// The cluster; its processes and files are gone when this is dropped.
pub(crate) struct Cluster {
    program: PathBuf,
    directory: tempfile::TempDir,
    block: u8,
    children: Vec<Option<Child>>,
    pub(crate) backend: Backend,
}

/// A caller with a plan of its own.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) token: String,
}

impl Cluster {
    /// Starts `size` nodes and waits until all vote.
    pub(crate) async fn start(program: &Path, size: usize) -> Result<Self, BenchError> {
        let mut cluster = Self::begin(program, "", &[]).await?;
        while cluster.children.len() < size {
            cluster.join().await?;
        }
        Ok(cluster)
    }

    /// Starts nodes that serve components of their own: what each has in its configuration, and what it serves.
    pub(crate) async fn start_apart(program: &Path, nodes: &[(&str, &str)]) -> Result<Self, BenchError> {
        let mut nodes = nodes.iter();
        let (text, components) = nodes.next().copied().unwrap_or_default();
        let mut cluster = Self::begin(program, text, &["--components", components]).await?;
        for (text, components) in nodes {
            cluster.join_with(text, &["--components", components]).await?;
        }
        Ok(cluster)
    }

    /// Bootstraps the first node and starts it.
    async fn begin(program: &Path, text: &str, further: &[&str]) -> Result<Self, BenchError> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let directory = tempfile::tempdir().map_err(BenchError::io("a temporary directory cannot be made"))?;
        let block = NEXT.fetch_add(1, Ordering::Relaxed);
        let backend = Backend::start().await?;
        let mut cluster = Self { program: program.to_owned(), directory, block, children: Vec::new(), backend };
        let password = cluster.path("password");
        std::fs::write(&password, PASSWORD).map_err(BenchError::io("the password cannot be written"))?;
        cluster.configure(0, text)?;
        let bind = cluster.address(0).to_string();
        let password = password.display().to_string();
        let mut arguments =
            vec!["cluster", "bootstrap", "--data-dir", "n1", "--bind", &bind, "--admin-password-file", &password];
        arguments.extend(further);
        cluster.cli(&arguments)?;
        cluster.children.push(None);
        cluster.run(0).await?;
        Ok(cluster)
    }

    /// Writes what a node is to have in its configuration, before its data directory is made.
    fn configure(&self, at: usize, text: &str) -> Result<(), BenchError> {
        if text.is_empty() {
            return Ok(());
        }
        let folder = self.path(&format!("n{}", at + 1));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("node.toml"), text))
            .map_err(BenchError::io("a node's configuration cannot be written"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let process = u8::try_from(std::process::id() % 200).unwrap_or(0);
        Ipv4Addr::new(127, 40 + process % 100, self.block, u8::try_from(at + 1).unwrap_or(u8::MAX))
    }

    /// Returns the gateway of a node.
    pub(crate) fn gateway(&self, at: usize) -> SocketAddr {
        SocketAddr::from((self.address(at), GATEWAY_PORT))
    }

    pub(crate) fn gateways(&self) -> Vec<SocketAddr> {
        (0..self.children.len()).map(|at| self.gateway(at)).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.directory.path()).env("HOME", self.directory.path()).stdin(Stdio::null());
        command.env("PORTCULLIS_USER", "admin").env("PORTCULLIS_PASSWORD", PASSWORD);
        command
    }

    fn cli(&self, arguments: &[&str]) -> Result<String, BenchError> {
        let output = self.command().args(arguments).output().map_err(BenchError::io("the binary does not run"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(BenchError::Node(format!("portcullis {} failed: {why}", arguments.join(" "))))
    }

    /// Returns the administrator's password.
    pub(crate) fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Has one more node join.
    pub(crate) async fn join(&mut self) -> Result<(), BenchError> {
        self.join_with("", &[]).await?;
        let voters = self.children.len();
        self.until("the new node votes", async || self.voters().await.is_ok_and(|count| count == voters)).await
    }

    /// Has one more node join that need not vote.
    async fn join_with(&mut self, text: &str, further: &[&str]) -> Result<(), BenchError> {
        let at = self.children.len();
        self.configure(at, text)?;
        let server = format!("https://{}:9443", self.address(0));
        let token = self.cli(&["cluster", "token", "create", "--server", &server, "--data-dir", "n1"])?;
        let (bind, folder) = (self.address(at).to_string(), format!("n{}", at + 1));
        let mut arguments = vec!["cluster", "join", "--data-dir", &folder, "--bind", &bind, "--token", &token];
        arguments.extend(further);
        self.cli(&arguments)?;
        self.children.push(None);
        self.run(at).await
    }

    async fn voters(&self) -> Result<usize, BenchError> {
        let status: Value = self.admin(0)?.get("/api/portcullis/v1/cluster/status").await?;
        let nodes = status["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_voter = |node: &&Value| matches!(node["role"].as_str(), Some("voter" | "leader"));
        Ok(nodes.iter().filter(is_voter).count())
    }

    /// Returns the position of the leader, as a node that runs sees it.
    pub(crate) async fn leader(&self) -> Result<usize, BenchError> {
        let status: Value = self.admin(0)?.get("/api/portcullis/v1/cluster/status").await?;
        let id = status["leader"].as_u64().ok_or_else(|| BenchError::Node("there is no leader".to_owned()))?;
        Ok(usize::try_from(id).unwrap_or(1).saturating_sub(1))
    }

    /// Starts a node's process and waits until it is ready.
    pub(crate) async fn run(&mut self, at: usize) -> Result<(), BenchError> {
        let log =
            File::create(self.path(&format!("n{}.log", at + 1))).map_err(BenchError::io("a log cannot be made"))?;
        let child = self
            .command()
            .args(["server", "--data-dir", &format!("n{}", at + 1)])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(BenchError::io("a node cannot be started"))?;
        self.children[at] = Some(child);
        let client = Client::new(&format!("http://{}:9763", self.address(at)), None)?;
        self.until("a node is ready", async || client.send(Method::GET, "/readyz", &[], Bytes::new()).await.is_ok())
            .await
    }

    async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) -> Result<(), BenchError> {
        let began = Instant::now();
        while !condition().await {
            if began.elapsed() > PATIENCE {
                return Err(BenchError::Node(format!("{what}: not within {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Ends a node's process at once.
    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.children[at].take() {
            // It may have ended by itself, which is as good.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Sends a signal to a node's process.
    pub(crate) fn signal(&self, at: usize, signal: &str) {
        if let Some(child) = &self.children[at] {
            Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().ok();
        }
    }

    pub(crate) fn admin(&self, at: usize) -> Result<Client, BenchError> {
        let unusable = |cause: String| BenchError::Node(format!("the cluster's authority cannot be used: {cause}"));
        let pem = std::fs::read_to_string(self.path("n1/tls/ca.pem")).map_err(|cause| unusable(cause.to_string()))?;
        let config = tls::client_config_with_ca(&pem).map_err(|cause| unusable(cause.to_string()))?;
        let client = Client::new(&format!("https://{}:9443", self.address(at)), Some(config))?;
        Ok(client.with_basic("admin", PASSWORD))
    }

    /// Returns one of a node's metrics.
    pub(crate) async fn metric(&self, at: usize, name: &str) -> Result<f64, BenchError> {
        let client = Client::new(&format!("http://{}:9763", self.address(at)), None)?;
        let reply = client.send(Method::GET, "/metrics", &[], Bytes::new()).await?;
        let text = String::from_utf8_lossy(&reply.bytes);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.and_then(|value| value.parse().ok()).ok_or_else(|| BenchError::Node(format!("there is no metric {name}")))
    }

    /// Publishes an API under plans of their own, `(name, limit, unit)`, and returns a caller for each.
    pub(crate) async fn publish(&self, plans: &[(String, u64, &str)]) -> Result<Vec<Caller>, BenchError> {
        let admin = self.admin(0)?;
        for (name, limit, unit) in plans {
            let count = json!({"timeUnit": unit, "unitTime": 1, "requestCount": limit});
            let body = json!({
                "policyName": name, "displayName": name, "description": "of a benchmark",
                "defaultLimit": {"type": "REQUESTCOUNTLIMIT", "requestCount": count},
                "stopOnQuotaReach": true, "billingPlan": "FREE", "customAttributes": [],
            });
            let _: Value = admin.post("/api/am/admin/v4/throttling/policies/subscription", &body).await?;
        }
        let names: Vec<&str> = plans.iter().map(|(name, ..)| name.as_str()).collect();
        let api = self.publish_api(&admin, &names).await?;
        let mut callers = Vec::new();
        for name in names {
            callers.push(subscribe(&admin, &api, name).await?);
        }
        Ok(callers)
    }

    /// Returns a caller of the published API without a limit.
    pub(crate) async fn unlimited(&self) -> Result<Caller, BenchError> {
        let admin = self.admin(0)?;
        let list: Value = admin.get("/api/am/publisher/v4/apis").await?;
        subscribe(&admin, &text(&list["list"][0], "id")?, "Unlimited").await
    }

    /// Publishes an API, and returns a client of the token endpoint that is subscribed to it without a limit.
    pub(crate) async fn subscribed_client(&self) -> Result<Client, BenchError> {
        let admin = self.admin(0)?;
        let api = self.publish_api(&admin, &[]).await?;
        subscribed_client(&admin, &api, "Unlimited").await
    }

    async fn publish_api(&self, admin: &Client, plans: &[&str]) -> Result<String, BenchError> {
        let mut offered = plans.to_vec();
        offered.push("Unlimited");
        let properties = json!({
            "name": "bench", "context": "/bench", "version": "1.0.0", "policies": offered,
            "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": format!("http://{}", self.backend.address)}},
        });
        let part = |head: &str, body: &str| {
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
        };
        let mut form = part("name=\"file\"; filename=\"bench.yaml\"\r\nContent-Type: application/yaml", DEFINITION);
        form.push_str(&part("name=\"additionalProperties\"", &properties.to_string()));
        form.push_str(&format!("--{BOUNDARY}--\r\n"));
        let kind = HeaderValue::from_static("multipart/form-data; boundary=portcullis-bench-boundary");
        let publisher = "/api/am/publisher/v4";
        let path = format!("{publisher}/apis/import-openapi");
        let headers = [(http::header::CONTENT_TYPE, kind)];
        let reply = admin.send(Method::POST, &path, &headers, Bytes::from(form)).await?;
        let id = text(&reply.json::<Value>()?, "id")?;
        let revision: Value =
            admin.post(&format!("{publisher}/apis/{id}/revisions"), &json!({"description": "first"})).await?;
        let revision = text(&revision, "id")?;
        let gateways = json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]);
        let deploy = format!("{publisher}/apis/{id}/deploy-revision?revisionId={revision}");
        let _: Value = admin.post(&deploy, &gateways).await?;
        let change = format!("{publisher}/apis/change-lifecycle?action=Publish&apiId={id}");
        let _: Value = admin.post(&change, &json!({})).await?;
        Ok(id)
    }
}

async fn subscribe(admin: &Client, api: &str, plan: &str) -> Result<Caller, BenchError> {
    let client = subscribed_client(admin, api, plan).await?;
    let token: Value = client.post_form("/oauth2/token", &[("grant_type", "client_credentials")]).await?;
    Ok(Caller { token: text(&token, "access_token")? })
}

/// Makes an application that is subscribed to an API, and returns a client of the token endpoint as its own.
async fn subscribed_client(admin: &Client, api: &str, plan: &str) -> Result<Client, BenchError> {
    let store = "/api/am/devportal/v3";
    let wish =
        json!({"name": plan, "throttlingPolicy": "Unlimited", "tokenType": "JWT", "description": "of a benchmark"});
    let application: Value = admin.post(&format!("{store}/applications"), &wish).await?;
    let application = text(&application, "applicationId")?;
    let wish = json!({"applicationId": application, "apiId": api, "throttlingPolicy": plan});
    let _: Value = admin.post(&format!("{store}/subscriptions"), &wish).await?;
    let wish = json!({"keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"]});
    let path = format!("{store}/applications/{application}/generate-keys");
    let keys: Value = admin.post(&path, &wish).await?;
    Ok(admin.clone().with_basic(&text(&keys, "consumerKey")?, &text(&keys, "consumerSecret")?))
}

fn text(body: &Value, field: &str) -> Result<String, BenchError> {
    let found = body[field].as_str().map(str::to_owned);
    found.ok_or_else(|| BenchError::Node(format!("there is no field {field} in {body}")))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for at in 0..self.children.len() {
            self.kill(at);
        }
    }
}
