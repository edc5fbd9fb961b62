//! Client certificates as the contract shows them, and as publishers send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::Timestamp;
use portcullis_model::client_certificate::{CertificateDer, ClientCertificate};
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;

use crate::fault::FieldFault;

const FIELD: &str = "certificate";

/// Reads a certificate that is good at `now`: PEM, base64 of PEM or DER, or DER. Of a chain the first counts.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8], now: Timestamp) -> Result<CertificateDer, FieldFault> {
    let certificate = parse(bytes)?;
    match ended_on(&certificate, now) {
        Some(day) => Err(FieldFault::new(FIELD, format!("has ended on {day}"))),
        None => Ok(certificate),
    }
}

/// Reads a certificate as [`read`] does, whether it is still good or not.
///
/// # Errors
/// What is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<CertificateDer, FieldFault> {
    let fault = |reason: String| FieldFault::new(FIELD, reason);
    let der = der_of(bytes).ok_or_else(|| fault("is not an X.509 certificate in PEM or DER".to_owned()))?;
    x509_parser::parse_x509_certificate(&der)
        .map_err(|error| fault(format!("is not an X.509 certificate: {error}")))?;
    Ok(CertificateDer(der))
}

/// Returns the day on which a certificate ended; `None` where it did not by `now`.
#[must_use]
pub fn ended_on(certificate: &CertificateDer, now: Timestamp) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.0).ok()?;
    is_over(&parsed, now).then(|| date(parsed.validity().not_after.timestamp()))
}

fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let of_pem = |bytes: &[u8]| rustls_pki_types::CertificateDer::from_pem_slice(bytes).ok().map(|der| der.to_vec());
    if let Some(der) = of_pem(bytes) {
        return Some(der);
    }
    if x509_parser::parse_x509_certificate(bytes).is_ok() {
        return Some(bytes.to_vec());
    }
    let text: String = std::str::from_utf8(bytes).ok()?.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(text).ok()?;
    of_pem(&decoded).or(Some(decoded))
}

fn is_over(parsed: &X509Certificate<'_>, now: Timestamp) -> bool {
    u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0) <= now.as_secs()
}

/// Writes a date as the contract's examples do.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.strftime("%d-%m-%Y").to_string())
}

/// Returns what is listed of a certificate.
#[must_use]
pub fn metadata(one: &ClientCertificate) -> Value {
    json!({
        "alias": one.alias,
        "apiId": one.api.to_string(),
        "tier": one.plan,
        "keyType": one.key_type.as_contract(),
    })
}

/// Returns what a certificate says.
#[must_use]
pub fn information(certificate: &CertificateDer, now: Timestamp) -> Value {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&certificate.0) else {
        return json!({ "status": "Unreadable" });
    };
    let validity = parsed.validity();
    json!({
        "status": if is_over(&parsed, now) { "Expired" } else { "Active" },
        "validity": { "from": date(validity.not_before.timestamp()), "to": date(validity.not_after.timestamp()) },
        "version": format!("V{}", parsed.version().0 + 1),
        "subject": parsed.subject().to_string(),
    })
}

/// Writes a certificate as PEM (RFC 7468).
#[must_use]
pub fn pem(certificate: &CertificateDer) -> String {
    let text = STANDARD.encode(&certificate.0);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_in_every_form_and_written_as_pem() {
        let made = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
        let (pem_text, der) = (made.cert.pem(), made.cert.der().to_vec());
        let encoded = [STANDARD.encode(&pem_text), STANDARD.encode(&der)];
        for form in [pem_text.as_bytes(), &der, encoded[0].as_bytes(), encoded[1].as_bytes()] {
            assert_eq!(read(form, Timestamp(0)).unwrap().0, der);
        }
        for bad in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(read(bad, Timestamp(0)).is_err());
        }
        let over = read(&der, Timestamp(u64::MAX)).unwrap_err();
        assert!(over.reason.contains("has ended"), "{over:?}");
    }
}
