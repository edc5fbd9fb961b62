//! The further secrets of a client. Used by commands and by those who check a secret.

use std::sync::Arc;

use portcullis_model::authorization::ClientSecret;
use portcullis_model::{ClientId, ClientSecretId};
use uuid::Uuid;

use crate::state::{Apimgtdb, State};

impl Apimgtdb {
    /// Returns the further secrets of a client, also those that ended.
    pub fn secrets_of(&self, client: &ClientId) -> impl Iterator<Item = (ClientSecretId, &Arc<ClientSecret>)> {
        let every = (client.clone(), ClientSecretId(Uuid::nil()))..=(client.clone(), ClientSecretId(Uuid::max()));
        self.client_secrets.range(every).map(|((_, id), secret)| (*id, secret))
    }
}

/// Returns the further secrets of a client, in order.
pub(crate) fn of(state: &State, client: &ClientId) -> Vec<(ClientSecretId, Arc<ClientSecret>)> {
    state.apimgt.secrets_of(client).map(|(id, secret)| (id, Arc::clone(secret))).collect()
}
