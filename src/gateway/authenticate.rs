//! Who calls: asks the key manager what the key that was shown is good for, and remembers the verdict on this worker.

use std::cell::RefCell;
use std::hash::{BuildHasher, DefaultHasher, Hash as _, Hasher, RandomState};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState as QuickState;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::mutant::{self, Mutant};
use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyVerdict, ShownKey};
use portcullis_model::statistics::{CallerFacts, CallingApplication};
use portcullis_model::throttle::Caller;
use portcullis_model::{ApiId, OperationAuth, RequestId, Timestamp};
use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use siphasher::sip128::SipHasher13;

use crate::call_id::CallId;
use crate::certificate;
use crate::claims::Claims;
use crate::credentials::{self, KeyKind, Shown};
use crate::limiter::{Asked, Sets};
use crate::off_path;
use crate::possession;
use crate::refusal::Refusal;
use crate::restriction::Restriction;
use crate::route::api::Rule;
use crate::trace::Trace;
use crate::worker::Worker;

/// How long the key manager may take: it looks into this node's memory, or does a little cryptography.
const VALIDATION_TIME: Duration = Duration::from_secs(5);
/// How long it may take over a password, which is slow to check by design and waits for its turn.
const PASSWORD_TIME: Duration = Duration::from_secs(10);

/// How long what a backend is told of a caller must still be good when it is sent.
const ASSERTION_LEFT_MIN_MS: u64 = 60_000;

/// How often the key manager is asked again in one call because something about keys changed while it answered.
const ASKED_AGAIN_MAX: usize = 3;

/// A verdict with what policies look at, and what is kept of the limits that belong to it.
pub(crate) struct Known {
    pub(crate) key: KeyVerdict,
    pub(crate) sets: RefCell<Sets>,
    generation: u64,
    application_id: String,
    /// The caller as statistics name him, and a number that is the same for the same caller.
    facts: Arc<CallerFacts>,
    number: u64,
    claims: Claims,
    restriction: Option<Restriction>,
    kind: KeyKind,
    /// When what was said is too old to go by though the key is good; `None` for never.
    asked_again_at: Option<Timestamp>,
}

impl Known {
    pub(crate) fn new(shown: Shown<'_>, key: KeyVerdict, generation: u64) -> Self {
        let assertion_ends = match &key.assertion {
            _ if shown.kind == KeyKind::Password => Some(key.expires_at),
            // One that ends with the key is not made anew by asking.
            Some(assertion) if assertion.expires_at < key.expires_at => {
                Some(Timestamp(assertion.expires_at.0.saturating_sub(ASSERTION_LEFT_MIN_MS)))
            }
            _ => None,
        };
        let asked_again_at = assertion_ends.into_iter().chain(key.good_until).min();
        let token = match shown.kind {
            KeyKind::Token | KeyKind::ApiKey => Some(shown.text),
            KeyKind::Password | KeyKind::Certificate | KeyKind::Internal => None,
        };
        let claims = Claims::of(token, &key.claims);
        let facts = facts(&key);
        Self {
            asked_again_at,
            number: number(&facts),
            facts: Arc::new(facts),
            application_id: key.application.to_string(),
            claims,
            restriction: key.restriction.as_deref().map(Restriction::new),
            kind: shown.kind,
            sets: RefCell::default(),
            key,
            generation,
        }
    }

    /// Returns the caller as statistics name him.
    pub(crate) fn facts(&self) -> &Arc<CallerFacts> {
        &self.facts
    }

    /// Returns a number that is the same for the same caller, whatever his key.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns who calls, as policies see it.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            user_id: &self.facts.user,
            application_id: &self.application_id,
            application_tenant: &self.key.tenant.0,
            claims: &self.claims,
        }
    }

    /// Says whether what was said is too old to go by though the key may be good.
    pub(crate) fn must_be_asked_again(&self, worker: &Worker) -> bool {
        self.asked_again_at.is_some_and(|at| at <= worker.clock.now().timestamp)
    }

    /// Says whether an access token was shown.
    pub(crate) fn is_by_token(&self) -> bool {
        self.kind == KeyKind::Token
    }

    /// Returns what the backend is told of the caller.
    pub(crate) fn assertion(&self) -> Option<&str> {
        self.key.assertion.as_ref().map(|assertion| assertion.token.as_str())
    }

    /// Says whether the key's time is over.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.kind != KeyKind::Password && self.key.expires_at <= now
    }

    /// Says whether nothing in the log has changed since that the verdict may depend on.
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        // What an API trusts goes by the version of the routes, which is looked at beside this.
        self.kind == KeyKind::Certificate || self.generation == generation
    }
}

fn facts(key: &KeyVerdict) -> CallerFacts {
    CallerFacts {
        application: CallingApplication {
            id: key.application,
            tenant: key.tenant.clone(),
            owner: key.application_owner.clone(),
            name: key.application_name.clone(),
        },
        // With the tenant, as the original writes it.
        user: format!("{}@{}", key.end_user, key.tenant),
        plan: key.plan.clone(),
        key_type: key.key_type,
    }
}

/// Numbers callers, from 1. That two of them share a number is possible as any accident is.
fn number(caller: &CallerFacts) -> u64 {
    let mut hasher = DefaultHasher::new();
    (caller.application.id, &caller.application.name, &caller.user, &caller.plan).hash(&mut hasher);
    (caller.key_type as u8).hash(&mut hasher);
    hasher.finish().max(1)
}

/// The verdicts one worker remembers.
pub(crate) struct Verdicts {
    /// A keyed hash of 128 bits, whose key nobody outside knows: as good as a digest here, and cheaper.
    hasher: SipHasher13,
    cache: RefCell<Cache<VerdictKey, Rc<Known>, UnitWeighter, QuickState>>,
}

/// A key that was shown at an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VerdictKey {
    key: u128,
    kind: KeyKind,
    api: ApiId,
}

impl VerdictKey {
    /// Says whether it stands for a key at this API.
    pub(crate) fn is_at(&self, api: ApiId) -> bool {
        self.api == api
    }
}

impl Verdicts {
    pub(crate) fn new(capacity: usize) -> Self {
        let random = || RandomState::new().build_hasher().finish();
        let hasher = SipHasher13::new_with_keys(random(), random());
        // What is hashed here is a hash already that nobody outside can choose, so a quick one does to find a place.
        let (weights, places) = (UnitWeighter, QuickState::default());
        let cache = Cache::with(capacity, capacity as u64, weights, places, DefaultLifecycle::default());
        Self { hasher, cache: RefCell::new(cache) }
    }

    /// Returns what stands for a key at an API.
    pub(crate) fn key(&self, shown: Shown<'_>, api: ApiId) -> VerdictKey {
        VerdictKey { key: self.hasher.hash(shown.text.as_bytes()).as_u128(), kind: shown.kind, api }
    }

    /// Returns what is remembered of a key under a generation.
    pub(crate) fn find(&self, key: &VerdictKey, generation: u64) -> Option<Rc<Known>> {
        let cache = self.cache.borrow();
        cache.get(key).filter(|known| known.generation == generation || mutant::is(Mutant::KeepVerdicts)).map(Rc::clone)
    }

    /// Remembers what a key is good for.
    pub(crate) fn keep(&self, key: VerdictKey, known: Known) -> Rc<Known> {
        let known = Rc::new(known);
        self.cache.borrow_mut().insert(key, Rc::clone(&known));
        known
    }
}

/// Authenticates a call to an operation whose token came before in the same fields, and is remembered. `None` where it is to be
/// [looked at](authenticate).
///
/// # Errors
/// As [`authenticate`].
pub(crate) fn authenticate_again(
    worker: &Worker,
    asked: &Asked<'_>,
    now: Timestamp,
) -> Option<Result<Rc<Known>, Refusal>> {
    if !asked.api.schemes.is_token_alone {
        return None;
    }
    let known = known_before(worker, asked)?;
    Some(check(&known, asked.rule, now).map(|()| known))
}

/// Authenticates a call to an operation.
///
/// # Errors
/// What the caller is told: no key, a bad one, one without the subscription or the scope.
pub(crate) async fn authenticate(worker: &Worker, asked: &Asked<'_>, now: Timestamp) -> Result<Rc<Known>, Refusal> {
    let Asked { api, rule, request, .. } = asked;
    if !api.schemes.is_token_alone {
        let mut shown = None;
        let known = by_any_key(worker, asked, now, &mut shown).await;
        return known.map_err(|refusal| refusal.challenging(&api.schemes, shown));
    }
    let token = match credentials::token_of(api, request) {
        Ok(token) => token,
        Err(refusal) => return by_internal_key(worker, asked, refusal, now).await,
    };
    let known = verdict(worker, api.id, Shown::token(token), None, asked.watched()).await.map_err(Refusal::from_key)?;
    check(&known, rule, now)?;
    check_possession(worker, asked, &known, token, now)?;
    // One that is bound is shown with a proof, which is another each time.
    if let Some(connection) = asked.connection.filter(|_| known.key.binding.is_none()) {
        connection.keep_token(worker.verdicts.key(Shown::token(token), api.id), asked.routes.version, &known);
    }
    Ok(known)
}

/// Returns what is remembered of the token in fields that the client sent before as they are.
fn known_before(worker: &Worker, asked: &Asked<'_>) -> Option<Rc<Known>> {
    let generation = worker.projection.verdict_generation();
    let is_good = |known: &Known| known.is_of(generation);
    let find = |token: &VerdictKey| worker.verdicts.find(token, generation);
    let known = asked.connection?.known_at((asked.api.id, asked.routes.version), is_good, find)?;
    if known.must_be_asked_again(worker) {
        return None;
    }
    worker.counters.verdict_hits.add(1);
    Some(known)
}

/// Authenticates a call to an API that accepts other proofs than access tokens; notes which kind of key was shown.
async fn by_any_key(
    worker: &Worker,
    asked: &Asked<'_>,
    now: Timestamp,
    kind: &mut Option<KeyKind>,
) -> Result<Rc<Known>, Refusal> {
    let security = &asked.api.schemes.security;
    let mut by_certificate = None;
    if security.has_mutual_tls {
        let peer = asked.certificate.as_deref();
        let found = certificate::verdict(worker, asked.api, asked.routes.version, peer, now);
        if peer.is_some() || security.is_mutual_tls_mandatory {
            *kind = peer.map(|_| KeyKind::Certificate);
        }
        by_certificate = Some(if security.is_mutual_tls_mandatory { Ok(found?) } else { found });
    }
    let Some(shown) = credentials::key_of(asked.api, asked.request)? else {
        if credentials::internal_key_of(asked.request).is_some() {
            return by_internal_key(worker, asked, Refusal::no_credentials(), now).await;
        }
        // Without a token a certificate is enough where no token must be there.
        let found = by_certificate.filter(|_| !security.is_token_mandatory);
        let known = found.unwrap_or_else(|| {
            *kind = None;
            Err(Refusal::no_credentials())
        })?;
        check(&known, asked.rule, now)?;
        return Ok(known);
    };
    *kind = Some(shown.kind);
    let known =
        verdict(worker, asked.api.id, shown, Some(asked.client), asked.watched()).await.map_err(Refusal::from_key)?;
    check(&known, asked.rule, now)?;
    if shown.kind == KeyKind::Token {
        check_possession(worker, asked, &known, shown.text, now)?;
    }
    match &known.restriction {
        Some(restriction) if !restriction.permits(asked.client, &asked.request.headers) => Err(Refusal::wrong_place()),
        _ => Ok(known),
    }
}

/// Authenticates a call by the key with which a publisher tries out the API; `refusal` is what is said where there is none.
async fn by_internal_key(
    worker: &Worker,
    asked: &Asked<'_>,
    refusal: Refusal,
    now: Timestamp,
) -> Result<Rc<Known>, Refusal> {
    // A socket would outlive what it was opened by: it is looked at again by another key.
    let opens_websocket = credentials::opens_websocket(asked.api, asked.request);
    let shown = credentials::internal_key_of(asked.request).filter(|_| !opens_websocket);
    let Some(shown) = shown else { return Err(refusal) };
    let known = verdict(worker, asked.api.id, shown, None, asked.watched()).await.map_err(Refusal::from_key)?;
    check(&known, asked.rule, now)?;
    Ok(known)
}

/// Checks whether a key that is good is good for an operation, now.
pub(crate) fn check(known: &Known, rule: &Rule, now: Timestamp) -> Result<(), Refusal> {
    if known.key.expires_at <= now {
        return Err(Refusal::expired());
    }
    match rule.auth {
        OperationAuth::Application if known.key.is_user_token => return Err(Refusal::wrong_token_kind()),
        OperationAuth::ApplicationUser if !known.key.is_user_token => return Err(Refusal::wrong_token_kind()),
        _ => {}
    }
    let holds_one_of = |scopes: &&Vec<String>| scopes.iter().any(|scope| known.key.scopes.contains(scope));
    match rule.scopes.iter().find(|scopes| !holds_one_of(scopes)) {
        None => Ok(()),
        Some(missing) => Err(Refusal::no_scope(missing)),
    }
}

/// Returns what is remembered of a certificate by this version of the routes.
pub(crate) fn remembered(worker: &Worker, api: ApiId, shown: Shown<'_>, version: u64) -> Option<Rc<Known>> {
    worker.verdicts.find(&worker.verdicts.key(shown, api), version)
}

/// Remembers what a certificate is good for by this version of the routes: the one by which it was looked at, so that
/// what an earlier version trusted is never taken for what a later one does.
pub(crate) fn remember(worker: &Worker, api: ApiId, shown: Shown<'_>, version: u64, verdict: KeyVerdict) -> Rc<Known> {
    worker.verdicts.keep(worker.verdicts.key(shown, api), Known::new(shown, verdict, version))
}

/// Returns what a key is good for at one API, as remembered or as the key manager says.
///
/// # Errors
/// What the key manager says against it.
pub(crate) async fn verdict(
    worker: &Worker,
    api: ApiId,
    shown: Shown<'_>,
    origin: Option<IpAddr>,
    told: (Option<&Trace>, Option<&CallId>),
) -> Result<Rc<Known>, KeyRefusal> {
    let key = worker.verdicts.key(shown, api);
    // Read before the key manager is asked: see Projection::verdict_generation.
    let generation = worker.projection.verdict_generation();
    let remembered = worker.verdicts.find(&key, generation);
    if let Some(known) = remembered.filter(|known| !known.must_be_asked_again(worker)) {
        worker.counters.verdict_hits.add(1);
        return Ok(known);
    }
    worker.counters.verdict_misses.add(1);
    off_path::boxed(move || asked_verdict(worker, (key, generation), shown, origin, told)).await
}

/// Returns what a key is good for as the key manager says, and remembers it; it was looked for under `generation`.
async fn asked_verdict(
    worker: &Worker,
    (key, mut generation): (VerdictKey, u64),
    shown: Shown<'_>,
    origin: Option<IpAddr>,
    (trace, request_id): (Option<&Trace>, Option<&CallId>),
) -> Result<Rc<Known>, KeyRefusal> {
    let api = key.api;
    let began = trace.map(|_| Instant::now());
    let asked = ask(worker, api, shown, origin, request_id).await;
    if let Some((trace, began)) = trace.zip(began) {
        trace.asked_key_manager(began);
    }
    let mut verdict = asked?;
    // A key manager on another node takes a while. What was revoked meanwhile must not pass by an earlier verdict.
    for _ in 0..ASKED_AGAIN_MAX {
        let now = worker.projection.verdict_generation();
        if now == generation {
            break;
        }
        generation = now;
        verdict = ask(worker, api, shown, origin, request_id).await?;
    }
    // Only good verdicts are remembered: what is refused now may be allowed by the next entry of the log.
    Ok(worker.verdicts.keep(key, Known::new(shown, verdict, generation)))
}

async fn ask(
    worker: &Worker,
    api: ApiId,
    shown: Shown<'_>,
    origin: Option<IpAddr>,
    request_id: Option<&CallId>,
) -> Result<KeyVerdict, KeyRefusal> {
    let pair;
    let shown = match shown.kind {
        KeyKind::Token => ShownKey::Token(shown.text),
        KeyKind::ApiKey | KeyKind::Internal => ShownKey::ApiKey(shown.text),
        KeyKind::Password => {
            pair = credentials::name_and_password(shown.text).ok_or(KeyRefusal::Invalid)?;
            ShownKey::Password { username: &pair.0, password: &pair.1 }
        }
        // What an API trusts is known here.
        KeyKind::Certificate => return Err(KeyRefusal::Invalid),
    };
    let time = if matches!(shown, ShownKey::Password { .. }) { PASSWORD_TIME } else { VALIDATION_TIME };
    let began = Instant::now();
    let validation = worker.ports.keys.validate(KeyQuestion {
        shown,
        api,
        wants_assertion: worker.settings.assertion_header.is_some(),
        origin,
    });
    let validation = tokio::time::timeout(time, validation);
    // A key manager on another node is told for which call it is asked.
    let verdict = match request_id.and_then(|id| RequestId::of(id.as_bytes())) {
        Some(id) => id.carry(validation).await,
        None => validation.await,
    };
    worker.counters.verdict_ns.add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    verdict.map_err(|_| KeyRefusal::Unavailable)?
}

/// Checks that the caller holds what its token is bound to, where it is.
fn check_possession(
    worker: &Worker,
    asked: &Asked<'_>,
    known: &Known,
    token: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    let (headers, header) = (&asked.request.headers, &asked.api.schemes.authorization_header);
    if let Some(binding) = &known.key.binding {
        let is_shown_as_bound = is_shown_as(headers, header, possession::SCHEME);
        let certificate = asked.certificate.as_deref();
        return possession::check(worker, binding, token, is_shown_as_bound, asked.request, certificate, now);
    }
    if is_shown_as(headers, header, possession::SCHEME) {
        return Err(Refusal::no_proof("The access token is not bound to a key: send it as Bearer."));
    }
    Ok(())
}

/// Says whether a header's scheme is this one.
fn is_shown_as(headers: &HeaderMap, name: &HeaderName, scheme: &str) -> bool {
    let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    value.get(..scheme.len()).is_some_and(|first| first.eq_ignore_ascii_case(scheme.as_bytes()))
}
