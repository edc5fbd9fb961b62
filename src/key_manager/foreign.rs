//! Tokens of other key managers: JSON Web Tokens whose issuer is registered, checked by its public keys. They are looked at
//! only when a token is none of this cluster's, so that its own cost nothing more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_http::fetch;
use portcullis_model::authorization::TokenBinding;
use portcullis_model::key_manager::{KeyManager, MappedKey, token_pattern};
use portcullis_model::port::{KeyRefusal, KeyVerdict};
use portcullis_model::{ApiId, ClientId, KeyManagerId, TenantDomain, Timestamp, TokenDigest, Username};
use quick_cache::sync::Cache;
use regex::Regex;
use serde::Deserialize as _;
use serde_json::Value;

use crate::authority::Authority;
use crate::bound::{CLIENT_ID_CHARS_MAX, SCOPES_MAX, TOKEN_BYTES_MAX, USERNAME_BYTES_MAX};
use crate::claims::Confirmation;
use crate::foreign_introspection::Introspection;
use crate::foreign_keys::{Claimed, ForeignKeys, JwkSet};
use crate::validation::subscribed;
use crate::{jws, mint};

/// Key managers whose keys are remembered.
const KEY_SETS_MAX: usize = 1_000;
/// Claims that are taken over of one token.
const CLAIMS_MAX: usize = 100;
/// Characters of one that are taken over.
const CLAIM_CHARS_MAX: usize = 1_024;
/// How long keys are used before they are fetched again.
const KEYS_KEPT: Duration = Duration::from_secs(600);
/// How long after a fetch the keys are not fetched again, whatever tokens name: anybody can make tokens up.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// The keys of one key manager, as fetched last.
#[derive(Clone, Default)]
struct Fetched {
    /// Where they came from: a change of the address makes them old.
    url: String,
    keys: Option<Arc<ForeignKeys>>,
    at: Option<Instant>,
}

/// Returns the digest that stands for another key manager's token where it is spent here.
pub(crate) fn foreign_digest(text: &str) -> TokenDigest {
    if Claimed::parse(text).is_some() { jws::digest_of(text) } else { mint::digest_of(text) }
}

/// What is remembered of other key managers.
pub(crate) struct Foreign {
    sets: Cache<KeyManagerId, Arc<Slot>>,
    introspection: Introspection,
    patterns: Cache<String, Arc<Option<Regex>>>,
}

#[derive(Default)]
struct Slot {
    fetched: Mutex<Fetched>,
    /// One fetch at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Slot {
    fn read(&self, url: &str) -> Fetched {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.url == url { fetched.clone() } else { Fetched::default() }
    }

    fn write(&self, fetched: Fetched) {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = fetched;
    }
}

impl Foreign {
    pub fn new() -> Self {
        Self { sets: Cache::new(KEY_SETS_MAX), introspection: Introspection::new(), patterns: Cache::new(KEY_SETS_MAX) }
    }

    /// Returns the keys of a key manager that may have signed a token: those remembered, or new ones where these are old
    /// or do not have the key that the token names.
    pub async fn keys(
        &self,
        id: KeyManagerId,
        tenant: &TenantDomain,
        name: &str,
        url: &str,
        token: &Claimed<'_>,
    ) -> Option<Arc<ForeignKeys>> {
        if let Some(keys) = ForeignKeys::inline(url) {
            return Some(Arc::new(keys));
        }
        let slot = self.sets.get(&id).unwrap_or_else(|| {
            let slot = Arc::new(Slot::default());
            self.sets.insert(id, Arc::clone(&slot));
            slot
        });
        let is_enough = |fetched: &Fetched| {
            let age = fetched.at.map(|at| at.elapsed());
            let knows = fetched.keys.as_ref().is_some_and(|keys| keys.knows(token));
            age.is_some_and(|age| (knows && age < KEYS_KEPT) || age < FETCH_PAUSE)
        };
        let now = slot.read(url);
        if is_enough(&now) {
            return now.keys;
        }
        let _turn = slot.turn.lock().await;
        let now = slot.read(url);
        if is_enough(&now) {
            return now.keys;
        }
        let keys = match fetch::json::<JwkSet>(tenant, url).await {
            Ok(set) => Some(Arc::new(ForeignKeys::new(set))),
            Err(cause) => {
                tracing::warn!(%cause, key_manager = name, "keys of a key manager cannot be fetched");
                // Those that were good stay good while it does not answer.
                now.keys
            }
        };
        slot.write(Fetched { url: url.to_owned(), keys: keys.clone(), at: Some(Instant::now()) });
        keys
    }

    /// Says whether a key manager is to be asked about an opaque token.
    fn may_know(&self, one: &KeyManager, token: &str) -> bool {
        if one.introspection_url.is_none() {
            return false;
        }
        let Some(text) = &one.opaque_tokens else { return true };
        let pattern = self.patterns.get(text).unwrap_or_else(|| {
            let compiled = Arc::new(token_pattern(text).ok());
            self.patterns.insert(text.clone(), Arc::clone(&compiled));
            compiled
        });
        pattern.as_ref().as_ref().is_some_and(|pattern| pattern.is_match(token))
    }
}

impl Authority {
    /// Judges a token that is none of this cluster's; `None` where no registered key manager issued it either.
    pub async fn judge_foreign(&self, text: &str, api: ApiId) -> Option<Result<KeyVerdict, KeyRefusal>> {
        if text.len() > TOKEN_BYTES_MAX || self.is_own(text) {
            return None;
        }
        let view = self.handle.view();
        let tables = view.read::<Apimgtdb>();
        let tenant = &tables.apis.get(&api)?.tenant;
        // Spent here: who issued it does not know.
        if !tables.revoked_tokens.is_empty() && tables.revoked_tokens.contains_key(&foreign_digest(text)) {
            return Some(Err(KeyRefusal::Invalid));
        }
        if let Some(token) = Claimed::parse(text) {
            let one = issuer(&view, tenant, token.claims.get("iss")?.as_str()?)?;
            return Some(match &one.jwks_url {
                Some(url) => self.judge_signed(one, url, &token, api).await,
                None => self.judge_by_asking(one, text, api).await,
            });
        }
        let mut refusal = None;
        for one in key_managers(&view, tenant).filter(|one| self.foreign.may_know(one, text)) {
            match self.judge_by_asking(one, text, api).await {
                Err(KeyRefusal::Invalid) => refusal = refusal.or(Some(KeyRefusal::Invalid)),
                // Another one may know the token.
                Err(KeyRefusal::Unavailable) => refusal = Some(KeyRefusal::Unavailable),
                judged => return Some(judged),
            }
        }
        refusal.map(Err)
    }

    /// Says whether a token that was found good is another key manager's.
    pub fn is_foreign(&self, text: &str) -> bool {
        match Claimed::parse(text) {
            Some(token) => token.claims.get("iss").and_then(Value::as_str) != Some(self.settings.issuer.as_str()),
            None => !self.is_own(text),
        }
    }

    /// Says whether this cluster issued a text, of whatever kind: it is nobody else's business, also where somebody shows
    /// it as what it is not.
    fn is_own(&self, text: &str) -> bool {
        self.mint.read_access(text).is_some()
            || self.mint.read_refresh(text).is_some()
            || self.mint.read_api_key(text).is_some()
    }

    async fn judge_by_asking(&self, one: &Arc<KeyManager>, text: &str, api: ApiId) -> Result<KeyVerdict, KeyRefusal> {
        if one.introspection_url.is_none() {
            return Err(KeyRefusal::Invalid);
        }
        let now = self.now(&self.handle.view());
        let answer = self.foreign.introspection.ask(one, &self.key, text, now).await?;
        let claims = answer.claims.ok_or(KeyRefusal::Invalid)?;
        self.judge_claims(one, &Believed { claims: &claims, until: Some(answer.until) }, api).await
    }

    async fn judge_signed(
        &self,
        one: &KeyManager,
        url: &str,
        token: &Claimed<'_>,
        api: ApiId,
    ) -> Result<KeyVerdict, KeyRefusal> {
        let keys =
            self.foreign.keys(one.id, &one.tenant, &one.name, url, token).await.ok_or(KeyRefusal::Unavailable)?;
        if !keys.verify(token) {
            return Err(KeyRefusal::Invalid);
        }
        self.judge_claims(one, &Believed { claims: &token.claims, until: None }, api).await
    }

    async fn judge_claims(
        &self,
        one: &KeyManager,
        believed: &Believed<'_>,
        api: ApiId,
    ) -> Result<KeyVerdict, KeyRefusal> {
        // The other key manager may have taken a while.
        match self.verdict_by(&self.handle.view(), one, believed, api) {
            // Somebody may have mapped the client, or subscribed, on another node a moment ago.
            Err(KeyRefusal::NotSubscribed) => {
                let view = self.caught_up().await.ok_or(KeyRefusal::NotSubscribed)?;
                self.verdict_by(&view, one, believed, api)
            }
            judged => judged,
        }
    }

    /// Says what claims that are believed are good for.
    fn verdict_by(
        &self,
        view: &View<Access>,
        one: &KeyManager,
        believed: &Believed<'_>,
        api: ApiId,
    ) -> Result<KeyVerdict, KeyRefusal> {
        let Believed { claims, until } = *believed;
        let expires_at = check_time(claims, until, self.now(view), self.settings.clock_skew)?;
        // RFC 7662 and RFC 9068 have `client_id`.
        let client = text(claims, &one.consumer_key_claim, CLIENT_ID_CHARS_MAX)
            .or_else(|| text(claims, "client_id", CLIENT_ID_CHARS_MAX))
            .ok_or(KeyRefusal::Invalid)?;
        if !is_for(view, api, claims) {
            return Err(KeyRefusal::Invalid);
        }
        let mapped = mapped_key(view, one.id, client).ok_or(KeyRefusal::NotSubscribed)?;
        let (application, subscription) =
            subscribed(view, mapped.application, mapped.key_type, api).map_err(|judgement| judgement.refusal)?;
        let subject = text(claims, "sub", USERNAME_BYTES_MAX).or_else(|| text(claims, "username", USERNAME_BYTES_MAX));
        let user = subject.filter(|subject| *subject != client);
        Ok(KeyVerdict {
            client: mapped.client.clone(),
            application: application.id,
            application_name: application.name.clone(),
            application_owner: application.owner.clone(),
            tenant: application.tenant.clone(),
            application_policy: application.policy.clone(),
            key_type: mapped.key_type,
            plan: subscription.plan.clone(),
            end_user: user.map_or_else(|| application.owner.clone(), |user| Username(user.to_owned())),
            is_user_token: user.is_some(),
            scopes: scopes(claims, &one.scopes_claim),
            expires_at,
            restriction: None,
            assertion: None,
            binding: binding(claims)?,
            claims: mapped_claims(one, claims),
            good_until: until,
        })
    }
}

/// Claims that are believed.
struct Believed<'a> {
    claims: &'a Value,
    /// Until when; `None` for as long as the token is good.
    until: Option<Timestamp>,
}

/// Returns the enabled key managers of a tenant, and after them those of all tenants.
fn key_managers<'a>(view: &'a View<Access>, tenant: &TenantDomain) -> impl Iterator<Item = &'a Arc<KeyManager>> {
    portcullis_database::key_managers::of_tenant(view.read::<Apimgtdb>(), tenant).filter(|one| one.is_enabled)
}

/// Returns the key manager of a tenant that issues tokens in this name, where it is enabled.
fn issuer<'a>(view: &'a View<Access>, tenant: &TenantDomain, issuer: &str) -> Option<&'a Arc<KeyManager>> {
    key_managers(view, tenant).find(|one| one.issuer == issuer)
}

/// Returns what is taken over of a token, under the names that it has here.
fn mapped_claims(one: &KeyManager, claims: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.chars().take(CLAIM_CHARS_MAX).collect()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let mut mapped = Vec::new();
    for mapping in &one.claim_mapping {
        let values = match claims.get(&mapping.remote) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        mapped.extend(values.iter().filter_map(text).map(|text| (mapping.local.clone(), text)));
    }
    mapped.truncate(CLAIMS_MAX);
    mapped
}

fn mapped_key<'a>(view: &'a View<Access>, id: KeyManagerId, client: &str) -> Option<&'a MappedKey> {
    view.read::<Apimgtdb>().mapped_keys.get(&(id, ClientId(client.to_owned()))).map(AsRef::as_ref)
}

/// Says whether a token's audience (`aud`) is one that an API accepts: its publisher may name some (`audiences` in the
/// contract); `all`, or none, means any.
fn is_for(view: &View<Access>, api: ApiId, claims: &Value) -> bool {
    let Some(designed) = view.read::<Apimgtdb>().apis.get(&api) else { return false };
    let fields: Value = serde_json::from_str(&designed.other_fields).unwrap_or_default();
    has_audience(&fields, claims)
}

fn has_audience(api: &Value, claims: &Value) -> bool {
    let accepted: Vec<&str> = api["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if accepted.is_empty() || accepted.contains(&"all") {
        return true;
    }
    match &claims["aud"] {
        Value::String(one) => accepted.contains(&one.as_str()),
        Value::Array(several) => several.iter().filter_map(Value::as_str).any(|one| accepted.contains(&one)),
        _ => false,
    }
}

/// Returns what the bearer must prove to hold. A token that is bound to what is not understood is not good: it would be
/// taken from whoever finds it.
fn binding(claims: &Value) -> Result<Option<TokenBinding>, KeyRefusal> {
    let Some(claim) = claims.get("cnf") else { return Ok(None) };
    let confirmation = Confirmation::deserialize(claim).map_err(|_| KeyRefusal::Invalid)?;
    confirmation.binding().map(Some).ok_or(KeyRefusal::Invalid)
}

/// Checks `exp`, which must be there unless the claims are believed for a while alone, and `nbf`; returns when the token
/// ends.
fn check_time(
    claims: &Value,
    until: Option<Timestamp>,
    now: Timestamp,
    skew: Duration,
) -> Result<Timestamp, KeyRefusal> {
    let seconds = |name: &str| {
        let value = claims.get(name)?;
        // Some write numbers with a fraction.
        value
            .as_u64()
            .or_else(|| value.as_f64().filter(|number| (0.0..1e15).contains(number)).map(|number| number as u64))
    };
    let ends_at = seconds("exp").or(until.map(Timestamp::as_secs)).ok_or(KeyRefusal::Invalid)?;
    if ends_at <= now.as_secs() {
        return Err(KeyRefusal::Expired);
    }
    if seconds("nbf").is_some_and(|from| from > now.as_secs().saturating_add(skew.as_secs())) {
        return Err(KeyRefusal::Invalid);
    }
    Ok(Timestamp(ends_at.saturating_mul(1000)))
}

fn text<'a>(claims: &'a Value, name: &str, chars_max: usize) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty() && text.len() <= chars_max)
}

/// Reads scopes: a text with spaces, or a list.
fn scopes(claims: &Value, name: &str) -> Vec<String> {
    match claims.get(name) {
        Some(Value::String(text)) => text.split_whitespace().take(SCOPES_MAX).map(str::to_owned).collect(),
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).take(SCOPES_MAX).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_api_takes_tokens_for_the_audiences_that_its_publisher_named() {
        let api = json!({"audiences": ["https://pizza.example", "pizza"]});
        for (aud, is_taken) in [
            (json!("pizza"), true),
            (json!(["other", "https://pizza.example"]), true),
            (json!("burger"), false),
            (json!([]), false),
            (Value::Null, false),
        ] {
            assert_eq!(has_audience(&api, &json!({"aud": aud})), is_taken, "{aud}");
            assert!(has_audience(&json!({"audiences": ["all"]}), &json!({"aud": aud})));
            assert!(has_audience(&json!({}), &json!({"aud": aud})));
        }
    }
}
