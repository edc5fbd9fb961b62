//! AWS Signature Version 4: each call is signed with a key that is not sent
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, with the slashes of a path.
const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// Signs calls with one key of AWS, for one region and service.
pub struct AwsSigner {
    access_key: Box<str>,
    secret_key: Zeroizing<String>,
    region: Box<str>,
    service: Box<str>,
}

impl AwsSigner {
    /// Takes the id of a key, the key, the region (`us-east-1`) and the service (`lambda`).
    #[must_use]
    pub fn new(access_key: &str, secret_key: Zeroizing<String>, region: &str, service: &str) -> Self {
        Self { access_key: access_key.into(), secret_key, region: region.into(), service: service.into() }
    }

    /// Returns the fields that sign a call at a time, in seconds since 1970: path and query as they are sent, and what
    /// `Host` says.
    #[must_use]
    pub fn fields(
        &self,
        verb: &str,
        target: &str,
        authority: &str,
        body: &[u8],
        at_s: u64,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let time = written(at_s);
        let day = &time[..8];
        let body_hash = hex::encode(digest(&SHA256, body));
        let is_storage = &*self.service == "s3";
        let (mut signed, mut named) = (format!("host:{authority}\n"), "host".to_owned());
        if is_storage {
            signed.push_str(&format!("x-amz-content-sha256:{body_hash}\n"));
            named.push_str(";x-amz-content-sha256");
        }
        signed.push_str(&format!("x-amz-date:{time}\n"));
        named.push_str(";x-amz-date");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // A path is encoded once more than it is on the wire, but for S3.
        let path = if is_storage { path.to_owned() } else { utf8_percent_encode(path, ENCODED_IN_PATH).to_string() };
        let call = format!("{verb}\n{path}\n{}\n{signed}\n{named}\n{body_hash}", sorted(query));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(digest(&SHA256, call.as_bytes())));
        let signature = hex::encode(self.sign(day, &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={named}, Signature={signature}",
            self.access_key
        );
        let mut fields = Vec::with_capacity(3);
        fields.extend(HeaderValue::from_str(&time).ok().map(|value| (DATE, value)));
        if is_storage {
            fields.extend(HeaderValue::from_str(&body_hash).ok().map(|value| (BODY_HASH, value)));
        }
        fields.extend(HeaderValue::from_str(&authorization).ok().map(|mut value| {
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        }));
        fields
    }

    fn sign(&self, day: &str, text: &str) -> Tag {
        let secret = Zeroizing::new(format!("AWS4{}", *self.secret_key));
        let mut key = Key::new(HMAC_SHA256, secret.as_bytes());
        for part in [day, &self.region, &self.service, "aws4_request"] {
            key = Key::new(HMAC_SHA256, sign(&key, part.as_bytes()).as_ref());
        }
        sign(&key, text.as_bytes())
    }
}

impl fmt::Debug for AwsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsSigner(…)")
    }
}

/// Returns a query in the form that is signed: decoded, encoded in one way, and in order.
fn sorted(query: &str) -> String {
    let encode = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&bytes, ENCODED).to_string()
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut pairs: Vec<(String, String)> = parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort_unstable();
    let texts: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts.join("&")
}

/// Returns a time as signatures have it: `20150830T123600Z`.
fn written(at_s: u64) -> String {
    let seconds = i64::try_from(at_s).unwrap_or(0);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the examples that AWS published, and their time.
    fn signer(service: &str) -> AwsSigner {
        let secret = Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        AwsSigner::new("AKIDEXAMPLE", secret, "us-east-1", service)
    }

    const AT: u64 = 1_440_938_160;

    fn signature(fields: &[(HeaderName, HeaderValue)]) -> &str {
        let (_, value) = fields.iter().find(|(name, _)| *name == AUTHORIZATION).unwrap();
        value.to_str().unwrap().rsplit_once('=').unwrap().1
    }

    #[test]
    fn the_plain_example_is_signed_as_published() {
        let fields = signer("service").fields("GET", "/", "example.amazonaws.com", b"", AT);
        assert_eq!(signature(&fields), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        assert_eq!(fields[0], (DATE, HeaderValue::from_static("20150830T123600Z")));
    }

    #[test]
    fn a_signature_is_of_verb_path_query_and_body() {
        let of = |verb, target, body: &[u8]| {
            signature(&signer("service").fields(verb, target, "example.amazonaws.com", body, AT)).to_owned()
        };
        let plain = of("GET", "/?a=1&b=2", b"");
        assert_eq!(of("GET", "/?b=2&a=1", b""), plain, "parameters have no order");
        for other in [of("POST", "/?a=1&b=2", b""), of("GET", "/x?a=1&b=2", b""), of("GET", "/?a=1&b=2", b"x")] {
            assert_ne!(other, plain);
        }
        assert_eq!(sorted("b=%7e&a=1+2&a"), "a=&a=1%2B2&b=~");
    }

    #[test]
    fn the_storage_service_is_told_the_hash_of_the_body() {
        let fields = signer("s3").fields("GET", "/a", "bucket", b"", AT);
        assert!(fields.iter().any(|(name, _)| *name == BODY_HASH));
    }
}
