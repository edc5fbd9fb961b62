//! WSDL as the definition of an API: a document, or a zip archive of several as text; and its addresses replaced by those
//! of gateways. What else a document says is not looked at here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};

use crate::zip;

/// How a zip file begins in base64, by which definitions are known that are archives.
const ZIP_AS_TEXT: &str = "UEsDB";
/// Bytes of the files of an archive, unpacked.
pub const UNPACKED_BYTES_MAX: usize = 8 << 20;
/// How names of XML documents end.
const XML_ENDS: [&str; 4] = [".wsdl", ".xsd", ".xml", ".wsp"];

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
    /// Returns the same with the gateway's address in the place of each address of a service, and without what else tells
    /// where that is; in all XML documents of an archive. One in an archive that cannot be read is left out of it.
    ///
    /// # Errors
    /// Why it cannot be read, in words; what was accepted once can be.
    pub fn at(self, address: &str) -> Result<Self, String> {
        match self {
            Self::Document(text) => with_address(&text, address).map(Self::Document),
            Self::Archive(bytes) => {
                let files = zip::read_within(&bytes, UNPACKED_BYTES_MAX)?;
                let moved = |(name, bytes): (String, Vec<u8>)| {
                    if !is_xml(&name, &bytes) {
                        return Some((name, bytes));
                    }
                    let text = with_address(std::str::from_utf8(&bytes).ok()?, address).ok()?;
                    Some((name, text.into_bytes()))
                };
                let files: zip::Files = files.into_iter().filter_map(moved).collect();
                zip::write(&files).map(Self::Archive)
            }
        }
    }
}

fn is_xml(name: &str, bytes: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    XML_ENDS.iter().any(|end| name.ends_with(end)) || content.starts_with(b"<?xml")
}

/// Replaces the addresses of a document: of `address` elements of WSDL 1.1 (`location`), of the endpoints of 2.0 and of
/// references to endpoints (WS-Addressing), of which nothing else stays. Elements and attributes are known by their local
/// names. Where schemas and other documents are is left out where it is an absolute address; so is a DOCTYPE.
fn with_address(text: &str, address: &str) -> Result<String, String> {
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new(Vec::new());
    // How deep within a reference to an endpoint; 0 is outside.
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let written = match event {
            Event::Eof => break,
            Event::DocType(_) => continue,
            Event::Start(element) if depth == 0 => {
                if element.local_name().as_ref() == "EndpointReference" {
                    depth = 1;
                }
                Event::Start(moved(element, address)?)
            }
            Event::Empty(element) if depth == 0 => Event::Empty(moved(element, address)?),
            Event::Start(element) => {
                depth += 1;
                if depth == 2 {
                    write_reference(&mut writer, element, address)?;
                }
                continue;
            }
            Event::Empty(element) => {
                if depth == 1 {
                    write_reference(&mut writer, element, address)?;
                }
                continue;
            }
            Event::End(end) if depth <= 1 => {
                depth = 0;
                Event::End(end)
            }
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            _ if depth > 0 => continue,
            other => other,
        };
        writer.write_event(written).map_err(|error| error.to_string())?;
    }
    if depth > 0 {
        return Err("an element is not closed".to_owned());
    }
    String::from_utf8(writer.into_inner()).map_err(|error| error.to_string())
}

/// Writes the address in a reference to an endpoint; what else is in one names the service's host too.
fn write_reference(writer: &mut Writer<Vec<u8>>, element: BytesStart<'_>, address: &str) -> Result<(), String> {
    if element.local_name().as_ref() != "Address" {
        return Ok(());
    }
    let end = element.to_end().into_owned();
    for event in [Event::Start(element), Event::Text(BytesText::new(address)), Event::End(end)] {
        writer.write_event(event).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn moved<'a>(element: BytesStart<'a>, address: &str) -> Result<BytesStart<'a>, String> {
    let named = element.local_name();
    let name = match named.as_ref() {
        "address" => "location",
        "endpoint" => "address",
        _ => "",
    };
    let mut other = BytesStart::new(element.name().as_ref().to_owned());
    let mut is_changed = false;
    for attribute in element.attributes() {
        let mut attribute = attribute.map_err(|error| error.to_string())?;
        if !name.is_empty() && attribute.key.local_name().as_ref() == name {
            let key: &str = attribute.key.as_ref();
            other.push_attribute((key, address));
            is_changed = true;
        } else if tells(&attribute) {
            is_changed = true;
        } else {
            // It stood perhaps between single quotation marks.
            if attribute.value.contains('"') {
                attribute.value = attribute.value.replace('"', "&quot;").into();
            }
            other.push_attribute(attribute);
        }
    }
    Ok(if is_changed { other } else { element })
}

/// Says whether an attribute tells an absolute address of another document. Where several are named, each stands behind its
/// namespace, which is no address.
fn tells(attribute: &Attribute<'_>) -> bool {
    let are_pairs = match attribute.key.local_name().as_ref() {
        "schemaLocation" | "wsdlLocation" => attribute.key.prefix().is_some(),
        "noNamespaceSchemaLocation" | "location" => false,
        _ => return false,
    };
    // What cannot be read is not shown.
    let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0) else { return true };
    let every = if are_pairs && value.split_whitespace().nth(1).is_some() { 2 } else { 1 };
    let mut addresses = value.split_whitespace().skip(every - 1).step_by(every);
    addresses.any(|one| one.contains("://") || one.starts_with("//"))
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

    #[test]
    fn nothing_else_tells_where_the_service_is() {
        let text = r#"<?xml version="1.0"?>
<!DOCTYPE w:definitions SYSTEM "http://inside/w.dtd">
<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:x="urn:x" xmlns:a="http://www.w3.org/2005/08/addressing"
    xsi:schemaLocation="http://schemas.xmlsoap.org/wsdl/ https://inside/wsdl.xsd">
  <w:import namespace="urn:m" location=" HTTP://inside/m.wsdl"/><w:import namespace="urn:n" location="n.wsdl"/>
  <w:types><s:schema><s:import namespace="urn:t" schemaLocation="http:&#47;&#47;inside/t.xsd" id='c"d'/>
    <s:include schemaLocation="../own.xsd" id='a"b'/></s:schema></w:types>
  <w:service name="M"><w:port name="P"><s:address x:location="http://inside/m"/>
    <a:EndpointReference><a:Address> http://inside/m </a:Address><i:Identity><i:Dns>inside</i:Dns></i:Identity>
    </a:EndpointReference></w:port></w:service>
</w:definitions>"#;
        let Ok(Kept::Document(moved)) = kept(text).unwrap().at("https://gateway/m?a&b") else { panic!("a document") };
        assert!(!moved.contains("inside"), "{moved}");
        for stays in [
            r#"<w:import namespace="urn:m"/>"#,
            r#"<w:import namespace="urn:n" location="n.wsdl"/>"#,
            r#"<s:import namespace="urn:t" id="c&quot;d"/>"#,
            r#"<s:include schemaLocation="../own.xsd" id='a"b'/>"#,
            r#"<s:address x:location="https://gateway/m?a&amp;b"/>"#,
            "<a:EndpointReference><a:Address>https://gateway/m?a&amp;b</a:Address></a:EndpointReference></w:port>",
        ] {
            assert!(moved.contains(stays), "{stays} in {moved}");
        }
    }

    #[test]
    fn the_other_documents_of_an_archive_tell_nothing_either() {
        let import = r#"<s:schema><s:import schemaLocation="http://inside/t.xsd"/></s:schema>"#;
        let all = [
            ("menu.wsdl", WSDL.as_bytes().to_vec()),
            ("types/menu.XSD", import.as_bytes().to_vec()),
            ("types/menu", format!("<?xml version=\"1.0\"?>{import}").into_bytes()),
            ("broken.xsd", b"<s:schema>http://inside</s:other>".to_vec()),
            ("readme.txt", b"<hello>".to_vec()),
        ];
        let files: zip::Files = all.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let archive = zip::write(&files).unwrap();
        let Ok(Kept::Archive(bytes)) = Kept::Archive(archive).at("https://gateway") else { panic!("an archive") };
        let moved = zip::read(&bytes).unwrap();
        let names: Vec<&str> = moved.keys().map(String::as_str).collect();
        assert_eq!(names, ["menu.wsdl", "readme.txt", "types/menu", "types/menu.XSD"]);
        for (name, bytes) in &moved {
            assert!(!String::from_utf8_lossy(bytes).contains("inside"), "{name}");
        }
        let large = zip::Files::from([("a.wsdl".to_owned(), vec![b' '; UNPACKED_BYTES_MAX + 1])]);
        assert!(Kept::Archive(zip::write(&large).unwrap()).at("").unwrap_err().contains("more than"));
    }
}
