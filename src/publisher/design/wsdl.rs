//! WSDL 1.1 and 2.0: a document, or a zip archive with one at its root and what that refers to. References are not
//! followed; what is read are the addresses of the services.

use std::sync::Arc;

pub(crate) use portcullis_http::contract::wsdl::{Kept, is_archive, is_wsdl, kept};

use portcullis_http::contract::wsdl::{UNPACKED_BYTES_MAX, pack};
use portcullis_http::zip;
use portcullis_model::ApiKind;
use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::limit::API_NAME_CHARS_MAX;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value, json};

use super::{Design, Language, check_size, refuse};
use crate::dto::operations::UNLIMITED;
use crate::fault::PublisherError;

/// How deep a document may be nested.
const DEPTH_MAX: usize = 128;
/// Services' addresses that are read.
const ENDPOINTS_MAX: usize = 200;

/// What a document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wsdl {
    /// `1.1` or `2.0`.
    pub(crate) version: &'static str,
    /// The name of the first service.
    pub(crate) service: String,
    /// Where its services are called: name of the port or endpoint, and address.
    pub(crate) endpoints: Vec<(String, String)>,
}

/// Reads a document, or an archive.
///
/// # Errors
/// [`PublisherError::Definition`] with what is wrong and where.
pub(crate) fn read(bytes: &[u8]) -> Result<(Design, Wsdl), PublisherError> {
    let (text, wsdl) = if bytes.starts_with(b"PK") { of_archive(bytes)? } else { of_document("", bytes)? };
    check_size(text.len())?;
    let operation = Operation {
        verb: "POST".to_owned(),
        target: "/*".to_owned(),
        auth: OperationAuth::Any,
        policy: UNLIMITED.to_owned(),
        scopes: Vec::new(),
    };
    let design = Design {
        language: Language::Wsdl,
        text: Arc::from(text),
        kind: ApiKind::Soap,
        operations: vec![operation],
        scopes: Vec::new(),
        fields: fields_of(&wsdl),
    };
    Ok((design, wsdl))
}

fn of_document(file: &str, bytes: &[u8]) -> Result<(String, Wsdl), PublisherError> {
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(file, "the document is not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    let wsdl = parse(text).map_err(|(line, reason)| {
        let place = [file.to_owned(), format!("line {line}")].into_iter().filter(|one| !one.is_empty());
        refuse(&place.collect::<Vec<_>>().join(", "), reason)
    })?;
    Ok((text.to_owned(), wsdl))
}

fn of_archive(bytes: &[u8]) -> Result<(String, Wsdl), PublisherError> {
    let files = zip::read_within(bytes, UNPACKED_BYTES_MAX).map_err(|reason| refuse("file", reason))?;
    let is_wsdl = |name: &&String| name.to_ascii_lowercase().ends_with(".wsdl");
    let at_root: Vec<&String> = files.keys().filter(is_wsdl).filter(|name| !name.contains('/')).collect();
    let [name] = at_root[..] else {
        let reason = format!("there are {} files .wsdl at the root of the archive; one is accepted", at_root.len());
        return Err(refuse("file", reason));
    };
    let (_, wsdl) = of_document(name, &files[name])?;
    Ok((pack(bytes), wsdl))
}

fn fields_of(wsdl: &Wsdl) -> Map<String, Value> {
    let mut fields = Map::new();
    let name: String = wsdl.service.chars().filter(|one| one.is_alphanumeric() || "-_.".contains(*one)).collect();
    if !name.is_empty() {
        fields.insert("name".to_owned(), json!(name.chars().take(API_NAME_CHARS_MAX).collect::<String>()));
    }
    if let Some((_, url)) = wsdl.endpoints.iter().find(|(_, url)| url.starts_with("http")) {
        let endpoint = json!({"url": url});
        let config = json!({"endpoint_type": "http", "production_endpoints": endpoint, "sandbox_endpoints": endpoint});
        fields.insert("endpointConfig".to_owned(), config);
    }
    fields
}

/// Reads what a document says; where it is none, the line and the reason.
fn parse(text: &str) -> Result<Wsdl, (usize, String)> {
    let mut reader = Reader::from_str(text);
    let read = read_all(&mut reader);
    read.map_err(|reason| {
        let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        (1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count(), reason)
    })
}

fn read_all(reader: &mut Reader<&[u8]>) -> Result<Wsdl, String> {
    let mut found = Wsdl::default();
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(not_xml)? {
            Event::Start(element) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(format!("is nested more than {DEPTH_MAX} deep"));
                }
                found.element(&element, depth == 1)?;
            }
            Event::Empty(element) => found.element(&element, depth == 0)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::DocType(_) => return Err("a DOCTYPE is not accepted".to_owned()),
            Event::Eof if found.version.is_empty() => {
                return Err("this is no WSDL: there is no element in it".to_owned());
            }
            Event::Eof if depth > 0 => return Err("not valid XML: an element is not closed".to_owned()),
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn not_xml(error: impl std::fmt::Display) -> String {
    format!("not valid XML: {error}")
}

impl Wsdl {
    fn element(&mut self, element: &BytesStart<'_>, is_root: bool) -> Result<(), String> {
        let name = element.local_name();
        if is_root {
            self.version = match name.as_ref() {
                "definitions" => "1.1",
                "description" => "2.0",
                other => {
                    return Err(format!(
                        "this is no WSDL: it begins with <{other}>, not with <definitions> or <description>"
                    ));
                }
            };
            return Ok(());
        }
        match name.as_ref() {
            "service" if self.service.is_empty() => self.service = attribute(element, "name")?.unwrap_or_default(),
            "port" | "endpoint" if self.endpoints.len() < ENDPOINTS_MAX => {
                let (name, address) = (attribute(element, "name")?.unwrap_or_default(), attribute(element, "address")?);
                self.endpoints.push((name, address.unwrap_or_default()));
            }
            "address" => {
                if let (Some(location), Some(last)) = (attribute(element, "location")?, self.endpoints.last_mut()) {
                    last.1 = location;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns an attribute of an element by its name without prefix.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    for one in element.attributes() {
        let one = one.map_err(not_xml)?;
        if one.key.local_name().as_ref() == name {
            let value = one.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}
