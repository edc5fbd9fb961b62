//! Clients that register themselves by RFC 7591 and manage that by RFC 7592. What they say of themselves is checked
//! here; the record is the same as that of any other client.

use std::sync::Arc;

use actix::Message;
use portcullis_database::Caller;
use portcullis_database::command::{DeleteClient, PutClient};
use portcullis_jose::{Algorithm, Jwk};
use portcullis_model::oauth::OauthClient;
use portcullis_model::port::Identity;
use portcullis_model::{ClientId, TokenType};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::authority::{Authority, client};
use crate::bound::{CALLBACK_CHARS_MAX, CLIENT_NAME_CHARS_MAX};
use crate::certificate::CertificateName;
use crate::client_settings::AuthenticationMethod;
use crate::issuer::{draw_credentials, open_secret};
use crate::mint::{self, Kind};
use crate::oauth_error::OauthError;
use crate::redirect_uri;

/// Addresses of one kind that a client may register.
const ADDRESSES_MAX: usize = 20;
/// Keys that a client may register.
const KEYS_MAX: usize = 10;
/// Members of a registration that are texts and only kept.
const TEXTS: [&str; 7] =
    ["client_uri", "logo_uri", "tos_uri", "policy_uri", "software_id", "software_version", "scope"];
/// Members that are true or false.
const FLAGS: [&str; 3] =
    ["dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "require_pushed_authorization_requests"];
/// Where the digest of the token is kept by which a client manages its registration.
const MANAGED_BY: &str = "registration_access_token_digest";

/// Registers a client (RFC 7591).
#[derive(Message)]
#[rtype(result = "Result<Described, OauthError>")]
pub struct RegisterClient {
    /// Who registers it.
    pub caller: Identity,
    /// What it says of itself.
    pub metadata: Map<String, Value>,
}

/// Reads, changes or deletes a registration (RFC 7592).
#[derive(Message)]
#[rtype(result = "Result<Option<Described>, OauthError>")]
pub struct ManageClient {
    /// The client.
    pub id: ClientId,
    /// The token that was given with the registration.
    pub token: String,
    /// What is to be done.
    pub action: Management,
}

/// What is to be done with a registration.
pub enum Management {
    /// Show it.
    Read,
    /// Replace what the client says of itself.
    Change(Map<String, Value>),
    /// Delete it, with its tokens.
    Delete,
}

/// A registration as it is shown.
#[derive(Clone, Debug)]
pub struct Described {
    /// What is registered.
    pub metadata: Map<String, Value>,
}

impl Authority {
    /// Registers a client.
    pub async fn register_client(&self, request: RegisterClient) -> Result<Described, OauthError> {
        let checked = Checked::read(&request.metadata)?;
        let credentials = draw_credentials(&self.key);
        let (principal, origin) = (request.caller.principal, request.caller.origin);
        let token = self.mint.draw(Kind::Registration, self.now(&self.handle.view()));
        let shown_name = checked.name.clone().unwrap_or_else(|| credentials.id.0.clone());
        let mut other_fields = checked.other_fields;
        other_fields.insert("client_name".to_owned(), shown_name.clone().into());
        other_fields.insert(MANAGED_BY.to_owned(), hex_of(&token).into());
        let record = OauthClient {
            // Names are of use to people and may be the same; the state's are not.
            name: format!("{shown_name} ({})", credentials.id),
            id: credentials.id,
            secret: credentials.sealed,
            tenant: principal.tenant.clone(),
            owner: principal.username.clone(),
            mapping: None,
            grants: checked.grants,
            callback_url: String::new(),
            token_type: checked.token_type,
            token_validity_s: None,
            other_fields: Value::Object(other_fields).to_string(),
            created_at: portcullis_model::Timestamp(0),
        };
        let command = PutClient { client: record.clone(), is_new: true };
        self.handle.submit(command, &Caller::new(principal).from_address(origin)).await?;
        let issued_at = self.now(&self.handle.view());
        let record = OauthClient { created_at: issued_at, ..record };
        self.describe_client(&record, Some(&token))
    }

    /// Manages a registration on behalf of its client.
    pub async fn manage_client(&self, request: ManageClient) -> Result<Option<Described>, OauthError> {
        let record = self.managed(&request.id, &request.token).await?;
        let caller =
            Caller::new(portcullis_model::Principal { tenant: record.tenant.clone(), username: record.owner.clone() });
        match request.action {
            Management::Read => self.describe_client(&record, Some(&request.token)).map(Some),
            Management::Delete => {
                self.handle.submit(DeleteClient { client: record.id.clone() }, &caller).await?;
                Ok(None)
            }
            Management::Change(metadata) => {
                if metadata.get("client_id").and_then(Value::as_str) != Some(&record.id.0) {
                    return Err(OauthError::told("invalid_client_metadata", "client_id must be this client's."));
                }
                let checked = Checked::read(&metadata)?;
                let mut other_fields = checked.other_fields;
                other_fields.insert(MANAGED_BY.to_owned(), hex_of(&request.token).into());
                let shown_name = checked.name.unwrap_or_else(|| record.id.0.clone());
                other_fields.insert("client_name".to_owned(), shown_name.clone().into());
                let changed = OauthClient {
                    name: format!("{shown_name} ({})", record.id),
                    grants: checked.grants,
                    token_type: checked.token_type,
                    other_fields: Value::Object(other_fields).to_string(),
                    ..record.as_ref().clone()
                };
                let command = PutClient { client: changed.clone(), is_new: false };
                self.handle.submit(command, &caller).await?;
                self.describe_client(&changed, Some(&request.token)).map(Some)
            }
        }
    }

    /// Returns the client that a registration token is for. Neither tells whether the other exists.
    async fn managed(&self, id: &ClientId, token: &str) -> Result<Arc<OauthClient>, OauthError> {
        let refused = || OauthError::invalid_token("The registration access token is not valid for this client.");
        self.mint.read(Kind::Registration, token).ok_or_else(refused)?;
        let mut found = client(&self.handle.view(), id);
        if found.is_none() {
            found = self.caught_up().await.and_then(|view| client(&view, id));
        }
        let record = found.ok_or_else(refused)?;
        let fields: Value = serde_json::from_str(&record.other_fields).unwrap_or_default();
        let kept = fields.get(MANAGED_BY).and_then(Value::as_str).unwrap_or_default();
        let is_same: bool = kept.as_bytes().ct_eq(hex_of(token).as_bytes()).into();
        if is_same { Ok(record) } else { Err(refused()) }
    }

    fn describe_client(&self, record: &OauthClient, token: Option<&str>) -> Result<Described, OauthError> {
        let fields: Value = serde_json::from_str(&record.other_fields).unwrap_or_default();
        let mut metadata = fields.as_object().cloned().unwrap_or_default();
        metadata.remove(MANAGED_BY);
        metadata.insert("client_id".to_owned(), record.id.0.clone().into());
        metadata.insert("client_id_issued_at".to_owned(), record.created_at.as_secs().into());
        metadata.insert("grant_types".to_owned(), json!(record.grants));
        let has_code = record.grants.iter().any(|grant| grant == "authorization_code");
        metadata.insert("response_types".to_owned(), json!(if has_code { vec!["code"] } else { Vec::new() }));
        let method = metadata.get("token_endpoint_auth_method").and_then(Value::as_str);
        if method.and_then(AuthenticationMethod::named) == Some(AuthenticationMethod::Secret) {
            let secret = open_secret(&self.key, &record.secret).map_err(|_| OauthError::server_error())?;
            metadata.insert("client_secret".to_owned(), secret.into());
            metadata.insert("client_secret_expires_at".to_owned(), 0.into());
        }
        if let Some(token) = token {
            let address = format!("{}/oauth2/register/{}", self.settings.base_url, record.id);
            metadata.insert("registration_client_uri".to_owned(), address.into());
            metadata.insert("registration_access_token".to_owned(), token.into());
        }
        Ok(Described { metadata })
    }
}

fn hex_of(token: &str) -> String {
    mint::digest_of(token).0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a client says of itself, as far as it is understood and in order.
struct Checked {
    name: Option<String>,
    grants: Vec<String>,
    token_type: TokenType,
    other_fields: Map<String, Value>,
}

impl Checked {
    fn read(metadata: &Map<String, Value>) -> Result<Self, OauthError> {
        let mut other_fields = Map::new();
        let name = text(metadata, "client_name")?;
        let is_too_long = name.as_ref().is_some_and(|name| name.chars().count() > CLIENT_NAME_CHARS_MAX - 40);
        if is_too_long || name.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(invalid(format!("client_name has at most {} characters", CLIENT_NAME_CHARS_MAX - 40)));
        }
        let grants = match texts(metadata, "grant_types", ADDRESSES_MAX)? {
            empty if empty.is_empty() => vec!["authorization_code".to_owned()],
            grants => grants,
        };
        for grant in &grants {
            if grant != "implicit" && !crate::GRANT_TYPES.contains(&grant.as_str()) {
                return Err(invalid(format!("the grant type {grant} is not served")));
            }
        }
        let redirect_uris = addresses(metadata, "redirect_uris")?;
        let needs_address = grants.iter().any(|grant| grant == "authorization_code" || grant == "implicit");
        if needs_address && redirect_uris.is_empty() {
            return Err(OauthError::told("invalid_redirect_uri", "redirect_uris must have an address."));
        }
        other_fields.insert("redirect_uris".to_owned(), json!(redirect_uris));
        let after = addresses(metadata, "post_logout_redirect_uris")?;
        if !after.is_empty() {
            other_fields.insert("post_logout_redirect_uris".to_owned(), json!(after));
        }
        read_authentication(metadata, &mut other_fields)?;
        if let Some(name) = text(metadata, "id_token_signed_response_alg")? {
            if !Algorithm::SIGNING.iter().any(|one| one.name() == name) {
                return Err(invalid(format!("id_token_signed_response_alg {name} is not served")));
            }
            other_fields.insert("id_token_signed_response_alg".to_owned(), name.into());
        }
        for member in TEXTS {
            if let Some(value) = text(metadata, member)? {
                other_fields.insert(member.to_owned(), value.into());
            }
        }
        for member in FLAGS {
            match metadata.get(member) {
                None | Some(Value::Null) => {}
                Some(Value::Bool(flag)) => {
                    other_fields.insert(member.to_owned(), (*flag).into());
                }
                Some(_) => return Err(invalid(format!("{member} must be true or false"))),
            }
        }
        let contacts = texts(metadata, "contacts", ADDRESSES_MAX)?;
        if !contacts.is_empty() {
            other_fields.insert("contacts".to_owned(), json!(contacts));
        }
        let token_type = match text(metadata, "access_token_type")?.as_deref() {
            None | Some("JWT") => TokenType::Jwt,
            Some("OPAQUE") => TokenType::Opaque,
            Some(_) => return Err(invalid("access_token_type must be JWT or OPAQUE".to_owned())),
        };
        Ok(Self { name, grants, token_type, other_fields })
    }
}

fn read_authentication(metadata: &Map<String, Value>, other: &mut Map<String, Value>) -> Result<(), OauthError> {
    let method = text(metadata, "token_endpoint_auth_method")?.unwrap_or_else(|| "client_secret_basic".to_owned());
    let known = AuthenticationMethod::named(&method);
    let known = known.ok_or_else(|| invalid(format!("token_endpoint_auth_method {method} is not served")))?;
    if metadata.contains_key("jwks_uri") {
        return Err(invalid("jwks_uri is not served: send the keys themselves in jwks".to_owned()));
    }
    let set = metadata.get("jwks").and_then(|set| set.get("keys")).and_then(Value::as_array);
    let keys = set.map(Vec::as_slice).unwrap_or_default();
    if keys.len() > KEYS_MAX {
        return Err(invalid(format!("jwks has at most {KEYS_MAX} keys")));
    }
    for key in keys {
        if ["d", "p", "q", "k"].iter().any(|member| key.get(member).is_some()) {
            return Err(invalid("jwks must hold public keys: one of them is private or shared".to_owned()));
        }
        let jwk: Option<Jwk> = serde_json::from_value(key.clone()).ok();
        if !jwk.is_some_and(|jwk| Algorithm::ALL.into_iter().any(|one| jwk.public_key(one).is_some())) {
            return Err(invalid("a key in jwks is not understood".to_owned()));
        }
    }
    if known == AuthenticationMethod::PrivateKeyJwt && keys.is_empty() {
        return Err(invalid("private_key_jwt needs a key in jwks".to_owned()));
    }
    let mut names = 0;
    for (_, member) in CertificateName::ALL {
        if let Some(value) = text(metadata, member)? {
            other.insert(member.to_owned(), value.into());
            names += 1;
        }
    }
    if known == AuthenticationMethod::Certificate && names != 1 {
        let members = CertificateName::ALL.map(|(_, member)| member).join(", ");
        return Err(invalid(format!("tls_client_auth needs one of {members}")));
    }
    if known == AuthenticationMethod::OwnCertificate && !keys.iter().any(|key| key.get("x5t#S256").is_some()) {
        return Err(invalid("self_signed_tls_client_auth needs a key with x5t#S256 in jwks".to_owned()));
    }
    if !keys.is_empty() {
        other.insert("jwks".to_owned(), json!({ "keys": keys }));
    }
    other.insert("token_endpoint_auth_method".to_owned(), method.into());
    Ok(())
}

fn invalid(reason: String) -> OauthError {
    OauthError::told("invalid_client_metadata", reason)
}

fn text(metadata: &Map<String, Value>, name: &str) -> Result<Option<String>, OauthError> {
    match metadata.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= CALLBACK_CHARS_MAX => Ok(Some(text.clone())),
        Some(_) => Err(invalid(format!("{name} must be a text of at most {CALLBACK_CHARS_MAX} characters"))),
    }
}

fn texts(metadata: &Map<String, Value>, name: &str, max: usize) -> Result<Vec<String>, OauthError> {
    let refuse = || invalid(format!("{name} must be a list of at most {max} texts"));
    let list = match metadata.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= max => list,
        Some(_) => return Err(refuse()),
    };
    let short = |value: &Value| value.as_str().filter(|text| text.len() <= CALLBACK_CHARS_MAX).map(str::to_owned);
    list.iter().map(|value| short(value).ok_or_else(refuse)).collect()
}

fn addresses(metadata: &Map<String, Value>, name: &str) -> Result<Vec<String>, OauthError> {
    let found = texts(metadata, name, ADDRESSES_MAX)?;
    match found.iter().find(|one| !redirect_uri::is_sound(one)) {
        None => Ok(found),
        Some(bad) => Err(OauthError::told(
            "invalid_redirect_uri",
            format!("{bad} in {name} is not an absolute URL without a fragment that a browser may be sent to."),
        )),
    }
}
