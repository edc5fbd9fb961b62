//! The lifecycle of an API as the contract has it: state, checklist, transitions, history.

use portcullis_database::state::LifecycleEvent;
use portcullis_http::time::rfc3339;
use portcullis_model::Lifecycle;
use serde_json::{Value, json};

use crate::fault::PublisherError;

/// The checklist's item by which older versions become deprecated when this one is published.
const DEPRECATE_OLD_VERSIONS: &str = "Deprecate old versions after publishing the API";
/// The checklist's item by which subscribers of older versions must subscribe anew.
const REQUIRES_RESUBSCRIPTION: &str = "Requires re-subscription when publishing the API";
const CHECKLIST_CHARS_MAX: usize = 1_024;

/// What the checklist of a change says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checklist {
    /// Whether older published versions become deprecated.
    pub deprecates_old_versions: bool,
    /// Whether subscribers of older versions must subscribe anew.
    pub requires_resubscription: bool,
}

/// Reads `lifecycleChecklist`: `ITEM:true,ITEM:false`. The items' names begin as the original's do, whatever the case.
///
/// # Errors
/// An item that is not known, or without true or false.
pub fn read_checklist(text: &str) -> Result<Checklist, PublisherError> {
    const FIELD: &str = "lifecycleChecklist";
    if text.len() > CHECKLIST_CHARS_MAX {
        return Err(PublisherError::field(FIELD, format!("has more than {CHECKLIST_CHARS_MAX} characters")));
    }
    let mut checklist = Checklist::default();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, value) = item.rsplit_once(':').unwrap_or((item, ""));
        let value = match value.trim().to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(PublisherError::field(FIELD, format!("`{item}` must end with :true or :false"))),
        };
        let name = name.trim().to_ascii_lowercase();
        if name.starts_with("deprecate old versions") {
            checklist.deprecates_old_versions = value;
        } else if name.starts_with("require re-subscription") || name.starts_with("requires re-subscription") {
            checklist.requires_resubscription = value;
        } else {
            let reason =
                format!("`{name}` is not known; there are `{DEPRECATE_OLD_VERSIONS}` and `{REQUIRES_RESUBSCRIPTION}`");
            return Err(PublisherError::field(FIELD, reason));
        }
    }
    Ok(checklist)
}

/// Writes the state of an API's life and what can come next.
#[must_use]
pub fn write(state: Lifecycle) -> Value {
    let transitions: Vec<Value> = state
        .transitions()
        .iter()
        .map(|(action, target)| json!({"event": action.as_contract(), "targetState": target.as_title()}))
        .collect();
    let has_checklist = matches!(state, Lifecycle::Created | Lifecycle::Prototyped);
    let items = if has_checklist {
        json!([
            {"name": DEPRECATE_OLD_VERSIONS, "value": false, "requiredStates": ["Published"]},
            {"name": REQUIRES_RESUBSCRIPTION, "value": false, "requiredStates": ["Published"]},
        ])
    } else {
        json!([])
    };
    json!({"state": state.as_title(), "checkItems": items, "availableTransitions": transitions})
}

/// Writes the answer to a change, which may wait for a decision.
#[must_use]
pub fn write_change(state: Lifecycle, waits: bool) -> Value {
    json!({"workflowStatus": workflow_status(waits), "jsonPayload": null, "lifecycleState": write(state)})
}

/// The contract's word for whether something waits for a decision.
#[must_use]
pub fn workflow_status(waits: bool) -> &'static str {
    if waits { "CREATED" } else { "APPROVED" }
}

/// Writes an event of the history.
#[must_use]
pub fn write_event(event: &LifecycleEvent) -> Value {
    json!({
        "previousState": event.from.map(Lifecycle::as_contract),
        "postState": event.to.as_contract(),
        "user": event.user.0,
        "updatedTime": rfc3339(event.at),
    })
}
