//! Answers of backends that are given again without asking (RFC 9111), for APIs whose publisher switched that on
//! (`responseCachingEnabled`). Each worker keeps its own, so that nothing is shared; together they are bounded in bytes.
//!
//! Kept are answers 200, 203 and 204 to GET with a body that is known to be complete. The backend has the last word:
//! `no-store`, `no-cache`, `private`, `Set-Cookie` and `Vary: *` keep an answer out, `s-maxage`, `max-age` and `Expires` say
//! how long it is good; where it says nothing, the publisher's timeout holds. A deployment forgets what was kept, and a call
//! that may have changed what a path stands for forgets all answers of that path (RFC 9111 §4.4), at every worker.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, EXPIRES,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, SET_COOKIE, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use portcullis_model::KeyType;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::body::ReplyBody;

/// Says that an answer was kept here (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Bytes of one body that is kept.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Answers to one address that differ by what the caller accepts.
const VARIANTS_MAX: usize = 8;
/// Addresses that a cache makes room for at first.
const ADDRESSES: usize = 64;
/// Counts of changes: paths that share one forget each other's answers.
const CHANGES: usize = 4096;
/// What an answer is told apart by though its backend does not say so.
const ALWAYS_VARIES: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// What an answer is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Address {
    /// The number of the API as it was compiled: a new deployment has another.
    api: u64,
    key_type: KeyType,
    /// Path and query as they came.
    target: Box<str>,
}

/// How often what paths stand for may have changed, as all workers of a gateway count it.
pub(crate) struct Changes {
    counts: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Default for Changes {
    fn default() -> Self {
        Self { counts: (0..CHANGES).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Changes {
    fn of(&self, api: u64, path: &str) -> &AtomicU32 {
        // Below the length, and so a usize.
        &self.counts[(self.hasher.hash_one((api, path)) % CHANGES as u64) as usize]
    }
}

/// A call that may change what its path stands for: what was kept of that path, or was asked for until the call is over, is not
/// given again.
pub(crate) struct Changing<'a>(&'a AtomicU32);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// The answers to one address.
struct Variants {
    /// The fields of calls by which they differ, beside [`ALWAYS_VARIES`].
    varies_by: Vec<HeaderName>,
    all: Vec<Kept>,
    bytes: u64,
}

/// An answer that is kept.
struct Kept {
    /// The values of the call's fields by which answers differ.
    asked: Vec<Option<HeaderValue>>,
    /// The changes of its path when it was asked for.
    changes: u32,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    kept_at: Instant,
    /// How old it was when it came.
    age: Duration,
    good_for: Duration,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Address, Rc<Variants>> for Bytewise {
    fn weight(&self, _address: &Address, variants: &Rc<Variants>) -> u64 {
        variants.bytes
    }
}

/// The answers that a worker keeps.
pub(crate) struct Answers {
    kept: RefCell<Cache<Address, Rc<Variants>, Bytewise>>,
    changes: Arc<Changes>,
}

/// What one call is looked up by.
pub(crate) struct Lookup<'a> {
    address: Address,
    /// The call's fields, for what the answer will differ by.
    asked: &'a HeaderMap,
    /// The changes of its path until now.
    changes: u32,
    timeout: Duration,
}

impl Answers {
    /// Keeps at most `bytes` bytes.
    pub(crate) fn new(bytes: u64, changes: Arc<Changes>) -> Self {
        Self { kept: RefCell::new(Cache::with_weighter(ADDRESSES, bytes, Bytewise)), changes }
    }

    /// Returns what to look a call up by; `None` for one whose answer is neither kept nor given again.
    pub(crate) fn lookup<'a>(
        &self,
        api: u64,
        timeout: Duration,
        key_type: KeyType,
        request: &'a Parts,
    ) -> Option<Lookup<'a>> {
        let asks_for_more = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_MODIFIED_SINCE];
        let is_plain = request.method == Method::GET
            && !asks_for_more.iter().any(|name| request.headers.contains_key(name))
            && !has_directive(&request.headers, "no-store");
        if !is_plain {
            return None;
        }
        let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
        let address = Address { api, key_type, target: target.into() };
        let changes = self.changes.of(api, request.uri.path()).load(Ordering::Acquire);
        Some(Lookup { address, asked: &request.headers, changes, timeout })
    }

    /// Returns what is to be held until a call with a method that is not safe (RFC 9110 §9.2.1) is over.
    pub(crate) fn changing(&self, api: u64, request: &Parts) -> Option<Changing<'_>> {
        (!request.method.is_safe()).then(|| Changing(self.changes.of(api, request.uri.path())))
    }

    /// Returns a kept answer that is good for the call.
    pub(crate) fn find(&self, lookup: &Lookup<'_>, now: Instant) -> Option<Response<ReplyBody>> {
        if has_directive(lookup.asked, "no-cache") || lookup.asked.get(PRAGMA).is_some_and(|value| value == "no-cache")
        {
            return None;
        }
        let variants = Rc::clone(self.kept.borrow_mut().get(&lookup.address)?);
        let asked = asked_by(lookup.asked, &variants.varies_by);
        let is_it =
            |kept: &&Kept| kept.asked == asked && kept.changes == lookup.changes && kept.age_at(now) < kept.good_for;
        let kept = variants.all.iter().find(is_it)?;
        Some(kept.reply(lookup.asked, now))
    }

    fn keep(&self, address: Address, answer: Kept, varies_by: Vec<HeaderName>) {
        let mut cache = self.kept.borrow_mut();
        let before = cache.get(&address).map(Rc::clone);
        let now = answer.kept_at;
        let mut all: Vec<Kept> = Vec::new();
        if let Some(before) = before.filter(|before| before.varies_by == varies_by) {
            let is_left = |kept: &&Kept| {
                kept.asked != answer.asked && kept.changes == answer.changes && kept.age_at(now) < kept.good_for
            };
            all.extend(before.all.iter().filter(is_left).take(VARIANTS_MAX - 1).map(Kept::share));
        }
        all.insert(0, answer);
        let bytes = all.iter().map(Kept::bytes).sum::<u64>() + address.target.len() as u64;
        cache.insert(address, Rc::new(Variants { varies_by, all, bytes }));
    }
}

impl Kept {
    fn age_at(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.kept_at)
    }

    fn bytes(&self) -> u64 {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
        (self.body.len() + fields.sum::<usize>() + size_of::<Self>()) as u64
    }

    fn share(&self) -> Self {
        Self {
            asked: self.asked.clone(),
            changes: self.changes,
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone(),
            kept_at: self.kept_at,
            age: self.age,
            good_for: self.good_for,
        }
    }

    fn reply(&self, asked: &HeaderMap, now: Instant) -> Response<ReplyBody> {
        let is_known = self.headers.get(ETAG).is_some_and(|tag| is_among(tag, asked));
        let body = if is_known { Bytes::new() } else { self.body.clone() };
        let mut response = Response::new(ReplyBody::whole(body));
        *response.status_mut() = if is_known { StatusCode::NOT_MODIFIED } else { self.status };
        *response.headers_mut() = self.headers.clone();
        let headers = response.headers_mut();
        if is_known {
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
        }
        headers.insert(AGE, self.age_at(now).as_secs().into());
        headers.insert(CACHE_STATUS, HeaderValue::from_static("portcullis; hit"));
        response
    }
}

/// Says whether a tag is among those that the caller has (RFC 9110 §13.1.2, weak comparison).
fn is_among(tag: &HeaderValue, asked: &HeaderMap) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(tag) = tag.to_str() else { return false };
    let texts = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

fn asked_by(headers: &HeaderMap, varies_by: &[HeaderName]) -> Vec<Option<HeaderValue>> {
    ALWAYS_VARIES.iter().chain(varies_by).map(|name| headers.get(name).cloned()).collect()
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    directives(headers).any(|one| one.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case(name)))
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    directives(headers).find_map(|one| {
        let (key, value) = one.split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().trim_matches('"').parse().ok().map(Duration::from_secs)).flatten()
    })
}

/// How long an answer may be given again; `None` for not at all.
fn good_for(status: StatusCode, headers: &HeaderMap, timeout: Duration) -> Option<Duration> {
    let is_kind = matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION | StatusCode::NO_CONTENT);
    let is_stream = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let is_forbidden = ["no-store", "no-cache", "private"].iter().any(|name| has_directive(headers, name));
    if !is_kind || is_stream || is_forbidden || headers.contains_key(SET_COOKIE) {
        return None;
    }
    let told = seconds(headers, "s-maxage").or_else(|| seconds(headers, "max-age"));
    let told = told.or_else(|| until_expires(headers));
    Some(told.unwrap_or(timeout)).filter(|time| !time.is_zero())
}

/// Returns for how long an answer is good that says when it ends (RFC 9111 §4.2.1); one that says so with what is no date, such
/// as 0, has ended (§5.3).
fn until_expires(headers: &HeaderMap) -> Option<Duration> {
    let date = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    let Some(ends) = date(headers.get(EXPIRES)?) else { return Some(Duration::ZERO) };
    let from = headers.get(DATE).and_then(date).unwrap_or_else(SystemTime::now);
    Some(ends.duration_since(from).unwrap_or_default())
}

/// The fields by which an answer says that it differs; `None` where it differs by what is not known.
fn varies_by(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in headers.get_all(VARY) {
        for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            // A star is a name by its letters.
            let name: HeaderName = name.parse().ok().filter(|_| name != "*")?;
            if !ALWAYS_VARIES.contains(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    Some(names)
}

/// A body that is kept as it passes.
pub(crate) struct Copying {
    answers: Rc<Answers>,
    address: Address,
    head: Kept,
    varies_by: Vec<HeaderName>,
    body: BytesMut,
}

impl Copying {
    /// Begins to keep an answer; `None` where it may not be kept.
    pub(crate) fn begin(
        answers: &Rc<Answers>,
        lookup: Lookup<'_>,
        response: &Response<ReplyBody>,
        now: Instant,
    ) -> Option<Self> {
        let headers = response.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return None;
        }
        let good_for = good_for(response.status(), headers, lookup.timeout)?;
        let varies_by = varies_by(headers)?;
        let age = headers
            .get(AGE)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        let head = Kept {
            asked: asked_by(lookup.asked, &varies_by),
            changes: lookup.changes,
            status: response.status(),
            headers: headers.clone(),
            body: Bytes::new(),
            kept_at: now,
            age,
            good_for,
        };
        Some(Self { answers: Rc::clone(answers), address: lookup.address, head, varies_by, body: BytesMut::new() })
    }

    /// Takes a piece; says whether it still fits.
    pub(crate) fn take(&mut self, piece: &[u8]) -> bool {
        self.body.extend_from_slice(piece);
        self.body.len() <= BODY_BYTES_MAX
    }

    /// Keeps the answer: its body has come to its end.
    pub(crate) fn finish(mut self) {
        let body = self.body.split().freeze();
        self.finish_with(body);
    }

    /// The same with all of the body at once.
    pub(crate) fn finish_with(self, body: Bytes) {
        if body.len() <= BODY_BYTES_MAX {
            let answer = Kept { body, ..self.head };
            self.answers.keep(self.address, answer, self.varies_by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header fields.
    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn request(target: &str, fields: Fields<'_>) -> Parts {
        let mut builder = http::Request::builder().uri(target);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn answers(bytes: u64) -> Rc<Answers> {
        Rc::new(Answers::new(bytes, Arc::default()))
    }

    fn lookup<'a>(answers: &Answers, request: &'a Parts) -> Option<Lookup<'a>> {
        answers.lookup(1, Duration::from_secs(10), KeyType::Production, request)
    }

    /// Has an answer kept where it may be, and says whether it is given again after `after`.
    fn is_given_again(answer: Fields<'_>, after: Duration, fields: Fields<'_>) -> bool {
        let (answers, now) = (answers(1 << 20), Instant::now());
        let mut response = Response::new(ReplyBody::whole(Bytes::from_static(b"x")));
        for (name, value) in answer {
            response.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        if let Some(copying) =
            Copying::begin(&answers, lookup(&answers, &request("/a", &[("x-user", "ann")])).unwrap(), &response, now)
        {
            response.body_mut().keep(copying);
        }
        answers.find(&lookup(&answers, &request("/a", fields)).unwrap(), now + after).is_some()
    }

    #[test]
    fn the_backend_says_what_may_be_kept_and_for_how_long() {
        let (soon, ann) = (Duration::from_secs(1), [("x-user", "ann")]);
        let noon = ("date", "Sat, 28 Nov 2026 12:00:00 GMT");
        let cases: [(Fields<'_>, u64, bool); 18] = [
            (&[], 9, true),
            (&[], 10, false),
            (&[("cache-control", "public, max-age=60")], 59, true),
            (&[("cache-control", "max-age=60, s-maxage=5")], 6, false),
            (&[("cache-control", "max-age=60"), ("age", "50")], 9, true),
            (&[("cache-control", "max-age=60"), ("age", "50")], 11, false),
            (&[("cache-control", "max-age=0")], 0, false),
            (&[noon, ("expires", "Sat, 28 Nov 2026 12:00:20 GMT")], 19, true),
            (&[noon, ("expires", "Sat, 28 Nov 2026 12:00:20 GMT")], 20, false),
            (&[noon, ("expires", "Sat, 28 Nov 2026 11:00:00 GMT")], 0, false),
            (&[("expires", "Thu, 01 Jan 1970 00:00:00 GMT")], 0, false),
            (&[("expires", "0")], 0, false),
            (&[("expires", "0"), ("cache-control", "max-age=60")], 59, true),
            (&[("cache-control", "Private")], 0, false),
            (&[("cache-control", "no-store")], 0, false),
            (&[("cache-control", "no-cache=\"x\"")], 0, false),
            (&[("set-cookie", "a=b")], 0, false),
            (&[("content-type", "text/event-stream")], 0, false),
        ];
        for (answer, after_s, expected) in cases {
            assert_eq!(
                is_given_again(answer, Duration::from_secs(after_s), &ann),
                expected,
                "{answer:?} after {after_s}"
            );
        }
        assert!(is_given_again(&[("vary", "X-User")], soon, &ann));
        assert!(!is_given_again(&[("vary", "X-User")], soon, &[("x-user", "ben")]));
        assert!(is_given_again(&[("vary", "X-Other")], soon, &[("x-user", "ben")]));
        assert!(!is_given_again(&[("vary", "*")], soon, &ann));
    }

    #[test]
    fn whoever_has_an_answer_already_is_told_so() {
        let (answers, now) = (answers(1 << 20), Instant::now());
        let mut response = Response::new(ReplyBody::whole(Bytes::from_static(b"x")));
        response.headers_mut().insert(ETAG, HeaderValue::from_static("W/\"7\""));
        let copying = Copying::begin(&answers, lookup(&answers, &request("/a", &[])).unwrap(), &response, now).unwrap();
        response.body_mut().keep(copying);
        for (tags, status) in [("\"6\", \"7\"", 304), ("*", 304), ("\"8\"", 200)] {
            let found =
                answers.find(&lookup(&answers, &request("/a", &[("if-none-match", tags)])).unwrap(), now).unwrap();
            assert_eq!(found.status().as_u16(), status, "{tags}");
        }
        for field in ["range", "if-match", "if-modified-since"] {
            assert!(lookup(&answers, &request("/a", &[(field, "x")])).is_none(), "{field}");
        }
    }

    #[test]
    fn variants_of_one_address_and_bytes_in_all_are_bounded() {
        let (answers, now) = (answers(64 << 10), Instant::now());
        let keep = |target: &str, accept: &str, body: Vec<u8>| {
            let mut response = Response::new(ReplyBody::whole(Bytes::from(body)));
            let copying = Copying::begin(
                &answers,
                lookup(&answers, &request(target, &[("accept", accept)])).unwrap(),
                &response,
                now,
            );
            response.body_mut().keep(copying.unwrap());
        };
        let is_kept = |target: &str, accept: &str| {
            answers.find(&lookup(&answers, &request(target, &[("accept", accept)])).unwrap(), now).is_some()
        };
        for number in 0..20 {
            keep("/a", &format!("text/{number}"), vec![1; 10]);
        }
        assert_eq!((0..20).filter(|number| is_kept("/a", &format!("text/{number}"))).count(), VARIANTS_MAX);
        for number in 0..100 {
            keep(&format!("/{number}"), "x", vec![1; 4 << 10]);
        }
        assert!((0..100).filter(|number| is_kept(&format!("/{number}"), "x")).count() <= 16);
    }
}
