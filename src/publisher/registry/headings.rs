//! Categories and labels of APIs.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_database::{Apimgtdb, command, headings};
use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::{Api, HeadingId};

use super::{Registry, Snapshot, find, find_view, seen, written};
use crate::fault::PublisherError;
use crate::messages::{LabelApi, ListHeadings, ListLabels, Seen, Written};

fn labels_of(snapshot: &Snapshot, api: &Api) -> Vec<Arc<Heading>> {
    let database = snapshot.read::<Apimgtdb>();
    let ids: BTreeSet<HeadingId> = headings::labels_of(database, api.id).collect();
    let of_tenant = headings::of_tenant(database, &api.tenant, HeadingKind::Label);
    by_name(of_tenant.filter(|label| ids.contains(&label.id)).cloned().collect())
}

/// Returns the names of an API's labels.
pub(super) fn label_names(snapshot: &Snapshot, api: &Api) -> Vec<String> {
    labels_of(snapshot, api).iter().map(|label| label.name.clone()).collect()
}

fn by_name(mut all: Vec<Arc<Heading>>) -> Vec<Arc<Heading>> {
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Checks that the categories exist which an API is to have and had not before.
pub(super) fn check_categories(snapshot: &Snapshot, api: &Api, before: &[String]) -> Result<(), PublisherError> {
    let of_tenant = headings::of_tenant(snapshot.read::<Apimgtdb>(), &api.tenant, HeadingKind::Category);
    let known: BTreeSet<&String> = of_tenant.map(|category| &category.name).chain(before).collect();
    match api.categories.iter().find(|category| !known.contains(category)) {
        Some(unknown) => Err(PublisherError::field(
            "categories",
            format!("there is no API category {unknown}; an administrator makes them"),
        )),
        None => Ok(()),
    }
}

impl Registry {
    pub(crate) async fn list_headings(&self, message: ListHeadings) -> Result<Seen<Vec<Arc<Heading>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = &message.asker.identity.principal.tenant;
        let all = headings::of_tenant(snapshot.read::<Apimgtdb>(), tenant, message.kind).cloned().collect();
        Ok(seen(&snapshot, by_name(all)))
    }

    pub(crate) async fn list_labels(&self, message: ListLabels) -> Result<Seen<Vec<Arc<Heading>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.id)?.api;
        let labels = labels_of(&snapshot, &api);
        Ok(seen(&snapshot, labels))
    }

    pub(crate) async fn label_api(&self, message: LabelApi) -> Result<Written<Vec<Arc<Heading>>>, PublisherError> {
        let LabelApi { asker, id, attach, detach } = message;
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &asker.identity, &id)?;
        let committed = self.handle.submit(command::LabelApi { api: api.id, attach, detach }, &asker.caller()).await?;
        let labels = labels_of(&self.handle.view(), &api);
        Ok(written(committed, |()| labels))
    }
}
