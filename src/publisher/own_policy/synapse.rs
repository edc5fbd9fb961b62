//! Definitions of operation policies for the original's gateway: templates (Jinja) of Synapse mediators. The mediators
//! that do what a policy of the program does become that policy; every other is refused by its name.

use std::collections::BTreeMap;

use portcullis_model::mediation::own::named_in;
use portcullis_model::mediation::{Applied, PARAMETER_CHARS_MAX, Step, VERSION};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Value, json};

use super::Specification;
use crate::fault::PublisherError;

/// Bytes of a definition.
pub(crate) const DEFINITION_BYTES_MAX: usize = 256 << 10;
/// Mediators of one definition.
const STEPS_MAX: usize = 50;
/// What is understood, for who sent something else.
const UNDERSTOOD: &str = "header, property (scope transport, and HTTP_METHOD, REST_URL_POSTFIX, HTTP_SC, messageType and \
                          ContentType of scope axis2), payloadFactory followed by respond or loopback, and log";

type Attributes = BTreeMap<String, String>;

fn refuse(reason: impl Into<String>) -> PublisherError {
    PublisherError::field("synapsePolicyDefinitionFile", reason)
}

/// An answer that is being put together.
#[derive(Default)]
struct Answer {
    status: Option<String>,
    media_type: Option<String>,
    body: Option<String>,
}

struct Mapping {
    steps: Vec<Value>,
    answer: Answer,
    has_answered: bool,
}

/// Maps a definition onto policies that come with the program.
///
/// # Errors
/// What of it cannot be mapped, or is not right.
pub(crate) fn map(text: &str, specification: &Specification) -> Result<Vec<Value>, PublisherError> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(refuse(format!("may have at most {DEFINITION_BYTES_MAX} bytes")));
    }
    check_template(text, specification)?;
    let mut mapping = Mapping { steps: Vec::new(), answer: Answer::default(), has_answered: false };
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    loop {
        match reader.read_event().map_err(|error| refuse(format!("is not XML: {error}")))? {
            Event::Start(start) => {
                let (name, attributes) = opened(&start)?;
                if name == "sequence" {
                    continue;
                }
                let inner = inner_of(&mut reader, &name)?;
                mapping.mediator(&name, &attributes, &inner, specification)?;
            }
            Event::End(_) | Event::Comment(_) | Event::Decl(_) => {}
            Event::Text(text) if text.xml10_content().trim().is_empty() => {}
            Event::Eof => break,
            _ => return Err(refuse("has text outside of its mediators")),
        }
    }
    let steps = mapping.finish()?;
    check_steps(&steps, specification)?;
    Ok(steps)
}

/// Refuses what a template may do besides putting parameters in.
fn check_template(text: &str, specification: &Specification) -> Result<(), PublisherError> {
    if let Some(mark) = ["{%", "{#"].into_iter().find(|mark| text.contains(mark)) {
        return Err(refuse(format!("has {mark}: of a template, parameters in {{{{ }}}} alone are understood")));
    }
    for name in named_in(text) {
        if !specification.policy_attributes.iter().any(|attribute| attribute.name == name) {
            return Err(refuse(format!("names {{{{ {name} }}}}, which is no parameter of the policy")));
        }
    }
    Ok(())
}

fn opened(start: &BytesStart<'_>) -> Result<(String, Attributes), PublisherError> {
    let mut attributes = Attributes::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| refuse(format!("is not XML: {error}")))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| refuse(format!("is not XML: {error}")))?;
        attributes.insert(attribute.key.local_name().as_ref().to_owned(), value.to_string());
    }
    Ok((start.local_name().as_ref().to_owned(), attributes))
}

/// What is within a mediator: its elements with their texts, in order.
type Inner = Vec<(String, Attributes, String)>;

/// Reads up to the end of a mediator. Elements within elements are text: they are a payload.
fn inner_of(reader: &mut Reader<&[u8]>, outer: &str) -> Result<Inner, PublisherError> {
    let mut inner = Inner::new();
    loop {
        match reader.read_event().map_err(|error| refuse(format!("is not XML: {error}")))? {
            Event::Start(start) => {
                let (name, attributes) = opened(&start)?;
                let text = reader.read_text(start.to_end().name());
                let text = text.map_err(|error| refuse(format!("is not XML: {error}")))?.xml10_content().into_owned();
                inner.push((name, attributes, plain(text.trim())));
            }
            Event::End(_) => return Ok(inner),
            Event::Comment(_) => {}
            Event::Text(text) if text.xml10_content().trim().is_empty() => {}
            Event::Eof => return Err(refuse(format!("ends within {outer}"))),
            _ => return Err(refuse(format!("{outer} holds text, which is not understood"))),
        }
    }
}

/// Returns a payload without the marks around it that only XML needs.
fn plain(text: &str) -> String {
    match text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")) {
        Some(data) => data.to_owned(),
        None if text.contains('<') => text.to_owned(),
        None => quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), |text| text.into_owned()),
    }
}

fn step(name: &str, parameters: &Value) -> Value {
    json!({"policyName": name, "policyVersion": VERSION, "parameters": parameters})
}

impl Mapping {
    fn mediator(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inner: &Inner,
        specification: &Specification,
    ) -> Result<(), PublisherError> {
        if self.has_answered {
            return Err(refuse(format!("has {name} after the answer, which ends the call")));
        }
        if self.steps.len() >= STEPS_MAX {
            return Err(refuse(format!("has more than {STEPS_MAX} mediators")));
        }
        if attributes.contains_key("expression") {
            let which = attributes.get("name").map(String::as_str).unwrap_or_default();
            return Err(refuse(format!("{name} {which} has an expression, which is not understood; values are")));
        }
        match name {
            "header" => {
                if attributes.get("scope").is_some_and(|scope| scope != "transport") {
                    return Err(refuse("header is understood for the scope transport alone"));
                }
                self.header(name, attributes)
            }
            "property" => self.property(attributes),
            "log" => self.log(inner, specification),
            "payloadFactory" => self.payload(attributes, inner),
            "respond" | "loopback" => {
                let answer = std::mem::take(&mut self.answer);
                self.steps.push(step(
                    "mockResponse",
                    &json!({
                        "statusCode": answer.status.unwrap_or_else(|| "200".to_owned()),
                        "contentType": answer.media_type.unwrap_or_else(|| "application/json".to_owned()),
                        "content": answer.body.unwrap_or_default(),
                    }),
                ));
                self.has_answered = true;
                Ok(())
            }
            other => Err(refuse(format!("`{other}` is not carried out by the gateway; understood are: {UNDERSTOOD}"))),
        }
    }

    fn header(&mut self, mediator: &str, attributes: &Attributes) -> Result<(), PublisherError> {
        let name = attributes.get("name").ok_or_else(|| refuse(format!("{mediator} has no name")))?;
        if attributes.get("action").is_some_and(|action| action == "remove") {
            self.steps.push(step("removeHeader", &json!({"headerName": name})));
            return Ok(());
        }
        let value = attributes.get("value").ok_or_else(|| refuse(format!("{mediator} {name} has no value")))?;
        self.steps.push(step("addHeader", &json!({"headerName": name, "headerValue": value})));
        Ok(())
    }

    fn property(&mut self, attributes: &Attributes) -> Result<(), PublisherError> {
        let name = attributes.get("name").ok_or_else(|| refuse("property has no name"))?.as_str();
        let scope = attributes.get("scope").map_or("default", String::as_str);
        if scope == "transport" {
            return self.header("property", attributes);
        }
        let value = attributes.get("value").filter(|_| !attributes.contains_key("action")).cloned();
        let value = value.ok_or_else(|| refuse(format!("property {name} of scope {scope} has no value")))?;
        match (scope, name) {
            ("axis2", "HTTP_METHOD") => self.steps.push(step("changeHTTPMethod", &json!({"httpMethod": value}))),
            ("axis2", "REST_URL_POSTFIX") => {
                self.steps.push(step("rewriteResourcePath", &json!({"newResourcePath": value})));
            }
            ("axis2", "HTTP_SC") => self.answer.status = Some(value),
            ("axis2", "messageType" | "ContentType") => self.answer.media_type = Some(value),
            _ => {
                let reason =
                    format!("property {name} of scope {scope} is not understood; understood are: {UNDERSTOOD}");
                return Err(refuse(reason));
            }
        }
        Ok(())
    }

    fn log(&mut self, inner: &Inner, specification: &Specification) -> Result<(), PublisherError> {
        let mut said = Vec::new();
        for (name, attributes, _) in inner {
            let value = attributes.get("value").filter(|_| name == "property");
            said.push(value.ok_or_else(|| refuse(format!("log holds {name} without a value")))?.clone());
        }
        let label = if said.is_empty() { specification.name.clone() } else { said.join(", ") };
        self.steps.push(step("addLogMessage", &json!({"label": label})));
        Ok(())
    }

    fn payload(&mut self, attributes: &Attributes, inner: &Inner) -> Result<(), PublisherError> {
        let kind = attributes.get("media-type").map_or("xml", String::as_str);
        let media_type = match kind {
            "json" => "application/json",
            "xml" => "application/xml",
            "text" => "text/plain",
            other => {
                return Err(refuse(format!("payloadFactory has the media type {other}; json, xml and text are known")));
            }
        };
        for (name, attributes, text) in inner {
            match name.as_str() {
                "format" if !attributes.contains_key("key") => self.answer.body = Some(text.clone()),
                "args" if text.is_empty() => {}
                other => {
                    return Err(refuse(format!(
                        "payloadFactory has {other}, of which a format without arguments alone is understood"
                    )));
                }
            }
        }
        self.answer.media_type.get_or_insert_with(|| media_type.to_owned());
        Ok(())
    }

    /// Returns the steps, where nothing of an answer is left over that would not be given.
    fn finish(mut self) -> Result<Vec<Value>, PublisherError> {
        let left = &self.answer;
        if left.body.is_some() {
            return Err(refuse(
                "payloadFactory is understood before respond or loopback alone: bodies are not replaced",
            ));
        }
        if left.status.is_some() {
            return Err(refuse("property HTTP_SC is understood before respond or loopback alone"));
        }
        match left.media_type.as_deref() {
            None => {}
            // How the original turns bodies from one form into the other.
            Some("application/xml") => self.steps.push(step("jsonToXML", &json!({}))),
            Some("application/json") => self.steps.push(step("xmlToJson", &json!({}))),
            Some(other) => {
                let reason =
                    format!("property messageType is {other}; application/json and application/xml turn bodies");
                return Err(refuse(reason));
            }
        }
        if self.steps.is_empty() {
            return Err(refuse(format!("has no mediator; understood are: {UNDERSTOOD}")));
        }
        Ok(self.steps)
    }
}

/// Checks that each step fits the flows of the policy, and what is set in it as far as that is known by now.
fn check_steps(steps: &[Value], specification: &Specification) -> Result<(), PublisherError> {
    for one in steps {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let parameters = one["parameters"].as_object().into_iter().flatten();
        let parameters: BTreeMap<String, String> =
            parameters.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        if let Some((name, _)) = parameters.iter().find(|(_, value)| value.chars().count() > PARAMETER_CHARS_MAX) {
            let reason =
                format!("becomes {}: {name} has more than {PARAMETER_CHARS_MAX} characters", text("policyName"));
            return Err(refuse(reason));
        }
        let is_open = parameters.values().any(|value| !named_in(value).is_empty());
        let applied = Applied { name: text("policyName"), version: text("policyVersion"), parameters };
        for flow in specification.flows() {
            match Step::of(&applied, flow) {
                Err(bad) if !is_open || bad.place == "policyName" => {
                    return Err(refuse(format!("becomes {}: {}: {}", applied.name, bad.place, bad.reason)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specification(flows: &[&str]) -> Specification {
        let body = json!({
            "name": "own", "applicableFlows": flows, "supportedGateways": ["Synapse"],
            "policyAttributes": [{"name": "who"}, {"name": "verb"}],
        });
        Specification::parse(&body.to_string()).unwrap()
    }

    fn names(text: &str, flows: &[&str]) -> Result<Vec<String>, String> {
        let steps = map(text, &specification(flows)).map_err(|error| error.to_string())?;
        Ok(steps.iter().map(|step| step["policyName"].as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn what_the_gateway_does_is_mapped() {
        let text = r#"<!-- stamp --><property name="x-by" value="{{ who }} &amp; co" scope="transport"/>
            <header name="x-old" action="remove" scope="transport"/>
            <property name="HTTP_METHOD" value="{{verb}}" scope="axis2" type="STRING"/>
            <log level="custom"><property name="a" value="seen"/></log>"#;
        assert_eq!(
            names(text, &["request"]).unwrap(),
            ["addHeader", "removeHeader", "changeHTTPMethod", "addLogMessage"]
        );
        let steps = map(text, &specification(&["request"])).unwrap();
        assert_eq!(steps[0]["parameters"]["headerValue"], "{{ who }} & co");
        let text = r#"<sequence name="x"><payloadFactory media-type="json"><format>{"a": "<![CDATA[x]]>"}</format><args/></payloadFactory>
            <property name="HTTP_SC" value="418" scope="axis2"/><respond/></sequence>"#;
        let steps = map(text, &specification(&["request"])).unwrap();
        assert_eq!(
            (&steps[0]["policyName"], &steps[0]["parameters"]["statusCode"]),
            (&json!("mockResponse"), &json!("418"))
        );
        let text = r#"<property name="messageType" value="application/xml" scope="axis2"/>"#;
        assert_eq!(names(text, &["request", "response"]).unwrap(), ["jsonToXML"]);
    }

    #[test]
    fn what_it_does_not_do_is_refused_by_name() {
        for (text, word) in [
            ("<script language=\"js\">mc.x()</script>", "text"),
            ("<class name=\"a.B\"/>", "`class`"),
            ("<drop/>", "`drop`"),
            ("<property name=\"a\" value=\"b\"/>", "property a of scope default"),
            ("<property name=\"a\" expression=\"$ctx:b\" scope=\"transport\"/>", "expression"),
            ("<payloadFactory media-type=\"json\"><format>{}</format></payloadFactory>", "payloadFactory"),
            ("<respond/><respond/>", "after the answer"),
            ("{% if who %}<respond/>{% endif %}", "{%"),
            ("<property name=\"a\" value=\"{{other}}\" scope=\"transport\"/>", "other"),
            ("<property name=\"content-length\" value=\"1\" scope=\"transport\"/>", "content-length"),
            ("<a", "XML"),
            ("", "no mediator"),
        ] {
            let refused = names(text, &["request"]).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
        let long = format!("<header name=\"a\" value=\"{{{{who}}}}{}\"/>", "x".repeat(PARAMETER_CHARS_MAX));
        assert!(names(&long, &["request"]).unwrap_err().contains("headerValue has more than"));
        assert!(names("<respond/>", &["response"]).unwrap_err().contains("mockResponse"));
    }
}
