//! `portcullis config`: checks, shows and explains a node's configuration, without running the node; has one that runs read it
//! again.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portcullis_node::config::{Config, KEYS, Key, Loaded, assignment, closest_key, find_key};
use serde_json::{Value, json};

use crate::config_files::{self, Findings};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{ReadArguments, of_client};

const RELOAD_PATH: &str = "/api/portcullis/v1/configuration/reload";

/// What to do with a node's configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is acceptable.
    Check(CheckArguments),
    /// Say what a key does, its value, and where the value comes from.
    Explain(ExplainArguments),
    /// Show every key with its value and where it comes from.
    Show(ShowArguments),
    /// Have a node that runs read its configuration again; say what is in force now and what waits for a restart.
    Reload(ReloadArguments),
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The node's data directory, which holds node.toml.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A value that overrides file and environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Arguments of `config check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The form; keys that are not at their default are the data.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    from: ConfigArguments,
}

/// Arguments of `config explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The key, such as gateway.http_port; all keys where none is given.
    key: Option<String>,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    from: ConfigArguments,
}

/// Arguments of `config show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    from: ConfigArguments,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Write a whole node.toml, with a comment for each key.
    #[arg(long, conflicts_with = "output")]
    toml: bool,
}

/// Arguments of `config reload`.
#[derive(Debug, Args)]
#[command(after_help = "\
The node that is asked reads its own node.toml; its environment and its flags count as they did at its start. Where
something in it is not acceptable, nothing changes. Which keys can be taken over: portcullis config explain. A node
without a management port (a gateway alone) is asked by SIGHUP: systemctl reload portcullis.

Example:
  portcullis config reload --data-dir n1")]
pub struct ReloadArguments {
    #[command(flatten)]
    read: ReadArguments,
}

/// Reads `--set` flags.
///
/// # Errors
/// Where one is not `key=value`.
pub fn assignments(set: &[String]) -> Result<Vec<(String, String)>, Failure> {
    set.iter()
        .map(|text| {
            assignment(text).map_err(|fault| Failure::from_fault("the configuration is not acceptable", &fault))
        })
        .collect()
}

impl ConfigArguments {
    fn load(&self) -> Result<Loaded, Failure> {
        let flags = assignments(&self.set)?;
        // Without a data directory there is no file to read: environment, flags and defaults count.
        let loaded = if let Some(directory) = &self.data_dir {
            // Defaults of a directory that is mistyped would be taken for the node's.
            if !directory.is_dir() {
                let what = format!("there is no directory {}", directory.display());
                let why = "--data-dir must be a directory with a node.toml, or one that is to get one";
                return Err(Failure::new(
                    Exit::NotFound,
                    what,
                    why,
                    "name the directory of the node, or leave --data-dir out",
                ));
            }
            Config::load(directory, &flags)
        } else {
            let environment =
                std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
            Config::from_layers(None, environment, &flags)
        };
        loaded.map_err(|fault| Failure::from_fault("the configuration is not acceptable", &fault))
    }
}

/// Runs the command.
///
/// # Errors
/// Where the configuration is not acceptable, or there is no such key.
pub fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(arguments) => check(arguments),
        ConfigCommand::Explain(arguments) => explain(arguments),
        ConfigCommand::Show(arguments) => show(arguments),
        ConfigCommand::Reload(_) => Ok(()),
    }
}

/// Has a node read its configuration again.
///
/// # Errors
/// Where the node cannot be asked, or the configuration is not acceptable.
pub async fn reload(arguments: &ReloadArguments) -> Result<(), Failure> {
    let ReadArguments { output: format, remote } = &arguments.read;
    let remote = remote.connect().await?;
    let told: Value = remote.client.post(RELOAD_PATH, &json!({})).await.map_err(|fault| of_client(&fault))?;
    let keys = |field: &str| told[field].as_array().cloned().unwrap_or_default();
    let rows = |field: &str, when: &str| -> Vec<Vec<String>> {
        let texts = keys(field).into_iter().filter_map(|key| key.as_str().map(str::to_owned));
        texts.map(|key| vec![key, when.to_owned()]).collect()
    };
    match format {
        Format::Table => {
            let mut all = rows("in_force", "now");
            all.extend(rows("after_restart", "after a restart"));
            if all.is_empty() {
                output::say(&format!("node {} runs by what its configuration says", told["node"]));
                return Ok(());
            }
            output::data(&output::table(&["key", "in force"], all))
        }
        Format::Name => {
            let names: Vec<String> =
                rows("in_force", "").into_iter().flatten().filter(|text| !text.is_empty()).collect();
            if names.is_empty() { Ok(()) } else { output::data(&names.join("\n")) }
        }
        format => output::value(*format, &told),
    }
}

fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let loaded = arguments.from.load()?;
    let Findings { faults, passed_over } = config_files::look(&loaded.config);
    for file in passed_over {
        output::say(&format!("passed over: {file}"));
    }
    if !faults.is_empty() {
        let what = "the configuration names files that cannot be used";
        let next = "correct the files or the keys; whom the node runs as must be able to read them";
        return Err(Failure::new(Exit::Failed, what, faults.join("\n"), next));
    }
    let default = Config::default();
    let set: Vec<&Key> = KEYS.iter().filter(|key| (key.show)(&loaded.config) != (key.show)(&default)).collect();
    let rows: Vec<Value> = set.iter().map(|key| row(key, &loaded)).collect();
    let names: Vec<String> = set.iter().map(|key| key.path()).collect();
    let whole = json!({"acceptable": true, "set": rows});
    output::done(arguments.output, names.join("\n"), "the configuration is acceptable", &whole)
}

/// Returns a key's value and where it comes from, as data.
fn row(key: &Key, loaded: &Loaded) -> Value {
    json!({"key": key.path(), "value": (key.show)(&loaded.config), "from": loaded.source(key).to_string()})
}

fn explain(arguments: &ExplainArguments) -> Result<(), Failure> {
    let loaded = arguments.from.load()?;
    let keys: Vec<&Key> = match &arguments.key {
        None => KEYS.iter().collect(),
        Some(path) => vec![find_key(path).ok_or_else(|| no_such_key(path))?],
    };
    match arguments.output {
        Format::Table => {
            let texts: Vec<String> = keys.into_iter().map(|key| explanation(key, &loaded)).collect();
            output::data(&texts.join("\n\n"))
        }
        Format::Name => output::data(&keys.into_iter().map(Key::path).collect::<Vec<_>>().join("\n")),
        format => {
            let rows: Vec<Value> = keys.into_iter().map(|key| explanation_as_data(key, &loaded)).collect();
            output::value(format, &rows)
        }
    }
}

fn no_such_key(path: &str) -> Failure {
    let next = closest_key(path).map_or_else(String::new, |meant| format!(" {meant}"));
    let why = "it is not among the keys of node.toml";
    Failure::new(Exit::NotFound, format!("there is no key {path}"), why, format!("portcullis config explain{next}"))
}

fn explanation_as_data(key: &Key, loaded: &Loaded) -> Value {
    let mut whole = row(key, loaded);
    whole["about"] = key.about().into();
    whole["default"] = (key.show)(&Config::default()).into();
    whole["accepts"] = key.accepts.into();
    whole["environment"] = key.variable().into();
    whole["in_force"] = key.in_force().into();
    whole
}

fn explanation(key: &Key, loaded: &Loaded) -> String {
    let default = (key.show)(&Config::default());
    let (path, about, value) = (key.path(), key.about(), (key.show)(&loaded.config));
    format!(
        "{path} = {value}\n  {about}\n  from         {}\n  default      {default}\n  accepts      {}\n  environment  {}\n  in force     {}",
        loaded.source(key),
        key.accepts,
        key.variable(),
        key.in_force(),
    )
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let loaded = arguments.from.load()?;
    if arguments.toml {
        return output::data(&loaded.config.as_commented_toml());
    }
    let row = |key: &Key| (key.path(), (key.show)(&loaded.config), loaded.source(key).to_string());
    match arguments.output {
        Format::Table => {
            let rows = KEYS.iter().map(row).map(|(key, value, source)| vec![key, value, source]);
            output::data(&output::table(&["key", "value", "from"], rows))
        }
        Format::Name => output::data(&KEYS.iter().map(Key::path).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &KEYS.iter().map(|key| self::row(key, &loaded)).collect::<Vec<_>>()),
    }
}
