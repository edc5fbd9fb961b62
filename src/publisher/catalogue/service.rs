//! A service as the contract has it.

use portcullis_model::asset::Asset;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fault::{FieldFault, PublisherError};
use crate::openapi;
use crate::openapi::document::parse_text;

const NAME_CHARS_MAX: usize = 255;
const VERSION_CHARS_MAX: usize = 30;
const KEY_CHARS_MAX: usize = 512;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const URL_CHARS_MAX: usize = 2_048;
const DEFINITION_TYPES: [&str; 6] = ["OAS2", "OAS3", "WSDL1", "WSDL2", "GRAPHQL_SDL", "ASYNC_API"];
const SECURITY_TYPES: [&str; 6] = ["BASIC", "DIGEST", "OAUTH2", "X509", "API_KEY", "NONE"];

/// What is said of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default, alias = "key")]
    pub(crate) service_key: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) service_url: String,
    pub(crate) definition_type: String,
    #[serde(default = "none")]
    pub(crate) security_type: String,
    #[serde(default, rename = "mutualSSLEnabled")]
    pub(crate) is_mutual: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) definition_url: Option<String>,
}

fn none() -> String {
    "NONE".to_owned()
}

impl Service {
    /// Reads what is said of a service, JSON or YAML. Where it has no key, the key is made of name and version.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(place: &str, text: &str) -> Result<Self, PublisherError> {
        let wrong = |reason: String| PublisherError::field(place, reason);
        let mut value = parse_text(text).map_err(|error| wrong(error.to_string()))?;
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            if let Some(version) = fields.get_mut("version").filter(|version| version.is_number()) {
                *version = Value::String(version.to_string());
            }
        }
        let mut service: Self = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        if service.service_key.is_empty() {
            service.service_key = format!("{}-{}", service.name, service.version);
        }
        let faults = service.faults();
        if faults.is_empty() { Ok(service) } else { Err(PublisherError::Fields(faults)) }
    }

    fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |place: &str, reason: String| faults.push(FieldFault::new(place, reason));
        for (place, text, min, max) in [
            ("name", &self.name, 1, NAME_CHARS_MAX),
            ("version", &self.version, 1, VERSION_CHARS_MAX),
            ("serviceKey", &self.service_key, 1, KEY_CHARS_MAX),
            ("description", &self.description, 0, DESCRIPTION_CHARS_MAX),
            ("serviceUrl", &self.service_url, 1, URL_CHARS_MAX),
        ] {
            let chars = text.chars().count();
            if chars < min || chars > max {
                fault(place, format!("must have {min} to {max} characters, not {chars}"));
            }
        }
        if self.name.contains('*') {
            fault("name", "must not have *".to_owned());
        }
        let is_url = url::Url::parse(&self.service_url).is_ok_and(|url| url.has_host());
        if !is_url {
            fault("serviceUrl", "must be an absolute URL".to_owned());
        }
        for (place, text, all) in [
            ("definitionType", &self.definition_type, &DEFINITION_TYPES),
            ("securityType", &self.security_type, &SECURITY_TYPES),
        ] {
            if !all.contains(&text.as_str()) {
                fault(place, format!("is {text}; one of {} is accepted", all.join(", ")));
            }
        }
        faults
    }

    /// Checks the definition, as far as its kind is one that is read here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) async fn check_definition(&self, text: &str) -> Result<(), PublisherError> {
        let wrong = |reason: &str| PublisherError::field("definitionFile", reason);
        if text.trim().is_empty() {
            return Err(wrong("is empty"));
        }
        match self.definition_type.as_str() {
            "OAS3" => openapi::read(text.to_owned()).await.map(|_| ()),
            "OAS2" | "ASYNC_API" => {
                let member = if self.definition_type == "OAS2" { "swagger" } else { "asyncapi" };
                let owned = text.to_owned();
                let read = openapi::aside(move || parse_text(&owned)).await??;
                if read.get(member).is_some() { Ok(()) } else { Err(wrong(&format!("has no `{member}`"))) }
            }
            "WSDL1" | "WSDL2" if !text.trim_start().starts_with('<') => Err(wrong("is not XML")),
            _ => Ok(()),
        }
    }

    /// Reads a service that is kept.
    pub(crate) fn of(asset: &Asset) -> Option<Self> {
        serde_json::from_str(&asset.document).ok()
    }
}

/// Returns what tells two states of a service apart.
pub(crate) fn digest_of(asset: &Asset) -> String {
    hex::encode(Sha256::digest(format!("{}\n{}", asset.document, asset.content)))
}

fn time(at: portcullis_model::Timestamp) -> Value {
    let millis = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    millis.map_or(Value::Null, |at| at.to_string().into())
}

/// Writes a service.
pub(crate) fn write(asset: &Asset, usage: usize) -> Value {
    let mut body: Value = serde_json::from_str(&asset.document).unwrap_or_else(|_| json!({}));
    body["id"] = asset.id.to_string().into();
    body["md5"] = digest_of(asset).into();
    body["usage"] = usage.into();
    body["createdTime"] = time(asset.created_at);
    body["lastUpdatedTime"] = time(asset.updated_at);
    body
}

/// Writes the least that is told of a service.
pub(crate) fn write_least(asset: &Asset) -> Value {
    let service = Service::of(asset);
    json!({
        "id": asset.id.to_string(),
        "key": asset.name,
        "name": service.as_ref().map(|service| &service.name),
        "version": service.as_ref().map(|service| &service.version),
        "md5": digest_of(asset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_where_there_is_none_and_what_is_wrong_is_named() {
        let text = "name: pizza\nversion: 1\nserviceUrl: http://pizza:8080\ndefinitionType: OAS3\n";
        let service = Service::parse("serviceMetadata", text).unwrap();
        assert_eq!((&*service.service_key, &*service.version, &*service.security_type), ("pizza-1", "1", "NONE"));
        let wrong =
            r#"{"name": "a*", "version": "", "serviceUrl": "pizza", "definitionType": "RAML", "securityType": "x"}"#;
        let Err(PublisherError::Fields(faults)) = Service::parse("serviceMetadata", wrong) else { panic!() };
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.place).collect();
        assert_eq!(places, ["version", "name", "serviceUrl", "definitionType", "securityType"]);
    }
}
