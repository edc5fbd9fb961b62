//! Finds APIs and products, and documents by their names, summaries and texts, as far as a visitor sees them.

use std::sync::Arc;

use portcullis_database::{Apimgtdb, Regdb, belongings};
use portcullis_http::contract::search::{write_api, write_document};
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
            let found = find(&view, &self.visitor, &search);
            stamped(List::of(found, self.page), &view)
        });
        Ok(done.await.map_err(given_up)?)
    }
}

fn find(view: &StoreView, visitor: &Visitor, search: &Search) -> Vec<Value> {
    let mut visible: Vec<&Arc<Api>> = listed(view, visitor).collect();
    visible.sort_unstable_by(|one, other| one.order_by_name(other));
    let of_apis = visible.iter().filter(|api| search.matches(api)).map(|api| {
        let others: Map<String, Value> = serde_json::from_str(&api.other_fields).unwrap_or_default();
        let kept = |name: &str| others.get(name).cloned().unwrap_or_else(|| json!({}));
        let more = json!({
            "avgRating": average_of(view.read::<Apimgtdb>(), api.id),
            "advertiseInfo": kept("advertiseInfo"),
            "businessInformation": kept("businessInformation"),
        });
        let has_thumbnail = looks_of(view, api.id).has_thumbnail;
        write_api(api, &name_of_user(&api.tenant, &api.provider), has_thumbnail, more)
    });
    let mut found: Vec<Value> = of_apis.collect();
    for api in visible.iter().filter(|_| search.is_of_documents()) {
        for document in belongings::documents_by_name(view.read::<Regdb>(), api.id) {
            let text = belongings::text_of(view.read::<Regdb>(), document);
            if is_visible(document, api, visitor) && search.matches_document(&[&document.name, &document.summary, text])
            {
                found.push(write_document(document, api, &name_of_user(&api.tenant, &api.provider)));
            }
        }
    }
    found
}
