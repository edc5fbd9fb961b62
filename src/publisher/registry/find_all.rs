//! Finds APIs, products, and documents by their names, summaries and texts.

use std::sync::Arc;

use portcullis_database::belongings::{self, Hit};
use portcullis_database::{Apimgtdb, Regdb};

use super::headings::label_names;
use super::search::Search;
use super::{Registry, has_thumbnail, may_see, seen};
use crate::fault::PublisherError;
use crate::messages::{FindAll, Found, FoundAll, Seen};
use crate::openapi;

impl Registry {
    pub(crate) async fn find_all(&self, message: FindAll) -> Result<Seen<FoundAll>, PublisherError> {
        let search = Search::parse(&message.query)?;
        let snapshot = self.snapshot(&message.asker).await?;
        // Texts may be long: they are read where that holds nobody up.
        let found = openapi::aside(move || {
            let identity = &message.asker.identity;
            let database = snapshot.read::<Regdb>();
            let visible = || snapshot.read::<Apimgtdb>().apis.values().filter(|api| may_see(identity, api));
            let apis = visible().filter(|api| search.finds(api, || label_names(&snapshot, api)));
            let searched = visible().filter(|_| search.is_of_texts());
            let documents =
                searched.flat_map(|api| belongings::documents_of(database, api.id).map(move |one| (api, one)));
            let documents = documents.filter(|(_, document)| {
                let text = belongings::text_of(database, document);
                search.finds_text(&[&document.name, &document.summary, text])
            });
            let all = apis.map(|api| (api, None)).chain(documents.map(|(api, document)| (api, Some(document))));
            let (total, page) = message.page.select(all, belongings::order_of_hits);
            let found = |(api, document): Hit<'_>| match document {
                None => Found::Api { has_thumbnail: has_thumbnail(&snapshot, api.id), api: Arc::clone(api) },
                Some(document) => Found::Document { api: Arc::clone(api), document: Arc::clone(document) },
            };
            seen(&snapshot, FoundAll { total, page: page.into_iter().map(found).collect() })
        });
        found.await
    }
}
