//! Organizations as Admin, Publisher and Store have them.

use portcullis_model::AssetId;
use portcullis_model::asset::Asset;
use portcullis_model::organization::Organization;
use serde_json::{Value, json};

/// Writes an organization; `None` where what is kept is none that is understood. Above each is the tenant.
#[must_use]
pub fn write(asset: &Asset) -> Option<Value> {
    let organization: Organization = serde_json::from_str(&asset.document).ok()?;
    Some(json!({
        "organizationId": asset.id.to_string(),
        "externalOrganizationId": organization.external_organization_id,
        "parentOrganizationId": asset.tenant.0,
        "displayName": organization.display_name,
        "description": organization.description,
    }))
}

/// Writes to which organization somebody belongs; an empty object for somebody of the tenant itself, and
/// for whose organization is not there.
#[must_use]
pub fn write_information(found: Option<&(AssetId, Organization)>) -> Value {
    match found {
        Some((id, organization)) => json!({"organizationId": id.to_string(), "name": organization.display_name}),
        None => json!({}),
    }
}
