//! The device grant (RFC 8628): a device without a browser asks, its user decides on a page, the device polls.

use std::time::{Duration, Instant};

use actix::Message;
use portcullis_database::command::{DecideDevice as DecideCommand, KeepGrant};
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::authorization::{DeviceDecision, DeviceGrant, PendingGrant};
use portcullis_model::{Principal, Refused, TokenDigest};

use crate::authority::{Authority, active_user, client};
use crate::bound::CATCH_UP_WAIT;
use crate::browser_messages::Cookie;
use crate::claims::subject;
use crate::grant::{Asked, ToUser, check_application};
use crate::issue::SignInFacts;
use crate::messages::{ClientLogin, Evidence, TokenReply};
use crate::mint::{self, Kind};
use crate::oauth_error::OauthError;
use crate::scope_grant;
use crate::sign_ins::SignedIn;

/// The grant's name.
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long a request waits for its user.
const DEVICE_LIFE: Duration = Duration::from_secs(600);
/// How often a device may ask.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Letters of what users type: no vowels, so that no words come out, and none that look like another.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many letters: 34 bits, of which a user may try a few.
const USER_CODE_LETTERS: usize = 8;

/// Asks for a device code (section 3.1).
#[derive(Message)]
#[rtype(result = "Result<DeviceStarted, OauthError>")]
pub struct StartDevice {
    /// The client.
    pub login: ClientLogin,
    /// What came with the request.
    pub evidence: Evidence,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// What the token is to be for.
    pub resources: Vec<String>,
}

/// A request that waits for its user.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceStarted {
    /// What the device polls with.
    pub device_code: String,
    /// What the user types, with a hyphen in the middle.
    pub user_code: String,
    /// How long it waits, in seconds.
    pub expires_in_s: u64,
}

/// What a user does with the code that a device shows.
#[derive(Message)]
#[rtype(result = "Result<DeviceStep, OauthError>")]
pub struct VisitDevice {
    /// The browser's sign-in.
    pub sign_in: Option<Cookie>,
    /// The code as it was typed.
    pub user_code: String,
    /// What the user said: yes, no, or nothing yet.
    pub is_allowed: Option<bool>,
}

/// What is to happen next with a device's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceStep {
    /// The user is to sign in.
    SignIn,
    /// The user is to enter the code.
    Enter {
        /// Who is signed in.
        user: String,
        /// What is wrong with the one that was entered.
        error: Option<String>,
    },
    /// The user is to be asked.
    Ask {
        /// The client's name.
        client: String,
        /// Who is signed in.
        user: String,
        /// What it wants.
        scopes: Vec<String>,
        /// The code, with a hyphen in the middle.
        user_code: String,
    },
    /// It is decided.
    Done {
        /// Whether the user said yes.
        is_allowed: bool,
    },
}

impl Authority {
    /// Notes a device's request.
    pub async fn start_device(&self, request: StartDevice) -> Result<DeviceStarted, OauthError> {
        let client = self.log_in(&request.login, &request.evidence).await?;
        if !client.grants.iter().any(|grant| grant == DEVICE_CODE) {
            return Err(OauthError::unauthorized_client(format!(
                "This client may not use the grant type {DEVICE_CODE}."
            )));
        }
        check_application(&self.handle.view(), &client)?;
        let now = self.now(&self.handle.view());
        let caller = Caller::new(Principal { tenant: client.tenant.clone(), username: client.owner.clone() });
        // Two devices that draw the same code at the same time are as good as impossible; a second draw is enough.
        for _ in 0..2 {
            let device_code = self.mint.draw(Kind::Device, now);
            let user_code = draw_user_code();
            let grant = DeviceGrant {
                client: client.id.clone(),
                user_code: user_code.clone(),
                scopes: request.scopes.clone(),
                resources: request.resources.clone(),
                decision: None,
                expires_at: now.after(DEVICE_LIFE),
            };
            let command = KeepGrant {
                digest: mint::digest_of(&device_code),
                grant: PendingGrant::Device(grant),
                spends: None,
                is_remembered: false,
            };
            match self.handle.submit(command, &caller).await {
                Ok(_) => {
                    let user_code = with_hyphen(&user_code);
                    return Ok(DeviceStarted { device_code, user_code, expires_in_s: DEVICE_LIFE.as_secs() });
                }
                Err(SubmitError::Refused(Refused::AlreadyExists { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(OauthError::unavailable("No free user code was found; try again."))
    }

    /// Takes a user's visit one step further.
    pub async fn visit_device(&self, request: VisitDevice) -> Result<DeviceStep, OauthError> {
        let Some(signed_in) = self.signed_in(request.sign_in.as_ref()).await else { return Ok(DeviceStep::SignIn) };
        let who = subject(&signed_in.user.tenant, &signed_in.user.username);
        let typed: String = request.user_code.chars().filter(char::is_ascii_alphabetic).collect();
        let typed = typed.to_ascii_uppercase();
        if typed.is_empty() {
            return Ok(DeviceStep::Enter { user: who, error: None });
        }
        let user_key = (signed_in.user.tenant.clone(), signed_in.user.username.clone());
        if self.guesses.are_used_up(&user_key) {
            let error = "Too many codes were wrong. Try again in a few minutes.".to_owned();
            return Ok(DeviceStep::Enter { user: who, error: Some(error) });
        }
        let Some((digest, device)) = self.device_of(&typed).await else {
            self.guesses.count(&user_key);
            let error = "This code is wrong, used up or too old.".to_owned();
            return Ok(DeviceStep::Enter { user: who, error: Some(error) });
        };
        self.decide(&signed_in, digest, &device, who, request.is_allowed).await
    }

    async fn decide(
        &self,
        signed_in: &SignedIn,
        digest: TokenDigest,
        device: &DeviceGrant,
        who: String,
        is_allowed: Option<bool>,
    ) -> Result<DeviceStep, OauthError> {
        let (view, user) = (self.handle.view(), &signed_in.user);
        let client = client(&view, &device.client).ok_or_else(OauthError::unknown_client)?;
        if user.tenant != client.tenant && !self.client_settings.of(&client).is_saas {
            let error = format!("{who} may not use this application: it is for users of {}.", client.tenant);
            return Ok(DeviceStep::Enter { user: who, error: Some(error) });
        }
        let scopes = scope_grant::granted(&view, &client, &user.roles, true, &device.scopes)?;
        let Some(is_allowed) = is_allowed else {
            let user_code = with_hyphen(&device.user_code);
            return Ok(DeviceStep::Ask { client: client.name.clone(), user: who, scopes, user_code });
        };
        let decision = if is_allowed {
            DeviceDecision::Allowed {
                tenant: user.tenant.clone(),
                username: user.username.clone(),
                scopes,
                signed_in_at: signed_in.sign_in.signed_in_at,
            }
        } else {
            DeviceDecision::Denied
        };
        let caller = Caller::new(Principal { tenant: user.tenant.clone(), username: user.username.clone() });
        self.handle.submit(DecideCommand { digest, decision }, &caller).await?;
        Ok(DeviceStep::Done { is_allowed })
    }

    /// Returns the request that waits under a user code.
    async fn device_of(&self, user_code: &str) -> Option<(TokenDigest, DeviceGrant)> {
        let find = |view: &portcullis_database::handle::View<portcullis_database::access::KeyManager>| {
            let tables = view.read::<Apimgtdb>();
            let digest = *tables.user_codes.get(user_code)?;
            match tables.pending_grants.get(&digest)?.as_ref() {
                PendingGrant::Device(device) if device.expires_at > self.now(view) => Some((digest, device.clone())),
                _ => None,
            }
        };
        let found = find(&self.handle.view());
        if found.is_some() {
            return found;
        }
        find(&self.handle.linearizable_view(CATCH_UP_WAIT).await.ok()?)
    }

    /// Answers a device that polls.
    pub async fn grant_to_device(&self, asked: Asked, device_code: &str) -> Result<TokenReply, OauthError> {
        let not_good = || OauthError::invalid_grant("The device code is unknown or used up.");
        let coin = self.mint.read(Kind::Device, device_code).ok_or_else(not_good)?;
        let grant = self.pending(coin.digest).await;
        let now = self.now(&self.handle.view());
        let Some(grant) = grant else {
            let is_old = now.since(coin.issued_at) >= DEVICE_LIFE;
            return Err(if is_old {
                OauthError::told("expired_token", "The device code is too old.")
            } else {
                not_good()
            });
        };
        if *grant.client() != asked.client.id {
            return Err(not_good());
        }
        let device = match grant.as_ref() {
            PendingGrant::Device(device) => device,
            PendingGrant::Spent(spent) => return Err(self.take_back(&asked, coin.digest, spent).await),
            PendingGrant::Code(_) | PendingGrant::Pushed(_) => return Err(not_good()),
        };
        if device.expires_at <= now {
            return Err(OauthError::told("expired_token", "The device code is too old."));
        }
        // A second less than said: the device's clock and the network are not exact.
        if !self.polls.note(coin.digest.0, Instant::now() + POLL_INTERVAL - Duration::from_secs(1)) {
            return Err(OauthError::told("slow_down", "Ask less often."));
        }
        let (tenant, username, scopes, signed_in_at) = match &device.decision {
            None => return Err(OauthError::told("authorization_pending", "The user has not decided yet.")),
            Some(DeviceDecision::Denied) => return Err(OauthError::told("access_denied", "The user said no.")),
            Some(DeviceDecision::Allowed { tenant, username, scopes, signed_in_at }) => {
                (tenant, username, scopes, *signed_in_at)
            }
        };
        let user = active_user(&self.handle.view(), tenant, username)
            .ok_or_else(|| OauthError::invalid_grant("The user may not sign in."))?;
        let mut details = asked.details(Some(signed_in_at));
        if details.resources.is_empty() {
            details.resources.clone_from(&device.resources);
        }
        let to = ToUser {
            grant: DEVICE_CODE,
            sign_in: Some(SignInFacts { at: signed_in_at, nonce: None }),
            details,
            pending: Some(coin.digest),
        };
        self.grant_to_user(&asked, &user, scopes, to).await
    }
}

fn draw_user_code() -> String {
    // 240 is a multiple of 20: bytes above are thrown away, so that every letter is as likely.
    let mut code = String::new();
    while code.len() < USER_CODE_LETTERS {
        let bytes = random_bytes::<16>();
        let letters = bytes.iter().filter(|byte| **byte < 240).map(|byte| char::from(LETTERS[usize::from(*byte) % 20]));
        code.extend(letters.take(USER_CODE_LETTERS - code.len()));
    }
    code
}

fn with_hyphen(code: &str) -> String {
    let (first, second) = code.split_at(code.len() / 2);
    format!("{first}-{second}")
}
