//! Identity providers: which there are, and what of their description says how users sign in by OpenID Connect.

use actix::Message;
use portcullis_database::command::{DeleteIdentityProvider, PutIdentityProvider};
use portcullis_database::handle::random_bytes;
use portcullis_database::{Caller, SubmitError, Userdb, federation};
use portcullis_model::identity_provider::IdentityProvider;
use portcullis_model::{IdentityProviderId, NodeId, TenantDomain, Timestamp};
use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::user_claims::LOCAL_DIALECT;

/// The original's name of the part that signs users in by OpenID Connect.
pub(crate) const OIDC_AUTHENTICATOR: &str = "OpenIDConnectAuthenticator";
/// The property that holds the secret.
const SECRET: &str = "ClientSecret";
/// Bytes of a description.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Mappings of one kind.
const MAPPINGS_MAX: usize = 200;
/// Characters of an address or a name.
const TEXT_CHARS_MAX: usize = 2_048;

/// Asks for the identity providers of a tenant.
#[derive(Message)]
#[rtype(result = "Vec<IdentityProvider>")]
pub struct ListIdentityProviders {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// Registers an identity provider or changes one.
#[derive(Message)]
#[rtype(result = "Result<(IdentityProvider, u64, Vec<NodeId>), ProviderFault>")]
pub struct DescribeIdentityProvider {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// Which; `None` for a new one.
    pub id: Option<IdentityProviderId>,
    /// The object of the REST contract.
    pub document: Map<String, Value>,
}

/// Deletes an identity provider.
#[derive(Message)]
#[rtype(result = "Result<(u64, Vec<NodeId>), SubmitError>")]
pub struct RemoveIdentityProvider {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// Which.
    pub id: IdentityProviderId,
}

/// Why an identity provider was not registered.
#[derive(Debug, thiserror::Error)]
pub enum ProviderFault {
    /// There is none of that id.
    #[error("there is no identity provider {0}")]
    NotFound(IdentityProviderId),
    /// Its description is not as it must be.
    #[error("{0}")]
    Wrong(String),
    /// It was not stored.
    #[error(transparent)]
    NotStored(#[from] SubmitError),
}

impl Authority {
    /// Returns the identity providers of a tenant, by name.
    pub fn list_identity_providers(&self, tenant: &TenantDomain) -> Vec<IdentityProvider> {
        let view = self.handle.view();
        let mut found: Vec<IdentityProvider> =
            federation::providers_of(view.read::<Userdb>(), tenant).map(|one| one.as_ref().clone()).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Registers an identity provider or changes one. A secret that is not sent stays.
    pub async fn describe_identity_provider(
        &self,
        request: DescribeIdentityProvider,
    ) -> Result<(IdentityProvider, u64, Vec<NodeId>), ProviderFault> {
        let DescribeIdentityProvider { caller, id, mut document } = request;
        let tenant = caller.principal.tenant.clone();
        let before = match id {
            Some(id) => {
                let view = self.handle.view();
                let found = view.read::<Userdb>().identity_providers.get(&(tenant.clone(), id)).cloned();
                Some(found.ok_or(ProviderFault::NotFound(id))?)
            }
            None => None,
        };
        let sent = take_secret(&mut document);
        let secret = match sent {
            Some(secret) => Some(self.key.seal(secret.as_bytes())),
            None => before.as_ref().and_then(|before| before.secret.clone()),
        };
        let name = text(&document, "name").map_err(ProviderFault::Wrong)?.unwrap_or_default();
        if name.is_empty() || name.chars().count() > 120 || name.contains(char::is_control) {
            return Err(ProviderFault::Wrong(
                "name: must have 1 to 120 characters, and no control characters".to_owned(),
            ));
        }
        let is_enabled = document.get("isEnabled").and_then(Value::as_bool).unwrap_or(true);
        let provider = IdentityProvider {
            id: id.unwrap_or_else(|| IdentityProviderId::from_random(random_bytes())),
            tenant,
            name,
            document: Value::Object(document).to_string(),
            secret,
            is_enabled,
            created_at: Timestamp(0),
        };
        OidcLogin::read(&provider).map_err(ProviderFault::Wrong)?;
        let command = PutIdentityProvider { provider: provider.clone(), is_new: before.is_none() };
        let committed = self.handle.submit(command, &caller).await?;
        Ok((provider, committed.index, committed.unreached))
    }

    /// Deletes an identity provider.
    pub async fn remove_identity_provider(
        &self,
        request: RemoveIdentityProvider,
    ) -> Result<(u64, Vec<NodeId>), SubmitError> {
        let tenant = request.caller.principal.tenant.clone();
        let command = DeleteIdentityProvider { tenant, id: request.id };
        let committed = self.handle.submit(command, &request.caller).await?;
        Ok((committed.index, committed.unreached))
    }
}

/// Returns the properties of every authenticator, each with the authenticator it belongs to.
fn authenticators(document: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    let listed = document.get_mut("federatedAuthenticators").and_then(|one| one.get_mut("authenticators"));
    listed.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Takes the secret out of a description.
fn take_secret(document: &mut Map<String, Value>) -> Option<String> {
    let mut secret = None;
    for authenticator in authenticators(document) {
        let Some(properties) = authenticator.get_mut("properties").and_then(Value::as_array_mut) else { continue };
        properties.retain(|property| {
            let is_secret = property["key"] == SECRET;
            if is_secret && let Some(value) = property["value"].as_str().filter(|value| !value.is_empty()) {
                secret = Some(value.to_owned());
            }
            !is_secret
        });
    }
    secret
}

fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= TEXT_CHARS_MAX => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(format!("{name}: must be a text of at most {TEXT_CHARS_MAX} characters")),
    }
}

/// How users sign in at an identity provider by OpenID Connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OidcLogin {
    pub issuer: String,
    pub client_id: String,
    pub authorize_url: String,
    pub token_url: String,
    pub userinfo_url: Option<String>,
    pub jwks_url: String,
    pub scopes: String,
    /// Further parameters of the authorization request.
    pub parameters: Vec<(String, String)>,
    /// The claim that is the user's name here.
    pub user_claim: Option<String>,
    /// The claim that holds roles there.
    pub role_claim: Option<String>,
    /// A role there and the one that it is here.
    pub roles: Vec<(String, String)>,
    /// A claim there and the local claim that it is.
    pub claims: Vec<(String, String)>,
    /// Whether users who come for the first time are made.
    pub makes_users: bool,
    /// The local claim by which somebody is taken for a user who is there already.
    pub links_by: Option<LinkBy>,
}

/// By what somebody is taken for a user who is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkBy {
    /// The same user name.
    Username,
    /// The same address for e-mail, which the identity provider says is verified.
    Email,
}

impl OidcLogin {
    /// Reads how users sign in; `None` where they do not by OpenID Connect.
    ///
    /// # Errors
    /// What is wrong with the description, by the name of the member.
    pub fn read(provider: &IdentityProvider) -> Result<Option<Self>, String> {
        if provider.document.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("the description has more than {DOCUMENT_BYTES_MAX} bytes"));
        }
        let document: Value = serde_json::from_str(&provider.document).unwrap_or_default();
        let listed = document.pointer("/federatedAuthenticators/authenticators").and_then(Value::as_array);
        let is_oidc = |one: &&Value| {
            let is_on = one["isEnabled"].as_bool().unwrap_or(true);
            is_on && (one["name"] == OIDC_AUTHENTICATOR || one["authenticatorId"] == authenticator_id().as_str())
        };
        let Some(authenticator) = listed.into_iter().flatten().find(is_oidc) else { return Ok(None) };
        let property = |key: &str| {
            let found = authenticator["properties"].as_array()?.iter().find(|property| property["key"] == key)?;
            found["value"].as_str().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let needed = |key: &str| property(key).ok_or_else(|| format!("{key}: is missing among the properties"));
        let address = |name: &str, text: String| is_address(&text).then_some(text).ok_or_else(|| wrong_address(name));
        let of_document =
            |pointer: &str| document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let issuer = of_document("/idpIssuerName").ok_or("idpIssuerName: is needed, for ID tokens name it")?;
        let jwks = of_document("/certificate/jwksUri").ok_or("certificate.jwksUri: is needed to check ID tokens")?;
        let further = property("commonAuthQueryParams").unwrap_or_default();
        Ok(Some(Self {
            issuer: issuer.to_owned(),
            client_id: needed("ClientId")?,
            authorize_url: address("OAuth2AuthzEPUrl", needed("OAuth2AuthzEPUrl")?)?,
            token_url: address("OAuth2TokenEPUrl", needed("OAuth2TokenEPUrl")?)?,
            userinfo_url: property("UserInfoUrl").map(|url| address("UserInfoUrl", url)).transpose()?,
            jwks_url: address("certificate.jwksUri", jwks.to_owned())?,
            scopes: property("Scopes").unwrap_or_else(|| "openid profile email".to_owned()),
            parameters: url::form_urlencoded::parse(further.as_bytes()).into_owned().take(MAPPINGS_MAX).collect(),
            user_claim: of_document("/claims/userIdClaim/uri").map(str::to_owned),
            role_claim: of_document("/claims/roleClaim/uri").map(str::to_owned),
            roles: pairs(&document, "/roles/mappings", "/idpRole", "/localRole")?,
            claims: local_claims(pairs(&document, "/claims/mappings", "/idpClaim", "/localClaim/uri")?)?,
            makes_users: document.pointer("/provisioning/jit/isEnabled").and_then(Value::as_bool).unwrap_or(false),
            links_by: links_by(&document)?,
        }))
    }
}

/// The id of the authenticator, as the original makes it of the name.
pub(crate) fn authenticator_id() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(OIDC_AUTHENTICATOR)
}

/// Says whether something may be called: by TLS, or on this machine for trying things out.
fn is_address(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    text.len() <= TEXT_CHARS_MAX && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

fn wrong_address(name: &str) -> String {
    format!("{name}: must be an https address")
}

fn pairs(document: &Value, pointer: &str, from: &str, to: &str) -> Result<Vec<(String, String)>, String> {
    let name = pointer[1..].replace('/', ".");
    let list = match document.pointer(pointer) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAPPINGS_MAX => list,
        Some(_) => return Err(format!("{name}: must be a list of at most {MAPPINGS_MAX}")),
    };
    let text = |one: &Value, pointer: &str| one.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let pairs: Option<Vec<_>> = list.iter().map(|one| Some((text(one, from)?, text(one, to)?))).collect();
    let dotted = |pointer: &str| pointer[1..].replace('/', ".");
    pairs.ok_or_else(|| format!("{name}: each has {} and {}, both texts", dotted(from), dotted(to)))
}

/// Takes the dialect off local claims.
fn local_claims(pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, String> {
    let short = |(remote, local): (String, String)| match local.strip_prefix(LOCAL_DIALECT) {
        Some(name) if name.len() > 1 => Ok((remote, name[1..].to_owned())),
        _ => Err(format!("claims.mappings: {local} is none of {LOCAL_DIALECT}")),
    };
    pairs.into_iter().map(short).collect()
}

/// Reads by what users are linked (the original's `implicitAssociation`).
fn links_by(document: &Value) -> Result<Option<LinkBy>, String> {
    let association = &document["implicitAssociation"];
    if association["isEnabled"] != true {
        return Ok(None);
    }
    let claim = association.pointer("/lookupAttribute/0").and_then(Value::as_str).unwrap_or_default();
    match claim.strip_prefix(LOCAL_DIALECT) {
        Some("/username") => Ok(Some(LinkBy::Username)),
        Some("/emailaddress") => Ok(Some(LinkBy::Email)),
        _ => Err(format!(
            "implicitAssociation.lookupAttribute: must be [\"{LOCAL_DIALECT}/emailaddress\"] or [\"{LOCAL_DIALECT}/username\"]"
        )),
    }
}
