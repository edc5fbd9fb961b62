//! Completion of command lines in real shells, with names that a real node has.

mod harness;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use harness::backend::Backend;
use harness::journey::{self, Wish};
use harness::{Cluster, PASSWORD, until};

/// Has a shell say how a line goes on; the word under the cursor is the last one. `None` where there is no such shell.
fn ask(cluster: &Cluster, shell: &str, words: &[&str]) -> Option<Output> {
    let binary = Path::new(env!("CARGO_BIN_EXE_portcullis"));
    let directory = binary.parent().expect("a directory");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, count) = (words.last().expect("a word"), words.len());
    let script = match shell {
        "bash" => format!(
            "source <(portcullis completions bash); COMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n\
             _clap_complete_portcullis portcullis '{last}' x; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            quoted.join(" "),
            count - 1
        ),
        "fish" => format!("portcullis completions fish | source; complete -C \"{}\"", words.join(" ")),
        // Its completion system works on a terminal alone: what it would be given is shown instead.
        "zsh" => format!(
            "compdef() {{ :; }}; _describe() {{ print -l -- \"${{(@P)3}}\"; }}\n\
             source <(portcullis completions zsh); words=({}); CURRENT={count}; _clap_dynamic_completer_portcullis",
            quoted.join(" ")
        ),
        // Its editor, whose completion it is, works on a terminal alone: what stands for that is asked as it would be.
        "elvish" => format!(
            "var edit: = (ns [&completion:=(ns [&arg-completer=[&]])])\n\
             eval (portcullis completions elvish | slurp)\n\
             $edit:completion:arg-completer[portcullis] {}",
            quoted.join(" ")
        ),
        other => panic!("no script for {other}"),
    };
    let mut command = Command::new(shell);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTCULLIS_") || name.starts_with("XDG_")) {
        command.env_remove(name);
    }
    let output = command
        .arg("-c")
        .arg(script)
        .current_dir(cluster.path(""))
        .env("HOME", cluster.path(""))
        .env("PATH", path)
        .env("PORTCULLIS_USER", "admin")
        .env("PORTCULLIS_PASSWORD", PASSWORD)
        .output();
    match output {
        Ok(output) => Some(output),
        Err(_) if shell != "bash" => None,
        Err(error) => panic!("{shell}: {error}"),
    }
}

fn lines(output: &Output) -> Vec<String> {
    // What stands behind a name is its explanation.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split(['\t', ':']).next().unwrap_or_default().trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_are_told_commands_options_and_the_names_that_the_server_has() {
    let cluster = Cluster::start(1).await;
    let backend = Backend::start("production").await;
    let url = backend.url();
    journey::publish_and_subscribe(&cluster.nodes[0], &Wish::new("pizza", &url)).await;
    let create = ["product", "create", "meal", "--context-path", "/meal", "--api", "pizza", "--data-dir", "n1"];
    cluster.cli_ok(&create);
    cluster.cli_ok(&["login", "--data-dir", "n1", "--context", "shop"]);
    for shell in ["bash", "fish", "zsh", "elvish"] {
        if ask(&cluster, shell, &["portcullis", ""]).is_none() {
            eprintln!("{shell} is not there, and was not tried");
            continue;
        }
        for (line, wanted) in [
            (&["portcullis", "clus"][..], "cluster"),
            (&["portcullis", "config", "explain", "gateway.http_"], "gateway.http_port"),
            (&["portcullis", "docs", "operations/b"], "operations/backup"),
            (&["portcullis", "context", "use", ""], "shop"),
            (&["portcullis", "api", "export", "pi"], "pizza"),
            (&["portcullis", "policy", "test", ""], "/pizza/1.0.0"),
            (&["portcullis", "api", "show", "/pi"], "/pizza/1.0.0"),
            (&["portcullis", "product", "publish", "/me"], "/meal/1.0.0"),
            (&["portcullis", "subscription", "create", "/pi"], "/pizza/1.0.0"),
            (&["portcullis", "user", "show", "ad"], "admin"),
            (&["portcullis", "cluster", "node", "drain", ""], "1"),
            (&["portcullis", "policy", "plan", "show", "Go"], "Gold"),
            (&["portcullis", "role", "grant", "Internal/pub"], "Internal/publisher"),
            (&["portcullis", "key", "api-key", "list", "pizza"], "pizza app"),
        ] {
            // A machine that is busy answers later than a line waits; the next try finds it awake.
            until(&format!("{shell}: {line:?} with {wanted}"), async || {
                let output = ask(&cluster, shell, line).expect("it was there before");
                assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}: {line:?}");
                // Some shells put a sign before what they would have to quote.
                lines(&output).iter().any(|one| one.replace('\\', "") == wanted).then_some(())
            })
            .await;
        }
    }

    // Where nobody answers, or the server is one that was never met, there are no names, and no words about it either.
    cluster.nodes[0].kill();
    let began = Instant::now();
    for line in [
        &["portcullis", "user", "show", ""][..],
        &["portcullis", "--server", "https://192.0.2.1:9443", "user", "show", ""],
    ] {
        let output = ask(&cluster, "bash", line).expect("bash");
        assert!(output.status.success());
        assert_eq!((lines(&output).iter().find(|one| *one == "admin"), output.stderr.len()), (None, 0), "{output:?}");
    }
    assert!(began.elapsed().as_secs() < 10, "a line that is typed does not wait");
}
