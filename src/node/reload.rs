//! Reads the configuration again while the node runs: what can be taken over is, all of it or nothing; what cannot waits for
//! the next start. `/configuration/reload` of Portcullis' own API is here too; SIGHUP comes from the command line.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use portcullis_gateway::{Gateway, Tuning};
use portcullis_http::{ApiError, Problem, Signed};
use portcullis_model::NodeId;
use serde::Serialize;

use crate::access_log::AccessLogFile;
use crate::alert_watch::AlertWatch;
use crate::boot_fault::BootFault;
use crate::config::{Config, KEYS, Key};
use crate::proposer::NodeProposer;
use crate::{components, logging};

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The node whose configuration it is.
    pub node: NodeId,
    /// The keys whose values have changed and are in force now.
    pub in_force: Vec<String>,
    /// The keys whose values differ from those by which the node runs, and count from its next start.
    pub after_restart: Vec<String>,
}

/// Takes over the configuration of a node that runs.
pub(crate) struct Reloader {
    pub(crate) node: NodeId,
    pub(crate) data_dir: PathBuf,
    /// What the command line set, which goes before the file as it did at the start.
    pub(crate) flags: Vec<(String, String)>,
    /// By what the node runs. Held while a reload is under way: one comes after the other.
    pub(crate) in_use: Mutex<Config>,
    pub(crate) proposer: Arc<NodeProposer>,
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) access_log: Option<Arc<AccessLogFile>>,
    pub(crate) alerts: AlertWatch,
}

impl Reloader {
    /// Returns the configuration by which the node runs.
    pub(crate) fn running(&self) -> Config {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how long a node that stops says so first, and lets requests finish then.
    pub(crate) fn stop_times(&self) -> (Duration, Duration) {
        let running = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        (Duration::from_millis(running.node.unready_ms), Duration::from_millis(running.node.drain_ms))
    }

    /// Reads the configuration and takes over what can be. Reads small files, which may block.
    ///
    /// # Errors
    /// Where it is not acceptable, or names a file that cannot be used. Nothing has changed then.
    pub(crate) fn reload(&self) -> Result<Reloaded, BootFault> {
        let mut running = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Config::load(&self.data_dir, &self.flags)?.config;
        let next = taken_over(&running, &read);
        let alerts = components::alert_settings(&next)?;
        let (taken, waiting): (Vec<&Key>, Vec<&Key>) =
            KEYS.iter().filter(|key| (key.show)(&running) != (key.show)(&read)).partition(|key| key.is_reloaded());
        // Nothing below can fail.
        *running = next;
        self.proposer.set_fence_wait_ms(running.cluster.fence_wait_ms);
        if let Some(gateway) = &self.gateway {
            gateway.tune(tuning(&running));
        }
        if let Some(access_log) = &self.access_log {
            access_log.reopen();
        }
        // A file with an address may have changed where no key has.
        let names_file = [&running.alerts.mail_url_file, &running.alerts.webhook_url_file];
        if taken.iter().any(|key| key.section == "alerts") || names_file.iter().any(|file| !file.is_empty()) {
            self.alerts.set(alerts);
        }
        if taken.iter().any(|key| key.section == "log") {
            logging::set_level(&running.log.level);
        }
        let paths = |keys: Vec<&Key>| keys.into_iter().map(Key::path).collect::<Vec<_>>();
        let told = Reloaded { node: self.node, in_force: paths(taken), after_restart: paths(waiting) };
        tracing::info!(in_force = ?told.in_force, after_restart = ?told.after_restart, "configuration read again");
        Ok(told)
    }
}

/// Returns the configuration by which a node runs on that has read another: of the keys that wait for a restart it keeps
/// its own.
fn taken_over(running: &Config, read: &Config) -> Config {
    let mut next = running.clone();
    next.node.unready_ms = read.node.unready_ms;
    next.node.drain_ms = read.node.drain_ms;
    next.cluster.fence_wait_ms = read.cluster.fence_wait_ms;
    next.throttling.grant_wait_ms = read.throttling.grant_wait_ms;
    next.throttling.on_no_quorum = read.throttling.on_no_quorum;
    next.gateway.trusted_proxies = read.gateway.trusted_proxies.clone();
    next.gateway.x_ratelimit_headers = read.gateway.x_ratelimit_headers;
    next.gateway.websocket_idle_ms = read.gateway.websocket_idle_ms;
    next.alerts = crate::config::AlertsSection {
        unseen_days: running.alerts.unseen_days,
        addresses_max: running.alerts.addresses_max,
        ..read.alerts.clone()
    };
    next.log.level.clone_from(&read.log.level);
    next
}

/// Returns what a gateway takes over while it runs.
pub(crate) fn tuning(config: &Config) -> Tuning {
    Tuning {
        trusted_proxies: config.gateway.trusted_proxies.0.clone(),
        has_x_ratelimit: config.gateway.x_ratelimit_headers,
        websocket_idle_timeout: Duration::from_millis(config.gateway.websocket_idle_ms),
        grant_wait: Duration::from_millis(config.throttling.grant_wait_ms),
        on_no_quorum: components::on_no_quorum(config),
    }
}

/// Returns the routes, without the API's prefix.
pub(crate) fn routes(reloader: Arc<Reloader>) -> Router {
    Router::new().route("/configuration/reload", post(reload)).with_state(reloader)
}

async fn reload(
    State(reloader): State<Arc<Reloader>>,
    signed: Result<Signed, ApiError>,
) -> Result<Json<Reloaded>, Problem> {
    let signed = signed?;
    signed.require(&["apim:admin"])?;
    let principal = &signed.0.principal;
    if !principal.tenant.is_super() {
        return Err(Problem::forbidden(format!("{principal} is not of the first tenant, which runs the cluster")));
    }
    tracing::info!(by = %principal, "the configuration is to be read again");
    let reloaded = tokio::task::spawn_blocking(move || reloader.reload()).await;
    match reloaded {
        Ok(Ok(told)) => Ok(Json(told)),
        Ok(Err(fault)) => Err(Problem::from_fault(&fault)),
        Err(_) => Err(Problem::unavailable("the node stops")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_said_to_be_reloaded_is_one() {
        for (section, name) in crate::config::RELOADED {
            assert!(KEYS.iter().any(|key| key.section == *section && key.name == *name), "{section}.{name}");
        }
    }

    /// Values one of which each key takes, and which are no key's default.
    const OTHERS: &[&str] = &[
        "1",
        "100",
        "2000",
        "20480",
        "0.5",
        "true",
        "false",
        "http",
        "thrift",
        "json",
        "warn",
        "strict",
        "RS256",
        "allow",
        "gateway",
        "US",
        "10.0.0.0/8",
        "127.0.0.9",
        "https://other.example.com",
        "ldaps://other.example.com",
        "a@example.com",
        "a=b",
        "/other",
        "(x={username})",
    ];

    #[test]
    fn exactly_what_is_said_to_be_reloaded_is_taken_over() {
        let running = Config::default();
        for key in KEYS {
            let other = |text: &&str| {
                let flag = [(key.path(), (*text).to_owned())];
                let read = Config::from_layers(None, [], &flag).ok()?.config;
                ((key.show)(&read) != (key.show)(&running)).then_some(read)
            };
            let read = OTHERS.iter().find_map(other).unwrap_or_else(|| panic!("{key:?} takes none of the values"));
            let is_taken = (key.show)(&taken_over(&running, &read)) == (key.show)(&read);
            assert_eq!(is_taken, key.is_reloaded(), "{key:?}");
        }
    }
}
