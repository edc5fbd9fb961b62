//! Documents and pictures of APIs in the Store: who sees which. It changes none: that is the Publisher's.

use std::sync::Arc;

use portcullis_database::{Regdb, belongings};
use portcullis_http::contract::document;
use portcullis_http::{List, Stamped};
use portcullis_model::{Api, Content, Document, Refused};
use serde_json::Value;

use crate::actor::{Desk, Request};
use crate::apis::{find_visible, stamped};
use crate::error::StoreError;
use crate::messages::{GetDocument, GetThumbnail, ListDocuments, Visitor};

/// Says whether somebody who sees an API sees a document of it.
pub(crate) fn is_visible(document: &Document, api: &Api, visitor: &Visitor) -> bool {
    let is_of_tenant = visitor.user.as_ref().is_some_and(|user| user.tenant == api.tenant);
    document.is_seen_by(visitor.user.as_ref(), is_of_tenant)
}

impl Request for ListDocuments {
    type Reply = Stamped<List<Value>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let all = belongings::documents_of(view.read::<Regdb>(), api.id);
        let seen = all.filter(|document| is_visible(document, &api, &self.visitor)).cloned().collect();
        Ok(stamped(document::page(seen, api.id, self.page, document::write), &view))
    }
}

impl Request for GetDocument {
    type Reply = Stamped<(Arc<Document>, Option<Arc<Content>>)>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let (key, database) = ((api.id, self.document), view.read::<Regdb>());
        let found = database.documents.get(&key).filter(|document| is_visible(document, &api, &self.visitor));
        let found = found.cloned().ok_or_else(|| Refused::not_found("document", self.document))?;
        Ok(stamped((found, database.document_contents.get(&key).cloned()), &view))
    }
}

impl Request for GetThumbnail {
    type Reply = Stamped<Arc<Content>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view();
        let api = find_visible(&view, &self.visitor, self.api)?;
        let picture = view.read::<Regdb>().thumbnails.get(&api.id).cloned();
        Ok(stamped(picture.ok_or_else(|| Refused::not_found("thumbnail of API", api.id))?, &view))
    }
}
