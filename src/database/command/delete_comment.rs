use portcullis_model::{ApiId, CommentId, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::change_comment::find_written_by;
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::belongings;
use crate::state::{Apimgtdb, State};

/// Deletes a comment, and the replies to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteComment {
    /// The API.
    pub api: ApiId,
    /// The comment.
    pub id: CommentId,
    /// Refuses where somebody else wrote it; `None` for administrators.
    pub by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for DeleteComment where C: Writes<Apimgtdb> {}

impl Command for DeleteComment {
    type Reply = ();

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        find_written_by(state, self.api, self.id, self.by.as_ref())?;
        let replies = belongings::comments_on(&state.apimgt, self.api).filter(|reply| reply.parent == Some(self.id));
        let gone: Vec<CommentId> = replies.map(|reply| reply.id).chain([self.id]).collect();
        for id in gone {
            state.apimgt.comments.remove(&(self.api, id));
        }
        Ok(())
    }
}
