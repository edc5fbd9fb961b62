//! The archive of an API as another store gets it: what readers need, and nothing of how it is served here.

use portcullis_http::contract::hidden::hide_backends;
use portcullis_http::contract::wsdl::Kept;
use portcullis_http::zip::{self, Files};
use portcullis_model::document::DocumentVisibility;
use serde_json::{Value, json};

use crate::fault::PublisherError;

/// Files of an archive that another store has use for, and folders of such: whatever else an archive holds, stays here.
const SENT: [&str; 7] = [
    "api.json",
    "Definitions/swagger.json",
    "Definitions/asyncapi.json",
    "Definitions/schema.graphql",
    "Docs/",
    "Image/icon.",
    "WSDL/",
];
/// Fields of an API that say how it is served here, or name what another store need not have.
const FIELDS_LEFT_OUT: [&str; 17] = [
    "endpointConfig",
    "endpointImplementationType",
    "primaryProductionEndpointId",
    "primarySandboxEndpointId",
    "apiPolicies",
    "policies",
    "organizationPolicies",
    "apiThrottlingPolicy",
    "monetization",
    "keyManagers",
    "serviceInfo",
    "accessControl",
    "accessControlRoles",
    "visibleOrganizations",
    "categories",
    "maxTps",
    "websubSubscriptionConfiguration",
];
const OPERATION_FIELDS_LEFT_OUT: [&str; 2] = ["operationPolicies", "throttlingPolicy"];
/// How the fields of an operation begin that say which function answers it.
const OF_FUNCTIONS: &str = "amzn";
/// How extensions of a definition begin that say how calls are counted here.
const COUNTED_BY: &str = "x-throttling";
/// What of a definition in Swagger 2 says where its backend is.
const ADDRESSES: [&str; 3] = ["host", "basePath", "schemes"];

/// Makes the archive of an API that is only advertised out of that of the API: whoever finds it is sent to `there`.
///
/// # Errors
/// Where it cannot be read or written, which is a fault of this program.
pub(super) fn advertised(archive: &[u8], there: &str, owner: &str) -> Result<Vec<u8>, PublisherError> {
    let wrong = |reason: String| PublisherError::field("API", reason);
    let mut files: Files = zip::read(archive).map_err(wrong)?;
    files.retain(|name, _| {
        let within = name.split_once('/').map_or(name.as_str(), |(_, within)| within);
        SENT.iter().any(|sent| if sent.ends_with(['/', '.']) { within.starts_with(sent) } else { within == *sent })
    });
    leave_out_documents(&mut files);
    for (name, bytes) in &mut files {
        let within = name.split_once('/').map_or(name.as_str(), |(_, within)| within);
        if within.starts_with("Definitions/") && name.ends_with(".json") {
            let mut definition: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
            leave_out_places(&mut definition);
            *bytes = definition.to_string().into_bytes();
        } else if within.starts_with("WSDL/") {
            *bytes = with_address(std::mem::take(bytes), there).map_err(wrong)?;
        }
    }
    let api = files.iter_mut().find(|(name, _)| name.ends_with("/api.json"));
    let (_, bytes) = api.ok_or_else(|| wrong("the archive has no api.json".to_owned()))?;
    let mut document: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    let fields = document.get_mut("data").and_then(Value::as_object_mut);
    let fields = fields.ok_or_else(|| wrong("api.json has no data".to_owned()))?;
    fields.retain(|name, _| !FIELDS_LEFT_OUT.contains(&name.as_str()));
    for operation in fields.get_mut("operations").and_then(Value::as_array_mut).into_iter().flatten() {
        let operation = operation.as_object_mut();
        if let Some(operation) = operation {
            operation.retain(|name, _| {
                !OPERATION_FIELDS_LEFT_OUT.contains(&name.as_str()) && !name.starts_with(OF_FUNCTIONS)
            });
        }
    }
    let advertised = json!({
        "advertised": true,
        "apiExternalProductionEndpoint": null,
        "apiExternalSandboxEndpoint": null,
        "originalDevPortalUrl": there,
        "apiOwner": owner,
        "vendor": "WSO2",
    });
    fields.insert("advertiseInfo".to_owned(), advertised);
    // Where the API is of another tenant than the first, its path here begins with the tenant's, which means nothing there.
    let context = fields.get("context").and_then(Value::as_str).and_then(|context| context.strip_prefix("/t/"));
    if let Some(context) = context.and_then(|context| context.split_once('/')).map(|(_, own)| format!("/{own}")) {
        fields.insert("context".to_owned(), context.into());
    }
    *bytes = document.to_string().into_bytes();
    zip::write(&files).map_err(wrong)
}

/// Leaves out the documents that not everybody sees who sees the API.
fn leave_out_documents(files: &mut Files) {
    let is_shown = |bytes: &[u8]| {
        let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
        document["data"]["visibility"] == DocumentVisibility::ApiLevel.as_contract()
    };
    let folder = |(name, bytes): (&String, &Vec<u8>)| {
        let folder = name.strip_suffix("document.json").filter(|folder| folder.contains("/Docs/"))?;
        (!is_shown(bytes)).then(|| folder.to_owned())
    };
    let hidden: Vec<String> = files.iter().filter_map(folder).collect();
    files.retain(|name, _| !hidden.iter().any(|folder| name.starts_with(folder)));
}

/// Takes out of a definition where backends are, how gateways treat calls, and what mocks answer.
fn leave_out_places(definition: &mut Value) {
    let Some(top) = definition.as_object_mut() else { return };
    top.retain(|name, _| !ADDRESSES.contains(&name.as_str()));
    hide_backends(top, &[COUNTED_BY]);
}

/// Returns a WSDL, or an archive of them, with an address in the place of those of services.
fn with_address(bytes: Vec<u8>, address: &str) -> Result<Vec<u8>, String> {
    let kept = if bytes.starts_with(b"PK") {
        Kept::Archive(bytes)
    } else {
        Kept::Document(String::from_utf8(bytes).map_err(|error| error.to_string())?)
    };
    Ok(match kept.at(address)? {
        Kept::Document(text) => text.into_bytes(),
        Kept::Archive(bytes) => bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_how_an_api_is_served_leaves_this_system() {
        let api = json!({"type": "api", "data": {
            "name": "pizza", "context": "/t/shop.example/pizza", "endpointConfig": {"production_endpoints": {"url": "http://10.0.0.1"}}, "policies": ["Gold"],
            "operations": [{"target": "/menu", "verb": "GET", "operationPolicies": {"request": []},
                "amznResourceName": "arn:aws:lambda:eu-west-1:1:function:10.0.0.1"}],
            "websubSubscriptionConfiguration": {"enable": true, "secret": "10.0.0.1"},
        }});
        let document = |visibility: &str| json!({"data": {"visibility": visibility}}).to_string();
        let servers = json!([{"url": "http://10.0.0.1"}]);
        let get = json!({"servers": servers, "summary": "the menu", "x-mediation-script": "10.0.0.1", "x-wso2-a": 1,
            "x-amazon-apigateway-integration": {"uri": "10.0.0.1"},
            "callbacks": {"done": {"{$url}": {"post": {"servers": servers}}}},
            "responses": {"200": {"links": {"next": {"server": servers[0]}}}}});
        let definition = json!({"openapi": "3.0.3", "servers": servers, "x-throttling-tier": "Gold",
            "x-wso2-production-endpoints": {"urls": ["http://10.0.0.1"]},
            "webhooks": {"made": {"servers": servers, "post": {}}},
            "paths": {"/menu": {"servers": servers, "get": get}}});
        let wsdl = r#"<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/"><s:address location="http://10.0.0.1"/></w:definitions>"#;
        let files = [
            ("api.json", api.to_string()),
            ("endpoints.json", "{}".to_owned()),
            ("Endpoint-certificates/endpoint_certificates.json", "{}".to_owned()),
            ("Client-certificates/ann.crt", String::new()),
            ("SoapToRest/in/menu_get.xml", "<a/>".to_owned()),
            ("Policies/a.json", "{}".to_owned()),
            ("Newer/secrets.json", "10.0.0.1".to_owned()),
            ("Definitions/newer.json", "{}".to_owned()),
            ("api.json.before", "10.0.0.1".to_owned()),
            ("Docs/a/document.json", document("API_LEVEL")),
            ("Docs/b/document.json", document("PRIVATE")),
            ("Docs/b/b", "10.0.0.1".to_owned()),
            ("Definitions/swagger.json", definition.to_string()),
            ("WSDL/a.wsdl", wsdl.to_owned()),
        ];
        let files: Files =
            files.into_iter().map(|(name, text)| (format!("pizza-1.0.0/{name}"), text.into_bytes())).collect();
        let made = advertised(&zip::write(&files).unwrap(), "https://here/apis/1/overview", "cyd").unwrap();
        let made = zip::read(&made).unwrap();
        let names: Vec<&str> = made.keys().filter_map(|name| name.strip_prefix("pizza-1.0.0/")).collect();
        assert_eq!(names, ["Definitions/swagger.json", "Docs/a/document.json", "WSDL/a.wsdl", "api.json"]);
        for (name, bytes) in &made {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains("10.0.0.1") && !text.contains("Gold") && !text.contains("x-"), "{name}: {text}");
        }
        let definition: Value = serde_json::from_slice(&made["pizza-1.0.0/Definitions/swagger.json"]).unwrap();
        assert_eq!(
            definition["paths"]["/menu"]["get"],
            json!({
                "summary": "the menu", "callbacks": {"done": {"{$url}": {"post": {}}}}, "responses": {"200": {"links": {"next": {}}}},
            })
        );
        let text = String::from_utf8(made["pizza-1.0.0/api.json"].clone()).unwrap();
        let data = &serde_json::from_str::<Value>(&text).unwrap()["data"];
        assert!(!text.contains("operationPolicies"), "{text}");
        assert_eq!(data["advertiseInfo"]["originalDevPortalUrl"], "https://here/apis/1/overview");
        assert_eq!(data["context"], "/pizza");
        assert_eq!((&data["name"], &data["operations"][0]["verb"]), (&json!("pizza"), &json!("GET")));
    }
}
