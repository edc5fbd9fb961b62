//! The key manager as an actor: takes its messages and works on them side by side. The work itself is the authority's.

use std::sync::Arc;

use actix::{Actor, Context, Handler, ResponseFuture};
use portcullis_actor::OfRequest;

use crate::applications::{ConfigureClaims, ListClients, RenewSecret, RevokeClient};
use crate::authority::Authority;
use crate::browser_messages::{Authorize, SignInBrowser, SignOut};
use crate::claim_settings::{ChangeClaims, ReadClaims};
use crate::client_metadata::{ManageClient, RegisterClient};
use crate::device::{StartDevice, VisitDevice};
use crate::federation::{BeginSignIn, EndSignIn};
use crate::identity_providers::{DescribeIdentityProvider, ListIdentityProviders, RemoveIdentityProvider};
use crate::keyring::jwk_set;
use crate::messages::{
    ChangeRegistration, DeleteRegistration, DescribeUser, Introspect, IssueApiKey, IssueForClient, ListKeys,
    ReadRegistration, Register, RequestToken, Revoke,
};
use crate::oauth_error::OauthError;
use crate::push::Push;
use crate::signing_keys::{ListSigningKeys, RetireSigningKey, RotateSigningKey};
use crate::trusted_issuers::{ListTrustedIssuers, TrustIssuer};

/// The key manager.
pub struct KeyManager {
    authority: Arc<Authority>,
}

impl KeyManager {
    pub(crate) fn new(authority: Arc<Authority>) -> Self {
        Self { authority }
    }
}

impl Actor for KeyManager {
    type Context = Context<Self>;
}

macro_rules! handlers {
    ($($message:ty => |$authority:ident, $request:ident| $work:expr),* $(,)?) => {$(
        impl Handler<$message> for KeyManager {
            type Result = ResponseFuture<<$message as actix::Message>::Result>;

            fn handle(&mut self, $request: $message, _: &mut Context<Self>) -> Self::Result {
                let $authority = Arc::clone(&self.authority);
                Box::pin(async move { $work })
            }
        }
    )*};
}

/// Handles messages of which the audit is told for which request they came.
macro_rules! handlers_of_requests {
    ($($message:ty => |$authority:ident, $request:ident| $work:expr),* $(,)?) => {$(
        impl Handler<OfRequest<$message>> for KeyManager {
            type Result = ResponseFuture<<$message as actix::Message>::Result>;

            fn handle(&mut self, message: OfRequest<$message>, _: &mut Context<Self>) -> Self::Result {
                let $authority = Arc::clone(&self.authority);
                Box::pin(message.work(async move |$request| $work))
            }
        }
    )*};
}

handlers! {
    RequestToken => |authority, request| authority.grant(request).await,
    IssueForClient => |authority, request| authority.issue_for_client(request).await,
    Revoke => |authority, request| authority.revoke(request).await,
    Introspect => |authority, request| authority.introspect(request).await,
    DescribeUser => |authority, request| authority.describe_user(&request).await,
    Authorize => |authority, request| authority.authorize(request).await,
    SignInBrowser => |authority, request| authority.sign_in_browser(request).await,
    SignOut => |authority, request| authority.sign_out(request).await,
    StartDevice => |authority, request| authority.start_device(request).await,
    VisitDevice => |authority, request| authority.visit_device(request).await,
    Push => |authority, request| authority.push(request).await,
    ListTrustedIssuers => |authority, request| authority.list_trusted_issuers(&request.tenant),
    TrustIssuer => |authority, request| authority.trust_issuer(request).await,
    ReadClaims => |authority, request| authority.read_claims(&request.tenant),
    ChangeClaims => |authority, request| authority.change_claims(request).await,
    ListIdentityProviders => |authority, request| authority.list_identity_providers(&request.tenant),
    DescribeIdentityProvider => |authority, request| authority.describe_identity_provider(request).await,
    RemoveIdentityProvider => |authority, request| authority.remove_identity_provider(request).await,
    BeginSignIn => |authority, request| authority.begin_sign_in(&request),
    ListClients => |authority, request| authority.list_clients(&request.tenant),
    ConfigureClaims => |authority, request| authority.configure_claims(request).await,
    RevokeClient => |authority, request| authority.revoke_client(request).await,
    RenewSecret => |authority, request| authority.renew_secret(request).await,
    ListSigningKeys => |authority, _request| authority.list_signing_keys(),
    RotateSigningKey => |authority, request| authority.rotate_signing_key(request).await,
    RetireSigningKey => |authority, request| authority.retire_signing_key(request).await,
    ListKeys => |authority, _request| list_keys(&authority).await,
    ReadRegistration => |authority, request| authority.read_registration(&request.caller, &request.client).await,
}

handlers_of_requests! {
    IssueApiKey => |authority, request| authority.issue_api_key(request.0).await,
    RegisterClient => |authority, request| authority.register_client(request).await,
    ManageClient => |authority, request| authority.manage_client(request).await,
    EndSignIn => |authority, request| authority.end_sign_in(request).await,
    Register => |authority, request| authority.register(&request.caller, request.registration).await,
    ChangeRegistration => |authority, request| {
        authority.change_registration(&request.caller, &request.client, request.registration).await
    },
    DeleteRegistration => |authority, request| authority.delete_registration(&request.caller, &request.client).await,
}

/// Returns the JWK set, with the first key made where there is none: who reads the set keeps it, and an empty one would
/// be of no use.
async fn list_keys(authority: &Authority) -> Result<String, OauthError> {
    let (algorithm, now) = (authority.settings.signing_algorithm, authority.now(&authority.handle.view()));
    authority.keyring.signing(&authority.handle, &authority.key, algorithm, now).await?;
    Ok(jwk_set(&authority.handle.view()))
}
