//! Who calls: finds the token, asks the key manager what it is good for, and remembers the verdict on this worker.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyVerdict};
use portcullis_model::throttle::Caller;
use portcullis_model::{ApiId, OperationAuth, Timestamp};
use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, UnitWeighter};

use crate::claims;
use crate::limiter::Sets;
use crate::possession;
use crate::refusal::Refusal;
use crate::route::api::{CompiledApi, Rule};
use crate::websocket;
use crate::worker::Worker;

/// Characters of a token: what fits into a head, and far more than any key manager issues.
const TOKEN_CHARS_MAX: usize = 16 << 10;
/// How long the key manager may take: it looks into this node's memory, or does a little cryptography.
const VALIDATION_TIME: Duration = Duration::from_secs(5);

/// How often the key manager is asked again in one call because something about keys changed while it answered.
const ASKED_AGAIN_MAX: usize = 3;

/// A verdict with what policies look at, and what is kept of the limits that belong to it.
pub(crate) struct Known {
    pub(crate) key: KeyVerdict,
    pub(crate) sets: RefCell<Sets>,
    generation: u64,
    /// The end user with the tenant, as the original writes it.
    user_id: String,
    application_id: String,
    claims: Vec<(String, String)>,
}

impl Known {
    fn new(token: &str, key: KeyVerdict, generation: u64) -> Self {
        Self {
            user_id: format!("{}@{}", key.end_user, key.tenant),
            application_id: key.application.to_string(),
            claims: claims::of_token(token),
            sets: RefCell::default(),
            key,
            generation,
        }
    }

    /// Returns who calls, as policies see it.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            user_id: &self.user_id,
            application_id: &self.application_id,
            application_tenant: &self.key.tenant.0,
            claims: &self.claims,
        }
    }

    /// Says whether nothing in the log has changed since that the verdict may depend on.
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }
}

/// The verdicts one worker remembers.
pub(crate) struct Verdicts {
    /// Two keyed hashes of the token, whose keys nobody outside knows: as good as a digest here, and cheaper.
    hashers: [RandomState; 2],
    cache: RefCell<Cache<VerdictKey, Rc<Known>, UnitWeighter, DefaultHashBuilder>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct VerdictKey {
    token: [u64; 2],
    api: ApiId,
}

impl Verdicts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { hashers: [RandomState::new(), RandomState::new()], cache: RefCell::new(Cache::new(capacity)) }
    }

    fn key(&self, token: &str, api: ApiId) -> VerdictKey {
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write(token.as_bytes());
            hasher.finish()
        };
        VerdictKey { token: [hash(&self.hashers[0]), hash(&self.hashers[1])], api }
    }

    fn get(&self, key: &VerdictKey, generation: u64) -> Option<Rc<Known>> {
        let cache = self.cache.borrow();
        cache.get(key).filter(|known| known.generation == generation).map(Rc::clone)
    }
}

/// Authenticates a call to an operation.
///
/// # Errors
/// What the caller is told: no token, a bad one, one without the subscription or the scope.
pub(crate) async fn authenticate(
    worker: &Worker,
    api: &CompiledApi,
    rule: &Rule,
    request: &Parts,
    now: Timestamp,
) -> Result<Rc<Known>, Refusal> {
    let token = token_of(api, request)?;
    if !api.has_oauth2 {
        return Err(Refusal::invalid_credentials());
    }
    let known = verdict(worker, api.id, token).await.map_err(Refusal::from_key)?;
    if known.key.expires_at <= now {
        return Err(Refusal::expired());
    }
    if let Some(binding) = &known.key.binding {
        let is_shown_as_bound = is_shown_as(&request.headers, &api.authorization_header, possession::SCHEME);
        possession::check(worker, binding, token, is_shown_as_bound, request, now)?;
    } else if is_shown_as(&request.headers, &api.authorization_header, possession::SCHEME) {
        return Err(Refusal::no_proof("The access token is not bound to a key: send it as Bearer."));
    }
    match rule.auth {
        OperationAuth::Application if known.key.is_user_token => return Err(Refusal::wrong_token_kind()),
        OperationAuth::ApplicationUser if !known.key.is_user_token => return Err(Refusal::wrong_token_kind()),
        _ => {}
    }
    let holds_one_of = |scopes: &&Vec<String>| scopes.iter().any(|scope| known.key.scopes.contains(scope));
    match rule.scopes.iter().find(|scopes| !holds_one_of(scopes)) {
        None => Ok(known),
        Some(missing) => Err(Refusal::no_scope(missing)),
    }
}

/// Finds the token of a call: in the API's header, or of a WebSocket's handshake in the query.
pub(crate) fn token_of<'a>(api: &CompiledApi, request: &'a Parts) -> Result<&'a str, Refusal> {
    let is_in_query = api.is_websocket && !request.headers.contains_key(&api.authorization_header);
    match websocket::query_token(request.uri.query()) {
        Some(token) if is_in_query => checked(token),
        _ => bearer_token(&request.headers, &api.authorization_header),
    }
}

/// Returns what a token is good for at one API, as remembered or as the key manager says.
///
/// # Errors
/// What the key manager says against it.
pub(crate) async fn verdict(worker: &Worker, api: ApiId, token: &str) -> Result<Rc<Known>, KeyRefusal> {
    let key = worker.verdicts.key(token, api);
    // Read before the key manager is asked: see Projection::verdict_generation.
    let mut generation = worker.projection.verdict_generation();
    if let Some(known) = worker.verdicts.get(&key, generation) {
        worker.counters.verdict_hits.add(1);
        return Ok(known);
    }
    worker.counters.verdict_misses.add(1);
    let mut verdict = ask(worker, api, token).await?;
    // A key manager on another node takes a while. What was revoked meanwhile must not pass by an earlier verdict.
    for _ in 0..ASKED_AGAIN_MAX {
        let now = worker.projection.verdict_generation();
        if now == generation {
            break;
        }
        generation = now;
        verdict = ask(worker, api, token).await?;
    }
    let known = Rc::new(Known::new(token, verdict, generation));
    // Only good verdicts are remembered: what is refused now may be allowed by the next entry of the log.
    worker.verdicts.cache.borrow_mut().insert(key, Rc::clone(&known));
    Ok(known)
}

async fn ask(worker: &Worker, api: ApiId, token: &str) -> Result<KeyVerdict, KeyRefusal> {
    let validation = worker.ports.keys.validate(KeyQuestion { token, api });
    tokio::time::timeout(VALIDATION_TIME, validation).await.map_err(|_| KeyRefusal::Unavailable)?
}

/// Finds the token in a header `Bearer TOKEN`.
fn bearer_token<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(Refusal::no_credentials)?;
    if values.next().is_some() {
        // Which one would count is anybody's guess, and the backend's may differ.
        return Err(Refusal::invalid_credentials());
    }
    let value = value.to_str().map_err(|_| Refusal::invalid_credentials())?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case(possession::SCHEME) {
        return Err(Refusal::no_credentials());
    }
    let token = token.trim();
    if token.is_empty() {
        return Err(Refusal::no_credentials());
    }
    checked(token)
}

/// Says whether a header's scheme is this one.
fn is_shown_as(headers: &HeaderMap, name: &HeaderName, scheme: &str) -> bool {
    let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    value.get(..scheme.len()).is_some_and(|first| first.eq_ignore_ascii_case(scheme.as_bytes()))
}

fn checked(token: &str) -> Result<&str, Refusal> {
    if token.len() > TOKEN_CHARS_MAX || token.contains(' ') {
        return Err(Refusal::invalid_credentials());
    }
    Ok(token)
}
