use portcullis_model::{ApiId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::projection;
use crate::state::{Apimgtdb, Generation, State};

/// Has an API no longer trust a certificate. In force on every gateway when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteClientCertificate {
    /// The API.
    pub api: ApiId,
    /// The certificate's alias.
    pub alias: String,
}

impl<C: Component> SubmittedBy<C> for DeleteClientCertificate where C: Writes<Apimgtdb> {}

impl Command for DeleteClientCertificate {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let api = state.apimgt.apis.get(&self.api).cloned().ok_or_else(|| Refused::not_found("API", self.api))?;
        let key = (self.api, self.alias);
        if state.apimgt.client_certificates.remove(&key).is_none() {
            return Err(Refused::not_found("client certificate", key.1));
        }
        projection::refresh(state, &api.tenant, &api.name, api.id);
        state.deployed.advance(Generation::Keys);
        Ok(())
    }
}
