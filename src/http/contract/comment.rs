//! Comments on APIs in the contracts of the Publisher and of the Store.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::comment::{COMMENT_CATEGORY, Comment, CommentPlace};
use portcullis_model::{ApiId, CommentId, Principal, TenantDomain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::page::{List, Page, PageQuery};
use crate::time::rfc3339;

/// A comment as it is sent.
#[derive(Clone, Debug, Deserialize)]
pub struct NewComment {
    content: String,
    #[serde(default)]
    category: Option<String>,
}

impl NewComment {
    /// Makes a comment on an API; who and when is not known yet.
    #[must_use]
    pub fn into_comment(self, api: ApiId, id: CommentId, parent: Option<CommentId>, place: CommentPlace) -> Comment {
        let category = self.category.filter(|category| !category.is_empty());
        Comment {
            id,
            api,
            parent,
            text: self.content,
            category: category.unwrap_or_else(|| COMMENT_CATEGORY.to_owned()),
            place,
            written_by: Principal::system(),
            written_at: Timestamp(0),
            changed_at: None,
        }
    }
}

/// What is to change of a comment.
#[derive(Clone, Debug, Deserialize)]
pub struct CommentChange {
    /// What it is to say.
    #[serde(default)]
    pub content: Option<String>,
    /// What it is to be filed under.
    #[serde(default)]
    pub category: Option<String>,
}

/// Query parameters of requests about comments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommentQuery {
    reply_to: Option<String>,
    include_commenter_info: Option<String>,
    reply_limit: Option<String>,
    reply_offset: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

impl CommentQuery {
    /// Returns the comment that is replied to.
    ///
    /// # Errors
    /// 404 for what is no id.
    pub fn parent(&self) -> Result<Option<CommentId>, ApiError> {
        let named = self.reply_to.as_deref().filter(|text| !text.is_empty());
        named.map(|text| text.parse().map_err(|_| ApiError::not_found("comment", text))).transpose()
    }

    /// Says whether the names of those who wrote are asked for.
    #[must_use]
    pub fn wants_names(&self) -> bool {
        self.include_commenter_info.as_deref() == Some("true")
    }

    /// Returns the page of comments that is asked for.
    ///
    /// # Errors
    /// 400 where a bound is no number.
    pub fn page(&self) -> Result<Page, ApiError> {
        self.page.page()
    }

    /// Returns the page of replies that is asked for.
    ///
    /// # Errors
    /// 400 where a bound is no number.
    pub fn replies(&self) -> Result<Page, ApiError> {
        PageQuery { limit: self.reply_limit.clone(), offset: self.reply_offset.clone() }.page()
    }
}

/// The name of somebody who wrote a comment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CommenterInfo {
    first_name: String,
    last_name: String,
    full_name: String,
}

impl CommenterInfo {
    /// Reads it from the attributes of a user's profile (RFC 7643, section 4.1.1).
    fn of_attributes(attributes: &str) -> Self {
        let attributes: Value = serde_json::from_str(attributes).unwrap_or_default();
        let part = |name: &str| attributes["name"][name].as_str().unwrap_or_default().to_owned();
        let (first_name, last_name) = (part("givenName"), part("familyName"));
        let full_name = format!("{first_name} {last_name}").trim().to_owned();
        Self { first_name, last_name, full_name }
    }
}

/// The contract's `Comment`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommentBody {
    id: String,
    content: String,
    created_time: String,
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_time: Option<String>,
    category: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_comment_id: Option<String>,
    entry_point: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commenter_info: Option<CommenterInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replies: Option<List<CommentBody>>,
}

/// The comments on an API.
#[derive(Clone, Debug)]
pub struct Comments {
    /// The API.
    pub api: ApiId,
    /// The API's tenant.
    pub tenant: TenantDomain,
    /// All of them, replies among them.
    pub all: Vec<Arc<Comment>>,
    /// The attributes of those who wrote them, where they are asked for.
    pub attributes: Option<BTreeMap<Principal, String>>,
}

/// A comment that is no reply, with the replies to it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// What was said first.
    pub first: Arc<Comment>,
    /// What was replied.
    pub replies: Vec<Arc<Comment>>,
}

impl Comments {
    /// Returns the comments with their replies, newest first.
    #[must_use]
    pub fn threads(&self) -> Vec<Thread> {
        let mut replies: BTreeMap<CommentId, Vec<Arc<Comment>>> = BTreeMap::new();
        for reply in &self.all {
            if let Some(parent) = reply.parent {
                replies.entry(parent).or_default().push(Arc::clone(reply));
            }
        }
        let mut first: Vec<&Arc<Comment>> = self.all.iter().filter(|comment| comment.parent.is_none()).collect();
        first.sort_by_key(|comment| (std::cmp::Reverse(comment.written_at), comment.id));
        let thread = |first: &Arc<Comment>| {
            let mut replies = replies.remove(&first.id).unwrap_or_default();
            replies.sort_by_key(|reply| (reply.written_at, reply.id));
            Thread { first: Arc::clone(first), replies }
        };
        first.into_iter().map(thread).collect()
    }

    /// Writes a page of the comments that are no replies, newest first, each with a page of its replies.
    #[must_use]
    pub fn list(&self, page: Page, replies: Page) -> List<CommentBody> {
        let mut first: Vec<&Arc<Comment>> = self.all.iter().filter(|comment| comment.parent.is_none()).collect();
        first.sort_by_key(|comment| (std::cmp::Reverse(comment.written_at), comment.id));
        let shown = first.iter().skip(page.offset).take(page.limit);
        let bodies = shown.map(|comment| self.with_replies(comment, replies)).collect();
        List::part(bodies, first.len(), page).with_links(&format!("/apis/{}/comments", self.api), "")
    }

    /// Writes a page of the replies to a comment, oldest first.
    #[must_use]
    pub fn replies(&self, to: CommentId, page: Page) -> List<CommentBody> {
        let mut replies: Vec<&Arc<Comment>> = self.all.iter().filter(|comment| comment.parent == Some(to)).collect();
        replies.sort_by_key(|comment| (comment.written_at, comment.id));
        let shown = replies.iter().skip(page.offset).take(page.limit);
        let bodies = shown.map(|comment| self.body(comment)).collect();
        List::part(bodies, replies.len(), page).with_links(&format!("/apis/{}/comments/{to}/replies", self.api), "")
    }

    /// Writes one comment with a page of its replies.
    ///
    /// # Errors
    /// 404 where there is none of that id.
    pub fn one(&self, id: &str, replies: Page) -> Result<CommentBody, ApiError> {
        Ok(self.with_replies(self.find(id)?, replies))
    }

    /// Returns the comment of an id.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn find(&self, id: &str) -> Result<&Comment, ApiError> {
        let found = self.all.iter().find(|comment| comment.id.to_string() == id);
        found.map(Arc::as_ref).ok_or_else(|| ApiError::not_found("comment", id.chars().take(100).collect::<String>()))
    }

    fn with_replies(&self, comment: &Comment, replies: Page) -> CommentBody {
        CommentBody { replies: Some(self.replies(comment.id, replies)), ..self.body(comment) }
    }

    fn body(&self, comment: &Comment) -> CommentBody {
        let Principal { tenant, username } = &comment.written_by;
        let attributes = self.attributes.as_ref().and_then(|all| all.get(&comment.written_by));
        CommentBody {
            id: comment.id.to_string(),
            content: comment.text.clone(),
            created_time: rfc3339(comment.written_at),
            created_by: if *tenant == self.tenant { username.0.clone() } else { format!("{}@{tenant}", username.0) },
            updated_time: comment.changed_at.map(rfc3339),
            category: comment.category.clone(),
            parent_comment_id: comment.parent.map(|parent| parent.to_string()),
            entry_point: comment.place.as_contract(),
            commenter_info: attributes.map(|attributes| CommenterInfo::of_attributes(attributes)),
            replies: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Username;
    use serde_json::json;

    use super::*;

    fn comment(number: u8, parent: Option<u8>) -> Arc<Comment> {
        let id = |number| CommentId::from_random([number; 16]);
        let new: NewComment = serde_json::from_value(json!({"content": number.to_string()})).unwrap();
        let comment = new.into_comment(ApiId::from_random([9; 16]), id(number), parent.map(id), CommentPlace::Store);
        let written_by =
            Principal { tenant: TenantDomain("b.example".to_owned()), username: Username("mia".to_owned()) };
        Arc::new(Comment { written_at: Timestamp(number.into()), written_by, ..comment })
    }

    #[test]
    fn the_newest_comes_first_and_its_replies_in_the_order_they_were_written() {
        let all = vec![comment(1, None), comment(2, None), comment(4, Some(1)), comment(3, Some(1))];
        let writer = all[0].written_by.clone();
        let attributes = json!({"name": {"givenName": "Mia", "familyName": "Moe"}}).to_string();
        let tenant = TenantDomain::super_tenant();
        let comments =
            Comments { api: ApiId::from_random([9; 16]), tenant, all, attributes: Some([(writer, attributes)].into()) };
        let page = Page { limit: 25, offset: 0 };
        let list = serde_json::to_value(comments.list(page, Page { limit: 1, offset: 0 })).unwrap();
        let texts: Vec<&str> =
            list["list"].as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
        assert_eq!(texts, ["2", "1"]);
        let replies = &list["list"][1]["replies"];
        assert_eq!(
            (replies["list"][0]["content"].as_str(), replies["pagination"]["total"].as_u64()),
            (Some("3"), Some(2))
        );
        let threads: Vec<(String, Vec<String>)> = comments
            .threads()
            .into_iter()
            .map(|thread| (thread.first.text.clone(), thread.replies.iter().map(|one| one.text.clone()).collect()))
            .collect();
        let expected = [("2".to_owned(), vec![]), ("1".to_owned(), vec!["3".to_owned(), "4".to_owned()])];
        assert_eq!(threads, expected);
        assert_eq!(list["list"][0]["createdBy"], "mia@b.example");
        assert_eq!(list["list"][0]["commenterInfo"]["fullName"], "Mia Moe");
        assert!(list["list"][0].get("updatedTime").is_none());
        comments.one("nothing", page).unwrap_err();
    }
}
