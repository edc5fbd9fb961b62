//! Joins a data directory to a cluster: shows the token to a node of the cluster, gets a certificate, writes what the
//! node needs. Starts nothing: the node becomes a member when it first runs.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_database::level;
use portcullis_http::client::Client;
use portcullis_http::client_error::ClientError;
use portcullis_http::tls::{self, TlsError};
use portcullis_model::NodeId;
use portcullis_model::cluster::{JoinGrant, JoinRequest};
use portcullis_model::fault::{AtFault, Fault, Retry};
use portcullis_model::join_token::{JoinToken, NotAJoinToken};
use portcullis_raft::{IdentityError, check_unused, prepare_join, save_join};

use crate::config::Config;
use crate::founding::{DataDirFault, write_config};

/// Where a node asks to be admitted.
const PATH: &str = "/api/portcullis/v1/cluster/join";

/// What came of joining.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The node's id.
    pub node: NodeId,
    /// The cluster's name.
    pub cluster_name: String,
    /// The SHA-256 of the cluster's certificate authority (DER).
    pub ca_fingerprint: [u8; 32],
}

/// Why a node cannot join.
#[derive(Debug, thiserror::Error)]
pub enum JoinFault {
    /// The text is not a join token.
    #[error(transparent)]
    NotAToken(#[from] NotAJoinToken),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirFault),
    /// None of the nodes that the token names can be reached.
    #[error("none of the cluster's nodes can be reached: {}", tried.iter().map(|(at, why)| format!("{at} ({why})")).collect::<Vec<_>>().join(", "))]
    Unreachable {
        /// Who was tried, and what came of it.
        tried: Vec<(SocketAddr, String)>,
    },
    /// The node that was reached is of another cluster, or somebody is in between.
    #[error("{at} is not a node of the token's cluster: {why}")]
    WrongCluster {
        /// Who was reached.
        at: SocketAddr,
        /// What is wrong with its certificate.
        why: String,
    },
    /// The cluster said no.
    #[error("{at} refused: {why}")]
    Refused {
        /// Who said it.
        at: SocketAddr,
        /// The HTTP status.
        status: u16,
        /// Its reason.
        why: String,
        /// What it says to do.
        next_step: String,
    },
    /// No answer came, or none that is understood. The token may be used up.
    #[error("{at} did not answer as it should: {why}; the token may be used up")]
    Unclear {
        /// Who was asked.
        at: SocketAddr,
        /// What came of it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl From<IdentityError> for JoinFault {
    fn from(fault: IdentityError) -> Self {
        Self::DataDir(fault.into())
    }
}

/// Joins `data_dir` to the cluster that made `token`, as a node that is to vote, or as one that never does.
///
/// # Errors
/// Where the directory cannot be used, no node is reached, or the cluster refuses. A directory that could not be joined
/// holds no node.
pub async fn join(data_dir: &Path, config: &Config, token: &str, is_voter: bool) -> Result<Joined, JoinFault> {
    // Before anything is asked of the cluster: a token is not to be used up for a directory that cannot be used.
    check_unused(data_dir)?;
    let token: JoinToken = token.parse()?;
    let key = prepare_join()?;
    let (name, addresses) = (config.node_name(), config.addresses());
    let request = JoinRequest {
        secret: token.secret.to_hex(),
        name: name.clone(),
        addresses: addresses.clone(),
        components: config.node.components.to_record(),
        is_voter,
        certificate_request: key.certificate_request.clone(),
        feature_level: level::HIGHEST,
    };
    let grant = ask_one(&token, &request).await?;
    save_join(data_dir, &grant, &key, &name, &addresses)?;
    write_config(data_dir, config)?;
    Ok(Joined { node: grant.node, cluster_name: grant.cluster_name, ca_fingerprint: token.ca_sha256 })
}

/// Asks the nodes of the token in turn, until one is reached.
async fn ask_one(token: &JoinToken, request: &JoinRequest) -> Result<JoinGrant, JoinFault> {
    let trusted = tls::client_config_pinned(token.ca_sha256)?;
    let mut tried = Vec::new();
    for at in token.addresses.iter().copied() {
        let client = match Client::new(&format!("https://{at}"), Some(trusted.clone())) {
            Ok(client) => client,
            Err(fault) => {
                tried.push((at, fault.to_string()));
                continue;
            }
        };
        match client.post(PATH, request).await {
            Ok(grant) => return Ok(grant),
            Err(fault) if fault.is_certificate() => {
                return Err(JoinFault::WrongCluster { at, why: fault.to_string() });
            }
            // Nothing was sent, so another node can be asked.
            Err(fault @ (ClientError::CannotConnect { .. } | ClientError::Tls { .. })) => {
                tried.push((at, fault.to_string()));
            }
            Err(ClientError::Status { status, error, .. }) => {
                let (status, why, next_step) = (status.as_u16(), error.to_string(), error.next_step);
                return Err(JoinFault::Refused { at, status, why, next_step });
            }
            Err(fault) => return Err(JoinFault::Unclear { at, why: fault.to_string() }),
        }
    }
    Err(JoinFault::Unreachable { tried })
}

impl Fault for JoinFault {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAToken(_) => "PC-2030",
            Self::DataDir(fault) => fault.code(),
            Self::Unreachable { .. } => "PC-2031",
            Self::WrongCluster { .. } => "PC-2032",
            Self::Refused { .. } => "PC-2033",
            Self::Unclear { .. } => "PC-2034",
            Self::Tls(_) => "PC-2035",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::NotAToken(_) => 400,
            Self::DataDir(fault) => fault.status(),
            Self::Refused { status, .. } => *status,
            Self::Unreachable { .. } | Self::WrongCluster { .. } => 502,
            Self::Unclear { .. } => 504,
            Self::Tls(_) => 500,
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
            Self::NotAToken(_) => {
                "give the whole text that `portcullis cluster token create` printed".to_owned()
            }
            Self::DataDir(fault) => fault.next_step(),
            Self::Unreachable { .. } => {
                "check that a node of the cluster runs and that its management port can be reached from here".to_owned()
            }
            Self::WrongCluster { .. } => {
                "make a token on the cluster that is meant: portcullis cluster token create".to_owned()
            }
            Self::Refused { next_step, .. } if !next_step.is_empty() => next_step.clone(),
            Self::Refused { .. } | Self::Unclear { .. } => {
                "look at the cluster (portcullis cluster status), then make a new token: portcullis cluster token create"
                    .to_owned()
            }
            Self::Tls(_) => "make a new token: portcullis cluster token create".to_owned(),
        }
    }
}
