//! Definitions in Swagger 2.0 (<https://spec.openapis.org/oas/v2.0.html>) turned into OpenAPI 3.0, which everything behind
//! reads. It checks nothing but how large that becomes: what is not as it should be is carried over, and found where it then
//! stands.

use std::borrow::Cow;
use std::io;

use portcullis_model::limit::{API_OPERATIONS_MAX, DEFINITION_BYTES_MAX};
use serde_json::{Map, Value, json};

use super::check::is_verb;
use super::place::Place;
use crate::fault::{FieldFault, PublisherError};

/// How deep schemas are gone into; deeper documents are refused anyway.
const DEPTH_MAX: usize = 120;
/// Names in each of the lists `consumes`, `produces` and `schemes`.
const NAMES_MAX: usize = 32;
/// Bytes of what is copied, because several operations or media types have it in common.
const COPIED_BYTES_MAX: usize = DEFINITION_BYTES_MAX;
/// Bytes of what a document becomes, indented: a small one that is nested deep becomes many spaces.
const WRITTEN_BYTES_MAX: usize = 8 * DEFINITION_BYTES_MAX;
/// What a body is where no media type is named.
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";
/// The fields of a parameter that are its schema's in OpenAPI 3.
const OF_SCHEMA: [&str; 17] = [
    "type",
    "format",
    "items",
    "default",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "enum",
    "multipleOf",
    "x-nullable",
];

/// Says whether a document is one of Swagger 2.0.
pub(super) fn is_swagger2(document: &Value) -> bool {
    match document.get("swagger") {
        Some(Value::String(version)) => version == "2.0" || version == "2",
        Some(Value::Number(version)) => version.as_f64() == Some(2.0),
        _ => false,
    }
}

/// Returns the same in OpenAPI 3.0.
///
/// # Errors
/// [`PublisherError::Definition`] where it has more operations than an API may have, or becomes too large.
pub(super) fn converted(document: Value) -> Result<Value, PublisherError> {
    let mut copies = Copies { left: COPIED_BYTES_MAX, fault: None };
    check_count(&document, &mut copies);
    let document = if copies.fault.is_none() { changed(document, &mut copies) } else { document };
    if copies.fault.is_none() && written_bytes(&document, WRITTEN_BYTES_MAX, true).is_none() {
        let reason = format!("it becomes more than {WRITTEN_BYTES_MAX} bytes in OpenAPI 3.0, which are too many");
        copies.refuse(Place::Top, reason);
    }
    match copies.fault {
        None => Ok(document),
        Some(fault) => Err(PublisherError::Definition(vec![fault])),
    }
}

/// Refuses more operations than an API may have, before anything is done for each of them.
fn check_count(document: &Value, copies: &mut Copies) {
    let items = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let operations = items.filter_map(|(_, item)| item.as_object()).flatten().filter(|(name, _)| is_verb(name)).count();
    if operations > API_OPERATIONS_MAX {
        let reason = format!("there are {operations} operations; at most {API_OPERATIONS_MAX} are accepted");
        copies.refuse(Place::Known("paths"), reason);
    }
}

fn changed(mut document: Value, copies: &mut Copies) -> Value {
    move_references(&mut document, 0);
    let Value::Object(mut old) = document else { return document };
    let shared = Shared {
        consumes: names(old.shift_remove("consumes"), Place::Known("consumes"), copies),
        produces: names(old.shift_remove("produces"), Place::Known("produces"), copies),
        parameters: object(old.shift_remove("parameters")),
    };
    let mut new = Map::new();
    new.insert("openapi".to_owned(), json!("3.0.3"));
    old.shift_remove("swagger");
    let servers = servers(&mut old, copies);
    let mut components = Map::new();
    let mut component = |name: &str, all: Map<String, Value>| {
        if !all.is_empty() {
            components.insert(name.to_owned(), Value::Object(all));
        }
    };
    component("schemas", each(object(old.shift_remove("definitions")), |_, one| schema(one, 0)));
    let responses = object(old.shift_remove("responses"));
    let at = Place::Known("responses");
    let responses = each(responses, |name, one| response(one, &shared.produces, Place::Field(&at, name), copies));
    component("responses", responses);
    let plain = shared.parameters.clone().into_iter().filter(|(_, one)| !is_of_body(one)).collect();
    component("parameters", each(plain, |_, one| parameter(one)));
    component("securitySchemes", each(object(old.shift_remove("securityDefinitions")), |_, one| security_scheme(one)));
    let at = Place::Known("paths");
    let paths = object(old.shift_remove("paths"));
    let paths = each(paths, |path, item| path_item(item, &shared, Place::Field(&at, path), copies));
    for (name, value) in old {
        new.insert(name, value);
    }
    if !servers.is_empty() {
        new.insert("servers".to_owned(), Value::Array(servers));
    }
    new.insert("paths".to_owned(), Value::Object(paths));
    if !components.is_empty() {
        new.insert("components".to_owned(), Value::Object(components));
    }
    Value::Object(new)
}

/// What holds for all operations that say nothing else.
struct Shared {
    consumes: Vec<String>,
    produces: Vec<String>,
    parameters: Map<String, Value>,
}

/// What may still be copied.
struct Copies {
    /// Bytes, as they are written.
    left: usize,
    /// Why nothing is copied any more. The document is then refused, so that it may lack whatever is left out.
    fault: Option<FieldFault>,
}

impl Copies {
    fn refuse(&mut self, place: Place<'_>, reason: String) {
        self.fault.get_or_insert_with(|| FieldFault::new(place.to_string(), reason));
    }

    /// Says whether so many bytes may be copied, and counts them.
    fn take(&mut self, place: Place<'_>, bytes: Option<usize>) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let Some(left) = bytes.and_then(|bytes| self.left.checked_sub(bytes)) else {
            let reason = format!(
                "with this, more than {COPIED_BYTES_MAX} bytes are copied, because bodies and media types are common to \
                 operations; put the schemas into definitions, and refer to them"
            );
            self.refuse(place, reason);
            return false;
        };
        self.left = left;
        true
    }

    /// Says whether a value may be copied so many times, and counts that.
    fn take_value(&mut self, place: Place<'_>, value: &Value, times: usize) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let once = self.left.checked_div(times).map_or(Some(0), |most| written_bytes(value, most, false));
        self.take(place, once.map(|bytes| bytes * times))
    }
}

/// Returns how many bytes a value has as JSON; `None` for more than `bytes_max`.
fn written_bytes(value: &Value, bytes_max: usize, is_indented: bool) -> Option<usize> {
    let mut counter = Counter { left: bytes_max };
    let written = if is_indented {
        serde_json::to_writer_pretty(&mut counter, value)
    } else {
        serde_json::to_writer(&mut counter, value)
    };
    written.ok().map(|()| bytes_max - counter.left)
}

/// Takes so many bytes, and keeps none.
struct Counter {
    left: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    if let Some(Value::Object(map)) = value { map } else { Map::new() }
}

fn texts(value: Option<Value>) -> Vec<String> {
    let Some(Value::Array(items)) = value else { return Vec::new() };
    items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Returns the texts of a list that each message of the document may be given.
fn names(value: Option<Value>, place: Place<'_>, copies: &mut Copies) -> Vec<String> {
    let names = texts(value);
    if names.len() > NAMES_MAX {
        copies.refuse(place, format!("has {} names; at most {NAMES_MAX} are accepted", names.len()));
        return Vec::new();
    }
    names
}

/// Returns the names that an operation has of its own, or those that it shares.
fn own_or<'a>(shared: &'a [String], own: Option<Value>, place: Place<'_>, copies: &mut Copies) -> Cow<'a, [String]> {
    match own {
        None => Cow::Borrowed(shared),
        own => Cow::Owned(names(own, place, copies)),
    }
}

fn each(map: Map<String, Value>, mut change: impl FnMut(&str, Value) -> Value) -> Map<String, Value> {
    let changed = map.into_iter().map(|(name, value)| {
        let value = change(&name, value);
        (name, value)
    });
    changed.collect()
}

/// Has references lead to where things are in OpenAPI 3.
fn move_references(value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if let ("$ref", Value::String(target)) = (name.as_str(), &mut *value) {
                    for (old, new) in
                        [("definitions", "schemas"), ("parameters", "parameters"), ("responses", "responses")]
                    {
                        if let Some(rest) = target.strip_prefix(&format!("#/{old}/")) {
                            *target = format!("#/components/{new}/{rest}");
                            break;
                        }
                    }
                } else {
                    move_references(value, depth + 1);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, depth + 1)),
        _ => {}
    }
}

fn servers(old: &mut Map<String, Value>, copies: &mut Copies) -> Vec<Value> {
    let base = old.shift_remove("basePath").and_then(|base| base.as_str().map(str::to_owned)).unwrap_or_default();
    let base = base.trim_end_matches('/');
    let schemes = names(old.shift_remove("schemes"), Place::Known("schemes"), copies);
    match old.shift_remove("host").as_ref().and_then(Value::as_str).filter(|host| !host.is_empty()) {
        Some(host) => {
            let usual = ["https".to_owned()];
            let schemes = if schemes.is_empty() { &usual[..] } else { &schemes };
            if !copies.take(Place::Known("schemes"), Some((schemes.len() - 1) * (host.len() + base.len()))) {
                return Vec::new();
            }
            schemes.iter().map(|scheme| json!({"url": format!("{scheme}://{host}{base}")})).collect()
        }
        None if base.is_empty() => Vec::new(),
        None => vec![json!({"url": base})],
    }
}

fn path_item(item: Value, shared: &Shared, place: Place<'_>, copies: &mut Copies) -> Value {
    let Value::Object(mut item) = item else { return item };
    if copies.fault.is_some() {
        return Value::Object(item);
    }
    let all = match item.shift_remove("parameters") {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    let (of_body, plain): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|one| is_of_body(resolved(one, shared)));
    let mut new = each(item, |name, value| {
        let place = Place::Field(&place, name);
        if is_verb(name) { operation(value, &of_body, shared, place, copies) } else { value }
    });
    if !plain.is_empty() {
        new.insert("parameters".to_owned(), plain.into_iter().map(parameter).collect());
    }
    Value::Object(new)
}

fn operation(value: Value, of_path: &[Value], shared: &Shared, place: Place<'_>, copies: &mut Copies) -> Value {
    let Value::Object(mut operation) = value else { return value };
    let own = operation.shift_remove("consumes");
    let consumes = own_or(&shared.consumes, own, Place::Field(&place, "consumes"), copies);
    let own = operation.shift_remove("produces");
    let produces = own_or(&shared.produces, own, Place::Field(&place, "produces"), copies);
    operation.shift_remove("schemes");
    let all = match operation.shift_remove("parameters") {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    let (own, plain): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|one| is_of_body(resolved(one, shared)));
    let of_body = if own.is_empty() { of_path } else { &own };
    let responses = object(operation.shift_remove("responses"));
    if !plain.is_empty() {
        operation.insert("parameters".to_owned(), plain.into_iter().map(parameter).collect());
    }
    if !of_body.is_empty() {
        let of_body: Vec<&Value> = of_body.iter().map(|one| resolved(one, shared)).collect();
        operation.insert("requestBody".to_owned(), request_body(&of_body, &consumes, place, copies));
    }
    let at = Place::Field(&place, "responses");
    let responses = each(responses, |name, one| response(one, &produces, Place::Field(&at, name), copies));
    operation.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(operation)
}

/// Returns a parameter, or the one that it refers to.
fn resolved<'a>(parameter: &'a Value, shared: &'a Shared) -> &'a Value {
    let name = parameter.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix("#/components/parameters/"));
    name.and_then(|name| shared.parameters.get(name)).unwrap_or(parameter)
}

fn is_of_body(parameter: &Value) -> bool {
    matches!(parameter.get("in").and_then(Value::as_str), Some("body" | "formData"))
}

/// Returns what a message of each of the kinds holds, which all have one schema.
fn content_of(kinds: &[String], its: &Value, place: Place<'_>, copies: &mut Copies) -> Map<String, Value> {
    let usual = [JSON.to_owned()];
    let kinds = if kinds.is_empty() { &usual[..] } else { kinds };
    let may_name = copies.take(place, Some(kinds.iter().map(String::len).sum()));
    if !may_name || !copies.take_value(place, its, kinds.len() - 1) {
        return Map::new();
    }
    kinds.iter().map(|kind| (kind.clone(), json!({"schema": its}))).collect()
}

fn request_body(parameters: &[&Value], consumes: &[String], place: Place<'_>, copies: &mut Copies) -> Value {
    let is_set = |one: &Value, name: &str| one.get(name) == Some(&Value::Bool(true));
    let place = Place::Field(&place, "parameters");
    let mut new = Map::new();
    if let Some(body) = parameters.iter().copied().find(|one| one["in"] == "body") {
        if !copies.take_value(place, body, 1) {
            return Value::Null;
        }
        let its = schema(body.get("schema").cloned().unwrap_or_else(|| json!({})), 0);
        let content = content_of(consumes, &its, place, copies);
        new.extend(body.get("description").map(|text| ("description".to_owned(), text.clone())));
        new.insert("content".to_owned(), Value::Object(content));
        new.insert("required".to_owned(), is_set(body, "required").into());
        new.extend(body.get("name").map(|name| ("x-body-name".to_owned(), name.clone())));
        return Value::Object(new);
    }
    let mut properties = Map::new();
    let mut required = Vec::new();
    for &one in parameters {
        let Some(name) = one["name"].as_str() else { continue };
        if !copies.take_value(place, one, 1) {
            return Value::Null;
        }
        let mut its = parameter_schema(one);
        if let (Some(text), Value::Object(its)) = (one.get("description"), &mut its) {
            its.insert("description".to_owned(), text.clone());
        }
        properties.insert(name.to_owned(), its);
        if is_set(one, "required") {
            required.push(json!(name));
        }
    }
    let is_required = !required.is_empty();
    let mut content = json!({"type": "object", "properties": properties});
    if is_required {
        content["required"] = Value::Array(required);
    }
    let has_file = parameters.iter().any(|one| one["type"] == "file");
    let is_form = |kind: &&String| *kind == FORM || *kind == MULTIPART;
    let mut kinds: Vec<String> = consumes.iter().filter(is_form).cloned().collect();
    if kinds.is_empty() {
        kinds.push(if has_file { MULTIPART } else { FORM }.to_owned());
    }
    json!({"content": content_of(&kinds, &content, place, copies), "required": is_required})
}

/// Returns a parameter that is in the path, the query or a header.
fn parameter(value: Value) -> Value {
    if value.get("$ref").is_some() {
        return value;
    }
    let its = parameter_schema(&value);
    let Value::Object(mut parameter) = value else { return value };
    let is_query = parameter.get("in").is_some_and(|place| place == "query");
    let form = parameter.shift_remove("collectionFormat");
    let is_list = its["type"] == "array";
    parameter.retain(|name, _| !OF_SCHEMA.contains(&name.as_str()));
    parameter.insert("schema".to_owned(), its);
    if is_list && is_query {
        let (style, explodes) = match form.as_ref().and_then(Value::as_str) {
            Some("multi") => ("form", true),
            Some("ssv") => ("spaceDelimited", false),
            Some("pipes") => ("pipeDelimited", false),
            _ => ("form", false),
        };
        parameter.insert("style".to_owned(), style.into());
        parameter.insert("explode".to_owned(), explodes.into());
    }
    Value::Object(parameter)
}

fn parameter_schema(parameter: &Value) -> Value {
    let fields = OF_SCHEMA.iter().filter_map(|name| Some(((*name).to_owned(), parameter.get(name)?.clone())));
    schema(Value::Object(fields.collect()), 0)
}

fn response(value: Value, produces: &[String], place: Place<'_>, copies: &mut Copies) -> Value {
    let Value::Object(mut response) = value else { return value };
    if response.contains_key("$ref") {
        return Value::Object(response);
    }
    let its = response.shift_remove("schema").map(|its| schema(its, 0));
    // What is there under this name is none of Swagger 2.0.
    response.shift_remove("content");
    let mut content = its.map(|its| content_of(produces, &its, place, copies)).unwrap_or_default();
    for (kind, example) in object(response.shift_remove("examples")) {
        let said = content.entry(kind).or_insert_with(|| json!({}));
        said["example"] = example;
    }
    if !content.is_empty() {
        response.insert("content".to_owned(), Value::Object(content));
    }
    if let Some(Value::Object(headers)) = response.shift_remove("headers") {
        let headers = each(headers, |_, value| {
            let its = parameter_schema(&value);
            let Value::Object(mut header) = value else { return value };
            header.retain(|name, _| !OF_SCHEMA.contains(&name.as_str()) && name != "collectionFormat");
            header.insert("schema".to_owned(), its);
            Value::Object(header)
        });
        response.insert("headers".to_owned(), Value::Object(headers));
    }
    Value::Object(response)
}

fn schema(value: Value, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return value;
    }
    let Value::Object(mut schema_of) = value else { return value };
    for name in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema_of.get_mut(name) {
            *inner = schema(inner.take(), depth + 1);
        }
    }
    if let Some(Value::Array(all)) = schema_of.get_mut("allOf") {
        all.iter_mut().for_each(|one| *one = schema(one.take(), depth + 1));
    }
    if let Some(Value::Object(properties)) = schema_of.get_mut("properties") {
        properties.iter_mut().for_each(|(_, one)| *one = schema(one.take(), depth + 1));
    }
    if schema_of.get("type").is_some_and(|kind| kind == "file") {
        schema_of.insert("type".to_owned(), json!("string"));
        schema_of.insert("format".to_owned(), json!("binary"));
    }
    if let Some(Value::String(name)) = schema_of.get("discriminator").cloned() {
        schema_of.insert("discriminator".to_owned(), json!({"propertyName": name}));
    }
    if let Some(nullable) = schema_of.shift_remove("x-nullable") {
        schema_of.insert("nullable".to_owned(), nullable);
    }
    schema_of.shift_remove("collectionFormat");
    Value::Object(schema_of)
}

fn security_scheme(value: Value) -> Value {
    let Value::Object(mut scheme) = value else { return value };
    match scheme.get("type").and_then(Value::as_str) {
        Some("basic") => {
            scheme.insert("type".to_owned(), json!("http"));
            scheme.insert("scheme".to_owned(), json!("basic"));
        }
        Some("oauth2") => {
            let name = match scheme.shift_remove("flow").as_ref().and_then(Value::as_str) {
                Some("application") => "clientCredentials",
                Some("accessCode") => "authorizationCode",
                Some("password") => "password",
                _ => "implicit",
            };
            let mut flow: Map<String, Value> = Map::new();
            let of_flow =
                |name: &str| ["authorizationUrl", "tokenUrl", "scopes"].contains(&name) || name.starts_with("x-");
            let moved: Vec<String> = scheme.keys().filter(|name| of_flow(name)).cloned().collect();
            for name in moved {
                flow.extend(scheme.shift_remove(&name).map(|value| (name, value)));
            }
            flow.entry("scopes".to_owned()).or_insert_with(|| json!({}));
            scheme.insert("flows".to_owned(), json!({name: flow}));
        }
        _ => {}
    }
    Value::Object(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::extract::extract;
    use crate::openapi::{Document, OpenapiVersion};

    const MENU: &str = r##"
swagger: "2.0"
info: {title: Menu, version: 1.0.0}
host: api.example
basePath: /v1/
schemes: [http, https]
consumes: [application/json]
produces: [application/json, application/xml]
x-wso2-basePath: /menu
securityDefinitions:
  default:
    type: oauth2
    flow: implicit
    authorizationUrl: https://test.com
    scopes: {order: To order}
    x-scopes-bindings: {order: admin}
  plain: {type: basic}
parameters:
  Page: {name: page, in: query, type: integer, minimum: 1}
  Dish: {name: dish, in: body, required: true, schema: {$ref: "#/definitions/Dish"}}
responses:
  Missing: {description: none, schema: {$ref: "#/definitions/Fault"}}
paths:
  /menu:
    parameters: [{$ref: "#/parameters/Page"}]
    get:
      parameters:
      - {name: tag, in: query, type: array, items: {type: string}, collectionFormat: multi}
      responses:
        200:
          description: ok
          schema: {type: array, items: {$ref: "#/definitions/Dish"}}
          examples: {application/json: [{name: soup}]}
          headers: {X-Left: {type: integer, description: left}}
        404: {$ref: "#/responses/Missing"}
    post:
      security: [{default: [order]}]
      x-auth-type: Application
      parameters: [{$ref: "#/parameters/Dish"}]
      responses: {201: {description: made}}
  /photo:
    put:
      consumes: [multipart/form-data]
      parameters:
      - {name: file, in: formData, type: file, required: true}
      - {name: note, in: formData, type: string}
      responses: {200: {description: ok}}
definitions:
  Dish: {type: object, discriminator: kind, required: [kind], properties: {kind: {type: string}, name: {type: string, x-nullable: true}}}
  Fault: {type: object}
"##;

    #[test]
    fn a_definition_in_swagger_2_becomes_one_in_openapi_3() {
        let document = Document::parse(MENU).unwrap();
        assert_eq!(document.version, OpenapiVersion::V3_0);
        let value = &document.value;
        assert_eq!(serde_json::from_str::<Value>(&document.text).unwrap(), *value);
        let at = |place: &str| value.pointer(place).cloned().unwrap_or_else(|| panic!("{place} in {value}"));
        assert_eq!(at("/servers"), json!([{"url": "http://api.example/v1"}, {"url": "https://api.example/v1"}]));
        assert_eq!(at("/x-wso2-basePath"), "/menu");
        assert_eq!(
            at("/components/parameters"),
            json!({"Page": {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}}})
        );
        assert_eq!(at("/paths/~1menu/parameters/0/$ref"), "#/components/parameters/Page");
        let tag = json!({"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}, "style": "form", "explode": true});
        assert_eq!(at("/paths/~1menu/get/parameters/0"), tag);
        let content = at("/paths/~1menu/get/responses/200/content");
        assert_eq!(content["application/xml"]["schema"]["items"]["$ref"], "#/components/schemas/Dish");
        assert_eq!(content["application/json"]["example"], json!([{"name": "soup"}]));
        assert_eq!(at("/paths/~1menu/get/responses/200/headers/X-Left/schema/type"), "integer");
        assert_eq!(at("/paths/~1menu/get/responses/404/$ref"), "#/components/responses/Missing");
        let body = at("/paths/~1menu/post/requestBody");
        assert_eq!(
            (&body["required"], &body["content"]["application/json"]["schema"]["$ref"]),
            (&json!(true), &json!("#/components/schemas/Dish"))
        );
        let form = at("/paths/~1photo/put/requestBody/content/multipart~1form-data/schema");
        assert_eq!(form["properties"]["file"], json!({"type": "string", "format": "binary"}));
        assert_eq!(form["required"], json!(["file"]));
        assert_eq!(at("/components/schemas/Dish/discriminator/propertyName"), "kind");
        assert_eq!(at("/components/schemas/Dish/properties/name/nullable"), true);
        assert_eq!(at("/components/securitySchemes/plain"), json!({"type": "http", "scheme": "basic"}));
        let found = extract(value).unwrap();
        assert_eq!((found.operations.len(), found.scopes[0].roles[0].0.as_str()), (3, "admin"));
        assert_eq!(found.operations[1].scopes, ["order"]);
    }

    #[test]
    fn what_is_wrong_in_it_is_found_where_it_then_stands() {
        for text in [
            "swagger: '2.0'",
            "swagger: 2.0\ninfo: 7\npaths: []",
            "swagger: '2.0'\ninfo: {title: a, version: '1'}\npaths: {/a: {get: {parameters: [7], responses: 5}}, /b: 7}",
            "swagger: '2.0'\ninfo: {title: a, version: '1'}\nparameters: {A: 7}\ndefinitions: {B: {items: 7}}\npaths: {/a: {post: {parameters: [{$ref: '#/parameters/C'}]}}}",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        assert!(!is_swagger2(&json!({"swagger": "1.2"})));
    }

    fn refusal(text: &str) -> FieldFault {
        match Document::parse(text) {
            Err(PublisherError::Definition(mut faults)) => faults.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn content_of_a_response_that_is_none_of_swagger_2_is_left_out() {
        let head = "swagger: '2.0'\ninfo: {title: a, version: '1'}\n";
        for content in ["y", "7", "[1]", "{text/plain: 7}"] {
            let response = format!("{{description: ok, content: {content}, examples: {{text/html: x}}}}");
            let text = format!("{head}paths: {{/a: {{get: {{responses: {{200: {response}}}}}}}}}");
            let document = Document::parse(&text).unwrap();
            let found = document.value.pointer("/paths/~1a/get/responses/200/content");
            assert_eq!(found, Some(&json!({"text/html": {"example": "x"}})), "{content}");
        }
    }

    #[test]
    fn what_would_become_too_large_is_refused_before_it_is() {
        let base = json!({"swagger": "2.0", "info": {"title": "a", "version": "1"}});
        let with = |more: Value| {
            let mut document = base.clone();
            document.as_object_mut().unwrap().extend(object(Some(more)));
            refusal(&document.to_string())
        };
        let large = json!({"description": "x".repeat(1 << 20)});
        let ok = json!({"200": {"description": "ok"}});
        let paths = |operation: &Value| -> Map<String, Value> {
            (0..100).map(|number| (format!("/{number}"), json!({"post": operation}))).collect()
        };
        let referring = paths(&json!({"parameters": [{"$ref": "#/parameters/A"}], "responses": ok}));
        for parameter in [
            json!({"name": "a", "in": "body", "schema": large}),
            json!({"name": "a", "in": "formData", "type": "string", "description": large["description"]}),
        ] {
            let fault = with(json!({"parameters": {"A": parameter}, "paths": referring}));
            assert_eq!(fault.place, "paths./9.post.parameters");
            assert!(fault.reason.contains("put the schemas into definitions"), "{}", fault.reason);
        }
        let kinds: Vec<String> = (0..NAMES_MAX).map(|number| format!("text/{number}")).collect();
        let get = json!({"responses": {"200": {"description": "ok", "schema": large}}});
        let fault = with(json!({"produces": kinds, "paths": {"/a": {"get": get}}}));
        assert_eq!(fault.place, "paths./a.get.responses.200");
        let mut many = kinds;
        many.push("text/other".to_owned());
        let fault = with(json!({"paths": {"/a": {"get": {"consumes": many, "responses": ok}}}}));
        assert_eq!((&*fault.place, fault.reason.contains("at most 32")), ("paths./a.get.consumes", true));
        let verbs = json!({"get": {"responses": ok}});
        let paths: Map<String, Value> = (0..=API_OPERATIONS_MAX).map(|n| (format!("/{n}"), verbs.clone())).collect();
        assert_eq!(with(json!({"paths": paths})).place, "paths");
        let small = json!({"a": [[1], "b"]});
        for (is_indented, text) in [(false, format!("{small}")), (true, format!("{small:#}"))] {
            assert_eq!(written_bytes(&small, text.len(), is_indented), Some(text.len()));
            assert_eq!(written_bytes(&small, text.len() - 1, is_indented), None);
        }
    }
}
