//! Clients' certificates (RFC 8705): whether one is the client's, and the hash that binds tokens to it.

use std::net::IpAddr;

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
    match (&settings.authentication, &settings.certificate_name) {
        (AuthenticationMethod::Certificate, Some((CertificateName::Subject, wanted))) => {
            is_same_name(wanted, &parsed.subject().to_string())
        }
        (AuthenticationMethod::Certificate, Some((kind, wanted))) => has_name(&parsed, *kind, wanted),
        (AuthenticationMethod::OwnCertificate, _) => settings.certificate_thumbprints.contains(&hash_of(certificate)),
        _ => false,
    }
}

/// By what a client's certificate is known (RFC 8705, section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateName {
    Subject,
    Dns,
    Uri,
    Ip,
    Email,
}

impl CertificateName {
    /// All of them, with the members of a client's metadata that hold them.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Subject, "tls_client_auth_subject_dn"),
        (Self::Dns, "tls_client_auth_san_dns"),
        (Self::Uri, "tls_client_auth_san_uri"),
        (Self::Ip, "tls_client_auth_san_ip"),
        (Self::Email, "tls_client_auth_san_email"),
    ];
}

fn has_name(certificate: &X509Certificate<'_>, kind: CertificateName, wanted: &str) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let address = wanted.parse::<IpAddr>().ok().map(|ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    names.value.general_names.iter().any(|name| match (kind, name) {
        (CertificateName::Dns, GeneralName::DNSName(name)) => name.eq_ignore_ascii_case(wanted),
        (CertificateName::Uri, GeneralName::URI(name)) | (CertificateName::Email, GeneralName::RFC822Name(name)) => {
            *name == wanted
        }
        (CertificateName::Ip, GeneralName::IPAddress(bytes)) => address.as_deref() == Some(*bytes),
        _ => false,
    })
}

/// Says whether two texts are the same distinguished name: RFC 4514 begins with the last part, others with the first; the
/// kinds of parts are read in any case.
fn is_same_name(one: &str, other: &str) -> bool {
    let (one, mut other) = (parts(one), parts(other));
    if one.is_empty() {
        return false;
    }
    let is_same = one == other;
    other.reverse();
    is_same || one == other
}

/// Splits a distinguished name into kinds and values.
fn parts(name: &str) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in name.chars() {
        let last = parts.last_mut().expect("there is one at least");
        match letter {
            _ if is_escaped => {
                last.push(letter);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            ',' => parts.push(String::new()),
            _ => last.push(letter),
        }
    }
    let pair = |part: &String| {
        let (kind, value) = part.split_once('=')?;
        Some((kind.trim().to_ascii_uppercase(), value.trim().to_owned()))
    };
    // What is no name is the same as nothing.
    parts.iter().map(pair).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distinguished_name_is_the_same_from_either_end() {
        let subject = "C=US, O=Acme, CN=client";
        for same in ["CN=client,O=Acme,C=US", "cn=client, o=Acme, c=US", subject] {
            assert!(is_same_name(same, subject), "{same}");
        }
        for other in ["CN=client", "CN=client,O=acme,C=US", "O=Acme,CN=client,C=US", "", "client"] {
            assert!(!is_same_name(other, subject), "{other}");
        }
        assert!(is_same_name("CN=a\\,b", "CN=a\\,b") && !is_same_name("CN=a,b", "CN=a\\,b"));
    }
}
