//! The ready-made settings for one, three and five nodes, components apart, several tenants, systemd, containers and Kubernetes
//! do what their pages say.

mod harness;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Client, Cluster, until};
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cluster-configs")
        .join(name)
        .canonicalize()
        .unwrap_or_else(|cause| panic!("{name}: {cause}"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).expect("a file")
}

/// Starts nodes by the files in these folders, one after the other, at addresses of the test's own.
async fn start(folders: &[String]) -> Cluster {
    let mut cluster = Cluster::empty();
    let network = cluster.address(0).to_string();
    for (number, folder) in (1..).zip(folders) {
        let text = read(&format!("{folder}/node.toml")).replace("127.0.0.", network.trim_end_matches('0'));
        assert!(text.contains(&format!("\nbind = \"{}\"", cluster.address(number))), "{folder}: {text}");
        cluster.configure(number, &text);
    }
    cluster.bootstrap().await;
    for _ in &folders[1..] {
        cluster.join().await;
    }
    cluster
}

/// Returns the names and roles of the nodes.
async fn roles(cluster: &Cluster) -> Vec<(String, String)> {
    let status = until("the status", async || cluster.status().await).await;
    let nodes = status["nodes"].as_array().expect("nodes").iter();
    nodes.map(|node| (journey::text(node, "name"), journey::text(node, "role"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_serves_everything() {
    let cluster = start(&["single".to_owned()]).await;
    let node = &cluster.nodes[0];
    assert_eq!(roles(&cluster).await, [("single".to_owned(), "leader".to_owned())]);
    let backend = Backend::start("pizza").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(node, &Wish::new("pizza", &url)).await;
    let token = journey::token(node, &published).await;
    for gateway in [node.gateway(), node.secure_gateway()] {
        let client = gateway.with_bearer(&token);
        client.get(&format!("{}/menu", published.path)).await.expect("an answer").expect(200);
    }
    node.anonymous().get("/devportal").await.expect("a page").expect(200);
    assert!(node.log().contains(" INFO "), "for people: {}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_take_calls_and_changes_when_one_is_lost() {
    let cluster = start(&[1, 2, 3].map(|number| format!("three-nodes/n{number}"))).await;
    cluster.wait_for_voters(3).await;
    assert_eq!(roles(&cluster).await.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["n1", "n2", "n3"]);
    let backend = Backend::start("pizza").await;
    let url = backend.url();
    cluster.nodes[0].kill();
    let admin = cluster.nodes[1].admin();
    until("a change", async || {
        // The name is taken where the answer to an earlier try was lost.
        let role = serde_json::json!({"displayName": "cook"});
        let made = admin.json("POST", "/scim2/Groups", &role).await.ok()?;
        matches!(made.status, 201 | 409).then_some(())
    })
    .await;
    let published = journey::publish_and_subscribe(&cluster.nodes[2], &Wish::new("pizza", &url)).await;
    let token = journey::token(&cluster.nodes[1], &published).await;
    for node in &cluster.nodes[1..] {
        let client = node.gateway().with_bearer(&token);
        client.get(&format!("{}/menu", published.path)).await.expect("an answer").expect(200);
    }
    let is_for_programs = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"].is_string());
    assert!(cluster.nodes[1].log().lines().any(is_for_programs), "{}", cluster.nodes[1].log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_component_does_its_part_on_a_node_of_its_own() {
    let names = ["key-manager-1", "key-manager-2", "publisher", "store", "traffic-manager", "gateway-1", "gateway-2"];
    let cluster = start(&names.map(|name| format!("components-apart/{name}"))).await;
    cluster.wait_for_voters(5).await;
    let learners = until("the gateways to learn", async || {
        let roles = roles(&cluster).await.into_iter();
        let learners: Vec<String> = roles.filter(|(_, role)| role == "learner").map(|(name, _)| name).collect();
        (learners.len() == 2).then_some(learners)
    })
    .await;
    assert_eq!(learners, ["gateway-1", "gateway-2"]);
    let backend = Backend::start("pizza").await;
    let url = backend.url();
    let wish = Wish::new("pizza", &url);
    let [_, key_manager, publisher, store, _, gateways @ ..] = cluster.nodes.as_slice() else { panic!("seven nodes") };
    let api = journey::publish(publisher, &wish).await;
    let published = journey::subscribe(store, &wish, api).await;
    let token = journey::token(key_manager, &published).await;
    for gateway in gateways {
        let client = gateway.gateway().with_bearer(&token);
        client.get(&format!("{}/menu", published.path)).await.expect("an answer").expect(200);
    }
    let elsewhere = publisher.gateway().with_bearer(&token).get(&format!("{}/menu", published.path)).await;
    assert!(elsewhere.is_err(), "the publisher has no gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_take_calls_and_changes_when_two_are_lost() {
    let cluster = start(&[1, 2, 3, 4, 5].map(|number| format!("five-nodes/n{number}"))).await;
    cluster.wait_for_voters(5).await;
    let backend = Backend::start("pizza").await;
    let url = backend.url();
    let published = journey::publish_and_subscribe(&cluster.nodes[4], &Wish::new("pizza", &url)).await;
    cluster.nodes[0].kill();
    cluster.nodes[3].kill();
    let token = until("a token", async || {
        let client = cluster.nodes[1].anonymous().with_basic(&published.client_id, &published.client_secret);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let reply = client.send("POST", "/oauth2/token", &form, "grant_type=client_credentials").await.ok()?;
        (reply.status == 200).then(|| journey::text(&reply.json(), "access_token"))
    })
    .await;
    for node in [1, 2, 4] {
        let client = cluster.nodes[node].gateway().with_bearer(&token);
        client.get(&format!("{}/menu", published.path)).await.expect("an answer").expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_made_by_the_script_and_made_once() {
    let mut cluster = Cluster::empty();
    let network = cluster.address(0).to_string();
    let text = read("multi-tenant/node.toml").replace("127.0.0.", network.trim_end_matches('0'));
    cluster.configure(1, &text);
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    for _ in 0..2 {
        let made = script("multi-tenant/set-up.sh", &cluster)
            .args(["passwords", "red.example", "blue.example"])
            .env("PORTCULLIS_SERVER", node.management_url())
            .env("PORTCULLIS_USER", "admin")
            .env("PORTCULLIS_PASSWORD", harness::PASSWORD)
            .output()
            .expect("sh runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    for domain in ["red.example", "blue.example"] {
        let password = std::fs::read_to_string(cluster.path("passwords").join(domain)).expect("a password");
        let ours = node.as_user(&format!("admin@{domain}"), password.trim());
        ours.get("/api/am/publisher/v4/apis").await.expect("an answer").expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_that_a_node_is_ready_lives_and_stops() {
    let mut cluster = Cluster::empty();
    cluster.bootstrap().await;
    assert!(cluster.nodes[0].terminate().await.success());
    let path = cluster.path("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).expect("a socket");
    cluster.nodes[0].run_with(&[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", Path::new("200000"))]);
    let told = async |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = tokio::time::timeout(harness::PATIENCE, socket.recv(&mut bytes)).await;
            let length = length.unwrap_or_else(|_| panic!("{wanted} was not told")).expect("a message");
            let text = std::ffi::OsStr::from_bytes(&bytes[..length]).to_string_lossy().into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    };
    let ready = told("READY=1").await;
    assert!(ready.contains("STATUS=portcullis node 1 is ready"), "{ready}");
    told("WATCHDOG=1").await;
    told("WATCHDOG=1").await;
    let (stopped, _) = tokio::join!(cluster.nodes[0].terminate(), told("STOPPING=1"));
    assert!(stopped.success());
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_exposed() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("passed over: systemd-analyze is not installed");
        return;
    };
    assert!(version.status.success());
    let directory = tempfile::tempdir().expect("a directory");
    let unit = directory.path().join("portcullis.service");
    let text = read("systemd/portcullis.service").replace("/usr/bin/portcullis", env!("CARGO_BIN_EXE_portcullis"));
    std::fs::write(&unit, text).expect("a file");
    let checks: [&[&str]; 2] = [&["verify"], &["security", "--offline=true", "--threshold=20", "--no-pager"]];
    for check in checks {
        let checked = Command::new("systemd-analyze").args(check).arg(&unit).output().expect("systemd-analyze runs");
        let told = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "systemd-analyze {check:?}: {told}");
        assert!(!told.contains("Unknown"), "{told}");
    }
}

/// Returns a command that runs one of the scripts, which finds the binary by its name.
fn script(name: &str, cluster: &Cluster) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().expect("a directory");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut words = Command::new("sh");
    words.arg(file(name)).current_dir(cluster.path(".")).env("HOME", cluster.path(".")).env("PATH", path);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTCULLIS_") || name.starts_with("XDG_")) {
        words.env_remove(name);
    }
    words.stdin(Stdio::null());
    words
}

/// A container's process, ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_of_the_compose_file_find_each_other_and_only_run_when_started_again() {
    let cluster = Cluster::empty();
    let parsed: Value = serde_saphyr::from_str(&read("compose/compose.yaml")).expect("compose.yaml is YAML");
    let services = parsed["services"].as_object().expect("services");
    assert_eq!(services.len(), 3);
    let first = &services["n1"]["environment"]["ADVERTISE"];
    let start = |name: &str| {
        let service = &services[name];
        let environment = service["environment"].as_object().expect("an environment");
        assert_eq!(environment["ADVERTISE"], service["networks"]["cluster"]["ipv4_address"], "{name}");
        assert_eq!(environment.get("FIRST"), (name != "n1").then_some(first), "{name}");
        let network = cluster.address(0).to_string();
        let here = |text: &str| text.replace("172.28.77.1", network.trim_end_matches('0'));
        let mut node = script("compose/start-node.sh", &cluster);
        for (key, value) in environment {
            node.env(key, here(value.as_str().expect("a text")));
        }
        node.env("BIND", here(environment["ADVERTISE"].as_str().expect("a text")));
        node.env("DATA_DIR", cluster.path(name).join("node")).env("ADMIN_PASSWORD_FILE", cluster.password_file());
        std::fs::create_dir_all(cluster.path(name)).expect("a directory");
        let log = std::fs::File::options().create(true).append(true).open(cluster.path("log")).expect("a log");
        Started(node.stderr(log).spawn().expect("sh runs"))
    };
    let mut running: Vec<Started> = ["n1", "n2", "n3"].map(start).into();
    let voters = async |wanted: usize| {
        until("the nodes to vote", async || {
            let ca = cluster.path("n1/node/tls/ca.pem");
            let server = format!("https://{}:9443", cluster.address(1));
            let admin = ca.exists().then(|| Client::secure(&server, &ca).with_basic("admin", harness::PASSWORD))?;
            let status = admin.get("/api/portcullis/v1/cluster/status").await.ok()?;
            let status = (status.status == 200).then(|| status.json())?;
            let is_voting =
                |node: &&Value| matches!(node["role"].as_str(), Some("voter" | "leader")) && node["health"] == "alive";
            (status["nodes"].as_array()?.iter().filter(is_voting).count() == wanted).then_some(())
        })
        .await;
    };
    voters(3).await;
    drop(running.pop());
    voters(2).await;
    let _again = start("n3");
    voters(3).await;
}
