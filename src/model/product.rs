//! API products: APIs put together from operations of other APIs, each of which goes to the backends of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Api, ApiKind, EndpointConfig};
use crate::id::ApiId;

/// APIs in one product.
pub const PRODUCT_APIS_MAX: usize = 100;
/// Under which name the parts of a product are kept among its other fields.
const FIELD: &str = "productParts";

/// What a product has of one API: copied when the product is created or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductPart {
    /// The API.
    pub api: ApiId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its operations that are in the product, by `VERB target`.
    pub operations: Vec<String>,
    /// Where they go.
    pub endpoints: EndpointConfig,
}

/// Returns the parts of a product; none of an ordinary API.
#[must_use]
pub fn parts_of(api: &Api) -> Vec<ProductPart> {
    if api.kind != ApiKind::Product {
        return Vec::new();
    }
    let fields: Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
    fields.get(FIELD).and_then(|parts| serde_json::from_value(parts.clone()).ok()).unwrap_or_default()
}

/// Puts the parts of a product among its other fields.
pub fn set_parts(fields: &mut serde_json::Map<String, Value>, parts: &[ProductPart]) {
    fields.insert(FIELD.to_owned(), serde_json::to_value(parts).unwrap_or_default());
}

/// Takes the parts of a product, which are nobody's to see, out of its other fields.
pub fn hide_parts(fields: &mut serde_json::Map<String, Value>) {
    fields.shift_remove(FIELD);
}
