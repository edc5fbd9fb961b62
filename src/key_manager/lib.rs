//! The key manager: issues tokens and keys, validates them for gateways, and says who is behind credentials.
//!
//! It meets the other components in the ports of the model alone. Applications, subscriptions and users are made
//! elsewhere; it reads them.

mod actor;
mod api_key;
pub mod applications;
mod assertion;
mod assertion_grant;
mod authentication;
mod authority;
mod authorization;
mod authorization_request;
mod basic;
#[cfg(test)]
mod behaviour;
mod binding;
mod bound;
pub mod browser_messages;
mod certificate;
pub mod claim_settings;
mod claims;
mod client_authentication;
pub mod client_metadata;
mod client_settings;
mod code_grant;
pub mod device;
mod directory;
pub mod exchange;
mod face;
pub mod federation;
mod foreign;
pub mod foreign_clients;
mod foreign_introspection;
mod foreign_keys;
mod grant;
mod guesses;
mod identities;
pub mod identity_providers;
mod inspection;
mod internal_key;
mod issue;
mod issuer;
mod jws;
mod keyring;
mod known_token;
pub mod messages;
mod mint;
mod oauth_error;
pub mod parameters;
mod password;
mod pkce;
pub mod push;
mod redirect_uri;
mod registration;
pub mod remote;
mod rest_scope;
mod saml;
mod scope_grant;
mod settings;
mod sign_in_notes;
mod sign_ins;
pub mod signing_keys;
pub mod thrift;
pub mod trusted_issuers;
mod user_claims;
mod validation;

use std::sync::Arc;

use axum::Router;
use portcullis_actor::Address;
use portcullis_database::{ClusterKey, Handle, access};
use portcullis_model::port::{Authentication, KeyValidation, OauthFace, TokenIssuer};

pub use actor::KeyManager;
pub use directory::DirectorySettings;
pub use oauth_error::OauthError;
pub use password::hash_password;
pub use portcullis_jose::Algorithm;
pub use settings::{LockOut, Settings};

/// The grant types that are served.
pub const GRANT_TYPES: &[&str] = face::GRANT_TYPES;

use crate::authority::Authority;
use crate::face::GatewayFace;
use crate::issuer::Issuer;

/// What the key manager offers to the rest of a node.
pub struct KeyManagerFaces {
    /// Validates keys for gateways.
    pub keys: Arc<dyn KeyValidation>,
    /// Says who is behind credentials shown to the management port.
    pub authentication: Arc<dyn Authentication>,
    /// Issues tokens for the Store.
    pub issuer: Arc<dyn TokenIssuer>,
    /// Answers `/token`, `/revoke` and `/userinfo` for gateways.
    pub oauth: Arc<dyn OauthFace>,
    /// The routes at the root of the management port. They sign callers in themselves: no authentication layer must lie
    /// around them, because what they get in `Authorization` is mostly a client's credentials.
    pub router: Router,
    /// The key manager's part of Portcullis' own API, without its prefix; callers must be signed in by a layer around it.
    pub portcullis_v1: Router,
    /// The original's interfaces of its server that are about clients and claims, without their prefix `/api/server/v1`;
    /// callers must be signed in by a layer around it.
    pub server_v1: Router,
    /// Answers nodes that have no key manager; to be mounted at [`remote::PATH`] on the port between nodes alone.
    pub for_nodes: Router,
    /// Validates keys for gateways by Thrift.
    pub thrift: Arc<thrift::ThriftService>,
    /// The actor.
    pub address: Address<KeyManager>,
}

/// Starts the key manager. Its faces stay good when the actor is restarted.
#[must_use]
pub fn start(handle: Handle<access::KeyManager>, key: ClusterKey, settings: Settings) -> KeyManagerFaces {
    let requests_max = settings.requests_max;
    let authority = Arc::new(Authority::new(handle, key.clone(), settings));
    authority.sign_ins.follow(&authority.handle);
    let for_actor = Arc::clone(&authority);
    let address = portcullis_actor::spawn("key-manager", requests_max, move || KeyManager::new(Arc::clone(&for_actor)));
    let authentication: Arc<dyn Authentication> = Arc::<Authority>::clone(&authority);
    let router = face::routes(&address, Arc::clone(&authentication), &authority);
    let keys: Arc<dyn KeyValidation> = Arc::<Authority>::clone(&authority);
    let oauth: Arc<dyn OauthFace> = Arc::new(GatewayFace::new(router.clone(), &authority.settings.base_url));
    let thrift = Arc::new(thrift::ThriftService::new(Arc::clone(&authority), Arc::clone(&keys), key));
    let issuer: Arc<dyn TokenIssuer> = Arc::new(Issuer { address: address.clone(), authority });
    let for_nodes = remote::routes(remote::Ports {
        keys: Arc::clone(&keys),
        authentication: Arc::clone(&authentication),
        issuer: Arc::clone(&issuer),
        oauth: Arc::clone(&oauth),
    });
    let portcullis_v1 = face::own_routes(address.clone());
    let server_v1 = face::server_routes(&address);
    KeyManagerFaces {
        keys,
        authentication,
        issuer,
        oauth,
        router,
        portcullis_v1,
        server_v1,
        for_nodes,
        thrift,
        address,
    }
}
