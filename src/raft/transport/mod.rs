//! How nodes talk: framed messages over mutual TLS, with deadlines on everything. It carries messages and knows none
//! of their meaning; what a node answers is [`crate::service`].

mod calls;
mod frame;
mod guest;
mod line;
mod listener;
mod message;
mod network;
mod snapshot;
mod tls;

use std::sync::Arc;

use tokio::runtime;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::calls::{CallError, Peers};
pub use self::guest::{DialError, Guest, Reception};
pub(crate) use self::line::removed;
pub(crate) use self::listener::listen;
pub(crate) use self::message::{LeaderTask, ProposeAnswer, Request, Response, Status, TaskRefusal};
pub(crate) use self::network::NetworkFactory;
pub(crate) use self::snapshot::INSTALL_WITHIN;
pub use self::tls::TlsError;

use self::line::Connector;
use crate::fatal::Fatal;
use crate::identity::DataDirectory;

/// Makes both ends of the transport for the node whose data directory it is. Connections live on `runtime`.
pub(crate) fn configure(
    directory: &DataDirectory,
    fatal: Fatal,
    runtime: runtime::Handle,
) -> Result<(Arc<Peers>, TlsAcceptor), TlsError> {
    let (tls, acceptor) = tls::configure(directory)?;
    let identity = directory.identity();
    let connector = Connector { cluster: identity.cluster_id, node: identity.node, tls, fatal, runtime };
    Ok((Arc::new(Peers::new(Arc::new(connector))), acceptor))
}
