//! LLM providers as Publisher and Admin both have them: those that come with the program, and a tenant's own. No provider
//! is called here.

mod built_in;

use std::sync::Arc;

use portcullis_model::asset::Asset;
use portcullis_model::{AssetId, Refused};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Characters of a name and of a version, as the contract has it.
const NAME_CHARS_MAX: usize = 255;
/// Characters of a description, as the contract has it.
const DESCRIPTION_CHARS_MAX: usize = 1_023;
const CONFIGURATIONS_BYTES_MAX: usize = 64 << 10;
const DEFINITION_BYTES_MAX: usize = 1 << 20;
const MODELS_MAX: usize = 500;
/// Where values of a call are, as the original names it.
const INPUT_SOURCES: [&str; 3] = ["payload", "header", "pathParams"];

/// An LLM provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmProvider {
    /// The id; of one that comes with the program always the same.
    pub id: AssetId,
    /// The name.
    pub name: String,
    /// The version of its API; with the name it is unique.
    pub api_version: String,
    /// What is said of it.
    pub description: String,
    /// Whether it comes with the program.
    pub is_built_in: bool,
    /// How it is called and where tokens are counted: a JSON object as text.
    pub configurations: String,
    /// Its models.
    pub models: Vec<String>,
    /// The definition of its API, as it was sent.
    pub definition: String,
}

/// What is kept of a provider in an asset's document; the definition is the asset's content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    name: String,
    api_version: String,
    #[serde(default)]
    description: String,
    configurations: String,
    #[serde(default)]
    models: Vec<String>,
}

impl LlmProvider {
    /// Returns the providers of a tenant, by name: those that come with the program, as the tenant changed them, and the
    /// tenant's own.
    pub fn all<'a>(assets: impl Iterator<Item = &'a Arc<Asset>>) -> Vec<Self> {
        let mut all: Vec<Self> = built_in::all().collect();
        for kept in assets.filter_map(|asset| Self::of(asset)) {
            match all.iter_mut().find(|one| one.id == kept.id) {
                Some(one) => *one = Self { is_built_in: true, ..kept },
                None => all.push(kept),
            }
        }
        all.sort_by(|one, other| {
            (&one.name, &one.api_version, one.id).cmp(&(&other.name, &other.api_version, other.id))
        });
        all
    }

    fn of(asset: &Asset) -> Option<Self> {
        let kept: Kept = serde_json::from_str(&asset.document).ok()?;
        Some(Self {
            id: asset.id,
            name: kept.name,
            api_version: kept.api_version,
            description: kept.description,
            is_built_in: false,
            configurations: kept.configurations,
            models: kept.models,
            definition: asset.content.clone(),
        })
    }

    /// Returns the name of the asset that keeps it.
    #[must_use]
    pub fn asset_name(&self) -> String {
        format!("{}:{}", self.name, self.api_version)
    }

    /// Returns the document of the asset that keeps it.
    #[must_use]
    pub fn document(&self) -> String {
        let kept = Kept {
            name: self.name.clone(),
            api_version: self.api_version.clone(),
            description: self.description.clone(),
            configurations: self.configurations.clone(),
            models: self.models.clone(),
        };
        json!(kept).to_string()
    }

    /// Checks it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Refused> {
        for (field, text) in [("name", &self.name), ("apiVersion", &self.api_version)] {
            let chars = text.chars().count();
            if chars == 0 || chars > NAME_CHARS_MAX || text.chars().any(char::is_control) {
                let reason = format!("must have 1 to {NAME_CHARS_MAX} visible characters, not {chars}");
                return Err(Refused::invalid(field, reason));
            }
        }
        if self.description.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(Refused::invalid(
                "description",
                format!("may have at most {DESCRIPTION_CHARS_MAX} characters"),
            ));
        }
        check_configurations(&self.configurations)?;
        check_definition(&self.definition)?;
        let is_model = |model: &String| !model.is_empty() && model.chars().count() <= NAME_CHARS_MAX;
        if self.models.len() > MODELS_MAX || !self.models.iter().all(is_model) {
            let reason = format!("may have at most {MODELS_MAX} models of 1 to {NAME_CHARS_MAX} characters");
            return Err(Refused::invalid("modelList", reason));
        }
        Ok(())
    }

    /// Writes the provider with everything that is known of it.
    #[must_use]
    pub fn write(&self) -> Value {
        let mut body = self.write_summary();
        body["configurations"] = self.configurations.as_str().into();
        body["apiDefinition"] = self.definition.as_str().into();
        body
    }

    /// Writes what lists show.
    #[must_use]
    pub fn write_summary(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "name": self.name,
            "apiVersion": self.api_version,
            "builtInSupport": self.is_built_in,
            "description": self.description,
        })
    }

    /// Writes where a call shows its key.
    #[must_use]
    pub fn write_endpoint_configuration(&self) -> Value {
        let configurations: Value = serde_json::from_str(&self.configurations).unwrap_or_default();
        let mut body = json!({});
        for name in ["authHeader", "authQueryParameter"] {
            if let Some(text) = configurations[name].as_str() {
                body[name] = text.into();
            }
        }
        body
    }
}

/// Understands the list of models of a form: a JSON list of texts.
///
/// # Errors
/// Where it is none.
pub fn read_models(text: &str) -> Result<Vec<String>, Refused> {
    serde_json::from_str(text).map_err(|error| {
        Refused::invalid("modelList", format!("must be a list of texts as JSON, such as [\"model-a\"]: {error}"))
    })
}

fn check_configurations(text: &str) -> Result<(), Refused> {
    let wrong = |reason: String| Refused::invalid("configurations", reason);
    if text.len() > CONFIGURATIONS_BYTES_MAX {
        return Err(wrong(format!("may have at most {CONFIGURATIONS_BYTES_MAX} bytes")));
    }
    let body: Value = serde_json::from_str(text).map_err(|error| wrong(format!("must be a JSON object: {error}")))?;
    if !body.is_object() {
        return Err(wrong("must be a JSON object".to_owned()));
    }
    for name in ["connectorType", "authHeader", "authQueryParameter"] {
        if !(body[name].is_null() || body[name].is_string()) {
            return Err(wrong(format!("{name} must be a text")));
        }
    }
    let rows = match &body["metadata"] {
        Value::Null => &[][..],
        Value::Array(rows) => rows,
        _ => return Err(wrong("metadata must be a list".to_owned())),
    };
    for (number, row) in rows.iter().enumerate() {
        if !(row["attributeName"].is_string() && row["attributeIdentifier"].is_string()) {
            return Err(wrong(format!("metadata[{number}] must have attributeName and attributeIdentifier as texts")));
        }
        if !row["inputSource"].as_str().is_some_and(|source| INPUT_SOURCES.contains(&source)) {
            return Err(wrong(format!("metadata[{number}].inputSource must be one of {}", INPUT_SOURCES.join(", "))));
        }
    }
    Ok(())
}

/// Checks that a text can be a definition: OpenAPI or Swagger, JSON or YAML. It is kept as it is.
fn check_definition(text: &str) -> Result<(), Refused> {
    let wrong = |reason: String| Refused::invalid("apiDefinition", reason);
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(wrong(format!("may have at most {DEFINITION_BYTES_MAX} bytes, not {}", text.len())));
    }
    let is_named = if text.trim_start().starts_with('{') {
        let body: Value = serde_json::from_str(text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
        body["openapi"].is_string() || body["swagger"].is_string()
    } else {
        let is_version = |line: &str| ["openapi:", "swagger:"].iter().any(|key| line.starts_with(key));
        text.lines().any(is_version)
    };
    if is_named { Ok(()) } else { Err(wrong("must be an OpenAPI or Swagger document, JSON or YAML".to_owned())) }
}

#[cfg(test)]
mod tests {
    use portcullis_model::TenantDomain;
    use portcullis_model::asset::AssetKind;
    use portcullis_model::{Timestamp, Username};

    use super::*;

    fn keep(provider: &LlmProvider) -> Arc<Asset> {
        Arc::new(Asset {
            id: provider.id,
            tenant: TenantDomain::super_tenant(),
            kind: AssetKind::LlmProvider,
            api: None,
            name: provider.asset_name(),
            document: provider.document(),
            content: provider.definition.clone(),
            created_by: Username("a".to_owned()),
            created_at: Timestamp::default(),
            updated_by: Username("a".to_owned()),
            updated_at: Timestamp::default(),
        })
    }

    #[test]
    fn those_that_come_with_the_program_can_be_kept_and_stay_what_they_are() {
        let before = LlmProvider::all([].iter());
        assert_eq!(before.len(), 7);
        before.iter().for_each(|one| one.check().unwrap());
        let changed = LlmProvider { models: vec!["mine".to_owned()], ..before[0].clone() };
        let after = LlmProvider::all([keep(&changed)].iter());
        assert_eq!((after.len(), &after[0]), (7, &changed));
        let own = LlmProvider { id: AssetId::from_random([1; 16]), is_built_in: false, ..before[0].clone() };
        assert_eq!(LlmProvider::all([keep(&own)].iter()).len(), 8);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_field() {
        let good = LlmProvider::all([].iter()).remove(0);
        for (field, bad) in [
            ("name", LlmProvider { name: String::new(), ..good.clone() }),
            ("description", LlmProvider { description: "x".repeat(1_024), ..good.clone() }),
            ("configurations", LlmProvider { configurations: "[]".to_owned(), ..good.clone() }),
            ("configurations", LlmProvider { configurations: r#"{"metadata": [{}]}"#.to_owned(), ..good.clone() }),
            ("apiDefinition", LlmProvider { definition: "hello".to_owned(), ..good.clone() }),
            ("modelList", LlmProvider { models: vec![String::new()], ..good }),
        ] {
            let refused = bad.check().unwrap_err();
            assert!(matches!(&refused, Refused::Invalid { field: its, .. } if its == field), "{refused:?}");
        }
        assert!(read_models("a, b").is_err());
    }
}
