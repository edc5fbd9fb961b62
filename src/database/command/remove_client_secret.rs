use portcullis_model::{ClientId, ClientSecretId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Takes a further secret from a client. No node accepts it when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveClientSecret {
    /// The client.
    pub client: ClientId,
    /// The secret.
    pub id: ClientSecretId,
}

impl<C: Component> SubmittedBy<C> for RemoveClientSecret where C: Writes<Apimgtdb> {}

impl Command for RemoveClientSecret {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.client.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        match state.apimgt.client_secrets.remove(&(self.client, self.id)) {
            Some(_) => Ok(()),
            None => Err(Refused::not_found("client secret", self.id)),
        }
    }
}
