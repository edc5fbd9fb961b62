//! What belongs to an API beside its design: documents, its picture, comments, ratings, labels. They go
//! with it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::comment::Comment;
use portcullis_model::document::Document;
use portcullis_model::{Api, ApiId, CommentId, DocumentId, HeadingId, Principal, TenantDomain, Username};
use uuid::Uuid;

use crate::state::{Apimgtdb, Regdb, State, Userdb};
use crate::{assets, headings, people};

/// What a search found: an API, or a document of it.
pub type Hit<'a> = (&'a Arc<Api>, Option<&'a Arc<Document>>);

/// Returns how one find stands to another: APIs go before documents, and these are in the order of their APIs and of their names.
#[must_use]
pub fn order_of_hits(one: &Hit<'_>, other: &Hit<'_>) -> Ordering {
    let documents = || match (one.1, other.1) {
        (Some(one), Some(other)) => one.name.cmp(&other.name).then_with(|| one.id.cmp(&other.id)),
        _ => Ordering::Equal,
    };
    let kinds = one.1.is_some().cmp(&other.1.is_some());
    kinds.then_with(|| one.0.order_by_name(other.0)).then_with(documents)
}

/// Bytes of a document's text that are searched.
const SEARCHED_BYTES_MAX: usize = 256 << 10;

/// Returns the documents of an API.
pub fn documents_of(database: &Regdb, api: ApiId) -> impl Iterator<Item = &Arc<Document>> {
    let rows = database.documents.range((api, DocumentId(Uuid::nil()))..=(api, DocumentId(Uuid::max())));
    rows.map(|(_, document)| document)
}

/// Returns what a document says, as far as that is text and kept here: its first 256 KiB.
#[must_use]
pub fn text_of<'a>(database: &'a Regdb, document: &Document) -> &'a str {
    let Some(content) = database.document_contents.get(&(document.api, document.id)) else { return "" };
    let bytes = &content.bytes[..content.bytes.len().min(SEARCHED_BYTES_MAX)];
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // Where a letter is cut in two the text before it counts; what is no text begins otherwise.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    }
}

/// Returns the comments on an API.
pub fn comments_on(database: &Apimgtdb, api: ApiId) -> impl Iterator<Item = &Arc<Comment>> {
    let rows = database.comments.range((api, CommentId(Uuid::nil()))..=(api, CommentId(Uuid::max())));
    rows.map(|(_, comment)| comment)
}

/// Returns what users think of an API: who, and how many stars.
pub fn ratings_of(database: &Apimgtdb, api: ApiId) -> impl Iterator<Item = (&TenantDomain, &Username, u8)> {
    let first = (api, TenantDomain(String::new()), Username(String::new()));
    let rows = database.ratings.range(first..).take_while(move |((its, ..), _)| *its == api);
    rows.map(|((_, tenant, user), stars)| (tenant, user, *stars))
}

/// Returns the attributes of the profiles of those who wrote comments, by who they are.
#[must_use]
pub fn writers(people: &Userdb, comments: &[Arc<Comment>]) -> BTreeMap<Principal, String> {
    let names: BTreeSet<&Principal> = comments.iter().map(|comment| &comment.written_by).collect();
    let attributes = |principal: &Principal| {
        let user = people::user(people, &principal.tenant, &principal.username)?;
        Some((principal.clone(), people::profile_of(people, user).attributes.clone()))
    };
    names.into_iter().filter_map(attributes).collect()
}

/// Returns how many bytes the contents of an API's documents have.
pub(crate) fn document_bytes(state: &State, api: ApiId) -> usize {
    let first = (api, DocumentId(Uuid::nil()));
    let rows = state.reg.document_contents.range(first..=(api, DocumentId(Uuid::max())));
    rows.map(|(_, content)| content.bytes.len()).sum()
}

/// Removes everything that belongs to an API.
pub(crate) fn remove(state: &mut State, api: ApiId) {
    let documents: Vec<DocumentId> = documents_of(&state.reg, api).map(|document| document.id).collect();
    for id in documents {
        state.reg.documents.remove(&(api, id));
        state.reg.document_contents.remove(&(api, id));
    }
    state.reg.thumbnails.remove(&api);
    state.deployed.call_logs.remove(&api);
    assets::remove_of(state, api);
    let comments: Vec<CommentId> = comments_on(&state.apimgt, api).map(|comment| comment.id).collect();
    for id in comments {
        state.apimgt.comments.remove(&(api, id));
    }
    let owned = |(tenant, user, _): (&TenantDomain, &Username, u8)| (api, tenant.clone(), user.clone());
    let ratings: Vec<_> = ratings_of(&state.apimgt, api).map(owned).collect();
    for key in ratings {
        state.apimgt.ratings.remove(&key);
    }
    state.apimgt.rating_sums.remove(&api);
    let labels: Vec<HeadingId> = headings::labels_of(&state.apimgt, api).collect();
    for label in labels {
        state.apimgt.api_labels.remove(&(api, label));
    }
}
