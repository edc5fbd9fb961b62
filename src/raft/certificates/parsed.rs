//! What a certificate says: whose it is, who signed it, how long it is valid. Believes nothing and checks no signature.

use std::fmt;

use portcullis_model::Timestamp;
use portcullis_model::certificate::Fingerprint;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::identity::IdentityError;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) fingerprint: Fingerprint,
    /// The first host name in it, which of a node is `node-ID.CLUSTER`.
    pub(crate) host: Option<String>,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// The identifier of its own key, which authorities' certificates carry.
    key: Option<Vec<u8>>,
    /// The identifier of the key that signed it.
    signed_by: Option<Vec<u8>>,
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

impl Parsed {
    /// Reads a certificate; `None` where it is none.
    pub(crate) fn from_der(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let (key, signed_by) = key_identifiers(&certificate);
        let validity = certificate.validity();
        Some(Self {
            fingerprint: Sha256::digest(der).into(),
            host: first_host(&certificate),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: timestamp(validity.not_before.timestamp()),
            not_after: timestamp(validity.not_after.timestamp()),
            key,
            signed_by,
        })
    }

    /// Reads the first certificate in `pem`.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok();
        der.as_ref().and_then(Self::from_der).ok_or(IdentityError::Invalid("the certificate"))
    }

    /// Reads every certificate in `pem`.
    pub(crate) fn all_from_pem(pem: &str) -> Result<Vec<Self>, IdentityError> {
        let all = CertificateDer::pem_slice_iter(pem.as_bytes());
        let parsed = all.map(|der| der.ok().as_ref().and_then(Self::from_der));
        parsed.collect::<Option<Vec<_>>>().ok_or(IdentityError::Invalid("a certificate"))
    }

    /// Says whether the key of `authority` is the one named as this certificate's signer.
    pub(crate) fn names_as_signer(&self, authority: &Self) -> bool {
        self.signed_by.is_some() && self.signed_by == authority.key
    }
}

fn first_host(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        _ => None,
    })
}

/// Returns the identifiers of a certificate's own key and of the key that signed it.
fn key_identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut signer) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(key) => own = Some(key.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(found) => {
                signer = found.key_identifier.as_ref().map(|key| key.0.to_vec());
            }
            _ => {}
        }
    }
    (own, signer)
}

/// `node-2.c0ffee…, signed by O=Portcullis, CN=…, valid from 2026-01-01T00:00:00Z to …, SHA-256 1a2b3c4d…`
impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.host.as_deref().unwrap_or(&self.subject);
        let (from, to) = (utc(self.not_before), utc(self.not_after));
        let fingerprint = hex::encode(&self.fingerprint[..8]);
        write!(f, "{name}, signed by {}, valid from {from} to {to}, SHA-256 {fingerprint}…", self.issuer)
    }
}

/// Returns a point in time as people read it, in UTC.
pub(crate) fn utc(time: Timestamp) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
