//! Sign-ins in browsers: who is behind a cookie, and signing out. They are in the state, so that any node knows them.

use std::sync::Arc;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::{CloseSignIn, OpenSignIn};
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Caller};
use portcullis_jose::Unverified;
use portcullis_model::authorization::SignIn;
use portcullis_model::port::AuthenticationRefusal;
use portcullis_model::{ClientId, Principal, TokenDigest, User};
use serde::Deserialize;

use crate::authority::{Authority, active_user, client};
use crate::browser_messages::{Cookie, SignInBrowser, SignInRefusal, SignOut, SignOutStep};
use crate::claims::subject;
use crate::jws;
use crate::mint::{self, Kind};
use crate::oauth_error::OauthError;
use crate::redirect_uri;

/// A user who is signed in in a browser.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub digest: TokenDigest,
    pub sign_in: Arc<SignIn>,
    pub user: Arc<User>,
}

/// What of an id token is looked at when it is shown as a hint.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    sub: String,
    aud: String,
}

impl Authority {
    /// Signs a user in: returns what the browser is to keep.
    pub async fn sign_in_browser(&self, request: SignInBrowser) -> Result<Cookie, SignInRefusal> {
        let SignInBrowser { username, password, origin } = request;
        let user = self.sign_in_from(&username, &password, origin).await.map_err(|refusal| match refusal {
            AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired => SignInRefusal::Wrong,
            AuthenticationRefusal::Unavailable => SignInRefusal::NotNow,
        })?;
        Ok(self.open_sign_in(&user).await?)
    }

    /// Opens a user's sign-in: returns what the browser is to keep.
    pub async fn open_sign_in(&self, user: &User) -> Result<Cookie, OauthError> {
        let now = self.now(&self.handle.view());
        let cookie = self.mint.draw(Kind::SignIn, now);
        let sign_in = SignIn {
            tenant: user.tenant.clone(),
            username: user.username.clone(),
            signed_in_at: now,
            expires_at: now.after(self.settings.sign_in_validity),
            password: mint::digest_of(&user.password_hash),
        };
        let caller = Caller::new(Principal { tenant: user.tenant.clone(), username: user.username.clone() });
        let command = OpenSignIn { digest: mint::digest_of(&cookie), sign_in };
        self.handle.submit(command, &caller).await?;
        Ok(Cookie(cookie))
    }

    /// Returns who is behind a cookie, and asks the cluster where this node may lag behind.
    pub async fn signed_in(&self, cookie: Option<&Cookie>) -> Option<SignedIn> {
        let cookie = cookie?;
        let coin = self.mint.read(Kind::SignIn, &cookie.0)?;
        if let Some(found) = self.signed_in_of(&self.handle.view(), coin.digest) {
            return Some(found);
        }
        self.signed_in_of(&self.caught_up().await?, coin.digest)
    }

    fn signed_in_of(&self, view: &View<Access>, digest: TokenDigest) -> Option<SignedIn> {
        let sign_in = view.read::<Apimgtdb>().sign_ins.get(&digest)?;
        let user = active_user(view, &sign_in.tenant, &sign_in.username)?;
        let is_good = sign_in.expires_at > self.now(view) && sign_in.password == mint::digest_of(&user.password_hash);
        is_good.then(|| SignedIn { digest, sign_in: Arc::clone(sign_in), user })
    }

    /// Signs a user out. Where it is not sure that he wants it, he is asked.
    pub async fn sign_out(&self, request: SignOut) -> Result<SignOutStep, OauthError> {
        let view = self.handle.view();
        let hint = request.parameters.get("id_token_hint").and_then(|text| self.read_hint(&view, text));
        let address = self.address_after(&view, &request, hint.as_ref())?;
        let Some(signed_in) = self.signed_in(request.sign_in.as_ref()).await else {
            return Ok(SignOutStep::Done(address));
        };
        let who = subject(&signed_in.user.tenant, &signed_in.user.username);
        let is_hinted = hint.is_some_and(|hint| hint.sub == who);
        if !is_hinted && !request.is_confirmed {
            let form_target = address.as_deref().and_then(redirect_uri::form_target);
            return Ok(SignOutStep::Ask { user: who, to: request.parameters.to_query(), form_target });
        }
        let user = &signed_in.user;
        let caller = Caller::new(Principal { tenant: user.tenant.clone(), username: user.username.clone() });
        self.handle.submit(CloseSignIn { digest: signed_in.digest }, &caller).await?;
        Ok(SignOutStep::Done(address))
    }

    /// Returns where the user is sent afterwards: only to what the client registered for that.
    fn address_after(
        &self,
        view: &View<Access>,
        request: &SignOut,
        hint: Option<&Hint>,
    ) -> Result<Option<String>, OauthError> {
        let Some(wanted) = request.parameters.get("post_logout_redirect_uri") else { return Ok(None) };
        let named = request.parameters.get("client_id").or(hint.map(|hint| hint.aud.as_str()));
        let named = named.ok_or_else(|| {
            OauthError::invalid_request("post_logout_redirect_uri goes with a client_id or an id_token_hint.")
        })?;
        let client = client(view, &ClientId(named.to_owned())).ok_or_else(OauthError::unknown_client)?;
        let settings = self.client_settings.of(&client);
        let is_registered = redirect_uri::is_sound(wanted)
            && (settings.post_logout_redirect_uris.iter().any(|one| one == wanted)
                || settings.post_logout_redirect_uris.is_empty()
                    && redirect_uri::is_registered(&client, &settings, wanted));
        if !is_registered {
            return Err(OauthError::invalid_request("The post_logout_redirect_uri is not registered for this client."));
        }
        let state = request.parameters.get("state").map(|state| ("state", state));
        Ok(Some(match state {
            Some(state) => redirect_uri::with_parameters(wanted, &[state], false),
            None => wanted.to_owned(),
        }))
    }

    /// Reads an id token of this cluster; one whose time is over will do.
    fn read_hint(&self, view: &View<Access>, text: &str) -> Option<Hint> {
        let unverified = Unverified::parse(text)?;
        if unverified.header.typ.as_deref() != Some(jws::ID_TOKEN) {
            return None;
        }
        let key = self.keyring.verifying(view, unverified.header.kid.as_ref()?.parse().ok()?)?;
        unverified.verify::<Hint>(&key).filter(|hint| hint.iss == self.settings.issuer)
    }
}
