//! `portcullis import kong` and `portcullis import apisix`: reads their declarative files, says what becomes of each thing in
//! them, and brings that in. What cannot be taken over is named with its line, always.

mod apisix;
mod apisix_plugins;
mod carry_out;
mod kong;
mod kong_plugins;
mod kong_references;
mod parts;
mod source;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::RemoteArguments;
use source::Node;

/// Arguments of an import of a declarative file.
#[derive(Debug, Args)]
#[command(after_help = "\
Each path of a route becomes an API, published and deployed at the same path; each consumer an application that is
subscribed to what it may call. What cannot be taken over is listed with its line; what is there already stays as it is, so
the command may be given again. Keys and passwords are not taken over: those of applications are made anew.

Example:
  portcullis import kong kong.yml --dry-run
  portcullis import apisix apisix.yaml --strict")]
pub struct FileArguments {
    /// The file: YAML or JSON.
    pub file: PathBuf,
    /// Show what would be made, and make nothing; needs no server.
    #[arg(long)]
    pub dry_run: bool,
    /// Make nothing where something cannot be taken over.
    #[arg(long)]
    pub strict: bool,
    /// Leave the APIs as they are made, neither deployed nor published.
    #[arg(long)]
    pub no_publish: bool,
    /// The version of the APIs that are made.
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    pub api_version: String,
    /// The form of the plan.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Format,
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// decK's, and what Kong reads without a database.
    Kong,
    /// What APISIX reads in standalone mode.
    Apisix,
}

impl Origin {
    /// Says what is to be made of a file.
    fn read(self, tree: &Node) -> Plan {
        let plan = match self {
            Self::Kong => kong::read(tree),
            Self::Apisix => apisix::read(tree),
        };
        plan.finish()
    }
}

/// What is to be made of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Business plans and advanced policies, before what uses them.
    pub policies: Vec<Policy>,
    /// APIs.
    pub apis: Vec<Api>,
    /// Applications.
    pub applications: Vec<Application>,
    /// What is not taken over, in the order of the file.
    pub left: Vec<Left>,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// `plan` for each application, `api` for all calls to an API together.
    pub level: Level,
    /// Requests in the time.
    pub requests: u64,
    /// The time: how many of which unit.
    pub per: (u64, Unit),
    /// Requests and unit of a burst.
    pub burst: Option<(u64, Unit)>,
    /// The line it comes from.
    pub line: u64,
}

/// Whose calls a limit counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Those of an application.
    Plan,
    /// All.
    Api,
}

/// A unit of time, as the contract names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    Sec,
    /// Minutes.
    Min,
    /// Hours.
    Hour,
    /// Days.
    Days,
}

/// An API.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Api {
    /// Its name.
    pub name: String,
    /// Where it is, without the version: it is the default version.
    pub context: String,
    /// Where calls go, with their weights.
    pub backends: Vec<(String, u64)>,
    /// Whether the backend with the fewest calls is asked, instead of each in turn.
    pub by_load: bool,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The protocols that calls may come by, where not by both.
    pub transports: Vec<String>,
    /// The verbs that are served.
    pub verbs: Vec<String>,
    /// What callers prove themselves by, as the contract names it; nothing where anybody may call.
    pub proofs: Vec<String>,
    /// Its business plan, where it has one of its own.
    pub plan: Option<String>,
    /// The limit on all calls together.
    pub limit: Option<String>,
    /// `corsConfiguration`.
    pub cors: Option<serde_json::Value>,
    /// What is done to calls, as `operationPolicies` has it.
    pub request_policies: Vec<serde_json::Value>,
    /// What is done to answers.
    pub response_policies: Vec<serde_json::Value>,
    /// For how long answers are given again, in seconds.
    pub cache_s: Option<u64>,
    /// Who may call, by the names of applications; everybody who has proofs where it is not said.
    pub only_for: Option<Vec<String>>,
    /// Whether it is that path alone, and none below it.
    pub is_exact: bool,
    /// Whether it is made, but not published: it would let pass more than before.
    pub is_held: bool,
    /// Tags.
    pub tags: Vec<String>,
    /// The line it comes from.
    pub line: u64,
}

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// The names of the APIs it subscribes to.
    pub subscriptions: Vec<String>,
    /// The line it comes from.
    pub line: u64,
}

/// Something that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Left {
    /// Its line.
    pub line: u64,
    /// What it is, by name.
    pub what: String,
    /// Why not, or what to do instead.
    pub why: String,
}

impl Plan {
    /// Notes what is not taken over.
    fn leave(&mut self, line: u64, what: impl Into<String>, why: impl Into<String>) {
        self.left.push(Left { line, what: what.into(), why: why.into() });
    }

    /// Puts everything in order, and subscribes applications to the APIs that ask for proof.
    fn finish(mut self) -> Self {
        self.left.sort();
        self.left.dedup();
        for application in &mut self.applications {
            let may_call = |api: &&Api| {
                let is_meant = api.only_for.as_ref().is_none_or(|names| names.contains(&application.name));
                !api.proofs.is_empty() && !api.is_held && is_meant
            };
            application.subscriptions = self.apis.iter().filter(may_call).map(|api| api.name.clone()).collect();
        }
        self
    }

    fn as_text(&self, version: &str) -> String {
        let mut rows = Vec::new();
        let mut row = |kind: &str, name: &str, detail: String, line: u64| {
            rows.push(vec![kind.to_owned(), name.to_owned(), detail, line.to_string()]);
        };
        for policy in &self.policies {
            let kind = if policy.level == Level::Plan { "plan" } else { "limit" };
            let burst = policy.burst.map(|(count, unit)| format!(", at most {count} per {unit:?}").to_lowercase());
            let (number, unit) = policy.per;
            let number = if number == 1 { String::new() } else { format!("{number} ") };
            let detail =
                format!("{} per {number}{unit:?}", policy.requests).to_lowercase() + &burst.unwrap_or_default();
            row(kind, &policy.name, detail, policy.line);
        }
        for api in &self.apis {
            let backends: Vec<&str> = api.backends.iter().map(|(url, _)| url.as_str()).collect();
            let mut proofs = if api.proofs.is_empty() { "open".to_owned() } else { api.proofs.join(" or ") };
            if let [only] = &api.transports[..] {
                proofs.push_str(&format!("; by {only} alone"));
            }
            row("api", &api.name, format!("{} ({version}) → {}; {proofs}", api.context, backends.join(", ")), api.line);
        }
        for application in &self.applications {
            row("application", &application.name, application.subscriptions.join(", "), application.line);
        }
        output::table(&["kind", "name", "what", "line"], rows)
    }
}

/// Runs an import.
///
/// # Errors
/// Where the file cannot be read, something is left with `--strict`, or the server refuses or cannot be reached.
pub async fn run(origin: Origin, arguments: &FileArguments) -> Result<(), Failure> {
    let tree = Node::read(&arguments.file)?;
    let plan = origin.read(&tree);
    show(&plan, arguments)?;
    for left in &plan.left {
        output::tell(&format!("left: {}:{}: {}: {}", arguments.file.display(), left.line, left.what, left.why));
    }
    if arguments.strict && !plan.left.is_empty() {
        let why = format!("{} things in the file cannot be taken over", plan.left.len());
        return Err(Failure::new(Exit::Failed, "nothing was imported", why, "take them out, or leave out --strict"));
    }
    if plan.apis.is_empty() {
        let why = format!("{} has no routes that can be taken over", arguments.file.display());
        return Err(Failure::new(Exit::Failed, "there is nothing to import", why, "look at what is left, above"));
    }
    if arguments.dry_run {
        output::say("nothing was made");
        return Ok(());
    }
    carry_out::carry_out(&plan, arguments).await
}

fn show(plan: &Plan, arguments: &FileArguments) -> Result<(), Failure> {
    match arguments.output {
        Format::Table => output::data(&plan.as_text(&arguments.api_version)),
        Format::Name => output::data(&plan.apis.iter().map(|api| api.name.as_str()).collect::<Vec<_>>().join("\n")),
        format => output::value(format, plan),
    }
}

#[cfg(test)]
mod opening_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const KONG: &str = include_str!("../../tests/moving/kong.yml");
    const APISIX: &str = include_str!("../../tests/moving/apisix.yaml");

    #[test]
    fn the_plan_is_shown_as_people_read_it() {
        let kong = Origin::Kong.read(&Node::of_text(&KONG.replace("BACKEND", "shop:9000")).unwrap());
        assert_eq!(kong.as_text("1.0.0"), include_str!("../../tests/moving/kong-plan.txt").trim_end());
    }

    #[test]
    fn nothing_in_a_file_is_dropped_in_silence() {
        // Every plugin, field and object of the files is either in the plan or told as left; so is what nobody thought of.
        let files = [
            (KONG, Origin::Kong, "  - name: orders\n", "  - name: orders\n    newer_field: 1\n"),
            (APISIX, Origin::Apisix, "- id: orders\n", "- id: orders\n  newer_field: 1\n"),
        ];
        let consumer = ("- username: phone\n", "- username: phone\n  newer_field: 1\n");
        let top = ("consumers:\n", "newer_list: [1]\nconsumers:\n");
        for (text, origin, route, with_more) in files {
            let before = origin.read(&Node::of_text(text).unwrap());
            let with = |from: &str, to: &str| {
                let changed = text.replacen(from, to, 1);
                assert_ne!(changed, text, "{from} is not in the file");
                origin.read(&Node::of_text(&changed).unwrap())
            };
            let route = (route, with_more);
            for (from, to) in [route, consumer, top] {
                let after = with(from, to);
                assert_eq!(after.left.len(), before.left.len() + 1, "{to}");
                assert!(after.left.iter().any(|left| left.what.contains("newer_")), "{:#?}", after.left);
            }
        }
    }

    #[test]
    fn a_route_for_one_protocol_stays_closed_to_the_other() {
        let file = |protocols: &str| {
            format!(
                "services:\n- name: a\n  url: http://a\n  routes:\n  - name: x\n    paths: [/x]\n    protocols: {protocols}\n"
            )
        };
        let transports =
            |protocols: &str| Origin::Kong.read(&Node::of_text(&file(protocols)).unwrap()).apis.remove(0).transports;
        assert_eq!(transports("[https]"), ["https"]);
        assert_eq!(transports("[http]"), ["http"]);
        assert_eq!(transports("[http, https]"), Vec::<String>::new());
    }

    #[test]
    fn the_same_path_twice_is_one_api_where_verbs_alone_differ_and_is_told_where_more_does() {
        let file = |second: &str| {
            format!(
                "services:\n- name: a\n  url: http://a\n  routes:\n  - name: get\n    paths: [/x]\n    methods: [GET]\n  - name: post\n    \
                 paths: [/x]\n    methods: [POST]\n{second}"
            )
        };
        let read = |second: &str| Origin::Kong.read(&Node::of_text(&file(second)).unwrap());
        let one = read("");
        assert_eq!((one.apis.len(), one.apis[0].verbs.join(" ")), (1, "GET POST".to_owned()));
        let other = read("    strip_path: false\n");
        assert_eq!((other.apis.len(), other.left.len()), (1, 1), "{other:#?}");
        assert!(other.left[0].why.contains("get has that path already (line 6)"), "{:?}", other.left);
    }
}
