use std::sync::Arc;

use portcullis_model::authorization::ClientSecret;
use portcullis_model::limit::CLIENT_SECRETS_MAX;
use portcullis_model::{ClientId, ClientSecretId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::client_secrets;
use crate::state::{Apimgtdb, State};

/// Gives a client a further secret, which is good beside the others. Those that ended are dropped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutClientSecret {
    /// The client.
    pub client: ClientId,
    /// The secret's id.
    pub id: ClientSecretId,
    /// The secret; `created_at` is set here.
    pub secret: ClientSecret,
}

impl<C: Component> SubmittedBy<C> for PutClientSecret where C: Writes<Apimgtdb> {}

impl Command for PutClientSecret {
    type Reply = ();

    fn subject(&self) -> String {
        self.client.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        if !state.apimgt.clients.contains_key(&self.client) {
            return Err(Refused::not_found("OAuth client", &self.client));
        }
        let known = client_secrets::of(state, &self.client);
        let is_over = |secret: &ClientSecret| secret.expires_at.is_some_and(|at| at <= moment.now);
        let over: Vec<_> = known.iter().filter(|(_, secret)| is_over(secret)).map(|(id, _)| *id).collect();
        if known.iter().any(|(id, _)| *id == self.id) {
            return Err(Refused::exists("client secret", self.id));
        }
        if known.len() - over.len() >= CLIENT_SECRETS_MAX {
            let what = format!("further secrets of {}", self.client);
            return Err(Refused::LimitReached { what, max: CLIENT_SECRETS_MAX as u64 });
        }
        for id in over {
            state.apimgt.client_secrets.remove(&(self.client.clone(), id));
        }
        let secret = ClientSecret { created_at: moment.now, ..self.secret };
        state.apimgt.client_secrets.insert((self.client, self.id), Arc::new(secret));
        Ok(())
    }
}
