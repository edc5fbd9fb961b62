//! What the command line prints, word for word: tables, JSON and errors, as in `tests/golden`. What differs from run to run is
//! replaced by its name. After a change that is wanted: `BLESS=1 cargo test --test outputs`.

mod harness;

use std::path::Path;

use harness::Cluster;
use harness::backend::Backend;
use harness::journey::{self, Wish};
use regex::Regex;

/// The commands, by the name of the file with what they print.
const COMMANDS: &[(&str, &str)] = &[
    ("api-list", "api list"),
    ("api-list-json", "api list -o json"),
    ("api-show", "api show pizza"),
    ("api-deploy-dry-run", "api deploy pizza --dry-run"),
    ("api-not-there", "api show pasta"),
    ("app-list", "app list"),
    ("app-create-dry-run", "app create phone --policy 10PerMin --dry-run"),
    ("product-list", "product list"),
    ("product-show", "product show meal"),
    ("subscription-list", "subscription list"),
    ("subscription-list-json", "subscription list --api pizza -o json"),
    ("subscription-not-there", "subscription show 1"),
    ("policy-plan-list", "policy plan list"),
    ("policy-plan-show", "policy plan show Gold"),
    ("policy-plan-not-there", "policy plan show Platinum"),
    ("policy-application-list", "policy application list"),
    ("policy-deny-list", "policy deny list"),
    ("policy-test", "policy test pizza:1.0.0 --path /menu"),
    ("user-list", "user list"),
    ("user-list-json", "user list -o json"),
    ("tenant-list", "tenant list"),
    ("task-list", "task list"),
    ("key-signing-list", "key signing list"),
    ("cluster-status", "cluster status"),
    ("cluster-node-list", "cluster node list"),
    ("cluster-upgrade-check", "cluster upgrade check"),
    ("doctor", "doctor"),
    ("config-explain", "config explain gateway.http_port"),
    ("config-explain-json", "config explain gateway.http_port -o json"),
    ("config-explain-no-key", "config explain gateway.http_prot"),
    ("config-check", "config check -o json"),
    ("diff", "diff -f shop.yaml"),
    ("diff-json", "diff -f shop.yaml -o json"),
    ("role-grant-json", "role grant Internal/publisher admin -o json"),
    ("key-signing-list-quiet", "key signing list --quiet"),
    ("user-disable-name", "user disable cook -o name"),
    ("docs-code", "docs PC-1404"),
    ("docs-number", "docs 900804"),
    ("docs-quotas", "docs quotas"),
    ("docs-nothing", "docs xyzzy"),
    ("unreachable", "api list --server https://127.0.0.1:1"),
    ("unknown-command", "api lst"),
    ("unknown-option", "api list --limt 5"),
];

/// Commands that ask no server.
const LOCAL: &[&str] = &["config explain", "config check", "docs"];

/// What the doctor finds on the machine that tests run on, which may be any.
const OF_MACHINE: &[&str] = &["disk", "sync time", "open files", "clock", "memory"];

/// What is compared with files.
const SHOP: &str = "\
kind: Category
metadata: {name: Food}
spec: {description: What is eaten}
---
kind: SubscriptionPolicy
metadata: {name: Gold}
spec:
  displayName: Gold
  description: Less than it was
  defaultLimit:
    type: REQUESTCOUNTLIMIT
    requestCount: {requestCount: 100, timeUnit: min, unitTime: 1}
  stopOnQuotaReach: true
";

/// Takes out of the doctor's findings what is of the machine, and what follows from it.
fn without_machine(text: &str) -> String {
    let mut lines = Vec::new();
    let mut is_left_out = false;
    for line in text.lines() {
        let check =
            line.trim_start().split_once(' ').and_then(|(_, rest)| rest.split_once(':')).map(|(check, _)| check);
        let is_advice = line.trim_start().starts_with("try ");
        if !is_advice {
            let is_verdict =
                ["all is well", "examining", "exit code", "1 check", "2 check", "1 thing", "2 things", "3 things"];
            is_left_out = check.is_some_and(|check| OF_MACHINE.contains(&check))
                || is_verdict.iter().any(|start| line.starts_with(start));
        }
        if !is_left_out {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// Puts names in the place of what is another in each run.
fn settled(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
        (r"\b[0-9a-f]{32,64}\b", "DIGEST"),
        (r"\b[A-Za-z0-9_-]{43}\b", "KEY"),
        (r"127\.37\.\d+\.\d+", "ADDRESS"),
        (r"up for .*", "up for TIME"),
        (r"\b\d+ (days|hours|minutes|seconds) ago", "AGO"),
        (r"\bd?\d{2,}\b", "N"),
        // Columns are as wide as what is in them.
        (r" {2,}", "  "),
        (r"─+", "─"),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, name).into_owned();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_print_is_what_was_printed_before() {
    let mut cluster = Cluster::empty();
    cluster.configure(1, "[node]\nname = \"first\"\n");
    cluster.bootstrap().await;
    let backend = Backend::start("production").await;
    journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &backend.url())).await;
    std::fs::write(cluster.path("shop.yaml"), SHOP).expect("a file");
    let cook = serde_json::json!({"username": "cook", "password": "Enough-0f-it", "roles": []});
    let admin = cluster.nodes[0].admin();
    admin.json("POST", "/api/portcullis/v1/users", &cook).await.expect("a user").expect(201);
    let create = ["product", "create", "meal", "--context-path", "/meal", "--api", "pizza", "--data-dir", "n1"];
    cluster.cli_ok(&create);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut different = Vec::new();
    for (name, command) in COMMANDS {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        let url = cluster.nodes[0].management_url();
        let is_local = LOCAL.iter().any(|local| command.starts_with(local));
        if !is_local && !command.contains("--server") && !name.starts_with("unknown") {
            arguments.extend(["--server", &url, "--data-dir", "n1"]);
        }
        let output = cluster.cli(&arguments);
        let (printed, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
        let mut text = settled(&format!("$ portcullis {command}\n{printed}{told}exit code {code}"));
        if *name == "doctor" {
            text = without_machine(&text);
        }
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &text).expect("the file can be written");
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != text {
            different.push(format!("--- {}\n{text}", file.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
