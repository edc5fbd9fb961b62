//! Makes the namespaces of a run, starts the run inside their hub, and removes them again, whatever becomes of the run.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::net::Namespaces;
use crate::verdict::Verdict;

/// Waits until somebody wants the run to stop, and says who.
pub async fn interrupted() -> &'static str {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let mut input = tokio::io::stdin();
    let mut byte = [0];
    tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
        _ = input.read(&mut byte) => "interrupted, or the program that supervises the run is gone",
    }
}

/// Starts this program again inside the hub, with `arguments`, and waits for its end. Returns its exit code, or the
/// verdict where it did not come to one.
///
/// # Errors
/// Where the namespaces cannot be made or the program cannot be started.
pub async fn run(nodes: usize, arguments: &[String], directory: &Path) -> Result<Result<u8, Verdict>> {
    // Before anything is made that must be removed again.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    crate::net::sweep();
    crate::disk::detach_all(None);
    let namespaces = Namespaces::create(nodes).context("the namespaces could not be made")?;
    let program = std::env::current_exe()?;
    let mut child = tokio::process::Command::new("ip")
        .args(["netns", "exec", &namespaces.hub()])
        .arg(program)
        .args(arguments)
        .args(["--inside", namespaces.run(), "--directory"])
        .arg(directory)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the run could not be started")?;
    // Its end tells the run that nobody supervises it any more.
    let input = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status?,
        _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
            drop(input);
            // A second signal ends it at once.
            tokio::select! {
                status = child.wait() => status?,
                _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
                    child.kill().await?;
                    let name = namespaces.run().to_owned();
                    drop(namespaces);
                    crate::disk::detach_all(Some(&name));
                    return Ok(Err(Verdict::Unknown("interrupted".to_owned())));
                }
            }
        }
    };
    let name = namespaces.run().to_owned();
    drop(namespaces);
    crate::disk::detach_all(Some(&name));
    Ok(match status.code() {
        Some(code @ 0..=2) => Ok(u8::try_from(code).unwrap_or(2)),
        Some(code) => Err(Verdict::Unknown(format!("the run ended with code {code} and without a verdict"))),
        None => Err(Verdict::Unknown(format!("the run was ended by signal {}", status.signal().unwrap_or_default()))),
    })
}
