//! Gateway policies: what is done to the calls of every API in an environment, beside what its publisher applies.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mediation::{Flows, flows_of};

/// Environments that one of them is in force in.
pub const GATEWAY_LABELS_MAX: usize = 100;

/// What is said of a gateway policy, as its asset keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPolicy {
    /// What people call it; others may be called the same.
    #[serde(default)]
    pub display_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The policies by flow, as those of an API.
    #[serde(default)]
    pub policy_mapping: Value,
    /// The environments in which it is in force, in order.
    #[serde(default)]
    pub applied_gateway_labels: Vec<String>,
}

impl GatewayPolicy {
    /// Reads it out of an asset's document; one that is not understood is in force nowhere.
    #[must_use]
    pub fn of_document(document: &str) -> Self {
        serde_json::from_str(document).unwrap_or_default()
    }

    /// Returns what is applied. What is not understood is left out: it was refused when it was sent.
    #[must_use]
    pub fn flows(&self) -> Flows {
        flows_of(&self.policy_mapping).0
    }
}
