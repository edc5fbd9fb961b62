//! What this SCIM server can do (RFC 7644, section 4).

use serde_json::{Value, json};

use super::bulk;
use super::listing::COUNT_MAX;

/// Returns `/ServiceProviderConfig`.
pub(super) fn service_provider(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": true},
        "bulk": {"supported": true, "maxOperations": bulk::OPERATIONS_MAX, "maxPayloadSize": bulk::BYTES_MAX},
        "filter": {"supported": true, "maxResults": COUNT_MAX},
        "changePassword": {"supported": true},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [
            {"type": "httpbasic", "name": "HTTP Basic", "description": "Name and password of an administrator.",
             "specUri": "https://www.rfc-editor.org/rfc/rfc7617", "primary": true},
            {"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "An access token with a scope for it.",
             "specUri": "https://www.rfc-editor.org/rfc/rfc6750"},
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// Returns a list of all there is.
pub(super) fn list(all: &[Value]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": all.len(),
        "startIndex": 1,
        "itemsPerPage": all.len(),
        "Resources": all,
    })
}
