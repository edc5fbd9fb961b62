use portcullis_model::websub::{WebhookDelivery, WebhookKey};
use portcullis_model::{Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::webhooks;

/// Notes of one command.
pub const DELIVERY_NOTES_MAX: usize = 256;

/// Notes which callbacks took the last event that was sent to them, and which did not: those that fail again and again are
/// left alone for a while. What fails in that while was under way before, and does not count: one outage is one failure to
/// be left alone longer for, however many events were under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteDeliveries {
    /// The webhook, when the event was given up or taken, and whether it was taken.
    pub notes: Vec<(WebhookKey, Timestamp, bool)>,
}

impl<C: Component> SubmittedBy<C> for NoteDeliveries where C: Writes<Apimgtdb> {}

impl Command for NoteDeliveries {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        for (key, at, is_taken) in self.notes.into_iter().take(DELIVERY_NOTES_MAX) {
            // It may have ended meanwhile.
            let Some(before) = state.apimgt.webhooks.get(&key) else { continue };
            // A clock that is ahead has nobody left alone for longer.
            let at = at.min(moment.now);
            if !is_taken && before.suspended_until().is_some_and(|until| until > at) {
                continue;
            }
            let mut webhook = (**before).clone();
            let failed = webhook.delivery.map_or(0, |delivery| delivery.failures);
            let failures = if is_taken { 0 } else { failed.saturating_add(1) };
            webhook.delivery = Some(WebhookDelivery { at, failures });
            webhooks::keep(state, webhook);
        }
        Ok(())
    }
}
