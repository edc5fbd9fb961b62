use std::sync::Arc;

use portcullis_model::document::{
    Content, DOCUMENT_ADDRESS_CHARS_MAX, DOCUMENT_BYTES_MAX, DOCUMENTS_BYTES_PER_API_MAX, Document, DocumentSource,
    MEDIA_TYPE_CHARS_MAX,
};
use portcullis_model::{ApiId, DocumentId, Refused, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Regdb, State};
use crate::{api_rules, belongings};

/// Says what is in a document whose content is in the registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutDocumentContent {
    /// The API.
    pub api: ApiId,
    /// The document.
    pub id: DocumentId,
    /// What is in it.
    pub content: Content,
    /// The file's name; nothing where it is none.
    pub file_name: String,
    /// When the document that the caller saw was last changed; refused where it has changed since.
    pub expected: Option<Timestamp>,
}

impl<C: Component> SubmittedBy<C> for PutDocumentContent where C: Writes<Regdb> {}

impl Command for PutDocumentContent {
    type Reply = ();

    fn subject(&self) -> String {
        format!("{} {}", self.api, self.id)
    }

    fn apply(self, state: &mut State, moment: &Moment) -> Result<(), Refused> {
        let key = (self.api, self.id);
        api_rules::find(state, moment, self.api)?;
        let before = state.reg.documents.get(&key).cloned().ok_or_else(|| Refused::not_found("document", self.id))?;
        if self.expected.is_some_and(|expected| expected != before.updated_at) {
            return Err(Refused::Stale { noun: "document".to_owned(), key: self.id.to_string() });
        }
        if before.source == DocumentSource::Url {
            let reason = format!("the content of the document {} is at {}", before.name, before.source_url);
            return Err(Refused::wrong_state(reason));
        }
        check_content(&self.content, "file", DOCUMENT_BYTES_MAX)?;
        if self.file_name.chars().count() > DOCUMENT_ADDRESS_CHARS_MAX || self.file_name.chars().any(char::is_control) {
            let reason = format!("must have at most {DOCUMENT_ADDRESS_CHARS_MAX} visible characters");
            return Err(Refused::invalid("fileName", reason));
        }
        let replaced = state.reg.document_contents.get(&key).map_or(0, |content| content.bytes.len());
        let bytes = belongings::document_bytes(state, self.api) - replaced + self.content.bytes.len();
        if bytes > DOCUMENTS_BYTES_PER_API_MAX {
            let what = "bytes of the documents of an API".to_owned();
            return Err(Refused::LimitReached { what, max: DOCUMENTS_BYTES_PER_API_MAX as u64 });
        }
        let document = Document {
            file_name: self.file_name,
            updated_by: moment.principal.username.clone(),
            updated_at: moment.now.max(Timestamp(before.updated_at.0 + 1)),
            ..(*before).clone()
        };
        state.reg.documents.insert(key, Arc::new(document));
        state.reg.document_contents.insert(key, Arc::new(self.content));
        Ok(())
    }
}

/// Checks the size and the media type of what is to be stored.
pub(super) fn check_content(content: &Content, field: &str, bytes_max: usize) -> Result<(), Refused> {
    if content.bytes.len() > bytes_max {
        let reason = format!("has {} bytes; at most {bytes_max} are accepted", content.bytes.len());
        return Err(Refused::invalid(field, reason));
    }
    let media_type = &content.media_type;
    let is_media_type = media_type.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if !is_media_type || media_type.len() > MEDIA_TYPE_CHARS_MAX || !media_type.bytes().all(|one| (b' '..=b'~').contains(&one)) {
        return Err(Refused::invalid(field, format!("must have a media type like text/plain, not {media_type:?}")));
    }
    Ok(())
}
