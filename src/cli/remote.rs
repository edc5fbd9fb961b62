//! A server that a command talks to: which one, who signs in, and whose certificate is believed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use portcullis_http::client::Client;
use portcullis_http::client_error::ClientError;
use portcullis_http::tls;
use portcullis_node::config::Config;
use url::Url;

use crate::authority;
use crate::context::{Context, Contexts};
use crate::exit::Exit;
use crate::failure::{Failure, docs_of};
use crate::files;
use crate::output::Format;
use crate::trust::{Met, Trust};

/// Where the management port is where nobody says otherwise.
const SERVER_DEFAULT: &str = "https://127.0.0.1:9443";

/// Which server, who signs in, whose certificate is believed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct RemoteArguments {
    /// A node's management port. The context's, or https://127.0.0.1:9443, where it is not given.
    #[arg(long, value_name = "URL", env = "PORTCULLIS_SERVER")]
    pub server: Option<String>,
    /// The saved context to use (see portcullis login).
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_CONTEXT")]
    pub context: Option<String>,
    /// The user who signs in.
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_USER")]
    pub user: Option<String>,
    /// A file whose first line is the password; PORTCULLIS_PASSWORD does as well.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Believe only servers of the certificate authority in this file (PEM).
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca_file: Option<PathBuf>,
    /// A node's data directory on this machine: its address and its certificate authority are used.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Believe any certificate. Whoever is in between then reads the password.
    #[arg(long)]
    pub insecure: bool,
    /// How many seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 35, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

/// Arguments of a command that only shows what a server says.
#[derive(Debug, Args)]
pub struct ReadArguments {
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// A server that can be called.
#[derive(Clone)]
pub struct Remote {
    /// The client, signed in.
    pub client: Client,
    /// The server's URL.
    pub server: String,
    /// The fingerprint of the authority that is believed; empty where any is.
    pub ca_fingerprint: String,
    /// Makes a client of another node.
    beside: Beside,
}

/// What a client of another node is made of.
#[derive(Clone)]
struct Beside {
    tls: Arc<rustls::ClientConfig>,
    user: String,
    password: String,
    timeout: Duration,
}

impl Remote {
    /// Returns a client of another node of the same cluster, signed in alike: the same authority has to vouch for it.
    ///
    /// # Errors
    /// Where `server` is not the URL of one.
    pub fn at(&self, server: &str) -> Result<Client, ClientError> {
        let Beside { tls, user, password, timeout } = &self.beside;
        let client = Client::new(server, Some(Arc::clone(tls)))?;
        Ok(client.with_basic(user, password).with_timeout(*timeout))
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", self.server)
    }
}

impl RemoteArguments {
    /// Makes a client that is signed in.
    ///
    /// # Errors
    /// Where no credentials are to be had, or the server is not believed.
    pub async fn connect(&self) -> Result<Remote, Failure> {
        let contexts = Contexts::read()?;
        let context = contexts.chosen(self.context.as_deref())?;
        let server = self.chosen_server(context)?;
        // A context's password goes to that context's server and no other.
        let context = context.filter(|context| context.server == server);
        let (user, password) = self.credentials(context)?;
        let (config, ca_fingerprint) = self.believe(&server, context).await?;
        let client = Client::new(&server, Some(Arc::clone(&config))).map_err(|fault| of_client(&fault))?;
        let timeout = Duration::from_secs(self.timeout);
        let client = client.with_basic(&user, &password).with_timeout(timeout);
        let beside = Beside { tls: config, user, password, timeout };
        Ok(Remote { client, server, ca_fingerprint, beside })
    }

    /// The same for whoever must neither ask nor decide: without a message, and only where the server's authority is known
    /// already.
    pub async fn connect_to_known(&self) -> Option<Remote> {
        let contexts = Contexts::read().ok()?;
        let context = contexts.chosen(self.context.as_deref()).ok()?;
        let server = self.chosen_server(context).ok()?;
        let context = context.filter(|context| context.server == server);
        let is_pinned = context.is_some_and(|context| !context.ca_fingerprint.is_empty());
        if self.ca_file.is_none() && self.data_dir.is_none() && !is_pinned {
            let place = authority::place(&server).ok()?;
            let shown = authority::shown_by(&place).await.ok()?;
            let met = Trust::open().ok()?.meet(&place, &shown);
            if !matches!(met, Met::Known) {
                return None;
            }
        }
        Self { insecure: false, ..self.clone() }.connect().await.ok()
    }

    fn chosen_server(&self, context: Option<&Context>) -> Result<String, Failure> {
        let server = match (&self.server, &self.data_dir, context) {
            (Some(server), _, _) => server.clone(),
            (None, Some(directory), _) => {
                let loaded = Config::load(directory, &[])
                    .map_err(|fault| Failure::from_fault("the node's configuration is not acceptable", &fault))?;
                format!("https://{}", loaded.config.addresses().management)
            }
            (None, None, Some(context)) => context.server.clone(),
            (None, None, None) => SERVER_DEFAULT.to_owned(),
        };
        normal(&server)
    }

    /// Returns the password that is given or saved, for whoever must not show it.
    pub fn password(&self) -> Option<String> {
        let contexts = Contexts::read().ok()?;
        let context = contexts.chosen(self.context.as_deref()).ok()?;
        self.credentials(context).ok().map(|(_, password)| password)
    }

    /// Returns user and password from flags, environment, or the context.
    ///
    /// # Errors
    /// Where there are none.
    pub fn credentials(&self, context: Option<&Context>) -> Result<(String, String), Failure> {
        let password = match &self.password_file {
            Some(file) => Some(files::read_secret(file)?),
            None => std::env::var("PORTCULLIS_PASSWORD").ok().filter(|password| !password.is_empty()),
        };
        match (&self.user, password, context) {
            (Some(user), Some(password), _) => Ok((user.clone(), password)),
            // Whoever gives a password alone means the first administrator.
            (None, Some(password), _) => Ok(("admin".to_owned(), password)),
            (Some(user), None, Some(context)) if *user == context.user => Ok((user.clone(), context.password.clone())),
            (None, None, Some(context)) => Ok((context.user.clone(), context.password.clone())),
            _ => Err(Failure::new(
                Exit::NotAllowed,
                "no credentials were given",
                "there is no password in --password-file, in PORTCULLIS_PASSWORD, or in a saved context of this server",
                "PORTCULLIS_USER=admin PORTCULLIS_PASSWORD=… portcullis …     or once: portcullis login --user admin --password-file FILE",
            )),
        }
    }

    /// Decides whose certificate is believed.
    async fn believe(
        &self,
        server: &str,
        context: Option<&Context>,
    ) -> Result<(std::sync::Arc<rustls::ClientConfig>, String), Failure> {
        let unusable = |fault: tls::TlsError| {
            let why = fault.to_string();
            Failure::new(
                Exit::Failed,
                "the certificate authority cannot be used",
                why,
                "give a PEM file with --ca-file",
            )
        };
        if self.insecure {
            crate::output::tell("warning: any certificate is believed (--insecure)");
            return Ok((tls::client_config_insecure().map_err(unusable)?, String::new()));
        }
        let file =
            self.ca_file.clone().or_else(|| self.data_dir.as_ref().map(|directory| directory.join(authority::CA_FILE)));
        if let Some(file) = file {
            let pem = std::fs::read_to_string(&file).map_err(|cause| {
                let what = format!("the certificate authority cannot be read from {}", file.display());
                Failure::from_io(what, &cause, "give a PEM file with --ca-file, or a node's directory with --data-dir")
            })?;
            let fingerprint = tls::fingerprint(&pem).map_err(unusable)?;
            return Ok((tls::client_config_with_ca(&pem).map_err(unusable)?, hex::encode(fingerprint)));
        }
        let pinned = context.map(|context| context.ca_fingerprint.clone()).filter(|pinned| !pinned.is_empty());
        let fingerprint = match pinned {
            Some(pinned) => pinned,
            None => first_contact(server).await?,
        };
        let bytes = authority::fingerprint_bytes(&fingerprint)?;
        Ok((tls::client_config_pinned(bytes).map_err(unusable)?, fingerprint))
    }
}

/// Finds out which authority is behind a server, and believes it where it is the one known or none was known.
async fn first_contact(server: &str) -> Result<String, Failure> {
    let place = authority::place(server)?;
    let shown = authority::shown_by(&place).await?;
    let mut trust = Trust::open()?;
    match trust.meet(&place, &shown) {
        Met::Known => {}
        Met::First => {
            trust.pin(&place, &shown)?;
            crate::output::say(&format!(
                "first contact with {place}: from now on only the certificate authority {shown} is believed there"
            ));
        }
        Met::Changed => {
            let pinned = trust.pinned(&place).unwrap_or_default();
            let why = format!(
                "its certificate authority is {shown}, but until now it was {pinned}.\nEither it is another cluster now, or somebody is in between"
            );
            let next = format!("portcullis login --server {server} --forget     if you know why it changed");
            return Err(Failure::new(Exit::CannotConnect, format!("{place} is not the server it was"), why, next));
        }
    }
    Ok(shown)
}

/// Returns a server's URL as scheme, host and port.
///
/// # Errors
/// Where it is none.
pub fn normal(server: &str) -> Result<String, Failure> {
    let wrong = |why: String| {
        let next = format!("--server {SERVER_DEFAULT}");
        Failure::new(Exit::Usage, format!("{server:?} is not the address of a server"), why, next)
    };
    let with_scheme = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
    let url = Url::parse(&with_scheme).map_err(|fault| wrong(fault.to_string()))?;
    if url.scheme() != "https" {
        return Err(wrong("the management port speaks HTTPS alone".to_owned()));
    }
    let host = url.host_str().ok_or_else(|| wrong("it has no host".to_owned()))?;
    Ok(format!("https://{host}:{}", url.port().unwrap_or(9443)))
}

/// Says why a call brought no result.
pub fn of_client(fault: &ClientError) -> Failure {
    match fault {
        ClientError::BadUrl { .. } => Failure::new(
            Exit::Usage,
            "the server cannot be called",
            fault.to_string(),
            format!("--server {SERVER_DEFAULT}"),
        ),
        ClientError::CannotConnect { server, source } => Failure::new(
            Exit::CannotConnect,
            format!("{server} cannot be reached"),
            source.to_string(),
            "check that the node runs there, or name another one with --server",
        ),
        ClientError::Tls { server, .. } if fault.is_wrong_authority() => Failure::new(
            Exit::CannotConnect,
            format!("{server} is not the server it was"),
            "its certificate authority is not the one saved with the context.\nEither it is another cluster now, or somebody is in between",
            format!("portcullis login --server https://{server} --forget     if you know why it changed"),
        ),
        ClientError::Tls { server, source } => Failure::new(
            Exit::CannotConnect,
            format!("{server} is not believed"),
            source.to_string(),
            "check --server and --ca-file; the certificate must be of the cluster that is meant, and name this address",
        ),
        ClientError::TimedOut { server, after } => Failure::new(
            Exit::TimedOut,
            format!("{server} did not answer"),
            format!("nothing came within {} s; what was asked for may still happen", after.as_secs()),
            "see what happened before trying again; --timeout waits longer",
        ),
        ClientError::Lost { server, source } => Failure::new(
            Exit::CannotConnect,
            format!("the connection to {server} broke"),
            format!("{source}; what was asked for may have happened"),
            "see what happened before trying again",
        ),
        ClientError::Status { status, error, .. } => of_status(status.as_u16(), error),
        ClientError::TooLarge(_) | ClientError::NotJson(_) => Failure::new(
            Exit::Failed,
            "the server's answer is not understood",
            fault.to_string(),
            "check that --server is a Portcullis management port of the same version (portcullis version)",
        ),
    }
}

fn of_status(status: u16, error: &portcullis_http::client_error::ErrorReply) -> Failure {
    let what = if error.title.is_empty() { format!("the server answered {status}") } else { error.title.clone() };
    let next = match (error.next_step.is_empty(), status) {
        (false, _) => error.next_step.clone(),
        (true, 401) => {
            "check user and password: --user, --password-file, PORTCULLIS_USER, PORTCULLIS_PASSWORD".to_owned()
        }
        (true, 403) => "sign in as a user whose roles allow this".to_owned(),
        (true, 404) => "list what there is, and use one of those".to_owned(),
        (true, 503) => "portcullis cluster status     shows whether a majority of the nodes runs".to_owned(),
        (true, _) => "correct what the line above says".to_owned(),
    };
    let failure = Failure::new(Exit::of_status(status), what.to_lowercase(), error.to_string(), next);
    if error.code.starts_with("PC-") { failure.docs(docs_of(&error.code)) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_written_short_but_never_without_tls() {
        assert_eq!(normal("127.0.0.1").unwrap(), "https://127.0.0.1:9443");
        assert_eq!(normal("https://n1.example:9500/").unwrap(), "https://n1.example:9500");
        assert_eq!(normal("https://[::1]:9443").unwrap(), "https://[::1]:9443");
        assert_eq!(normal("http://127.0.0.1:9443").unwrap_err().exit, Exit::Usage);
        assert_eq!(normal("https://").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn an_answer_becomes_an_exit_code_and_a_next_step() {
        let error = portcullis_http::client_error::ErrorReply::read(
            br#"{"title":"Not Found","detail":"there is no node 7","code":"PC-1404","next_step":"List them."}"#,
        );
        let failure = of_status(404, &error);
        assert_eq!(failure.exit, Exit::NotFound);
        let text = anstream::adapter::strip_str(&failure.to_string()).to_string();
        assert_eq!(
            text,
            "error: not found\n  why   there is no node 7\n  try   List them.\n  docs  portcullis docs PC-1404\n"
        );
    }
}
