//! What calls to an API of WebSub are read by, compiled: its topics, and what its events are signed with.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName};
use portcullis_database::ClusterKey;
use portcullis_model::websub::{SigningAlgorithm, WebsubRules};
use portcullis_model::{ApiId, Operation};
use tracing::warn;

use super::api::Rule;

/// The topic that stands for any.
const ANY: &str = "/*";

/// What an API of WebSub has besides what all have.
pub(crate) struct Websub {
    /// The numbers of the topics' rules.
    topics: HashMap<String, usize>,
    /// Checks signatures; `None` where the API takes no events.
    signing: Option<Signing>,
}

struct Signing {
    key: hmac::Key,
    method: &'static str,
    header: HeaderName,
}

impl Websub {
    /// Compiles it; `rules` are those of the API's operations.
    pub(crate) fn new(
        api: ApiId,
        designed: Option<&WebsubRules>,
        operations: &[Operation],
        rules: &[Rule],
        key: Option<&ClusterKey>,
    ) -> Self {
        let topic = |(number, rule): (usize, &Rule)| Some((operations.get(rule.operation)?.target.clone(), number));
        let signing = designed.and_then(|designed| {
            let sealed = designed.secret.as_ref()?;
            let opened = key.and_then(|key| key.open(sealed).ok());
            let header = HeaderName::from_bytes(designed.header.as_bytes());
            let Some((secret, header)) = opened.zip(header.ok()) else {
                warn!(%api, "events not taken: what they are signed with cannot be read");
                return None;
            };
            let algorithm = match designed.algorithm {
                SigningAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                SigningAlgorithm::Sha256 => hmac::HMAC_SHA256,
                SigningAlgorithm::Sha384 => hmac::HMAC_SHA384,
                SigningAlgorithm::Sha512 => hmac::HMAC_SHA512,
            };
            Some(Signing { key: hmac::Key::new(algorithm, &secret), method: designed.algorithm.as_method(), header })
        });
        Self { topics: rules.iter().enumerate().filter_map(topic).collect(), signing }
    }

    /// Returns the number of a topic's rule; `None` where the API has no such topic.
    pub(crate) fn rule(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).or_else(|| self.topics.get(ANY)).copied()
    }

    /// Says whether the API takes events.
    pub(crate) fn takes_events(&self) -> bool {
        self.signing.is_some()
    }

    /// Says whether an event is from the API's source: its signature is `METHOD=` and the hexadecimal HMAC of the body.
    pub(crate) fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(signing) = &self.signing else { return false };
        let shown = headers.get(&signing.header).and_then(|value| value.to_str().ok());
        let Some((method, code)) = shown.and_then(|shown| shown.split_once('=')) else { return false };
        let Ok(code) = hex::decode(code.trim()) else { return false };
        method.trim().eq_ignore_ascii_case(signing.method) && hmac::verify(&signing.key, body, &code).is_ok()
    }
}

impl fmt::Debug for Websub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Websub").field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use portcullis_model::Sealed;

    use super::*;

    #[test]
    fn only_what_is_signed_with_the_secret_by_the_method_named_is_taken() {
        let key = ClusterKey::new([7; 32]);
        let rules = |secret: Option<Sealed>| WebsubRules {
            secret,
            algorithm: SigningAlgorithm::Sha256,
            header: "x-hub-signature".to_owned(),
        };
        let api = ApiId::from_random([1; 16]);
        let websub = Websub::new(api, Some(&rules(Some(key.seal(b"s3cret")))), &[], &[], Some(&key));
        let tag = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s3cret"), b"{}"));
        let is_signed = |websub: &Websub, shown: &str, body: &[u8]| {
            let header = (HeaderName::from_static("x-hub-signature"), HeaderValue::from_str(shown).unwrap());
            websub.is_signed(&HeaderMap::from_iter([header]), body)
        };
        assert!(is_signed(&websub, &format!("sha256={tag}"), b"{}"));
        assert!(!is_signed(&websub, &format!("sha256={tag}"), b"{ }"));
        assert!(!is_signed(&websub, &format!("sha1={tag}"), b"{}") && !is_signed(&websub, &tag, b"{}"));
        assert!(!is_signed(&websub, "sha256=", b"{}") && !websub.is_signed(&HeaderMap::new(), b"{}"));
        let closed = Websub::new(api, Some(&rules(None)), &[], &[], Some(&key));
        assert!(!closed.takes_events() && !is_signed(&closed, &format!("sha256={tag}"), b"{}"));
    }
}
