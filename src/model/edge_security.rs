//! What of an API's security gateways need beside the deployed revision.

use serde::{Deserialize, Serialize};

use crate::client_certificate::TrustedCertificate;

/// What of an API's security gateways need beside the deployed revision. There is a row for it only where something
/// differs from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSecurity {
    /// Header that carries API keys instead of `ApiKey`.
    pub api_key_header: Option<String>,
    /// The client certificates that it trusts.
    pub certificates: Vec<TrustedCertificate>,
}
