//! What people say about APIs: comments and ratings.

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, CommentId};
use crate::time::Timestamp;
use crate::user::Principal;

/// Characters of a comment (the contract's).
pub const COMMENT_CHARS_MAX: usize = 512;
/// Characters of a comment's category.
pub const COMMENT_CATEGORY_CHARS_MAX: usize = 64;
/// Comments on one API, replies among them.
pub const COMMENTS_PER_API_MAX: usize = 10_000;
/// The category of a comment that names none (the contract's).
pub const COMMENT_CATEGORY: &str = "general";
/// The best rating; the worst is 1.
pub const RATING_MAX: u8 = 5;

/// Where a comment was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommentPlace {
    /// In the Publisher.
    Publisher,
    /// In the Store.
    Store,
}

impl CommentPlace {
    /// The name in the REST contracts.
    #[must_use]
    pub fn as_contract(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Store => "devPortal",
        }
    }
}

/// A comment on an API, or a reply to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// The id.
    pub id: CommentId,
    /// The API.
    pub api: ApiId,
    /// The comment it replies to.
    pub parent: Option<CommentId>,
    /// What it says.
    pub text: String,
    /// What it is filed under.
    pub category: String,
    /// Where it was written.
    pub place: CommentPlace,
    /// Who wrote it.
    pub written_by: Principal,
    /// When it was written.
    pub written_at: Timestamp,
    /// When it was changed, if it was.
    pub changed_at: Option<Timestamp>,
}
