use std::sync::Arc;

use portcullis_model::document::{
    DOCUMENT_ADDRESS_CHARS_MAX, DOCUMENT_NAME_CHARS_MAX, DOCUMENT_SUMMARY_CHARS_MAX, DOCUMENTS_PER_API_MAX, Document,
    DocumentKind, DocumentSource,
};
use portcullis_model::{DocumentId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Regdb, State};
use crate::{api_rules, belongings};

/// Adds a document to an API, or changes one. A document whose content moves elsewhere loses the one that is here.
/// Replies with the document's id, which is another where the request is a retry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutDocument {
    /// The document; who and when is set here, the file's name is kept.
    pub document: Document,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
    /// When the document that the caller saw was last changed; refused where it has changed since.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutDocument where C: Writes<Regdb> {}

impl Command for PutDocument {
    type Reply = DocumentId;

    fn subject(&self) -> String {
        format!("{} {}", self.document.api, self.document.name)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<DocumentId, Refused> {
        let mut document = self.document;
        let key = (document.api, document.id);
        api_rules::find(state, moment, document.api)?;
        check(&document)?;
        let before = state.reg.documents.get(&key).cloned();
        match (&before, self.is_new) {
            (Some(_), true) => return Err(Refused::exists("document", document.id)),
            (None, false) => return Err(Refused::not_found("document", document.id)),
            _ => {}
        }
        let has_name = |other: &Arc<Document>| other.id != document.id && other.name == document.name;
        if belongings::documents_of(&state.reg, document.api).any(has_name) {
            return Err(Refused::exists("document", &document.name));
        }
        if self.is_new && belongings::documents_of(&state.reg, document.api).count() >= DOCUMENTS_PER_API_MAX {
            let what = "documents of an API".to_owned();
            return Err(Refused::LimitReached { what, max: DOCUMENTS_PER_API_MAX as u64 });
        }
        document.updated_by = moment.principal.username.clone();
        document.updated_at = moment.now;
        match before {
            Some(before) => {
                if self.expected.is_some_and(|expected| expected != before.updated_at) {
                    return Err(Refused::Stale { noun: "document".to_owned(), key: document.id.to_string() });
                }
                document.created_by = before.created_by.clone();
                document.created_at = before.created_at;
                document.updated_at = moment.now.max(Timestamp(before.updated_at.0 + 1));
                if before.source == document.source {
                    document.file_name.clone_from(&before.file_name);
                } else {
                    state.reg.document_contents.remove(&key);
                    document.file_name.clear();
                }
            }
            None => {
                document.created_by = moment.principal.username.clone();
                document.created_at = moment.now;
                document.file_name.clear();
            }
        }
        state.reg.documents.insert(key, Arc::new(document));
        Ok(key.1)
    }
}

fn check(document: &Document) -> Result<(), Refused> {
    let length = |field: &str, text: &str, least: usize, most: usize| {
        let chars = text.chars().count();
        if (least..=most).contains(&chars) && !text.chars().any(|one| one == '\0') {
            return Ok(());
        }
        Err(Refused::invalid(field, format!("must have {least} to {most} characters, not {chars}")))
    };
    length("name", &document.name, 1, DOCUMENT_NAME_CHARS_MAX)?;
    length("summary", &document.summary, 0, DOCUMENT_SUMMARY_CHARS_MAX)?;
    let names_other = usize::from(document.kind == DocumentKind::Other);
    length("otherTypeName", &document.other_kind, names_other, DOCUMENT_NAME_CHARS_MAX)?;
    let has_address = usize::from(document.source == DocumentSource::Url);
    length("sourceUrl", &document.source_url, has_address, DOCUMENT_ADDRESS_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use portcullis_model::document::{Content, DOCUMENT_BYTES_MAX, DocumentVisibility};
    use portcullis_model::Username;

    use super::super::store_fixture::{Fixture, api};
    use super::super::{AddComment, DeleteApi, DeleteDocument, PutDocumentContent, PutThumbnail, RateApi};
    use super::*;
    use crate::command::add_comment::tests::comment;

    fn document(number: u8, name: &str) -> Document {
        Document {
            id: DocumentId::from_random([number; 16]),
            api: api(7).id,
            name: name.to_owned(),
            summary: String::new(),
            kind: DocumentKind::HowTo,
            other_kind: String::new(),
            source: DocumentSource::File,
            source_url: String::new(),
            file_name: String::new(),
            visibility: DocumentVisibility::ApiLevel,
            created_by: Username(String::new()),
            created_at: Timestamp(0),
            updated_by: Username(String::new()),
            updated_at: Timestamp(0),
        }
    }

    fn put(document: Document, is_new: bool) -> PutDocument {
        PutDocument { document, is_new, expected: None }
    }

    fn content(number: u8, bytes: usize) -> PutDocumentContent {
        PutDocumentContent {
            api: api(7).id,
            id: document(number, "").id,
            content: Content { media_type: "text/plain".to_owned(), bytes: vec![1; bytes] },
            file_name: "a.txt".to_owned(),
            expected: None,
        }
    }

    fn with_api() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        fixture
    }

    #[test]
    fn a_document_keeps_its_file_until_its_content_is_elsewhere() {
        let mut fixture = with_api();
        fixture.apply(put(document(1, "Start"), true)).unwrap();
        fixture.apply(content(1, 9)).unwrap();
        fixture.apply(put(document(1, "Begin"), false)).unwrap();
        let stored = fixture.state.reg.documents.get_min().unwrap().1.clone();
        assert_eq!((stored.name.as_str(), stored.file_name.as_str()), ("Begin", "a.txt"));
        assert_eq!(stored.created_by.0, "sam");
        assert!(stored.updated_at > stored.created_at);
        let stale = PutDocument { expected: Some(stored.created_at), ..put(document(1, "Late"), false) };
        assert!(matches!(fixture.apply(stale), Err(Refused::Stale { .. })));
        let source_url = "https://example.org/".to_owned();
        let elsewhere = Document { source: DocumentSource::Url, source_url, ..document(1, "Begin") };
        fixture.apply(put(elsewhere, false)).unwrap();
        assert!(fixture.state.reg.document_contents.is_empty());
        let refused = fixture.apply(content(1, 9));
        assert!(matches!(refused, Err(Refused::WrongState { .. })), "{refused:?}");
    }

    #[test]
    fn what_cannot_be_a_document_changes_nothing() {
        let mut fixture = with_api();
        fixture.apply(put(document(1, "Start"), true)).unwrap();
        let before = crate::digest::digest(&fixture.state).unwrap();
        let no_kind = Document { kind: DocumentKind::Other, ..document(2, "b") };
        let no_address = Document { source: DocumentSource::Url, ..document(2, "b") };
        for wrong in [document(2, ""), document(2, &"x".repeat(256)), no_kind, no_address] {
            assert!(matches!(fixture.apply(put(wrong, true)), Err(Refused::Invalid { .. })));
        }
        assert_eq!(fixture.apply(put(document(2, "Start"), true)), Err(Refused::exists("document", "Start")));
        assert!(matches!(fixture.apply(put(document(2, "b"), false)), Err(Refused::NotFound { .. })));
        let elsewhere = Document { api: api(8).id, ..document(2, "b") };
        assert!(matches!(fixture.apply(put(elsewhere, true)), Err(Refused::NotFound { .. })));
        assert!(matches!(fixture.apply(content(1, DOCUMENT_BYTES_MAX + 1)), Err(Refused::Invalid { .. })));
        assert!(matches!(fixture.apply(content(2, 1)), Err(Refused::NotFound { .. })));
        assert_eq!(crate::digest::digest(&fixture.state).unwrap(), before);
    }

    #[test]
    fn the_documents_of_an_api_are_bounded_in_number_and_in_bytes() {
        let mut fixture = with_api();
        for number in 0..DOCUMENTS_PER_API_MAX {
            let number = u8::try_from(number).unwrap();
            fixture.apply(put(document(number, &number.to_string()), true)).unwrap();
        }
        let more = fixture.apply(put(document(250, "more"), true));
        assert!(matches!(more, Err(Refused::LimitReached { .. })), "{more:?}");
        for number in 0..10 {
            fixture.apply(content(number, DOCUMENT_BYTES_MAX)).unwrap();
        }
        assert!(matches!(fixture.apply(content(10, 1)), Err(Refused::LimitReached { .. })));
        // What it replaces does not count.
        fixture.apply(content(9, DOCUMENT_BYTES_MAX)).unwrap();
        fixture.apply(DeleteDocument { api: api(7).id, id: document(9, "").id }).unwrap();
        fixture.apply(content(10, 1)).unwrap();
    }

    #[test]
    fn with_an_api_goes_everything_that_belongs_to_it() {
        let mut fixture = Fixture::new();
        let empty = |fixture: &Fixture| {
            let (reg, apimgt) = (&fixture.state.reg, &fixture.state.apimgt);
            [reg.documents.len(), reg.document_contents.len(), reg.thumbnails.len(), apimgt.comments.len(), apimgt.ratings.len() + apimgt.rating_sums.len()]
        };
        fixture.publish(api(7));
        fixture.apply(put(document(1, "Start"), true)).unwrap();
        fixture.apply(content(1, 9)).unwrap();
        let picture = Content { media_type: "image/png".to_owned(), bytes: vec![1] };
        fixture.apply(PutThumbnail { api: api(7).id, thumbnail: picture }).unwrap();
        fixture.apply(AddComment { comment: comment(1, None) }).unwrap();
        fixture.apply(RateApi { api: api(7).id, stars: Some(4) }).unwrap();
        assert_eq!(empty(&fixture), [1, 1, 1, 1, 2]);
        fixture.apply(DeleteApi { api: api(7).id }).unwrap();
        assert_eq!(empty(&fixture), [0; 5]);
    }
}
