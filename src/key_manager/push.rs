//! Pushed authorization requests (RFC 9126): the client sends its request ahead, and the browser carries a reference.

use std::time::Duration;

use actix::Message;
use portcullis_database::Caller;
use portcullis_database::command::KeepGrant;
use portcullis_model::Principal;
use portcullis_model::authorization::{PendingGrant, PushedRequest, TokenBinding};

use crate::authority::Authority;
use crate::authorization::PUSHED;
use crate::authorization_request::Flaw;
use crate::messages::{ClientLogin, Evidence};
use crate::mint::{self, Kind};
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// How long a reference is good: time to sign in.
const PUSHED_LIFE: Duration = Duration::from_secs(600);
/// Parameters that prove who the client is, and are not part of the request.
const CREDENTIALS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// Pushes a request.
#[derive(Message)]
#[rtype(result = "Result<Pushed, OauthError>")]
pub struct Push {
    /// The client.
    pub login: ClientLogin,
    /// What came with the request.
    pub evidence: Evidence,
    /// The parameters.
    pub parameters: Parameters,
}

/// A request that was pushed.
#[derive(Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the browser carries as `request_uri`.
    pub reference: String,
    /// How long it is good, in seconds.
    pub expires_in_s: u64,
}

impl Authority {
    /// Keeps a request that is sound.
    pub async fn push(&self, request: Push) -> Result<Pushed, OauthError> {
        let client = self.log_in(&request.login, &request.evidence).await?;
        let mut parameters = CREDENTIALS.iter().fold(request.parameters, |rest, name| rest.without(name));
        if parameters.get("client_id").is_some_and(|named| named != client.id.0) {
            return Err(OauthError::invalid_request("client_id is not that of the client that pushes."));
        }
        parameters = parameters.without("client_id").with("client_id", &client.id.0);
        if request.evidence.proof.is_some()
            && let Some(TokenBinding::Key(key)) = self.binding(&self.client_settings.of(&client), &request.evidence)?
        {
            if parameters.get("dpop_jkt").is_some_and(|named| named != key) {
                return Err(OauthError::told("invalid_dpop_proof", "dpop_jkt names another key than the proof's."));
            }
            parameters = parameters.without("dpop_jkt").with("dpop_jkt", &key);
        }
        match self.read_authorization(&client, &parameters) {
            Ok(_) => {}
            Err(Flaw::Untold(error) | Flaw::Told { error, .. }) => return Err(error),
        }
        let now = self.now(&self.handle.view());
        let text = self.mint.draw(Kind::Pushed, now);
        let pushed = PushedRequest {
            client: client.id.clone(),
            query: parameters.to_query(),
            expires_at: now.after(PUSHED_LIFE),
        };
        let command = KeepGrant {
            digest: mint::digest_of(&text),
            grant: PendingGrant::Pushed(pushed),
            spends: None,
            is_remembered: false,
        };
        let caller = Caller::new(Principal { tenant: client.tenant.clone(), username: client.owner.clone() });
        self.handle.submit(command, &caller).await?;
        Ok(Pushed { reference: format!("{PUSHED}{text}"), expires_in_s: PUSHED_LIFE.as_secs() })
    }
}
