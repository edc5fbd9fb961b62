//! Finds categories and labels, and the APIs below them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::heading::{Heading, HeadingKind};
use portcullis_model::{Api, ApiId, HeadingId, TenantDomain};
use uuid::Uuid;

use crate::state::Apimgtdb;

/// Returns the categories or the labels of a tenant.
pub fn of_tenant<'a>(
    database: &'a Apimgtdb,
    tenant: &TenantDomain,
    kind: HeadingKind,
) -> impl Iterator<Item = &'a Arc<Heading>> + use<'a> {
    let key = |id| (tenant.clone(), kind, HeadingId(id));
    database.headings.range(key(Uuid::nil())..=key(Uuid::max())).map(|(_, heading)| heading)
}

/// Returns the labels of an API.
pub fn labels_of(database: &Apimgtdb, api: ApiId) -> impl Iterator<Item = HeadingId> + use<'_> {
    let rows = database.api_labels.range((api, HeadingId(Uuid::nil()))..=(api, HeadingId(Uuid::max())));
    rows.map(|((_, label), ())| *label)
}

/// Returns the APIs below the categories or the labels of a tenant, by heading; one under which there is none is left out.
#[must_use]
pub fn apis_below(database: &Apimgtdb, tenant: &TenantDomain, kind: HeadingKind) -> BTreeMap<HeadingId, Vec<Arc<Api>>> {
    let named = || of_tenant(database, tenant, HeadingKind::Category).map(|one| (one.name.as_str(), one.id));
    let categories: BTreeMap<&str, HeadingId> =
        if kind == HeadingKind::Category { named().collect() } else { BTreeMap::new() };
    let mut below: BTreeMap<HeadingId, Vec<Arc<Api>>> = BTreeMap::new();
    for api in database.apis.values().filter(|api| api.tenant == *tenant) {
        let headings: BTreeSet<HeadingId> = match kind {
            HeadingKind::Category => {
                api.categories.iter().filter_map(|name| categories.get(name.as_str())).copied().collect()
            }
            HeadingKind::Label => labels_of(database, api.id).collect(),
        };
        for heading in headings {
            below.entry(heading).or_default().push(Arc::clone(api));
        }
    }
    below
}

/// Says whether an API is filed under a heading.
#[must_use]
pub fn has(database: &Apimgtdb, api: &Api, heading: &Heading) -> bool {
    api.tenant == heading.tenant
        && match heading.kind {
            HeadingKind::Category => api.categories.contains(&heading.name),
            HeadingKind::Label => database.api_labels.contains_key(&(api.id, heading.id)),
        }
}
