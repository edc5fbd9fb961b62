//! Messages of SOAP out of calls, and JSON out of their answers.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_model::mediation::soap::{Argument, SoapCall};
use quick_xml::escape::escape;
use serde_json::{Map, Value};

use super::convert::{BODY_BYTES_MAX, CannotConvert};
use super::json::{scalar, write_element};
use super::{target, xml};
use crate::upstream::request::remove_read_alike;

const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");
/// Bytes that a message may have.
const MESSAGE_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// What a call says, for the places of an envelope.
pub(super) struct Said<'a> {
    pub(super) body: &'a Value,
    pub(super) query: &'a str,
    /// The operation's URI template, and the path that fits it.
    pub(super) template: &'a str,
    pub(super) path: &'a str,
}

impl Said<'_> {
    fn value(&self, argument: &Argument) -> Option<Value> {
        match argument {
            Argument::Body(names) => {
                let found = names.iter().try_fold(self.body, |value, name| value.get(name))?;
                Some(found.clone()).filter(|found| !found.is_null())
            }
            Argument::Query(name) => {
                let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
                pairs.find_map(|(key, value)| (key == *name).then(|| Value::String(value.into_owned())))
            }
            Argument::Path(name) => {
                let found = target::parameter(self.template, self.path, name)?;
                let decoded = percent_encoding::percent_decode_str(found).decode_utf8().ok()?;
                Some(Value::String(decoded.into_owned()))
            }
        }
    }
}

/// Writes the message of a call. A place that an element has to itself goes with its element where there is no value, and
/// stands once for each item of a list.
///
/// # Errors
/// Where it would become too large, or is nested too deep.
pub(super) fn message(call: &SoapCall, said: &Said<'_>) -> Result<Vec<u8>, CannotConvert> {
    let mut out = String::new();
    let mut texts = call.texts.iter();
    let mut text = texts.next().map(String::as_str).unwrap_or_default();
    for (argument, next) in call.arguments.iter().zip(texts) {
        out.push_str(text);
        let value = said.value(argument);
        let around = element_around(text, next);
        text = next;
        match (value, around) {
            (None, Some((open, close))) => {
                out.truncate(out.len() - open.len());
                text = &next[close.len()..];
            }
            (None, None) => {}
            (Some(Value::Array(items)), Some((open, close))) => {
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        out.extend([close, open]);
                    }
                    put(item, &mut out)?;
                    check_size(&out)?;
                }
                if items.is_empty() {
                    out.truncate(out.len() - open.len());
                    text = &next[close.len()..];
                }
            }
            (Some(value), _) => put(&value, &mut out)?,
        }
        check_size(&out)?;
    }
    out.push_str(text);
    Ok(out.into_bytes())
}

fn check_size(message: &str) -> Result<(), CannotConvert> {
    if message.len() > MESSAGE_BYTES_MAX { Err(CannotConvert::TooLarge(MESSAGE_BYTES_MAX)) } else { Ok(()) }
}

/// Returns the tags of the element that a place between two texts has to itself.
fn element_around<'a>(before: &'a str, after: &'a str) -> Option<(&'a str, &'a str)> {
    let open = &before[before.rfind('<')?..];
    let close = &after[..=after.find('>')?];
    let name = open.strip_prefix('<')?.strip_suffix('>')?.split_whitespace().next()?;
    (!name.starts_with('/') && close.strip_prefix("</")?.strip_suffix('>')?.trim_end() == name).then_some((open, close))
}

/// Puts a value into an element: members become elements without a prefix, and are of the namespace that holds there.
fn put(value: &Value, out: &mut String) -> Result<(), CannotConvert> {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, member) in members {
                write_element(name, member, out)?;
            }
        }
        Value::Array(items) => {
            for item in items {
                put(item, out)?;
            }
        }
        other => out.push_str(&escape(scalar(other).unwrap_or_default().as_str())),
    }
    Ok(())
}

/// Has the head of a call say what its message is.
pub(super) fn describe(call: &SoapCall, headers: &mut HeaderMap) {
    let action = call.action.replace(['"', '\\'], "");
    let (kind, action) = match (call.is_12, action.is_empty()) {
        (true, true) => ("application/soap+xml; charset=utf-8".to_owned(), None),
        (true, false) => (format!("application/soap+xml; charset=utf-8; action=\"{action}\""), None),
        (false, _) => ("text/xml; charset=utf-8".to_owned(), Some(format!("\"{action}\""))),
    };
    for name in [CONTENT_TYPE, SOAP_ACTION] {
        remove_read_alike(headers, &name);
    }
    for (name, text) in [(CONTENT_TYPE, Some(kind)), (SOAP_ACTION, action)] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Returns what is in the body of an answer's envelope as JSON; an answer without an envelope as it is.
///
/// # Errors
/// Where it is not XML.
pub(super) fn answer(body: &[u8]) -> Result<Vec<u8>, CannotConvert> {
    let whole: Value = serde_json::from_slice(&xml::to_json(body)?)?;
    let inner = match whole {
        Value::Object(mut members) => match members.get_mut("Envelope").map(Value::take) {
            Some(Value::Object(mut envelope)) => match envelope.remove("Body") {
                Some(Value::Null) | None => Value::Object(Map::new()),
                Some(inner) => inner,
            },
            Some(_) => Value::Object(Map::new()),
            None => Value::Object(members),
        },
        other => other,
    };
    Ok(serde_json::to_vec(&inner)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(envelope: &str, arguments: &str, body: &Value, query: &str) -> String {
        let call = SoapCall::parse("urn:a", "1.1", envelope, arguments).unwrap();
        let said = Said { body, query, template: "/menu/{id}", path: "/menu/a%20b" };
        String::from_utf8(message(&call, &said).unwrap()).unwrap()
    }

    #[test]
    fn values_are_put_in_lists_repeat_their_element_and_what_is_not_there_leaves_none() {
        let envelope =
            "<Envelope><o xmlns=\"urn:a\"><id>$1</id><item n=\"1\">$2</item><note>$3</note><q>$4</q></o></Envelope>";
        let arguments = "$uri:id\n$.o.items\n$.o.note\n$url:q";
        let body = json!({"o": {"items": [{"dish": "<a&b>", "n": 2}, "x"]}});
        let expected = "<Envelope><o xmlns=\"urn:a\"><id>a b</id><item n=\"1\"><dish>&lt;a&amp;b&gt;</dish><n>2</n></item>\
                        <item n=\"1\">x</item><q>1 &amp; 2</q></o></Envelope>";
        assert_eq!(written(envelope, arguments, &body, "q=1%20%26%202"), expected);
        let expected = "<Envelope><o xmlns=\"urn:a\"><id>a b</id></o></Envelope>";
        assert_eq!(written(envelope, arguments, &json!({"o": {"items": []}}), ""), expected);
        assert_eq!(written("<Envelope>a $1 b</Envelope>", "$.x", &json!({}), ""), "<Envelope>a  b</Envelope>");
    }

    #[test]
    fn a_list_that_would_become_too_large_is_given_up_on_the_way() {
        let envelope = format!("<Envelope><item n=\"{}\">$1</item></Envelope>", "n".repeat(10_000));
        let call = SoapCall::parse("urn:a", "1.1", &envelope, "$.items").unwrap();
        let written = |count: usize| {
            let body = json!({"items": vec![1; count]});
            message(&call, &Said { body: &body, query: "", template: "/", path: "/" }).map(|message| message.len())
        };
        assert!(written(400).is_ok());
        // Whole it would have 5 GB.
        assert!(matches!(written(500_000), Err(CannotConvert::TooLarge(MESSAGE_BYTES_MAX))));
    }

    #[test]
    fn an_answer_is_what_is_in_its_body() {
        let envelope = br#"<s:Envelope xmlns:s="x"><s:Header/><s:Body><r xmlns="y"><n>7</n></r></s:Body></s:Envelope>"#;
        assert_eq!(answer(envelope).unwrap(), br#"{"r":{"n":7}}"#);
        assert_eq!(answer(b"<s:Envelope xmlns:s='x'><s:Body/></s:Envelope>").unwrap(), b"{}");
        assert_eq!(answer(b"<other>1</other>").unwrap(), br#"{"other":1}"#);
        assert!(answer(b"no").is_err());
    }

    #[test]
    fn the_action_is_where_the_version_has_it() {
        let call = |version| SoapCall::parse("urn:a", version, "<Envelope/>", "").unwrap();
        let mut headers = HeaderMap::new();
        describe(&call("1.1"), &mut headers);
        assert_eq!(
            (&headers[SOAP_ACTION], &headers[CONTENT_TYPE]),
            (&"\"urn:a\"".parse().unwrap(), &"text/xml; charset=utf-8".parse().unwrap())
        );
        describe(&call("1.2"), &mut headers);
        assert!(
            headers.get(SOAP_ACTION).is_none() && headers[CONTENT_TYPE].to_str().unwrap().ends_with("action=\"urn:a\"")
        );
    }
}
