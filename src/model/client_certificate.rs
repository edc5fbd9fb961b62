//! Certificates by which clients of an API prove who they are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ApiId;
use crate::oauth::KeyType;
use crate::refused::Refused;
use crate::time::Timestamp;
use crate::user::Username;

/// Client certificates of one API: they travel to gateways with it.
pub const CLIENT_CERTIFICATES_PER_API_MAX: usize = 200;
/// Bytes of one certificate (DER): one with a large RSA key and many names stays below.
pub const CERTIFICATE_BYTES_MAX: usize = 8 << 10;
/// Characters of an alias (REST contract).
pub const CERTIFICATE_ALIAS_CHARS_MAX: usize = 30;

/// A certificate that an API trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// The API.
    pub api: ApiId,
    /// What the API's publisher calls it; unique for the API.
    pub alias: String,
    /// The business plan that its bearer is held to.
    pub plan: String,
    /// Whether its bearer's calls go to the production or the sandbox endpoint.
    pub key_type: KeyType,
    /// The certificate: a client's own, or that of an authority which signs clients' certificates.
    pub certificate: CertificateDer,
    /// Who added it.
    pub added_by: Username,
    /// When.
    pub added_at: Timestamp,
}

/// A certificate, DER.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CertificateDer(pub Vec<u8>);

impl fmt::Debug for CertificateDer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateDer({} bytes)", self.0.len())
    }
}

/// Checks what the certificates of clients and of backends have alike: the alias, and the size.
///
/// # Errors
/// [`Refused::Invalid`].
pub fn check_certificate(alias: &str, certificate: &CertificateDer) -> Result<(), Refused> {
    let chars = alias.chars().count();
    if chars == 0 || chars > CERTIFICATE_ALIAS_CHARS_MAX || alias.chars().any(char::is_control) {
        let reason = format!("must have 1 to {CERTIFICATE_ALIAS_CHARS_MAX} visible characters, not {chars}");
        return Err(Refused::invalid("alias", reason));
    }
    let bytes = certificate.0.len();
    if bytes == 0 || bytes > CERTIFICATE_BYTES_MAX {
        let reason = format!("must have at most {CERTIFICATE_BYTES_MAX} bytes (DER), not {bytes}");
        return Err(Refused::invalid("certificate", reason));
    }
    Ok(())
}

/// A certificate that an API trusts, as gateways need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedCertificate {
    /// The alias.
    pub alias: String,
    /// The business plan.
    pub plan: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// The certificate.
    pub certificate: CertificateDer,
}

impl From<&ClientCertificate> for TrustedCertificate {
    fn from(one: &ClientCertificate) -> Self {
        Self {
            alias: one.alias.clone(),
            plan: one.plan.clone(),
            key_type: one.key_type,
            certificate: one.certificate.clone(),
        }
    }
}
