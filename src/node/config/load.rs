//! Puts a configuration together from file, environment and flags, and remembers where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, closest, closest_key, find_key};
use super::value::Raw;
use super::{Config, ConfigFault, FILE_NAME, KEYS, SECTIONS};

/// Bytes of a configuration file; with every comment it has about six thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file, at a line.
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    sources: BTreeMap<String, Source>,
}

impl Loaded {
    /// Returns where the value of `key` came from.
    #[must_use]
    pub fn source(&self, key: &Key) -> &Source {
        self.sources.get(&key.path()).unwrap_or(&Source::Default)
    }

    fn set(&mut self, path: &str, raw: Raw<'_, '_>, written: &str, source: Source) -> Result<(), ConfigFault> {
        let known = find_key(path);
        let meant = if known.is_none() { closest_key(path) } else { None };
        // What may hold a secret is not told: a fault goes to the log.
        let is_told = !known.or_else(|| find_key(meant.as_deref()?)).is_some_and(Key::may_hold_secret);
        let place = match &source {
            Source::Flag if is_told => format!("--set {path}={written}"),
            Source::Flag => format!("--set {path}=…"),
            other => other.to_string(),
        };
        let Some(key) = known else {
            return Err(ConfigFault::UnknownKey { place, path: path.to_owned(), meant });
        };
        if !(key.set)(&mut self.config, raw) {
            let (path, value) = (path.to_owned(), is_told.then(|| written.to_owned()));
            return Err(ConfigFault::BadValue { place, path, value, accepts: key.accepts, meant: (key.meant)(raw) });
        }
        self.sources.insert(path.to_owned(), source);
        Ok(())
    }

    fn set_from_file(&mut self, file: &Path, text: &str) -> Result<(), ConfigFault> {
        let at = |offset| place(file, text, offset);
        let document = DeTable::parse(text).map_err(|fault| ConfigFault::NotToml {
            place: at(fault.span().map_or(0, |span| span.start)).to_string(),
            reason: fault.message().to_owned(),
        })?;
        for (section, value) in document.get_ref() {
            let is_section = SECTIONS.iter().any(|(name, _)| *name == section.get_ref().as_ref());
            let (true, DeValue::Table(keys)) = (is_section, value.get_ref()) else {
                return Err(unknown_section(section.get_ref(), value.get_ref(), &at(section.span().start)));
            };
            for (name, value) in keys {
                let path = format!("{}.{}", section.get_ref(), name.get_ref());
                let written = text.get(value.span()).unwrap_or_default();
                self.set(&path, Raw::Toml(Spanned::get_ref(value)), written, at(name.span().start))?;
            }
        }
        Ok(())
    }

    /// Variables with two underscores in a row are keys; others (`PORTCULLIS_USER`, or what an orchestrator puts
    /// beside a service called portcullis) are not, and are left alone.
    fn set_from_variable(&mut self, variable: &str, value: &str) -> Result<(), ConfigFault> {
        let Some((section, name)) = variable.strip_prefix("PORTCULLIS_").and_then(|rest| rest.split_once("__")) else {
            return Ok(());
        };
        let path = format!("{}.{}", section.to_lowercase(), name.to_lowercase());
        self.set(&path, Raw::Text(value), &format!("\"{value}\""), Source::Environment(variable.to_owned()))
    }
}

fn place(file: &Path, text: &str, offset: usize) -> Source {
    let line = text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
    Source::File { file: file.to_owned(), line }
}

fn unknown_section(name: &str, value: &DeValue<'_>, place: &Source) -> ConfigFault {
    let meant = if value.is_table() {
        closest(name, SECTIONS.iter().map(|(section, _)| (*section).to_owned()))
    } else {
        KEYS.iter().find(|key| key.name == name).map(Key::path).or_else(|| closest_key(name))
    };
    ConfigFault::UnknownKey { place: place.to_string(), path: name.to_owned(), meant }
}

impl Config {
    /// Puts a configuration together: `file` (path and text) under `environment` under `flags` (key and value).
    ///
    /// # Errors
    /// The first key that is unknown or not acceptable, with its place.
    pub fn from_layers(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Loaded, ConfigFault> {
        let mut loaded = Loaded { config: Self::default(), sources: BTreeMap::new() };
        if let Some((path, text)) = file {
            loaded.set_from_file(path, text)?;
        }
        for (variable, value) in environment {
            loaded.set_from_variable(&variable, &value)?;
        }
        for (path, value) in flags {
            loaded.set(path, Raw::Text(value), value, Source::Flag)?;
        }
        loaded.config.check()?;
        Ok(loaded)
    }

    /// Loads the configuration of a data directory, from its file if there is one, this process's environment, and
    /// `flags` (`key=value`).
    ///
    /// # Errors
    /// As [`Config::from_layers`], and where the file cannot be read.
    pub fn load(data_dir: &Path, flags: &[(String, String)]) -> Result<Loaded, ConfigFault> {
        let path = data_dir.join(FILE_NAME);
        let text = read_if_there(&path)?;
        // A variable that is no text cannot be a key of ours.
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::from_layers(text.as_deref().map(|text| (path.as_path(), text)), environment, flags)
    }
}

/// Splits a `key=value` of a flag.
///
/// # Errors
/// Where there is no `=`.
pub fn assignment(text: &str) -> Result<(String, String), ConfigFault> {
    let (key, value) = text.split_once('=').ok_or_else(|| ConfigFault::NotAnAssignment { text: text.to_owned() })?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn read_if_there(path: &Path) -> Result<Option<String>, ConfigFault> {
    let cannot = |cause| ConfigFault::CannotRead { file: path.to_owned(), cause };
    match std::fs::metadata(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cannot(cause)),
        Ok(about) if about.len() > FILE_BYTES_MAX => {
            Err(cannot(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(cannot),
    }
}
