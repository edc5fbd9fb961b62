//! Tests of documents in other languages than OpenAPI.

use portcullis_http::zip;
use portcullis_model::api::OperationAuth;
use portcullis_model::{Api, ApiId, ApiKind, Operation, TenantDomain, Username};
use serde_json::{Value, json};

use super::*;
use crate::dto::api::blank;

fn api(kind: ApiKind, operations: Vec<Operation>) -> Api {
    let blank = blank(ApiId::from_random([1; 16]), TenantDomain::super_tenant(), Username("admin".to_owned()));
    Api { kind, operations, name: "Room".to_owned(), version: "1.0".to_owned(), ..blank }
}

fn faults<T: std::fmt::Debug>(read: Result<T, PublisherError>) -> Vec<FieldFault> {
    match read {
        Err(PublisherError::Definition(faults) | PublisherError::Fields(faults)) => faults,
        other => panic!("it was meant to be refused: {other:?}"),
    }
}

fn named(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(key_of).collect()
}

const STREETLIGHTS: &str = r"asyncapi: 2.6.0
info: {title: 'Street lights!', version: '1.0', description: the lights}
servers:
  dev: {url: 'ws://lights.example/feed', protocol: ws}
channels:
  light/measured:
    subscribe: {message: {payload: {type: object}}, x-auth-type: None}
    publish: {x-scopes: [dim]}
  '/light/{id}':
    subscribe: {}
";

#[test]
fn the_channels_of_a_document_are_the_operations_of_its_api() {
    let (design, document) = asyncapi::read(STREETLIGHTS).unwrap();
    let wanted = ["SUBSCRIBE /light/measured", "PUBLISH /light/measured", "SUBSCRIBE /light/{id}"];
    assert_eq!(named(&design.operations), wanted);
    assert_eq!(design.operations[0].auth, OperationAuth::None);
    assert_eq!(design.operations[1].scopes, ["dim"]);
    assert_eq!((design.kind, &design.fields["name"]), (ApiKind::Ws, &json!("Street lights")));
    assert_eq!(design.fields["endpointConfig"]["production_endpoints"]["url"], "ws://lights.example/feed");
    let mut streams = api(ApiKind::Ws, design.operations);
    streams.operations.remove(2);
    streams.operations[0].auth = OperationAuth::Any;
    let written = asyncapi::with_operations(document, &streams).unwrap();
    let (again, _) = asyncapi::read(&written.to_string()).unwrap();
    assert_eq!(again.operations, streams.operations);
    let message = written.pointer("/channels/light~1measured/subscribe/message/payload/type");
    assert_eq!(message, Some(&json!("object")), "what else is said stays");
}

#[test]
fn in_version_3_what_the_api_sends_is_what_clients_subscribe_to() {
    let document = json!({
        "asyncapi": "3.0.0", "info": {"title": "Chat", "version": "2"},
        "servers": {"one": {"host": "chat.example:81", "pathname": "/x", "protocol": "wss"}},
        "channels": {"room": {"address": "rooms/{room}"}, "all": {}},
        "operations": {
            "told": {"action": "send", "channel": {"$ref": "#/channels/room"}},
            "said": {"action": "receive", "channel": {"$ref": "#/channels/all"}},
        },
    });
    let (design, document) = asyncapi::read(&document.to_string()).unwrap();
    assert_eq!(named(&design.operations), ["SUBSCRIBE /rooms/{room}", "PUBLISH /all"]);
    assert_eq!(asyncapi::servers(&document)[0].0, "wss://chat.example:81/x");
    assert!(asyncapi::with_operations(document, &api(ApiKind::Ws, Vec::new())).is_err());
}

#[test]
fn what_is_no_asyncapi_document_is_refused_with_its_place() {
    for (text, said) in [
        ("", "empty"),
        ("asyncapi: 1.2.0\ninfo: {title: a, version: b}\nchannels: {}", "asyncapi: is 1.2.0"),
        ("asyncapi: 2.0.0\nchannels: {}", "info.title: must be there"),
        ("asyncapi: 2.0.0\ninfo: {title: a, version: b}", "channels: must be there"),
        ("openapi: 3.0.0", "OpenAPI"),
        ("asyncapi: 2.0.0\ninfo: {title: a, version: b}\nchannels: {'a b': {subscribe: {}}}", "channels.a b"),
    ] {
        let found = faults(asyncapi::read(text));
        assert!(found.iter().any(|fault| fault.text().contains(said)), "{text}: {found:?}");
    }
}

#[test]
fn topics_become_operations_and_each_wrong_one_is_named() {
    let body = |topics: Value| match json!({"list": topics}) {
        Value::Object(body) => body,
        _ => unreachable!("an object"),
    };
    let good = json!([{"name": "room", "mode": "publish", "description": "x"}, {"name": "/room", "mode": "SUBSCRIBE"}]);
    assert_eq!(named(&topics::read(body(good.clone()), ApiKind::Ws).unwrap()), ["PUBLISH /room", "SUBSCRIBE /room"]);
    assert_eq!(faults(topics::read(body(good), ApiKind::Sse))[0].place, "list[0].mode");
    let wrong =
        json!([{"name": "a b", "mode": "SUBSCRIBE"}, {"mode": "SUBSCRIBE"}, {"name": "x".repeat(51), "mode": "?"}]);
    let places: Vec<String> = faults(topics::read(body(wrong), ApiKind::Ws)).into_iter().map(|one| one.place).collect();
    for place in ["list[0].name", "list[1].name", "list[2].name"] {
        assert!(places.iter().any(|one| one == place), "{place} in {places:?}");
    }
    assert_eq!(faults(topics::read(body(json!([])), ApiKind::Ws))[0].place, "list");
}

const MENU_WSDL: &str = r#"<?xml version="1.0"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
  <wsdl:service name="MenuService">
    <wsdl:port name="MenuSoap" binding="x"><soap:address location="http://inside.example/menu"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>"#;

#[test]
fn a_wsdl_document_says_where_its_services_are() {
    let (design, wsdl) = wsdl::read(MENU_WSDL.as_bytes()).unwrap();
    assert_eq!((wsdl.version, wsdl.service.as_str()), ("1.1", "MenuService"));
    assert_eq!(wsdl.endpoints, [("MenuSoap".to_owned(), "http://inside.example/menu".to_owned())]);
    assert_eq!(
        (named(&design.operations), &design.fields["name"]),
        (vec!["POST /*".to_owned()], &json!("MenuService"))
    );
    let newer = r#"<description xmlns="http://www.w3.org/ns/wsdl"><service name="S"><endpoint name="e" address="http://a"/></service></description>"#;
    let (_, wsdl) = wsdl::read(newer.as_bytes()).unwrap();
    assert_eq!((wsdl.version, wsdl.endpoints.len()), ("2.0", 1));
}

#[test]
fn an_archive_has_one_wsdl_at_its_root() {
    let pack = |names: &[&str]| {
        let files = names.iter().map(|name| ((*name).to_owned(), MENU_WSDL.as_bytes().to_vec())).collect();
        zip::write(&files).unwrap()
    };
    let archive = pack(&["menu.wsdl", "parts/other.wsdl"]);
    let (design, _) = wsdl::read(&archive).unwrap();
    assert_eq!(wsdl::kept(&design.text), Some(wsdl::Kept::Archive(archive)));
    assert!(faults(wsdl::read(&pack(&["a.wsdl", "b.wsdl"])))[0].reason.contains("2 files .wsdl"));
    assert!(faults(wsdl::read(&pack(&["in/a.wsdl"])))[0].reason.contains("0 files .wsdl"));
    let large = [("a.wsdl".to_owned(), MENU_WSDL.as_bytes().to_vec()), ("a.xsd".to_owned(), vec![b' '; 8 << 20])];
    let refused = faults(wsdl::read(&zip::write(&zip::Files::from(large)).unwrap()));
    assert!(refused[0].reason.contains("more than 8388608 bytes"), "{refused:?}");
}

#[test]
fn what_is_no_wsdl_is_refused_with_its_line() {
    for (text, line, said) in [
        ("<html>\n</html>", "line 1", "begins with <html>"),
        ("<definitions>\n<service>\n</definitions>", "line 3", "not valid XML"),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]>\n<definitions/>", "line 1", "DOCTYPE"),
        ("", "line 1", "no WSDL"),
        ("<definitions>", "line 1", "not closed"),
    ] {
        let found = faults(wsdl::read(text.as_bytes()));
        assert!(found[0].place == line && found[0].reason.contains(said), "{text}: {found:?}");
    }
    assert!(faults(wsdl::read("<definitions>".repeat(500).as_bytes()))[0].reason.contains("nested"));
}

#[test]
fn a_schema_keeps_what_was_said_of_the_operations_that_stay() {
    let design = graphql::read("type Query { menu: Int chef: Int }").unwrap();
    let mut before = design.operations.clone();
    before[0].policy = "10KPerMin".to_owned();
    before.remove(1);
    let after = settled(design.operations.clone(), &before);
    assert_eq!((named(&after), after[0].policy.as_str()), (named(&design.operations), "10KPerMin"));
    let current = api(ApiKind::Graphql, after);
    let fewer = api(ApiKind::Graphql, before);
    assert!(faults(in_step("type Query { menu: Int chef: Int }", &current, &fewer))[0].reason.contains("QUERY chef"));
    assert_eq!(faults(graphql::read("type Query {\n  menu: Dish\n}"))[0].place, "line 2, column 9");
}

#[test]
fn costs_are_those_of_fields_that_the_schema_has() {
    let (_, schema) = graphql::parse("type Query { menu: Dish } type Dish { price: Int }").unwrap();
    let read = |list: Value| {
        let body = [("list".to_owned(), list)].into_iter().collect();
        graphql::read_costs(body, &schema)
    };
    let costs = read(json!([{"type": "Dish", "field": "price", "complexityValue": 3}])).unwrap();
    assert_eq!((costs[0].kind.as_str(), costs[0].cost), ("Dish", 3));
    for wrong in [
        json!([{"type": "Dish", "field": "name", "complexityValue": 3}]),
        json!([{"type": "Dish", "field": "price"}]),
        json!([{"type": "Dish", "field": "price", "complexityValue": -1}]),
        json!([7]),
    ] {
        assert!(faults(read(wrong.clone()))[0].place.starts_with("list[0]"), "{wrong}");
    }
}
