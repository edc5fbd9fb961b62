//! What can be wrong with a configuration, and what to do about it.

use std::net::IpAddr;
use std::path::PathBuf;

use portcullis_model::fault::{AtFault, Fault, Retry};

/// Why a configuration is not acceptable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// The file cannot be read.
    #[error("{} cannot be read: {cause}", file.display())]
    CannotRead {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place} is not valid TOML: {reason}")]
    NotToml {
        /// File and line.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such key.
    #[error("{place}: there is no key `{path}`{}", meant.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default())]
    UnknownKey {
        /// File and line, variable, or flag.
        place: String,
        /// The key.
        path: String,
        /// The key that was most likely meant.
        meant: Option<String>,
    },
    /// The value is not acceptable.
    #[error("{place}: `{path}` cannot be {}; it must be {accepts}{}", value.as_deref().unwrap_or("what is written there"), meant.as_ref().map(|word| format!("; did you mean {word}?")).unwrap_or_default())]
    BadValue {
        /// File and line, variable, or flag.
        place: String,
        /// The key.
        path: String,
        /// The value as it was written; `None` where it may hold a secret.
        value: Option<String>,
        /// What the key accepts.
        accepts: &'static str,
        /// What was most likely meant.
        meant: Option<String>,
    },
    /// A flag `--set` is not `key=value`.
    #[error("--set {text}: a key and a value are needed, such as gateway.http_port=8280")]
    NotAnAssignment {
        /// What was given.
        text: String,
    },
    /// Two listeners would share a port.
    #[error("{first} and {second} are both {port}; each listener needs a port of its own")]
    SamePort {
        /// One key.
        first: &'static str,
        /// The other key.
        second: &'static str,
        /// The port.
        port: u16,
    },
    /// Nobody could reach the node.
    #[error("node.bind is {bind}, which is no address that other nodes could reach; set node.advertise")]
    NoAdvertise {
        /// The bind address.
        bind: IpAddr,
    },
    /// Passwords would go over the network as they are.
    #[error("directory.url is {url}, by which passwords would go over the network in clear")]
    PlainDirectory {
        /// The URL.
        url: String,
    },
}

impl Fault for ConfigFault {
    fn code(&self) -> &'static str {
        match self {
            Self::CannotRead { .. } => "PC-2001",
            Self::NotToml { .. } => "PC-2002",
            Self::UnknownKey { .. } => "PC-2003",
            Self::BadValue { .. } | Self::NotAnAssignment { .. } => "PC-2004",
            Self::SamePort { .. } => "PC-2005",
            Self::NoAdvertise { .. } => "PC-2006",
            Self::PlainDirectory { .. } => "PC-2007",
        }
    }

    fn status(&self) -> u16 {
        400
    }

    fn at_fault(&self) -> AtFault {
        AtFault::Client
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn next_step(&self) -> String {
        match self {
            Self::CannotRead { file, .. } => {
                format!("check that {} exists and that this user may read it", file.display())
            }
            Self::NotToml { place, .. } => format!("correct {place}"),
            Self::UnknownKey { .. } => "portcullis config explain     lists every key".to_owned(),
            Self::BadValue { path, .. } => format!("portcullis config explain {path}"),
            Self::NotAnAssignment { .. } => "portcullis server --set gateway.http_port=8280".to_owned(),
            Self::SamePort { second, .. } => format!("give {second} another port in node.toml"),
            Self::PlainDirectory { .. } => "use ldaps:// in directory.url, or set directory.starttls = true".to_owned(),
            Self::NoAdvertise { .. } => "set node.advertise in node.toml to this machine's address".to_owned(),
        }
    }
}
