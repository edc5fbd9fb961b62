//! Definitions in the language of their API's type: OpenAPI, GraphQL, WSDL, AsyncAPI.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_http::client::Reply;
use serde_json::{Value, json};

use super::kind::Kind;
use super::server::Server;
use crate::exit::Exit;
use crate::failure::{Failure, why_no_yaml};
use crate::form::Part;
use crate::remote::of_client;

/// How an archive begins (ZIP).
const ARCHIVE: &[u8] = b"PK\x03\x04";

/// The languages in which APIs are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// A map, of APIs of HTTP.
    Openapi,
    /// A text, of APIs of GraphQL.
    Graphql,
    /// A text, or a map with an archive in base64, of APIs of SOAP.
    Wsdl,
    /// A map, of APIs of WebSockets and server-sent events.
    Asyncapi,
}

impl Language {
    /// Returns the language of an API's definition: that of its type, or that in which `definition` seems to be where no
    /// type is said.
    pub(super) fn of(api: &Value, definition: &Value) -> Self {
        match api["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "GRAPHQL" => Self::Graphql,
            "SOAP" => Self::Wsdl,
            "WS" | "SSE" | "WEBSUB" => Self::Asyncapi,
            "" => match definition {
                Value::String(text) if text.trim_start().starts_with('<') => Self::Wsdl,
                Value::String(_) => Self::Graphql,
                Value::Object(fields) if fields.contains_key("archive") => Self::Wsdl,
                Value::Object(fields) if fields.contains_key("asyncapi") => Self::Asyncapi,
                _ => Self::Openapi,
            },
            _ => Self::Openapi,
        }
    }

    /// The last part of the path of an API's definition.
    fn tail(self) -> &'static str {
        match self {
            Self::Openapi => "swagger",
            Self::Graphql => "graphql-schema",
            Self::Wsdl => "wsdl",
            Self::Asyncapi => "asyncapi",
        }
    }

    /// The last part of the path that makes an API of a definition.
    fn import(self) -> &'static str {
        match self {
            Self::Openapi => "import-openapi",
            Self::Graphql => "import-graphql-schema",
            Self::Wsdl => "import-wsdl",
            Self::Asyncapi => "import-asyncapi",
        }
    }

    fn has_maps(self) -> bool {
        matches!(self, Self::Openapi | Self::Asyncapi)
    }
}

/// Reads what a file beside a document has, as the document would say it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn of_file(api: &Value, bytes: Vec<u8>) -> Result<Value, String> {
    if bytes.starts_with(ARCHIVE) {
        return Ok(json!({"archive": STANDARD.encode(&bytes)}));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is neither a text in UTF-8 nor an archive".to_owned())?;
    let of_type = Language::of(api, &json!(text));
    if api["type"].is_string() && !of_type.has_maps() || of_type == Language::Wsdl {
        return Ok(Value::String(text));
    }
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(document) if document.is_object() => Ok(document),
        // No type is said, and it is no map: a schema of GraphQL.
        Ok(_) | Err(_) if !api["type"].is_string() && looks_like_schema(&text) => Ok(Value::String(text)),
        Ok(_) => Err("it is no map".to_owned()),
        Err(fault) => Err(why_no_yaml(&fault)),
    }
}

fn looks_like_schema(text: &str) -> bool {
    let begins = |line: &str| {
        ["type ", "schema ", "schema{", "extend ", "scalar ", "interface ", "union ", "enum ", "input ", "directive "]
            .iter()
            .any(|word| line.starts_with(word))
    };
    text.lines().any(begins)
}

impl Server {
    /// Reads an API's definition; nothing where it has none.
    pub(super) async fn definition(&self, at: &str, api: &Value) -> Result<Option<Value>, Failure> {
        let language = Language::of(api, &Value::Null);
        let Some(reply) = self.bytes(&format!("{at}/{}", language.tail())).await? else { return Ok(None) };
        let map = |reply: &Reply| reply.json::<Value>().map_err(|fault| of_client(&fault));
        Ok(Some(match language {
            Language::Openapi | Language::Asyncapi => map(&reply)?,
            Language::Graphql => map(&reply)?["schemaDefinition"].clone(),
            Language::Wsdl if reply.bytes.starts_with(ARCHIVE) => json!({"archive": STANDARD.encode(&reply.bytes)}),
            Language::Wsdl => json!(String::from_utf8_lossy(&reply.bytes)),
        }))
    }

    /// Makes an API of a definition and of what is said beside it.
    pub(super) async fn import_definition(
        &self,
        kind: &Kind,
        definition: &Value,
        fields: &Value,
    ) -> Result<Value, Failure> {
        let language = Language::of(fields, definition);
        let (bytes, fields) = (bytes_of(language, definition)?, fields.to_string());
        let parts = [Part::file("file", "definition", &bytes), Part::text("additionalProperties", &fields)];
        self.send_form(Method::POST, &format!("{}/{}", kind.path, language.import()), &parts).await
    }

    /// Puts a definition in the place of the one that an API has.
    pub(super) async fn put_definition(&self, at: &str, api: &Value, definition: &Value) -> Result<(), Failure> {
        let language = Language::of(api, definition);
        let bytes = bytes_of(language, definition)?;
        let part = match language {
            Language::Wsdl => Part::file("file", "definition", &bytes),
            Language::Graphql => Part { name: "schemaDefinition", file_name: None, content: &bytes },
            Language::Openapi | Language::Asyncapi => Part { name: "apiDefinition", file_name: None, content: &bytes },
        };
        self.send_form(Method::PUT, &format!("{at}/{}", language.tail()), &[part]).await?;
        Ok(())
    }

    /// Reads what fields of a schema cost; nothing of APIs of other types, and where nothing is said.
    pub(super) async fn costs(&self, at: &str, api: &Value) -> Result<Option<Value>, Failure> {
        if Language::of(api, &Value::Null) != Language::Graphql {
            return Ok(None);
        }
        let said = self.get(&format!("{at}/{COSTS}")).await?["list"].take();
        Ok(Some(said).filter(|said| said.as_array().is_some_and(|all| !all.is_empty())))
    }

    /// Says what fields of a schema cost.
    pub(super) async fn put_costs(&self, at: &str, costs: &Value) -> Result<(), Failure> {
        self.send(Method::PUT, &format!("{at}/{COSTS}"), &json!({ "list": costs })).await.map(|_| ())
    }
}

const COSTS: &str = "graphql-policies/complexity";

/// Returns a definition as it is sent.
fn bytes_of(language: Language, definition: &Value) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| {
        let next = "portcullis export --kind Api     shows how definitions are written";
        Failure::new(Exit::Failed, "spec.definition cannot be one of this type", why, next)
    };
    match (language.has_maps(), definition) {
        (true, Value::Object(_)) => Ok(definition.to_string().into_bytes()),
        (true, _) => Err(wrong("it must be a map".to_owned())),
        (false, Value::String(text)) => Ok(text.clone().into_bytes()),
        (false, other) => match other["archive"].as_str() {
            Some(archive) if language == Language::Wsdl => {
                STANDARD.decode(archive.trim()).map_err(|fault| wrong(format!("archive is no base64: {fault}")))
            }
            _ => Err(wrong("it must be a text".to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_says_the_language_and_without_one_the_definition_does() {
        let of = |api: Value, definition: Value| Language::of(&api, &definition);
        assert_eq!(of(json!({"type": "GRAPHQL"}), Value::Null), Language::Graphql);
        assert_eq!(of(json!({"type": "SSE"}), Value::Null), Language::Asyncapi);
        assert_eq!(of(json!({"type": "HTTP"}), json!("type Query { a: Int }")), Language::Openapi);
        assert_eq!(of(json!({}), json!("type Query { a: Int }")), Language::Graphql);
        assert_eq!(of(json!({}), json!("\n<definitions/>")), Language::Wsdl);
        assert_eq!(of(json!({}), json!({"archive": "UEs="})), Language::Wsdl);
        assert_eq!(of(json!({}), json!({"asyncapi": "2.6.0"})), Language::Asyncapi);
        assert_eq!(of(json!({}), json!({"openapi": "3.0.0"})), Language::Openapi);
    }

    #[test]
    fn files_beside_a_document_are_read_in_their_language() {
        let read = |api: Value, bytes: &[u8]| of_file(&api, bytes.to_vec());
        assert_eq!(read(json!({}), b"openapi: 3.0.0").unwrap(), json!({"openapi": "3.0.0"}));
        let schema = "type Query {\n  a: Int\n}\n";
        assert_eq!(read(json!({"type": "GRAPHQL"}), schema.as_bytes()).unwrap(), json!(schema));
        assert_eq!(read(json!({}), schema.as_bytes()).unwrap(), json!(schema));
        assert_eq!(read(json!({}), b"<definitions/>").unwrap(), json!("<definitions/>"));
        assert_eq!(read(json!({"type": "SOAP"}), b"PK\x03\x04x").unwrap(), json!({"archive": "UEsDBHg="}));
        assert!(read(json!({}), b"- a list").unwrap_err().contains("no map"));
        assert!(read(json!({"type": "WS"}), b"only words").unwrap_err().contains("no map"));
        read(json!({}), &[0xff, 0xfe]).unwrap_err();
        assert!(bytes_of(Language::Openapi, &json!("a")).unwrap_err().to_string().contains("must be a map"));
        assert!(bytes_of(Language::Graphql, &json!({})).unwrap_err().to_string().contains("must be a text"));
    }
}
