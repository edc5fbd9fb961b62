use portcullis_model::{Refused, TenantDomain};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::endpoint_trust;
use crate::state::{Apimgtdb, State};

/// Has gateways no longer trust backends by a certificate. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteEndpointCertificate {
    /// The tenant.
    pub tenant: TenantDomain,
    /// The certificate's alias.
    pub alias: String,
}

impl<C: Component> SubmittedBy<C> for DeleteEndpointCertificate where C: Writes<Apimgtdb> {}

impl Command for DeleteEndpointCertificate {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn subject(&self) -> String {
        format!("endpoint certificate {}", self.alias)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let key = (self.tenant, self.alias);
        if state.apimgt.endpoint_certificates.remove(&key).is_none() {
            return Err(Refused::not_found("endpoint certificate", key.1));
        }
        endpoint_trust::refresh(state, &key.0);
        Ok(())
    }
}
