use portcullis_model::Refused;
use portcullis_model::websub::WebhookKey;
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::webhooks;

/// Ends the subscription of a callback to a topic. Does nothing where there is none: it may have ended by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveWebhook {
    /// The webhook.
    pub key: WebhookKey,
}

impl<C: Component> SubmittedBy<C> for RemoveWebhook where C: Writes<Apimgtdb> {}

impl Command for RemoveWebhook {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        self.key.1.clone()
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        webhooks::remove(state, &self.key);
        Ok(())
    }
}
