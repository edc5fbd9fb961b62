//! Documents of APIs in the contracts of the Publisher and of the Store.

use std::sync::Arc;

use portcullis_model::document::{Document, DocumentKind, DocumentSource, DocumentVisibility};
use portcullis_model::{ApiId, DocumentId, Timestamp, Username};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::page::{List, Page};
use crate::time::rfc3339;

/// The contract's `Document`, as it is sent. What the contract has the server say is ignored.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentBody {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    summary: Option<String>,
    source_type: String,
    #[serde(default)]
    source_url: Option<String>,
    #[serde(default)]
    other_type_name: Option<String>,
    visibility: String,
}

impl DocumentBody {
    /// Makes a document of an API; who and when is not known yet.
    ///
    /// # Errors
    /// 400 where a field names something that is not there, or an address is none of the web.
    pub fn into_document(self, api: ApiId, id: DocumentId) -> Result<Document, ApiError> {
        let source = word("sourceType", &self.source_type, DocumentSource::WORDS)?;
        let source_url = self.source_url.unwrap_or_default();
        let is_web = url::Url::parse(&source_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if source == DocumentSource::Url && !is_web {
            return Err(ApiError::bad_request("sourceUrl: must be an address that begins with https:// or http://"));
        }
        let nobody = Username(String::new());
        Ok(Document {
            id,
            api,
            name: self.name,
            summary: self.summary.unwrap_or_default(),
            kind: word("type", &self.kind, DocumentKind::WORDS)?,
            other_kind: self.other_type_name.unwrap_or_default(),
            source,
            source_url: if source == DocumentSource::Url { source_url } else { String::new() },
            file_name: String::new(),
            visibility: word("visibility", &self.visibility, DocumentVisibility::WORDS)?,
            created_by: nobody.clone(),
            created_at: Timestamp(0),
            updated_by: nobody,
            updated_at: Timestamp(0),
        })
    }
}

fn word<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, ApiError> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let possible = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        ApiError::bad_request(format!("{name}: must be one of {possible}, not `{text}`"))
    })
}

/// Writes a document as those who look around see it.
#[must_use]
pub fn write(document: &Document) -> Value {
    json!({
        "documentId": document.id.to_string(),
        "name": document.name,
        "type": document.kind.as_contract(),
        "summary": document.summary,
        "sourceType": document.source.as_contract(),
        "sourceUrl": document.source_url,
        "otherTypeName": document.other_kind,
    })
}

/// Writes a document as its publishers see it: also who sees it, and who changed it when.
#[must_use]
pub fn write_whole(document: &Document) -> Value {
    let mut body = write(document);
    body["inlineContent"] = serde_json::Value::Null;
    body["fileName"] = document.file_name.as_str().into();
    body["visibility"] = document.visibility.as_contract().into();
    body["createdBy"] = document.created_by.0.as_str().into();
    body["createdTime"] = rfc3339(document.created_at).into();
    body["lastUpdatedBy"] = document.updated_by.0.as_str().into();
    body["lastUpdatedTime"] = rfc3339(document.updated_at).into();
    body
}

/// Writes a page of the documents of an API, by name.
#[must_use]
pub fn page(mut all: Vec<Arc<Document>>, api: ApiId, page: Page, write: fn(&Document) -> Value) -> List<Value> {
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let total = all.len();
    let shown = all.iter().skip(page.offset).take(page.limit).map(|document| write(document)).collect();
    List::part(shown, total, page).with_links(&format!("/apis/{api}/documents"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(source: &str, url: &str) -> Result<Document, ApiError> {
        let body = json!({
            "name": "Start", "type": "howto", "sourceType": source, "sourceUrl": url, "visibility": "API_LEVEL",
        });
        let body: DocumentBody = serde_json::from_value(body).unwrap();
        body.into_document(ApiId::from_random([1; 16]), DocumentId::from_random([2; 16]))
    }

    #[test]
    fn an_address_elsewhere_is_one_of_the_web_and_only_where_the_content_is_elsewhere() {
        assert_eq!(body("URL", "https://example.org/a").unwrap().source_url, "https://example.org/a");
        assert_eq!(body("INLINE", "https://example.org/a").unwrap().source_url, "");
        for wrong in ["", "javascript:alert(1)", "/a"] {
            assert!(body("URL", wrong).unwrap_err().description().contains("sourceUrl"));
        }
        assert!(body("BOOK", "").unwrap_err().description().contains("INLINE, MARKDOWN, URL, FILE"));
    }
}
