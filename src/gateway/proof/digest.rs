//! Digest access authentication (RFC 7616): a name and a password that are proven without being sent, by an answer to
//! the backend's challenge. A challenge is kept and answered again, with a count, until the backend sets another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::secret_field;

/// Answers to challenges, for one name and password.
pub(crate) struct Digest {
    username: Box<str>,
    password: Zeroizing<String>,
    challenge: ArcSwapOption<Challenge>,
}

/// What a backend asks.
#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The name of the algorithm as the backend wrote it, where it did.
    algorithm_name: Option<String>,
    /// Answers are counted (`qop=auth`).
    has_quality: bool,
    answers: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5 { is_session: bool },
    Sha256 { is_session: bool },
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        let (base, is_session) = match name.rsplit_once('-') {
            Some((base, end)) if end.eq_ignore_ascii_case("sess") => (base, true),
            _ => (name, false),
        };
        match base.to_ascii_uppercase().as_str() {
            "MD5" => Some(Self::Md5 { is_session }),
            "SHA-256" => Some(Self::Sha256 { is_session }),
            _ => None,
        }
    }

    fn is_session(self) -> bool {
        let (Self::Md5 { is_session } | Self::Sha256 { is_session }) = self;
        is_session
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 { .. } => hex::encode(Md5::digest(text.as_bytes())),
            Self::Sha256 { .. } => hex::encode(digest(&SHA256, text.as_bytes())),
        }
    }
}

impl Digest {
    pub(super) fn new(username: &str, password: Zeroizing<String>) -> Self {
        Self { username: username.into(), password, challenge: ArcSwapOption::empty() }
    }

    /// Takes the best challenge of an answer; says whether there is one that can be answered.
    pub(super) fn learn(&self, headers: &HeaderMap) -> bool {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let best = texts.flat_map(challenges).max_by_key(|challenge| challenge.algorithm);
        let is_there = best.is_some();
        if is_there {
            self.challenge.store(best.map(Arc::new));
        }
        is_there
    }

    /// Answers the challenge that is known for a call with this verb and target.
    pub(super) fn field(&self, verb: &str, target: &str) -> Option<HeaderValue> {
        let challenge = self.challenge.load_full()?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).ok()?;
        let count = challenge.answers.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        secret_field(&self.answer(&challenge, verb, target, &hex::encode(random), count)).ok()
    }

    fn answer(&self, challenge: &Challenge, verb: &str, target: &str, own_nonce: &str, count: u32) -> String {
        let Challenge { realm, nonce, algorithm, .. } = challenge;
        let (username, password) = (&self.username, self.password.as_str());
        let mut secret = Zeroizing::new(algorithm.hash(&Zeroizing::new(format!("{username}:{realm}:{password}"))));
        if algorithm.is_session() {
            secret = Zeroizing::new(algorithm.hash(&format!("{}:{nonce}:{own_nonce}", *secret)));
        }
        let call = algorithm.hash(&format!("{verb}:{target}"));
        let counted = format!("nc={count:08x}, cnonce=\"{own_nonce}\"");
        let (response, more) = if challenge.has_quality {
            let text = format!("{}:{nonce}:{count:08x}:{own_nonce}:auth:{call}", *secret);
            (algorithm.hash(&text), format!(", qop=auth, {counted}"))
        } else {
            let more = if algorithm.is_session() { format!(", {counted}") } else { String::new() };
            (algorithm.hash(&format!("{}:{nonce}:{call}", *secret)), more)
        };
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"{more}",
            quoted(username),
            quoted(realm),
            quoted(nonce),
            quoted(target)
        );
        if let Some(name) = &challenge.algorithm_name {
            text.push_str(&format!(", algorithm={name}"));
        }
        if let Some(opaque) = &challenge.opaque {
            text.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        text
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Reads the challenges in one field that can be answered.
fn challenges(text: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut parameters: Option<Vec<(String, String)>> = None;
    let mut left = text;
    // A scheme begins a challenge, pairs with `=` follow; both are parted by commas (RFC 9110 §11.6.1).
    while !left.is_empty() {
        left = left.trim_start_matches([' ', '\t', ',']);
        let end = left.find(['=', ' ', ',']).unwrap_or(left.len());
        let (word, after) = left.split_at(end);
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, rest) = value_of(value.trim_start());
            if let Some(parameters) = &mut parameters {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            left = rest;
        } else {
            found.extend(parameters.take().and_then(challenge));
            parameters = word.eq_ignore_ascii_case("digest").then(Vec::new);
            left = after;
        }
    }
    found.extend(parameters.take().and_then(challenge));
    found
}

/// Reads a token or quoted string; returns it and what follows.
fn value_of(text: &str) -> (String, &str) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, letter) in inside.char_indices() {
        match letter {
            _ if is_escaped => {
                value.push(letter);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (value, &inside[at + 1..]),
            _ => value.push(letter),
        }
    }
    (value, "")
}

fn challenge(parameters: Vec<(String, String)>) -> Option<Challenge> {
    let mut challenge = Challenge {
        realm: String::new(),
        nonce: String::new(),
        opaque: None,
        algorithm: Algorithm::Md5 { is_session: false },
        algorithm_name: None,
        has_quality: false,
        answers: AtomicU32::new(0),
    };
    for (name, value) in parameters {
        match name.as_str() {
            "realm" => challenge.realm = value,
            "nonce" => challenge.nonce = value,
            "opaque" => challenge.opaque = Some(value),
            "algorithm" => {
                challenge.algorithm = Algorithm::parse(&value)?;
                challenge.algorithm_name = Some(value);
            }
            "qop" => {
                // One that wants the body in the hash cannot be answered.
                challenge.has_quality = value.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
                if !challenge.has_quality {
                    return None;
                }
            }
            _ => {}
        }
    }
    (!challenge.nonce.is_empty()).then_some(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 §3.9.1.
    const EXAMPLE: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    const OWN_NONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    #[test]
    fn the_examples_of_the_rfc_are_answered() {
        let digest = Digest::new("Mufasa", Zeroizing::new("Circle of Life".to_owned()));
        for (text, response) in [
            (EXAMPLE.to_owned(), "8ca523f5e9506fed4657c9700eebdbec"),
            (EXAMPLE.replace("MD5", "SHA-256"), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenges = challenges(&text);
            let answer = digest.answer(&challenges[0], "GET", "/dir/index.html", OWN_NONCE, 1);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains("nc=00000001") && answer.contains("uri=\"/dir/index.html\""), "{answer}");
        }
    }

    #[test]
    fn the_best_of_several_challenges_is_taken() {
        let digest = Digest::new("u", Zeroizing::new("p".to_owned()));
        let mut headers = HeaderMap::new();
        assert!(!digest.learn(&headers));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"a, Digest nonce=1\""));
        assert!(!digest.learn(&headers), "what is quoted is no challenge");
        headers.append(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(
                "Digest nonce=one, realm=\"a \\\"b\\\"\", Digest realm=c, algorithm=SHA-256, nonce=\"two\", \
                 Digest algorithm=SHA-512-256, nonce=three",
            ),
        );
        assert!(digest.learn(&headers));
        let field = digest.field("GET", "/").unwrap();
        assert!(field.to_str().unwrap().contains("nonce=\"two\""), "the strongest that is known");
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Digest nonce=1, qop=\"auth-int\""));
        assert!(!digest.learn(&headers), "a hash of the body is not made");
    }
}
