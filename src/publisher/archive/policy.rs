//! Operation policies as archives: the specification and the definition.

use portcullis_http::zip::{self, Files};
use serde_json::Value;

use super::project::{ArchiveFormat, put};
use crate::fault::PublisherError;

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
    let mut files = Files::new();
    add_policy(&mut files, stem, body, definition, format)?;
    packed(&files)
}

/// Adds a policy to an archive.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn add_policy(
    files: &mut Files,
    stem: &str,
    body: &Value,
    definition: Option<String>,
    format: ArchiveFormat,
) -> Result<(), PublisherError> {
    let mut data = body.clone();
    for name in ["id", "md5", "isAPISpecific"] {
        data.as_object_mut().and_then(|data| data.shift_remove(name));
    }
    put(files, stem, "operation_policy_specification", &data, format)?;
    if let Some(definition) = definition {
        files.insert(format!("{stem}.j2"), definition.into_bytes());
    }
    Ok(())
}

/// Returns the policies in a folder of an archive: specifications, each with its definition for the original's gateway.
///
/// # Errors
/// Where one cannot be read.
pub(super) fn policies_in(files: &Files, folder: &str) -> Result<Vec<(String, Option<String>)>, PublisherError> {
    let read = |name: &str, bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| PublisherError::field(name, "is not UTF-8"))
    };
    let mut found = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with(folder)) {
        let Some(stem) = [".yaml", ".yml", ".json"].iter().find_map(|end| name.strip_suffix(end)) else { continue };
        let definition = DEFINITION_ENDS.iter().find_map(|end| {
            let name = format!("{stem}{end}");
            files.get(&name).map(|bytes| read(&name, bytes))
        });
        found.push((read(name, bytes)?, definition.transpose()?));
    }
    Ok(found)
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
