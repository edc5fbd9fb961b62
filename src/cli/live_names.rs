//! Names for the completion of a command line: of APIs, applications, users and so on, from the server that the line means.
//! A line that is being typed must not wait, ask, or change anything: what is not there in a moment, or needs a decision, is
//! no candidate.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use portcullis_node::config::KEYS;
use serde_json::Value;

use crate::cluster::STATUS_PATH;
use crate::context::Contexts;
use crate::docs::PAGES;
use crate::remote::RemoteArguments;
use crate::scim;

/// How long names may take, connecting included.
const WITHIN: Duration = Duration::from_millis(300);
/// Names that are offered.
const NAMES_MAX: usize = 1_000;

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The context with the version, which is one word to every shell.
    ApiPath,
    ApiName,
    ApiVersion,
    ProductPath,
    Subscription,
    Environment,
    Application,
    ApplicationId,
    User,
    Role,
    Tenant,
    Node,
    Plan,
    RateLimit,
    ApplicationPolicy,
    CustomRule,
    Denial,
    Task,
    SigningKey,
    JoinToken,
    /// Saved on this machine.
    Context,
    /// Compiled in, as are topics.
    Key,
    Topic,
}

/// Returns the command tree whose arguments know their candidates.
#[must_use]
pub fn attach(tree: Command) -> Command {
    below(tree, "")
}

fn below(command: Command, path: &str) -> Command {
    let command = command.mut_args(|argument| match kind_of(path, &argument) {
        Some(kind) => argument.add(ArgValueCandidates::new(move || candidates(kind))),
        None => argument,
    });
    command.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name());
        below(sub, path.trim_start())
    })
}

/// Says what an argument of a command names, by where it stands and what the help calls it.
fn kind_of(path: &str, argument: &Arg) -> Option<Kind> {
    let verb = path.rsplit(' ').next().unwrap_or_default();
    let noun = path.strip_suffix(verb).unwrap_or(path).trim_end();
    let value = argument.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    // What is being made has no name yet.
    let is_new = verb == "create" && argument.is_positional();
    match (noun, value, argument.get_id().as_str()) {
        (_, _, "context") => Some(Kind::Context),
        ("context", "NAME", _) => Some(Kind::Context),
        ("config", "KEY", _) if verb == "explain" => Some(Kind::Key),
        ("", "TOPIC", _) => Some(Kind::Topic),
        ("cluster node", "ID" | "NEW", _) | ("cluster", "NODE", _) => Some(Kind::Node),
        ("cluster certificate", "ID", _) => Some(Kind::Node),
        ("cluster token", "ID", _) => Some(Kind::JoinToken),
        ("cluster node", ..) => None,
        ("key signing", "ID", _) => Some(Kind::SigningKey),
        ("task", "ID", _) => Some(Kind::Task),
        ("policy deny", "ID", _) => Some(Kind::Denial),
        ("api", "NAME", "published") | ("subscription" | "product", "API", _) => Some(Kind::ApiPath),
        ("product", "NAME", "published") => Some(Kind::ProductPath),
        ("subscription", "ID", _) => Some(Kind::Subscription),
        ("api" | "product", "ENVIRONMENT", _) => Some(Kind::Environment),
        ("api" | "product" | "subscription", "PLAN", _) => Some(Kind::Plan),
        ("app", "POLICY", _) => Some(Kind::ApplicationPolicy),
        ("api", "NAME", "name") if verb == "export" => Some(Kind::ApiName),
        ("api", "VERSION", _) if verb == "export" => Some(Kind::ApiVersion),
        ("policy", "API", _) | ("gateway", "CONTEXT", _) => Some(Kind::ApiPath),
        ("policy", "APP", _) | (_, "APPLICATION", _) | ("gateway", "NAME", "application") => Some(Kind::Application),
        ("stats", "ID", "application") => Some(Kind::ApplicationId),
        ("policy plan" | "policy", "NAME", "name") if !is_new => Some(Kind::Plan),
        ("policy rate-limit", "NAME", "name") if !is_new => Some(Kind::RateLimit),
        ("policy application", "NAME", "name") if !is_new => Some(Kind::ApplicationPolicy),
        ("policy custom", "NAME", "name") if !is_new => Some(Kind::CustomRule),
        (_, "USER", _) | ("stats", "NAME", "of_user") if verb != "create" => Some(Kind::User),
        (_, "ROLE", _) if !is_new => Some(Kind::Role),
        (_, "DOMAIN", _) if !is_new => Some(Kind::Tenant),
        _ => None,
    }
}

/// Returns the names that there are now; none where that cannot be known in a moment.
fn candidates(kind: Kind) -> Vec<CompletionCandidate> {
    let names: BTreeSet<String> = match kind {
        Kind::Key => KEYS.iter().map(portcullis_node::config::Key::path).collect(),
        Kind::Topic => PAGES.iter().map(|page| page.topic.to_owned()).collect(),
        Kind::Context => Contexts::read().map(|saved| saved.contexts.into_keys().collect()).unwrap_or_default(),
        kind => ask(kind).unwrap_or_default(),
    };
    names.into_iter().take(NAMES_MAX).map(CompletionCandidate::new).collect()
}

fn ask(kind: Kind) -> Option<BTreeSet<String>> {
    let words: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let remote = arguments_in(&words).connect_to_known().await?;
        let (path, list, field) = source(kind);
        let body: Value = remote.client.get(path).await.ok()?;
        Some(match kind {
            Kind::ApiPath | Kind::ProductPath => paths_in(&body),
            _ => names_in(&body, list, field),
        })
    };
    let names = runtime.block_on(async { tokio::time::timeout(WITHIN, asking).await.ok().flatten() });
    // A name that is being looked up must not keep the shell waiting.
    runtime.shutdown_background();
    names
}

/// Returns where names of a kind are: the path, the list in the answer, and the field in each of it.
fn source(kind: Kind) -> (&'static str, &'static str, &'static str) {
    const APIS: &str = "/api/am/publisher/v4/apis?limit=1000";
    const APPLICATIONS: &str = "/api/am/devportal/v3/applications?limit=1000";
    match kind {
        Kind::ApiPath => (APIS, "list", "context"),
        Kind::ApiName => (APIS, "list", "name"),
        Kind::ApiVersion => (APIS, "list", "version"),
        Kind::ProductPath => ("/api/am/publisher/v4/api-products?limit=1000", "list", "context"),
        Kind::Subscription => ("/api/am/publisher/v4/subscriptions?limit=1000", "list", "subscriptionId"),
        Kind::Environment => ("/api/am/admin/v4/environments?limit=1000", "list", "name"),
        Kind::Application => (APPLICATIONS, "list", "name"),
        Kind::ApplicationId => (APPLICATIONS, "list", "applicationId"),
        Kind::User => (scim::USERS, "Resources", "userName"),
        Kind::Role => (scim::ROLES, "Resources", "displayName"),
        Kind::Tenant => ("/api/server/v1/tenants?limit=1000", "tenants", "domain"),
        Kind::Plan => ("/api/am/admin/v4/throttling/policies/subscription", "list", "policyName"),
        Kind::RateLimit => ("/api/am/admin/v4/throttling/policies/advanced", "list", "policyName"),
        Kind::ApplicationPolicy => ("/api/am/admin/v4/throttling/policies/application", "list", "policyName"),
        Kind::CustomRule => ("/api/am/admin/v4/throttling/policies/custom", "list", "policyName"),
        Kind::Denial => ("/api/am/admin/v4/throttling/deny-policies", "list", "conditionId"),
        Kind::Task => ("/api/am/admin/v4/workflows?limit=1000", "list", "referenceId"),
        Kind::SigningKey => ("/api/portcullis/v1/signing-keys", "list", "kid"),
        Kind::JoinToken => ("/api/portcullis/v1/cluster/tokens", "list", "id"),
        // Those of this machine are not asked for.
        Kind::Node | Kind::Context | Kind::Key | Kind::Topic => (STATUS_PATH, "nodes", "id"),
    }
}

fn names_in(body: &Value, list: &str, field: &str) -> BTreeSet<String> {
    // Some lists are the whole answer.
    let items = body.get(list).unwrap_or(body).as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |item: &Value| match &item[field] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

/// Returns the contexts of APIs with their versions, as callers know them.
fn paths_in(body: &Value) -> BTreeSet<String> {
    let path = |api: &Value| {
        let (context, version) = (api["context"].as_str()?, api["version"].as_str()?);
        Some(portcullis_model::api::versioned_context(context, version))
    };
    body["list"].as_array().into_iter().flatten().filter_map(path).collect()
}

/// Returns which server the words of a command line mean, as far as they are typed.
fn arguments_in(words: &[String]) -> RemoteArguments {
    let given = |flag: &str| {
        words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(flag)? {
            "" => words.get(at + 1).cloned(),
            rest => rest.strip_prefix('=').map(str::to_owned),
        })
    };
    let or = |flag: &str, variable: &str| given(flag).or_else(|| std::env::var(variable).ok());
    let data_dir = given("--data-dir").map(PathBuf::from);
    RemoteArguments {
        // A directory goes before the environment: see `Arguments::of_process`.
        server: if data_dir.is_some() { given("--server") } else { or("--server", "PORTCULLIS_SERVER") },
        context: or("--context", "PORTCULLIS_CONTEXT"),
        user: or("--user", "PORTCULLIS_USER"),
        password_file: given("--password-file").map(PathBuf::from),
        ca_file: given("--ca-file").map(PathBuf::from),
        data_dir,
        insecure: false,
        timeout: 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory;
    use serde_json::json;

    use super::*;
    use crate::arguments::Arguments;

    /// Returns the arguments with names, by kind.
    fn known(command: &Command, path: &str, found: &mut BTreeMap<Kind, Vec<String>>) {
        for argument in command.get_arguments() {
            if let Some(kind) = kind_of(path, argument) {
                found.entry(kind).or_default().push(format!("{path} {}", argument.get_id()));
            }
        }
        for sub in command.get_subcommands() {
            known(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_kind_of_name_is_that_of_some_argument_and_what_is_made_anew_has_none() {
        let mut found = BTreeMap::new();
        known(&Arguments::command(), "", &mut found);
        let has = |kind: Kind, wanted: &[&str]| {
            let arguments = found.get(&kind).unwrap_or_else(|| panic!("{kind:?} is nowhere"));
            for argument in wanted {
                assert!(arguments.iter().any(|one| one == argument), "{kind:?}: {argument} is not among {arguments:?}");
            }
        };
        has(Kind::ApiPath, &["policy test api", "gateway tail api", "api show published", "subscription create api"]);
        has(Kind::ProductPath, &["product publish published", "product delete published"]);
        has(Kind::Subscription, &["subscription block id", "subscription delete id"]);
        has(Kind::Environment, &["api deploy environment", "product deploy environment"]);
        has(Kind::ApiName, &["api export name"]);
        has(Kind::ApiVersion, &["api export version"]);
        has(Kind::Application, &["key api-key issue application", "key api-key revoke application"]);
        has(Kind::User, &["user show name", "user delete name", "role grant users"]);
        has(Kind::Role, &["role show name", "role grant name"]);
        has(Kind::Tenant, &["tenant show domain", "tenant disable domain"]);
        has(Kind::Node, &["cluster node show id", "cluster node replace new", "cluster transfer-leader node"]);
        has(Kind::Plan, &["policy plan show name", "policy export name"]);
        has(Kind::RateLimit, &["policy rate-limit delete name"]);
        has(Kind::ApplicationPolicy, &["policy application update name"]);
        has(Kind::CustomRule, &["policy custom show name"]);
        has(Kind::Denial, &["policy deny delete id"]);
        has(Kind::Task, &["task approve id"]);
        has(Kind::SigningKey, &["key signing retire id"]);
        has(Kind::JoinToken, &["cluster token revoke id"]);
        has(Kind::Context, &["context use name", "api list context"]);
        has(Kind::Key, &["config explain key"]);
        has(Kind::Topic, &["docs topic"]);
        let made = found.values().flatten().filter(|one| one.contains(" create ")).cloned().collect::<Vec<_>>();
        let others = ["context", "role", "roles", "api", "application", "plan", "policy"];
        let of_making = |one: &&String| !others.iter().any(|id| one.ends_with(id));
        assert_eq!(made.iter().find(of_making), None);
    }

    #[test]
    fn names_are_read_from_lists_of_either_form_and_the_line_says_which_server() {
        let list = json!({"list": [{"name": "b"}, {"name": "a"}, {"name": ""}, {}]});
        assert_eq!(names_in(&list, "list", "name").into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(names_in(&json!([{"id": 7}]), "list", "id").into_iter().collect::<Vec<_>>(), ["7"]);
        let apis = json!({"list": [{"context": "/pizza", "version": "1.0.0"}]});
        assert_eq!(paths_in(&apis).into_iter().collect::<Vec<_>>(), ["/pizza/1.0.0"]);
        let words = ["portcullis", "--", "portcullis", "api", "export", "--server=https://a:1", "--data-dir", "n1"];
        let arguments = arguments_in(&words.map(str::to_owned));
        assert_eq!(arguments.server.as_deref(), Some("https://a:1"));
        assert_eq!(arguments.data_dir, Some(PathBuf::from("n1")));
    }
}
