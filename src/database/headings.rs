//! Finds categories and labels, and the APIs below them.

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

/// Says whether an API is filed under a heading.
#[must_use]
pub fn has(database: &Apimgtdb, api: &Api, heading: &Heading) -> bool {
    api.tenant == heading.tenant
        && match heading.kind {
            HeadingKind::Category => api.categories.contains(&heading.name),
            HeadingKind::Label => database.api_labels.contains_key(&(api.id, heading.id)),
        }
}
