//! SOAP: APIs made from WSDL, their calls passed on as they are, and their faults in envelopes.

mod harness;

use harness::backend::Backend;
use harness::http::{Reply, multipart};
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use serde_json::json;

const PUBLISHER: &str = "/api/am/publisher/v4";
const DEVPORTAL: &str = "/api/am/devportal/v3";
const WSDL: &str = r#"<?xml version="1.0"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
  <wsdl:service name="Menu">
    <wsdl:port name="MenuSoap" binding="x"><soap:address location="http://inside.example/menu"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>"#;
const CALL: &str =
    r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><menu/></s:Body></s:Envelope>"#;

async fn send(client: &Client, verb: &str, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Reply {
    let (body, content_type) = multipart(parts);
    client.send(verb, path, &[("content-type", &content_type)], body).await.expect("a reply")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_soap_is_imported_called_and_shown_with_the_gateways_address() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let backend = Backend::start("menu").await;
    let url = backend.url();
    let validate = format!("{PUBLISHER}/apis/validate-wsdl");
    let wrong = send(&admin, "POST", &validate, &[("file", Some("a"), "<html/>")]).await.expect(200).json();
    assert_eq!(wrong["isValid"], false);
    assert!(text(&wrong["errors"][0], "description").contains("line 1: this is no WSDL"), "{wrong}");
    let good = send(&admin, "POST", &validate, &[("file", Some("a"), WSDL)]).await.expect(200).json();
    let endpoint = json!({"name": "MenuSoap", "location": "http://inside.example/menu"});
    assert_eq!(
        (&good["isValid"], &good["wsdlInfo"]),
        (&json!(true), &json!({"version": "1.1", "endpoints": [endpoint]}))
    );

    let properties = json!({
        "name": "menu", "context": "/menu", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": url}},
    });
    let properties = properties.to_string();
    let parts = [("file", Some("menu.wsdl"), WSDL), ("additionalProperties", None, properties.as_str())];
    let import = format!("{PUBLISHER}/apis/import-wsdl");
    let rest = [&parts[..], &[("implementationType", None, "SOAPTOREST")]].concat();
    assert!(send(&admin, "POST", &import, &rest).await.expect(400).text().contains("has no binding of SOAP"));
    let made = send(&admin, "POST", &import, &parts).await.expect(201).json();
    assert_eq!((&made["type"], &made["wsdlInfo"]), (&json!("SOAP"), &json!({"type": "WSDL"})));
    assert_eq!((&made["operations"][0]["verb"], &made["operations"][0]["target"]), (&json!("POST"), &json!("/*")));
    let id = text(&made, "id");
    let path = format!("{PUBLISHER}/apis/{id}");
    let shown = admin.get(&format!("{path}/wsdl")).await.expect("wsdl").expect(200);
    assert_eq!((shown.text(), shown.header("content-type")), (WSDL.to_owned(), "application/wsdl+xml"));
    let info = admin.get(&format!("{path}/wsdl-info")).await.expect("info").expect(200).json();
    assert_eq!(info, json!({"type": "WSDL"}));
    send(&admin, "PUT", &format!("{path}/wsdl"), &[("file", Some("a"), "<a/>")]).await.expect(400);
    send(&admin, "PUT", &format!("{path}/wsdl"), &[("file", Some("a"), WSDL)]).await.expect(200);

    journey::deploy(&admin, &id).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let of_store = node.anonymous().get(&format!("{DEVPORTAL}/apis/{id}/wsdl")).await.expect("wsdl").expect(200);
    assert!(
        of_store.text().contains("8243/menu/1.0.0\"/>") && !of_store.text().contains("inside.example"),
        "{}",
        of_store.text()
    );

    let subscribed = journey::subscribe(node, &Wish::new("menu", &url), id.clone()).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &subscribed).await);
    let soap = [("content-type", "text/xml; charset=utf-8"), ("soapaction", "\"urn:menu\"")];
    let answer = caller.send("POST", "/menu/1.0.0/", &soap, CALL).await.expect("call").expect(200).json();
    assert_eq!((&answer["headers"]["soapaction"], &answer["bytes"]), (&json!("\"urn:menu\""), &json!(CALL.len())));
    let fault = node.gateway().send("POST", "/menu/1.0.0/", &soap, CALL).await.expect("call").expect(401);
    assert_eq!(fault.header("content-type"), "text/xml; charset=UTF-8");
    assert!(
        fault.text().contains("<faultcode>soapenv:Client</faultcode>") && fault.text().contains("900902"),
        "{}",
        fault.text()
    );
    let newer = [("content-type", "application/soap+xml")];
    let fault = node.gateway().send("POST", "/menu/1.0.0/", &newer, CALL).await.expect("call").expect(401);
    assert!(fault.text().contains("http://www.w3.org/2003/05/soap-envelope"), "{}", fault.text());

    let archive = admin.get(&format!("{PUBLISHER}/apis/export?apiId={id}")).await.expect("export").expect(200);
    assert!(String::from_utf8_lossy(&archive.body).contains("menu-1.0.0/WSDL/menu-1.0.0.wsdl"));
    admin.get(&format!("{PUBLISHER}/apis/{id}/graphql-schema")).await.expect("schema").expect(404);
}
