use portcullis_model::{ApiId, DocumentId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::api_rules;
use crate::state::{Regdb, State};

/// Deletes a document of an API, with its content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteDocument {
    /// The API.
    pub api: ApiId,
    /// The document.
    pub id: DocumentId,
}

impl<C: Component> SubmittedBy<C> for DeleteDocument where C: Writes<Regdb> {}

impl Command for DeleteDocument {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.api, self.id)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        api_rules::find(state, moment, self.api)?;
        if state.reg.documents.remove(&(self.api, self.id)).is_none() {
            return Err(Refused::not_found("document", self.id));
        }
        state.reg.document_contents.remove(&(self.api, self.id));
        Ok(())
    }
}
