//! Files with objects: YAML documents with `kind`, `metadata` and `spec`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kind::{self, Key, Kind, Shape};
use super::{definition, placeholder};
use crate::exit::Exit;
use crate::failure::{Failure, why_no_yaml};
use crate::output;

/// The form of the documents. One that names none has this form.
pub const API_VERSION: &str = "portcullis/v1";
/// Bytes of a file.
const BYTES_MAX: u64 = 16 << 20;
/// Files of a directory.
const FILES_MAX: usize = 10_000;
/// How deep directories may be nested.
const DEPTH_MAX: usize = 16;

/// An object as a file says it is to be.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is.
    pub kind: &'static Kind,
    /// What tells it apart.
    pub key: Key,
    /// What is said of it, with the texts that stand for others.
    pub spec: Value,
    /// The file, and the number of the document in it.
    pub place: String,
    /// Where the paths that it names begin.
    pub directory: PathBuf,
}

/// Reads the objects of files and directories.
///
/// # Errors
/// Where one cannot be read or is none, or an object is there twice.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Object>, Failure> {
    let mut objects: Vec<Object> = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut files = Vec::new();
            collect(path, 0, &mut files)?;
            for file in files {
                objects.extend(read(&file, true)?);
            }
        } else {
            objects.extend(read(path, false)?);
        }
    }
    for (number, object) in objects.iter().enumerate() {
        let before = objects[..number].iter().find(|one| one.kind == object.kind && one.key == object.key);
        if let Some(before) = before {
            let what = format!("{} {} is there twice", object.kind.word, object.key);
            let why = format!("in {} and in {}", before.place, object.place);
            return Err(Failure::new(Exit::Failed, what, why, "take one of them out"));
        }
    }
    Ok(objects)
}

/// Collects the YAML and JSON files below a directory, by name. What begins with a dot is passed over.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unusable = |cause: &std::io::Error| {
        Failure::from_io(format!("{} cannot be read", directory.display()), cause, "check that the path is right")
    };
    if depth > DEPTH_MAX || files.len() > FILES_MAX {
        let why = format!("at most {FILES_MAX} files, {DEPTH_MAX} directories deep, are read");
        return Err(unusable(&std::io::Error::other(why)));
    }
    let entries = std::fs::read_dir(directory).map_err(|cause| unusable(&cause))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|cause| unusable(&cause))?;
    paths.sort();
    for path in paths {
        let is_hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
        let is_meant = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if is_hidden {
            continue;
        } else if path.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if is_meant {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path, is_of_directory: bool) -> Result<Vec<Object>, Failure> {
    let what = format!("{} cannot be read", path.display());
    let mut text = String::new();
    let is_input = path == Path::new("-");
    let read = if is_input {
        std::io::stdin().lock().take(BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|cause| Failure::from_io(what.clone(), &cause, "check that the path is right"))?;
    if text.len() as u64 > BYTES_MAX {
        let why = format!("it has more than {BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Failed, what, why, "divide it"));
    }
    let directory = if is_input { Path::new(".") } else { path.parent().unwrap_or(Path::new(".")) };
    let name = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|fault| {
        Failure::new(Exit::Failed, what.clone(), why_no_yaml(&fault), "correct the line that it names")
    })?;
    let mut objects = Vec::new();
    for (number, document) in documents.into_iter().enumerate() {
        let place = format!("{name}, document {}", number + 1);
        if document.is_null() {
            continue;
        }
        if is_of_directory && document.get("kind").is_none() {
            output::say(&format!("passed over: {place}: it has no kind"));
            continue;
        }
        let object = object(document, &place, directory).map_err(|why| {
            Failure::new(
                Exit::Failed,
                format!("{place} is no object"),
                why,
                "portcullis export     shows how they are written",
            )
        })?;
        objects.push(object);
    }
    Ok(objects)
}

/// Reads one object.
fn object(document: Value, place: &str, directory: &Path) -> Result<Object, String> {
    let Value::Object(mut fields) = document else { return Err("it is no map of kind, metadata and spec".to_owned()) };
    if let Some(unknown) =
        fields.keys().find(|name| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "spec"))
    {
        return Err(format!("{unknown} is not known; there are apiVersion, kind, metadata and spec"));
    }
    match fields.get("apiVersion") {
        None => {}
        Some(version) if version == API_VERSION => {}
        Some(other) => return Err(format!("apiVersion is {other}; this program reads {API_VERSION}")),
    }
    let word = fields.get("kind").and_then(Value::as_str).ok_or("kind must be there")?;
    let kind = kind::of_word(word).map_err(|failure| failure.summary())?;
    let spec = fields.shift_remove("spec").unwrap_or_default();
    if !spec.is_object() {
        return Err("spec must be a map".to_owned());
    }
    let metadata = fields.get("metadata").unwrap_or(&Value::Null);
    if let Some(unknown) =
        metadata.as_object().and_then(|fields| fields.keys().find(|name| !matches!(name.as_str(), "name" | "version")))
    {
        return Err(format!("metadata.{unknown} is not known; there are name and version"));
    }
    let text = |name: &str| match metadata.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Err(format!("metadata.{name} is the number {number}: put it in quotes")),
        _ => Err(format!("metadata.{name} must be there")),
    };
    let key = match kind.shape {
        Shape::Single | Shape::Denial => kind.key_of(&spec),
        _ => Key { name: text("name")?, version: kind.version.map(|_| text("version")).transpose()? },
    };
    for (field, value) in [(Some(kind.name), Some(&key.name)), (kind.version, key.version.as_ref())] {
        let said = field.and_then(|field| spec.get(field)).and_then(Value::as_str);
        if kind.shape != Shape::Denial && said.is_some() && said != value.map(String::as_str) {
            return Err(format!("spec.{} is other than what metadata says", field.unwrap_or_default()));
        }
    }
    let spec = with_definition(kind, spec, directory)?;
    Ok(Object { kind, key, spec, place: place.to_owned(), directory: directory.to_owned() })
}

/// Puts the definition in place that `definitionFile` names. Nothing in it stands for secrets: it may be somebody else's.
fn with_definition(kind: &Kind, mut spec: Value, directory: &Path) -> Result<Value, String> {
    let Some(fields) = spec.as_object_mut() else { return Ok(spec) };
    let Some(file) = fields.shift_remove("definitionFile") else { return Ok(spec) };
    let name = file.as_str().ok_or("spec.definitionFile must name a file")?;
    if fields.contains_key("definition") {
        return Err("spec has both definition and definitionFile".to_owned());
    }
    let path = directory.join(name);
    let size = std::fs::metadata(&path).map_err(|cause| format!("{}: {cause}", path.display()))?.len();
    if size > BYTES_MAX {
        return Err(format!("{} has more than {BYTES_MAX} bytes", path.display()));
    }
    let bytes = std::fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let read = match kind.shape {
        // Those of services may be of any form, and stay as they are written.
        Shape::Service => String::from_utf8(bytes).map(Value::String).map_err(|_| "it is no text in UTF-8".to_owned()),
        _ => definition::of_file(&Value::Object(fields.clone()), bytes),
    };
    let mut definition = read.map_err(|why| format!("{}: {why}", path.display()))?;
    placeholder::escape(&mut definition);
    fields.insert("definition".to_owned(), definition);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(text: &str) -> Result<Object, String> {
        object(serde_saphyr::from_str(text).unwrap(), "a file", Path::new("."))
    }

    #[test]
    fn what_is_no_object_is_told_with_what_to_do() {
        for (text, told) in [
            ("kind: Api\nmetadata: {name: a, version: 1.0}\nspec: {}", "put it in quotes"),
            ("kind: Api\nmetadata: {name: a}\nspec: {}", "metadata.version must be there"),
            ("kind: Nothing\nspec: {}", "is no kind"),
            ("kind: Category\nmetadata: {name: a}", "spec must be a map"),
            ("kind: Category\nmetadata: {name: a}\nspec: {name: b}", "other than what metadata says"),
            ("kind: Category\nmetadata: {name: a, labels: {}}\nspec: {}", "metadata.labels is not known"),
            ("apiVersion: v2\nkind: Category\nspec: {}", "reads portcullis/v1"),
            ("kind: Category\nmetdata: {}", "metdata is not known"),
        ] {
            let why = of_text(text).unwrap_err();
            assert!(why.contains(told), "{text}: {why}");
        }
        let deny = of_text("kind: DenyPolicy\nspec: {conditionType: USER, conditionValue: ann}").unwrap();
        assert_eq!(deny.key.name, "USER ann");
    }

    #[test]
    fn nothing_in_a_definition_file_stands_for_a_secret() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("secret"), "s3cret").unwrap();
        let text = "info: {title: \"${file:secret}\", description: \"$${env:A} ${env:PORTCULLIS_NOT_SET}\"}";
        std::fs::write(place.path().join("openapi.yaml"), text).unwrap();
        for document in [
            "kind: Api\nmetadata: {name: a, version: '1'}\nspec: {definitionFile: openapi.yaml}",
            "kind: Service\nmetadata: {name: a, version: '1'}\nspec: {definitionFile: openapi.yaml}",
        ] {
            let read = object(serde_saphyr::from_str(document).unwrap(), "a file", place.path()).unwrap();
            assert!(!placeholder::is_within(&read.spec), "{document}");
            let sent = placeholder::expand_all(&read.spec, place.path()).unwrap();
            match sent["definition"].as_str() {
                Some(plain) => assert_eq!(plain, text),
                None => assert_eq!(sent["definition"]["info"]["title"], "${file:secret}"),
            }
        }
    }
}
