//! Finds APIs and products, and documents by their names, summaries and texts, as far as a visitor sees them.

use portcullis_database::belongings::{self, Hit};
use portcullis_database::{Apimgtdb, Regdb};
use portcullis_http::contract::search::{write_api, write_document};
use portcullis_http::page::Page;
use portcullis_http::{List, Stamped};
use portcullis_model::Api;
use serde_json::{Map, Value, json};

use crate::actor::{Desk, Request, StoreView};
use crate::apis::{listed, looks_of, stamped};
use crate::documents::is_visible;
use crate::dto::name_of_user;
use crate::error::StoreError;
use crate::messages::{FindAll, Visitor};
use crate::ratings::average_of;
use crate::search::Search;

impl Request for FindAll {
    type Reply = Stamped<List<Value>>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let search = Search::parse(&self.query)?;
        let view = desk.view();
        // Texts may be long: they are read where that holds nobody up.
        let given_up = |_| serde_json::Error::io(std::io::Error::other("the search was given up"));
        let done = tokio::task::spawn_blocking(move || {
            let (total, shown) = find(&view, &self.visitor, &search, self.page);
            stamped(List::part(shown, total, self.page), &view)
        });
        Ok(done.await.map_err(given_up)?)
    }
}

/// Returns how much was found, and what a page shows of it.
fn find(view: &StoreView, visitor: &Visitor, search: &Search, page: Page) -> (usize, Vec<Value>) {
    let database = view.read::<Regdb>();
    let apis = listed(view, visitor).filter(|api| search.matches(api));
    let searched = listed(view, visitor).filter(|_| search.is_of_documents());
    let documents = searched.flat_map(|api| belongings::documents_of(database, api.id).map(move |one| (api, one)));
    let documents = documents.filter(|(api, document)| {
        let text = belongings::text_of(database, document);
        is_visible(document, api, visitor) && search.matches_document(&[&document.name, &document.summary, text])
    });
    let all = apis.map(|api| (api, None)).chain(documents.map(|(api, document)| (api, Some(document))));
    let (total, shown) = page.select(all, belongings::order_of_hits);
    let write = |(api, document): Hit<'_>| match document {
        None => write(view, api),
        Some(document) => write_document(document, api, &name_of_user(&api.tenant, &api.provider)),
    };
    (total, shown.into_iter().map(write).collect())
}

fn write(view: &StoreView, api: &Api) -> Value {
    let others: Map<String, Value> = serde_json::from_str(&api.other_fields).unwrap_or_default();
    let kept = |name: &str| others.get(name).cloned().unwrap_or_else(|| json!({}));
    let more = json!({
        "avgRating": average_of(view.read::<Apimgtdb>(), api.id),
        "advertiseInfo": kept("advertiseInfo"),
        "businessInformation": kept("businessInformation"),
    });
    let has_thumbnail = looks_of(view, api.id).has_thumbnail;
    write_api(api, &name_of_user(&api.tenant, &api.provider), has_thumbnail, more)
}
