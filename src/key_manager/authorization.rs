//! Leads an authorization request from page to page until the client has its answer: sign in, ask, give a code.

use std::sync::Arc;

use http::StatusCode;
use portcullis_database::command::KeepGrant;
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::authorization::{AuthorizationCode, PendingGrant, PushedRequest, TokenDetails};
use portcullis_model::oauth::OauthClient;
use portcullis_model::{Principal, Refused, TokenDigest};

use crate::authority::{Authority, client};
use crate::authorization_request::{AuthorizationRequest, Flaw, named_client};
use crate::bound::CATCH_UP_WAIT;
use crate::browser_messages::{AuthorizationStep, Authorize, Decision};
use crate::claims::subject;
use crate::grant::check_application;
use crate::issue::{Order, SignInFacts};
use crate::mint::{self, Kind};
use crate::oauth_error::OauthError;
use crate::parameters::Parameters;
use crate::redirect_uri::{form_target, with_parameters};
use crate::scope_grant;
use crate::sign_ins::SignedIn;

/// How the reference of a pushed request begins (RFC 9126, section 2.2).
pub(crate) const PUSHED: &str = "urn:ietf:params:oauth:request_uri:";
/// What a browser carries along with a pushed request, whose parameters do not change, after a new sign-in.
const SIGNED_IN_AGAIN: &str = "signed_in_again";
/// Characters of a request, so that it fits into an address again.
const QUERY_CHARS_MAX: usize = 12 << 10;

/// A request with where it came from.
struct Asked {
    request: AuthorizationRequest,
    /// The parameters as the browser carries them.
    carried: Parameters,
    /// The pushed request that it was.
    pushed: Option<TokenDigest>,
}

impl Authority {
    /// Takes a request one step further.
    pub async fn authorize(&self, message: Authorize) -> AuthorizationStep {
        match self.take_further(message).await {
            Ok(step) => step,
            Err(Flaw::Told { address, .. }) => AuthorizationStep::GoTo(address),
            Err(Flaw::Untold(error)) => AuthorizationStep::Tell {
                status: StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST),
                message: error.description.into_owned(),
            },
        }
    }

    async fn take_further(&self, message: Authorize) -> Result<AuthorizationStep, Flaw> {
        let asked = self.read_asked(message.parameters).await?;
        let request = &asked.request;
        let signed_in = self.signed_in(message.sign_in.as_ref()).await;
        let Some(signed_in) = self.fitting(request, signed_in, message.decision) else {
            if request.prompt.none {
                return Err(self.told(request, &OauthError::told("login_required", "The user is not signed in.")));
            }
            return Ok(self.ask_to_sign_in(asked, None));
        };
        let user = &signed_in.user;
        if user.tenant != request.client.tenant && !request.settings.is_saas {
            let who = subject(&user.tenant, &user.username);
            let error = format!("{who} may not use this application: it is for users of {}.", request.client.tenant);
            return Ok(self.ask_to_sign_in(asked, Some(error)));
        }
        let view = self.handle.view();
        let checked = check_application(&view, &request.client);
        let scopes = checked
            .and_then(|()| scope_grant::granted(&view, &request.client, &user.roles, true, &request.scopes))
            .map_err(|error| self.told(request, &error))?;
        let is_remembered = match message.decision {
            Some(Decision::Denied) => {
                return Err(self.told(request, &OauthError::told("access_denied", "The user said no.")));
            }
            Some(Decision::Allowed { is_remembered }) => is_remembered,
            None => {
                let key = (user.tenant.clone(), user.username.clone(), request.client.id.clone());
                let known = view.read::<Apimgtdb>().consents.get(&key);
                let is_known = known.is_some_and(|consent| {
                    // Who was deleted and created again under the same name is somebody else.
                    consent.given_at >= user.created_at && scopes.iter().all(|scope| consent.scopes.contains(scope))
                });
                if request.prompt.none && !is_known {
                    let error = OauthError::told("consent_required", "The user has not allowed this yet.");
                    return Err(self.told(request, &error));
                }
                if request.prompt.consent || !is_known {
                    return Ok(ask_for_consent(&asked, &signed_in, scopes));
                }
                false
            }
        };
        let answered = if request.response_type.code {
            self.give_code(&asked, &signed_in, scopes, is_remembered).await
        } else {
            self.give_tokens(request, &signed_in, scopes).await
        };
        answered.map(AuthorizationStep::GoTo).map_err(|error| self.told(request, &error))
    }

    /// Returns the sign-in where it will do for the request: it may be too old, or a new one may be wanted.
    fn fitting(
        &self,
        request: &AuthorizationRequest,
        signed_in: Option<SignedIn>,
        decision: Option<Decision>,
    ) -> Option<SignedIn> {
        let signed_in = signed_in?;
        let age = self.now(&self.handle.view()).since(signed_in.sign_in.signed_in_at);
        // Whoever answered the page that asks has just signed in where that was wanted.
        let is_wanted_anew = request.prompt.login && decision.is_none();
        let is_too_old = request.max_age.is_some_and(|max| age > max) && decision.is_none();
        (!is_wanted_anew && !is_too_old).then_some(signed_in)
    }

    /// Reads a request, a pushed one from where it was pushed to.
    async fn read_asked(&self, parameters: Parameters) -> Result<Asked, Flaw> {
        if parameters.to_query().len() > QUERY_CHARS_MAX {
            return Err(Flaw::Untold(OauthError::invalid_request("The request is too long; push it.")));
        }
        let client = self.client_named(&parameters).await.map_err(Flaw::Untold)?;
        let reference = parameters.get("request_uri").and_then(|uri| uri.strip_prefix(PUSHED));
        if let Some(reference) = reference {
            let digest = mint::digest_of(reference);
            let pushed = self.pushed(&client, reference, digest).await.map_err(Flaw::Untold)?;
            let inner = Parameters::parse(pushed.query.as_bytes()).map_err(Flaw::Untold)?;
            let is_again = parameters.get(SIGNED_IN_AGAIN).is_some();
            let inner = if is_again { inner.without("prompt") } else { inner };
            let request = self.read_authorization(&client, &inner)?;
            return Ok(Asked { request, carried: parameters, pushed: Some(digest) });
        }
        let request = self.read_authorization(&client, &parameters)?;
        if request.settings.must_push {
            let error = OauthError::invalid_request("This client must push its requests (RFC 9126).");
            return Err(self.told(&request, &error));
        }
        Ok(Asked { request, carried: parameters, pushed: None })
    }

    async fn client_named(&self, parameters: &Parameters) -> Result<Arc<OauthClient>, OauthError> {
        let id = named_client(parameters)?;
        let mut found = client(&self.handle.view(), &id);
        if found.is_none() {
            found = self.caught_up().await.and_then(|view| client(&view, &id));
        }
        found.ok_or_else(OauthError::unknown_client)
    }

    async fn pushed(
        &self,
        client: &OauthClient,
        reference: &str,
        digest: TokenDigest,
    ) -> Result<PushedRequest, OauthError> {
        let unknown = || OauthError::invalid_request("The request_uri is unknown, used up or too old.");
        self.mint.read(Kind::Pushed, reference).ok_or_else(unknown)?;
        let grant = self.pending(digest).await.ok_or_else(unknown)?;
        match grant.as_ref() {
            PendingGrant::Pushed(pushed)
                if pushed.client == client.id && pushed.expires_at > self.now(&self.handle.view()) =>
            {
                Ok(pushed.clone())
            }
            _ => Err(unknown()),
        }
    }

    /// Returns a grant that waits, and asks the cluster where this node may lag behind.
    pub async fn pending(&self, digest: TokenDigest) -> Option<Arc<PendingGrant>> {
        if let Some(found) = self.handle.view().read::<Apimgtdb>().pending_grants.get(&digest) {
            return Some(Arc::clone(found));
        }
        let view = self.handle.linearizable_view(CATCH_UP_WAIT).await.ok()?;
        view.read::<Apimgtdb>().pending_grants.get(&digest).cloned()
    }

    fn told(&self, request: &AuthorizationRequest, error: &OauthError) -> Flaw {
        let is_fragment = request.response_type.is_fragment();
        let address = self.error_address(&request.redirect_uri, request.state.as_deref(), is_fragment, error);
        Flaw::Told { address, error: error.clone() }
    }

    fn ask_to_sign_in(&self, asked: Asked, error: Option<String>) -> AuthorizationStep {
        let Asked { request, carried, pushed } = asked;
        // The new sign-in is what `prompt=login` asks for: it must not be asked for again after it.
        let mut to = carried.without("prompt");
        if pushed.is_some() {
            to = to.without(SIGNED_IN_AGAIN).with(SIGNED_IN_AGAIN, "true");
        } else if request.prompt.consent {
            to = to.with("prompt", "consent");
        }
        AuthorizationStep::SignIn {
            client: request.client.name.clone(),
            username: request.login_hint.clone().unwrap_or_default(),
            error,
            to: to.to_query(),
            form_target: form_target(&request.redirect_uri),
        }
    }

    async fn give_code(
        &self,
        asked: &Asked,
        signed_in: &SignedIn,
        scopes: Vec<String>,
        is_remembered: bool,
    ) -> Result<String, OauthError> {
        let (request, user) = (&asked.request, &signed_in.user);
        let now = self.now(&self.handle.view());
        let code = self.mint.draw(Kind::Code, now);
        let grant = AuthorizationCode {
            client: request.client.id.clone(),
            tenant: user.tenant.clone(),
            username: user.username.clone(),
            redirect_uri: request.redirect_uri.clone(),
            is_redirect_uri_named: request.is_redirect_uri_named,
            scopes,
            challenge: request.challenge.clone(),
            nonce: request.nonce.clone(),
            proof_key: request.proof_key.clone(),
            resources: request.resources.clone(),
            signed_in_at: signed_in.sign_in.signed_in_at,
            expires_at: now.after(self.settings.code_validity),
        };
        let command = KeepGrant {
            digest: mint::digest_of(&code),
            grant: PendingGrant::Code(grant),
            spends: asked.pushed,
            is_remembered,
        };
        let caller = Caller::new(Principal { tenant: user.tenant.clone(), username: user.username.clone() });
        match self.handle.submit(command, &caller).await {
            Ok(_) => {}
            Err(SubmitError::Refused(Refused::NotFound { .. })) => {
                return Err(OauthError::invalid_request("The pushed request was used up."));
            }
            Err(error) => return Err(error.into()),
        }
        let mut parameters = vec![("code", code.as_str())];
        parameters.extend(request.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &self.settings.issuer));
        Ok(with_parameters(&request.redirect_uri, &parameters, false))
    }

    /// Answers by the implicit grant (RFC 6749, section 4.2; OpenID Connect Core, section 3.2).
    async fn give_tokens(
        &self,
        request: &AuthorizationRequest,
        signed_in: &SignedIn,
        scopes: Vec<String>,
    ) -> Result<String, OauthError> {
        let view = self.handle.view();
        let facts = SignInFacts { at: signed_in.sign_in.signed_in_at, nonce: request.nonce.clone() };
        let details = TokenDetails {
            signed_in_at: Some(facts.at),
            resources: request.resources.clone(),
            ..TokenDetails::default()
        };
        let validity = self.user_validity(&request.settings);
        let order = Order {
            client: &request.client,
            user: Some(signed_in.user.as_ref()),
            scopes,
            grant: "implicit",
            validity,
            refresh: None,
            sign_in: Some(facts),
            details,
            pending: None,
        };
        let reply = self.issue(&view, order).await?;
        let expires_in = reply.expires_in_s.to_string();
        let scope = reply.scopes.join(" ");
        let mut parameters = Vec::new();
        if request.response_type.token {
            parameters.push(("access_token", reply.access_token.as_str()));
            parameters.push(("token_type", "Bearer"));
            parameters.push(("expires_in", &expires_in));
            parameters.push(("scope", &scope));
        }
        if let (true, Some(id_token)) = (request.response_type.id_token, &reply.id_token) {
            parameters.push(("id_token", id_token));
        }
        parameters.extend(request.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", &self.settings.issuer));
        Ok(with_parameters(&request.redirect_uri, &parameters, true))
    }
}

fn ask_for_consent(asked: &Asked, signed_in: &SignedIn, scopes: Vec<String>) -> AuthorizationStep {
    let request = &asked.request;
    AuthorizationStep::Ask {
        client: request.client.name.clone(),
        user: subject(&signed_in.user.tenant, &signed_in.user.username),
        scopes,
        destination: form_target(&request.redirect_uri).unwrap_or_default(),
        to: asked.carried.to_query(),
        form_target: form_target(&request.redirect_uri),
    }
}
