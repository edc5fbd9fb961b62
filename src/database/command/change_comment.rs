use std::sync::Arc;

use portcullis_model::comment::Comment;
use portcullis_model::{ApiId, CommentId, Principal, Refused};
use serde::{Deserialize, Serialize};

use super::add_comment::{check_category, check_text};
use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Changes a comment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeComment {
    /// The API.
    pub api: ApiId,
    /// The comment.
    pub id: CommentId,
    /// What it is to say; kept where it is missing.
    pub text: Option<String>,
    /// What it is to be filed under; kept where it is missing.
    pub category: Option<String>,
    /// Refuses where somebody else wrote it.
    pub by: Option<Principal>,
}

impl<C: Component> SubmittedBy<C> for ChangeComment where C: Writes<Apimgtdb> {}

impl Command for ChangeComment {
    type Reply = ();

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let before = find_written_by(state, self.api, self.id, self.by.as_ref())?;
        let mut comment = Comment::clone(&before);
        if let Some(text) = self.text {
            check_text(&text)?;
            comment.text = text;
        }
        if let Some(category) = self.category {
            check_category(&category)?;
            comment.category = category;
        }
        comment.changed_at = Some(moment.now);
        state.apimgt.comments.insert((self.api, self.id), Arc::new(comment));
        Ok(())
    }
}

/// Returns a comment, unless somebody else than `by` wrote it.
pub(super) fn find_written_by(
    state: &State,
    api: ApiId,
    id: CommentId,
    by: Option<&Principal>,
) -> Result<Arc<Comment>, Refused> {
    let comment = state.apimgt.comments.get(&(api, id)).ok_or_else(|| Refused::not_found("comment", id))?;
    if by.is_some_and(|by| *by != comment.written_by) {
        return Err(Refused::NotAllowed { reason: format!("somebody else wrote the comment {id}") });
    }
    Ok(Arc::clone(comment))
}
