//! Users who call APIs with their name and password (HTTP basic authentication). There is no application and no
//! subscription then: any user of the API's tenant may call, within the scopes that the user's roles give, and by the
//! plan of those who show no token, counted for each user.

use std::time::Duration;

use portcullis_database::Apimgtdb;
use portcullis_model::port::{AuthenticationRefusal, KeyQuestion, KeyRefusal, KeyVerdict};
use portcullis_model::{Api, ApplicationId, ClientId, KeyType, User, Username};
use sha2::{Digest as _, Sha256};

use crate::authority::Authority;

/// The plan of callers without a subscription, as the original names it.
pub(crate) const PLAN: &str = "Unauthenticated";
/// The application policy that limits nothing.
pub(crate) const UNLIMITED: &str = "Unlimited";
/// What stands for the application.
const APPLICATION: &str = "basic-auth";
/// How long a gateway may go by what was said of a password: roles of a scope may change meanwhile. Users who are
/// locked, deleted or get another password are asked about at once.
const VERDICT_KEPT: Duration = Duration::from_secs(60);

impl Authority {
    /// Judges a user's name and password at an API.
    pub async fn judge_password(
        &self,
        username: &str,
        password: &str,
        question: KeyQuestion<'_>,
    ) -> Result<KeyVerdict, KeyRefusal> {
        let KeyQuestion { api, origin, .. } = question;
        let user = self.sign_in_from(username, password, origin).await.map_err(|refusal| match refusal {
            AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired => KeyRefusal::Invalid,
            AuthenticationRefusal::Unavailable => KeyRefusal::Unavailable,
        })?;
        let view = self.handle.view();
        let designed = view.read::<Apimgtdb>().apis.get(&api).ok_or(KeyRefusal::NotSubscribed)?;
        if user.tenant != designed.tenant {
            return Err(KeyRefusal::Invalid);
        }
        let has_production = !designed.endpoints.production.is_empty();
        Ok(KeyVerdict {
            client: ClientId(String::new()),
            application: application_of(&user),
            application_name: APPLICATION.to_owned(),
            application_owner: Username(APPLICATION.to_owned()),
            tenant: user.tenant.clone(),
            application_policy: UNLIMITED.to_owned(),
            key_type: if has_production { KeyType::Production } else { KeyType::Sandbox },
            plan: PLAN.to_owned(),
            end_user: user.username.clone(),
            is_user_token: true,
            scopes: scopes_of(designed, &user),
            expires_at: self.now(&view).after(VERDICT_KEPT),
            restriction: None,
            assertion: None,
            binding: None,
            claims: Vec::new(),
            good_until: None,
        })
    }
}

/// Returns the scopes of an API that the user's roles give.
fn scopes_of(api: &Api, user: &User) -> Vec<String> {
    let is_held =
        |roles: &[portcullis_model::Role]| roles.is_empty() || roles.iter().any(|role| user.roles.contains(role));
    api.scopes.iter().filter(|scope| is_held(&scope.roles)).map(|scope| scope.name.clone()).collect()
}

/// Returns what a user is counted as: the same on every node.
pub(crate) fn application_of(user: &User) -> ApplicationId {
    let digest = Sha256::digest(format!("basic authentication\n{}\n{}", user.tenant, user.username).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    ApplicationId::from_random(bytes)
}
