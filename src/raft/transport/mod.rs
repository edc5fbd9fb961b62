//! How nodes talk: framed messages over mutual TLS, with deadlines on everything. It carries messages and knows none
//! of their meaning; what a node answers is [`crate::service`].

mod calls;
mod frame;
mod guest;
mod line;
mod listener;
mod message;
mod network;
mod rejected;
mod snapshot;
mod tls;
mod verifier;
mod wire;

use std::sync::Arc;

use tokio::runtime;

pub(crate) use self::calls::{CallError, Peers};
pub use self::guest::{DialError, Guest, Reception};
pub(crate) use self::line::removed;
pub(crate) use self::listener::listen;
#[cfg(test)]
pub(crate) use self::listener::listen_simulated;
pub(crate) use self::message::{LeaderTask, ProposeAnswer, Request, Response, SignAnswer, Status, TaskRefusal};
pub(crate) use self::network::NetworkFactory;
pub(crate) use self::snapshot::INSTALL_WITHIN;
pub(crate) use self::tls::Tls;
pub use self::tls::TlsError;

use self::line::Connector;
use crate::certificates::Certificates;
use crate::fatal::Fatal;
use crate::identity::Identity;

/// Makes the transport's calling side for a node. Connections live on `runtime`.
pub(crate) fn configure(
    identity: &Identity,
    certificates: &Arc<Certificates>,
    fatal: Fatal,
    runtime: runtime::Handle,
) -> Arc<Peers> {
    let certificates = Arc::clone(certificates);
    let connector = Connector { cluster: identity.cluster_id, node: identity.node, certificates, fatal, runtime };
    Arc::new(Peers::new(Arc::new(connector)))
}
