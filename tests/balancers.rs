//! The ready-made settings for HAProxy and nginx, with the real programs and traffic through them. Where a program is not
//! installed, its test says so and is passed over.

mod harness;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::backend::Backend;
use harness::journey::{self, Published, Wish};
use harness::{Client, Cluster, until};

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended by itself there is nothing left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_installed(program: &str, version: &str) -> bool {
    let asked = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_err() {
        eprintln!("passed over: {program} is not installed");
    }
    asked.is_ok()
}

/// Returns a ready-made file with the addresses of this test's cluster, the balancer's port 443 as 8444, and its own certificates.
fn fitted(cluster: &Cluster, file: &str, certificates: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster-configs").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let network = cluster.address(0).to_string();
    let directory = cluster.path("certs");
    text.replace("127.0.0.", network.trim_end_matches('0'))
        .replace(":443", ":8444")
        .replace(certificates, directory.to_str().expect("UTF-8"))
}

/// Starts three nodes with the `node.toml` of `folder`.
async fn three(folder: &str) -> Cluster {
    three_with(folder, "").await
}

/// The same, with further lines for the gateway.
async fn three_with(folder: &str, gateway: &str) -> Cluster {
    let mut cluster = Cluster::empty();
    std::fs::create_dir(cluster.path("certs")).expect("a directory");
    for number in 1..=3 {
        let text = fitted(&cluster, &format!("{folder}/n{number}/node.toml"), "/nowhere");
        assert!(text.contains("[gateway]\n"), "{text}");
        cluster.configure(number, &text.replacen("[gateway]\n", &format!("[gateway]\n{gateway}"), 1));
    }
    cluster.bootstrap().await;
    cluster.join().await;
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    cluster
}

/// Makes the balancer's certificate, as `api.pem` with its key and `api.key`, and lays the cluster's authority beside it.
fn certificates(cluster: &Cluster, with_key: bool) {
    let names = vec![cluster.address(9).to_string(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let place = cluster.path("certs");
    let chain = if with_key { format!("{certificate}{key}") } else { certificate.clone() };
    for (name, text) in [("api.pem", &chain), ("api.key", &key), ("trusted.pem", &certificate)] {
        std::fs::write(place.join(name), text).expect("a file");
    }
    std::fs::copy(cluster.path("n1/tls/ca.pem"), place.join("portcullis-ca.pem")).expect("the authority");
}

fn start(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).expect("a log");
    let errors = log.try_clone().expect("a log");
    Running(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("it starts"))
}

struct Balancer {
    address: String,
    trusted: std::path::PathBuf,
}

impl Balancer {
    fn of(cluster: &Cluster) -> Self {
        Self { address: cluster.address(9).to_string(), trusted: cluster.path("certs/trusted.pem") }
    }

    fn plain(&self) -> Client {
        Client::plain(&format!("http://{}:8280", self.address))
    }

    fn tls(&self, port: u16) -> Client {
        Client::secure(&format!("https://{}:{port}", self.address), &self.trusted)
    }
}

/// Waits until calls pass, and returns what the backend saw of one.
async fn seen(client: &Client, token: &str, published: &Published, log: &Path) -> serde_json::Value {
    let menu = format!("{}/menu", published.path);
    let client = client.clone().with_bearer(token);
    let reply = until(&format!("a call through {}; {}", client.base(), log.display()), async || {
        client.get(&menu).await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    reply.json()["headers"].clone()
}

/// Waits until the management port is reached through the balancer, publishes an API and subscribes to it; returns that, and
/// a token.
async fn published_behind(balancer: &Balancer, cluster: &Cluster, backend: &str) -> (Published, String) {
    let management = balancer.tls(9443).with_basic("admin", harness::PASSWORD);
    until("the management port", async || {
        management.get("/api/portcullis/v1/cluster/status").await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", backend)).await;
    let token = journey::token(&cluster.nodes[1], &published).await;
    (published, token)
}

/// Checks that the backend is told of the client and of how it came, over both ways in on which the balancer reads calls.
async fn assert_client_is_told(balancer: &Balancer, token: &str, published: &Published, log: &Path) {
    for (client, scheme) in [(balancer.plain(), "http"), (balancer.tls(8444), "https")] {
        let headers = seen(&client, token, published, log).await;
        let client = headers["x-forwarded-for"].as_str().and_then(|all| all.split(',').next());
        assert_eq!((client, headers["x-forwarded-proto"].as_str()), (Some("127.0.0.1"), Some(scheme)), "{headers}");
    }
}

/// Calls from four sides while `change` goes on; returns how many calls went well, and what failed.
async fn meanwhile(client: &Client, path: &str, change: impl Future<Output = ()>) -> (usize, Vec<String>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, path, is_over) = (client.clone(), path.to_owned(), Arc::clone(&is_over));
        callers.spawn(async move {
            let (mut good, mut bad) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                match client.get(&path).await {
                    Ok(reply) if reply.status == 200 => good += 1,
                    Ok(reply) => bad.push(format!("{} {}", reply.status, reply.text())),
                    Err(error) => bad.push(format!("{error:?}")),
                }
            }
            (good, bad)
        });
    }
    change.await;
    is_over.store(true, Ordering::Relaxed);
    let mut sum = (0, Vec::new());
    while let Some(one) = callers.join_next().await {
        let (good, bad) = one.expect("a caller");
        sum.0 += good;
        sum.1.extend(bad);
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_ends_tls_and_passes_it_on_says_who_calls_and_loses_no_call_when_a_node_stops() {
    if !is_installed("haproxy", "-v") {
        return;
    }
    let cluster = three("behind-haproxy").await;
    certificates(&cluster, true);
    let (file, log) = (cluster.path("haproxy.cfg"), cluster.path("haproxy.log"));
    std::fs::write(&file, fitted(&cluster, "behind-haproxy/haproxy.cfg", "/etc/haproxy/certs")).expect("a file");
    let checked = Command::new("haproxy").args(["-c", "-f"]).arg(&file).output().expect("haproxy runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let _haproxy = start(Command::new("haproxy").args(["-db", "-f"]).arg(&file), &log);

    let balancer = Balancer::of(&cluster);
    let backend = Backend::start("pizza").await;
    let (published, token) = published_behind(&balancer, &cluster, &backend.url()).await;

    // Over every way in, the backend is told of the client, not of the balancer, and of how the client came.
    let passed = Client::secure(&format!("https://{}:8243", balancer.address), &cluster.path("n1/tls/ca.pem"));
    let passed = passed.at_host("localhost");
    assert_client_is_told(&balancer, &token, &published, &log).await;
    // The certificate is the node's, which does not name the balancer: only that the bytes pass is looked at.
    let Err(refused) = passed.get("/").await else { panic!("the node's certificate names the balancer") };
    assert!(format!("{refused:?}").contains("NotValidForName"), "{refused:?}");

    // A node that is told to stop is left by the balancer before it takes no more calls.
    let client = balancer.plain().with_bearer(&token);
    let menu = format!("{}/menu", published.path);
    let (good, bad) = meanwhile(&client, &menu, async {
        assert!(cluster.nodes[2].terminate().await.success());
    })
    .await;
    assert!(good > 50, "only {good} calls");
    assert!(bad.is_empty(), "{} of {good}: {bad:?}", bad.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_ends_tls_and_says_who_calls_and_goes_on_when_a_node_is_lost() {
    if !is_installed("nginx", "-v") {
        return;
    }
    let cluster = three("behind-nginx").await;
    certificates(&cluster, false);
    let (file, log) = (cluster.path("nginx.conf"), cluster.path("nginx.log"));
    let place = cluster.path("nginx");
    std::fs::create_dir(&place).expect("a directory");
    let place = place.to_str().expect("UTF-8").to_owned();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {place}/{name};\n"))
        .concat();
    let ours = fitted(&cluster, "behind-nginx/terminate.conf", "/etc/nginx/certs");
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    access_log off;\n{temporary}{ours}\n}}\n"
    );
    std::fs::write(&file, whole).expect("a file");
    let _nginx = start(Command::new("nginx").arg("-c").arg(&file).args(["-p", &place]), &log);

    let balancer = Balancer::of(&cluster);
    let backend = Backend::start("pizza").await;
    let (published, token) = published_behind(&balancer, &cluster, &backend.url()).await;
    assert_client_is_told(&balancer, &token, &published, &log).await;

    // A node is lost: calls go to the others.
    cluster.nodes[2].kill();
    let client = balancer.plain().with_bearer(&token);
    let menu = format!("{}/menu", published.path);
    for _ in 0..30 {
        client.get(&menu).await.expect("an answer").expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_tls_on_unread_says_who_calls_and_goes_on_when_a_node_is_lost() {
    let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    if !is_installed("nginx", "-v") || !module.exists() {
        eprintln!("passed over: nginx has no module for streams (libnginx-mod-stream)");
        return;
    }
    let cluster = three_with("behind-nginx", "proxy_protocol = true\n").await;
    let (file, log) = (cluster.path("nginx.conf"), cluster.path("nginx.log"));
    let place = cluster.path("nginx");
    std::fs::create_dir(&place).expect("a directory");
    let whole = format!(
        "load_module {};\ndaemon off;\nmaster_process off;\npid {}/pid;\nerror_log stderr;\nevents {{}}\n{}",
        module.display(),
        place.display(),
        fitted(&cluster, "behind-nginx/pass-through.conf", "/nowhere")
    );
    std::fs::write(&file, whole).expect("a file");
    let checked = Command::new("nginx").arg("-t").arg("-c").arg(&file).output().expect("nginx runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let _nginx = start(Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(&place), &log);

    let backend = Backend::start("pizza").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[1], &published).await;
    let balancer = Balancer { address: cluster.address(9).to_string(), trusted: cluster.path("n1/tls/ca.pem") };
    // The backend is told of the client, whom nginx names before the client's first byte.
    let headers = seen(&balancer.plain(), &token, &published, &log).await;
    let client = headers["x-forwarded-for"].as_str().and_then(|all| all.split(',').next());
    assert_eq!((client, headers["x-forwarded-proto"].as_str()), (Some("127.0.0.1"), Some("http")), "{headers}");
    // TLS ends at the node: its certificate, which does not name the balancer, is what the client is shown.
    let Err(refused) = balancer.tls(8243).get("/").await else { panic!("the node's certificate names the balancer") };
    assert!(format!("{refused:?}").contains("NotValidForName"), "{refused:?}");

    cluster.nodes[2].kill();
    let client = balancer.plain().with_bearer(&token);
    let menu = format!("{}/menu", published.path);
    for _ in 0..30 {
        client.get(&menu).await.expect("an answer").expect(200);
    }
}
