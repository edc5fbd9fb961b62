//! Cross-origin settings as the contract has them (`corsConfiguration`).

use portcullis_model::api::Cors;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::fault::FieldFault;

const ITEMS_MAX: usize = 256;
const ITEM_CHARS_MAX: usize = 512;

/// Reads `corsConfiguration`. Switched off it means the gateway's own settings apply, as in the original: `None`.
pub fn read(map: Map<String, Value>, faults: &mut Vec<FieldFault>) -> Option<Cors> {
    let mut fields = Fields::new("corsConfiguration.", map);
    let is_enabled = fields.flag("corsConfigurationEnabled").unwrap_or(false);
    let mut list = |name: &str| fields.texts(name, ITEMS_MAX, ITEM_CHARS_MAX);
    let allow_origins = list("accessControlAllowOrigins");
    let allow_headers = list("accessControlAllowHeaders");
    let allow_methods = list("accessControlAllowMethods");
    let allow_credentials = fields.flag("accessControlAllowCredentials").unwrap_or(false);
    fields.finish_into(faults);
    is_enabled.then(|| Cors {
        is_enabled,
        allow_origins: allow_origins.unwrap_or_else(|| vec!["*".to_owned()]),
        allow_credentials,
        allow_headers: allow_headers.unwrap_or_else(default_headers),
        allow_methods: allow_methods.unwrap_or_else(default_methods),
    })
}

/// Writes `corsConfiguration`.
#[must_use]
pub fn write(cors: Option<&Cors>) -> Value {
    let off = Cors {
        is_enabled: false,
        allow_origins: vec!["*".to_owned()],
        allow_credentials: false,
        allow_headers: default_headers(),
        allow_methods: default_methods(),
    };
    let cors = cors.unwrap_or(&off);
    json!({
        "corsConfigurationEnabled": cors.is_enabled,
        "accessControlAllowOrigins": cors.allow_origins,
        "accessControlAllowCredentials": cors.allow_credentials,
        "accessControlAllowHeaders": cors.allow_headers,
        "accessControlAllowMethods": cors.allow_methods,
    })
}

fn default_headers() -> Vec<String> {
    ["authorization", "Access-Control-Allow-Origin", "Content-Type", "SOAPAction", "apikey", "Internal-Key"]
        .map(str::to_owned)
        .to_vec()
}

fn default_methods() -> Vec<String> {
    ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"].map(str::to_owned).to_vec()
}
