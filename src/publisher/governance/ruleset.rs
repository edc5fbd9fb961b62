//! A ruleset as the contract has it.

use portcullis_model::asset::Asset;
use portcullis_model::{Api, ApiKind, AssetId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use super::defaults::{self, MADE_BY};
use crate::fault::{FieldFault, PublisherError};

const NAME_CHARS_MAX: usize = 256;
const TEXT_CHARS_MAX: usize = 2_048;
pub(super) const RULE_TYPES: [&str; 3] = ["API_METADATA", "API_DEFINITION", "API_DOCUMENTATION"];
pub(super) const ARTIFACT_TYPES: [&str; 2] = ["REST_API", "ASYNC_API"];

/// What is said of a ruleset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RulesetBody {
    pub(super) rule_type: String,
    pub(super) artifact_type: String,
    pub(super) documentation_link: String,
    pub(super) provider: String,
}

impl RulesetBody {
    /// Checks it.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn check(&self, name: &str) -> Result<(), PublisherError> {
        let mut faults = Vec::new();
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            faults.push(FieldFault::new("name", format!("must have 1 to {NAME_CHARS_MAX} characters, not {chars}")));
        }
        for (place, text, all) in
            [("ruleType", &self.rule_type, &RULE_TYPES[..]), ("artifactType", &self.artifact_type, &ARTIFACT_TYPES[..])]
        {
            if !all.contains(&text.as_str()) {
                faults.push(FieldFault::new(place, format!("is `{text}`; one of {} is accepted", all.join(", "))));
            }
        }
        for (place, text) in [("documentationLink", &self.documentation_link), ("provider", &self.provider)] {
            if text.chars().count() > TEXT_CHARS_MAX {
                faults.push(FieldFault::new(place, format!("may have at most {TEXT_CHARS_MAX} characters")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(PublisherError::Fields(faults)) }
    }
}

/// A ruleset, of whichever origin.
#[derive(Clone, Debug)]
pub(crate) struct Ruleset {
    pub(super) id: AssetId,
    pub(super) name: String,
    pub(super) body: RulesetBody,
    pub(super) content: Arc<str>,
    made: Option<Arc<Asset>>,
}

impl Ruleset {
    /// Returns those that come with the program, and the tenant's.
    pub(super) fn all<'a>(assets: impl Iterator<Item = &'a Arc<Asset>>) -> Vec<Self> {
        let own = assets.filter_map(|asset| {
            let body = serde_json::from_str(&asset.document).ok()?;
            let content = Arc::from(asset.content.as_str());
            Some(Self { id: asset.id, name: asset.name.clone(), body, content, made: Some(Arc::clone(asset)) })
        });
        let defaults = defaults::RULESETS.iter().map(|one| Self {
            id: defaults::id_of("ruleset", one.name),
            name: one.name.to_owned(),
            body: RulesetBody {
                rule_type: one.kind.to_owned(),
                artifact_type: "REST_API".to_owned(),
                documentation_link: String::new(),
                provider: "WSO2".to_owned(),
            },
            content: Arc::from(one.content),
            made: None,
        });
        defaults.chain(own).collect()
    }

    /// Says whether it comes with the program.
    pub(super) fn is_default(&self) -> bool {
        self.made.is_none()
    }

    /// Says whether it is about APIs of this kind.
    pub(super) fn is_about(&self, api: &Api) -> bool {
        let is_of_events = matches!(api.kind, ApiKind::Ws | ApiKind::Sse);
        (self.body.artifact_type == "ASYNC_API") == is_of_events
    }

    /// Writes it.
    pub(super) fn write(&self) -> Value {
        let mut body = json!({
            "id": self.id.to_string(),
            "name": self.name,
            "ruleCategory": "SPECTRAL",
            "ruleType": self.body.rule_type,
            "artifactType": self.body.artifact_type,
            "documentationLink": self.body.documentation_link,
            "provider": self.body.provider,
        });
        write_made(&mut body, self.made.as_deref());
        body
    }
}

/// Writes who made something and when.
pub(super) fn write_made(body: &mut Value, made: Option<&Asset>) {
    let time = |at: Timestamp| at.0.to_string();
    let (made_by, made_at) = made.map_or((MADE_BY.to_owned(), time(Timestamp::default())), |one| {
        (one.created_by.0.clone(), time(one.created_at))
    });
    let (by, at) = made.map_or((MADE_BY.to_owned(), time(Timestamp::default())), |one| {
        (one.updated_by.0.clone(), time(one.updated_at))
    });
    for (name, text) in [("createdBy", made_by), ("createdTime", made_at), ("updatedBy", by), ("updatedTime", at)] {
        body[name] = text.into();
    }
}
