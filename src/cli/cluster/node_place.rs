//! What bootstrap and join have in common: where the new node is, on disk and in the network.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use portcullis_node::config::{Config, find_key};

use crate::config::assignments;
use crate::failure::Failure;

/// Where a new node is.
#[derive(Debug, Args)]
pub struct NodePlace {
    /// The node's data directory; made where it is not there.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The address that the node's ports are bound to.
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// The address at which others reach the node, where that is not the bind address.
    #[arg(long, value_name = "ADDRESS")]
    pub advertise: Option<IpAddr>,
    /// The node's name; the host's name where it is not given.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// The components the node serves, with commas between them: publisher, store, key-manager, gateway,
    /// traffic-manager, admin. All where it is not given.
    #[arg(long, value_name = "NAMES")]
    pub components: Option<String>,
    /// A value to write into node.toml (see portcullis config explain).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Returns the configuration that node.toml will be written from.
///
/// # Errors
/// Where a value is not acceptable.
pub fn prepare(place: &NodePlace) -> Result<Config, Failure> {
    let mut flags = assignments(&place.set)?;
    let mut set = |key: &str, value: Option<String>| {
        debug_assert!(find_key(key).is_some(), "{key} must be a key");
        flags.extend(value.map(|value| (key.to_owned(), value)));
    };
    set("node.bind", place.bind.map(|address| address.to_string()));
    set("node.advertise", place.advertise.map(|address| address.to_string()));
    set("node.name", place.node_name.clone());
    set("node.components", place.components.clone());
    let loaded = Config::load(&place.data_dir, &flags);
    Ok(loaded.map_err(|fault| Failure::from_fault("the configuration is not acceptable", &fault))?.config)
}
