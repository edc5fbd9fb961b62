use portcullis_model::asset::AssetKind;
use portcullis_model::{AssetId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Deletes something that a tenant keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteAsset {
    /// The tenant.
    pub tenant: TenantDomain,
    /// What it is.
    pub kind: AssetKind,
    /// Which.
    pub id: AssetId,
}

impl<C: Component> SubmittedBy<C> for DeleteAsset where C: Writes<Apimgtdb> {}

impl Command for DeleteAsset {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.kind.noun(), self.id)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let removed = state.apimgt.assets.remove(&(self.kind, self.tenant, self.id));
        removed.map(|_| ()).ok_or_else(|| Refused::not_found(self.kind.noun(), self.id))
    }
}
