//! Passwords: hashed with argon2id, checked away from the threads that serve requests, with a bound on guesses.
//!
//! A good check is remembered for a short time under a keyed digest of user, password and stored hash, so that a REST
//! call with basic authentication does not cost tens of milliseconds. When the user's hash changes, what was remembered
//! no longer matches. A failed check is never remembered; it counts. Roles and locks are not looked at here.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::hmac;
use portcullis_database::handle::random_bytes;
use portcullis_model::{TenantDomain, Username};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::bound::{
    FAILURE_PAUSE_MAX, FAILURES_FORGOTTEN, FAILURES_FREE, FAILURES_MAX, PASSWORD_BYTES_MAX, PASSWORD_TURN_WAIT,
    VERIFIED_PASSWORD_KEPT, VERIFIED_PASSWORDS_MAX,
};

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
    Good,
    /// It is not.
    Bad,
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
            turns: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Checks a password against the stored hash; `None` for a user that does not exist, which takes as long and fails.
    pub async fn check(&self, user: &UserKey, password: &str, hash: Option<&str>) -> Check {
        if password.len() > PASSWORD_BYTES_MAX {
            return Check::Bad;
        }
        let remembered_as = self.remembered_as(user, password, hash.unwrap_or_default());
        if hash.is_some() && self.verified.get(&remembered_as).is_some_and(|at| at.elapsed() < VERIFIED_PASSWORD_KEPT) {
            return Check::Good;
        }
        if self.pause_of(user) > Duration::ZERO {
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
                Check::Good
            }
            Ok(_) => {
                self.count_failure(user);
                Check::Bad
            }
            Err(failed) => {
                tracing::error!(%failed, "a password check did not end");
                Check::NotNow
            }
        }
    }

    fn remembered_as(&self, user: &UserKey, password: &str, hash: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.0.0.as_str(), user.1.0.as_str(), password, hash] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    /// Returns how long the next check of the user must wait: nothing after a few failures, then 1 s, 2 s, 4 s, …
    fn pause_of(&self, user: &UserKey) -> Duration {
        let Some(tally) = self.failures.get(user) else { return Duration::ZERO };
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(last), Some(above)) = (tally.last, tally.count.checked_sub(FAILURES_FREE)) else {
            return Duration::ZERO;
        };
        let pause = Duration::from_secs(1_u64.checked_shl(above).unwrap_or(u64::MAX)).min(FAILURE_PAUSE_MAX);
        pause.saturating_sub(last.elapsed())
    }

    fn count_failure(&self, user: &UserKey) {
        let tally = self.failures.get(user).unwrap_or_else(|| {
            let tally = Arc::new(Mutex::new(Tally::default()));
            self.failures.insert(user.clone(), Arc::clone(&tally));
            tally
        });
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.last.is_some_and(|last| last.elapsed() > FAILURES_FORGOTTEN) {
            tally.count = 0;
        }
        tally.count = tally.count.saturating_add(1);
        tally.last = Some(Instant::now());
    }
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
        assert_eq!(passwords.check(&user(), "old", Some(&old)).await, Check::Good);
        assert_eq!(passwords.check(&user(), "old", Some(&old)).await, Check::Good);
        assert_eq!(passwords.check(&user(), "old", Some(&new)).await, Check::Bad);
        assert_eq!(passwords.check(&user(), "", None).await, Check::Bad);
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_but_does_not_lock_out_who_signed_in_before() {
        let passwords = Passwords::new();
        let hash = hash_password("right");
        assert_eq!(passwords.check(&user(), "right", Some(&hash)).await, Check::Good);
        for _ in 0..FAILURES_FREE {
            assert_eq!(passwords.check(&user(), "wrong", Some(&hash)).await, Check::Bad);
        }
        assert_eq!(passwords.check(&user(), "wrong", Some(&hash)).await, Check::NotNow);
        assert_eq!(passwords.check(&user(), "right", Some(&hash)).await, Check::Good);
    }
}
