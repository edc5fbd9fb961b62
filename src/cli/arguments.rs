//! The command tree: noun, then verb. Each command's own arguments are in its own file.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::output::Colour;
use crate::{
    api, app, archive, audit, bench, cluster, completions, config, context_command, debug, declared, dev, docs, doctor,
    gateway, key, login, man, policy, product, role, server, stats, subscription, task, tenant, user, version,
};

/// What `--help` says at the end of the top level.
const AFTER_HELP: &str = "\
Examples:
  portcullis dev                                               try everything on a throw-away node
  portcullis cluster bootstrap --data-dir n1 --bind 127.0.0.1  make a cluster of one node
  portcullis server --data-dir n1                              run the node
  portcullis cluster token create                              let another node join

Exit codes: 0 done, 1 refused or failed, 2 wrong command line, 3 not found, 4 not allowed, 5 conflict,
6 cannot connect, 7 no leader or not healthy, 8 no answer in time, 130 interrupted.

Environment: PORTCULLIS_SERVER, PORTCULLIS_USER, PORTCULLIS_PASSWORD and PORTCULLIS_CONTEXT for commands that talk to
a server; PORTCULLIS_SECTION__KEY for every key of node.toml (see portcullis config explain).";

/// API management in one binary.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Arguments {
    /// When to colour messages.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,
    /// Leave out messages but faults, warnings and questions, and show ids or names instead of tables.
    #[arg(long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Chosen,
}

impl Arguments {
    /// Returns what this process was started with. A wrong command line ends it here with clap's message and exit code 2,
    /// `--help` and `--version` with 0.
    #[must_use]
    pub fn of_process() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        let command =
            || if is_said(&words, "--data-dir") { without_usual_server(Self::command()) } else { Self::command() };
        let read = |command: Command| Self::from_arg_matches(&command.get_matches_from(&words));
        let arguments = read(command()).unwrap_or_else(|fault| fault.exit());
        if !arguments.quiet {
            return arguments;
        }
        // It was understood before, with another default.
        read(with_names(command())).unwrap_or(arguments)
    }
}

fn is_said(words: &[OsString], flag: &str) -> bool {
    let said = words.iter().filter_map(|word| word.to_str()?.strip_prefix(flag));
    said.into_iter().any(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Has the environment name no server: whoever names a node's directory means that node.
fn without_usual_server(command: Command) -> Command {
    let command = command
        .mut_args(|argument| if argument.get_id() == "server" { argument.env(Resettable::Reset) } else { argument });
    command.mut_subcommands(without_usual_server)
}

/// Makes names the form that counts where none is given, instead of tables.
fn with_names(command: Command) -> Command {
    let is_form = |argument: &Arg| {
        let is_named = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "FORM"));
        argument.get_id() == "output" && is_named && argument.get_default_values().iter().any(|value| value == "table")
    };
    let command =
        command.mut_args(|argument| if is_form(&argument) { argument.default_value("name") } else { argument });
    command.mut_subcommands(with_names)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Chosen {
    /// Run a throw-away node with a sample API, application and token: the five-minute tour.
    Dev(dev::DevArguments),
    /// Run a node in the foreground.
    Server(server::ServerArguments),
    /// Make, join, see and change a cluster.
    Cluster {
        /// What to do with the cluster.
        #[command(subcommand)]
        command: cluster::ClusterCommand,
    },
    /// Examine the cluster and this machine; say what is not well and what to do.
    Doctor(doctor::DoctorArguments),
    /// See and change the APIs of the Publisher; write them into archives and bring them in from there.
    Api {
        /// What to do with APIs.
        #[command(subcommand)]
        command: api::ApiCommand,
    },
    /// See and change API products.
    Product {
        /// What to do with products.
        #[command(subcommand)]
        command: product::ProductCommand,
    },
    /// Make the server's objects what files say: APIs, plans, key managers, applications and the rest.
    Apply(declared::ApplyArguments),
    /// Show in what the server's objects are other than files say.
    Diff(declared::DiffArguments),
    /// Write the server's objects as files, without secrets.
    Export(declared::ExportArguments),
    /// Take over what other API managers and gateways exported.
    Import {
        /// From which.
        #[command(subcommand)]
        command: archive::ImportCommand,
    },
    /// See and change your applications in the Store.
    App {
        /// What to do with applications.
        #[command(subcommand)]
        command: app::AppCommand,
    },
    /// See who subscribes to what; subscribe, block, unblock.
    #[command(visible_alias = "sub")]
    Subscription {
        /// What to do with subscriptions.
        #[command(subcommand)]
        command: subscription::SubscriptionCommand,
    },
    /// See and change the keys that sign tokens, and the API keys of applications.
    Key {
        /// What to do with keys.
        #[command(subcommand)]
        command: key::KeyCommand,
    },
    /// See what was called, by whom and how fast; what was used of quotas and who holds what; give limits anew.
    Stats {
        /// What to see.
        #[command(subcommand)]
        command: stats::StatsCommand,
    },
    /// Measure.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        command: bench::BenchCommand,
    },
    /// See what a gateway does.
    Gateway {
        /// What to see.
        #[command(subcommand)]
        command: gateway::GatewayCommand,
    },
    /// Look into a node.
    Debug {
        /// What to look at.
        #[command(subcommand)]
        command: debug::DebugCommand,
    },
    /// See and change limits and deny policies.
    Policy {
        /// What to do with policies.
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
    /// See and change users.
    User {
        /// What to do with users.
        #[command(subcommand)]
        command: user::UserCommand,
    },
    /// See and change roles, and who holds them.
    Role {
        /// What to do with roles.
        #[command(subcommand)]
        command: role::RoleCommand,
    },
    /// Decide about what waits for approval.
    Task {
        /// What to do with tasks.
        #[command(subcommand)]
        command: task::TaskCommand,
    },
    /// See and change tenants.
    Tenant {
        /// What to do with tenants.
        #[command(subcommand)]
        command: tenant::TenantCommand,
    },
    /// See who did what, when, from where.
    Audit {
        /// What to do with the audit.
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Check credentials and save them with the server as a context.
    Login(login::LoginArguments),
    /// See and choose the servers that `portcullis login` saved.
    Context {
        /// What to do with saved contexts.
        #[command(subcommand)]
        command: context_command::ContextCommand,
    },
    /// Check and explain a node's configuration; have a node read it again.
    Config {
        /// What to do with the configuration.
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Write the completion script of a shell.
    Completions(completions::CompletionsArguments),
    /// Say what the code of an error means; show the pages of the manual.
    Docs(docs::DocsArguments),
    /// Write the manual pages.
    Man(man::ManArguments),
    /// Show the version.
    Version(version::VersionArguments),
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_forms_that_the_documents_promise_are_understood() {
        for line in [
            "dev",
            "dev --nodes 3",
            "server --data-dir n1",
            "cluster bootstrap --data-dir n1 --bind 127.0.0.1",
            "cluster bootstrap --data-dir n1 --bind 127.0.0.1 --admin-password-file p --name shop --start",
            "cluster join --data-dir n2 --bind 127.0.0.2 --token T --start",
            "cluster token create --server https://127.0.0.1:9443 --ttl 2h --uses 3",
            "cluster token create --user admin --password-file p",
            "cluster token list -o json --data-dir n1",
            "cluster token revoke 0123456789abcdef",
            "cluster certificate list -o yaml",
            "cluster certificate renew 2 --server https://127.0.0.1:9443",
            "cluster certificate renew --offline --data-dir n2",
            "cluster certificate rotate-ca --retire --yes",
            "cluster status -o json",
            "cluster node remove 3 --force --yes --server https://127.0.0.1:9443",
            "config explain gateway.http_port --data-dir n1",
            "doctor --server https://127.0.0.1:9443 -o json",
            "doctor --data-dir n1",
            "context list -o json",
            "context use shop",
            "man --into man1",
            "docs",
            "docs PC-1602 -o json",
            "debug bundle --output b.tar.gz --audit 100 --server https://127.0.0.1:9443",
            "import kong kong.yml --dry-run",
            "import apisix apisix.yaml --strict -o json",
            "config reload --data-dir n1 -o json",
            "doctor --ping --data-dir n1",
            "debug actors --data-dir n1",
            "api list -o yaml",
            "api show pizza:1.0.0 -o yaml",
            "api create pizza --context-path /pizza --version 2.0.0 --definition o.yaml --endpoint https://b --plan Gold",
            "api deploy /pizza/1.0.0 --environment Default --vhost localhost --dry-run",
            "api publish pizza --dry-run",
            "api delete pizza --yes",
            "product create meal --context-path /meal --api pizza:1.0.0 --api /pasta/1.0.0=GET_/menu",
            "product create -f meal.yaml --dry-run",
            "product deploy meal",
            "product retire meal",
            "app create phone --policy 10PerMin",
            "app delete phone -y",
            "subscription list --api pizza -o name",
            "sub list --app phone",
            "subscription create pizza phone --plan Gold",
            "subscription block 1 --keys production --dry-run",
            "subscription delete 1 --yes",
            "stats counters --policy Gold --limit 10",
            "stats reset --of-user ann",
            "gateway tail --status 5xx --api /pizza -n 3 --json",
            "debug message-store --data-dir n1",
            "policy plan create Tiny --requests 100 --per min --burst 5 --burst-per sec --dry-run",
            "policy rate-limit update -f p.yaml",
            "user create ann@example.com --email ann@example.com --role Internal/publisher --new-password-file p",
            "user list --limit 10 -o name",
            "role grant Internal/creator ann bob",
            "audit list --by ann --user admin --refused",
            "task list --kind API_STATE -o name",
            "task approve 1",
            "tenant create example.com --admin ann --new-password-file p --email ann@example.com",
            "policy custom create A --key $clientIp --requests 60",
            "policy deny create ip 192.0.2.0/24 --expires-at 2027-01-01T00:00:00Z",
            "policy deny update 1 --off",
            "policy test Pizza:1.0.0 --path /menu --app A --header x:y",
            "policy export Gold --level subscription",
            "apply -f shop -f more.yaml --dry-run",
            "apply -f - --prune --selector name=shop-* --selector tag=a -o json",
            "diff -f shop --server https://127.0.0.1:9443",
            "export --kind Api --into shop --data-dir n1",
        ] {
            let words = std::iter::once("portcullis").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_directory_goes_before_the_server_of_the_environment() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, is_said) in [("api list --data-dir n1", true), ("api list --data-dir=n1", true), ("api list", false)]
        {
            assert_eq!(super::is_said(&words(line), "--data-dir"), is_said, "{line}");
        }
        let listing = |command: Command| {
            let api = command.find_subcommand("api").expect("api").clone();
            let list = api.find_subcommand("list").expect("list").clone();
            let server = list.get_arguments().find(|argument| argument.get_id() == "server").expect("--server").clone();
            server.get_env().is_some()
        };
        assert!(listing(Arguments::command()) && !listing(without_usual_server(Arguments::command())));
    }

    #[test]
    fn who_wants_quiet_gets_names_unless_they_say_otherwise() {
        let parsed = |line: &str| {
            let words = std::iter::once("portcullis").chain(line.split(' '));
            let matches = with_names(Arguments::command()).try_get_matches_from(words).unwrap();
            format!("{:?}", Arguments::from_arg_matches(&matches).unwrap())
        };
        assert!(parsed("api list --quiet").contains("output: Name"));
        assert!(parsed("cluster node drain 2").contains("output: Name"));
        assert!(parsed("--quiet api list -o json").contains("output: Json"));
        // What is written there is the data itself.
        assert!(parsed("export --quiet").contains("output: Yaml"));
        assert!(parsed("policy export Gold --quiet").contains("output: Json"));
        assert!(parsed("cluster backup create --output f").contains("output: \"f\""));
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error_that_says_what_was_meant() {
        let fault =
            |line: &str| Arguments::try_parse_from(std::iter::once("portcullis").chain(line.split(' '))).unwrap_err();
        let told = fault("cluster statsu");
        assert_eq!(told.exit_code(), 2);
        assert!(told.to_string().contains("'status'"), "{told}");
        assert_eq!(fault("server").kind(), ErrorKind::MissingRequiredArgument);
        assert_eq!(fault("cluster node remove two").kind(), ErrorKind::ValueValidation);
        assert_eq!(fault("cluster token create --ttl soon").kind(), ErrorKind::ValueValidation);
        assert_eq!(fault("dev --nodes 0").kind(), ErrorKind::ValueValidation);
        assert_eq!(fault("cluster status -o xml").kind(), ErrorKind::InvalidValue);
        assert_eq!(fault("cluster bootstrap --data-dir n1 --bind localhost").kind(), ErrorKind::ValueValidation);
    }
}
