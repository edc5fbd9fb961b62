//! The signals that ask a process to stop: SIGTERM, SIGINT (Ctrl-C) and, for what runs on a terminal, SIGHUP.

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
    hang_up: Signal,
}

impl StopSignals {
    /// Begins to listen. From now on these signals no longer end the process by themselves.
    ///
    /// # Errors
    /// Where the operating system does not allow it.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|cause| {
                Failure::from_io("signals cannot be listened for", &cause, "check the limits of this process")
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
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
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
