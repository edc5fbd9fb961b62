use std::sync::Arc;

use portcullis_model::document::{Content, THUMBNAIL_BYTES_MAX};
use portcullis_model::{ApiId, Refused};
use serde::{Deserialize, Serialize};

use super::put_document_content::check_content;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::api_rules;
use crate::state::{Regdb, State};

/// Gives an API a picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutThumbnail {
    /// The API.
    pub api: ApiId,
    /// The picture.
    pub thumbnail: Content,
}

impl<C: Component> SubmittedBy<C> for PutThumbnail where C: Writes<Regdb> {}

impl Command for PutThumbnail {
    type Reply = ();

    fn subject(&self) -> String {
        self.api.to_string()
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        api_rules::find(state, moment, self.api)?;
        check_content(&self.thumbnail, "file", THUMBNAIL_BYTES_MAX)?;
        state.reg.thumbnails.insert(self.api, Arc::new(self.thumbnail));
        Ok(())
    }
}
