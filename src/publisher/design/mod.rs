//! Documents that describe APIs of other types than HTTP: schemas of GraphQL, AsyncAPI documents, WSDL. Each is kept as its
//! publisher wrote it, in place of an OpenAPI document, and says which operations its API has.

pub(crate) mod asyncapi;
pub(crate) mod graphql;
pub(crate) mod soap_sequence;
pub(crate) mod soap_to_rest;
pub(crate) mod topics;
pub(crate) mod wsdl;
mod xml_tree;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use portcullis_model::api::{ApiScope, Operation};
use portcullis_model::limit::DEFINITION_BYTES_MAX;
use portcullis_model::{Api, ApiKind};
use serde_json::{Map, Value};

use crate::dto::operations::key_of;
use crate::fault::{FieldFault, PublisherError};
use crate::openapi;
use crate::registry::pretty;

/// What a document makes of an API.
#[derive(Clone, Debug)]
pub struct Design {
    /// In which language it is.
    pub(crate) language: Language,
    /// The document as it is kept.
    pub(crate) text: Arc<str>,
    /// The type of API that it describes, where its publisher names no other that it describes too.
    pub(crate) kind: ApiKind,
    /// The operations that it names.
    pub(crate) operations: Vec<Operation>,
    /// The scopes that it names.
    pub(crate) scopes: Vec<ApiScope>,
    /// Fields of the REST contract that it says something about.
    pub(crate) fields: Map<String, Value>,
}

/// The languages in which APIs are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Operations of HTTP.
    Openapi,
    /// Schemas of GraphQL.
    Graphql,
    /// Channels and topics.
    Asyncapi,
    /// Services of SOAP: a document, or an archive of several.
    Wsdl,
}

impl Language {
    /// Returns the language of an API's definition.
    pub(crate) fn of(api: &Api, definition: &str) -> Self {
        match api.kind {
            ApiKind::Graphql => Self::Graphql,
            ApiKind::Soap if wsdl::is_wsdl(definition) => Self::Wsdl,
            kind if is_streaming(kind) && asyncapi::is_asyncapi(definition) => Self::Asyncapi,
            _ => Self::Openapi,
        }
    }

    /// What documents in it are called.
    fn noun(self) -> &'static str {
        match self {
            Self::Openapi => "an OpenAPI document",
            Self::Graphql => "a GraphQL schema",
            Self::Asyncapi => "an AsyncAPI document",
            Self::Wsdl => "WSDL",
        }
    }

    /// Refuses an API that is not described in this language.
    ///
    /// # Errors
    /// With the types of APIs that are.
    pub(crate) fn check(self, kind: ApiKind) -> Result<(), PublisherError> {
        let is_described = match self {
            Self::Openapi => matches!(kind, ApiKind::Http | ApiKind::SoapToRest),
            Self::Graphql => kind == ApiKind::Graphql,
            Self::Asyncapi => is_streaming(kind),
            Self::Wsdl => kind == ApiKind::Soap,
        };
        if is_described {
            return Ok(());
        }
        let types = match self {
            Self::Openapi => "HTTP and SOAPTOREST",
            Self::Graphql => "GRAPHQL",
            Self::Asyncapi => "WS, SSE and WEBSUB",
            Self::Wsdl => "SOAP",
        };
        let reason = format!("is {}; {} describes APIs of {types}", kind.as_contract(), self.noun());
        Err(PublisherError::field("type", reason))
    }
}

/// A document whose language was found out.
#[derive(Clone, Debug)]
pub(crate) enum Recognised {
    /// OpenAPI, or none that is known: it is read where it is imported, which says what is wrong with it.
    Openapi(String),
    /// Another language.
    Other(Box<Design>),
}

/// Finds out the language of a document, and reads it.
///
/// # Errors
/// What is wrong with it, where it is not OpenAPI.
pub(crate) async fn recognise(bytes: Vec<u8>) -> Result<Recognised, PublisherError> {
    openapi::aside(move || {
        let is_xml = bytes.trim_ascii_start().starts_with(b"<");
        if is_xml || bytes.starts_with(b"PK") {
            return wsdl::read(&bytes).map(|(design, _)| Recognised::Other(Box::new(design)));
        }
        let text = String::from_utf8(bytes).map_err(|_| refuse("", "the document is not UTF-8"))?;
        if openapi::document::is_graphql(&text) {
            return graphql::read(&text).map(|design| Recognised::Other(Box::new(design)));
        }
        if asyncapi::is_asyncapi(&text) {
            return asyncapi::read(&text).map(|(design, _)| Recognised::Other(Box::new(design)));
        }
        Ok(Recognised::Openapi(text))
    })
    .await?
}

/// Says whether what an API has are channels.
pub(crate) fn is_streaming(kind: ApiKind) -> bool {
    matches!(kind, ApiKind::Ws | ApiKind::Sse | ApiKind::Websub)
}

/// Refuses a document that is larger than one may be.
fn check_size(bytes: usize) -> Result<(), PublisherError> {
    if bytes <= DEFINITION_BYTES_MAX {
        return Ok(());
    }
    Err(refuse("", format!("the document has {bytes} bytes; at most {DEFINITION_BYTES_MAX} are accepted")))
}

fn refuse(place: &str, reason: impl Into<String>) -> PublisherError {
    PublisherError::Definition(vec![FieldFault::new(place, reason)])
}

/// Returns the operations of a document with what was said of them before beside the document: kind of token, policy and
/// scopes.
#[must_use]
pub(crate) fn settled(named: Vec<Operation>, before: &[Operation]) -> Vec<Operation> {
    let of = |operation: Operation| {
        let known = before.iter().find(|one| one.verb == operation.verb && one.target == operation.target);
        known.cloned().unwrap_or(operation)
    };
    named.into_iter().map(of).collect()
}

/// Refuses operations that the document of an API does not name.
///
/// # Errors
/// With the first that is too many, or too few.
pub(crate) fn check_named(named: &[Operation], meant: &[Operation], instead: &str) -> Result<(), PublisherError> {
    let is_in = |all: &[Operation], one: &Operation| all.iter().any(|other| key_of(other) == key_of(one));
    let more = meant.iter().find(|one| !is_in(named, one)).map(|one| (one, "is not in the API's definition"));
    let less =
        named.iter().find(|one| !is_in(meant, one)).map(|one| (one, "is in the API's definition and must be there"));
    match more.or(less) {
        None => Ok(()),
        Some((one, why)) => Err(PublisherError::field("operations", format!("{} {why}; {instead}", key_of(one)))),
    }
}

/// Returns the definition of an API brought in step with its operations; `None` where it says nothing of what changed.
///
/// # Errors
/// Where the definition decides which operations there are, and these are others.
pub(crate) fn in_step(text: &str, current: &Api, api: &Api) -> Result<Option<Arc<str>>, PublisherError> {
    if api.operations == current.operations && api.scopes == current.scopes {
        return Ok(None);
    }
    match Language::of(api, text) {
        Language::Graphql => {
            let instead = "replace the schema by PUT of /apis/{apiId}/graphql-schema";
            check_named(&current.operations, &api.operations, instead)?;
            Ok(None)
        }
        Language::Wsdl => Ok(None),
        Language::Asyncapi => {
            let document = openapi::document::parse_text(text)?;
            Ok(Some(Arc::from(pretty(&asyncapi::with_operations(document, api)?))))
        }
        Language::Openapi => {
            let document = openapi::document::parse_text(text);
            let document = document.unwrap_or_else(|_| openapi::write::generate(api));
            Ok(Some(Arc::from(pretty(&openapi::write::with_operations(document, api)))))
        }
    }
}

/// Returns the definition for another version of an API.
pub(crate) fn of_version(text: Arc<str>, api: &Api) -> Arc<str> {
    match Language::of(api, &text) {
        Language::Graphql | Language::Wsdl => text,
        Language::Asyncapi | Language::Openapi => {
            let document = openapi::document::parse_text(&text);
            let mut document = document.unwrap_or_else(|_| openapi::write::generate(api));
            openapi::write::set_version(&mut document, &api.version);
            Arc::from(pretty(&document))
        }
    }
}
