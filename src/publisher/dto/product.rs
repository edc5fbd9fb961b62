//! API products as the contract has them: what is written of one, and which operations of which APIs are meant.

use portcullis_model::product::{PRODUCT_APIS_MAX, parts_of};
use portcullis_model::{Api, ApiKind};
use serde_json::{Map, Value, json};

use super::api_body::write_summary;
use super::fields::{Fields, name_of_type};
use super::operations::key_of;
use crate::fault::FieldFault;

/// The version of a product whose publisher names none.
pub const FIRST_VERSION: &str = "1.0.0";

/// Operations of one API that are meant to be in a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The API's id.
    pub id: String,
    /// The operations by `VERB target`.
    pub operations: Vec<String>,
}

/// Takes what a product is put together from out of its body.
///
/// # Errors
/// Every fault found.
pub fn read_meant(body: &mut Map<String, Value>) -> Result<Vec<Meant>, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let items = match body.shift_remove("apis") {
        Some(Value::Array(items)) if (1..=PRODUCT_APIS_MAX).contains(&items.len()) => items,
        _ => {
            let reason = format!("must be a list of 1 to {PRODUCT_APIS_MAX} APIs with their operations");
            return Err(vec![FieldFault::new("apis", reason)]);
        }
    };
    let read = items.into_iter().enumerate().filter_map(|(number, item)| read_one(number, item, &mut faults)).collect();
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

fn read_one(number: usize, item: Value, faults: &mut Vec<FieldFault>) -> Option<Meant> {
    let place = format!("apis[{number}]");
    let Value::Object(map) = item else {
        faults.push(FieldFault::new(place, format!("must be an object, not {}", name_of_type(&item))));
        return None;
    };
    let mut fields = Fields::new(format!("{place}."), map);
    let id = fields.text("apiId", 64);
    let operations = fields.list("operations", portcullis_model::limit::API_OPERATIONS_MAX).unwrap_or_default();
    fields.finish_into(faults);
    let key = |operation: &Value| {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        Some(format!("{} {}", text("verb")?.to_ascii_uppercase(), text("target")?))
    };
    let keys: Option<Vec<String>> = operations.iter().map(key).collect();
    match (id, keys) {
        (Some(id), Some(operations)) if !operations.is_empty() => Some(Meant { id, operations }),
        _ => {
            let reason = "must have an apiId and operations, each with target and verb";
            faults.push(FieldFault::new(place, reason));
            None
        }
    }
}

/// Makes the body of an API, written as one, that of a product.
#[must_use]
pub fn of_body(api: &Api, mut body: Value) -> Value {
    let Some(map) = body.as_object_mut() else { return body };
    let operations = map.shift_remove("operations").unwrap_or_default();
    for name in ["endpointConfig", "endpointImplementationType", "type", "wsdlInfo", "wsdlUrl", "mediationPolicies"] {
        map.shift_remove(name);
    }
    for (name, renamed) in [("lifeCycleStatus", "state"), ("revisionedApiId", "revisionedApiProductId")] {
        let value = map.shift_remove(name).unwrap_or_default();
        map.insert(renamed.to_owned(), value);
    }
    let scopes = map.shift_remove("scopes").unwrap_or_default();
    let scopes: Vec<Value> =
        scopes.as_array().into_iter().flatten().filter_map(|one| one.get("scope").cloned()).collect();
    map.insert("scopes".to_owned(), json!(scopes));
    map.insert("apiType".to_owned(), json!("APIPRODUCT"));
    map.insert("apis".to_owned(), apis(api, &operations));
    body
}

fn apis(api: &Api, operations: &Value) -> Value {
    let all = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_key = |key: &String| {
        let number = api.operations.iter().position(|one| key_of(one) == *key)?;
        all.get(number).cloned()
    };
    let write = |part: portcullis_model::product::ProductPart| {
        let operations: Vec<Value> = part.operations.iter().filter_map(of_key).collect();
        json!({"apiId": part.api.to_string(), "name": part.name, "version": part.version, "operations": operations})
    };
    parts_of(api).into_iter().map(write).collect()
}

/// Writes a product in a list.
#[must_use]
pub fn summary(api: &Api, has_thumbnail: bool) -> Value {
    let mut body = write_summary(api, has_thumbnail);
    if let Some(map) = body.as_object_mut() {
        let state = map.shift_remove("lifeCycleStatus").unwrap_or_default();
        map.insert("state".to_owned(), state);
        for name in ["type", "subtype", "workflowStatus", "advertiseOnly"] {
            map.shift_remove(name);
        }
    }
    body
}

/// Says whether an API is a product.
#[must_use]
pub fn is_product(api: &Api) -> bool {
    api.kind == ApiKind::Product
}
