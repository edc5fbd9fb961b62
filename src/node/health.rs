//! Whether the node lives, whether it is ready for traffic, and why not. Balancers ask `/livez` and `/readyz`; people
//! ask `/healthz`. It checks only what is cheap to check.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// The name of the probe that looks for a leader.
pub const LEADER: &str = "leader";
/// The name of the probe that looks whether the node is drained.
pub const DRAIN: &str = "drain";

/// Something that must hold for the node to be ready.
pub struct Probe {
    /// Its name in the answer.
    pub name: &'static str,
    /// Says how it stands: `Ok` with a detail, or `Err` with what is missing.
    pub look: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

/// How one probe stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The probe.
    pub name: &'static str,
    /// Whether it holds.
    pub is_ok: bool,
    /// A detail, or what is missing.
    pub detail: String,
}

/// The node's readiness.
pub struct Readiness {
    probes: Vec<Probe>,
    is_stopping: AtomicBool,
    has_started: AtomicBool,
}

impl Readiness {
    /// Makes the readiness of a node from its probes.
    #[must_use]
    pub fn new(probes: Vec<Probe>) -> Arc<Self> {
        Arc::new(Self { probes, is_stopping: AtomicBool::new(false), has_started: AtomicBool::new(false) })
    }

    /// Makes the node not ready from now on, so that balancers take it out before it stops.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Returns how everything stands.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let stopping = self.is_stopping.load(Ordering::SeqCst);
        let own = if stopping { Err("the node is stopping".to_owned()) } else { Ok("running".to_owned()) };
        let looked = self.probes.iter().map(|probe| (probe.name, (probe.look)()));
        std::iter::once(("process", own)).chain(looked).map(|(name, look)| Finding::of(name, look)).collect()
    }

    /// Says whether the node was ready once since it started.
    #[must_use]
    pub fn has_started(&self) -> bool {
        if !self.has_started.load(Ordering::Relaxed) && self.is_ready() {
            self.has_started.store(true, Ordering::Relaxed);
        }
        self.has_started.load(Ordering::Relaxed)
    }

    /// Says whether the node is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.is_stopping.load(Ordering::SeqCst) && self.probes.iter().all(|probe| (probe.look)().is_ok())
    }
}

impl Finding {
    fn of(name: &'static str, look: Result<String, String>) -> Self {
        match look {
            Ok(detail) => Self { name, is_ok: true, detail },
            Err(detail) => Self { name, is_ok: false, detail },
        }
    }

    /// Returns the finding as a line: `[+]leader ok: node 1`.
    #[must_use]
    pub fn as_line(&self) -> String {
        let (sign, word) = if self.is_ok { ('+', "ok") } else { ('-', "failed") };
        format!("[{sign}]{} {word}: {}", self.name, self.detail)
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.findings()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_every_probe_holds_and_never_again_once_it_stops() {
        let has_leader = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_leader);
        let look = move || {
            if seen.load(Ordering::SeqCst) { Ok("node 1".to_owned()) } else { Err("no leader is known".to_owned()) }
        };
        let readiness = Readiness::new(vec![Probe { name: "leader", look: Box::new(look) }]);
        assert!(!readiness.is_ready());
        assert_eq!(readiness.findings()[1].as_line(), "[-]leader failed: no leader is known");
        has_leader.store(true, Ordering::SeqCst);
        assert!(readiness.is_ready());
        assert_eq!(readiness.findings()[1].as_line(), "[+]leader ok: node 1");
        readiness.begin_stop();
        assert!(!readiness.is_ready());
    }
}
