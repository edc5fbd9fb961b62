use std::sync::Arc;

use portcullis_model::comment::{COMMENT_CATEGORY_CHARS_MAX, COMMENT_CHARS_MAX, COMMENTS_PER_API_MAX, Comment};
use portcullis_model::{CommentId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::belongings;
use crate::state::{Apimgtdb, State};

/// Says something about an API, or replies to what somebody said. Replies with the comment's id, which is another where the
/// request is a retry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddComment {
    /// The comment; who and when is set here.
    pub comment: Comment,
}

impl<C: Component> SubmittedBy<C> for AddComment where C: Writes<Apimgtdb> {}

impl Command for AddComment {
    type Reply = CommentId;

    fn apply(self, state: &mut State, moment: &Moment) -> Result<CommentId, Refused> {
        let mut comment = self.comment;
        let key = (comment.api, comment.id);
        if !state.apimgt.apis.contains_key(&comment.api) {
            return Err(Refused::not_found("API", comment.api));
        }
        check_text(&comment.text)?;
        check_category(&comment.category)?;
        if let Some(parent) = comment.parent {
            let parent = state.apimgt.comments.get(&(comment.api, parent));
            let parent = parent.ok_or_else(|| Refused::not_found("comment", comment.parent.unwrap_or(comment.id)))?;
            if let Some(first) = parent.parent {
                let reason = format!("{} is a reply itself; reply to {first}", parent.id);
                return Err(Refused::invalid("replyTo", reason));
            }
        }
        if state.apimgt.comments.contains_key(&key) {
            return Err(Refused::exists("comment", comment.id));
        }
        if belongings::comments_on(&state.apimgt, comment.api).count() >= COMMENTS_PER_API_MAX {
            let what = "comments on an API".to_owned();
            return Err(Refused::LimitReached { what, max: COMMENTS_PER_API_MAX as u64 });
        }
        comment.written_by = moment.principal.clone();
        comment.written_at = moment.now;
        comment.changed_at = None;
        state.apimgt.comments.insert(key, Arc::new(comment));
        Ok(key.1)
    }
}

pub(super) fn check_text(text: &str) -> Result<(), Refused> {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > COMMENT_CHARS_MAX {
        let reason = format!("must have 1 to {COMMENT_CHARS_MAX} characters, not {chars}");
        return Err(Refused::invalid("content", reason));
    }
    Ok(())
}

pub(super) fn check_category(category: &str) -> Result<(), Refused> {
    let chars = category.chars().count();
    if chars == 0 || chars > COMMENT_CATEGORY_CHARS_MAX {
        let reason = format!("must have 1 to {COMMENT_CATEGORY_CHARS_MAX} characters, not {chars}");
        return Err(Refused::invalid("category", reason));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use portcullis_model::{CommentPlace, Timestamp};

    use super::super::store_fixture::{Fixture, api, user};
    use super::super::{ChangeComment, DeleteComment, RateApi};
    use super::*;

    pub(in crate::command) fn comment(number: u8, parent: Option<u8>) -> Comment {
        Comment {
            id: CommentId::from_random([number; 16]),
            api: api(7).id,
            parent: parent.map(|number| CommentId::from_random([number; 16])),
            text: "Works".to_owned(),
            category: "general".to_owned(),
            place: CommentPlace::Store,
            written_by: user(""),
            written_at: Timestamp(0),
            changed_at: None,
        }
    }

    fn with_api() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture
    }

    #[test]
    fn a_reply_belongs_to_a_comment_and_goes_with_it() {
        let mut fixture = with_api();
        fixture.apply(AddComment { comment: comment(1, None) }).unwrap();
        fixture.apply(AddComment { comment: comment(2, Some(1)) }).unwrap();
        fixture.apply(AddComment { comment: comment(3, None) }).unwrap();
        let to_a_reply = fixture.apply(AddComment { comment: comment(4, Some(2)) });
        assert!(matches!(to_a_reply, Err(Refused::Invalid { .. })), "{to_a_reply:?}");
        let to_nothing = fixture.apply(AddComment { comment: comment(4, Some(9)) });
        assert!(matches!(to_nothing, Err(Refused::NotFound { .. })), "{to_nothing:?}");
        assert!(fixture.state.apimgt.comments.values().all(|comment| comment.written_by == user("sam")));
        fixture.apply(DeleteComment { api: api(7).id, id: comment(1, None).id, by: None }).unwrap();
        let left: Vec<_> = fixture.state.apimgt.comments.values().map(|comment| comment.id).collect();
        assert_eq!(left, [comment(3, None).id]);
    }

    #[test]
    fn only_who_wrote_a_comment_changes_it_and_what_is_missing_stays() {
        let mut fixture = with_api();
        fixture.apply(AddComment { comment: comment(1, None) }).unwrap();
        let change = |by, text: Option<&str>| ChangeComment {
            api: api(7).id,
            id: comment(1, None).id,
            text: text.map(str::to_owned),
            category: None,
            by: Some(user(by)),
        };
        assert!(matches!(fixture.apply(change("eve", Some("No"))), Err(Refused::NotAllowed { .. })));
        assert!(matches!(fixture.apply(change("sam", Some(" "))), Err(Refused::Invalid { .. })));
        fixture.apply(change("sam", Some("Works well"))).unwrap();
        let stored = fixture.state.apimgt.comments.get_min().unwrap().1.clone();
        assert_eq!((stored.text.as_str(), stored.category.as_str()), ("Works well", "general"));
        assert!(stored.changed_at > Some(stored.written_at));
        let by_another = DeleteComment { api: api(7).id, id: comment(1, None).id, by: Some(user("eve")) };
        assert!(matches!(fixture.apply(by_another), Err(Refused::NotAllowed { .. })));
    }

    #[test]
    fn comments_and_ratings_have_bounds() {
        let mut fixture = with_api();
        let long = Comment { text: "x".repeat(COMMENT_CHARS_MAX + 1), ..comment(1, None) };
        assert!(matches!(fixture.apply(AddComment { comment: long }), Err(Refused::Invalid { .. })));
        let elsewhere = Comment { api: api(8).id, ..comment(1, None) };
        assert!(matches!(fixture.apply(AddComment { comment: elsewhere }), Err(Refused::NotFound { .. })));
        for stars in [0, 6] {
            let refused = fixture.apply(RateApi { api: api(7).id, stars: Some(stars) });
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{refused:?}");
        }
        fixture.apply(RateApi { api: api(7).id, stars: Some(2) }).unwrap();
        fixture.apply(RateApi { api: api(7).id, stars: Some(5) }).unwrap();
        assert_eq!(fixture.state.apimgt.ratings.values().copied().collect::<Vec<_>>(), [5]);
        assert_eq!(fixture.state.apimgt.rating_sums.get(&api(7).id), Some(&(5, 1)));
        fixture.apply(RateApi { api: api(7).id, stars: None }).unwrap();
        assert!(fixture.state.apimgt.ratings.is_empty() && fixture.state.apimgt.rating_sums.is_empty());
    }
}
