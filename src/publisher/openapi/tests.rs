//! Good and bad documents, and what is read out of and written into them.

use portcullis_model::OperationAuth;
use portcullis_model::user::{Role, Username};
use portcullis_model::{ApiId, TenantDomain};
use serde_json::{Value, json};

use super::extract::extract;
use super::write::{generate, with_operations};
use super::{Document, OpenapiVersion};
use crate::dto::api::blank;
use crate::dto::operations;
use crate::fault::{FieldFault, PublisherError};

const PIZZA_YAML: &str = r#"
openapi: 3.0.3
info:
  title: PizzaShackAPI
  version: 1.0.0
  description: Orders pizza.
x-wso2-basePath: /pizzashack/1.0.0
x-wso2-production-endpoints:
  type: load_balance
  urls: ["https://a.example/api", "https://b.example/api"]
x-wso2-cors: {access-control-allow-origins: ["https://shop.example"]}
paths:
  /menu:
    get:
      x-auth-type: None
      responses:
        200:
          description: the menu
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Menu'}
  /order/{orderId}:
    parameters:
      - {name: orderId, in: path, required: true, schema: {type: string}}
    put:
      x-auth-type: Application User
      x-throttling-tier: 10KPerMin
      security: [{shop: [order_write]}]
      responses: {'200': {description: OK}}
components:
  schemas:
    Menu: {type: array, items: {type: string}}
  securitySchemes:
    shop:
      type: oauth2
      flows:
        implicit:
          authorizationUrl: https://shop.example
          scopes: {order_write: places orders}
          x-scopes-bindings: {order_write: "chef, Internal/subscriber"}
"#;

fn faults(text: &str) -> Vec<FieldFault> {
    match Document::parse(text).and_then(|document| extract(&document.value)) {
        Err(PublisherError::Definition(faults)) => faults,
        other => panic!("the document was meant to be refused: {other:?}"),
    }
}

#[test]
fn a_yaml_document_of_3_0_gives_operations_scopes_and_endpoints() {
    let document = Document::parse(PIZZA_YAML).unwrap();
    assert_eq!(document.version, OpenapiVersion::V3_0);
    assert_eq!(&*document.text, PIZZA_YAML, "the text is kept as it was given");
    let extracted = extract(&document.value).unwrap();
    assert_eq!((extracted.title.as_str(), extracted.version.as_str()), ("PizzaShackAPI", "1.0.0"));
    let [menu, order] = &extracted.operations[..] else { panic!("two operations: {:?}", extracted.operations) };
    assert_eq!((menu.verb.as_str(), menu.target.as_str(), menu.auth), ("GET", "/menu", OperationAuth::None));
    assert_eq!((order.verb.as_str(), order.auth), ("PUT", OperationAuth::ApplicationUser));
    assert_eq!((order.policy.as_str(), &order.scopes[..]), ("10KPerMin", &["order_write".to_owned()][..]));
    let roles = ["chef", "Internal/subscriber"].map(|role| Role(role.to_owned()));
    assert_eq!(extracted.scopes[0].roles, roles);
    assert_eq!(extracted.fields["context"], "/pizzashack");
    assert_eq!(extracted.fields["endpointConfig"]["endpoint_type"], "load_balance");
    assert_eq!(extracted.fields["corsConfiguration"]["corsConfigurationEnabled"], true);
}

#[test]
fn a_json_document_of_3_1_is_read_too() {
    let text = json!({
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "2", "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": {"/things": {"get": {"responses": {"200": {"description": "OK", "content": {
            "application/json": {"schema": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Thing"}}}
        }}}}}},
        "components": {"schemas": {"Thing": {"type": "object", "properties": {"n": {"exclusiveMinimum": 3}}}}},
        "webhooks": {},
    });
    let document = Document::parse(&text.to_string()).unwrap();
    assert_eq!(document.version, OpenapiVersion::V3_1);
    assert_eq!(extract(&document.value).unwrap().operations.len(), 1);
}

#[test]
fn a_malformed_document_is_refused_with_its_place() {
    let [fault] = &faults("{\n  \"openapi\": \"3.0.0\",\n  \"info\": }")[..] else { panic!("one fault") };
    assert_eq!(fault.place, "line 3, column 11");
    let [fault] = &faults("openapi: 3.0.0\ninfo: {title: [\n")[..] else { panic!("one fault") };
    assert!(fault.place.starts_with("line ") && fault.reason.starts_with("not valid YAML"), "{fault:?}");
    for (text, reason) in [
        ("", "empty"),
        ("just words", "must be an object"),
        ("swagger: '1.2'\ninfo: {}", "Swagger 1.2 document"),
        ("openapi: 4.0.0", "OpenAPI 3.0 and 3.1 and Swagger 2.0 are accepted"),
        ("info: {}", "OpenAPI 3.0 and 3.1 and Swagger 2.0 are accepted"),
    ] {
        let found = faults(text);
        assert!(found[0].reason.contains(reason), "{text}: {found:?}");
    }
}

#[test]
fn every_fault_of_a_document_is_told_with_its_path() {
    let text = json!({
        "openapi": "3.0.0",
        "info": {"version": "1"},
        "paths": {
            "menu": {"get": {"responses": {}}},
            "/a": {"get": {"operationId": "x"}, "put": {"operationId": "x", "responses": {}}},
            "/b": {"get": {"responses": {"200": {"$ref": "#/components/responses/Missing"}}}},
            "/c": {"$ref": "other.yaml#/c"},
        },
        "components": {"schemas": {"S": {"type": "object", "properties": 7}}},
    });
    let places: Vec<String> = faults(&text.to_string()).into_iter().map(|fault| fault.place).collect();
    for place in ["info", "paths.menu", "paths./a.get", "paths./a.put", "paths./b.get.responses.200", "paths./c"] {
        assert!(places.iter().any(|one| one == place), "{place} in {places:?}");
    }
    assert!(places.iter().any(|one| one == "components.schemas.S"), "{places:?}");
}

#[test]
fn a_document_that_would_grow_without_end_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [format!("*a{before}").as_str(); 9].join(", ")));
    }
    assert!(faults(&bomb)[0].reason.contains("not valid YAML"));
    for nested in ["{\"a\":", "[", "- ", "a: {"] {
        assert!(!faults(&nested.repeat(100_000)).is_empty(), "nesting is bounded: {nested}");
    }
}

#[test]
fn a_document_follows_the_operations_of_its_api_and_keeps_the_rest() {
    let document = Document::parse(PIZZA_YAML).unwrap();
    let extracted = extract(&document.value).unwrap();
    let mut api = blank(ApiId::from_random([1; 16]), TenantDomain::super_tenant(), Username("admin".to_owned()));
    api.scopes = extracted.scopes;
    api.operations = extracted.operations;
    let order = api.operations.remove(1);
    api.operations[0].auth = OperationAuth::Any;
    api.operations.push(portcullis_model::Operation { target: "/cook/{id}".to_owned(), ..order });
    let written = with_operations(document.value, &api);
    assert_eq!(extract(&written).unwrap().operations, api.operations);
    assert_eq!(written.pointer("/paths/~1menu/get/responses/200/description"), Some(&json!("the menu")));
    assert_eq!(written.pointer("/paths/~1order~1{orderId}"), None);
    Document::parse(&written.to_string()).expect("what is written can be read again");
}

#[test]
fn a_new_document_says_what_the_api_says() {
    let mut api = blank(ApiId::from_random([1; 16]), TenantDomain::super_tenant(), Username("admin".to_owned()));
    (api.name, api.version) = ("Any".to_owned(), "1.0".to_owned());
    api.operations = operations::defaults(api.kind);
    let document: Value = generate(&api);
    let parsed = Document::parse(&document.to_string()).unwrap();
    assert_eq!(extract(&parsed.value).unwrap().operations, api.operations);
}

/// Returns a document whose schema `S` is `leaf`, wrapped `depth` times.
fn nested(leaf: &str, depth: usize, wrap: impl Fn(&str) -> String) -> String {
    let schema = (0..depth).fold(leaf.to_owned(), |inner, _| wrap(&inner));
    format!(
        r#"{{"openapi":"3.0.0","info":{{"title":"a","version":"1"}},"paths":{{}},"components":{{"schemas":{{"S":{schema}}}}}}}"#
    )
}

#[test]
fn a_fault_far_down_is_found_at_its_place_and_soon() {
    let began = std::time::Instant::now();
    type Wrap = fn(&str) -> String;
    let wraps: [(&str, Wrap); 3] = [
        (".properties.a", |inner| format!(r#"{{"type":"object","properties":{{"a":{inner}}}}}"#)),
        (".additionalProperties", |inner| format!(r#"{{"type":"object","additionalProperties":{inner}}}"#)),
        (".allOf[0]", |inner| format!(r#"{{"allOf":[{inner}]}}"#)),
    ];
    for (step, wrap) in wraps {
        let found = faults(&nested(r#"{"type":7}"#, 24, wrap));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, format!("components.schemas.S{}", step.repeat(24)));
        Document::parse(&nested(r#"{"type":"string"}"#, 24, wrap)).unwrap();
    }
    let content = |schema: &str| {
        json!({"openapi": "3.0.0", "info": {"title": "a", "version": "1"}, "paths": {"/a": {"get": {
            "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "OK", "headers": {"x": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": schema}}}}}}}}})
    };
    Document::parse(&content("string").to_string()).unwrap();
    let mut wrong = content("string");
    wrong["paths"]["/a"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["type"] = json!(7);
    let found = faults(&wrong.to_string());
    assert_eq!(found[0].place, "paths./a.get.responses.200.content.application/json.schema");
    // Without a bound it would take hours; the limit is wide because machines are slow.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn long_names_above_many_parts_cost_no_more_than_reading_them() {
    let many = format!(r#"{{"x":[{}{{}}]}}"#, r#"{"a":1},"#.repeat(100_000));
    let text = nested(&many, 20, |inner| format!(r#"{{"{}":{inner}}}"#, "k".repeat(50_000)));
    let began = std::time::Instant::now();
    Document::parse(&text).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
