//! Renews the certificate of a node that does not run, from what its own data directory holds.

use std::path::Path;

use portcullis_raft::{Renewed, renew_offline};

use crate::boot_fault::BootFault;
use crate::config::Config;

/// Renews the certificate of the node in `data_dir`, which must not run.
///
/// # Errors
/// Where the directory cannot be used, is in use, or holds no state that tells the authority.
pub async fn renew(data_dir: &Path, config: &Config) -> Result<Renewed, BootFault> {
    Ok(renew_offline(data_dir, config.certificate_valid()).await?)
}
