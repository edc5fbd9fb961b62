//! What the service manager is told (`sd_notify(3)`): that the node is ready, that it lives, that it stops. Nothing
//! happens where no service manager asked to be told (`NOTIFY_SOCKET`).

use std::time::Duration;

use sd_notify::NotifyState;

/// Says that the node is ready, and where.
pub fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the node finishes what is under way and stops.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishes what is under way and stops")]);
}

/// Says that the node lives, twice in the time after which the service manager would start it anew (`WatchdogSec=`).
/// It is a task of the runtime that does the node's work: where that is stuck, nothing is said.
pub async fn tell_alive() {
    let Some(every) = sd_notify::watchdog_enabled().map(|time| time / 2).filter(|time| *time > Duration::ZERO) else {
        return std::future::pending().await;
    };
    let mut clock = tokio::time::interval(every);
    loop {
        clock.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        // The node is as good as before; a service manager that waits to be told says so itself.
        tracing::warn!(%error, "the service manager cannot be told how the node does");
    }
}
