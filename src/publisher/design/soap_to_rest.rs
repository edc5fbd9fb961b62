//! Operations of REST out of a service of SOAP: of a WSDL 1.1 document with bindings of SOAP 1.1 or 1.2, document or rpc,
//! literal. Each operation of the service becomes a POST, or a GET where its name begins with `get` and all it is asked is
//! plain; how a call becomes a message is kept as the policies that do it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::ApiKind;
use portcullis_model::api::{Operation, OperationAuth};
use portcullis_model::limit::API_OPERATIONS_MAX;
use portcullis_model::mediation::VERSION;
use serde_json::{Map, Value, json};

use super::wsdl::Wsdl;
use super::xml_tree::{self, Element, Qualified};
use super::{Design, Language, refuse};
use crate::dto::operations::{UNLIMITED, check_target};
use crate::fault::PublisherError;
use crate::registry::pretty;

const SOAP_11: &str = "http://schemas.xmlsoap.org/wsdl/soap/";
const SOAP_12: &str = "http://schemas.xmlsoap.org/wsdl/soap12/";
const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// Values that a message of an operation holds.
const PLACES_MAX: usize = 200;
/// Bytes of an envelope.
const ENVELOPE_BYTES_MAX: usize = 30_000;

/// Makes a design of REST from a document.
///
/// # Errors
/// [`PublisherError::Definition`] with what of it cannot be carried.
pub(crate) fn design(text: &str, wsdl: &Wsdl, fields: Map<String, Value>) -> Result<Design, PublisherError> {
    let wrong = |reason: String| refuse("", reason);
    if wsdl.version != "1.1" {
        return Err(wrong("SOAPTOREST takes WSDL 1.1; import WSDL 2.0 as SOAP".to_owned()));
    }
    let root = xml_tree::read(text).map_err(wrong)?;
    let service = Service::of(&root).map_err(wrong)?;
    let mut operations = Vec::new();
    let mut kept = Vec::new();
    let mut paths = Map::new();
    for one in service.operations().map_err(wrong)? {
        let target = format!("/{}", lowered(&one.name));
        check_target(&target).map_err(wrong)?;
        let verb = if one.is_plain && one.name.to_ascii_lowercase().starts_with("get") { "GET" } else { "POST" };
        if paths.contains_key(&target) {
            return Err(wrong(format!("two operations become {target}")));
        }
        paths.insert(target.clone(), one.described(verb));
        let request = one.policy(verb == "GET").map_err(wrong)?;
        let operation = Operation {
            verb: verb.to_owned(),
            target,
            auth: OperationAuth::Any,
            policy: UNLIMITED.to_owned(),
            scopes: Vec::new(),
        };
        kept.push(json!({
            "verb": operation.verb,
            "target": operation.target,
            "operationPolicies": {
                "request": [request],
                "response": [{"policyName": "soapToJSON", "policyVersion": VERSION, "parameters": {}}],
                "fault": [],
            },
        }));
        operations.push(operation);
    }
    if operations.is_empty() || operations.len() > API_OPERATIONS_MAX {
        let count = operations.len();
        return Err(wrong(format!("has {count} operations of SOAP; 1 to {API_OPERATIONS_MAX} are accepted")));
    }
    let mut fields = fields;
    fields.insert("operations".to_owned(), Value::Array(kept));
    let title = fields.get("name").and_then(Value::as_str).unwrap_or("API");
    let document = json!({"openapi": "3.0.1", "info": {"title": title, "version": "1.0.0"}, "paths": paths});
    Ok(Design {
        language: Language::Openapi,
        text: Arc::from(pretty(&document)),
        kind: ApiKind::SoapToRest,
        operations,
        scopes: Vec::new(),
        fields,
    })
}

/// Returns a name with its first letter small, as paths have it in the original.
fn lowered(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A document's parts by their names.
struct Service<'a> {
    root: &'a Element,
    namespace: String,
    messages: BTreeMap<&'a str, &'a Element>,
    /// Global elements and types of the schemas, with whether the elements within are of the schema's namespace.
    elements: BTreeMap<Qualified, (&'a Element, bool)>,
    types: BTreeMap<Qualified, (&'a Element, bool)>,
}

impl<'a> Service<'a> {
    fn of(root: &'a Element) -> Result<Self, String> {
        let messages = root.named("message").filter_map(|one| Some((one.attribute("name")?, one))).collect();
        let (mut elements, mut types) = (BTreeMap::new(), BTreeMap::new());
        for schema in root.named("types").flat_map(|types| types.named("schema")) {
            if let Some(outside) = schema.children.iter().find(|one| {
                matches!(one.name.as_str(), "import" | "include") && one.attribute("schemaLocation").is_some()
            }) {
                let place = outside.attribute("schemaLocation").unwrap_or_default();
                return Err(format!(
                    "refers to the schema {place}: SOAPTOREST takes documents that have their schemas in them"
                ));
            }
            let namespace = schema.attribute("targetNamespace").unwrap_or_default().to_owned();
            let is_qualified = schema.attribute("elementFormDefault") == Some("qualified");
            for child in &schema.children {
                let Some(name) = child.attribute("name") else { continue };
                let key = (namespace.clone(), name.to_owned());
                match child.name.as_str() {
                    "element" => drop(elements.insert(key, (child, is_qualified))),
                    "complexType" | "simpleType" => drop(types.insert(key, (child, is_qualified))),
                    _ => {}
                }
            }
        }
        let namespace = root.attribute("targetNamespace").unwrap_or_default().to_owned();
        Ok(Self { root, namespace, messages, elements, types })
    }

    /// Returns the operations of the first binding of SOAP.
    fn operations(&self) -> Result<Vec<SoapOperation>, String> {
        let is_soap = |namespace: &str| matches!(namespace, SOAP_11 | SOAP_12);
        let soap_of = |binding: &'a Element| binding.named("binding").find(|inner| is_soap(&inner.namespace));
        let bound = self.root.named("binding").find_map(|binding| Some((binding, soap_of(binding)?)));
        let (binding, soap) = bound.ok_or("has no binding of SOAP")?;
        let is_12 = soap.namespace == SOAP_12;
        let port = binding.qualified("type").ok_or("has a binding without a type")?.1;
        let port = self.root.named("portType").find(|one| one.attribute("name") == Some(&port));
        let port = port.ok_or("has a binding of a portType that is not there")?;
        let mut all: Vec<SoapOperation> = Vec::new();
        for bound in binding.named("operation") {
            let name = bound.attribute("name").ok_or("has an operation without a name")?;
            let own = bound.named("operation").find(|inner| is_soap(&inner.namespace));
            let style =
                own.and_then(|own| own.attribute("style")).or_else(|| soap.attribute("style")).unwrap_or("document");
            let action = own.and_then(|own| own.attribute("soapAction")).unwrap_or_default().to_owned();
            let body = bound.named("input").flat_map(|input| input.named("body")).find(|body| is_soap(&body.namespace));
            if body.and_then(|body| body.attribute("use")) == Some("encoded") {
                return Err(format!("has the operation {name}, whose messages are encoded; literal ones are carried"));
            }
            let operation = port.named("operation").find(|one| one.attribute("name") == Some(name));
            let input =
                operation.and_then(|one| one.named("input").next()).and_then(|input| input.qualified("message"));
            let message = input.and_then(|(_, message)| self.messages.get(message.as_str()).copied());
            let mut made =
                SoapOperation { name: name.to_owned(), action, is_12, is_plain: true, ..SoapOperation::default() };
            if let Some(message) = message {
                self.fill(&mut made, message, style == "rpc", body)?;
            }
            all.push(made);
        }
        Ok(all)
    }

    /// Says of an operation what its message is.
    fn fill(
        &self,
        made: &mut SoapOperation,
        message: &Element,
        is_rpc: bool,
        body: Option<&Element>,
    ) -> Result<(), String> {
        if is_rpc {
            let namespace = body.and_then(|body| body.attribute("namespace")).unwrap_or(&self.namespace);
            made.element = (namespace.to_owned(), made.name.clone());
            // Parts of rpc are of no namespace.
            made.is_qualified = false;
            for part in message.named("part") {
                let name = part.attribute("name").unwrap_or("part").to_owned();
                let is_plain = part.qualified("type").is_some_and(|one| self.is_plain(&one));
                made.values.push(Field { name, is_plain, kind: kind_of(part.qualified("type")), is_list: false });
            }
        } else {
            let part = message.named("part").next();
            let Some(element) = part.and_then(|part| part.qualified("element")) else {
                return Ok(());
            };
            let found = self.elements.get(&element);
            let (element_of, is_qualified) =
                found.ok_or_else(|| format!("has no element {} in its schemas", element.1))?;
            made.element = element;
            made.is_qualified = *is_qualified;
            let complex = element_of.named("complexType").next();
            let named = element_of.qualified("type").and_then(|name| self.types.get(&name)).map(|(one, _)| *one);
            if let Some(complex) = complex.or(named) {
                self.collect(complex, &mut made.values, &mut BTreeSet::new())?;
            }
        }
        made.is_plain = made.values.iter().all(|value| value.is_plain && !value.is_list);
        if made.values.len() > PLACES_MAX {
            return Err(format!("has the operation {} with more than {PLACES_MAX} values", made.name));
        }
        Ok(())
    }

    /// Collects the elements of a type, those of its base first.
    fn collect(&self, complex: &Element, into: &mut Vec<Field>, seen: &mut BTreeSet<Qualified>) -> Result<(), String> {
        for extension in complex.named("complexContent").flat_map(|content| content.named("extension")) {
            if let Some(base) = extension.qualified("base")
                && seen.insert(base.clone())
                && let Some((base, _)) = self.types.get(&base)
            {
                self.collect(base, into, seen)?;
            }
            self.collect(extension, into, seen)?;
        }
        for group in complex.children.iter().filter(|one| matches!(one.name.as_str(), "sequence" | "all" | "choice")) {
            for element in group.named("element") {
                let reference = element.qualified("ref");
                let target =
                    reference.as_ref().and_then(|name| self.elements.get(name)).map_or(element, |(one, _)| *one);
                let name = element.attribute("name").or(target.attribute("name"));
                let Some(name) = name else { continue };
                let kind = target.qualified("type");
                let is_plain = match &kind {
                    Some(kind) => self.is_plain(kind),
                    None => target.named("complexType").next().is_none(),
                };
                let is_list = element.attribute("maxOccurs").is_some_and(|most| !matches!(most, "0" | "1"));
                into.push(Field { name: name.to_owned(), is_plain, kind: kind_of(kind), is_list });
            }
            self.collect(group, into, seen)?;
        }
        Ok(())
    }

    fn is_plain(&self, kind: &Qualified) -> bool {
        kind.0 == XSD || self.types.get(kind).is_some_and(|(one, _)| one.name == "simpleType")
    }
}

fn kind_of(kind: Option<Qualified>) -> &'static str {
    match kind {
        Some((namespace, name)) if namespace == XSD => match name.as_str() {
            "boolean" => "boolean",
            "int" | "integer" | "long" | "short" | "byte" | "unsignedInt" | "unsignedLong" | "unsignedShort"
            | "positiveInteger" | "nonNegativeInteger" => "integer",
            "decimal" | "double" | "float" => "number",
            _ => "string",
        },
        _ => "string",
    }
}

/// A value in a message.
struct Field {
    name: String,
    is_plain: bool,
    kind: &'static str,
    is_list: bool,
}

/// An operation of the service.
#[derive(Default)]
struct SoapOperation {
    name: String,
    action: String,
    is_12: bool,
    /// The element that a message holds.
    element: Qualified,
    /// Whether what is in it is of its namespace.
    is_qualified: bool,
    values: Vec<Field>,
    is_plain: bool,
}

impl SoapOperation {
    /// Returns the policy that turns a call into a message.
    fn policy(&self, by_query: bool) -> Result<Value, String> {
        let of_soap = if self.is_12 {
            "http://www.w3.org/2003/05/soap-envelope"
        } else {
            "http://schemas.xmlsoap.org/soap/envelope/"
        };
        let (namespace, name) = &self.element;
        let mut inner = String::new();
        let mut arguments = Vec::new();
        for (number, value) in self.values.iter().enumerate() {
            inner.push_str(&format!("<{0}>${1}</{0}>", value.name, number + 1));
            arguments.push(if by_query { format!("$url:{}", value.name) } else { format!("$.{name}.{}", value.name) });
        }
        let namespace = quick_xml::escape::escape(namespace.as_str());
        let message = match (name.is_empty(), namespace.is_empty(), self.is_qualified) {
            (true, ..) => String::new(),
            (_, true, _) => format!("<{name}>{inner}</{name}>"),
            // What has no prefix within is of the namespace.
            (_, _, true) => format!("<{name} xmlns=\"{namespace}\">{inner}</{name}>"),
            (_, _, false) => format!("<web:{name} xmlns:web=\"{namespace}\">{inner}</web:{name}>"),
        };
        let envelope = format!(
            "<soapenv:Envelope xmlns:soapenv=\"{of_soap}\"><soapenv:Header/><soapenv:Body>{message}</soapenv:Body></soapenv:Envelope>"
        );
        if envelope.len() > ENVELOPE_BYTES_MAX {
            return Err(format!(
                "has the operation {} with a message of more than {ENVELOPE_BYTES_MAX} bytes",
                self.name
            ));
        }
        Ok(json!({
            "policyName": "jsonToSOAP",
            "policyVersion": VERSION,
            "parameters": {
                "soapAction": self.action,
                "soapVersion": if self.is_12 { "1.2" } else { "1.1" },
                "envelope": envelope,
                "arguments": arguments.join("\n"),
            },
        }))
    }

    /// Describes the operation as OpenAPI has it.
    fn described(&self, verb: &str) -> Value {
        let schema = |value: &Field| match (value.is_list, value.is_plain) {
            (false, true) => json!({"type": value.kind}),
            (true, true) => json!({"type": "array", "items": {"type": value.kind}}),
            (false, false) => json!({"type": "object"}),
            (true, false) => json!({"type": "array", "items": {"type": "object"}}),
        };
        let mut operation = json!({"operationId": self.name, "responses": {"200": {"description": "the answer"}}});
        if verb == "GET" {
            let one = |value: &Field| json!({"name": value.name, "in": "query", "schema": schema(value)});
            operation["parameters"] = self.values.iter().map(one).collect();
        } else {
            let values: Map<String, Value> =
                self.values.iter().map(|value| (value.name.clone(), schema(value))).collect();
            let inner = json!({"type": "object", "properties": values});
            let mut outer = Map::new();
            outer.insert(self.element.1.clone(), inner);
            let body = json!({"type": "object", "properties": outer});
            operation["requestBody"] = json!({"content": {"application/json": {"schema": body}}});
        }
        let mut described = Map::new();
        described.insert(verb.to_ascii_lowercase(), operation);
        Value::Object(described)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::wsdl;

    /// A service of SOAP 1.2 in the style rpc.
    const STOCK: &str = r#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap12/"
        xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns="urn:stock" targetNamespace="urn:stock">
      <types><xs:schema targetNamespace="urn:stock"><xs:complexType name="Span"><xs:sequence>
        <xs:element name="from" type="xs:date"/></xs:sequence></xs:complexType></xs:schema></types>
      <message name="PriceIn"><part name="symbol" type="xs:string"/><part name="count" type="xs:int"/></message>
      <message name="HistoryIn"><part name="symbol" type="xs:string"/><part name="span" type="tns:Span"/></message>
      <message name="PingIn"/>
      <portType name="Stock">
        <operation name="GetPrice"><input message="tns:PriceIn"/></operation>
        <operation name="GetHistory"><input message="tns:HistoryIn"/></operation>
        <operation name="Ping"><input message="tns:PingIn"/></operation>
      </portType>
      <binding name="B" type="tns:Stock"><soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="rpc"/>
        <operation name="GetPrice"><soap:operation soapAction="urn:stock#price"/><input><soap:body use="literal" namespace="urn:rpc"/></input></operation>
        <operation name="GetHistory"><soap:operation soapAction=""/><input><soap:body use="literal"/></input></operation>
        <operation name="Ping"><soap:operation style="rpc"/><input><soap:body use="literal"/></input></operation>
      </binding>
      <service name="S"><port name="P" binding="tns:B"><soap:address location="http://a.example/"/></port></service>
    </definitions>"#;

    #[test]
    fn messages_of_rpc_are_called_as_their_operation_and_have_parts_without_a_namespace() {
        let (design, read) = wsdl::read(STOCK.as_bytes()).unwrap();
        let design = super::design(STOCK, &read, design.fields).unwrap();
        let called: Vec<String> = design.operations.iter().map(|one| format!("{} {}", one.verb, one.target)).collect();
        // What is asked for a history is more than a query can say.
        assert_eq!(called, ["GET /getPrice", "POST /getHistory", "POST /ping"]);
        let parameters = |number: usize| {
            design.fields["operations"][number]["operationPolicies"]["request"][0]["parameters"].clone()
        };
        let envelope = |inner: &str| {
            format!(
                "<soapenv:Envelope xmlns:soapenv=\"http://www.w3.org/2003/05/soap-envelope\"><soapenv:Header/><soapenv:Body>\
                 {inner}</soapenv:Body></soapenv:Envelope>"
            )
        };
        let price = "<web:GetPrice xmlns:web=\"urn:rpc\"><symbol>$1</symbol><count>$2</count></web:GetPrice>";
        let wanted = json!({
            "soapAction": "urn:stock#price", "soapVersion": "1.2", "envelope": envelope(price),
            "arguments": "$url:symbol\n$url:count",
        });
        assert_eq!(parameters(0), wanted);
        let history = "<web:GetHistory xmlns:web=\"urn:stock\"><symbol>$1</symbol><span>$2</span></web:GetHistory>";
        assert_eq!(parameters(1)["envelope"], json!(envelope(history)));
        assert_eq!(parameters(1)["arguments"], "$.GetHistory.symbol\n$.GetHistory.span");
        let ping = "<web:Ping xmlns:web=\"urn:stock\"></web:Ping>";
        assert_eq!((&parameters(2)["envelope"], &parameters(2)["arguments"]), (&json!(envelope(ping)), &json!("")));
        let document: Value = serde_json::from_str(&design.text).unwrap();
        assert_eq!(document["paths"]["/getPrice"]["get"]["parameters"][1]["schema"]["type"], "integer");
    }
}
