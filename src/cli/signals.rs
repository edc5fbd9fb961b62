//! The signals that ask a process to stop: SIGTERM, SIGINT (Ctrl-C) and, for what runs on a terminal, SIGHUP; which asks a
//! node that serves to read its configuration again instead.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The exit code of a command that was interrupted (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// How long signals count as the request that came first.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// Listens for requests to stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

/// Listens for requests to read the configuration again.
#[derive(Debug)]
pub struct ReloadSignals(Signal);

impl StopSignals {
    /// Begins to listen. From now on these signals no longer end the process by themselves.
    ///
    /// # Errors
    /// Where the operating system does not allow it.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self { hang_up: Some(listen(SignalKind::hangup())?), ..Self::listen_but_for_hang_up()? })
    }

    /// The same, but SIGHUP is no such request.
    ///
    /// # Errors
    /// Where the operating system does not allow it.
    pub fn listen_but_for_hang_up() -> Result<Self, Failure> {
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hang_up: None })
    }

    /// Waits for somebody who asks again, and returns the signal's name. What comes right after the first request is
    /// the same request: some programs signal both a process and its group.
    pub async fn again(&mut self) -> &'static str {
        let first = Instant::now();
        loop {
            let name = self.next().await;
            if first.elapsed() > SAME_REQUEST {
                return name;
            }
        }
    }

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = hung_up(self.hang_up.as_mut()) => "SIGHUP",
        }
    }
}

impl ReloadSignals {
    /// Begins to listen. From now on SIGHUP no longer ends the process.
    ///
    /// # Errors
    /// Where the operating system does not allow it.
    pub fn listen() -> Result<Self, Failure> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        hung_up(Some(&mut self.0)).await;
    }
}

async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|cause| Failure::from_io("signals cannot be listened for", &cause, "check the limits of this process"))
}
