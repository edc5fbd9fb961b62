//! A policy of governance as the contract has it.

use portcullis_model::AssetId;
use portcullis_model::asset::Asset;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use super::defaults;
use super::ruleset::{DESCRIPTION_CHARS_MAX, Ruleset, write_made};
use crate::fault::{FieldFault, PublisherError};

const NAME_CHARS_MAX: usize = 256;
const ITEMS_MAX: usize = 200;
/// The label that stands for all APIs.
pub(super) const GLOBAL: &str = "GLOBAL";
const STATES: [&str; 4] = ["API_CREATE", "API_UPDATE", "API_DEPLOY", "API_PUBLISH"];

/// What is said of a policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyBody {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) governable_states: Vec<String>,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
    #[serde(default)]
    pub(super) rulesets: Vec<String>,
    #[serde(default)]
    pub(super) labels: Vec<String>,
}

/// What is done where a rule of a severity is not kept to when an API gets somewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Action {
    pub(super) state: String,
    pub(super) rule_severity: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// A policy, of whichever origin.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(super) id: AssetId,
    pub(super) body: PolicyBody,
    made: Option<Arc<Asset>>,
}

impl PolicyBody {
    /// Checks it.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn check(&self, rulesets: &[Ruleset]) -> Result<(), PublisherError> {
        let mut faults = Vec::new();
        let mut fault = |place: String, reason: String| faults.push(FieldFault::new(place, reason));
        let chars = self.name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            fault("name".to_owned(), format!("must have 1 to {NAME_CHARS_MAX} characters, not {chars}"));
        }
        if self.description.chars().count() > DESCRIPTION_CHARS_MAX {
            fault("description".to_owned(), format!("may have at most {DESCRIPTION_CHARS_MAX} characters"));
        }
        for (place, count) in [
            ("governableStates", self.governable_states.len()),
            ("rulesets", self.rulesets.len()),
            ("labels", self.labels.len()),
        ] {
            if count == 0 || count > ITEMS_MAX {
                fault(place.to_owned(), format!("must have 1 to {ITEMS_MAX} items, not {count}"));
            }
        }
        if let Some(other) = self.governable_states.iter().find(|state| !STATES.contains(&state.as_str())) {
            fault("governableStates".to_owned(), format!("has {other}; {} are accepted", STATES.join(", ")));
        }
        let is_there = |id: &String| rulesets.iter().any(|ruleset| ruleset.id.to_string() == *id);
        if let Some(missing) = self.rulesets.iter().find(|id| !is_there(id)) {
            fault("rulesets".to_owned(), format!("names {missing}, which is no ruleset"));
        }
        if self.actions.len() > ITEMS_MAX {
            fault("actions".to_owned(), format!("may be {ITEMS_MAX} at most"));
        }
        for (number, action) in self.actions.iter().enumerate() {
            let place = format!("actions[{number}]");
            if !self.governable_states.contains(&action.state) {
                fault(format!("{place}.state"), "must be one of governableStates".to_owned());
            }
            if !["ERROR", "WARN", "INFO"].contains(&action.rule_severity.as_str()) {
                fault(format!("{place}.ruleSeverity"), "must be ERROR, WARN or INFO".to_owned());
            }
            match action.kind.as_str() {
                "NOTIFY" => {}
                "BLOCK" if matches!(action.state.as_str(), "API_CREATE" | "API_UPDATE") => {
                    fault(
                        format!("{place}.type"),
                        "BLOCK is for API_DEPLOY and API_PUBLISH, as in the original".to_owned(),
                    );
                }
                "BLOCK" => {}
                _ => fault(format!("{place}.type"), "must be BLOCK or NOTIFY".to_owned()),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(faults)) }
    }

    /// Says whether something of a severity keeps an API from getting to a state.
    pub(super) fn blocks(&self, state: &str, severity: &str) -> bool {
        self.actions.iter().any(|one| one.kind == "BLOCK" && one.state == state && one.rule_severity == severity)
    }
}

impl Policy {
    /// Returns the one that comes with the program, and the tenant's.
    pub(super) fn all<'a>(assets: impl Iterator<Item = &'a Arc<Asset>>) -> Vec<Self> {
        let own = assets.filter_map(|asset| {
            let body = serde_json::from_str(&asset.document).ok()?;
            Some(Self { id: asset.id, body, made: Some(Arc::clone(asset)) })
        });
        let actions = STATES.iter().flat_map(|state| {
            ["ERROR", "WARN", "INFO"].map(|severity| Action {
                state: (*state).to_owned(),
                rule_severity: severity.to_owned(),
                kind: "NOTIFY".to_owned(),
            })
        });
        let body = PolicyBody {
            name: defaults::POLICY.to_owned(),
            description: defaults::POLICY_DESCRIPTION.to_owned(),
            governable_states: STATES.map(str::to_owned).to_vec(),
            actions: actions.collect(),
            rulesets: defaults::RULESETS.iter().map(|one| defaults::id_of("ruleset", one.name).to_string()).collect(),
            labels: vec![GLOBAL.to_owned()],
        };
        let default = Self { id: defaults::id_of("policy", defaults::POLICY), body, made: None };
        std::iter::once(default).chain(own).collect()
    }

    /// Says whether it comes with the program.
    pub(super) fn is_default(&self) -> bool {
        self.made.is_none()
    }

    /// Writes it.
    pub(super) fn write(&self) -> Value {
        let mut body = json!(self.body);
        body["id"] = self.id.to_string().into();
        write_made(&mut body, self.made.as_deref());
        body
    }
}
