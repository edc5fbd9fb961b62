//! Bounds how often one address may try to join. The secret cannot be guessed; this keeps tries from becoming load on
//! the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Tries of one address per window.
const TRIES_MAX: u32 = 20;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond that, new ones wait until others are forgotten.
const ADDRESSES_MAX: usize = 4096;

/// Tries to join by address.
#[derive(Debug, Default)]
pub(crate) struct JoinRate {
    tries: HashMap<IpAddr, (Instant, u32)>,
}

impl JoinRate {
    /// Notes a try, or says how long to wait.
    pub(crate) fn note(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.tries.contains_key(&address) && self.tries.len() >= ADDRESSES_MAX {
            self.tries.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
            if self.tries.len() >= ADDRESSES_MAX {
                return Err(WINDOW);
            }
        }
        let (began, count) = self.tries.entry(address).or_insert((now, 0));
        if now.duration_since(*began) >= WINDOW {
            (*began, *count) = (now, 0);
        }
        if *count >= TRIES_MAX {
            return Err(WINDOW - now.duration_since(*began));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_tries_too_often_waits_and_others_do_not() {
        let mut rate = JoinRate::default();
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let now = Instant::now();
        for _ in 0..TRIES_MAX {
            assert_eq!(rate.note(one, now), Ok(()));
        }
        assert_eq!(rate.note(one, now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(rate.note(other, now), Ok(()));
        assert_eq!(rate.note(one, now + WINDOW), Ok(()));
    }
}
