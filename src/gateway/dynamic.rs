//! Backends that a policy names call by call (`endpoint_type` `default`): what stands in `To` when a call's request flow
//! has ended, taken apart and kept for the next call with the same. What a caller itself sent in `To` is never looked at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::{HeaderName, HeaderValue};
use portcullis_model::dynamic_endpoint::{self, AllowedAddress};
use portcullis_model::endpoint_trust::EndpointTrust;
use portcullis_model::{Endpoint as DesignedEndpoint, EndpointCare};
use tracing::debug;

use crate::attempt;
use crate::forward::{self, CallBody, Passage};
use crate::refusal::Refusal;
use crate::route::endpoint::{EndpointGroup, Origins};
use crate::upstream::authorities::Authorities;
use crate::worker::Worker;

/// The header that names the backend.
pub(crate) const TO: HeaderName = HeaderName::from_static("to");
/// Backends of this kind that one worker knows at a time.
const ADDRESSES_MAX: usize = 256;
/// How long one is known after it was called: as long as its unused connections are kept, and longer.
const KEPT_MS: u64 = 60_000;
/// After how long without a call one may make room for another.
const IDLE_MS: u64 = 30_000;

/// What an API says of the backends that its policies name, for one type of key.
#[derive(Debug)]
pub(crate) struct Dynamic {
    /// A number of its own.
    id: u64,
    care: EndpointCare,
    timeout_ms: Option<u64>,
    allowed: Vec<AllowedAddress>,
    /// By what they are trusted.
    authorities: Arc<Authorities>,
    trust: Option<Arc<EndpointTrust>>,
}

/// What stands in `To`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct To {
    pub(crate) value: HeaderValue,
    /// It may be a caller's word: a policy took it from what the caller sent.
    pub(crate) is_callers: bool,
}

impl Dynamic {
    /// Makes it for backends that are trusted as those are that `origins` makes now.
    pub(crate) fn new(
        care: EndpointCare,
        timeout_ms: Option<u64>,
        allowed: Vec<AllowedAddress>,
        origins: &mut Origins,
    ) -> Self {
        let (authorities, trust) = origins.trusting();
        Self { id: origins.next_id(), care, timeout_ms, allowed, authorities, trust }
    }

    fn group(&self, to: &To, origins: &mut Origins) -> Result<EndpointGroup, Refusal> {
        let text = to.value.to_str().map_err(|_| Refusal::no_such_address("it has bytes that no address has"))?;
        let url = dynamic_endpoint::address(text).map_err(|bad| Refusal::no_such_address(bad.to_string()))?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed.allows(&url)) {
            return Err(Refusal::address_not_allowed());
        }
        origins.trust_as(self.trust.as_ref());
        let designed = DesignedEndpoint { url: url.into(), timeout_ms: self.timeout_ms };
        let endpoint = origins.endpoint_with(&designed, &self.care);
        let endpoint = endpoint.map_err(|bad| Refusal::no_such_address(bad.to_string()))?;
        Ok(EndpointGroup { endpoints: vec![endpoint], ..EndpointGroup::none(origins.next_id()) })
    }
}

/// The backends of this kind that a worker knows.
#[derive(Default)]
pub(crate) struct Dynamics(RefCell<Known>);

#[derive(Default)]
struct Known {
    /// Made with the first one.
    origins: Option<Origins>,
    /// By the number of what an API says of them, and address.
    by_address: HashMap<(u64, HeaderValue), Entry, RandomState>,
}

struct Entry {
    group: Rc<EndpointGroup>,
    used_at_ms: u64,
}

impl Dynamics {
    /// Returns the backend that a call goes to.
    ///
    /// # Errors
    /// Where it is none, or not allowed, or too many are known.
    fn find(&self, dynamic: &Dynamic, to: &To, now_ms: u64) -> Result<Rc<EndpointGroup>, Refusal> {
        if to.is_callers && dynamic.allowed.is_empty() {
            return Err(Refusal::address_not_allowed());
        }
        let known = &mut *self.0.borrow_mut();
        let key = (dynamic.id, to.value.clone());
        if let Some(entry) = known.by_address.get_mut(&key) {
            entry.used_at_ms = now_ms;
            return Ok(Rc::clone(&entry.group));
        }
        let origins = known.origins.get_or_insert_with(|| Origins::of_worker(Arc::clone(&dynamic.authorities)));
        let group = Rc::new(dynamic.group(to, origins)?);
        if known.by_address.len() >= ADDRESSES_MAX && !known.make_room(now_ms) {
            return Err(Refusal::too_many_addresses());
        }
        known.by_address.insert(key, Entry { group: Rc::clone(&group), used_at_ms: now_ms });
        Ok(group)
    }

    /// Forgets those that were not called for a while.
    pub(crate) fn expire(&self, now_ms: u64) {
        let known = &mut *self.0.borrow_mut();
        if known.by_address.is_empty() {
            return;
        }
        known.by_address.retain(|_, entry| now_ms.saturating_sub(entry.used_at_ms) < KEPT_MS);
        if let Some(origins) = &mut known.origins {
            origins.forget_unused();
        }
    }
}

impl Known {
    /// Forgets the one that was not called for longest; says whether that is long enough.
    fn make_room(&mut self, now_ms: u64) -> bool {
        let oldest = self.by_address.iter().min_by_key(|(_, entry)| entry.used_at_ms);
        let Some((key, _)) = oldest.filter(|(_, entry)| now_ms.saturating_sub(entry.used_at_ms) >= IDLE_MS) else {
            return false;
        };
        let key = key.clone();
        self.by_address.remove(&key);
        true
    }
}

/// Passes a call on to the backend that its policies named. `ordinary` says how.
///
/// # Errors
/// What the caller is told where there is none, or none answers.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    passage: &Passage<'_>,
    (ordinary, dynamic): (&EndpointGroup, &Dynamic),
    body: CallBody,
) -> Result<http::Response<crate::body::ReplyBody>, Refusal> {
    let (canary, body) = match &ordinary.aside {
        None => (None, body),
        Some(aside) => {
            let body = Box::pin(aside.copy(worker, passage, body)).await?;
            let chosen = aside.choose(worker, ordinary, &passage.request.headers);
            (Some(chosen).filter(|chosen| chosen.dynamic.is_none()), body)
        }
    };
    let named;
    let group = match canary {
        Some(canary) => canary,
        None => {
            let to = passage.to.ok_or_else(Refusal::no_address)?;
            named = worker.dynamics.find(dynamic, to, worker.alarms.now_ms()).inspect_err(|refusal| {
                debug!(api = %passage.api.id, to = ?to.value, code = refusal.number(), "address not called");
            })?;
            // A call has one backend of this kind.
            passage.way.address.get_or_init(|| Arc::clone(&named.endpoints[0].address));
            &*named
        }
    };
    if let Some(proof) = &ordinary.proof {
        return crate::proof::forward(worker, passage, group, proof, body).await;
    }
    let outcome = match body.begin(worker, passage).await {
        Ok(body) => attempt::try_endpoints(worker, passage, group, body).await,
        Err(error) => Err(error),
    };
    forward::reply(worker, passage, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(allowed: &[&str], origins: &mut Origins) -> Dynamic {
        let allowed = allowed.iter().map(|text| AllowedAddress::parse(text).unwrap()).collect();
        Dynamic::new(EndpointCare::default(), None, allowed, origins)
    }

    fn to(value: &str, is_callers: bool) -> To {
        To { value: HeaderValue::from_str(value).unwrap(), is_callers }
    }

    #[test]
    fn as_many_addresses_are_known_as_there_is_room_and_none_in_use_makes_room() {
        let mut origins = Origins::default();
        let (dynamic, dynamics) = (dynamic(&[], &mut origins), Dynamics::default());
        let first = dynamics.find(&dynamic, &to("http://b0", false), 0).unwrap();
        for number in 1..ADDRESSES_MAX {
            dynamics.find(&dynamic, &to(&format!("http://b{number}"), false), 1_000).unwrap();
        }
        assert!(dynamics.find(&dynamic, &to("http://one-more", false), IDLE_MS - 1).is_err());
        let again = dynamics.find(&dynamic, &to("http://b0", false), IDLE_MS - 1).unwrap();
        assert!(Rc::ptr_eq(&first, &again), "it is the same while it is known");
        dynamics.find(&dynamic, &to("http://one-more", false), 1_000 + IDLE_MS).unwrap();
        let again = dynamics.find(&dynamic, &to("http://b0", false), 1_000 + IDLE_MS).unwrap();
        assert!(Rc::ptr_eq(&first, &again), "another one made room, which was not called for longer");
        dynamics.expire(1_000 + IDLE_MS + KEPT_MS);
        assert!(dynamics.0.borrow().by_address.is_empty());
    }

    #[test]
    fn a_callers_word_counts_only_where_it_is_on_the_list() {
        let mut origins = Origins::default();
        let dynamics = Dynamics::default();
        let (open, listed) = (dynamic(&[], &mut origins), dynamic(&["https://*.a.example"], &mut origins));
        let is_found = |dynamic: &Dynamic, to: &To| dynamics.find(dynamic, to, 0).is_ok();
        assert!(is_found(&open, &to("http://anywhere", false)));
        assert!(!is_found(&open, &to("http://anywhere", true)), "known by now, and still not the caller's to say");
        assert!(is_found(&listed, &to("https://b.a.example", true)));
        assert!(
            !is_found(&listed, &to("https://b.example", true)) && !is_found(&listed, &to("https://b.example", false))
        );
    }
}
