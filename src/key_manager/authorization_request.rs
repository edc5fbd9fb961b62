//! Reads an authorization request and checks all that can be said of it before anybody signs in (RFC 6749, section 4.1.1;
//! OpenID Connect Core, section 3.1.2.1; RFC 7636; RFC 8707; RFC 9449).

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::ClientId;
use portcullis_model::oauth::OauthClient;

use crate::authority::Authority;
use crate::bound::{CLIENT_ID_CHARS_MAX, RESOURCE_CHARS_MAX, RESOURCES_MAX};
use crate::client_settings::ClientSettings;
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;
use crate::scope_grant::{self, OPENID};
use crate::{pkce, redirect_uri};

/// What the client wants back in the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseType {
    pub code: bool,
    pub token: bool,
    pub id_token: bool,
}

impl ResponseType {
    fn read(text: &str) -> Option<Self> {
        let mut wanted = Self { code: false, token: false, id_token: false };
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "code" => wanted.code = true,
                "token" => wanted.token = true,
                "id_token" => wanted.id_token = true,
                _ => return None,
            }
        }
        // Mixed forms are not served: what is gained by them is lost by tokens in addresses.
        let is_mixed = wanted.code && (wanted.token || wanted.id_token);
        (!is_mixed && (wanted.code || wanted.token || wanted.id_token)).then_some(wanted)
    }

    /// Says whether the answer goes into the fragment, where servers do not see it.
    pub fn is_fragment(self) -> bool {
        !self.code
    }
}

/// How the user is to be asked (`prompt`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub none: bool,
    pub login: bool,
    pub consent: bool,
}

/// An authorization request that is sound.
pub(crate) struct AuthorizationRequest {
    pub client: Arc<OauthClient>,
    pub settings: Arc<ClientSettings>,
    pub redirect_uri: String,
    pub is_redirect_uri_named: bool,
    pub response_type: ResponseType,
    pub state: Option<String>,
    pub scopes: Vec<String>,
    pub challenge: Option<String>,
    pub nonce: Option<String>,
    pub prompt: Prompt,
    pub max_age: Option<Duration>,
    pub login_hint: Option<String>,
    pub resources: Vec<String>,
    pub proof_key: Option<String>,
}

/// What is wrong with an authorization request.
pub(crate) enum Flaw {
    /// It is not known where the user could be sent back to: the user is told.
    Untold(OauthError),
    /// The client is told.
    Told {
        /// At this address.
        address: String,
        /// What is wrong.
        error: OauthError,
    },
}

impl Authority {
    /// Reads a request whose parameters are all there.
    pub fn read_authorization(
        &self,
        client: &Arc<OauthClient>,
        parameters: &Parameters,
    ) -> Result<AuthorizationRequest, Flaw> {
        let settings = self.client_settings.of(client);
        let named = parameters.get("redirect_uri");
        let redirect_uri = match named {
            Some(named) if redirect_uri::is_registered(client, &settings, named) => named,
            Some(_) => {
                return Err(Flaw::Untold(OauthError::invalid_request(
                    "The redirect_uri is not one that is registered for this client.",
                )));
            }
            None => redirect_uri::only_one(client, &settings).ok_or_else(|| {
                Flaw::Untold(OauthError::invalid_request(
                    "The parameter redirect_uri is missing, and the client has not exactly one registered.",
                ))
            })?,
        };
        let response_type = parameters.get("response_type").and_then(ResponseType::read);
        let is_fragment = response_type.is_some_and(ResponseType::is_fragment);
        let state = parameters.get("state");
        let read = self.read_rest(client, &settings, parameters, response_type);
        match read {
            Ok(rest) => Ok(AuthorizationRequest {
                client: Arc::clone(client),
                redirect_uri: redirect_uri.to_owned(),
                is_redirect_uri_named: named.is_some(),
                state: state.map(str::to_owned),
                settings,
                ..rest
            }),
            Err(error) => {
                let address = self.error_address(redirect_uri, state, is_fragment, &error);
                Err(Flaw::Told { address, error })
            }
        }
    }

    fn read_rest(
        &self,
        client: &Arc<OauthClient>,
        settings: &Arc<ClientSettings>,
        parameters: &Parameters,
        response_type: Option<ResponseType>,
    ) -> Result<AuthorizationRequest, OauthError> {
        if parameters.get("request").is_some() {
            return Err(OauthError::told("request_not_supported", "Request objects are not served; push the request."));
        }
        if parameters.get("request_uri").is_some() {
            return Err(OauthError::told("request_uri_not_supported", "Only pushed requests are taken."));
        }
        parameters.need("response_type")?;
        let response_type = response_type.ok_or_else(|| {
            OauthError::told(
                "unsupported_response_type",
                "Served are code, and with the implicit grant token and id_token.",
            )
        })?;
        self.check_response_type(client, response_type)?;
        check_mode(parameters.get("response_mode"), response_type)?;
        let scopes = scope_grant::parse(parameters.get("scope").unwrap_or_default())?;
        let nonce = parameters.get("nonce").map(str::to_owned);
        if response_type.id_token && (nonce.is_none() || !scopes.iter().any(|scope| scope == OPENID)) {
            return Err(OauthError::invalid_request("An id_token needs the scope openid and a nonce."));
        }
        let challenge = pkce::read_challenge(parameters)?;
        if response_type.code && challenge.is_none() && (self.settings.is_pkce_required || settings.is_public()) {
            return Err(OauthError::invalid_request(
                "The parameter code_challenge is missing: proof key for code exchange (RFC 7636, S256) is required.",
            ));
        }
        let max_age = match parameters.get("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return Err(OauthError::invalid_request("max_age must be a number of seconds.")),
        };
        let proof_key = parameters.get("dpop_jkt").map(str::to_owned);
        if proof_key.as_ref().is_some_and(|key| key.len() != 43) {
            return Err(OauthError::invalid_request("dpop_jkt must be a SHA-256 thumbprint in base64url."));
        }
        Ok(AuthorizationRequest {
            client: Arc::clone(client),
            settings: Arc::clone(settings),
            redirect_uri: String::new(),
            is_redirect_uri_named: false,
            response_type,
            state: None,
            scopes,
            challenge,
            nonce,
            prompt: read_prompt(parameters.get("prompt").unwrap_or_default())?,
            max_age,
            login_hint: parameters.get("login_hint").map(str::to_owned),
            resources: read_resources(parameters)?,
            proof_key,
        })
    }

    fn check_response_type(&self, client: &OauthClient, wanted: ResponseType) -> Result<(), OauthError> {
        let grant = if wanted.code { "authorization_code" } else { "implicit" };
        if !wanted.code && !self.settings.is_implicit_grant_enabled {
            return Err(OauthError::told("unsupported_response_type", "The implicit grant is switched off; use code."));
        }
        if client.grants.iter().any(|one| one == grant) {
            return Ok(());
        }
        Err(OauthError::unauthorized_client(format!("This client may not use the grant type {grant}.")))
    }

    /// Returns the address that tells a client of an error.
    pub fn error_address(&self, uri: &str, state: Option<&str>, is_fragment: bool, error: &OauthError) -> String {
        let mut parameters = vec![("error", error.code), ("error_description", error.description.as_ref())];
        parameters.extend(state.map(|state| ("state", state)));
        parameters.push(("iss", &self.settings.issuer));
        redirect_uri::with_parameters(uri, &parameters, is_fragment)
    }
}

/// Returns the client that a request names.
pub(crate) fn named_client(parameters: &Parameters) -> Result<ClientId, OauthError> {
    let id = parameters.need("client_id")?;
    if id.len() > CLIENT_ID_CHARS_MAX {
        return Err(OauthError::unknown_client());
    }
    Ok(ClientId(id.to_owned()))
}

fn check_mode(mode: Option<&str>, wanted: ResponseType) -> Result<(), OauthError> {
    match mode {
        None => Ok(()),
        Some("query") if wanted.code => Ok(()),
        Some("fragment") if wanted.is_fragment() => Ok(()),
        Some(_) => Err(OauthError::invalid_request("response_mode must be query for a code and fragment for tokens.")),
    }
}

fn read_prompt(text: &str) -> Result<Prompt, OauthError> {
    let mut prompt = Prompt::default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(OauthError::invalid_request("prompt must be none, login, consent or select_account.")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(OauthError::invalid_request("prompt=none goes with nothing else."));
    }
    Ok(prompt)
}

/// Reads what a token is to be for (RFC 8707).
pub(crate) fn read_resources(parameters: &Parameters) -> Result<Vec<String>, OauthError> {
    let mut resources: Vec<String> = Vec::new();
    for resource in parameters.all("resource") {
        let is_address = resource.len() <= RESOURCE_CHARS_MAX
            && !resource.contains('#')
            && url::Url::parse(resource).is_ok_and(|url| !url.cannot_be_a_base());
        if !is_address {
            return Err(OauthError::told("invalid_target", "resource must be an absolute URL without a fragment."));
        }
        if resources.len() == RESOURCES_MAX {
            return Err(OauthError::told("invalid_target", format!("At most {RESOURCES_MAX} resources are taken.")));
        }
        if !resources.iter().any(|known| known == resource) {
            resources.push(resource.to_owned());
        }
    }
    Ok(resources)
}
