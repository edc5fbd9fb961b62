//! What the management port is told of users who sign in: made once for each, and again when the user or the tenant's
//! configuration has changed. Every call with basic authentication asks for it.

use std::sync::Arc;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_model::port::Identity;
use portcullis_model::{Principal, TenantConfig, User};
use quick_cache::sync::Cache;

use crate::rest_scope;

/// Users of whom it is kept.
const KEPT_MAX: usize = 1_000;

/// What is told of users.
pub(crate) struct Identities(Cache<usize, Arc<Kept>>);

/// What is told of one, with all that it was made from.
struct Kept {
    /// Held, so that no other record comes to lie where this one does.
    user: Arc<User>,
    config: Option<Arc<TenantConfig>>,
    identity: Identity,
}

impl Identities {
    /// Starts with nobody.
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT_MAX))
    }

    /// Returns what is told of a user: the roles, and the scopes that they allow.
    pub(crate) fn of(&self, user: Arc<User>, view: &View<Access>) -> Identity {
        let config = rest_scope::shared_config(view, &user.tenant);
        let place = Arc::as_ptr(&user).addr();
        let kept = self.0.get(&place).filter(|kept| kept.is_of(&user, config));
        if let Some(kept) = kept {
            return kept.identity.clone();
        }
        let identity = Identity {
            principal: Principal { tenant: user.tenant.clone(), username: user.username.clone() },
            roles: user.roles.as_slice().into(),
            scopes: rest_scope::allowed_by(config.map(AsRef::as_ref), &user.roles).into(),
            origin: None,
            is_token: false,
        };
        self.0.insert(place, Arc::new(Kept { user, config: config.cloned(), identity: identity.clone() }));
        identity
    }
}

impl Kept {
    fn is_of(&self, user: &Arc<User>, config: Option<&Arc<TenantConfig>>) -> bool {
        let is_same_config = match (&self.config, config) {
            (Some(kept), Some(now)) => Arc::ptr_eq(kept, now),
            (None, None) => true,
            _ => false,
        };
        is_same_config && Arc::ptr_eq(&self.user, user)
    }
}
