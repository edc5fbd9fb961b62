//! The further settings of a client, read from its record: those of the Store's contract and those of RFC 7591.

use std::sync::Arc;
use std::time::Duration;

use portcullis_jose::{Algorithm, Jwk};
use portcullis_model::ClientId;
use portcullis_model::oauth::OauthClient;
use quick_cache::sync::Cache;
use serde_json::Value;

use crate::bound::{CLIENT_SETTINGS_MAX, VALIDITY_S_MAX};
use crate::certificate::CertificateName;

/// How a client proves who it is at the token endpoint (RFC 7591, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthenticationMethod {
    /// A secret, in the header or in the form.
    Secret,
    /// An assertion signed by its key.
    PrivateKeyJwt,
    /// Not at all: it is public.
    Nothing,
    /// A certificate that an authority signed (RFC 8705, section 2.1).
    Certificate,
    /// A certificate of its own, whose key is registered (RFC 8705, section 2.2).
    OwnCertificate,
}

impl AuthenticationMethod {
    /// Reads the name of the registry.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "client_secret_basic" | "client_secret_post" => Some(Self::Secret),
            "private_key_jwt" => Some(Self::PrivateKeyJwt),
            "none" => Some(Self::Nothing),
            "tls_client_auth" => Some(Self::Certificate),
            "self_signed_tls_client_auth" => Some(Self::OwnCertificate),
            _ => None,
        }
    }
}

/// What is set for one client.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    pub is_saas: bool,
    pub authentication: AuthenticationMethod,
    pub application_validity: Option<Duration>,
    pub user_validity: Option<Duration>,
    pub refresh_validity: Option<Duration>,
    pub id_token_validity: Option<Duration>,
    /// Addresses to send users back to, beside the callback URL.
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub keys: Vec<Jwk>,
    pub id_token_algorithm: Option<Algorithm>,
    pub must_push: bool,
    pub must_prove_key: bool,
    pub has_certificate_bound_tokens: bool,
    /// What the client's certificate names.
    pub certificate_name: Option<(CertificateName, String)>,
    /// The certificates in the client's registered keys (`x5t#S256`).
    pub certificate_thumbprints: Vec<String>,
}

impl ClientSettings {
    /// Reads what is set. What is not understood is as if it were not set: it was checked when it came.
    pub fn read(client: &OauthClient) -> Self {
        let all: Value = serde_json::from_str(&client.other_fields).unwrap_or_default();
        let get = |name: &str| all.get(name).or_else(|| all.get("additionalProperties")?.get(name));
        let flag = |name: &str| get(name).is_some_and(is_true);
        let text = |name: &str| get(name).and_then(Value::as_str).map(str::to_owned);
        let texts = |name: &str| -> Vec<String> {
            let list = get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let named = text("token_endpoint_auth_method").and_then(|name| AuthenticationMethod::named(&name));
        let authentication = match named {
            Some(method) => method,
            None if flag("bypassClientCredentials") => AuthenticationMethod::Nothing,
            None => AuthenticationMethod::Secret,
        };
        let keys = get("jwks").and_then(|set| set.get("keys")).cloned();
        let listed = keys.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let thumbprints = listed.iter().filter_map(|key| key.get("x5t#S256")?.as_str());
        let certificate_thumbprints = thumbprints.map(str::to_owned).collect();
        Self {
            is_saas: flag("saasApp"),
            authentication,
            application_validity: get("application_access_token_expiry_time").and_then(seconds),
            user_validity: get("user_access_token_expiry_time").and_then(seconds),
            refresh_validity: get("refresh_token_expiry_time").and_then(seconds),
            id_token_validity: get("id_token_expiry_time").and_then(seconds),
            redirect_uris: texts("redirect_uris"),
            post_logout_redirect_uris: texts("post_logout_redirect_uris"),
            keys: keys.and_then(|keys| serde_json::from_value(keys).ok()).unwrap_or_default(),
            id_token_algorithm: text("id_token_signed_response_alg").and_then(|name| name.parse().ok()),
            must_push: flag("require_pushed_authorization_requests"),
            must_prove_key: flag("dpop_bound_access_tokens"),
            has_certificate_bound_tokens: flag("tls_client_certificate_bound_access_tokens"),
            certificate_name: CertificateName::ALL.into_iter().find_map(|(kind, name)| Some((kind, text(name)?))),
            certificate_thumbprints,
        }
    }

    /// Says whether the client cannot keep a secret.
    pub fn is_public(&self) -> bool {
        self.authentication == AuthenticationMethod::Nothing
    }
}

/// A boolean, or its text, which is what the original's forms send.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

/// A duration in seconds as a number or as its text; a negative one means "never ends".
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(VALIDITY_S_MAX)))
}

/// The settings that were read, until the client's record changes.
pub(crate) struct ReadSettings(Cache<ClientId, (Arc<OauthClient>, Arc<ClientSettings>)>);

impl ReadSettings {
    pub fn new() -> Self {
        Self(Cache::new(CLIENT_SETTINGS_MAX))
    }

    /// Returns what is set for a client.
    pub fn of(&self, client: &Arc<OauthClient>) -> Arc<ClientSettings> {
        if let Some((record, settings)) = self.0.get(&client.id)
            && Arc::ptr_eq(&record, client)
        {
            return settings;
        }
        let settings = Arc::new(ClientSettings::read(client));
        self.0.insert(client.id.clone(), (Arc::clone(client), Arc::clone(&settings)));
        settings
    }
}
