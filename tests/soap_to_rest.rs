//! APIs of the type SOAPTOREST: made from WSDL, called by JSON and by query, and answered with JSON by a service of SOAP.

mod harness;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use harness::http::{Reply, archive_form, multipart};
use harness::journey::{self, Wish, text};
use harness::{Client, Cluster};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

const PUBLISHER: &str = "/api/am/publisher/v4";
const WSDL: &str = r#"<?xml version="1.0"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns="urn:menu" targetNamespace="urn:menu">
  <wsdl:types><xs:schema targetNamespace="urn:menu" elementFormDefault="qualified">
    <xs:element name="GetPrice"><xs:complexType><xs:sequence>
      <xs:element name="dish" type="xs:string"/><xs:element name="size" type="xs:int" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="Order"><xs:complexType><xs:sequence>
      <xs:element name="who" type="xs:string"/>
      <xs:element name="item" type="tns:Item" maxOccurs="unbounded"/>
      <xs:element name="note" type="xs:string" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:complexType name="Item"><xs:sequence><xs:element name="dish" type="xs:string"/><xs:element name="count" type="xs:int"/></xs:sequence></xs:complexType>
  </xs:schema></wsdl:types>
  <wsdl:message name="GetPriceIn"><wsdl:part name="parameters" element="tns:GetPrice"/></wsdl:message>
  <wsdl:message name="OrderIn"><wsdl:part name="parameters" element="tns:Order"/></wsdl:message>
  <wsdl:portType name="Menu">
    <wsdl:operation name="GetPrice"><wsdl:input message="tns:GetPriceIn"/></wsdl:operation>
    <wsdl:operation name="Order"><wsdl:input message="tns:OrderIn"/></wsdl:operation>
  </wsdl:portType>
  <wsdl:binding name="MenuSoap" type="tns:Menu">
    <soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>
    <wsdl:operation name="GetPrice"><soap:operation soapAction="urn:menu/GetPrice"/><wsdl:input><soap:body use="literal"/></wsdl:input></wsdl:operation>
    <wsdl:operation name="Order"><soap:operation soapAction="urn:menu/Order"/><wsdl:input><soap:body use="literal"/></wsdl:input></wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="Menu"><wsdl:port name="MenuSoap" binding="tns:MenuSoap"><soap:address location="http://inside.example/menu"/></wsdl:port></wsdl:service>
</wsdl:definitions>"#;

/// What came: method, path, action, media type and body.
type Came = Arc<Mutex<Vec<[String; 5]>>>;

/// Starts a service of SOAP: it has a price for every dish, and refuses orders without a name.
async fn service() -> (String, Came) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/menu", listener.local_addr().expect("an address"));
    let came: Came = Arc::default();
    let keeps = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keeps = Arc::clone(&keeps);
            let service = service_fn(move |request| answer(request, Arc::clone(&keeps)));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, came)
}

async fn answer(request: Request<Incoming>, came: Came) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned();
    let inner = if body.contains("<who>nobody</who>") {
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>Who?</faultstring></s:Fault>"
    } else {
        "<GetPriceResponse xmlns=\"urn:menu\"><price>7.5</price><dish>a &amp; b</dish></GetPriceResponse>"
    };
    let status = if inner.contains("Fault") { 500 } else { 200 };
    came.lock().expect("not poisoned").push([
        head.method.to_string(),
        head.uri.to_string(),
        header("soapaction"),
        header("content-type"),
        body,
    ]);
    let envelope = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{inner}</s:Body></s:Envelope>"
    );
    let response = Response::builder().status(status).header("content-type", "text/xml; charset=utf-8");
    Ok(response.body(Full::from(envelope)).expect("a response"))
}

async fn import(client: &Client, wsdl: &str, properties: &str) -> Reply {
    let (body, content_type) = multipart(&[
        ("file", Some("menu.wsdl"), wsdl),
        ("additionalProperties", None, properties),
        ("implementationType", None, "SOAPTOREST"),
    ]);
    let path = format!("{PUBLISHER}/apis/import-wsdl");
    client.send("POST", &path, &[("content-type", &content_type)], body).await.expect("a reply")
}

/// Has an API leave in an archive and come back, which does as it did; returns its new id.
async fn moved(admin: &Client, id: String) -> String {
    let exported = admin.get(&format!("{PUBLISHER}/apis/export?apiId={id}")).await.expect("export").expect(200);
    let names = String::from_utf8_lossy(&exported.body).into_owned();
    assert!(names.contains("SoapToRest/in/order_post.xml") && names.contains("SoapToRest/out/getPrice_get.xml"));
    admin.send("DELETE", &format!("{PUBLISHER}/apis/{id}"), &[], "").await.expect("delete").expect(200);
    let (form, content_type) = archive_form(&exported.body);
    let kind = [("content-type", content_type)];
    admin.send("POST", &format!("{PUBLISHER}/apis/import"), &kind, form).await.expect("import").expect(200);
    let found = admin.get(&format!("{PUBLISHER}/apis?query=name:menu")).await.expect("find").expect(200).json();
    assert_eq!(found["list"][0]["type"], "SOAPTOREST");
    text(&found["list"][0], "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_soap_is_called_by_json_and_by_query_and_its_messages_can_be_changed() {
    let cluster = Cluster::start(1).await;
    let node = &cluster.nodes[0];
    let admin = node.admin();
    let (url, came) = service().await;
    let properties = json!({
        "name": "menu", "context": "/menu", "version": "1.0.0", "policies": ["Unlimited"],
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": url}},
    })
    .to_string();
    let encoded = WSDL.replace("use=\"literal\"", "use=\"encoded\"");
    assert!(import(&admin, &encoded, &properties).await.expect(400).text().contains("encoded"));
    let made = import(&admin, WSDL, &properties).await.expect(201).json();
    assert_eq!(made["type"], "SOAPTOREST");
    let id = moved(&admin, text(&made, "id")).await;
    let path = format!("{PUBLISHER}/apis/{id}");
    let document = admin.get(&format!("{path}/swagger")).await.expect("get").expect(200).json();
    assert_eq!(document["paths"]["/getPrice"]["get"]["parameters"][1]["schema"]["type"], "integer", "{document}");
    let list = format!("{path}/resource-policies?sequenceType=in&resourcePath=order&verb=post");
    let listed = admin.get(&list).await.expect("list").expect(200).json();
    assert_eq!((&listed["count"], &listed["list"][0]["httpVerb"]), (&json!(1), &json!("post")));
    let content = text(&listed["list"][0], "content");
    assert!(
        content.contains("value=\"urn:menu/Order\"") && content.contains("expression=\"$.Order.who\""),
        "{content}"
    );
    admin.get(&format!("{path}/resource-policies")).await.expect("list").expect(400);

    journey::deploy(&admin, &id).await;
    let publish = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={id}");
    admin.send("POST", &publish, &[], "").await.expect("publish").expect(200);
    let subscribed = journey::subscribe(node, &Wish::new("menu", &url), id.clone()).await;
    let caller = node.gateway().with_bearer(&journey::token(node, &subscribed).await);
    let answer = caller.get("/menu/1.0.0/getPrice?dish=a%20%26%20b").await.expect("call").expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!({"GetPriceResponse": {"price": 7.5, "dish": "a & b"}}));
    let order = json!({"Order": {"who": "ann", "item": [{"dish": "soup", "count": 2}, {"dish": "<b>", "count": 1}]}});
    caller.json("POST", "/menu/1.0.0/order", &order).await.expect("call").expect(200);
    let nobody = json!({"Order": {"who": "nobody", "item": []}});
    let fault = caller.json("POST", "/menu/1.0.0/order", &nobody).await.expect("call").expect(500).json();
    assert_eq!(fault["Fault"]["faultstring"], "Who?");
    caller.send("POST", "/menu/1.0.0/order", &[], "no json").await.expect("call").expect(400);

    let envelope = |inner: &str| {
        format!(
            "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Header/><soapenv:Body>\
             {inner}</soapenv:Body></soapenv:Envelope>"
        )
    };
    let expected = [
        ("GetPrice", "<GetPrice xmlns=\"urn:menu\"><dish>a &amp; b</dish></GetPrice>"),
        (
            "Order",
            "<Order xmlns=\"urn:menu\"><who>ann</who><item><dish>soup</dish><count>2</count></item>\
             <item><dish>&lt;b&gt;</dish><count>1</count></item></Order>",
        ),
        ("Order", "<Order xmlns=\"urn:menu\"><who>nobody</who></Order>"),
    ];
    let expected = expected.map(|(action, inner)| {
        let action = format!("\"urn:menu/{action}\"");
        ["POST".to_owned(), "/menu".to_owned(), action, "text/xml; charset=utf-8".to_owned(), envelope(inner)]
    });
    assert_eq!(*came.lock().expect("not poisoned"), expected);

    // Another message, from the next revision on.
    let one = format!("{path}/resource-policies/{}", text(&listed["list"][0], "id"));
    let changed = content.replace("<who>$1</who>", "<who>Dr. $1</who>");
    let put = admin.json("PUT", &one, &json!({"content": changed})).await.expect("put").expect(200).json();
    assert_eq!(put["content"], json!(changed));
    let wrong = json!({"content": "<script language=\"js\">1</script>"});
    assert!(admin.json("PUT", &one, &wrong).await.expect("put").expect(400).text().contains("script"));
    journey::deploy(&admin, &id).await;
    caller.json("POST", "/menu/1.0.0/order", &order).await.expect("call").expect(200);
    let last = came.lock().expect("not poisoned").last().expect("a message")[4].clone();
    assert!(last.contains("<who>Dr. ann</who>"), "{last}");
}
