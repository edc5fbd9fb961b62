//! The certificate that a client showed: in the handshake of its connection, or in a header by which a trusted proxy that
//! ended TLS passes it on. Whether an API trusts it is not decided here.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_model::Timestamp;
use rustls_pki_types::CertificateDer;

/// Bytes of a certificate in a header, as it is written there.
const HEADER_BYTES_MAX: usize = 24 << 10;
/// What text of a certificate begins and ends with (RFC 7468).
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A client's certificate.
#[derive(Debug)]
pub(crate) struct PeerCertificate {
    /// The certificate, and those of its issuers as far as they were shown.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) digest: String,
    /// The same, as tokens that are bound to it have it (RFC 8705, `x5t#S256`).
    pub(crate) thumbprint: String,
    /// Whose it is.
    pub(crate) subject: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl PeerCertificate {
    /// Reads a certificate; `None` where it is none.
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Option<Rc<Self>> {
        let first = chain.first()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(first).ok()?;
        let at = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, first);
        Some(Rc::new(Self {
            digest: hex(digest.as_ref()),
            thumbprint: URL_SAFE_NO_PAD.encode(digest.as_ref()),
            subject: certificate.subject().to_string(),
            not_before: at(certificate.validity().not_before.timestamp()),
            not_after: at(certificate.validity().not_after.timestamp()),
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
        }))
    }

    /// Reads a certificate from a header: PEM, also with its lines joined or percent-encoded (nginx, Envoy), base64 of PEM
    /// or DER (the original), or base64 between colons (RFC 9440). `None` where it is none of these.
    pub(crate) fn from_header(value: &str) -> Option<Rc<Self>> {
        if value.len() > HEADER_BYTES_MAX {
            return None;
        }
        let text = percent_decoded(value)?;
        let der = match unwrapped(&text) {
            Some(der) => der,
            None => {
                let decoded = decoded(text.trim().trim_matches(':'))?;
                match std::str::from_utf8(&decoded).ok().and_then(unwrapped) {
                    Some(der) => der,
                    None => decoded,
                }
            }
        };
        Self::new(&[CertificateDer::from(der)])
    }
}

/// Returns what is between the first and the last line of PEM.
fn unwrapped(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    decoded(body)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let without_space: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(without_space).ok()
}

/// Resolves percent encoding, where there is any.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::PeerCertificate;

    #[test]
    fn a_certificate_is_read_as_each_kind_of_proxy_writes_it() {
        let made = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
        let (pem, der) = (made.cert.pem(), made.cert.der());
        let digest = PeerCertificate::new(std::slice::from_ref(der)).unwrap().digest.clone();
        let escaped: String = pem
            .bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect();
        for written in [
            pem.replace('\n', "\t"),
            escaped,
            STANDARD.encode(&pem),
            STANDARD.encode(der),
            format!(":{}:", STANDARD.encode(der)),
        ] {
            let read = PeerCertificate::from_header(&written).unwrap_or_else(|| panic!("{written}"));
            assert_eq!(read.digest, digest);
        }
        for bad in ["", "%", "%zz", ":", "AAAA", "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----"] {
            assert!(PeerCertificate::from_header(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(text in "\\PC{0,200}") {
            let _ = PeerCertificate::from_header(&text);
        }
    }
}
