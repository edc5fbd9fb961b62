//! How many tokens a cluster gives in a second: client credentials, refresh and introspection, over TLS, by callers that
//! each send the next request when the one before is answered.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_http::client::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::{BenchError, table, validation};

/// How tokens are to be measured.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The binary whose nodes are measured.
    pub program: PathBuf,
    /// Cluster sizes.
    pub nodes: Vec<usize>,
    /// Callers at a time.
    pub callers: usize,
    /// How long each measurement takes.
    pub duration: Duration,
}

/// Callers that share a client: a client may hold 100 000 tokens.
const CALLERS_OF_A_CLIENT: usize = 4;
const TOKEN: &str = "/oauth2/token";
const REGISTER: &str = "/oauth2/register";

/// What callers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Jwt,
    Opaque,
    Refresh,
    Introspection,
}

impl Work {
    const ALL: [Self; 4] = [Self::Jwt, Self::Opaque, Self::Refresh, Self::Introspection];

    fn name(self) -> &'static str {
        match self {
            Self::Jwt => "client credentials, JWT",
            Self::Opaque => "client credentials, opaque",
            Self::Refresh => "refresh, opaque",
            Self::Introspection => "introspection, opaque",
        }
    }
}

/// Measures every kind of work at every cluster size. `note` hears what goes on.
///
/// # Errors
/// What could not be measured.
pub async fn run_tokens(settings: &TokenSettings, note: &(dyn Fn(&str) + Sync)) -> Result<String, BenchError> {
    let mut rows = Vec::new();
    for nodes in &settings.nodes {
        let cluster = Cluster::start(&settings.program, *nodes).await?;
        for work in Work::ALL {
            note(&format!("{} at {nodes} nodes …", work.name()));
            rows.push(measure(&cluster, *nodes, work, settings).await?);
        }
    }
    let heads = ["nodes", "work", "callers", "per second", "p50", "p99", "failed"];
    let issued = table("Tokens, callers that wait for each answer", &heads, &rows);
    let validated = validation::run(&settings.program, note).await?;
    Ok(format!("{issued}\n{validated}"))
}

async fn measure(
    cluster: &Cluster,
    nodes: usize,
    work: Work,
    settings: &TokenSettings,
) -> Result<Vec<String>, BenchError> {
    let admin = cluster.admin(0)?;
    let mut clients = Vec::new();
    for _ in 0..settings.callers.div_ceil(CALLERS_OF_A_CLIENT) {
        clients.push(register(&admin, work).await?);
    }
    let mut callers = JoinSet::new();
    let mut ready = Vec::new();
    for number in 0..settings.callers {
        let (id, secret) = &clients[number % clients.len()];
        let http = cluster.admin(number % nodes)?.with_basic(id, secret);
        ready.push(Caller::prepare(http, work, cluster.password()).await?);
    }
    let began = Instant::now();
    let until = began + settings.duration;
    for caller in ready {
        callers.spawn(caller.work(until));
    }
    let (mut times, mut failed) = (Vec::new(), 0_u64);
    while let Some(ended) = callers.join_next().await {
        let (own, own_failed) = ended.unwrap_or_default();
        times.extend(own);
        failed += own_failed;
    }
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "a count of answers")]
    let rate = times.len() as f64 / seconds;
    let at = |permille: usize| times.get(times.len() * permille / 1000).copied().unwrap_or(0);
    Ok(vec![
        nodes.to_string(),
        work.name().to_owned(),
        settings.callers.to_string(),
        format!("{rate:.0}"),
        format!("{} µs", at(500)),
        format!("{} µs", at(990)),
        failed.to_string(),
    ])
}

async fn register(admin: &Client, work: Work) -> Result<(String, String), BenchError> {
    let kind = if work == Work::Jwt { "JWT" } else { "OPAQUE" };
    let wish = json!({
        "client_name": work.name(),
        "grant_types": ["client_credentials", "password", "refresh_token"],
        "access_token_type": kind,
    });
    let made: Value = admin.post(REGISTER, &wish).await?;
    Ok((field(&made, "client_id")?, field(&made, "client_secret")?))
}

fn field(body: &Value, name: &str) -> Result<String, BenchError> {
    let text = body.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| BenchError::Node(format!("no {name} in {body}")))
}

/// One caller with a connection of its own.
struct Caller {
    http: Client,
    work: Work,
    /// The refresh token to spend next, or the token to ask about.
    token: String,
}

impl Caller {
    async fn prepare(http: Client, work: Work, password: &str) -> Result<Self, BenchError> {
        let token = match work {
            Work::Jwt | Work::Opaque => String::new(),
            Work::Refresh => {
                let form = [("grant_type", "password"), ("username", "admin"), ("password", password)];
                let reply: Value = http.post_form(TOKEN, &form).await?;
                field(&reply, "refresh_token")?
            }
            Work::Introspection => {
                let reply: Value = http.post_form(TOKEN, &[("grant_type", "client_credentials")]).await?;
                field(&reply, "access_token")?
            }
        };
        Ok(Self { http, work, token })
    }

    /// Works until `until`; returns the times of what was answered, in microseconds, and how often it failed.
    async fn work(mut self, until: Instant) -> (Vec<u32>, u64) {
        let (mut times, mut failed) = (Vec::new(), 0);
        while Instant::now() < until {
            let began = Instant::now();
            match self.once().await {
                Ok(()) => times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)),
                Err(_) => failed += 1,
            }
        }
        (times, failed)
    }

    async fn once(&mut self) -> Result<(), BenchError> {
        match self.work {
            Work::Jwt | Work::Opaque => {
                let _: Value = self.http.post_form(TOKEN, &[("grant_type", "client_credentials")]).await?;
            }
            Work::Refresh => {
                let form = [("grant_type", "refresh_token"), ("refresh_token", self.token.as_str())];
                let reply: Value = self.http.post_form(TOKEN, &form).await?;
                self.token = field(&reply, "refresh_token")?;
            }
            Work::Introspection => {
                let reply: Value = self.http.post_form("/oauth2/introspect", &[("token", self.token.as_str())]).await?;
                if reply.get("active") != Some(&Value::Bool(true)) {
                    return Err(BenchError::Node("the token is not active".to_owned()));
                }
            }
        }
        Ok(())
    }
}
