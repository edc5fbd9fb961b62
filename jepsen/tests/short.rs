//! Short runs of the suite itself against the real program, and that it leaves nothing behind. They need root, `ip` and
//! `nft`, and say so where they cannot be made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs need the machine for themselves.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn cannot_run(why: &str) {
    assert!(std::env::var_os("PORTCULLIS_TESTS_ALL").is_none(), "{why}");
    eprintln!("NOT RUN: {why}");
}

/// Returns the program under test, which is built beside this one.
fn program() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_portcullis-jepsen")).with_file_name("portcullis");
    beside.exists().then_some(beside)
}

fn suite(workload: &str, nemesis: &str, store: &std::path::Path) -> Option<Command> {
    let Some(program) = program() else {
        cannot_run("the program portcullis is not built; `cargo test --workspace` builds it");
        return None;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-jepsen"));
    command.args(["run", "--workload", workload, "--nemesis", nemesis, "--nodes", "3", "--seed", "1"]);
    command.args(["--time-limit", "8", "--binary"]).arg(program).arg("--store").arg(store);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Some(command)
}

fn store(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("portcullis-jepsen-{name}-{}", std::process::id()))
}

fn run(workload: &str, nemesis: &str) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let store = store(workload);
    let Some(mut command) = suite(workload, nemesis, &store) else { return };
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = text.lines().last().unwrap_or_default();
    match output.status.code() {
        Some(0) => assert_eq!(verdict, "valid"),
        // A machine that stands still, or lacks something: nothing is known.
        Some(2) => cannot_run(verdict),
        _ => panic!("{text}"),
    }
    if output.status.success() {
        let folder = PathBuf::from(text.lines().next().unwrap());
        for file in ["history.jsonl", "history.edn", "results.txt", "timeline.svg", "latency.svg", "verdict", "n1.log"]
        {
            assert!(folder.join(file).metadata().unwrap().len() > 0, "{file}");
        }
    }
    // It is not there where the run could not begin.
    let _ = std::fs::remove_dir_all(store);
}

#[test]
fn nothing_acknowledged_is_lost_where_nodes_are_killed() {
    run("set", "kill");
}

#[test]
fn a_revoked_token_is_good_nowhere_where_the_network_is_cut() {
    run("token", "partition");
}

#[test]
fn an_interrupted_run_leaves_no_namespaces() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let store = store("interrupted");
    let Some(mut command) = suite("set", "none", &store) else { return };
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    if first.starts_with("unknown") {
        child.wait().unwrap();
        return cannot_run(first.trim());
    }
    let own = format!("pcj-{}-", child.id());
    let namespaces = || {
        let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().matches(&own).count()
    };
    let start = Instant::now();
    while namespaces() < 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "the namespaces are made");
        std::thread::sleep(Duration::from_millis(20));
    }
    let terminated = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(terminated.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{rest}");
    assert!(rest.lines().last().unwrap_or_default().starts_with("unknown"), "{rest}");
    assert_eq!(namespaces(), 0);
    let _ = std::fs::remove_dir_all(store);
}

#[test]
fn the_program_has_no_deliberate_faults() {
    let Some(program) = program() else { return cannot_run("the program portcullis is not built") };
    let bytes = std::fs::read(program).unwrap();
    // What chooses a deliberate fault, in builds that have them.
    let variable = b"PORTCULLIS_MUTANT";
    assert!(!bytes.windows(variable.len()).any(|window| window == variable));
}
