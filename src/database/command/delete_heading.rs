use portcullis_model::heading::HeadingKind;
use portcullis_model::{HeadingId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::headings;
use crate::state::{Apimgtdb, State};

/// Deletes a category or a label under which no API is filed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteHeading {
    /// The tenant.
    pub tenant: TenantDomain,
    /// Category or label.
    pub kind: HeadingKind,
    /// Which.
    pub id: HeadingId,
}

impl<C: Component> SubmittedBy<C> for DeleteHeading where C: Writes<Apimgtdb> {}

impl Command for DeleteHeading {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.kind.noun(), self.id)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let (noun, key) = (self.kind.noun(), (self.tenant, self.kind, self.id));
        let heading = state.apimgt.headings.get(&key).ok_or_else(|| Refused::not_found(noun, key.2))?;
        if let Some(api) = state.apimgt.apis.values().find(|api| headings::has(&state.apimgt, api, heading)) {
            let reason = format!("the {noun} {} is used by API {} {}", heading.name, api.name, api.version);
            return Err(Refused::wrong_state(reason));
        }
        state.apimgt.headings.remove(&key);
        Ok(())
    }
}
