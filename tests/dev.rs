//! `portcullis dev`: from nothing to a call in one command, and nothing left behind.

mod harness;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use harness::{Cluster, until};

#[tokio::test(flavor = "multi_thread")]
async fn dev_prints_a_call_that_works_and_leaves_nothing_behind() {
    let cluster = Cluster::empty();
    let directory = cluster.path("temporary");
    std::fs::create_dir(&directory).expect("a directory");
    let address = cluster.address(1).to_string();
    let mut child = harness::node::command(&cluster.path("."))
        .args(["dev", "--bind", &address])
        .env("TMPDIR", &directory)
        .env("PORTCULLIS_GATEWAY__HTTP_PORT", "8299")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let call = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        while output.read_line(&mut line).expect("readable") > 0 {
            if line.trim_start().starts_with("curl ") {
                return (line, output);
            }
            line.clear();
        }
        panic!("dev ended without a curl line");
    });
    let (call, output) = tokio::time::timeout(harness::PATIENCE, call).await.expect("in time").expect("a curl line");
    assert!(call.contains(&format!("http://{address}:8299/")), "the environment is heeded: {call}");
    let answer = Command::new("sh")
        .args(["-c", &format!("{} --silent --show-error --fail", call.trim())])
        .output()
        .expect("sh runs");
    assert!(answer.status.success(), "{call}: {}", String::from_utf8_lossy(&answer.stderr));
    assert!(!answer.stdout.is_empty());

    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(stopped.success());
    let status = until("dev to stop", async || child.try_wait().expect("the child can be waited for")).await;
    assert!(status.success() || status.code() == Some(130), "{status}");
    drop(output);
    let left: Vec<_> = std::fs::read_dir(&directory).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
}
