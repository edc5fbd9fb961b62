use portcullis_model::asset::AssetKind;
use portcullis_model::{AssetId, Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::gateway_policies;
use crate::state::{Apimgtdb, State};

/// Deletes a gateway policy that is in force nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteGatewayPolicy {
    /// The tenant.
    pub tenant: TenantDomain,
    /// Which.
    pub id: AssetId,
}

impl<C: Component> SubmittedBy<C> for DeleteGatewayPolicy where C: Writes<Apimgtdb> {}

impl Command for DeleteGatewayPolicy {
    type Reply = ();

    fn subject(&self) -> String {
        format!("gateway policy {}", self.id)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (AssetKind::GatewayPolicy, self.tenant, self.id);
        let asset = state.apimgt.assets.get(&key).ok_or_else(|| Refused::not_found(key.0.noun(), self.id))?;
        let labels = gateway_policies::labels_of(asset);
        if !labels.is_empty() {
            let reason = format!("the gateway policy is in force in {}; undeploy it first", labels.join(", "));
            return Err(Refused::wrong_state(reason));
        }
        state.apimgt.assets.remove(&key);
        Ok(())
    }
}
