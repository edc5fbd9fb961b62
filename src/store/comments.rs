//! Comments on APIs.

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Userdb, belongings, command};
use portcullis_http::Stamped;
use portcullis_http::contract::comment::Comments;
use portcullis_model::{Api, CommentId, CommentPlace};

use crate::actor::{Desk, Request, StoreView};
use crate::apis::{find_offered, find_visible, stamped};
use crate::error::StoreError;
use crate::messages::{AddComment, ChangeComment, DeleteComment, ListComments};

fn comments_on(view: &StoreView, api: &Api, with_names: bool) -> Comments {
    let all: Vec<_> = belongings::comments_on(view.read::<Apimgtdb>(), api.id).cloned().collect();
    let attributes = with_names.then(|| belongings::writers(view.read::<Userdb>(), &all));
    Comments { api: api.id, tenant: api.tenant.clone(), all, attributes }
}

impl Request for ListComments {
    type Reply = Stamped<Comments>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        Ok(stamped(comments_on(&view, &api, self.with_names), &view))
    }
}

impl Request for AddComment {
    type Reply = Stamped<(Comments, CommentId)>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let api = find_offered(&view, &self.subscriber, self.api)?;
        let id = CommentId::from_random(random_bytes());
        let comment = self.comment.into_comment(api.id, id, self.parent, CommentPlace::Store);
        let made = desk.submit(command::AddComment { comment }, &self.subscriber).await?;
        desk.catch_up(made.index).await;
        let after = comments_on(&desk.view(), &api, false);
        Ok(Stamped { body: (after, made.reply), index: made.index, unreached: made.unreached })
    }
}

impl Request for ChangeComment {
    type Reply = Stamped<(Comments, CommentId)>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let api = find_offered(&view, &self.subscriber, self.api)?;
        let change = command::ChangeComment {
            api: api.id,
            id: self.comment,
            text: self.change.content,
            category: self.change.category,
            by: Some(self.subscriber.principal.clone()),
        };
        let made = desk.submit(change, &self.subscriber).await?;
        desk.catch_up(made.index).await;
        let after = comments_on(&desk.view(), &api, false);
        Ok(Stamped { body: (after, self.comment), index: made.index, unreached: made.unreached })
    }
}

impl Request for DeleteComment {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let api = find_offered(&view, &self.subscriber, self.api)?;
        // An administrator's word goes in the own tenant.
        let is_of_any = self.is_of_any && self.subscriber.principal.tenant == api.tenant;
        let by = (!is_of_any).then(|| self.subscriber.principal.clone());
        let made = desk.submit(command::DeleteComment { api: api.id, id: self.comment, by }, &self.subscriber).await?;
        Ok(Stamped { body: (), index: made.index, unreached: made.unreached })
    }
}
