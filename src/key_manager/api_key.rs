//! API keys: issued for the Store, and known again when a gateway asks. What one may call is decided by who asks.
//!
//! A key of either form is good if, and only if, the state holds the digest of its whole text: then it is revoked by
//! being taken out, however long it would have lived, and a text that was changed in any way is unknown. What is signed
//! in a JSON Web Token tells people whose it is, and tells a node that has not heard of the key yet that it is real.

use std::sync::Arc;
use std::time::Duration;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::CreateApiKey;
use portcullis_database::handle::{View, random_bytes};
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_jose::{Algorithm, Unverified};
use portcullis_model::port::{ApiKeyOrder, IssueRefusal, IssuedApiKey};
use portcullis_model::{ApiKey, ApiKeyForm, ApiKeyId, Application, Timestamp};
use serde::{Deserialize, Serialize};

use crate::authority::Authority;
use crate::bound::{FRESH_TOKEN, TOKEN_BYTES_MAX, VALIDITY_S_MAX};
use crate::claims::{ApplicationClaim, subject};
use crate::jws;
use crate::known_token::NotGood;
use crate::mint;

/// `token_type` of an API key among its claims.
const API_KEY: &str = "apiKey";

/// The claims of an API key, which are the original's.
#[derive(Serialize, Deserialize)]
struct ApiKeyClaims {
    sub: String,
    iss: String,
    application: ApplicationClaim,
    keytype: String,
    token_type: String,
    #[serde(rename = "permittedIP")]
    permitted_ip: String,
    #[serde(rename = "permittedReferer")]
    permitted_referer: String,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    jti: String,
}

impl Authority {
    /// Issues an API key to an application.
    pub async fn issue_api_key(&self, order: ApiKeyOrder) -> Result<IssuedApiKey, IssueRefusal> {
        let mut view = self.handle.view();
        if application(&view, &order).is_none() {
            view = self.caught_up().await.unwrap_or(view);
        }
        let application = application(&view, &order)
            .ok_or_else(|| portcullis_model::Refused::not_found("application", order.application))?;
        let now = self.now(&view);
        // Whole seconds, as in a JSON Web Token, so that both forms end at the same moment.
        let issued_at = Timestamp(now.as_secs() * 1000);
        let validity = order.validity_s.map(|seconds| Duration::from_secs(seconds.clamp(1, VALIDITY_S_MAX)));
        let expires_at = validity.map(|validity| issued_at.after(validity));
        let id = ApiKeyId::from_random(random_bytes());
        let key = match order.form {
            ApiKeyForm::Opaque => self.mint.api_key(now),
            ApiKeyForm::Jwt => self.signed_api_key(&order, &application, id, issued_at, expires_at).await?,
        };
        let record = ApiKey {
            digest: mint::digest_of(&key),
            id,
            name: order.name,
            tenant: application.tenant.clone(),
            application: application.id,
            key_type: order.key_type,
            form: order.form,
            restriction: order.restriction,
            issued_by: order.principal.username.clone(),
            issued_at,
            expires_at,
        };
        let create = CreateApiKey { key: record, owned_by: Some(order.principal.clone()) };
        match self.handle.submit(create, &Caller::new(order.principal).from_address(order.origin)).await {
            Ok(committed) => Ok(IssuedApiKey { key, id, index: committed.index }),
            Err(SubmitError::Refused(refused)) => Err(refused.into()),
            Err(error) => Err(IssueRefusal::Unavailable(error.to_string())),
        }
    }

    async fn signed_api_key(
        &self,
        order: &ApiKeyOrder,
        application: &Application,
        id: ApiKeyId,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<String, IssueRefusal> {
        let unavailable = |why: String| IssueRefusal::Unavailable(why);
        let signing = self
            .keyring
            .signing(&self.handle, &self.key, Algorithm::Es256, issued_at)
            .await
            .map_err(|why| unavailable(why.to_string()))?;
        let claims = ApiKeyClaims {
            sub: subject(&application.tenant, &application.owner),
            iss: self.settings.issuer.clone(),
            application: ApplicationClaim {
                uuid: application.id.to_string(),
                name: application.name.clone(),
                tier: application.policy.clone(),
                owner: application.owner.0.clone(),
            },
            keytype: order.key_type.as_contract().to_owned(),
            token_type: API_KEY.to_owned(),
            permitted_ip: order.restriction.networks.join(","),
            permitted_referer: order.restriction.referrers.join(","),
            iat: issued_at.as_secs(),
            exp: expires_at.map(Timestamp::as_secs),
            jti: id.to_string(),
        };
        let key = signing.sign(jws::ID_TOKEN, &claims).map_err(|why| unavailable(why.to_string()))?;
        if key.len() > TOKEN_BYTES_MAX {
            let reason = format!(
                "the key would have {} bytes, more than the {TOKEN_BYTES_MAX} that fit a header: limit it to fewer networks and referrers, or take an opaque one",
                key.len()
            );
            return Err(portcullis_model::Refused::invalid("additionalProperties", reason).into());
        }
        Ok(key)
    }

    /// Finds out what an API key is, as far as `view` knows.
    pub fn know_api_key(&self, view: &View<Access>, text: &str) -> Result<Arc<ApiKey>, NotGood> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(NotGood::Unknown);
        }
        let now = self.now(view);
        if let Some(key) = view.read::<Apimgtdb>().api_keys.get(&mint::digest_of(text)) {
            let is_over = key.expires_at.is_some_and(|ends_at| ends_at <= now);
            return if is_over { Err(NotGood::Expired) } else { Ok(Arc::clone(key)) };
        }
        let issued_at = match text.contains('.') {
            true => self.time_of_signed(view, text),
            false => self.mint.read_api_key(text).map(|coin| coin.issued_at),
        };
        match issued_at {
            Some(at) if now.since(at) < FRESH_TOKEN => Err(NotGood::NotHeardOf { is_ours: true }),
            _ => Err(NotGood::Unknown),
        }
    }

    /// Returns when a key of this cluster was issued; `None` for a text that is none.
    fn time_of_signed(&self, view: &View<Access>, text: &str) -> Option<Timestamp> {
        let unverified = Unverified::parse(text)?;
        let named = unverified.header.kid.as_deref()?.parse().ok()?;
        let claims: ApiKeyClaims = unverified.verify(&*self.keyring.verifying(view, named)?)?;
        (claims.token_type == API_KEY).then_some(Timestamp(claims.iat.saturating_mul(1000)))
    }
}

fn application(view: &View<Access>, order: &ApiKeyOrder) -> Option<Arc<Application>> {
    view.read::<Apimgtdb>().applications.get(&order.application).cloned()
}
