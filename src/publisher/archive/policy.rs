//! Operation policies as archives: the specification and the definition.

use serde_json::Value;

use super::project::{ArchiveFormat, put};
use crate::fault::PublisherError;
use portcullis_http::zip::{self, Files};

/// How names of definitions end.
const DEFINITION_ENDS: [&str; 2] = [".j2", ".xml"];

/// Packs files.
///
/// # Errors
/// Where they are too large.
pub(crate) fn packed(files: &Files) -> Result<Vec<u8>, PublisherError> {
    zip::write(files).map_err(|reason| PublisherError::field("file", reason))
}

/// Unpacks an archive.
///
/// # Errors
/// Why it is not acceptable.
pub(crate) fn unpacked(archive: &[u8]) -> Result<Files, PublisherError> {
    zip::read(archive).map_err(|reason| PublisherError::field("file", reason))
}

/// Writes a value as YAML.
///
/// # Errors
/// Where it cannot be.
pub(crate) fn yaml(value: &Value) -> Result<String, PublisherError> {
    serde_saphyr::to_string(value).map_err(|error| PublisherError::field("file", error.to_string()))
}

/// Writes a policy.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn policy(
    stem: &str,
    body: &Value,
    definition: Option<String>,
    format: ArchiveFormat,
) -> Result<Vec<u8>, PublisherError> {
    let mut data = body.clone();
    for name in ["id", "md5", "isAPISpecific"] {
        data.as_object_mut().and_then(|data| data.shift_remove(name));
    }
    let mut files = Files::new();
    put(&mut files, stem, "operation_policy_specification", &data, format)?;
    if let Some(definition) = definition {
        files.insert(format!("{stem}.j2"), definition.into_bytes());
    }
    packed(&files)
}

/// Reads the specification and the definition out of an archive.
///
/// # Errors
/// What is missing, or there more than once.
pub(crate) fn read_policy(archive: &[u8]) -> Result<(String, String), PublisherError> {
    let files = unpacked(archive)?;
    let only = |ends: &[&str], what: &str| {
        let mut found = files.iter().filter(|(name, _)| ends.iter().any(|end| name.ends_with(end)));
        let (Some((name, bytes)), None) = (found.next(), found.next()) else {
            return Err(PublisherError::field("file", format!("must hold one {what} ({})", ends.join(", "))));
        };
        String::from_utf8(bytes.clone()).map_err(|_| PublisherError::field(name, "is not UTF-8"))
    };
    Ok((only(&[".yaml", ".yml", ".json"], "specification")?, only(&DEFINITION_ENDS, "Synapse definition")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let body = json!({"name": "stamp", "version": "v1", "id": "1"});
        for format in [ArchiveFormat::Yaml, ArchiveFormat::Json] {
            let archive = policy("stamp_v1", &body, Some("<respond/>".to_owned()), format).unwrap();
            let (specification, definition) = read_policy(&archive).unwrap();
            assert!(specification.contains("stamp") && !specification.contains("md5"), "{specification}");
            assert_eq!(definition, "<respond/>");
        }
        let without = policy("stamp_v1", &body, None, ArchiveFormat::Yaml).unwrap();
        assert!(read_policy(&without).unwrap_err().to_string().contains("Synapse definition"));
    }
}
