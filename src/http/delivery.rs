//! Delivers documents to other systems, which may be away for a while: tries again, later each time, up to a bound. It
//! keeps nothing: what becomes of a document that nobody took is for who sent it to say.

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::OnceCell;

use crate::client_error::ClientError;
use crate::fetch::Service;

/// Says who sent the body, as GitHub's webhooks do: `sha256=` and the HMAC-SHA-256 of the body in hexadecimal.
const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// Names what is delivered: the same where it is sent again.
pub const DELIVERY: HeaderName = HeaderName::from_static("x-portcullis-delivery");
/// How often a document is tried where nothing else is said: for a little more than a minute.
const TRIES: u32 = 7;
/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also where the other system asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where documents are delivered, and with what.
pub struct Delivery {
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: Option<hmac::Key>,
    tries: u32,
    service: OnceCell<Service>,
}

impl Delivery {
    /// Delivers to a URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: Vec::new(), key: None, tries: TRIES, service: OnceCell::new() }
    }

    /// Sends a header with each document.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Signs what is sent (`X-Hub-Signature-256`), where there is a secret.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        self.key = (!secret.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        self
    }

    /// Sets how often a document is tried; once at least.
    #[must_use]
    pub fn with_tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Posts a document until it is taken: any status of 2xx says so. A status of 4xx is final, but for 408 and 429.
    ///
    /// # Errors
    /// What the last try failed by.
    pub async fn deliver(&self, body: Bytes, further: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError> {
        let mut headers = [self.headers.as_slice(), further].concat();
        headers.extend(self.key.as_ref().and_then(|key| Some((SIGNATURE, signature(key, &body)?))));
        let mut pause = PAUSE;
        for number in 1.. {
            let Err(fault) = self.post(&headers, body.clone()).await else { break };
            if number >= self.tries || !is_for_later(&fault) {
                return Err(fault);
            }
            tokio::time::sleep(asked_pause(&fault).unwrap_or(pause).min(PAUSE_MAX)).await;
            pause *= 2;
        }
        Ok(())
    }

    async fn post(&self, headers: &[(HeaderName, HeaderValue)], body: Bytes) -> Result<(), ClientError> {
        let service = self.service.get_or_try_init(|| Service::at(&self.url)).await.map_err(untold)?;
        service.post_bytes(headers, body).await
    }
}

/// Has a fault not tell the address: all of one that is no URL may be a secret, and faults are logged.
fn untold(fault: ClientError) -> ClientError {
    match fault {
        ClientError::BadUrl { reason, .. } => ClientError::BadUrl { url: "the address that is set".to_owned(), reason },
        other => other,
    }
}

fn signature(key: &hmac::Key, body: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("sha256={}", hex::encode(hmac::sign(key, body)))).ok()
}

/// Says whether the same document may be taken later.
fn is_for_later(fault: &ClientError) -> bool {
    match fault {
        ClientError::Status { status, .. } => {
            status.is_server_error() || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        }
        ClientError::CannotConnect { .. } | ClientError::TimedOut { .. } | ClientError::Lost { .. } => true,
        ClientError::Tls { .. } => true,
        ClientError::BadUrl { .. } | ClientError::TooLarge(_) | ClientError::NotJson(_) => false,
    }
}

/// Returns how long the other system asks to wait, where it says so in seconds (RFC 9110 §10.2.3).
fn asked_pause(fault: &ClientError) -> Option<Duration> {
    let ClientError::Status { headers, .. } = fault else { return None };
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    #[test]
    fn a_body_is_signed_as_its_receiver_computes_it() {
        // The example of GitHub's documentation on how to validate deliveries.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"It's a Secret to Everybody");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(&key, b"Hello, World!").unwrap(), expected);
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_not_told() {
        for planted in ["planted", "https://", "http://planted:99999/", "ftp://planted/planted"] {
            let fault = Delivery::new(planted).with_tries(1).deliver(Bytes::new(), &[]).await.unwrap_err();
            assert!(matches!(fault, ClientError::BadUrl { .. }), "{fault}");
            assert!(!format!("{fault} {fault:?}").contains("planted"), "{fault}");
        }
    }
}
