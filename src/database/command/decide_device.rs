use std::sync::Arc;

use portcullis_model::authorization::{DeviceDecision, DeviceGrant, PendingGrant};
use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Notes what a user said to a device's request. The first word counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecideDevice {
    /// The request's digest.
    pub digest: TokenDigest,
    /// What the user said.
    pub decision: DeviceDecision,
}

impl<C: Component> SubmittedBy<C> for DecideDevice where C: Writes<Apimgtdb> {}

impl Command for DecideDevice {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let unknown = || Refused::not_found("device request", "with this code");
        let grant = state.apimgt.pending_grants.get(&self.digest).ok_or_else(unknown)?;
        let PendingGrant::Device(device) = grant.as_ref() else { return Err(unknown()) };
        if device.expires_at <= moment.now || device.decision.is_some() {
            return Err(unknown());
        }
        let decided = DeviceGrant { decision: Some(self.decision), ..device.clone() };
        // What the user typed is used up.
        state.apimgt.user_codes.remove(&decided.user_code);
        state.apimgt.pending_grants.insert(self.digest, Arc::new(PendingGrant::Device(decided)));
        Ok(())
    }
}
