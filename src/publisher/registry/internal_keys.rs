//! Keys with which publishers try out APIs.

use portcullis_database::handle::wall_clock;
use portcullis_model::internal_key::{INTERNAL_KEY_VALIDITY_S, InternalKey};
use std::time::Duration;

use super::{Registry, find, seen};
use crate::fault::PublisherError;
use crate::messages::{GenerateInternalKey, Seen};

impl Registry {
    /// Makes a key. Nothing is written: the key says itself what it is good for.
    pub(crate) async fn generate_internal_key(
        &self,
        message: GenerateInternalKey,
    ) -> Result<Seen<String>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let principal = &message.asker.identity.principal;
        let api = find(&snapshot, &message.asker.identity, &message.api)?;
        let now = wall_clock().max(snapshot.now());
        let key = InternalKey {
            api: api.id,
            tenant: principal.tenant.clone(),
            username: principal.username.clone(),
            expires_at: now.after(Duration::from_secs(INTERNAL_KEY_VALIDITY_S)),
        };
        let text = InternalKey::text_of(&self.key.seal(&key.to_seal()));
        Ok(seen(&snapshot, text))
    }
}
