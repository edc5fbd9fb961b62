//! Says plainly which certificate was not accepted, why, and what to do: on the side that refuses as on the side that
//! is refused. Nodes try again every second, so the same is said once a minute.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_database::handle::wall_clock;
use portcullis_model::{NodeId, Timestamp};
use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::CertificateDer;

use crate::certificates::{Held, Parsed, utc};

/// How long nothing is said again that was said.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Things said that are remembered; a scanner with many certificates makes more.
const REMEMBERED_MAX: usize = 256;

const RENEW: &str = "on the node whose certificate it is: stop it, run `portcullis cluster certificate renew \
                     --offline --data-dir DIR`, start it again";
const CLOCK: &str = "set the clocks of both machines, as by NTP";
const JOIN_ANEW: &str = "if that node should be in this cluster, put its own tls/ back from a backup, or join it again \
                         with a new data directory and a token of this cluster";

/// What is wrong with a certificate, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rejection {
    reason: String,
    next_step: &'static str,
}

fn expired(certificate: &Parsed) -> Rejection {
    Rejection { reason: format!("it expired at {}", utc(certificate.not_after)), next_step: RENEW }
}

fn not_yet_valid(certificate: &Parsed) -> Rejection {
    let reason = format!("it is valid only from {}: the clocks differ", utc(certificate.not_before));
    Rejection { reason, next_step: CLOCK }
}

fn foreign(certificate: &Parsed) -> Rejection {
    let reason = format!("it was signed by \"{}\", which is no authority of this cluster", certificate.issuer);
    Rejection { reason, next_step: JOIN_ANEW }
}

/// Says why a certificate is not accepted that another node showed.
fn of_theirs(certificate: &Parsed, error: &rustls::Error) -> Rejection {
    use CertificateError::{BadSignature, Expired, ExpiredContext, NotValidYet, NotValidYetContext, UnknownIssuer};
    match error {
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => expired(certificate),
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => not_yet_valid(certificate),
        // An authority of the same name with another key is another cluster's too.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => foreign(certificate),
        other => Rejection { reason: other.to_string(), next_step: JOIN_ANEW },
    }
}

/// Says why this node's own certificate is not accepted by another; `None` where that was not the reason.
fn of_ours(certificate: &Parsed, alert: AlertDescription, now: Timestamp) -> Option<Rejection> {
    match alert {
        AlertDescription::CertificateExpired if certificate.not_after > now && certificate.not_before <= now => {
            let reason =
                format!("the other node's clock is not within its validity, to {}", utc(certificate.not_after));
            Some(Rejection { reason, next_step: CLOCK })
        }
        AlertDescription::CertificateExpired if certificate.not_after <= now => Some(expired(certificate)),
        AlertDescription::CertificateExpired => Some(not_yet_valid(certificate)),
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            let reason = format!(
                "it was signed by \"{}\", which is no authority of the other node's cluster",
                certificate.issuer
            );
            Some(Rejection { reason, next_step: JOIN_ANEW })
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::UnsupportedCertificate => {
            Some(Rejection { reason: format!("the other node says {alert:?}"), next_step: JOIN_ANEW })
        }
        _ => None,
    }
}

fn is_new(text: String) -> bool {
    static SAID: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(Mutex::default);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.retain(|_, at| at.elapsed() < SAID_AGAIN_AFTER);
    if said.contains_key(&text) || said.len() >= REMEMBERED_MAX {
        return false;
    }
    said.insert(text, Instant::now());
    true
}

/// Tells of a certificate of another node that `node` does not accept.
pub(super) fn tell_of_theirs(node: NodeId, der: &CertificateDer<'_>, error: &rustls::Error) {
    let Some(certificate) = Parsed::from_der(der) else {
        tracing::warn!(%error, "another node shows something that is no certificate");
        return;
    };
    let Rejection { reason, next_step } = of_theirs(&certificate, error);
    if is_new(format!("{node} {certificate} {reason}")) {
        tracing::warn!(%certificate, %reason, %next_step, "the certificate of another node is not accepted");
    }
}

/// Tells that the node at `at` does not accept this node's certificate, where that is what `error` says.
pub(super) fn tell_of_ours(node: NodeId, held: &Held, at: SocketAddr, error: &io::Error) {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = inner else { return };
    let certificate = &held.parsed;
    let Some(Rejection { reason, next_step }) = of_ours(certificate, *alert, wall_clock()) else { return };
    if is_new(format!("{node} {} {certificate} {reason}", at.ip())) {
        tracing::warn!(%at, %certificate, %reason, %next_step, "another node does not accept this node's certificate");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority;

    #[test]
    fn both_sides_are_told_the_same_reason_and_a_wrong_clock_is_told_from_an_expired_certificate() {
        let certificate = Parsed::from_pem(&authority::create("shop").unwrap().certificate).unwrap();
        let theirs = of_theirs(&certificate, &rustls::Error::InvalidCertificate(CertificateError::Expired));
        let later = certificate.not_after.after(Duration::from_secs(1));
        let ours = of_ours(&certificate, AlertDescription::CertificateExpired, later).unwrap();
        assert_eq!(theirs, ours);
        assert!(theirs.reason.contains("expired at 20") && theirs.next_step.contains("--offline"), "{theirs:?}");
        let now = certificate.not_before.after(Duration::from_secs(100));
        let ours = of_ours(&certificate, AlertDescription::CertificateExpired, now).unwrap();
        assert!(ours.next_step.contains("clock"), "{ours:?}");
        let foreign = of_theirs(&certificate, &rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(foreign.reason.contains("Portcullis cluster shop"), "{foreign:?}");
        assert_eq!(of_ours(&certificate, AlertDescription::InternalError, now), None);
    }
}
