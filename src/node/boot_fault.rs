//! Why a node cannot start, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_http::tls::TlsError;
use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_raft::IdentityError;

use crate::config::ConfigFault;
use crate::founding::DataDirFault;

/// The code of [`BootFault::PortTaken`], for callers that know another way out.
pub const PORT_TAKEN: &str = "PC-2012";

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootFault {
    /// Another process listens there.
    #[error("{address} ({key}) is in use by another process")]
    PortTaken {
        /// The key of the configuration that names the port.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address is not this machine's, or may not be used.
    #[error("{address} ({key}) cannot be listened on: {cause}")]
    CannotBind {
        /// The key of the configuration that names the port.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        cause: io::Error,
    },
    /// The configuration is not acceptable.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirFault),
    /// The node's certificate cannot be used.
    #[error("the node's certificate cannot be used: {0}")]
    Tls(#[from] TlsError),
    /// The gateway does not start.
    #[error("the gateway does not start: {0}")]
    Gateway(#[from] portcullis_gateway::StartError),
    /// The Traffic Manager does not start.
    #[error("the traffic manager does not start: {0}")]
    TrafficManager(#[from] portcullis_traffic_manager::StoreError),
    /// The file with the broker's URL cannot be used.
    #[error("the broker's URL cannot be read from {} (throttling.amqp_url_file): {cause}", file.display())]
    Broker {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: io::Error,
    },
    /// A file that the configuration names cannot be used.
    #[error("{} ({key}) cannot be used: {cause}", file.display())]
    File {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: io::Error,
    },
    /// Raft does not start.
    #[error("the replication does not start: {0}")]
    Raft(#[from] portcullis_raft::StartError),
}

impl From<IdentityError> for BootFault {
    fn from(fault: IdentityError) -> Self {
        Self::DataDir(fault.into())
    }
}

impl BootFault {
    pub(crate) fn cannot_bind(key: &'static str, address: SocketAddr, cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::AddrInUse {
            return Self::PortTaken { key, address };
        }
        Self::CannotBind { key, address, cause }
    }
}

impl Fault for BootFault {
    fn code(&self) -> &'static str {
        match self {
            Self::PortTaken { .. } => PORT_TAKEN,
            Self::CannotBind { .. } => "PC-2013",
            Self::Config(fault) => fault.code(),
            Self::DataDir(fault) => fault.code(),
            Self::Tls(_) => "PC-2014",
            Self::Gateway(_) => "PC-2015",
            Self::TrafficManager(_) => "PC-2016",
            Self::Raft(_) => "PC-2017",
            Self::Broker { .. } => "PC-2018",
            Self::File { .. } => "PC-2019",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Config(fault) => fault.status(),
            Self::DataDir(fault) => fault.status(),
            _ => 500,
        }
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn next_step(&self) -> String {
        match self {
            Self::PortTaken { key, address } => {
                format!(
                    "stop what uses it (ss -ltnp 'sport = :{}'), or set {key} to another port in node.toml",
                    address.port()
                )
            }
            Self::CannotBind { key, .. } => {
                format!(
                    "check node.bind and {key} in node.toml: the address must be this machine's, ports below 1024 need rights"
                )
            }
            Self::Config(fault) => fault.next_step(),
            Self::DataDir(fault) => fault.next_step(),
            Self::Tls(_) => "restore tls/ in the data directory, or remove the node and join again".to_owned(),
            Self::Gateway(_) => "check the limits of this process (threads, open files), then start again".to_owned(),
            Self::Broker { .. } => {
                "write amqp://USER:PASSWORD@HOST:5672/%2f into the file, or take throttling.amqp_url_file out of node.toml"
                    .to_owned()
            }
            Self::File { key, .. } => format!("check that the node's user may read the file, or change {key} in node.toml"),
            Self::TrafficManager(_) | Self::Raft(_) => {
                "check room and rights in the data directory; where a file is damaged, remove the node and join again"
                    .to_owned()
            }
        }
    }
}
