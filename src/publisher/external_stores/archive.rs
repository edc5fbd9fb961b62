//! The archive of an API as another store gets it: what readers need, and nothing of how it is served here.

use portcullis_http::zip::{self, Files};
use serde_json::{Value, json};

use crate::fault::PublisherError;

/// Folders and files of an archive that another store has no use for, or should not see.
const LEFT_OUT: [&str; 5] =
    ["deployment_environments", "endpoints", "sequence_backends", "Policies/", "Definitions/graphql-complexity"];
/// Fields of an API that say how it is served here, or name what another store need not have.
const FIELDS_LEFT_OUT: [&str; 16] = [
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
];
const OPERATION_FIELDS_LEFT_OUT: [&str; 2] = ["operationPolicies", "throttlingPolicy"];

/// Makes the archive of an API that is only advertised out of that of the API: whoever finds it is sent to `there`.
///
/// # Errors
/// Where it cannot be read or written, which is a fault of this program.
pub(super) fn advertised(archive: &[u8], there: &str, owner: &str) -> Result<Vec<u8>, PublisherError> {
    let wrong = |reason: String| PublisherError::field("API", reason);
    let mut files: Files = zip::read(archive).map_err(wrong)?;
    files.retain(|name, _| {
        let within = name.split_once('/').map_or(name.as_str(), |(_, within)| within);
        !LEFT_OUT.iter().any(|left_out| within.starts_with(left_out))
    });
    let api = files.iter_mut().find(|(name, _)| name.ends_with("/api.json"));
    let (_, bytes) = api.ok_or_else(|| wrong("the archive has no api.json".to_owned()))?;
    let mut document: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    let fields = document.get_mut("data").and_then(Value::as_object_mut);
    let fields = fields.ok_or_else(|| wrong("api.json has no data".to_owned()))?;
    fields.retain(|name, _| !FIELDS_LEFT_OUT.contains(&name.as_str()));
    for operation in fields.get_mut("operations").and_then(Value::as_array_mut).into_iter().flatten() {
        let operation = operation.as_object_mut();
        if let Some(operation) = operation {
            operation.retain(|name, _| !OPERATION_FIELDS_LEFT_OUT.contains(&name.as_str()));
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
    *bytes = document.to_string().into_bytes();
    zip::write(&files).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_how_an_api_is_served_leaves_this_system() {
        let api = json!({"type": "api", "data": {
            "name": "pizza", "endpointConfig": {"production_endpoints": {"url": "http://10.0.0.1"}}, "policies": ["Gold"],
            "operations": [{"target": "/menu", "verb": "GET", "operationPolicies": {"request": []}}],
        }});
        let files = [
            ("api.json", api.to_string()),
            ("endpoints.json", "{}".to_owned()),
            ("Policies/a.json", "{}".to_owned()),
            ("Docs/a/document.json", "{}".to_owned()),
        ];
        let files: Files =
            files.into_iter().map(|(name, text)| (format!("pizza-1.0.0/{name}"), text.into_bytes())).collect();
        let made = advertised(&zip::write(&files).unwrap(), "https://here/apis/1/overview", "cyd").unwrap();
        let made = zip::read(&made).unwrap();
        assert_eq!(made.keys().collect::<Vec<_>>(), ["pizza-1.0.0/Docs/a/document.json", "pizza-1.0.0/api.json"]);
        let text = String::from_utf8(made["pizza-1.0.0/api.json"].clone()).unwrap();
        let data = &serde_json::from_str::<Value>(&text).unwrap()["data"];
        assert!(!text.contains("10.0.0.1") && !text.contains("Gold") && !text.contains("operationPolicies"), "{text}");
        assert_eq!(data["advertiseInfo"]["originalDevPortalUrl"], "https://here/apis/1/overview");
        assert_eq!((&data["name"], &data["operations"][0]["verb"]), (&json!("pizza"), &json!("GET")));
    }
}
