use portcullis_model::heading::{HeadingKind, LABELS_PER_API_MAX};
use portcullis_model::{ApiId, HeadingId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};
use crate::{api_rules, headings};

/// Attaches labels to an API, and takes others from it: all of it or nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelApi {
    /// The API.
    pub api: ApiId,
    /// Labels it is to have.
    pub attach: Vec<HeadingId>,
    /// Labels it is not to have any more.
    pub detach: Vec<HeadingId>,
}

impl<C: Component> SubmittedBy<C> for LabelApi where C: Writes<Apimgtdb> {}

impl Command for LabelApi {
    type Reply = ();

    fn subject(&self) -> String {
        self.api.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let api = api_rules::find(state, moment, self.api)?;
        let is_there = |id: &HeadingId| state.apimgt.headings.contains_key(&(api.tenant.clone(), HeadingKind::Label, *id));
        if let Some(unknown) = self.attach.iter().chain(&self.detach).find(|id| !is_there(id)) {
            return Err(Refused::invalid("labels", format!("there is no label {unknown}")));
        }
        let mut labels = state.apimgt.api_labels.clone();
        for id in self.detach {
            labels.remove(&(self.api, id));
        }
        for id in self.attach {
            labels.insert((self.api, id), ());
        }
        let before = std::mem::replace(&mut state.apimgt.api_labels, labels);
        if headings::labels_of(&state.apimgt, self.api).count() > LABELS_PER_API_MAX {
            state.apimgt.api_labels = before;
            return Err(Refused::LimitReached { what: "labels of an API".to_owned(), max: LABELS_PER_API_MAX as u64 });
        }
        Ok(())
    }
}
