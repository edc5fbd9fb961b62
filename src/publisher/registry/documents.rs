//! Documents and pictures of APIs.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, Regdb, belongings, command};
use portcullis_model::{ApiId, Content, Document, DocumentId, Refused};

use super::{Registry, Snapshot, find, find_view, may_see, seen, written};
use crate::fault::PublisherError;
use crate::messages::{
    Asker, DeleteDocument, GetDocumentContent, GetThumbnail, ListDocuments, PutDocument, PutDocumentContent,
    PutThumbnail, Seen, Written,
};

fn document_of(snapshot: &Snapshot, api: ApiId, id: DocumentId) -> Result<Arc<Document>, PublisherError> {
    let found = snapshot.read::<Regdb>().documents.get(&(api, id)).cloned();
    found.ok_or_else(|| Refused::not_found("document", id).into())
}

impl Registry {
    pub(crate) async fn list_documents(
        &self,
        message: ListDocuments,
    ) -> Result<Seen<Vec<Arc<Document>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.id)?.api;
        let documents = belongings::documents_of(snapshot.read::<Regdb>(), api.id).cloned().collect();
        Ok(seen(&snapshot, documents))
    }

    pub(crate) async fn put_document(&self, message: PutDocument) -> Result<Written<Arc<Document>>, PublisherError> {
        let PutDocument { asker, document, is_new, expected } = message;
        let api = document.api;
        self.see_to_be_seen(&asker, api).await?;
        let committed =
            self.handle.submit(command::PutDocument { document, is_new, expected }, &asker.caller()).await?;
        let stored = document_of(&self.handle.view(), api, committed.reply)?;
        Ok(written(committed, |_| stored))
    }

    pub(crate) async fn delete_document(&self, message: DeleteDocument) -> Result<Written<()>, PublisherError> {
        let DeleteDocument { asker, id, document } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?.id;
        let committed = self.handle.submit(command::DeleteDocument { api, id: document }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    pub(crate) async fn get_document_content(
        &self,
        message: GetDocumentContent,
    ) -> Result<Seen<(Arc<Document>, Option<Arc<Content>>)>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.id)?.api;
        let id = message.document.parse().map_err(|_| Refused::not_found("document", &message.document))?;
        let document = document_of(&snapshot, api.id, id)?;
        let content = snapshot.read::<Regdb>().document_contents.get(&(api.id, id)).cloned();
        Ok(seen(&snapshot, (document, content)))
    }

    pub(crate) async fn put_document_content(
        &self,
        message: PutDocumentContent,
    ) -> Result<Written<Arc<Document>>, PublisherError> {
        let PutDocumentContent { asker, document, content, file_name, insists } = message;
        let (api, id) = (document.api, document.id);
        self.see_to_be_seen(&asker, api).await?;
        let expected = insists.then_some(document.updated_at);
        let put = command::PutDocumentContent { api, id, content, file_name, expected };
        let committed = self.handle.submit(put, &asker.caller()).await?;
        let stored = document_of(&self.handle.view(), api, id)?;
        Ok(written(committed, |()| stored))
    }

    pub(crate) async fn get_thumbnail(
        &self,
        message: GetThumbnail,
    ) -> Result<Seen<Option<Arc<Content>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.id)?.api;
        let thumbnail = snapshot.read::<Regdb>().thumbnails.get(&api.id).cloned();
        Ok(seen(&snapshot, thumbnail))
    }

    pub(crate) async fn put_thumbnail(&self, message: PutThumbnail) -> Result<Written<()>, PublisherError> {
        let PutThumbnail { asker, id, thumbnail } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?.id;
        let committed = self.handle.submit(command::PutThumbnail { api, thumbnail }, &asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    /// Sees to it that the asker may see an API.
    async fn see_to_be_seen(&self, asker: &Asker, api: ApiId) -> Result<(), PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let found = snapshot.read::<Apimgtdb>().apis.get(&api).filter(|api| may_see(&asker.identity, api));
        found.map(|_| ()).ok_or_else(|| Refused::not_found("API", api).into())
    }
}
