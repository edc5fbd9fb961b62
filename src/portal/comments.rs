//! What people say about an API, as both the Publisher and the developer portal show it: comments with their replies, in
//! parts that keep a page small.

use std::sync::Arc;

use portcullis_http::contract::comment::{Comments, Thread};
use portcullis_http::page::Page;
use portcullis_http::{ApiError, PageQuery};
use portcullis_model::{Comment, CommentId, TenantDomain};
use serde::Deserialize;

use crate::page::{Part, when};

/// Comments of one page, where all are shown.
const SHOWN: usize = 20;
/// Replies that are shown with a comment among others.
const REPLIES_SHOWN: usize = 3;
/// Replies of one page, where one comment is shown.
const REPLIES_OF_ONE: usize = 50;

/// Which part of the comments is shown.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CommentsQuery {
    /// The comment that is shown alone, with its replies.
    thread: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

impl CommentsQuery {
    /// Returns the query of the first part, or of one comment.
    #[must_use]
    pub fn of_thread(thread: Option<CommentId>) -> Self {
        Self { thread: thread.map(|id| id.to_string()), page: PageQuery::default() }
    }
}

/// A comment as a page shows it.
#[derive(Clone, Debug)]
pub struct Said {
    /// What was said.
    pub comment: Arc<Comment>,
    /// By whom: with the tenant where that is another than the API's.
    pub by: String,
    /// When.
    pub at: String,
    /// Whether whoever looks may delete it.
    pub may_delete: bool,
}

/// A comment with replies.
#[derive(Clone, Debug)]
pub struct Talk {
    /// What was said first.
    pub first: Said,
    /// The replies that are shown.
    pub replies: Vec<Said>,
    /// How many replies there are.
    pub total: usize,
}

impl Talk {
    /// Says whether there are replies that are not shown.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.total > self.replies.len()
    }
}

/// The part of the comments that a page shows.
#[derive(Clone, Debug)]
pub struct Talks {
    /// Where the page is.
    pub path: String,
    /// What is said.
    pub talks: Vec<Talk>,
    /// Which part it is: of the comments, or of the replies to one.
    pub part: Part,
    /// Whether one comment is shown alone.
    pub is_one: bool,
}

impl Talks {
    /// Chooses what the page at `path` shows.
    ///
    /// # Errors
    /// 400 where a bound is no number, 404 where there is no such comment.
    pub fn of(
        comments: &Comments,
        path: String,
        query: &CommentsQuery,
        may_delete: impl Fn(&Comment) -> bool,
    ) -> Result<Self, ApiError> {
        let said = |comment: Arc<Comment>| Said {
            by: name(&comment, &comments.tenant),
            at: when(comment.written_at),
            may_delete: may_delete(&comment),
            comment,
        };
        let wanted = query.page.page()?;
        let threads = comments.threads();
        let Some(thread) = query.thread.as_deref().filter(|id| !id.is_empty()) else {
            let page = Page { limit: SHOWN, ..wanted };
            let total = threads.len();
            let shown = threads.into_iter().skip(page.offset).take(page.limit);
            let talks: Vec<Talk> = shown.map(|one| talk(one, 0, REPLIES_SHOWN, &said)).collect();
            let part = Part::of(&path, "", page, talks.len(), total);
            return Ok(Self { path, talks, part, is_one: false });
        };
        let unknown = || ApiError::not_found("comment", thread.chars().take(100).collect::<String>());
        let found = threads.into_iter().find(|one| one.first.id.to_string() == thread).ok_or_else(unknown)?;
        let (page, total) = (Page { limit: REPLIES_OF_ONE, ..wanted }, found.replies.len());
        let talk = talk(found, page.offset, page.limit, &said);
        let part = Part::of(&path, &format!("thread={thread}"), page, talk.replies.len(), total);
        Ok(Self { path, talks: vec![talk], part, is_one: true })
    }
}

fn talk(thread: Thread, from: usize, count: usize, said: &impl Fn(Arc<Comment>) -> Said) -> Talk {
    let total = thread.replies.len();
    let replies = thread.replies.into_iter().skip(from).take(count).map(said).collect();
    Talk { first: said(thread.first), replies, total }
}

fn name(comment: &Comment, tenant: &TenantDomain) -> String {
    let by = &comment.written_by;
    if by.tenant == *tenant { by.username.to_string() } else { by.to_string() }
}
