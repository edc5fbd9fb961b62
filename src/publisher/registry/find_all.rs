//! Finds APIs, products, and documents by their names, summaries and texts.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, Regdb, belongings};
use portcullis_model::Api;

use super::headings::label_names;
use super::search::Search;
use super::{Registry, has_thumbnail, may_see, seen};
use crate::fault::PublisherError;
use crate::messages::{FindAll, Found, Seen};
use crate::openapi;

impl Registry {
    pub(crate) async fn find_all(&self, message: FindAll) -> Result<Seen<Vec<Found>>, PublisherError> {
        let search = Search::parse(&message.query)?;
        let snapshot = self.snapshot(&message.asker).await?;
        // Texts may be long: they are read where that holds nobody up.
        let found = openapi::aside(move || {
            let identity = &message.asker.identity;
            let all = snapshot.read::<Apimgtdb>().apis.values();
            let mut visible: Vec<&Arc<Api>> = all.filter(|api| may_see(identity, api)).collect();
            visible.sort_unstable_by(|one, other| one.order_by_name(other));
            let of_apis = visible
                .iter()
                .filter(|api| search.finds(api, || label_names(&snapshot, api)))
                .map(|api| Found::Api { has_thumbnail: has_thumbnail(&snapshot, api.id), api: Arc::clone(api) });
            let mut found: Vec<Found> = of_apis.collect();
            for api in visible.iter().filter(|_| search.is_of_texts()) {
                for document in belongings::documents_by_name(snapshot.read::<Regdb>(), api.id) {
                    let text = belongings::text_of(snapshot.read::<Regdb>(), document);
                    if search.finds_text(&[&document.name, &document.summary, text]) {
                        found.push(Found::Document { api: Arc::clone(api), document: Arc::clone(document) });
                    }
                }
            }
            seen(&snapshot, found)
        });
        found.await
    }
}
