//! Makes opaque tokens and API keys, and knows its own without a look at the state. Whether a token is good is not decided here.
//!
//! A token is random bytes with the time of issue and a mark that only this cluster can make (HMAC with a key derived
//! from the cluster key). The state holds nothing but its SHA-256. The mark lets a node refuse a made-up token at once,
//! and ask the cluster about a real one that it has not heard of yet: a token issued on another node a moment ago.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::ClusterKey;
use portcullis_database::handle::random_bytes;
use portcullis_model::{Timestamp, TokenDigest};
use sha2::{Digest as _, Sha256};

const TIME_BYTES: usize = 4;
const MARK_BYTES: usize = 12;
const FAMILY_BYTES: usize = 16;
const ACCESS_SECRET_BYTES: usize = 32;
const REFRESH_SECRET_BYTES: usize = 28;
const ACCESS_BYTES: usize = TIME_BYTES + ACCESS_SECRET_BYTES + MARK_BYTES;
const REFRESH_BYTES: usize = TIME_BYTES + FAMILY_BYTES + REFRESH_SECRET_BYTES + MARK_BYTES;

/// Makes opaque access tokens, refresh tokens, and what else only this cluster can have made.
pub(crate) struct Mint {
    access: hmac::Key,
    refresh: hmac::Key,
    api_key: hmac::Key,
    others: [hmac::Key; Kind::ALL.len()],
    form: hmac::Key,
}

/// What is drawn beside tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An authorization code.
    Code,
    /// What a browser's cookie holds of a sign-in.
    SignIn,
    /// The reference of a pushed request.
    Pushed,
    /// A device code.
    Device,
    /// What a browser's cookie holds so that forms can be tied to it.
    Form,
    /// A token by which a client manages its own registration.
    Registration,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Code, Self::SignIn, Self::Pushed, Self::Device, Self::Form, Self::Registration];

    fn label(self) -> &'static [u8] {
        match self {
            Self::Code => b"portcullis authorization code mark 1",
            Self::SignIn => b"portcullis sign-in mark 1",
            Self::Pushed => b"portcullis pushed request mark 1",
            Self::Device => b"portcullis device code mark 1",
            Self::Form => b"portcullis form mark 1",
            Self::Registration => b"portcullis registration mark 1",
        }
    }
}

/// What a token tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coin {
    /// The key of its record in the state.
    pub digest: TokenDigest,
    /// When it was issued, to the second.
    pub issued_at: Timestamp,
}

/// What all refresh tokens from one sign-in share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family([u8; FAMILY_BYTES]);

impl Family {
    /// Draws a new family.
    pub fn draw() -> Self {
        Self(random_bytes())
    }

    /// Returns its name in the state.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0).into())
    }
}

impl Mint {
    /// Makes the mint of a cluster.
    pub fn new(key: &ClusterKey) -> Self {
        let derive = |label: &[u8]| {
            let root = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label).as_ref())
        };
        Self {
            access: derive(b"portcullis access token mark 1"),
            refresh: derive(b"portcullis refresh token mark 1"),
            api_key: derive(b"portcullis api key mark 1"),
            others: Kind::ALL.map(|kind| derive(kind.label())),
            form: derive(b"portcullis form token 1"),
        }
    }

    /// Draws something of a kind (256 random bits).
    pub fn draw(&self, kind: Kind, now: Timestamp) -> String {
        let mut bytes = time_bytes(now).to_vec();
        bytes.extend(random_bytes::<ACCESS_SECRET_BYTES>());
        marked(bytes, self.key_of(kind))
    }

    /// Reads something of a kind; `None` where this cluster never drew it.
    pub fn read(&self, kind: Kind, text: &str) -> Option<Coin> {
        let bytes: [u8; ACCESS_BYTES] = unmarked(text, self.key_of(kind))?;
        Some(coin(text, &bytes))
    }

    fn key_of(&self, kind: Kind) -> &hmac::Key {
        let place = Kind::ALL.iter().position(|one| *one == kind).unwrap_or_default();
        &self.others[place]
    }

    /// Returns what a form carries so that its answer is known to come from a page made for the browser with `cookie`.
    pub fn form_token(&self, cookie: &str, purpose: &str, to: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.form, form_text(cookie, purpose, to).as_bytes()))
    }

    /// Says whether a form was made for the browser with `cookie`, this purpose and this request.
    pub fn is_form_token(&self, token: &str, cookie: &str, purpose: &str, to: &str) -> bool {
        let mark = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        hmac::verify(&self.form, form_text(cookie, purpose, to).as_bytes(), &mark).is_ok()
    }

    /// Draws a new access token (256 random bits).
    pub fn access_token(&self, now: Timestamp) -> String {
        let mut bytes = time_bytes(now).to_vec();
        bytes.extend(random_bytes::<ACCESS_SECRET_BYTES>());
        marked(bytes, &self.access)
    }

    /// Draws a new opaque API key (256 random bits).
    pub fn api_key(&self, now: Timestamp) -> String {
        let mut bytes = time_bytes(now).to_vec();
        bytes.extend(random_bytes::<ACCESS_SECRET_BYTES>());
        marked(bytes, &self.api_key)
    }

    /// Draws a new refresh token (224 random bits) of a family.
    pub fn refresh_token(&self, now: Timestamp, family: Family) -> String {
        let mut bytes = time_bytes(now).to_vec();
        bytes.extend(family.0);
        bytes.extend(random_bytes::<REFRESH_SECRET_BYTES>());
        marked(bytes, &self.refresh)
    }

    /// Reads an access token; `None` where this cluster never issued it.
    pub fn read_access(&self, text: &str) -> Option<Coin> {
        let bytes: [u8; ACCESS_BYTES] = unmarked(text, &self.access)?;
        Some(coin(text, &bytes))
    }

    /// Reads an opaque API key; `None` where this cluster never issued it.
    pub fn read_api_key(&self, text: &str) -> Option<Coin> {
        let bytes: [u8; ACCESS_BYTES] = unmarked(text, &self.api_key)?;
        Some(coin(text, &bytes))
    }

    /// Reads a refresh token; `None` where this cluster never issued it.
    pub fn read_refresh(&self, text: &str) -> Option<(Coin, Family)> {
        let bytes: [u8; REFRESH_BYTES] = unmarked(text, &self.refresh)?;
        let mut family = [0; FAMILY_BYTES];
        family.copy_from_slice(&bytes[TIME_BYTES..TIME_BYTES + FAMILY_BYTES]);
        Some((coin(text, &bytes), Family(family)))
    }
}

/// Returns the digest under which a token is kept.
pub(crate) fn digest_of(text: &str) -> TokenDigest {
    TokenDigest::of(text)
}

fn form_text(cookie: &str, purpose: &str, to: &str) -> String {
    format!("{cookie}\n{purpose}\n{to}")
}

fn time_bytes(now: Timestamp) -> [u8; TIME_BYTES] {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX).to_be_bytes()
}

fn coin(text: &str, bytes: &[u8]) -> Coin {
    let mut time = [0; TIME_BYTES];
    time.copy_from_slice(&bytes[..TIME_BYTES]);
    Coin { digest: digest_of(text), issued_at: Timestamp(u64::from(u32::from_be_bytes(time)) * 1000) }
}

fn marked(mut bytes: Vec<u8>, key: &hmac::Key) -> String {
    let mark = hmac::sign(key, &bytes);
    bytes.extend_from_slice(&mark.as_ref()[..MARK_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unmarked<const N: usize>(text: &str, key: &hmac::Key) -> Option<[u8; N]> {
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    let bytes: [u8; N] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (body, mark) = bytes.split_at(N - MARK_BYTES);
    let expected = hmac::sign(key, body);
    let is_ours: bool = subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..MARK_BYTES], mark).into();
    is_ours.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mint_knows_its_own_tokens_and_no_others() {
        let mint = Mint::new(&ClusterKey::new([1; 32]));
        let now = Timestamp(1_767_323_045_000);
        let token = mint.access_token(now);
        assert_eq!(mint.read_access(&token).unwrap().issued_at, now);
        assert_eq!(token.len(), 64);
        assert_eq!(mint.read_refresh(&token), None);
        assert_eq!(Mint::new(&ClusterKey::new([2; 32])).read_access(&token), None);
        for made_up in ["", "a", &"A".repeat(64), &token[1..], &format!("{token}A"), "é€é€"] {
            assert_eq!(mint.read_access(made_up), None, "{made_up}");
        }
        let family = Family::draw();
        let refresh = mint.refresh_token(now, family);
        assert_eq!(mint.read_refresh(&refresh).unwrap().1, family);
        let code = mint.draw(Kind::Code, now);
        assert!(mint.read(Kind::Code, &code).is_some());
        assert_eq!((mint.read(Kind::SignIn, &code), mint.read_access(&code)), (None, None), "a code is no other thing");
        let form = mint.form_token("cookie", "consent", "a=b");
        assert!(mint.is_form_token(&form, "cookie", "consent", "a=b"));
        assert!(!mint.is_form_token(&form, "cookie", "sign-in", "a=b"));
        assert!(!mint.is_form_token(&form, "other", "consent", "a=b"));
    }
}
