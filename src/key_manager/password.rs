//! Passwords: hashed with argon2id, checked away from the threads that serve requests, with a bound on guesses.
//!
//! A good check is remembered for a short time under a keyed digest of user, password and stored hash, so that a REST
//! call with basic authentication does not cost tens of milliseconds. When the user's hash changes, what was remembered
//! no longer matches. A failed check is never remembered; it counts. Roles and locks are not looked at here.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::hmac;
use portcullis_database::handle::random_bytes;
use portcullis_model::{TenantDomain, Username};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::bound::{
    FAILURE_PAUSE_MAX, FAILURES_FORGOTTEN, FAILURES_FREE, FAILURES_FREE_OF_ADDRESS, FAILURES_MAX, PASSWORD_BYTES_MAX,
    PASSWORD_TURN_WAIT, VERIFIED_PASSWORD_KEPT, VERIFIED_PASSWORDS_MAX,
};

/// What stands for a hash that is not kept here.
const ELSEWHERE: &str = "elsewhere";

/// Returns a password as an argon2id string in PHC form with a random salt, to be stored.
///
/// # Panics
/// Where the operating system has no randomness, or the password is longer than 4 GiB.
#[must_use]
pub fn hash_password(password: &str) -> String {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).expect("the operating system must provide random bytes");
    hash.to_string()
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The password is the user's.
    Good {
        /// Whether it was hashed to find out, rather than remembered.
        is_new: bool,
    },
    /// It is not.
    Bad {
        /// How many failed checks of the user in a row this node has seen.
        in_a_row: u32,
    },
    /// It was not checked: too many failed before it, or too many wait.
    NotNow,
}

/// A user, by tenant and name.
pub(crate) type UserKey = (TenantDomain, Username);

/// Checks passwords.
pub(crate) struct Passwords {
    key: hmac::Key,
    verified: Cache<[u8; 32], Instant>,
    failures: Cache<UserKey, Arc<Mutex<Tally>>>,
    addresses: Cache<IpAddr, Arc<Mutex<Tally>>>,
    turns: Arc<Semaphore>,
}

/// The failed checks of one user in a row.
#[derive(Default)]
struct Tally {
    count: u32,
    last: Option<Instant>,
}

impl Passwords {
    /// Starts with nothing remembered.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            verified: Cache::new(VERIFIED_PASSWORDS_MAX),
            failures: Cache::new(FAILURES_MAX),
            addresses: Cache::new(FAILURES_MAX),
            turns: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Checks a password against the stored hash; `None` for a user that does not exist, which takes as long and fails.
    /// Who failed often from an address waits as who failed often with a user does.
    pub async fn check(&self, user: &UserKey, password: &str, hash: Option<&str>, origin: Option<IpAddr>) -> Check {
        if password.len() > PASSWORD_BYTES_MAX {
            return Check::Bad { in_a_row: 0 };
        }
        let remembered_as = self.remembered_as(user, password, hash.unwrap_or_default());
        if hash.is_some() && self.verified.get(&remembered_as).is_some_and(|at| at.elapsed() < VERIFIED_PASSWORD_KEPT) {
            return Check::Good { is_new: false };
        }
        if self.must_wait(user, origin) {
            return Check::NotNow;
        }
        let Ok(Ok(turn)) = tokio::time::timeout(PASSWORD_TURN_WAIT, Arc::clone(&self.turns).acquire_owned()).await
        else {
            return Check::NotNow;
        };
        let (stored, password) = (hash.map(str::to_owned), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            let verified = verify(&password, stored.as_deref().unwrap_or_else(|| nobodys_hash()));
            drop(turn);
            verified
        })
        .await;
        match verified {
            Ok(true) if hash.is_some() => {
                self.verified.insert(remembered_as, Instant::now());
                self.failures.remove(user);
                Check::Good { is_new: true }
            }
            Ok(_) => self.count(user, origin),
            Err(failed) => {
                tracing::error!(%failed, "a password check did not end");
                Check::NotNow
            }
        }
    }

    /// Has a password checked elsewhere, with the same bound on guesses: `ask` says who it is, `None` for nobody. A good check is
    /// remembered as others are.
    pub async fn check_elsewhere<T, E>(
        &self,
        user: &UserKey,
        password: &str,
        origin: Option<IpAddr>,
        ask: impl Future<Output = Result<Option<T>, E>>,
    ) -> (Check, Option<T>) {
        if password.len() > PASSWORD_BYTES_MAX {
            return (Check::Bad { in_a_row: 0 }, None);
        }
        let remembered_as = self.remembered_as(user, password, ELSEWHERE);
        if self.verified.get(&remembered_as).is_some_and(|at| at.elapsed() < VERIFIED_PASSWORD_KEPT) {
            return (Check::Good { is_new: false }, None);
        }
        if self.must_wait(user, origin) {
            return (Check::NotNow, None);
        }
        match ask.await {
            Ok(Some(who)) => {
                self.verified.insert(remembered_as, Instant::now());
                self.failures.remove(user);
                (Check::Good { is_new: true }, Some(who))
            }
            Ok(None) => (self.count(user, origin), None),
            Err(_) => (Check::NotNow, None),
        }
    }

    /// Says whether too many checks failed before the next one.
    fn must_wait(&self, user: &UserKey, origin: Option<IpAddr>) -> bool {
        let pause_of_address =
            origin.map_or(Duration::ZERO, |origin| pause_of(&self.addresses, &origin, FAILURES_FREE_OF_ADDRESS));
        pause_of(&self.failures, user, FAILURES_FREE).max(pause_of_address) > Duration::ZERO
    }

    /// Counts a failed check.
    fn count(&self, user: &UserKey, origin: Option<IpAddr>) -> Check {
        if let Some(origin) = origin {
            count_failure(&self.addresses, &origin);
        }
        Check::Bad { in_a_row: count_failure(&self.failures, user) }
    }

    fn remembered_as(&self, user: &UserKey, password: &str, hash: &str) -> [u8; 32] {
        let parts = [user.0.0.as_str(), user.1.0.as_str(), password, hash];
        // No more than fits, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| size_of::<u64>() + part.len()).sum()));
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.key, &text).as_ref());
        digest
    }
}

/// The failed checks of something, by what failed.
type Tallies<K> = Cache<K, Arc<Mutex<Tally>>>;

/// Returns how long the next check must wait: nothing after a few failures, then 1 s, 2 s, 4 s, …
fn pause_of<K: Hash + Eq>(tallies: &Tallies<K>, of: &K, free: u32) -> Duration {
    let Some(tally) = tallies.get(of) else { return Duration::ZERO };
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(last), Some(above)) = (tally.last, tally.count.checked_sub(free)) else {
        return Duration::ZERO;
    };
    let pause = Duration::from_secs(1_u64.checked_shl(above).unwrap_or(u64::MAX)).min(FAILURE_PAUSE_MAX);
    pause.saturating_sub(last.elapsed())
}

/// Counts a failure, and returns how many there were in a row.
fn count_failure<K: Hash + Eq + Clone>(tallies: &Tallies<K>, of: &K) -> u32 {
    let tally = tallies.get(of).unwrap_or_else(|| {
        let tally = Arc::new(Mutex::new(Tally::default()));
        tallies.insert(of.clone(), Arc::clone(&tally));
        tally
    });
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    if tally.last.is_some_and(|last| last.elapsed() > FAILURES_FORGOTTEN) {
        tally.count = 0;
    }
    tally.count = tally.count.saturating_add(1);
    tally.last = Some(Instant::now());
    tally.count
}

fn verify(password: &str, stored: &str) -> bool {
    match PasswordHash::new(stored) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(damaged) => {
            tracing::error!(%damaged, "a stored password hash is not in PHC form");
            false
        }
    }
}

/// A hash that is checked in place of that of a user who does not exist, so that the time tells nothing.
fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash_password("nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserKey {
        (TenantDomain::super_tenant(), Username("admin".to_owned()))
    }

    #[tokio::test]
    async fn a_changed_password_is_not_accepted_from_memory() {
        let passwords = Passwords::new();
        let (old, new) = (hash_password("old"), hash_password("new"));
        assert_eq!(passwords.check(&user(), "old", Some(&old), None).await, Check::Good { is_new: true });
        assert_eq!(passwords.check(&user(), "old", Some(&old), None).await, Check::Good { is_new: false });
        assert_eq!(passwords.check(&user(), "old", Some(&new), None).await, Check::Bad { in_a_row: 1 });
        assert_eq!(passwords.check(&user(), "", None, None).await, Check::Bad { in_a_row: 2 });
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_but_does_not_lock_out_who_signed_in_before() {
        let passwords = Passwords::new();
        let hash = hash_password("right");
        assert_eq!(passwords.check(&user(), "right", Some(&hash), None).await, Check::Good { is_new: true });
        for in_a_row in 1..=FAILURES_FREE {
            assert_eq!(passwords.check(&user(), "wrong", Some(&hash), None).await, Check::Bad { in_a_row });
        }
        assert_eq!(passwords.check(&user(), "wrong", Some(&hash), None).await, Check::NotNow);
        assert_eq!(passwords.check(&user(), "right", Some(&hash), None).await, Check::Good { is_new: false });
    }
}
