//! Keys with which publishers try out APIs. There is no application and no subscription: who holds one calls one API, for
//! an hour, with all of its scopes, by the plan of those who show no token, counted for each user.

use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Userdb, people};
use portcullis_model::api_endpoint::served_endpoints;
use portcullis_model::internal_key::InternalKey;
use portcullis_model::port::{KeyRefusal, KeyVerdict};
use portcullis_model::{ApiId, ClientId, KeyType, Username};

use crate::authority::Authority;
use crate::basic::{PLAN, UNLIMITED, application_of};
use crate::validation::Judgement;

/// What stands for the application.
const APPLICATION: &str = "internal-key";

impl Authority {
    /// Judges such a key at an API.
    pub(crate) fn judge_internal_key(
        &self,
        view: &View<Access>,
        text: &str,
        api: ApiId,
    ) -> Result<KeyVerdict, Judgement> {
        let opened = InternalKey::sealed_of(text).and_then(|sealed| self.key.open(&sealed).ok());
        let key = opened.and_then(|opened| InternalKey::of_opened(&opened)).filter(|key| key.api == api);
        let key = key.ok_or(KeyRefusal::Invalid)?;
        if key.expires_at <= self.now(view) {
            return Err(KeyRefusal::Expired.into());
        }
        let user = people::user(view.read::<Userdb>(), &key.tenant, &key.username).filter(|user| !user.is_locked);
        let user = user.filter(|user| people::is_active(view.read::<Userdb>(), &user.tenant));
        let user = user.ok_or(KeyRefusal::Invalid)?;
        let designed = view.read::<Apimgtdb>().apis.get(&api).filter(|designed| designed.tenant == user.tenant);
        let designed = designed.ok_or(KeyRefusal::Invalid)?;
        let has_production = !served_endpoints(designed).production.is_empty();
        Ok(KeyVerdict {
            client: ClientId(String::new()),
            application: application_of(user),
            application_name: APPLICATION.to_owned(),
            application_owner: Username(APPLICATION.to_owned()),
            tenant: user.tenant.clone(),
            application_policy: UNLIMITED.to_owned(),
            key_type: if has_production { KeyType::Production } else { KeyType::Sandbox },
            plan: PLAN.to_owned(),
            end_user: user.username.clone(),
            is_user_token: true,
            scopes: designed.scopes.iter().map(|scope| scope.name.clone()).collect(),
            expires_at: key.expires_at,
            restriction: None,
            assertion: None,
            binding: None,
            claims: Vec::new(),
            good_until: None,
        })
    }
}
