use portcullis_model::{ClientId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::client_removal::remove_client;
use crate::state::{Apimgtdb, State};

/// Deletes an OAuth client with all its tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteClient {
    /// The client.
    pub client: ClientId,
}

impl<C: Component> SubmittedBy<C> for DeleteClient where C: Writes<Apimgtdb> {}

impl Command for DeleteClient {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.client.to_string()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        if remove_client(state, &self.client) { Ok(()) } else { Err(Refused::not_found("OAuth client", &self.client)) }
    }
}
