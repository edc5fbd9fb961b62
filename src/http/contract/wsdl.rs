//! WSDL as the definition of an API: a document, or a zip archive of several as text; and its addresses replaced by those
//! of gateways. What a document says is not looked at here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

use crate::zip;

/// How a zip file begins in base64, by which definitions are known that are archives.
const ZIP_AS_TEXT: &str = "UEsDB";

/// A definition as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// One document.
    Document(String),
    /// A zip archive.
    Archive(Vec<u8>),
}

/// Says whether a definition is WSDL.
#[must_use]
pub fn is_wsdl(text: &str) -> bool {
    text.trim_start().starts_with('<') || is_archive(text)
}

/// Says whether a definition is an archive.
#[must_use]
pub fn is_archive(text: &str) -> bool {
    text.starts_with(ZIP_AS_TEXT)
}

/// Returns an archive as the text of a definition.
#[must_use]
pub fn pack(archive: &[u8]) -> String {
    STANDARD.encode(archive)
}

/// Returns a definition as it was sent; `None` where it is no WSDL.
#[must_use]
pub fn kept(text: &str) -> Option<Kept> {
    if is_archive(text) {
        return STANDARD.decode(text).ok().map(Kept::Archive);
    }
    is_wsdl(text).then(|| Kept::Document(text.to_owned()))
}

impl Kept {
    /// Returns the same with each address of a service replaced; those in other documents of an archive too.
    ///
    /// # Errors
    /// Why it cannot be read, in words; what was accepted once can be.
    pub fn at(self, address: &str) -> Result<Self, String> {
        match self {
            Self::Document(text) => with_address(&text, address).map(Self::Document),
            Self::Archive(bytes) => {
                let mut files = zip::read(&bytes)?;
                for (name, bytes) in &mut files {
                    if name.to_ascii_lowercase().ends_with(".wsdl") {
                        let text = std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
                        *bytes = with_address(text, address)?.into_bytes();
                    }
                }
                zip::write(&files).map(Self::Archive)
            }
        }
    }
}

/// Replaces the addresses of a document: of `address` elements of WSDL 1.1 (`location`) and of the endpoints of 2.0.
fn with_address(text: &str, address: &str) -> Result<String, String> {
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new(Vec::new());
    loop {
        let event = match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => break,
            Event::Start(element) => Event::Start(moved(element, address)?),
            Event::Empty(element) => Event::Empty(moved(element, address)?),
            other => other,
        };
        writer.write_event(event).map_err(|error| error.to_string())?;
    }
    String::from_utf8(writer.into_inner()).map_err(|error| error.to_string())
}

fn moved<'a>(element: BytesStart<'a>, address: &str) -> Result<BytesStart<'a>, String> {
    let name = match element.local_name().as_ref() {
        "address" => "location",
        "endpoint" => "address",
        _ => return Ok(element),
    };
    let mut other = BytesStart::new(element.name().as_ref().to_owned());
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let key = attribute.key.as_ref().to_owned();
        if key == name {
            other.push_attribute((key.as_str(), address));
        } else {
            other.push_attribute(attribute);
        }
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WSDL: &str = r#"<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
  <service name="Menu"><port name="MenuSoap" binding="x"><soap:address location="http://inside/menu"/></port></service>
</definitions>"#;

    #[test]
    fn the_addresses_of_services_are_replaced_and_the_rest_stays() {
        let Ok(Kept::Document(text)) = kept(WSDL).unwrap().at("https://gateway/menu?a=1&b=2") else {
            panic!("a document")
        };
        assert!(text.contains(r#"<soap:address location="https://gateway/menu?a=1&amp;b=2"/>"#), "{text}");
        assert!(!text.contains("inside"), "{text}");
        assert!(text.contains(r#"<port name="MenuSoap" binding="x">"#) && text.starts_with("<?xml"), "{text}");
        let newer = r#"<description xmlns="http://www.w3.org/ns/wsdl"><endpoint name="e" address="http://inside"/></description>"#;
        assert_eq!(kept(newer).unwrap().at("x"), Ok(Kept::Document(newer.replace("http://inside", "x"))));
    }

    #[test]
    fn an_archive_is_kept_as_text_and_each_of_its_documents_is_moved() {
        let mut files = zip::Files::new();
        files.insert("menu.wsdl".to_owned(), WSDL.as_bytes().to_vec());
        files.insert("types/menu.xsd".to_owned(), b"<schema/>".to_vec());
        let text = pack(&zip::write(&files).unwrap());
        assert!(is_archive(&text) && is_wsdl(&text));
        let Ok(Kept::Archive(bytes)) = kept(&text).unwrap().at("https://gateway/menu") else { panic!("an archive") };
        let moved = zip::read(&bytes).unwrap();
        assert_eq!(moved["types/menu.xsd"], b"<schema/>");
        assert!(String::from_utf8_lossy(&moved["menu.wsdl"]).contains("https://gateway/menu"));
    }
}
