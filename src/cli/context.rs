//! Saved contexts: servers with their credentials, so that they need not be given each time. The file is
//! `contexts.toml` in the XDG configuration directory, readable by the user alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// The saved contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    /// The one that counts where none is named.
    #[serde(default)]
    pub current: String,
    /// All, by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// One server and who signs in there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The address of a management port, `https://127.0.0.1:9443`.
    pub server: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The SHA-256 of the cluster's certificate authority, hexadecimal; empty where any is accepted.
    #[serde(default)]
    pub ca_fingerprint: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} as {})", self.server, self.user)
    }
}

fn file() -> Option<PathBuf> {
    files::in_config("contexts.toml")
}

impl Contexts {
    /// Reads the saved contexts; none where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged.
    pub fn read() -> Result<Self, Failure> {
        let Some(file) = file() else { return Ok(Self::default()) };
        toml::from_str(&files::read(&file)?).map_err(|fault| {
            let next = format!("correct or delete {}, then portcullis login", file.display());
            Failure::new(Exit::Failed, format!("{} is damaged", file.display()), fault.message(), next)
        })
    }

    /// Writes them, and returns the file.
    ///
    /// # Errors
    /// Where the user has no home, or the file cannot be written.
    pub fn write(&self) -> Result<PathBuf, Failure> {
        let cannot = |why: String| Failure::new(Exit::Failed, "the context cannot be saved", why, "set HOME");
        let file = file().ok_or_else(|| cannot("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))?;
        let text = toml::to_string(self).map_err(|fault| cannot(fault.to_string()))?;
        files::write(&file, &text)?;
        Ok(file)
    }

    /// Returns the context that is meant: the one named (or `PORTCULLIS_CONTEXT`), else the current one.
    ///
    /// # Errors
    /// Where the one named is not there.
    pub fn chosen(&self, name: Option<&str>) -> Result<Option<&Context>, Failure> {
        let Some(name) = name else { return Ok(self.contexts.get(&self.current)) };
        match self.contexts.get(name) {
            Some(context) => Ok(Some(context)),
            None => {
                let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
                let why = if known.is_empty() {
                    "none is saved".to_owned()
                } else {
                    format!("there are: {}", known.join(", "))
                };
                let next = format!("portcullis login --server https://HOST:9443 --context {name}");
                Err(Failure::new(Exit::NotFound, format!("there is no context {name}"), why, next))
            }
        }
    }
}
