//! Configuration that is read again while a node runs, by command and by signal, on a real process.

mod harness;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, until};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_taken_over_while_calls_go_on_and_a_bad_one_changes_nothing() {
    let mut cluster = Cluster::empty();
    cluster.bootstrap().await;
    let node = &cluster.nodes[0];
    let backend = Backend::start("production").await;
    let url = backend.url();
    let wish = Wish { plan: "Gold", ..Wish::new("pizza", &url) };
    let published = journey::publish_and_subscribe(node, &wish).await;
    let gateway = node.gateway().with_bearer(&journey::token(node, &published).await);
    let menu = format!("{}/menu", published.path);
    let has_older_fields = async || {
        let reply = gateway.get(&menu).await.expect("a call").expect(200);
        !reply.header("x-ratelimit-limit").is_empty()
    };
    assert!(!has_older_fields().await);

    let file = node.data_dir.join("node.toml");
    let usual = std::fs::read_to_string(&file).expect("node.toml");
    let write = |section: &str, lines: &str| {
        let head = format!("[{section}]\n");
        let text = std::fs::read_to_string(&file).expect("node.toml");
        std::fs::write(&file, text.replacen(&head, &format!("{head}{lines}\n"), 1)).expect("node.toml can be written");
    };
    let reload = || {
        let told = cluster.cli_ok(&["config", "reload", "--data-dir", "n1", "-o", "json"]);
        serde_json::from_str::<Value>(&told).expect("JSON")
    };
    assert_eq!(reload(), json!({"node": 1, "in_force": [], "after_restart": []}));

    // By command, which says what counts now and what later.
    write("gateway", "x_ratelimit_headers = true\nworkers = 3");
    let told = json!({"node": 1, "in_force": ["gateway.x_ratelimit_headers"], "after_restart": ["gateway.workers"]});
    assert_eq!(reload(), told);
    assert!(has_older_fields().await, "in force once it is answered");
    let again = json!({"node": 1, "in_force": [], "after_restart": ["gateway.workers"]});
    assert_eq!(reload(), again, "it waits for a restart until there is one");
    // Two of a section whose other keys count at once.
    write("alerts", "unseen_days = 30\naddresses_max = 64\nquiet_s = 60");
    let waiting = ["gateway.workers", "alerts.unseen_days", "alerts.addresses_max"];
    assert_eq!(reload(), json!({"node": 1, "in_force": ["alerts.quiet_s"], "after_restart": waiting}));
    assert_eq!(reload(), json!({"node": 1, "in_force": [], "after_restart": waiting}));

    // A mistake in any key, also in one of those that wait: nothing changes, and the command says why and where.
    let good = std::fs::read_to_string(&file).expect("node.toml");
    write("log", "level = \"debug\"");
    write("management", "port = 99999");
    let output = cluster.cli(&["config", "reload", "--data-dir", "n1", "--server", &node.management_url()]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("node.toml:") && why.contains("`management.port` cannot be 99999"), "{why}");
    assert!(has_older_fields().await);
    std::fs::write(&file, &good).expect("node.toml can be written");
    write("alerts", "mail_url_file = \"/no/such/file\"\nmail_from = \"a@example.com\"\nmail_to = [\"b@example.com\"]");
    let output = cluster.cli(&["config", "reload", "--data-dir", "n1"]);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && why.contains("/no/such/file (alerts.mail_url_file)"), "{why}");
    let hook = cluster.path("hook");
    for (line, beside, wanted) in [
        ("no address", "", "its first line must be an https or http URL"),
        ("https://hooks.example.com/T0", "webhook_url = \"https://a.example\"\n", "set one of the two"),
    ] {
        std::fs::write(&file, &good).expect("node.toml can be written");
        std::fs::write(&hook, line).expect("a file");
        write("alerts", &format!("{beside}webhook_url_file = \"{}\"", hook.display()));
        let output = cluster.cli(&["config", "reload", "--data-dir", "n1"]);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && why.contains("(alerts.webhook_url_file)"), "{why}");
        assert!(why.contains(wanted), "{why}");
    }

    // By signal: the log says what came of it.
    let logs = async |text: &str| until(text, async || node.log().contains(text).then_some(())).await;
    node.hang_up();
    logs("the configuration is not read again: all stays as it was").await;
    let has_debug_lines = || node.log().lines().any(|line| line.contains(" DEBUG "));
    assert!(!has_debug_lines());
    std::fs::write(&file, &usual).expect("node.toml can be written");
    write("log", "level = \"debug\"");
    node.hang_up();
    logs("in_force=[\"gateway.x_ratelimit_headers\", \"alerts.quiet_s\", \"log.level\"]").await;
    until("lines of the level that counts now", async || {
        gateway.get(&menu).await.expect("a call").expect(200);
        has_debug_lines().then_some(())
    })
    .await;
    assert!(!has_older_fields().await, "what was taken out of the file is the default again");

    // Only who runs the cluster may.
    let path = "/api/portcullis/v1/configuration/reload";
    node.anonymous().json("POST", path, &json!({})).await.expect("an answer").expect(401);
    assert!(node.terminate().await.success(), "a node that was told by SIGHUP stops in order by SIGTERM");
}
