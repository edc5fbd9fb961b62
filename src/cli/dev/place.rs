//! Where `portcullis dev` keeps what it makes: a temporary directory with a data directory per node.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use portcullis_node::config::Config;
use tempfile::TempDir;

use super::DevArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::trust::Trust;

/// What is other here than where nothing is said, below the environment. Everybody knows the administrator's password: no
/// other needs to be better. Who tries callbacks has them on this machine.
const DEFAULTS: &str = "\
[log]
level = \"warn\"

[node]
drain_ms = 2000

[gateway]
callbacks_may_be_private = true

[users]
password_min_chars = 1
password_may_have_name = true
";

/// The temporary directory and the nodes' configurations.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    configs: Vec<Config>,
}

impl Place {
    /// Makes the directory. It is removed when this is dropped, also where something fails in between.
    ///
    /// # Errors
    /// Where it cannot be made, or the addresses and ports that are asked for do not exist.
    pub fn make(arguments: &DevArguments) -> Result<Self, Failure> {
        let configs = (0..arguments.nodes).map(|at| config(arguments, at)).collect::<Result<_, _>>()?;
        let directory = tempfile::Builder::new().prefix("portcullis-dev-").tempdir().map_err(|cause| {
            Failure::from_io(
                "a temporary directory cannot be made",
                &cause,
                "set TMPDIR to a directory you may write to",
            )
        })?;
        Ok(Self { directory, configs })
    }

    /// Returns the data directory of a node, counted from 0.
    #[must_use]
    pub fn data_dir(&self, at: usize) -> PathBuf {
        self.directory.path().join(format!("n{}", at + 1))
    }

    /// Returns the file that a child's log goes to.
    #[must_use]
    pub fn log_file(&self, at: usize) -> PathBuf {
        self.directory.path().join(format!("n{}.log", at + 1))
    }

    /// Returns the configurations.
    #[must_use]
    pub fn configs(&self) -> &[Config] {
        &self.configs
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn remove(self) -> Result<(), Failure> {
        let path = self.directory.path().to_owned();
        for at in 0..self.configs.len() {
            Trust::open()?.forget_own(&self.data_dir(at))?;
        }
        let next = format!("rm -r {}", path.display());
        self.directory
            .close()
            .map_err(|cause| Failure::from_io(format!("{} cannot be removed", path.display()), &cause, next))
    }
}

fn config(arguments: &DevArguments, at: u8) -> Result<Config, Failure> {
    let wrong =
        |why: &str| Failure::new(Exit::Usage, "the nodes cannot be placed", why, "portcullis dev --bind 127.0.0.1");
    if !arguments.bind.is_loopback() {
        return Err(wrong("--bind must be a loopback address, because everybody knows the password"));
    }
    let address = u32::from(arguments.bind) + u32::from(at);
    let address = Ipv4Addr::from(address);
    if !address.is_loopback() {
        return Err(wrong("there are not enough loopback addresses after --bind"));
    }
    let level: Vec<_> = arguments.log_level.iter().map(|level| ("log.level".to_owned(), level.clone())).collect();
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let loaded = Config::from_layers(Some((Path::new("portcullis dev"), DEFAULTS)), environment, &level);
    let mut config = loaded.map_err(|fault| Failure::from_fault("the configuration is not acceptable", &fault))?.config;
    config.node.bind = IpAddr::V4(address);
    config.node.name = format!("dev-{}", at + 1);
    let ports = [
        &mut config.gateway.http_port,
        &mut config.gateway.https_port,
        &mut config.management.port,
        &mut config.observability.port,
        &mut config.cluster.port,
    ];
    for port in ports {
        *port =
            port.checked_add(arguments.port_offset).ok_or_else(|| wrong("--port-offset leads beyond port 65535"))?;
    }
    Ok(config)
}
