//! `portcullis cluster bootstrap`: makes this machine the first node of a new cluster.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use portcullis_model::Component;
use portcullis_node::config::Config;
use portcullis_node::founding::{self, Founding};
use serde_json::json;

use super::node_place::{self, prepare};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Format};
use crate::server::{self, ServerArguments};
use crate::trust::Trust;

/// The fewest characters of the administrator's password.
const PASSWORD_CHARS_MIN: usize = 5;
/// The most characters of a password: longer ones only cost time to check.
const PASSWORD_CHARS_MAX: usize = 128;

/// Arguments of `cluster bootstrap`.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes the cluster's certificate authority, this node's certificate, the cluster key and the administrator, and writes
a commented node.toml. The administrator's password is printed once, unless it is given by a file.

Example:
  portcullis cluster bootstrap --data-dir n1 --bind 127.0.0.1
  portcullis server --data-dir n1")]
pub struct BootstrapArguments {
    #[command(flatten)]
    place: node_place::NodePlace,
    /// A file whose first line is the administrator's password.
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// The cluster's name.
    #[arg(long, default_value = "portcullis", value_name = "NAME")]
    name: String,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Run the node right after.
    #[arg(long)]
    start: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the directory is in use or not empty, or something cannot be written.
pub async fn run(arguments: BootstrapArguments) -> Result<ExitCode, Failure> {
    let given = arguments.admin_password_file.as_deref().map(files::read_secret).transpose()?;
    if let Some(password) = &given {
        check_password(password)?;
    }
    let password = given.clone().unwrap_or_else(founding::new_password);
    let config = prepare(&arguments.place)?;
    check_components(&config)?;
    let data_dir = &arguments.place.data_dir;
    make_cluster(data_dir, &config, &arguments.name, &password)?;
    output::say(&format!("cluster {} is made; this is node 1, {}", arguments.name, data_dir.display()));
    let shown = given.is_none().then_some(password.as_str());
    if arguments.output != Format::Table {
        let (directory, management) = (data_dir.display().to_string(), config.addresses().management.to_string());
        let whole = json!({
            "node": 1, "cluster": arguments.name, "data_dir": directory, "management": format!("https://{management}"),
            "user": "admin", "password": shown,
        });
        output::done(arguments.output, 1, "", &whole)?;
    }
    // Whoever wants the node's id alone would have lost it else.
    if let Some(password) = shown.filter(|_| matches!(arguments.output, Format::Table | Format::Name)) {
        output::tell("the administrator's password, shown this once:");
        match arguments.output {
            Format::Name => output::tell(&format!("admin {password}")),
            _ => output::data(&format!("admin {password}"))?,
        }
    }
    let server = ServerArguments {
        data_dir: data_dir.clone(),
        components: None,
        set: Vec::new(),
        until_stdin_ends: false,
        shows_joining: false,
    };
    if arguments.start {
        return server::run(&server).await;
    }
    let management = config.addresses().management;
    output::say(&format!(
        "next: portcullis server --data-dir {}\nthen, for each further node:\n  portcullis cluster token create --server https://{management} --user admin --password-file FILE",
        data_dir.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Makes a new cluster in a data directory.
///
/// # Errors
/// Where the directory is in use or holds a node already, or something cannot be written.
pub fn make_cluster(data_dir: &Path, config: &Config, name: &str, admin_password: &str) -> Result<(), Failure> {
    let founding = Founding { config, cluster_name: name, admin_password };
    let founded = founding::found(data_dir, &founding)
        .map_err(|fault| Failure::from_fault(format!("no cluster can be made in {}", data_dir.display()), &fault))?;
    remember(&founded.ca_fingerprint, data_dir)
}

/// Remembers the cluster as this user's own. Where the user has no home, there is nothing to remember it in.
pub fn remember(ca_fingerprint: &[u8; 32], data_dir: &Path) -> Result<(), Failure> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    Trust::open()?.add_own(&hex::encode(ca_fingerprint), data_dir)
}

/// Other nodes join by a token, which Admin makes for who has signed in at the Key Manager: without the two on its first
/// node a cluster could never have a second.
pub(super) fn check_components(config: &Config) -> Result<(), Failure> {
    let needed = [Component::Admin, Component::KeyManager];
    if needed.into_iter().all(|component| config.serves(component)) {
        return Ok(());
    }
    let why =
        format!("other nodes join through Admin and the Key Manager; this node would serve {}", config.node.components);
    let next = format!(
        "--components {},admin,key-manager     take them away again when other nodes serve them",
        config.node.components
    );
    Err(Failure::new(Exit::Failed, "the first node must serve admin and key-manager", why, next))
}

fn check_password(password: &str) -> Result<(), Failure> {
    let count = password.chars().count();
    if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&count) {
        return Ok(());
    }
    let why = format!("it has {count} characters; {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} are possible");
    Err(Failure::new(Exit::Failed, "the administrator's password is not acceptable", why, "choose another"))
}
