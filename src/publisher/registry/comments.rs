//! Comments on APIs.

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Userdb, belongings, command};
use portcullis_http::contract::comment::Comments;
use portcullis_model::{Api, CommentId, CommentPlace};

use super::{Registry, Snapshot, find, find_view, seen, written};
use crate::fault::PublisherError;
use crate::messages::{AddComment, ChangeComment, DeleteComment, ListComments, Seen, Written};

fn comments_on(snapshot: &Snapshot, api: &Api, with_names: bool) -> Comments {
    let all: Vec<_> = belongings::comments_on(snapshot.read::<Apimgtdb>(), api.id).cloned().collect();
    let attributes = with_names.then(|| belongings::writers(snapshot.read::<Userdb>(), &all));
    Comments { api: api.id, tenant: api.tenant.clone(), all, attributes }
}

impl Registry {
    pub(crate) async fn list_comments(&self, message: ListComments) -> Result<Seen<Comments>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.id)?.api;
        let comments = comments_on(&snapshot, &api, message.with_names);
        Ok(seen(&snapshot, comments))
    }

    pub(crate) async fn add_comment(
        &self,
        message: AddComment,
    ) -> Result<Written<(Comments, CommentId)>, PublisherError> {
        let AddComment { asker, id, parent, comment } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?;
        let new = CommentId::from_random(random_bytes());
        let comment = comment.into_comment(api.id, new, parent, CommentPlace::Publisher);
        let committed = self.handle.submit(command::AddComment { comment }, &asker.caller()).await?;
        let after = comments_on(&self.handle.view(), &api, false);
        Ok(written(committed, |stored| (after, stored)))
    }

    pub(crate) async fn change_comment(
        &self,
        message: ChangeComment,
    ) -> Result<Written<(Comments, CommentId)>, PublisherError> {
        let ChangeComment { asker, id, comment, change } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?;
        let change = command::ChangeComment {
            api: api.id,
            id: comment,
            text: change.content,
            category: change.category,
            by: Some(asker.identity.principal.clone()),
        };
        let committed = self.handle.submit(change, &asker.caller()).await?;
        let after = comments_on(&self.handle.view(), &api, false);
        Ok(written(committed, |()| (after, comment)))
    }

    pub(crate) async fn delete_comment(&self, message: DeleteComment) -> Result<Written<()>, PublisherError> {
        let DeleteComment { asker, id, comment, is_of_any } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?.id;
        let by = (!is_of_any).then(|| asker.identity.principal.clone());
        let committed = self.handle.submit(command::DeleteComment { api, id: comment, by }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}
