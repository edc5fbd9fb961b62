use std::sync::Arc;

use portcullis_model::document::Document;
use portcullis_model::{ApiId, DocumentId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, Regdb, State};
use crate::{api_rules, belongings, headings};

/// Gives a new version of an API the documents, the picture and the labels of the one it was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyBelongings {
    /// The API that has them.
    pub from: ApiId,
    /// The API that is to have them, and has none.
    pub to: ApiId,
}

impl<C: Component> SubmittedBy<C> for CopyBelongings where C: Writes<Apimgtdb> + Writes<Regdb> {}

impl Command for CopyBelongings {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.from, self.to)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let Self { from, to } = self;
        api_rules::find(state, moment, from)?;
        api_rules::find(state, moment, to)?;
        if belongings::documents_of(&state.reg, to).next().is_some() {
            return Err(Refused::wrong_state(format!("API {to} has documents of its own")));
        }
        let documents: Vec<Arc<Document>> = belongings::documents_of(&state.reg, from).cloned().collect();
        for document in documents {
            let id = DocumentId::of_names(&["copy", &document.id.to_string(), &to.to_string()]);
            let copy = Document { id, api: to, ..(*document).clone() };
            state.reg.documents.insert((to, id), Arc::new(copy));
            if let Some(content) = state.reg.document_contents.get(&(from, document.id)).cloned() {
                state.reg.document_contents.insert((to, id), content);
            }
        }
        if let Some(picture) = state.reg.thumbnails.get(&from).cloned() {
            state.reg.thumbnails.insert(to, picture);
        }
        let labels: Vec<_> = headings::labels_of(&state.apimgt, from).collect();
        for label in labels {
            state.apimgt.api_labels.insert((to, label), ());
        }
        Ok(())
    }
}
