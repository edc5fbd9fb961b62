//! The Helm chart, as Helm rendered it for `tests/helm` (scripts/check-chart.py): its objects fit together and fit the program,
//! and what its pods run makes a cluster. No Kubernetes is needed, and none is tried.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::backend::Backend;
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster, until};
use serde_json::Value;

const KEPT: [&str; 2] = ["nodes", "gateways-apart"];
/// The ports of pods, with the keys whose defaults they are.
const PORTS: [(&str, &str); 5] = [
    ("http", "gateway.http_port"),
    ("https", "gateway.https_port"),
    ("management", "management.port"),
    ("health", "observability.port"),
    ("cluster", "cluster.port"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Returns the objects of a rendered chart.
fn objects(name: &str) -> Vec<Value> {
    let whole = read(&root().join(format!("tests/helm/{name}.yaml")));
    let parts = whole.split("\n---\n").map(serde_saphyr::from_str);
    parts.map(|part| part.unwrap_or_else(|fault| panic!("{name}: {fault}"))).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the names of a list's items.
fn names(value: &Value) -> BTreeSet<String> {
    list(value).iter().map(|item| text(item, "name")).collect()
}

fn container(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]["containers"][0]
}

/// Returns the pods of a set, by their names with their labels.
fn pods(set: &Value) -> Vec<(String, Value)> {
    let count = set["spec"]["replicas"].as_u64().expect("a number");
    let pod = |number: u64| {
        let name = format!("{}-{number}", text(&set["metadata"], "name"));
        let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
        labels["statefulset.kubernetes.io/pod-name"] = name.as_str().into();
        (name, labels)
    };
    (0..count).map(pod).collect()
}

fn matches(labels: &Value, selector: &Value) -> bool {
    let selector = selector.as_object().expect("a selector");
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

/// Returns the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_kept_was_rendered_from_the_chart_as_it_is() {
    let chart = root().join("cluster-configs/helm/portcullis");
    let mut all = files(&chart);
    all.sort();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for file in all {
        let name = file.strip_prefix(&chart).expect("below it").to_str().expect("UTF-8").to_owned();
        for part in [name.as_bytes(), b"\0", &std::fs::read(&file).expect("a file"), b"\0"] {
            digest.update(part);
        }
    }
    let digest: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for name in KEPT {
        let kept = read(&root().join(format!("tests/helm/{name}.yaml")));
        assert!(kept.starts_with(&format!("# Chart {digest}\n")), "{name}: run scripts/check-chart.py --write");
    }
}

#[test]
fn the_objects_of_the_chart_find_each_other() {
    for kept in KEPT {
        let objects = objects(kept);
        let sets = of_kind(&objects, "StatefulSet");
        let all: Vec<(String, Value)> = sets.iter().flat_map(|set| pods(set)).collect();
        assert_eq!(all.len(), if kept == "nodes" { 3 } else { 5 });
        for set in &sets {
            let (labels, selector) = (&set["spec"]["template"]["metadata"]["labels"], &set["spec"]["selector"]);
            assert!(matches(labels, &selector["matchLabels"]), "{kept}");
            assert_eq!(all.iter().filter(|(_, pod)| matches(pod, &selector["matchLabels"])).count(), pods(set).len());
            let volumes = &names(&set["spec"]["template"]["spec"]["volumes"]);
            let claims =
                list(&set["spec"]["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"], "name"));
            let there: BTreeSet<String> = volumes.iter().cloned().chain(claims).collect();
            assert_eq!(names(&container(set)["volumeMounts"]), there, "{kept}");
        }
        let services = of_kind(&objects, "Service");
        for service in &services {
            let meant = all.iter().filter(|(_, pod)| matches(pod, &service["spec"]["selector"])).count();
            assert!(meant > 0, "{kept}: no pod is behind {service}");
        }
        let known: BTreeSet<String> = services.iter().map(|service| text(&service["metadata"], "name")).collect();
        for set in &sets {
            assert!(known.contains(&text(&set["spec"], "serviceName")), "{kept}");
            // What pods advertise is the address of a Service of their own.
            for (pod, _) in pods(set) {
                let environment = environment(set, &pod);
                let own = format!("{}-{}", environment["ADDRESS_PREFIX"], pod.rsplit('-').next().expect("a number"));
                let service = services.iter().find(|service| service["metadata"]["name"] == own.as_str());
                let service = service.unwrap_or_else(|| panic!("{kept}: there is no Service {own}"));
                let behind = all.iter().filter(|(_, pod)| matches(pod, &service["spec"]["selector"]));
                assert_eq!(behind.map(|(name, _)| name).collect::<Vec<_>>(), [&pod], "{kept}");
                assert!(known.contains(&environment["FIRST_ADDRESS"]), "{kept}");
            }
        }
        for budget in of_kind(&objects, "PodDisruptionBudget") {
            let selector = &budget["spec"]["selector"]["matchLabels"];
            assert!(all.iter().any(|(_, pod)| matches(pod, selector)), "{kept}: {budget}");
        }
        let calls = services.iter().filter(|service| names(&service["spec"]["ports"]).contains("http"));
        let calls = calls.filter(|service| service["spec"]["type"] == "ClusterIP").map(|one| &one["metadata"]["name"]);
        let wanted = if kept == "nodes" { "shop" } else { "shop-gateway" };
        assert_eq!(calls.collect::<Vec<_>>(), [wanted], "where API calls go to");
    }
}

/// Returns the environment of a pod's container.
fn environment(set: &Value, pod: &str) -> BTreeMap<String, String> {
    let value = |item: &Value| match &item["value"] {
        Value::String(value) => value.clone(),
        _ => {
            assert_eq!(item["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name", "{item}");
            pod.to_owned()
        }
    };
    list(&container(set)["env"]).iter().map(|item| (text(item, "name"), value(item))).collect()
}

#[test]
fn the_program_knows_the_settings_of_the_chart_and_its_ports_are_the_defaults() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |words: &[&str], settings: &BTreeMap<String, String>| {
        harness::node::command(directory.path()).args(words).envs(settings).output().expect("the binary runs")
    };
    let shown = run(&["config", "show", "-o", "json"], &BTreeMap::new());
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let default = |key: &str| {
        let row = list(&shown).iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no key {key}"));
        text(row, "value").parse::<u64>().expect("a number")
    };
    let known: BTreeMap<String, u64> = PORTS.map(|(name, key)| (name.to_owned(), default(key))).into();
    for kept in KEPT {
        let objects = objects(kept);
        for set in of_kind(&objects, "StatefulSet") {
            let ports = list(&container(set)["ports"]).iter();
            let ports = ports.map(|port| (text(port, "name"), port["containerPort"].as_u64().expect("a number")));
            assert_eq!(ports.collect::<BTreeMap<_, _>>(), known, "{kept}");
            for probe in ["livenessProbe", "readinessProbe"] {
                assert_eq!(container(set)[probe]["httpGet"]["port"], "health", "{kept}");
            }
            let mut settings = environment(set, "shop-0");
            settings.retain(|name, _| name.starts_with("PORTCULLIS_"));
            assert!(settings.len() >= 2, "{settings:?}");
            let checked = run(&["config", "check"], &settings);
            assert!(checked.status.success(), "{kept}: {}", String::from_utf8_lossy(&checked.stderr));
            settings.insert("PORTCULLIS_GATEWAY__HTTP_PROT".to_owned(), "1".to_owned());
            assert!(!run(&["config", "check"], &settings).status.success(), "a key that there is not is refused");
        }
        for service in of_kind(&objects, "Service") {
            for port in list(&service["spec"]["ports"]) {
                let wanted = &known[&text(port, "name")];
                assert_eq!((&port["port"], &port["targetPort"]), (&(*wanted).into(), &(*wanted).into()), "{service}");
            }
        }
        let policy = &of_kind(&objects, "NetworkPolicy")[0]["spec"]["ingress"];
        let open = list(policy).iter().flat_map(|rule| list(&rule["ports"])).filter_map(|port| port["port"].as_u64());
        let health = known["health"];
        let wanted: BTreeSet<u64> = known.values().copied().filter(|port| *port != health).collect();
        assert_eq!(open.collect::<BTreeSet<_>>(), wanted, "{kept}");
    }
}

/// A container's process, ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is made executable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pods_run_makes_a_cluster_whose_gateways_are_apart() {
    let cluster = Cluster::empty();
    let objects = objects("gateways-apart");
    let all: Vec<(&Value, String)> = of_kind(&objects, "StatefulSet")
        .into_iter()
        .flat_map(|set| pods(set).into_iter().map(move |(name, _)| (set, name)))
        .collect();
    let position = |pod: &str| all.iter().position(|(_, name)| name == pod).map(|at| at + 1).expect("a pod");
    // Stands for the cluster's DNS: the Services of pods.
    let bin = cluster.path("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
    let mut hosts = "#!/bin/sh\ncase \"$2\" in\n".to_owned();
    for service in of_kind(&objects, "Service") {
        if let Some(pod) = service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"].as_str() {
            let (name, address) = (text(&service["metadata"], "name"), cluster.address(position(pod)));
            hosts.push_str(&format!("{name}) echo '{address} STREAM {name}' ;;\n"));
        }
    }
    script(&bin.join("getent"), &format!("{hosts}*) exit 2 ;;\nesac\n"));
    let start_node = root().join("cluster-configs/compose/start-node.sh");
    script(&bin.join("start-node"), &format!("#!/bin/sh\nexec sh {}\n", start_node.display()));
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().expect("a directory");
    let path = format!("{}:{}:{}", bin.display(), binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut running = Vec::new();
    for (set, name) in &all {
        let place = cluster.path(name);
        std::fs::create_dir_all(&place).expect("a directory");
        let words = |field: &str| list(&container(set)[field]).iter().filter_map(Value::as_str).map(str::to_owned);
        let words: Vec<String> = words("command").chain(words("args")).collect();
        let address = cluster.address(position(name)).to_string();
        let log = std::fs::File::create(place.join("log")).expect("a log");
        let mut pod = Command::new(&words[0]);
        pod.args(&words[1..]).current_dir(&place).env_clear().envs(environment(set, name));
        // What a container has for itself: addresses, a disk, the secret.
        pod.env("PATH", &path).env("HOME", &place).env("BIND", &address).env("DATA_DIR", place.join("node"));
        pod.env("PORTCULLIS_OBSERVABILITY__BIND", &address).env("ADMIN_PASSWORD_FILE", cluster.password_file());
        running.push(Started(pod.stdin(Stdio::null()).stderr(log).spawn().expect("sh runs")));
    }
    let ca = cluster.path("shop-0/node/tls/ca.pem");
    let client = |number: usize| Client::secure(&format!("https://{}:9443", cluster.address(number)), &ca);
    let logs = || all.iter().map(|(_, name)| read(&cluster.path(name).join("log"))).collect::<Vec<_>>().join("\n---\n");
    let nodes = until("the nodes to have their roles", async || {
        let admin = ca.exists().then(|| client(1).with_basic("admin", harness::PASSWORD))?;
        let status = admin.get("/api/portcullis/v1/cluster/status").await.ok()?;
        let nodes = list(&(status.status == 200).then(|| status.json())?["nodes"]).to_vec();
        let settled = |node: &&Value| node["health"] == "alive" && node["role"] != "joining";
        let is_apart = nodes.iter().filter(|node| node["role"] == "learner").count() == 2;
        (nodes.iter().filter(settled).count() == 5 && is_apart).then_some(nodes)
    })
    .await;
    for node in &nodes {
        let is_gateway = text(node, "name").starts_with("shop-gateway-");
        assert_eq!(node["role"] == "learner", is_gateway, "{node}\n{}", logs());
    }
    for (set, name) in &all {
        for probe in ["livenessProbe", "readinessProbe"] {
            let path = text(&container(set)[probe]["httpGet"], "path");
            let health = Client::plain(&format!("http://{}:9763", cluster.address(position(name))));
            until(&format!("{name}: {path}"), async || (health.get(&path).await.ok()?.status == 200).then_some(()))
                .await;
        }
    }

    let backend = Backend::start("pizza").await;
    let url = backend.url();
    let first = harness::Node::elsewhere(cluster.path("shop-0/node"), cluster.address(1));
    let published = journey::publish_and_subscribe(&first, &Wish::new("pizza", &url)).await;
    let token = journey::token(&first, &published).await;
    for name in ["shop-gateway-0", "shop-gateway-1"] {
        let gateway = Client::plain(&format!("http://{}:8280", cluster.address(position(name))));
        let menu = gateway.with_bearer(&token).get(&format!("{}/menu", published.path)).await;
        menu.expect("an answer").expect(200);
    }
    drop(running);
}
