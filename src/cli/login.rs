//! `portcullis login`: checks credentials and saves them with the server as a context.

use clap::Args;
use serde_json::{Value, json};

use crate::authority;
use crate::context::{Context, Contexts};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, normal, of_client};
use crate::trust::Trust;

/// Arguments of `login`.
#[derive(Debug, Args)]
#[command(after_help = "\
The password is saved in contexts.toml in the XDG configuration directory, which only you can read (mode 0600).

Example:
  portcullis login --server https://127.0.0.1:9443 --user admin --password-file FILE")]
pub struct LoginArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    /// Forget the certificate authority that was pinned for the server before.
    #[arg(long)]
    forget: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// Runs the command.
///
/// # Errors
/// Where the server is not believed or refuses the credentials.
pub async fn run(arguments: &LoginArguments) -> Result<(), Failure> {
    if arguments.forget {
        let server = normal(arguments.remote.server.as_deref().unwrap_or("127.0.0.1"))?;
        let place = authority::place(&server)?;
        let was_pinned = Trust::open()?.forget(&place)?;
        let was_known = forget_in_contexts(&server)? || was_pinned;
        output::say(&format!("{place} {}", if was_known { "is forgotten" } else { "was not known" }));
    }
    // The name is of the context to write: it need not be there yet.
    let name = arguments.remote.context.clone().unwrap_or_else(|| "default".to_owned());
    let remote = RemoteArguments { context: None, ..arguments.remote.clone() }.connect().await?;
    let (user, password) = arguments.remote.credentials(None).or_else(|missing| {
        let contexts = Contexts::read()?;
        let saved = contexts.contexts.values().find(|context| context.server == remote.server);
        saved.map(|context| (context.user.clone(), context.password.clone())).ok_or(missing)
    })?;
    let _seen: Value = remote.client.get(crate::cluster::STATUS_PATH).await.map_err(|fault| of_client(&fault))?;
    let mut contexts = Contexts::read()?;
    let context =
        Context { server: remote.server.clone(), user, password, ca_fingerprint: remote.ca_fingerprint.clone() };
    let whole = json!({"context": name, "server": context.server, "user": context.user});
    contexts.contexts.insert(name.clone(), context);
    contexts.current.clone_from(&name);
    let file = contexts.write()?;
    let sentence = format!("signed in at {}; saved as context {name} in {}", remote.server, file.display());
    output::done(arguments.output, &name, &sentence, &whole)?;
    output::say("next: portcullis cluster status");
    Ok(())
}

/// Takes the pinned authority out of every context of `server`; says whether there was one.
fn forget_in_contexts(server: &str) -> Result<bool, Failure> {
    let mut contexts = Contexts::read()?;
    let mut was_known = false;
    for context in contexts.contexts.values_mut().filter(|context| context.server == server) {
        was_known |= !std::mem::take(&mut context.ca_fingerprint).is_empty();
    }
    if was_known {
        contexts.write()?;
    }
    Ok(was_known)
}
