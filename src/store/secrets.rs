//! Further secrets of an application's keys: several are good at a time, so that callers move from one to the next
//! without a gap. The one that the keys were made with stays; `regenerate-secret` replaces that.

use std::time::Duration;

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::Stamped;
use portcullis_model::authorization::ClientSecret;
use portcullis_model::{ApplicationId, ClientSecretId, Refused, Timestamp};

use crate::actor::{Desk, Request};
use crate::apis::stamped;
use crate::dto::secret::{GenerateSecretBody, RevokeSecretBody, SecretListDto, SecretRowDto};
use crate::error::StoreError;
use crate::keys::find;
use crate::messages::{KeyRef, Subscriber};

/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 255;
/// The longest life of a secret, in seconds: ten years.
const LIFE_S_MAX: u64 = 315_360_000;

/// Lists the further secrets of keys, without showing them.
pub(crate) struct ListSecrets {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which keys.
    pub key: KeyRef,
}

/// Gives keys a further secret.
pub(crate) struct GenerateSecret {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which keys.
    pub key: KeyRef,
    /// What it is for, and how long it is good.
    pub body: GenerateSecretBody,
}

/// Takes a further secret from keys.
pub(crate) struct RevokeSecret {
    /// Who.
    pub subscriber: Subscriber,
    /// Which application's.
    pub application: ApplicationId,
    /// Which keys.
    pub key: KeyRef,
    /// Which secret.
    pub body: RevokeSecretBody,
}

impl Request for ListSecrets {
    type Reply = Stamped<SecretListDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (client, _) = find(&view, &self.subscriber, self.application, self.key)?;
        let secrets = view.read::<Apimgtdb>().secrets_of(&client.id);
        let list: Vec<SecretRowDto> = secrets.map(|(id, secret)| SecretRowDto::new(id, secret, None)).collect();
        Ok(stamped(SecretListDto { count: list.len(), list }, &view))
    }
}

impl Request for GenerateSecret {
    type Reply = Stamped<SecretRowDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (client, _) = find(&view, &self.subscriber, self.application, self.key)?;
        let wish = self.body.additional_properties.unwrap_or_default();
        let description = wish.description.unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            let reason = format!("may have at most {DESCRIPTION_CHARS_MAX} characters");
            return Err(Refused::invalid("description", reason).into());
        }
        let life_s = wish.expires_in.filter(|seconds| *seconds > 0);
        if life_s.is_some_and(|seconds| seconds.unsigned_abs() > LIFE_S_MAX) {
            let reason = format!("must be at most {LIFE_S_MAX} seconds (ten years); -1 for no end");
            return Err(Refused::invalid("expiresIn", reason).into());
        }
        let credentials = desk.issuer.new_client_credentials();
        let id = ClientSecretId::from_random(random_bytes());
        let ends = |seconds: i64| now(&view).after(Duration::from_secs(seconds.unsigned_abs()));
        let secret = ClientSecret {
            secret: credentials.sealed,
            description,
            created_at: now(&view),
            expires_at: life_s.map(ends),
        };
        let shown = SecretRowDto::new(id, &secret, Some(credentials.secret));
        let put = command::PutClientSecret { client: client.id.clone(), id, secret };
        let Committed { index, unreached, .. } = desk.submit(put, &self.subscriber).await?;
        Ok(Stamped { body: shown, index, unreached })
    }
}

fn now(view: &crate::actor::StoreView) -> Timestamp {
    portcullis_database::handle::wall_clock().max(view.now())
}

impl Request for RevokeSecret {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (client, _) = find(&view, &self.subscriber, self.application, self.key)?;
        let id = self.body.secret_id.parse().map_err(|_| Refused::not_found("client secret", &self.body.secret_id))?;
        let remove = command::RemoveClientSecret { client: client.id.clone(), id };
        let Committed { index, unreached, .. } = desk.submit(remove, &self.subscriber).await?;
        Ok(Stamped { body: (), index, unreached })
    }
}
