//! What a key that a worker knows costs each call, for `portcullis bench token`: the look-up and the checks of the request
//! path, without the rest of a call, in which their time is lost.

pub mod routes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use portcullis_model::call_log::CallLogLevel;
use portcullis_model::port::KeyVerdict;
use portcullis_model::{ApiId, ApplicationId, ClientId, KeyType, OperationAuth, TenantDomain, Timestamp, Username};

use crate::authenticate::{self, Known, Verdicts};
use crate::credentials::Shown;
use crate::route::api::Rule;
use crate::route::compile::Projection;

/// The scope that the operation asks for, and every key holds.
const SCOPE: &str = "order";
/// A prime: in steps of it, keys are looked up in an order that no cache foresees.
const STEP: u32 = 7_919;
/// Characters of a key in which it differs from the others.
const OWN_CHARS: usize = 8;

/// Looks `looks` times for one of `count` access tokens of `chars` characters, all of which a worker knows, and returns
/// the time of one: to find the verdict and to check its end, the kind of user and the scope. The key itself is at hand,
/// as it is where a call has just been read; its verdict may be far.
///
/// # Errors
/// How many looks found no verdict, or one that was not good; none should.
pub fn known_keys(count: u32, chars: usize, looks: u32) -> Result<Duration, u32> {
    let (api, now) = (ApiId::from_random([7; 16]), Timestamp(1));
    let projection = Projection::default();
    let verdicts = Verdicts::new(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(2));
    let mut key = vec![b'x'; chars.max(OWN_CHARS)];
    for number in 0..count {
        let shown = Shown::token(text(&mut key, number));
        verdicts.keep(verdicts.key(shown, api), Known::new(shown, verdict(), projection.verdict_generation()));
    }
    let rule = Rule {
        operation: 0,
        resource: "GET /order".into(),
        auth: OperationAuth::Any,
        scopes: vec![vec![SCOPE.to_owned()]],
        part: None,
        plan: None,
        log: CallLogLevel::Off,
    };
    let (mut at, mut missed) = (0, 0);
    let began = Instant::now();
    for _ in 0..looks {
        at = (at + STEP) % count.max(1);
        let shown = Shown::token(black_box(text(&mut key, at)));
        let known = verdicts.find(&verdicts.key(shown, api), projection.verdict_generation());
        if known.is_none_or(|known| authenticate::check(&known, &rule, now).is_err()) {
            missed += 1;
        }
    }
    let took = began.elapsed();
    if missed > 0 { Err(missed) } else { Ok(took / looks.max(1)) }
}

/// Makes `key` the one of a number.
fn text(key: &mut [u8], number: u32) -> &str {
    let end = key.len() - OWN_CHARS;
    key[end..].copy_from_slice(&digits(number));
    std::str::from_utf8(key).unwrap_or_default()
}

/// Returns a number as digits of base 16.
fn digits(number: u32) -> [u8; OWN_CHARS] {
    let mut digits = [0; OWN_CHARS];
    for (digit, shift) in digits.iter_mut().zip((0..8).rev()) {
        *digit = b"0123456789abcdef"[usize::try_from(number >> (shift * 4) & 0xf).unwrap_or(0)];
    }
    digits
}

fn verdict() -> KeyVerdict {
    KeyVerdict {
        client: ClientId("client".to_owned()),
        application: ApplicationId::from_random([1; 16]),
        application_name: "Phone".to_owned(),
        application_owner: Username("anna".to_owned()),
        tenant: TenantDomain::super_tenant(),
        application_policy: "Unlimited".to_owned(),
        key_type: KeyType::Production,
        plan: "Unlimited".to_owned(),
        end_user: Username("anna".to_owned()),
        is_user_token: true,
        scopes: vec!["default".to_owned(), SCOPE.to_owned()],
        expires_at: Timestamp(u64::MAX),
        restriction: None,
        assertion: None,
        binding: None,
        claims: Vec::new(),
        good_until: None,
    }
}

#[cfg(test)]
mod tests {
    use super::known_keys;

    #[test]
    fn every_look_finds_its_key() {
        assert!(known_keys(10, 60, 100).is_ok());
    }
}
