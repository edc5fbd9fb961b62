//! A ruleset as the contract has it.

use portcullis_http::time::rfc3339;
use portcullis_model::asset::Asset;
use portcullis_model::{Api, ApiKind, AssetId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

use super::defaults::{self, MADE_BY};
use crate::fault::{FieldFault, PublisherError};

const NAME_CHARS_MAX: usize = 256;
/// Characters of a description, as the contract has it.
pub(super) const DESCRIPTION_CHARS_MAX: usize = 1_024;
const TEXT_CHARS_MAX: usize = 2_048;
pub(super) const RULE_TYPES: [&str; 3] = ["API_METADATA", "API_DEFINITION", "API_DOCUMENTATION"];
pub(super) const ARTIFACT_TYPES: [&str; 2] = ["REST_API", "ASYNC_API"];

/// What is said of a ruleset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RulesetBody {
    #[serde(default)]
    pub(super) description: String,
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
        for (place, text, max) in [
            ("description", &self.description, DESCRIPTION_CHARS_MAX),
            ("documentationLink", &self.documentation_link, TEXT_CHARS_MAX),
            ("provider", &self.provider, TEXT_CHARS_MAX),
        ] {
            if text.chars().count() > max {
                faults.push(FieldFault::new(place, format!("may have at most {max} characters")));
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
    origin: Origin,
}

/// Where a ruleset comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// From the program, with its content.
    Program(&'static str),
    Tenant(Arc<Asset>),
}

impl Ruleset {
    /// Returns those that come with the program, and the tenant's.
    pub(super) fn all<'a>(assets: impl Iterator<Item = &'a Arc<Asset>>) -> Vec<Self> {
        let own = assets.filter_map(|asset| {
            let body = serde_json::from_str(&asset.document).ok()?;
            Some(Self { id: asset.id, name: asset.name.clone(), body, origin: Origin::Tenant(Arc::clone(asset)) })
        });
        let defaults = defaults::RULESETS.iter().map(|one| Self {
            id: defaults::id_of("ruleset", one.name),
            name: one.name.to_owned(),
            body: RulesetBody {
                description: one.description.to_owned(),
                rule_type: one.kind.to_owned(),
                artifact_type: "REST_API".to_owned(),
                documentation_link: String::new(),
                provider: "WSO2".to_owned(),
            },
            origin: Origin::Program(one.content),
        });
        defaults.chain(own).collect()
    }

    /// Says whether it comes with the program.
    pub(super) fn is_default(&self) -> bool {
        matches!(self.origin, Origin::Program(_))
    }

    /// Returns its rules as they were sent.
    pub(super) fn content(&self) -> &str {
        match &self.origin {
            Origin::Program(content) => content,
            Origin::Tenant(asset) => &asset.content,
        }
    }

    /// Says whether it is about APIs of this kind.
    pub(super) fn is_about(&self, api: &Api) -> bool {
        let is_of_events = matches!(api.kind, ApiKind::Ws | ApiKind::Sse | ApiKind::Websub);
        (self.body.artifact_type == "ASYNC_API") == is_of_events
    }

    /// Writes it.
    pub(super) fn write(&self) -> Value {
        let mut body = json!({
            "id": self.id.to_string(),
            "name": self.name,
            "description": self.body.description,
            "ruleCategory": "SPECTRAL",
            "ruleType": self.body.rule_type,
            "artifactType": self.body.artifact_type,
            "documentationLink": self.body.documentation_link,
            "provider": self.body.provider,
        });
        let made = match &self.origin {
            Origin::Program(_) => None,
            Origin::Tenant(asset) => Some(&**asset),
        };
        write_made(&mut body, made);
        body
    }
}

/// Writes who made something and when.
pub(super) fn write_made(body: &mut Value, made: Option<&Asset>) {
    let (made_by, made_at) = made.map_or((MADE_BY.to_owned(), rfc3339(Timestamp::default())), |one| {
        (one.created_by.0.clone(), rfc3339(one.created_at))
    });
    let (by, at) = made.map_or((MADE_BY.to_owned(), rfc3339(Timestamp::default())), |one| {
        (one.updated_by.0.clone(), rfc3339(one.updated_at))
    });
    for (name, text) in [("createdBy", made_by), ("createdTime", made_at), ("updatedBy", by), ("updatedTime", at)] {
        body[name] = text.into();
    }
}
