//! Clients' certificates (RFC 8705): whether one is the client's, and the hash that binds tokens to it.

use portcullis_jose::base64url;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::client_settings::{AuthenticationMethod, ClientSettings};

/// Returns what stands for a certificate in tokens (section 3.1).
pub(crate) fn hash_of(certificate: &[u8]) -> String {
    base64url(&Sha256::digest(certificate))
}

/// Says whether a certificate is the one that is registered for a client.
pub(crate) fn is_registered(settings: &ClientSettings, certificate: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    match settings.authentication {
        AuthenticationMethod::Certificate => {
            let by_subject =
                settings.certificate_subject.as_ref().is_some_and(|subject| *subject == parsed.subject().to_string());
            let by_name = settings.certificate_dns.as_ref().is_some_and(|name| has_name(&parsed, name));
            by_subject || by_name
        }
        AuthenticationMethod::OwnCertificate => {
            let thumbprint = hash_of(certificate);
            settings.certificate_thumbprints.contains(&thumbprint)
        }
        _ => false,
    }
}

fn has_name(certificate: &X509Certificate<'_>, wanted: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|name| matches!(name, GeneralName::DNSName(name) if *name == wanted))
}
