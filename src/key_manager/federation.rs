//! Sign-in at an identity provider by OpenID Connect (Core 1.0, section 3.1): sends the browser there, and takes in who comes
//! back with a code. What is between the two is in a sealed cookie, so that any node may take the next step.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::AdmitUser;
use portcullis_database::handle::{View, random_bytes, wall_clock};
use portcullis_database::{Caller, SubmitError, Userdb, federation, people};
use portcullis_http::fetch::Service;
use portcullis_model::identity_provider::{IdentityProvider, Vouched};
use portcullis_model::{
    ClientId, IdentityProviderId, KeyManagerId, Principal, Refused, Role, Sealed, TenantDomain, Timestamp, User,
    Username,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, active_user, client};
use crate::browser_messages::Cookie;
use crate::foreign_keys::Claimed;
use crate::identity_providers::{LinkBy, OidcLogin};
use crate::issuer::open_secret;
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;
use crate::password::hash_password;
use crate::redirect_uri::with_parameters;
use crate::user_claims::{put_attribute, settings_of};

/// Where identity providers send browsers back to, as in the original.
const CALLBACK: &str = "/commonauth";
/// How long a user may take to sign in there.
const TIME: Duration = Duration::from_secs(600);
/// What sealed cookies begin with.
const LABEL: &[u8] = b"portcullis sign-in elsewhere 1\n";
/// Bytes of a sealed cookie: browsers keep 4 096.
const COOKIE_BYTES_MAX: usize = 3_800;
/// How long a call of the identity provider may take.
const CALL_WITHIN: Duration = Duration::from_secs(5);

/// A user is to sign in elsewhere.
#[derive(Message)]
#[rtype(result = "Result<Departure, OauthError>")]
pub struct BeginSignIn {
    /// The identity provider.
    pub provider: String,
    /// What goes on afterwards.
    pub to: Parameters,
}

/// Where a browser is sent, and what it keeps meanwhile.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Where to.
    pub address: String,
    /// What it keeps.
    pub cookie: Cookie,
}

/// A browser comes back.
#[derive(Message)]
#[rtype(result = "Result<Arrival, OauthError>")]
pub struct EndSignIn {
    /// What the identity provider sent along.
    pub parameters: Parameters,
    /// What the browser kept.
    pub cookie: Option<Cookie>,
    /// The address of the browser.
    pub origin: Option<IpAddr>,
}

/// A user is signed in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What the browser is to keep.
    pub sign_in: Cookie,
    /// What goes on.
    pub to: Parameters,
}

/// What is remembered while a browser is elsewhere.
#[derive(Serialize, Deserialize)]
struct Journey {
    tenant: TenantDomain,
    provider: IdentityProviderId,
    state: String,
    nonce: String,
    verifier: String,
    to: String,
    until: Timestamp,
}

/// What comes for a code (OpenID Connect Core, section 3.1.3.3).
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

impl Authority {
    /// Returns where users may sign in instead, for what goes on afterwards: addresses and names.
    pub fn sign_ins_elsewhere(&self, to: &str) -> Vec<(String, String)> {
        let Ok(parameters) = Parameters::parse(to.as_bytes()) else { return Vec::new() };
        let view = self.handle.view();
        let Some(tenant) = tenant_of(&view, &parameters) else { return Vec::new() };
        let is_offered = |one: &&Arc<IdentityProvider>| one.is_enabled && matches!(OidcLogin::read(one), Ok(Some(_)));
        let offered = federation::providers_of(view.read::<Userdb>(), &tenant).filter(is_offered);
        let address = |one: &IdentityProvider| {
            let id = one.id.to_string();
            with_parameters("/oauth2/sign-in-elsewhere", &[("provider", id.as_str()), ("to", to)], false)
        };
        let mut links: Vec<_> = offered.map(|one| (address(one), one.name.clone())).collect();
        links.sort_by(|a, b| a.1.cmp(&b.1));
        links
    }

    /// Sends a browser to an identity provider.
    pub fn begin_sign_in(&self, request: &BeginSignIn) -> Result<Departure, OauthError> {
        let view = self.handle.view();
        let tenant = tenant_of(&view, &request.to).ok_or_else(OauthError::unknown_client)?;
        let (provider, login) = self.provider(&view, &tenant, request.provider.parse().ok())?;
        let journey = Journey {
            tenant,
            provider: provider.id,
            state: random_text(),
            nonce: random_text(),
            verifier: random_text(),
            to: request.to.to_query(),
            until: wall_clock().after(TIME),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(journey.verifier.as_bytes()));
        let callback = self.callback();
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", login.client_id.as_str()),
            ("redirect_uri", &callback),
            ("scope", &login.scopes),
            ("state", &journey.state),
            ("nonce", &journey.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        parameters.extend(login.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let address = with_parameters(&login.authorize_url, &parameters, false);
        let mut text = LABEL.to_vec();
        text.extend(serde_json::to_vec(&journey).unwrap_or_default());
        let cookie = URL_SAFE_NO_PAD.encode(self.key.seal(&text).0);
        if cookie.len() > COOKIE_BYTES_MAX {
            return Err(OauthError::invalid_request("The request is too long for a sign-in elsewhere; push it."));
        }
        Ok(Departure { address, cookie: Cookie(cookie) })
    }

    fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.settings.base_url)
    }

    fn provider(
        &self,
        view: &View<Access>,
        tenant: &TenantDomain,
        id: Option<IdentityProviderId>,
    ) -> Result<(Arc<IdentityProvider>, OidcLogin), OauthError> {
        let unknown = || OauthError::invalid_request("There is no such identity provider.");
        let id = id.ok_or_else(unknown)?;
        let found = view.read::<Userdb>().identity_providers.get(&(tenant.clone(), id));
        let found = found.filter(|one| one.is_enabled && people::is_active(view.read(), tenant)).ok_or_else(unknown)?;
        let login = OidcLogin::read(found).ok().flatten().ok_or_else(unknown)?;
        Ok((Arc::clone(found), login))
    }

    fn journey(&self, cookie: Option<&Cookie>) -> Option<Journey> {
        let sealed = URL_SAFE_NO_PAD.decode(&cookie?.0).ok()?;
        let text = self.key.open(&Sealed(sealed)).ok()?;
        let journey: Journey = serde_json::from_slice(text.strip_prefix(LABEL)?).ok()?;
        (wall_clock() < journey.until).then_some(journey)
    }

    /// Takes in who comes back from an identity provider.
    pub async fn end_sign_in(&self, request: EndSignIn) -> Result<Arrival, OauthError> {
        let lost =
            "This sign-in took too long, or was begun in another browser. Go back to the application and begin again.";
        let journey = self.journey(request.cookie.as_ref()).ok_or_else(|| OauthError::invalid_request(lost))?;
        // The answer is to what this browser asked, and comes from whom it asked (RFC 9207).
        if request.parameters.get("state") != Some(&journey.state) {
            return Err(OauthError::invalid_request(lost));
        }
        let view = self.handle.view();
        let (provider, login) = self.provider(&view, &journey.tenant, Some(journey.provider))?;
        if request.parameters.get("iss").is_some_and(|issuer| issuer != login.issuer) {
            return Err(OauthError::invalid_request("The answer comes from another identity provider."));
        }
        if let Some(error) = request.parameters.get("error") {
            let error: String = error.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(OauthError::forbidden(format!("{} did not sign you in ({error}).", provider.name)));
        }
        let code = request.parameters.need("code")?;
        let claims = self.claims_for(&provider, &login, &journey, code).await?;
        let user = self.admit_by(&provider, &login, &claims, request.origin).await?;
        let sign_in = self.open_sign_in(&user).await?;
        Ok(Arrival { sign_in, to: Parameters::parse(journey.to.as_bytes())? })
    }

    /// Redeems a code, and returns what the identity provider says of the user.
    async fn claims_for(
        &self,
        provider: &IdentityProvider,
        login: &OidcLogin,
        journey: &Journey,
        code: &str,
    ) -> Result<Map<String, Value>, OauthError> {
        let failed = |cause: &dyn std::fmt::Display| {
            tracing::warn!(provider = provider.name, %cause, "an identity provider did not give what it should");
            OauthError::unavailable("The identity provider did not answer as it should. Try again in a minute.")
        };
        let callback = self.callback();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback.as_str()),
            ("code_verifier", &journey.verifier),
        ];
        let mut service = Service::of_tenant(&provider.tenant, &login.token_url)
            .await
            .map_err(|cause| failed(&cause))?
            .with_timeout(CALL_WITHIN);
        let secret = provider.secret.as_ref().map(|sealed| open_secret(&self.key, sealed)).transpose();
        match secret.map_err(|cause| failed(&cause))? {
            Some(secret) => service = service.with_basic(&form_encoded(&login.client_id), &form_encoded(&secret)),
            None => form.push(("client_id", &login.client_id)),
        }
        let tokens: Tokens = service.post_form(&form).await.map_err(|cause| failed(&cause))?;
        let token = Claimed::parse(&tokens.id_token).ok_or_else(|| failed(&"the ID token is none"))?;
        let slot = KeyManagerId(provider.id.0);
        let keys = self.foreign.keys(slot, &provider.tenant, &provider.name, &login.jwks_url, &token).await;
        if !keys.ok_or_else(|| failed(&"its keys cannot be had"))?.verify(&token) {
            return Err(failed(&"none of its keys signed the ID token"));
        }
        self.check_id_token(login, journey, &token.claims).map_err(|why| failed(&why))?;
        let Value::Object(mut claims) = token.claims else { return Err(failed(&"the ID token has no claims")) };
        if let (Some(url), Some(token)) = (&login.userinfo_url, &tokens.access_token) {
            let service = Service::of_tenant(&provider.tenant, url).await.map_err(|cause| failed(&cause))?;
            let told: Map<String, Value> =
                service.with_bearer(token).with_timeout(CALL_WITHIN).get().await.map_err(|cause| failed(&cause))?;
            if told.get("sub") != claims.get("sub") {
                return Err(failed(&"the user info is about somebody else"));
            }
            claims.extend(told);
        }
        Ok(claims)
    }

    /// Checks an ID token (OpenID Connect Core, section 3.1.3.7) whose signature is good.
    fn check_id_token(&self, login: &OidcLogin, journey: &Journey, claims: &Value) -> Result<(), &'static str> {
        let is_for_us = match &claims["aud"] {
            Value::String(one) => *one == login.client_id,
            Value::Array(several) => {
                let is_ours = several.iter().any(|one| *one == login.client_id.as_str());
                // Of several it must be said for which one it was made.
                is_ours && (several.len() == 1 || claims["azp"] == login.client_id.as_str())
            }
            _ => false,
        };
        let (now, skew) = (wall_clock().as_secs(), self.settings.clock_skew.as_secs());
        match () {
            () if claims["iss"] != login.issuer.as_str() => Err("the ID token is of another issuer"),
            () if !is_for_us => Err("the ID token is for another client"),
            () if claims["azp"].as_str().is_some_and(|azp| azp != login.client_id) => {
                Err("the ID token is for another client")
            }
            () if claims["exp"].as_u64().is_none_or(|exp| exp.saturating_add(skew) < now) => {
                Err("the ID token is over")
            }
            () if claims["iat"].as_u64().is_some_and(|iat| iat > now.saturating_add(skew)) => {
                Err("the ID token is of the future")
            }
            () if claims["nonce"] != journey.nonce.as_str() => Err("the ID token is for another sign-in"),
            () => Ok(()),
        }
    }

    /// Lets in whom an identity provider vouches for.
    async fn admit_by(
        &self,
        provider: &IdentityProvider,
        login: &OidcLogin,
        claims: &Map<String, Value>,
        origin: Option<IpAddr>,
    ) -> Result<Arc<User>, OauthError> {
        let view = self.handle.view();
        let vouched = vouched(&view, &provider.tenant, login, claims)?;
        let key = (provider.tenant.clone(), provider.id, vouched.subject.clone());
        let is_known = federation::linked(view.read::<Userdb>(), &key).is_some();
        let linked_to = if is_known { None } else { linked_user(&view, &provider.tenant, login, claims, &vouched) };
        let makes_one = login.makes_users && !is_known && linked_to.is_none();
        self.admit(&provider.tenant, provider.id, vouched, linked_to, makes_one, origin).await
    }

    /// Lets somebody in: as the user they are by now.
    pub async fn admit(
        &self,
        tenant: &TenantDomain,
        provider: IdentityProviderId,
        vouched: Vouched,
        linked_to: Option<Username>,
        makes_one: bool,
        origin: Option<IpAddr>,
    ) -> Result<Arc<User>, OauthError> {
        let who = vouched.username.clone();
        let new_password_hash = makes_one.then(|| hash_password(&random_text()));
        let command = AdmitUser { tenant: tenant.clone(), provider, vouched, linked_to, new_password_hash };
        let principal = Principal { tenant: tenant.clone(), username: who.clone() };
        let admitted = self.handle.submit(command, &Caller::new(principal).from_address(origin)).await;
        let username = match admitted {
            Ok(committed) => committed.reply,
            Err(SubmitError::Refused(Refused::AlreadyExists { .. })) => {
                let why = format!("There is a user {who} here who is not linked to yours. Ask an administrator.");
                return Err(OauthError::forbidden(why));
            }
            Err(SubmitError::Refused(Refused::NotFound { .. })) => {
                return Err(OauthError::forbidden("You are nobody here yet. Ask an administrator for a user."));
            }
            Err(error) => return Err(error.into()),
        };
        let user = active_user(&self.handle.view(), tenant, &username);
        let user = user.ok_or_else(|| OauthError::forbidden("This user may not sign in."))?;
        self.sign_ins.note(&(tenant.clone(), username), origin, None);
        Ok(user)
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the tenant whose users are to sign in: the client's; that of a portal's path.
fn tenant_of(view: &View<Access>, to: &Parameters) -> Option<TenantDomain> {
    if let Some(id) = to.get("client_id") {
        return client(view, &ClientId(id.to_owned())).map(|client| client.tenant.clone());
    }
    let named = to.get("tenant").map(|domain| TenantDomain(domain.to_owned()));
    let tenant = named.unwrap_or_else(TenantDomain::super_tenant);
    people::is_active(view.read::<Userdb>(), &tenant).then_some(tenant)
}

/// Returns whom an identity provider vouches for by these claims.
fn vouched(
    view: &View<Access>,
    tenant: &TenantDomain,
    login: &OidcLogin,
    claims: &Map<String, Value>,
) -> Result<Vouched, OauthError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let subject =
        text("sub").ok_or_else(|| OauthError::forbidden("The identity provider does not say who you are."))?;
    let mapped = |local: &str| {
        let found = login.claims.iter().find(|(_, name)| name == local)?;
        text(&found.0)
    };
    let name = login.user_claim.as_deref().and_then(text).or_else(|| mapped("username"));
    let name = name.or_else(|| text("preferred_username")).or_else(|| text("email")).unwrap_or(subject);
    let is_plain = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    if !is_plain(name) || !(1..=100).contains(&name.chars().count()) || name.starts_with('@') || name.ends_with('@') {
        let why =
            "The name that the identity provider gives cannot be a user's name here (letters, digits, . _ - + @).";
        return Err(OauthError::forbidden(why));
    }
    let email = mapped("emailaddress").or_else(|| text("email")).unwrap_or_default();
    let settings = settings_of(view.read::<Userdb>(), tenant);
    let mut attributes = json!({});
    for (remote, local) in &login.claims {
        let attribute = settings.local.iter().find(|claim| claim.name == *local).map(|claim| claim.attribute.as_str());
        if let (Some(attribute), Some(value)) = (attribute, claims.get(remote)) {
            put_attribute(&mut attributes, attribute, value);
        }
    }
    Ok(Vouched {
        subject: subject.to_owned(),
        username: Username(name.to_owned()),
        email: email.chars().take(254).collect(),
        roles: roles(login, claims),
        attributes: attributes.to_string(),
    })
}

/// Returns the roles that somebody has here by those there; of roles that are not mapped none.
fn roles(login: &OidcLogin, claims: &Map<String, Value>) -> Vec<Role> {
    let Some(claim) = login.role_claim.as_ref().and_then(|name| claims.get(name)) else { return Vec::new() };
    let held: Vec<&str> = match claim {
        Value::String(text) => text.split([',', ' ']).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mapped = login.roles.iter().filter(|(remote, _)| held.contains(&remote.as_str()));
    mapped.map(|(_, local)| Role(local.clone())).collect()
}

/// Returns the user who is there already and whom somebody is by the claim that links.
fn linked_user(
    view: &View<Access>,
    tenant: &TenantDomain,
    login: &OidcLogin,
    claims: &Map<String, Value>,
    vouched: &Vouched,
) -> Option<Username> {
    let users = view.read::<Userdb>();
    match login.links_by? {
        LinkBy::Username => people::user(users, tenant, &vouched.username).map(|user| user.username.clone()),
        LinkBy::Email => {
            let is_verified = claims.get("email_verified").is_some_and(|flag| *flag == true || flag == "true");
            if !is_verified || vouched.email.is_empty() {
                return None;
            }
            let mut found =
                people::users_of(users, tenant).filter(|user| user.email.eq_ignore_ascii_case(&vouched.email));
            let first = found.next()?;
            // An address that two have means neither.
            found.next().is_none().then(|| first.username.clone())
        }
    }
}
