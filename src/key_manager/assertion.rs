//! What backends are told of a caller: a JSON Web Token with the original's claims (`X-JWT-Assertion`), signed with the
//! cluster's key. Whether gateways send it is theirs to say.

use std::time::Duration;

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_jose::Algorithm;
use portcullis_model::port::{Assertion, KeyVerdict};
use portcullis_model::{Api, ApiId};
use serde_json::{Map, Value, json};

use crate::authority::Authority;
use crate::claims::{APPLICATION, APPLICATION_USER, subject};
use crate::jws;

/// Who says it, as the original writes it.
const ISSUER: &str = "wso2.org/products/am";
/// What the claims' names begin with.
const DIALECT: &str = "http://wso2.org/claims/";
/// How long it is good: the original's default.
const LIFE: Duration = Duration::from_secs(900);
/// By what it is signed.
const ALGORITHM: Algorithm = Algorithm::Es256;
/// The number of the first tenant in the original, which backends compare with.
const SUPER_TENANT_ID: &str = "-1234";

impl Authority {
    /// Makes what a backend is told of the caller behind a verdict; `None` where it cannot be signed now, which is logged:
    /// the call goes on without it and the backend refuses what it must.
    pub async fn assertion(&self, view: &View<Access>, verdict: &KeyVerdict, api: ApiId) -> Option<Assertion> {
        let designed = view.read::<Apimgtdb>().apis.get(&api)?;
        let now = self.now(view);
        let signing = match self.keyring.signing(&self.handle, &self.key, ALGORITHM, now).await {
            Ok(signing) => signing,
            Err(cause) => {
                tracing::error!(%cause, "no assertion for backends can be signed");
                return None;
            }
        };
        // Not longer than the key itself.
        let expires_at = now.after(LIFE).min(verdict.expires_at);
        let mut claims = claims(verdict, designed);
        claims.insert("iss".to_owned(), json!(ISSUER));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("exp".to_owned(), json!(expires_at.as_secs()));
        let token = signing.sign(jws::ID_TOKEN, &claims).ok()?;
        Some(Assertion { token, expires_at })
    }
}

/// Returns the original's claims about a caller.
fn claims(verdict: &KeyVerdict, api: &Api) -> Map<String, Value> {
    let user_type = if verdict.is_user_token { APPLICATION_USER } else { APPLICATION };
    let tenant = if verdict.tenant.is_super() { SUPER_TENANT_ID.to_owned() } else { verdict.tenant.to_string() };
    let application = verdict.application.to_string();
    let named = [
        ("subscriber", verdict.application_owner.to_string()),
        ("applicationid", application.clone()),
        ("applicationUUId", application),
        ("applicationname", verdict.application_name.clone()),
        ("applicationtier", verdict.application_policy.clone()),
        ("apiname", api.name.clone()),
        ("apicontext", portcullis_model::api::versioned_context(&api.context, &api.version)),
        ("version", api.version.clone()),
        ("tier", verdict.plan.clone()),
        ("keytype", verdict.key_type.as_contract().to_owned()),
        ("usertype", user_type.to_owned()),
        ("enduser", subject(&verdict.tenant, &verdict.end_user)),
        ("enduserTenantId", tenant),
    ];
    let mut claims = taken_over(verdict);
    claims.extend(named.into_iter().map(|(name, value)| (format!("{DIALECT}{name}"), Value::String(value))));
    claims
}

/// Returns what another key manager's token says; of several values of one name a list.
fn taken_over(verdict: &KeyVerdict) -> Map<String, Value> {
    let mut claims = Map::new();
    for (name, text) in &verdict.claims {
        let value = Value::String(text.clone());
        match claims.get_mut(name) {
            Some(Value::Array(items)) => items.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
            None => {
                claims.insert(name.clone(), value);
            }
        }
    }
    claims
}
