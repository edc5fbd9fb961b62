//! How a call of REST becomes a message of SOAP, and the answer JSON, as the original has it: sequences of mediators. Those
//! that do it are a header, a payload factory and properties of the media type; every other is refused by its name.

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Value, json};

use crate::fault::PublisherError;

/// Bytes of a sequence.
const BYTES_MAX: usize = 256 << 10;
/// Properties that say nothing which the policies do not.
const PROPERTIES: [&str; 3] = ["messageType", "ContentType", "REST_URL_POSTFIX"];
/// What turns an answer into JSON.
pub(crate) const OUT: &str = "<property description=\"messageType\" name=\"messageType\" scope=\"axis2\" type=\"STRING\" value=\"application/json\"/>";
const NEW_ENVELOPE: &str = "http://www.w3.org/2003/05/soap-envelope";

fn refuse(reason: impl Into<String>) -> PublisherError {
    PublisherError::field("content", reason)
}

/// Writes the parameters of the policy that makes messages as a sequence.
pub(crate) fn write(parameters: &Value) -> String {
    let text = |name: &str| parameters[name].as_str().unwrap_or_default();
    let argument = |line: &str| {
        let evaluator = if line.starts_with("$.") || line == "$" { " evaluator=\"json\"" } else { "" };
        format!("<arg{evaluator} expression=\"{}\"/>", escape(line))
    };
    let arguments: String = text("arguments").lines().map(argument).collect();
    format!(
        "<header description=\"SOAPAction\" name=\"SOAPAction\" scope=\"transport\" value=\"{}\"/>\n\
         <payloadFactory description=\"transform\" media-type=\"xml\">\n<format>{}</format>\n<args>{arguments}</args>\n</payloadFactory>\n\
         <property description=\"messageType\" name=\"messageType\" scope=\"axis2\" type=\"STRING\" value=\"text/xml\"/>",
        escape(text("soapAction")),
        text("envelope"),
    )
}

/// Reads a sequence into the parameters of the policy that makes messages.
///
/// # Errors
/// What of it is not understood.
pub(crate) fn read(text: &str) -> Result<Value, PublisherError> {
    let (mut action, mut envelope, mut arguments) = (String::new(), None, Vec::new());
    each(text, |reader, start| {
        match start.local_name().as_ref() {
            "sequence" | "payloadFactory" | "args" => return Ok(()),
            "header" if attribute(start, "name")?.eq_ignore_ascii_case("SOAPAction") => {
                action = attribute(start, "value")?;
            }
            "property" if PROPERTIES.contains(&attribute(start, "name")?.as_str()) => {}
            "format" => {
                let inner = reader.read_text(start.to_end().name()).map_err(not_xml)?;
                envelope = Some(inner.xml10_content().trim().to_owned());
            }
            "arg" => arguments.push(attribute(start, "expression")?),
            other => {
                let name = attribute(start, "name").unwrap_or_default();
                return Err(refuse(format!(
                    "has {other} {name}; header SOAPAction, payloadFactory and property messageType are understood"
                )));
            }
        }
        Ok(())
    })?;
    let envelope = envelope.ok_or_else(|| refuse("has no payloadFactory with a format"))?;
    let version = if envelope.contains(NEW_ENVELOPE) { "1.2" } else { "1.1" };
    Ok(json!({
        "soapAction": action, "soapVersion": version, "envelope": envelope, "arguments": arguments.join("\n"),
    }))
}

/// Checks that a sequence does what is done with answers, and nothing else.
///
/// # Errors
/// What of it is not understood.
pub(crate) fn check_out(text: &str) -> Result<(), PublisherError> {
    let mut becomes_json = false;
    each(text, |_, start| match start.local_name().as_ref() {
        "sequence" => Ok(()),
        "property" if PROPERTIES.contains(&attribute(start, "name")?.as_str()) => {
            becomes_json |= attribute(start, "value")? == "application/json";
            Ok(())
        }
        other => Err(refuse(format!(
            "has {other}; what is in the envelope's body becomes JSON, and property messageType says so"
        ))),
    })?;
    if becomes_json { Ok(()) } else { Err(refuse("must have property messageType with the value application/json")) }
}

fn each(
    text: &str,
    mut seen: impl FnMut(&mut Reader<&[u8]>, &BytesStart<'_>) -> Result<(), PublisherError>,
) -> Result<(), PublisherError> {
    if text.len() > BYTES_MAX {
        return Err(refuse(format!("may have at most {BYTES_MAX} bytes")));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    loop {
        match reader.read_event().map_err(not_xml)? {
            Event::Start(start) => seen(&mut reader, &start)?,
            Event::Eof => return Ok(()),
            Event::DocType(_) => return Err(refuse("a DOCTYPE is not accepted")),
            _ => {}
        }
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<String, PublisherError> {
    for one in start.attributes() {
        let one = one.map_err(not_xml)?;
        if one.key.local_name().as_ref() == name {
            return Ok(one.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?.into_owned());
        }
    }
    Ok(String::new())
}

fn not_xml(error: impl std::fmt::Display) -> PublisherError {
    refuse(format!("is not XML: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_not_understood_is_named() {
        let parameters = json!({
            "soapAction": "urn:a&b", "soapVersion": "1.2", "arguments": "$.o.a\n$url:b",
            "envelope": "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><o><a>$1</a><b>$2</b></o></s:Body></s:Envelope>",
        });
        assert_eq!(read(&write(&parameters)).unwrap(), parameters);
        assert!(check_out(OUT).is_ok());
        for bad in [
            "<script>1</script>",
            "<property name=\"x\" value=\"y\"/>",
            "<header name=\"SOAPAction\" value=\"a\"/>",
            "<a",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(check_out("<log/>").is_err() && check_out("").is_err());
    }
}
