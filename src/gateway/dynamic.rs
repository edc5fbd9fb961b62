//! Backends that a policy names call by call (`endpoint_type` `default`): what stands in `To` when a call's request flow
//! has ended. A backend is kept for the next call to the same scheme, host and port; path and query are each call's own.
//! What a caller itself sent in `To` is never looked at.

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
use url::{Position, Url};

use crate::forward::{self, CallBody, Passage};
use crate::off_path;
use crate::refusal::Refusal;
use crate::route::endpoint::{EndpointGroup, Origins};
use crate::upstream::authorities::Authorities;
use crate::worker::Worker;

/// The header that names the backend.
pub(crate) const TO: HeaderName = HeaderName::from_static("to");
/// Backends of this kind that one worker knows at a time, of one API and type of key: none takes the room of another.
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

    /// Returns where a call goes.
    ///
    /// # Errors
    /// Where that is no address, or one that is not allowed.
    fn address(&self, to: &To) -> Result<Url, Refusal> {
        if to.is_callers && self.allowed.is_empty() {
            return Err(Refusal::address_not_allowed());
        }
        let text = to.value.to_str().map_err(|_| Refusal::no_such_address("it has bytes that no address has"))?;
        let url = dynamic_endpoint::address(text).map_err(|bad| Refusal::no_such_address(bad.to_string()))?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed.allows(&url)) {
            return Err(Refusal::address_not_allowed());
        }
        Ok(url)
    }

    /// Makes the backend of an address without path and query.
    fn group(&self, base: &str, origins: &mut Origins) -> Result<EndpointGroup, Refusal> {
        origins.trust_as(self.trust.as_ref());
        let designed = DesignedEndpoint { url: base.to_owned(), timeout_ms: self.timeout_ms };
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
    /// By the number of what an API says of them.
    of_api: HashMap<u64, Bases, RandomState>,
}

/// Those of one API and type of key, by address without path and query.
type Bases = HashMap<Box<str>, Entry, RandomState>;

struct Entry {
    group: Rc<EndpointGroup>,
    used_at_ms: u64,
}

impl Dynamics {
    /// Returns the backend that a call goes to, and the whole address.
    ///
    /// # Errors
    /// Where it is none, or not allowed, or too many of this API are known.
    fn find(&self, dynamic: &Dynamic, to: &To, now_ms: u64) -> Result<(Rc<EndpointGroup>, Url), Refusal> {
        let url = dynamic.address(to)?;
        let base = &url[..Position::BeforePath];
        let known = &mut *self.0.borrow_mut();
        let bases = known.of_api.entry(dynamic.id).or_default();
        if let Some(entry) = bases.get_mut(base) {
            entry.used_at_ms = now_ms;
            return Ok((Rc::clone(&entry.group), url));
        }
        if bases.len() >= ADDRESSES_MAX && !make_room(bases, now_ms) {
            return Err(Refusal::too_many_addresses());
        }
        let origins = known.origins.get_or_insert_with(|| Origins::of_worker(Arc::clone(&dynamic.authorities)));
        let group = Rc::new(dynamic.group(base, origins)?);
        bases.insert(base.into(), Entry { group: Rc::clone(&group), used_at_ms: now_ms });
        Ok((group, url))
    }

    /// Forgets those that were not called for a while.
    pub(crate) fn expire(&self, now_ms: u64) {
        let known = &mut *self.0.borrow_mut();
        if known.of_api.is_empty() {
            return;
        }
        known.of_api.retain(|_, bases| {
            bases.retain(|_, entry| now_ms.saturating_sub(entry.used_at_ms) < KEPT_MS);
            !bases.is_empty()
        });
        if let Some(origins) = &mut known.origins {
            origins.forget_unused();
        }
    }
}

/// Forgets the one that was not called for longest; says whether that is long enough.
fn make_room(bases: &mut Bases, now_ms: u64) -> bool {
    let oldest = bases.iter().min_by_key(|(_, entry)| entry.used_at_ms);
    let Some((base, _)) = oldest.filter(|(_, entry)| now_ms.saturating_sub(entry.used_at_ms) >= IDLE_MS) else {
        return false;
    };
    let base = base.clone();
    bases.remove(&base);
    true
}

/// Returns path and query of a call below an address, as they would be with an endpoint of that address.
fn below(url: &Url, rest: &str, query: Option<&str>) -> (String, Option<String>) {
    let path = format!("{}{rest}", url.path().trim_end_matches('/'));
    let query = match (url.query().filter(|own| !own.is_empty()), query) {
        (Some(own), Some(query)) => Some(format!("{own}&{query}")),
        (own, query) => own.or(query).map(str::to_owned),
    };
    (path, query)
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
            let body = off_path::boxed(move || aside.copy(worker, passage, body)).await?;
            let chosen = aside.choose(worker, ordinary, passage);
            (Some(chosen).filter(|chosen| chosen.dynamic.is_none()), body)
        }
    };
    let proof = ordinary.proof.as_ref();
    if let Some(canary) = canary {
        return forward::to_group(worker, passage, (canary, proof), body).await;
    }
    let to = passage.to.ok_or_else(Refusal::no_address)?;
    let named = worker.dynamics.find(dynamic, to, worker.alarms.now_ms()).inspect_err(|refusal| {
        debug!(api = %passage.api.id, to = ?to.value, code = refusal.number(), "address not called");
    });
    let (group, url) = named?;
    // A call has one backend of this kind.
    passage.way.address.get_or_init(|| Arc::clone(&group.endpoints[0].address));
    let (rest, query) = below(&url, passage.rest, passage.query);
    let passage = Passage { rest: &rest, query: query.as_deref(), ..*passage };
    forward::to_group(worker, &passage, (&*group, proof), body).await
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
    fn as_many_backends_are_known_of_an_api_as_there_is_room_and_none_in_use_makes_room() {
        let mut origins = Origins::default();
        let (one, other) = (dynamic(&[], &mut origins), dynamic(&[], &mut origins));
        let dynamics = Dynamics::default();
        let find = |of: &Dynamic, value: &str, now_ms: u64| dynamics.find(of, &to(value, false), now_ms);
        let (first, _) = find(&one, "http://b0", 0).unwrap();
        let (others, _) = find(&other, "http://b0", 0).unwrap();
        for number in 1..ADDRESSES_MAX {
            find(&one, &format!("http://b{number}"), 1_000).unwrap();
        }
        assert!(find(&one, "http://one-more", IDLE_MS - 1).is_err());
        let (again, _) = find(&one, "http://b0", IDLE_MS - 1).unwrap();
        assert!(Rc::ptr_eq(&first, &again), "it is the same while it is known");
        find(&other, "http://one-more", IDLE_MS - 1).expect("another API has its own room");
        find(&one, "http://one-more", 1_000 + IDLE_MS).unwrap();
        let (again, _) = find(&one, "http://b0", 1_000 + IDLE_MS).unwrap();
        assert!(Rc::ptr_eq(&first, &again), "another one made room, which was not called for longer");
        let (again, _) = find(&other, "http://b0", 1_000 + IDLE_MS).unwrap();
        assert!(Rc::ptr_eq(&others, &again), "none of another API made room, though it was not called for longest");
        dynamics.expire(1_000 + IDLE_MS + KEPT_MS);
        assert!(dynamics.0.borrow().of_api.is_empty());
    }

    #[test]
    fn path_and_query_make_no_other_backend() {
        let mut origins = Origins::default();
        let (dynamic, dynamics) = (dynamic(&[], &mut origins), Dynamics::default());
        let (first, _) = dynamics.find(&dynamic, &to("http://a.example", false), 0).unwrap();
        for number in 0..2 * ADDRESSES_MAX {
            let value = format!("http://A.example:80/{number}/?id={number}");
            let (group, url) = dynamics.find(&dynamic, &to(&value, false), 0).unwrap();
            assert!(Rc::ptr_eq(&first, &group), "{value}");
            let asked = below(&url, "/menu", Some("a=b"));
            assert_eq!(asked, (format!("/{number}/menu"), Some(format!("id={number}&a=b"))));
        }
        for other in ["https://a.example", "http://a.example:81", "http://b.example"] {
            let (group, _) = dynamics.find(&dynamic, &to(other, false), 0).unwrap();
            assert!(!Rc::ptr_eq(&first, &group), "{other}");
        }
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(below(&url("http://a/?"), "", Some("x")), (String::new(), Some("x".to_owned())));
        assert_eq!(below(&url("http://a/v1?x"), "/y", None), ("/v1/y".to_owned(), Some("x".to_owned())));
        assert_eq!(below(&url("http://a/v1/"), "", None), ("/v1".to_owned(), None));
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
