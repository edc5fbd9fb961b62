//! Certificate authorities as the command line sees them: the one a server shows, and how a fingerprint is written.

use std::sync::Arc;
use std::time::Duration;

use portcullis_http::tls;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::exit::Exit;
use crate::failure::Failure;

/// The file of the authority's certificate in a data directory.
pub const CA_FILE: &str = "tls/ca.pem";

/// How long a first contact may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Returns `host:port` of a server's URL.
///
/// # Errors
/// Where it has none.
pub fn place(server: &str) -> Result<String, Failure> {
    let url = Url::parse(server).ok();
    let place = url.as_ref().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    place.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("{server:?} is not the address of a server"),
            "it has no host",
            "give --server",
        )
    })
}

/// Reads a fingerprint: 64 hexadecimal digits.
///
/// # Errors
/// Where it is none.
pub fn fingerprint_bytes(text: &str) -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|fault| {
        let next = "portcullis login     saves the server again";
        Failure::new(Exit::Failed, format!("{text:?} is not the fingerprint of a certificate"), fault.to_string(), next)
    })?;
    Ok(bytes)
}

/// Returns the fingerprint of the certificate authority that a server (`host:port`) shows. Nothing secret is sent.
///
/// # Errors
/// Where the server cannot be reached or shows none.
pub async fn shown_by(place: &str) -> Result<String, Failure> {
    tokio::time::timeout(WITHIN, ask(place)).await.map_err(|_| {
        let why = format!("nothing came within {} s", WITHIN.as_secs());
        Failure::new(Exit::TimedOut, format!("{place} did not answer"), why, "check that the node runs there")
    })?
}

async fn ask(place: &str) -> Result<String, Failure> {
    let cannot = |cause: &dyn std::fmt::Display| {
        let next = "check that the node runs there, or name another one with --server";
        Failure::new(Exit::CannotConnect, format!("{place} cannot be reached"), cause.to_string(), next)
    };
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|fault| cannot(&fault))?;
    // Any certificate is accepted here because it is only looked at: the calls that follow believe what is pinned.
    let config = tls::client_config_insecure().map_err(|fault| cannot(&fault))?;
    let stream = TcpStream::connect(place).await.map_err(|cause| cannot(&cause))?;
    let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await.map_err(|cause| cannot(&cause))?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    match shown {
        [_, .., authority] => Ok(hex::encode(Sha256::digest(authority))),
        _ => Err(cannot(&"it shows no certificate authority, so it is not a Portcullis node")),
    }
}
