//! Operation policies as the contract has them: what comes with the program, and the check of what is applied.

use portcullis_model::ApiKind;
use portcullis_model::asset::Asset;
use portcullis_model::mediation::{self, Flow, Kind, Parameter};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::fault::FieldFault;

/// Checks the policies of an API or of an operation.
pub fn check(place: &str, document: &Value, kind: ApiKind, faults: &mut Vec<FieldFault>) {
    if document.is_null() {
        return;
    }
    let (flows, bad) = mediation::flows_of(document);
    faults.extend(bad.into_iter().map(|bad| FieldFault::new(format!("{place}.{}", bad.place), bad.reason)));
    let is_empty = Flow::ALL.iter().all(|flow| flows.of(*flow).is_empty());
    if kind == ApiKind::Graphql && !is_empty && place != "apiPolicies" {
        faults.push(FieldFault::new(
            place,
            "policies of an API of GraphQL are those of the API as a whole: `apiPolicies`",
        ));
    }
    if kind == ApiKind::Ws && !is_empty {
        faults.push(FieldFault::new(place, "policies are for calls; the frames of a WebSocket pass as they are"));
    }
}

/// Returns the id of a policy that comes with the program: the same on every node and in every cluster.
#[must_use]
pub fn id_of(kind: &Kind) -> Uuid {
    let digest = Sha256::digest(format!("operation policy {} {}", kind.name, kind.version));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Writes a policy of the tenant's own, or of an API.
#[must_use]
pub fn write_own(asset: &Asset) -> Value {
    let own: Value = serde_json::from_str(&asset.document).unwrap_or_default();
    let mut body = own.get("specification").cloned().unwrap_or_else(|| json!({}));
    let digest = Sha256::digest(format!("{}{}", asset.document, asset.content));
    body["id"] = asset.id.to_string().into();
    body["isAPISpecific"] = asset.api.is_some().into();
    body["md5"] = hex::encode(&digest[..16]).into();
    body
}

/// Writes a policy that comes with the program.
#[must_use]
pub fn write(kind: &Kind) -> Value {
    let attribute = |parameter: &Parameter| {
        json!({
            "name": parameter.name,
            "displayName": parameter.title,
            "description": parameter.description,
            "validationRegex": null,
            "type": if parameter.allowed.is_empty() { parameter.kind } else { "Enum" },
            "required": parameter.is_required,
            "defaultValue": parameter.default,
            "allowedValues": parameter.allowed,
        })
    };
    let attributes: Vec<Value> = kind.parameters.iter().map(attribute).collect();
    let digest = Sha256::digest(json!([kind.name, kind.version, attributes]).to_string());
    json!({
        "category": "Mediation",
        "id": id_of(kind).to_string(),
        "name": kind.name,
        "version": kind.version,
        "displayName": kind.title,
        "description": kind.description,
        "applicableFlows": kind.flows.iter().map(|flow| flow.as_contract()).collect::<Vec<_>>(),
        "supportedGateways": ["Synapse"],
        "supportedApiTypes": if kind.is_for_ai() {
            json!([{"apiType": "HTTP", "subType": "AIAPI"}])
        } else {
            json!(["HTTP", "SOAP", "SOAPTOREST", "GRAPHQL", "SSE"])
        },
        "isAPISpecific": false,
        "md5": hex::encode(&digest[..16]),
        "policyAttributes": attributes,
    })
}
