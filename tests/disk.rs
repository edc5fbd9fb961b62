//! What happens when disks fail: the node stops or refuses, and says what to do; the cluster goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Client, Cluster, Node, until};
use serde_json::json;

/// A test that cannot run here says so where it is seen; where everything must be run it fails.
fn cannot_run(why: &str) {
    assert!(std::env::var_os("PORTCULLIS_TESTS_ALL").is_none(), "{why}");
    eprintln!("NOT RUN: {why}");
}

async fn write(client: &Client, name: &str) -> bool {
    let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
    let reply = client.json("POST", "/api/am/devportal/v3/applications", &body).await;
    reply.is_ok_and(|reply| reply.status == 201)
}

/// Writes on the first two nodes until the third, which cannot, has stopped.
async fn write_until_it_stops(cluster: &Cluster, what: &str) {
    let client = cluster.nodes[0].admin();
    let mut number = 0;
    let ended = cluster.nodes[2].wait_ended();
    tokio::pin!(ended);
    let status = loop {
        number += 1;
        let name = format!("{what} {number}");
        tokio::select! {
            status = &mut ended => break status,
            _ = write(&client, &name) => {}
        }
    };
    assert!(!status.success(), "the node says that it failed");
    let log = cluster.nodes[2].log();
    assert!(log.contains("has to stop") && log.contains("raft/log"), "{log}");
    until("a write on the others", async || {
        number += 1;
        write(&client, &format!("{what} {number}")).await.then_some(())
    })
    .await;
}

/// A file system of its own, as small as is said, until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&at)
            .output()
            .ok()?;
        mounted.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whatever is still open there goes with its process.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Fills the file system under `directory` to the last byte.
fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filler");
    let mut file = File::create(&path).unwrap();
    let block = vec![0; 64 << 10];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_full_stops_and_comes_back_when_there_is_room() {
    let mut cluster = Cluster::start(2).await;
    let Some(_disk) = SmallDisk::mount(cluster.path("n3"), 48) else {
        return cannot_run("a full disk needs the right to mount a small file system (root)");
    };
    cluster.join().await;
    cluster.wait_for_voters(3).await;
    let filler = fill(&cluster.path("n3"));
    write_until_it_stops(&cluster, "full").await;
    let log = cluster.nodes[2].log();
    assert!(log.contains("No space left"), "{log}");

    fs::remove_file(filler).unwrap();
    cluster.nodes[2].run();
    cluster.nodes[2].wait_ready().await;
    assert!(write(&cluster.nodes[2].admin(), "after the room came back").await);
    cluster.nodes[2].kill();
}

/// Builds the library that makes syncing fail.
fn failing_sync(into: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/failing_sync.c");
    let library = into.join("failing_sync.so");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output().ok()?;
    built.status.success().then_some(library)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_does_not_sync_stops_and_acknowledges_nothing_more() {
    let cluster = Cluster::start(3).await;
    let Some(library) = failing_sync(&cluster.path("")) else {
        return cannot_run("a failing sync needs a C compiler (cc)");
    };
    let flag = cluster.path("fail-now");
    cluster.nodes[2].terminate().await;
    cluster.nodes[2].run_with(&[("LD_PRELOAD", library.as_path()), ("FAIL_SYNC_WHILE", flag.as_path())]);
    cluster.nodes[2].wait_ready().await;
    assert!(write(&cluster.nodes[2].admin(), "while it syncs").await);
    File::create(&flag).unwrap();
    write_until_it_stops(&cluster, "unsynced").await;

    fs::remove_file(&flag).unwrap();
    cluster.nodes[2].run();
    cluster.nodes[2].wait_ready().await;
    assert!(write(&cluster.nodes[2].admin(), "after the disk was changed").await);
}

fn newest(directory: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(directory).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files.pop().expect("a file")
}

fn flip_a_bit(path: &Path, part: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / part;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).unwrap();
    file.sync_all().unwrap();
}

/// Says that the node does not start, names the file, and tells what to do.
async fn refuses_to_start(node: &Node, named: &str) {
    node.run();
    assert!(!node.wait_ended().await.success());
    let log = node.log();
    assert!(log.contains("cannot start") && log.contains(named) && log.contains("cluster node remove"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_log_or_snapshot_refuses_the_start_and_a_torn_end_does_not() {
    let cluster = Cluster::start(3).await;
    let client = cluster.nodes[0].admin();
    for number in 0..20 {
        assert!(write(&client, &format!("application {number}")).await);
    }
    let server = cluster.nodes[2].management_url();
    cluster.cli_ok(&["cluster", "snapshot", "create", "--server", &server, "--data-dir", "n1"]);
    let (log, snapshots) = (cluster.path("n3/raft/log"), cluster.path("n3/raft/snapshots"));
    cluster.nodes[2].kill();

    // What a crash in the midst of a write leaves: the beginning of a record.
    let segment = newest(&log, "log");
    OpenOptions::new().append(true).open(&segment).unwrap().write_all(&[77, 0, 0, 0, 1, 2, 3]).unwrap();
    cluster.nodes[2].run();
    cluster.nodes[2].wait_ready().await;
    assert!(cluster.nodes[2].log().contains("torn by a crash"));
    cluster.nodes[2].kill();

    let whole = fs::read(&segment).unwrap();
    flip_a_bit(&segment, 3);
    refuses_to_start(&cluster.nodes[2], "raft/log").await;
    fs::write(&segment, whole).unwrap();
    flip_a_bit(&newest(&snapshots, "snap"), 2);
    refuses_to_start(&cluster.nodes[2], "raft/snapshots").await;
    assert!(write(&client, "the others go on").await);
}
