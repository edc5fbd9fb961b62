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
    ("unreachable", "api list --server https://127.0.0.1:1"),
    ("unknown-command", "api lst"),
    ("unknown-option", "api list --limt 5"),
];

/// Puts names in the place of what is another in each run.
fn settled(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
        (r"\b[0-9a-f]{32,64}\b", "DIGEST"),
        (r"\b[A-Za-z0-9_-]{43}\b", "KEY"),
        (r"127\.37\.\d+\.\d+", "ADDRESS"),
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
    let create = ["product", "create", "meal", "--context-path", "/meal", "--api", "pizza", "--data-dir", "n1"];
    cluster.cli_ok(&create);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut different = Vec::new();
    for (name, command) in COMMANDS {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        let url = cluster.nodes[0].management_url();
        if !command.contains("--server") && !name.starts_with("unknown") {
            arguments.extend(["--server", &url, "--data-dir", "n1"]);
        }
        let output = cluster.cli(&arguments);
        let (printed, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
        let text = settled(&format!("$ portcullis {command}\n{printed}{told}exit code {code}"));
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
