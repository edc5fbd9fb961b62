//! What all parts of the key manager share: the databases, the keys, and what is remembered. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::{View, wall_clock};
use portcullis_database::{Apimgtdb, ClusterKey, Handle, Userdb, people};
use portcullis_http::tls::ClientAuthorities;
use portcullis_jose::SeenOnce;
use portcullis_model::oauth::OauthClient;
use portcullis_model::{ClientId, Role, SigningKeyId, TenantDomain, Timestamp, TokenDigest, User, Username};
use quick_cache::sync::Cache;

use crate::bound::{CATCH_UP_WAIT, CATCH_UPS_PER_SECOND, VERIFIED_TOKENS_MAX};
use crate::claims::AccessClaims;
use crate::client_settings::ReadSettings;
use crate::directory::Directory;
use crate::foreign::Foreign;
use crate::guesses::Guesses;
use crate::identities::Identities;
use crate::keyring::Keyring;
use crate::mint::Mint;
use crate::password::Passwords;
use crate::settings::Settings;
use crate::sign_in_notes::SignIns;

/// What all parts of the key manager share.
pub(crate) struct Authority {
    pub handle: Handle<Access>,
    pub key: ClusterKey,
    pub settings: Settings,
    pub mint: Mint,
    pub keyring: Keyring,
    pub passwords: Passwords,
    pub sign_ins: SignIns,
    /// What is told of users who sign in.
    pub identities: Identities,
    /// Claims of JSON Web Tokens whose signature was checked, by the digest of the whole text.
    pub verified: Cache<TokenDigest, (Arc<AccessClaims>, SigningKeyId)>,
    pub client_settings: ReadSettings,
    pub assertions: SeenOnce,
    /// Devices that asked a moment ago.
    pub polls: SeenOnce,
    pub guesses: Guesses,
    /// What is remembered of other key managers.
    pub foreign: Foreign,
    /// Whose certificates clients may show.
    pub client_authorities: Option<ClientAuthorities>,
    /// Where users are asked about who are not known here.
    pub directory: Option<Directory>,
    catch_ups: CatchUps,
}

impl Authority {
    pub fn new(handle: Handle<Access>, key: ClusterKey, settings: Settings) -> Self {
        Self {
            mint: Mint::new(&key),
            keyring: Keyring::new(),
            passwords: Passwords::new(),
            sign_ins: SignIns::default(),
            identities: Identities::new(),
            verified: Cache::new(VERIFIED_TOKENS_MAX),
            client_settings: ReadSettings::new(),
            assertions: SeenOnce::new(),
            polls: SeenOnce::new(),
            guesses: Guesses::new(),
            foreign: Foreign::new(),
            client_authorities: ClientAuthorities::new(&settings.client_authorities).ok(),
            directory: settings.directory.clone().map(Directory::new),
            catch_ups: CatchUps::default(),
            handle,
            key,
            settings,
        }
    }

    /// Returns the time: the node's clock, or the state's where another node's clock is ahead.
    pub fn now(&self, view: &View<Access>) -> Timestamp {
        wall_clock().max(view.now())
    }

    /// Returns a view that holds what other nodes acknowledged before the call, or `None` where that cannot be had
    /// soon, or was asked for too often.
    pub async fn caught_up(&self) -> Option<View<Access>> {
        if !self.catch_ups.admit(wall_clock()) {
            return None;
        }
        self.handle.linearizable_view(CATCH_UP_WAIT).await.ok()
    }
}

/// Returns a client; `None` for one that is revoked, or of a tenant that is not active.
pub(crate) fn client(view: &View<Access>, id: &ClientId) -> Option<Arc<OauthClient>> {
    let tables = view.read::<Apimgtdb>();
    let client = tables.clients.get(id)?;
    if tables.revoked_clients.get(id).is_some_and(|revocation| !revocation.is_over) {
        return None;
    }
    people::is_active(view.read::<Userdb>(), &client.tenant).then(|| Arc::clone(client))
}

/// Returns a user who may sign in; `None` for one that does not exist, is locked, or of a tenant that is not
/// active.
pub(crate) fn active_user(view: &View<Access>, tenant: &TenantDomain, username: &Username) -> Option<Arc<User>> {
    let user = people::user(view.read::<Userdb>(), tenant, username)?;
    (!user.is_locked && people::is_active(view.read::<Userdb>(), tenant)).then(|| Arc::clone(user))
}

/// Returns the roles of a client's owner; none where the owner may not sign in.
pub(crate) fn roles_of_owner(view: &View<Access>, client: &OauthClient) -> Vec<Role> {
    active_user(view, &client.tenant, &client.owner).map(|owner| owner.roles.clone()).unwrap_or_default()
}

/// Splits `user@tenant`; a name without the domain of a tenant belongs to the first tenant.
pub(crate) fn split_username(view: &View<Access>, text: &str) -> (TenantDomain, Username) {
    let tenants = &view.read::<Userdb>().tenants;
    let with_tenant = text.rsplit_once('@').map(|(name, tenant)| (TenantDomain(tenant.to_owned()), name));
    match with_tenant.filter(|(tenant, _)| tenants.contains_key(tenant)) {
        Some((tenant, name)) => (tenant, Username(name.to_owned())),
        None => (TenantDomain::super_tenant(), Username(text.to_owned())),
    }
}

/// Bounds how often this node asks the cluster on behalf of a caller that may be anybody.
#[derive(Default)]
struct CatchUps {
    second: AtomicU64,
    count: AtomicU64,
}

impl CatchUps {
    /// Says whether one more may be made. Races at the change of a second let a few more through, which does no harm.
    fn admit(&self, now: Timestamp) -> bool {
        if self.second.swap(now.as_secs(), Ordering::Relaxed) != now.as_secs() {
            self.count.store(0, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed) < CATCH_UPS_PER_SECOND
    }
}
