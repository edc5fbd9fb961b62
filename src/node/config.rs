//! The node's configuration: one table of keys, from which the types, the defaults, the commented `node.toml`, the
//! environment variables and `portcullis config explain` all come, so that they cannot differ.
//!
//! A value comes from, in falling precedence: a flag, the environment (`PORTCULLIS_GATEWAY__HTTP_PORT`), the file
//! `node.toml`, the default. This module does no I/O but for [`Config::load`]; it knows nothing of what a value is
//! used for.

mod check;
mod fault;
mod key;
mod load;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use portcullis_model::{Component, Components, NodeAddresses};

pub use fault::ConfigFault;
#[cfg(test)]
pub(crate) use key::RELOADED;
pub use key::{Key, closest_key, find_key};
pub use load::{Loaded, Source, assignment};
pub use value::{
    AccessLogForm, FreshnessMode, KeyValidatorClient, LogFormat, Names, Networks, OnNoQuorum, Pairs, Ratio,
    SigningAlgorithm,
};

pub(crate) use check::is_webhook_url;
use check::{
    is_attribute, is_directory_url, is_header, is_list_of_environments, is_list_of_mail_addresses, is_mail_address,
    is_measurement_id, is_name, is_port, is_public_url, is_reachable, is_this_machine, is_validity,
};
use value::Setting;

/// The name of the configuration file in the data directory.
pub const FILE_NAME: &str = "node.toml";

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident : $Section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident : $kind:ty = $default:expr, $accepts:literal if $check:expr; )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $kind, )+
            }
        )+

        /// All that can be set for a node.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $section: $Section { $( $key: $default, )+ }, )+ }
            }
        }

        /// The sections of the file, with what each is about.
        pub const SECTIONS: &[(&str, &[&str])] = &[$( (stringify!($section), &[$($section_doc),+]) ),+];

        /// Every key, in the order of the file.
        pub const KEYS: &[Key] = &[$($(
            Key {
                section: stringify!($section),
                name: stringify!($key),
                doc: &[$($doc),+],
                accepts: $accepts,
                show: |config| config.$section.$key.as_toml(),
                set: |config, raw| {
                    let check: fn(&$kind) -> bool = $check;
                    match <$kind as Setting>::read(raw).filter(check) {
                        Some(value) => {
                            config.$section.$key = value;
                            true
                        }
                        None => false,
                    }
                },
                meant: <$kind as Setting>::meant,
            },
        )+)+];
    };
}

settings! {
    /// The node as a whole.
    node: NodeSection {
        /// The components this node serves; all of them where none is listed. A node opens neither ports nor databases
        /// for what it does not serve, and asks other nodes for it.
        components: Components = Components::all(), "a list of \"publisher\", \"store\", \"key-manager\", \"gateway\", \"traffic-manager\" and \"admin\"" if |_| true;
        /// The name people read in listings. The host's name where it is empty.
        name: String = String::new(), "up to 63 letters, digits, `.`, `-` and `_`" if |name| is_name(name);
        /// The address that every listener binds, unless its section says otherwise.
        bind: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), "an IP address of this machine, such as \"127.0.0.1\" or \"10.0.0.5\"" if |_| true;
        /// The address under which other nodes and clients reach this node. The bind address where it is empty;
        /// needed where `bind` is 0.0.0.0 or ::.
        advertise: Option<IpAddr> = None, "an IP address that others can reach, or \"\"" if is_reachable;
        /// How long a stopping node says that it is not ready while it still takes new calls, in milliseconds: as long
        /// as balancers need to notice. Then it takes no more calls.
        unready_ms: u64 = 1_000, "milliseconds from 0 to 60000" if |ms| *ms <= 60_000;
        /// How long a stopping node lets requests that are under way finish, in milliseconds.
        drain_ms: u64 = 10_000, "milliseconds from 0 to 600000" if |ms| *ms <= 600_000;
    }
    /// The gateway, which carries API calls.
    gateway: GatewaySection {
        /// The port of API calls over HTTP.
        http_port: u16 = 8280, "a port from 1 to 65535" if is_port;
        /// The port of API calls over HTTPS.
        https_port: u16 = 8243, "a port from 1 to 65535" if is_port;
        /// How many worker threads carry API calls; one per core where it is 0.
        workers: u64 = 0, "a number from 0 to 256" if |count| *count <= 256;
        /// The gateway environments whose deployments this gateway serves. Where APIs of two of them claim a context at a
        /// host, that of the first one has it.
        environments: Names = Names(vec!["Default".to_owned()]), "a list of names, such as [\"Default\", \"us-region\"]" if |names| is_list_of_environments(&names.0);
        /// The networks of proxies and balancers in front, whose word about the client counts: `X-Forwarded-For`,
        /// `X-Forwarded-Proto`, `X-Forwarded-Host` and the PROXY protocol. Anybody else's is not used to tell clients
        /// apart.
        trusted_proxies: Networks = Networks::default(), "a list of networks, such as [\"10.0.0.0/8\", \"192.0.2.1\"]" if |networks| networks.0.len() <= 256;
        /// The header in which trusted proxies that end TLS pass on the client's certificate, such as
        /// "X-WSO2-CLIENT-CERTIFICATE": as PEM (percent-encoded), base64, or as RFC 9440 has it. None where it is empty. The
        /// proxies must take away what clients send in it.
        client_certificate_header: String = String::new(), "the name of a header, or \"\"" if |name| is_header(name);
        /// The header in which backends are told who calls, such as "X-JWT-Assertion": a JSON Web Token with the original's
        /// claims, signed with the cluster's key (/oauth2/jwks). Backends are not told where it is empty.
        backend_jwt_header: String = String::new(), "the name of a header, or \"\"" if |name| is_header(name);
        /// The certificate by which the gateway shows backends that ask for one who it is (mutual TLS): a PEM file, the
        /// certificates of its issuers behind it. None is shown where it is empty.
        backend_certificate_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// The private key of `gateway.backend_certificate_file`: a PEM file.
        backend_key_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// Where certificates of virtual hosts are: each as NAME.pem (the chain) and NAME.key beside each other. A client is
        /// shown the one for the name that it asks for; otherwise, and where it asks for none, the node's own. Files that
        /// change are read again within seconds. None where it is empty.
        certificates_dir: String = String::new(), "a directory, or \"\"" if |_| true;
        /// Whether connections from trusted proxies begin with a PROXY protocol header, version 1 or 2.
        proxy_protocol: bool = false, "true or false" if |_| true;
        /// Whether limited calls are answered with `X-RateLimit-Limit`, `-Remaining` and `-Reset` too, beside
        /// `RateLimit-Policy` and `RateLimit`.
        x_ratelimit_headers: bool = false, "true or false" if |_| true;
        /// A file to which a line is appended for each call, or "-" for standard output; it is opened anew with each
        /// reload. There is no access log where it is empty.
        access_log_file: String = String::new(), "the path of a file, \"-\" or \"\"" if |path| path.len() <= 4096;
        /// The form of a line: "combined" and "common" as nginx and Apache have them, or "json" (one object per line).
        access_log_form: AccessLogForm = AccessLogForm::Combined, "\"combined\", \"common\" or \"json\"" if |_| true;
        /// Which part of the calls has a line.
        access_log_ratio: Ratio = Ratio::ONE, "a number from 0 to 1, with at most six digits" if |_| true;
        /// Memory for answers that are given again without asking the backend, in MiB, all workers together; for APIs
        /// with `responseCachingEnabled`.
        response_cache_mb: u64 = 64, "MiB from 1 to 65536" if |mb| (1..=65_536).contains(mb);
        /// How long a WebSocket may be silent, in milliseconds. Its client is asked for a sign of life after half of it.
        websocket_idle_ms: u64 = 300_000, "milliseconds from 1000 to 86400000" if |ms| (1_000..=86_400_000).contains(ms);
        /// Whether callbacks of WebSub may be at loopback and private addresses (RFC 1918, RFC 4193, RFC 6598). Subscribers
        /// choose them: where it is true, whoever may subscribe to such an API has this node post into its own network. So it is
        /// with the addresses that `URLGuardrail` asks for in what callers say. `portcullis dev` sets it. The same on all nodes.
        callbacks_may_be_private: bool = false, "true or false" if |_| true;
        /// The resource of Azure Content Safety that `AzureContentSafetyContentModeration` asks, such as
        /// "https://NAME.cognitiveservices.azure.com"; behind a proxy with a path, which comes before the resource's own. Where it is
        /// empty, only what passes on errors passes that policy. The same on all nodes.
        content_safety_url: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file whose first line is a key of that resource.
        content_safety_key_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// How long the head of a request may take once its first byte came, in milliseconds.
        head_timeout_ms: u64 = 15_000, "milliseconds from 1000 to 600000" if |ms| (1_000..=600_000).contains(ms);
        /// How long a client's connection may wait for its next request, in milliseconds.
        idle_timeout_ms: u64 = 75_000, "milliseconds from 1000 to 3600000" if |ms| (1_000..=3_600_000).contains(ms);
        /// How long a client may neither send what it announced nor take what is sent to it, in milliseconds.
        stall_timeout_ms: u64 = 60_000, "milliseconds from 1000 to 3600000" if |ms| (1_000..=3_600_000).contains(ms);
        /// Bytes of a request's body that a client must send per second, until its call is answered; any pace does where it
        /// is 0. Only the time counts in which the client is waited for. Calls of gRPC are not held to it.
        request_bytes_per_s: u64 = 100, "a number from 0 to 1000000000" if |rate| *rate <= 1_000_000_000;
        /// Bytes of an answer that a client must take per second; any pace does where it is 0.
        answer_bytes_per_s: u64 = 100, "a number from 0 to 1000000000" if |rate| *rate <= 1_000_000_000;
        /// How far a client may be behind that pace before it is given up, in milliseconds.
        behind_max_ms: u64 = 60_000, "milliseconds from 1000 to 3600000" if |ms| (1_000..=3_600_000).contains(ms);
        /// What the gateway does when it has not heard from the cluster for `staleness_max_ms`: "serve-stale" goes on
        /// by what it knows; "strict" answers calls to protected APIs with 503, so that what was blocked or revoked
        /// elsewhere is not served here either.
        freshness: FreshnessMode = FreshnessMode::ServeStale, "\"serve-stale\" or \"strict\"" if |_| true;
        /// How old the state may be by which a strict gateway serves, in milliseconds. Below 2000 the election of a
        /// new leader may be felt by callers; above `cluster.fence_wait_ms` changes do not wait for it.
        staleness_max_ms: u64 = 3_000, "milliseconds from 1000 to 600000" if |ms| (1_000..=600_000).contains(ms);
        /// How a node without a key manager has keys validated by those of other nodes: "http" on the port between nodes,
        /// or "thrift" on their `key_manager.thrift_port`, which must be open there. On a node with a key manager nothing
        /// goes over the network.
        key_validator_client: KeyValidatorClient = KeyValidatorClient::Http, "\"http\" or \"thrift\"" if |_| true;
    }
    /// The key manager.
    key_manager: KeyManagerSection {
        /// Whether keys are validated by Thrift too, as the original's gateways ask for it (`ThriftClient`), over TLS.
        thrift: bool = false, "true or false" if |_| true;
        /// The port of `APIKeyValidationService`, by Thrift. Nodes that ask by it look for it at this number on the others:
        /// the same on all nodes.
        thrift_port: u16 = 10397, "a port from 1 to 65535" if is_port;
        /// The port where users sign in for it (`authenticate`), by Thrift.
        thrift_authentication_port: u16 = 10711, "a port from 1 to 65535" if is_port;
    }
    /// The management port: portals, REST APIs, OAuth 2. Always HTTPS.
    management: ManagementSection {
        /// The port.
        port: u16 = 9443, "a port from 1 to 65535" if is_port;
    }
    /// Users: what new passwords must be like, and what happens to who guesses. The same on all nodes.
    users: UsersSection {
        /// Characters that a new password has at least. `portcullis dev` asks for one.
        password_min_chars: u64 = 8, "a number from 1 to 128" if |count| (1..=128).contains(count);
        /// How many of the four kinds a new password has at least: small letters, capital letters, digits, others.
        password_min_kinds: u64 = 0, "a number from 0 to 4" if |count| *count <= 4;
        /// Whether a new password may have the user's name in it.
        password_may_have_name: bool = false, "true or false" if |_| true;
        /// After how many failed sign-ins in a row, counted by each node, nobody signs in as the user for a while, on
        /// any node. Never where it is 0: failed sign-ins are slowed down in any case.
        lock_out_failures: u64 = 0, "a number from 0 to 1000" if |count| *count <= 1_000;
        /// How long that lasts, in seconds.
        lock_out_s: u64 = 900, "seconds from 1 to 86400" if |s| (1..=86_400).contains(s);
    }
    /// A directory with further users (LDAP), asked about those who are not known here. The same on all nodes.
    directory: DirectorySection {
        /// Where it is. No directory is asked where it is empty.
        url: String = String::new(), "ldaps://HOST:PORT, ldap://HOST:PORT, or \"\"" if |url| is_directory_url(url);
        /// Whether TLS begins after the connection was made, on an ldap:// URL. Without it such a URL may name this machine alone.
        starttls: bool = false, "true or false" if |_| true;
        /// A file with the authorities whose certificates are believed (PEM). Those of the operating system where it is empty.
        authorities_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// As whom users are looked for. Anonymous where it is empty.
        bind_dn: String = String::new(), "a distinguished name, or \"\"" if |name| name.len() <= 1024;
        /// A file whose first line is the password for that.
        bind_password_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// Below what users are.
        user_base: String = String::new(), "a distinguished name" if |name| name.len() <= 1024;
        /// Who is a user of a name: `{username}` stands for it.
        user_filter: String = "(uid={username})".to_owned(), "a filter with {username} in it (RFC 4515)" if |filter| filter.len() <= 1024 && filter.contains("{username}");
        /// The attribute with the address for notices.
        email_attribute: String = "mail".to_owned(), "the name of an attribute" if |name| is_attribute(name);
        /// Below what groups are. Nobody has a role by a group where it is empty.
        group_base: String = String::new(), "a distinguished name, or \"\"" if |name| name.len() <= 1024;
        /// Which groups a user is in: `{dn}` and `{username}` stand for the user.
        group_filter: String = "(member={dn})".to_owned(), "a filter with {dn} or {username} in it (RFC 4515)" if |filter| filter.len() <= 1024 && (filter.contains("{dn}") || filter.contains("{username}"));
        /// The attribute with a group's name.
        group_attribute: String = "cn".to_owned(), "the name of an attribute" if |name| is_attribute(name);
        /// Groups and the roles that they are here. Groups that are not listed are none.
        roles: Pairs = Pairs::default(), "a list such as [\"api-team=Internal/publisher\"]" if |roles| roles.0.len() <= 200;
        /// How long a sign-in may take, in milliseconds.
        timeout_ms: u64 = 3_000, "milliseconds from 100 to 30000" if |ms| (100..=30_000).contains(ms);
    }
    /// OAuth 2 and OpenID Connect. The same on all nodes of a cluster.
    oauth: OauthSection {
        /// Where browsers and clients reach the management port, such as a balancer's address. The node's own where it is
        /// empty. Where it is set, the issuer in tokens is this with /oauth2/token; otherwise the original's default,
        /// https://localhost:9443/oauth2/token.
        public_url: String = String::new(), "an https URL without a path, such as \"https://login.example.com\", or \"\"" if |url| is_public_url(url);
        /// Whether users' names and passwords are taken from clients (the password grant), which the original's scripts do.
        password_grant: bool = true, "true or false" if |_| true;
        /// Whether tokens are given in addresses (the implicit grant).
        implicit_grant: bool = false, "true or false" if |_| true;
        /// Whether clients that have a secret must use a proof key (PKCE) for authorization codes, as public ones always must.
        pkce_required: bool = true, "true or false" if |_| true;
        /// A file with the authorities (PEM) that vouch for clients' certificates (RFC 8705). Where it is set, gateways ask whoever
        /// connects by HTTPS for a certificate, and clients may show one at /token there.
        client_authorities_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// What tokens are signed with where their client does not say.
        signing_algorithm: SigningAlgorithm = SigningAlgorithm::Es256, "\"ES256\", \"RS256\" or \"EdDSA\"" if |_| true;
        /// Whether a client has one token at a time for a user and scopes: a new one revokes the one before.
        one_token: bool = false, "true or false" if |_| true;
        /// How long an application's own token lives where its client does not say, in seconds.
        application_token_s: u64 = 3_600, "seconds from 1 to 2147483647" if is_validity;
        /// How long a user's token lives where its client does not say, in seconds.
        user_token_s: u64 = 3_600, "seconds from 1 to 2147483647" if is_validity;
        /// How long a refresh token lives where its client does not say, in seconds.
        refresh_token_s: u64 = 84_600, "seconds from 1 to 2147483647" if is_validity;
        /// How long an authorization code lives, in seconds.
        code_s: u64 = 60, "seconds from 5 to 600" if |s| (5..=600).contains(s);
        /// How long a sign-in in a browser lasts, in seconds.
        sign_in_s: u64 = 28_800, "seconds from 60 to 2592000 (30 days)" if |s| (60..=2_592_000).contains(s);
    }
    /// Health and metrics, over HTTP. Never reachable through the gateway.
    observability: ObservabilitySection {
        /// The address it binds. Where it is empty: the node's bind address if that is a loopback address, and
        /// 127.0.0.1 otherwise, because these pages ask for no password.
        bind: Option<IpAddr> = None, "an IP address of this machine, or \"\"" if |_| true;
        /// The port.
        port: u16 = 9763, "a port from 1 to 65535" if is_port;
        /// How many APIs, each version for itself, the metrics tell apart: the first ones that are called. Calls of further
        /// ones are counted together as "(other)"; so are all where `statistics.enabled` is false.
        metrics_apis_max: u64 = 100, "a number from 0 to 10000" if |count| *count <= 10_000;
    }
    /// Traffic between the nodes of the cluster. Always mutual TLS.
    cluster: ClusterSection {
        /// The port.
        port: u16 = 7443, "a port from 1 to 65535" if is_port;
        /// How long a change that must be in force everywhere (publish, block, revoke) waits for every live node,
        /// in milliseconds. Nodes not heard of by then are named in the reply.
        fence_wait_ms: u64 = 5_000, "milliseconds from 0 to 5000" if |ms| *ms <= 5_000;
        /// How long a certificate is valid that this node signs, in seconds: its own first one, and those of all nodes
        /// while it leads. Nodes renew theirs when a third of that time is left. The same on all nodes.
        certificate_life_s: u64 = 31_536_000, "seconds from 10 to 315360000 (ten years)" if |s| (10..=315_360_000).contains(s);
        /// How many entries the log may grow by before the node takes a snapshot. A tenth as many stay in the log behind it,
        /// for nodes that are a little behind; those further behind are sent the snapshot.
        snapshot_entries: u64 = 100_000, "a number from 100 to 10000000" if |entries| (100..=10_000_000).contains(entries);
    }
    /// Quotas.
    throttling: ThrottlingSection {
        /// How long a request that finds this node's share of a quota used up waits for more, in milliseconds.
        grant_wait_ms: u64 = 250, "milliseconds from 0 to 1000" if |ms| *ms <= 1_000;
        /// What happens to a request whose quota cannot be had because the node has no contact with a majority:
        /// "deny" refuses it, "allow" lets it pass, uncounted.
        on_no_quorum: OnNoQuorum = OnNoQuorum::Deny, "\"deny\" or \"allow\"" if |_| true;
        /// How many MiB of reports may wait in the message store while the cluster takes none. Beyond that usage gathers
        /// in memory, where it does not grow, and an alarm is raised.
        message_store_max_mb: u64 = 64, "a number from 1 to 1024" if |size| (1..=1024).contains(size);
        /// A file whose first line is the URL of a broker (AMQP 0-9-1) to which throttle decisions and usage are
        /// published: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://. Nothing is published where it is empty. One node
        /// of the cluster is enough.
        amqp_url_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// The exchange they are published to, with the routing keys throttleData and usageData.
        amqp_exchange: String = "amq.topic".to_owned(), "1 to 255 characters" if |name| (1..=255).contains(&name.len());
    }
    /// Statistics of calls. What is kept is to be the same on all nodes.
    statistics: StatisticsSection {
        /// Whether the gateway of this node gathers statistics.
        enabled: bool = true, "true or false" if |_| true;
        /// How often what was gathered is brought to the cluster, in milliseconds; at the end of each minute in any case. So
        /// much is lost at most where the node is killed.
        gather_ms: u64 = 10_000, "milliseconds from 100 to 60000" if |ms| (100..=60_000).contains(ms);
        /// How many kinds of calls (API, resource, caller, backend, program, fault) each worker tells apart between two
        /// times; further ones are counted together as "(other)".
        kinds_max: u64 = 4_096, "a number from 16 to 1000000" if |count| (16..=1_000_000).contains(count);
        /// How many values are kept of each thing that is counted (users, resources and so on) and minute, hour or day;
        /// further ones are counted together as "(other)".
        values_max: u64 = 1_000, "a number from 10 to 100000" if |count| (10..=100_000).contains(count);
        /// How many rows are kept in all. Beyond them the oldest go, those of minutes first.
        rows_max: u64 = 200_000, "a number from 1000 to 10000000" if |count| (1_000..=10_000_000).contains(count);
        /// A file that tells the country of an address, of the form of MaxMind's GeoLite2-Country.mmdb: calls are then counted
        /// by country too. It is read again when it changes. Countries are not told where it is empty.
        country_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// How many calls are kept that led to no API, with address, verb, path and header fields, each for 30 days at most; the
        /// latest ones. None where it is 0.
        strays_max: u64 = 1_000, "a number from 0 to 10000" if |count| *count <= 10_000;
        /// For how many hours each minute is kept.
        minutes_kept_h: u64 = 24, "hours from 1 to 720" if |hours| (1..=720).contains(hours);
        /// For how many days each hour is kept.
        hours_kept_d: u64 = 31, "days from 1 to 3650" if |days| (1..=3_650).contains(days);
        /// For how many days each day is kept.
        days_kept_d: u64 = 400, "days from 1 to 36500" if |days| (1..=36_500).contains(days);
    }
    /// Alerts about calls, found in the statistics by the node that leads. The same on all nodes.
    alerts: AlertsSection {
        /// Where alerts are told: they are posted there as JSON. None are told where it is empty.
        webhook_url: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file whose first line is that URL, where it holds a secret. One of the two may be set.
        webhook_url_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// A file whose first line is the URL of a mail server by which alerts are sent: smtps://USER:PASSWORD@HOST:PORT, or
        /// smtp://, with ?tls=required where STARTTLS must be used. None are mailed where it is empty.
        mail_url_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// From whom alerts are mailed.
        mail_from: String = String::new(), "an e-mail address, or \"\"" if |address| is_mail_address(address);
        /// To whom alerts are mailed.
        mail_to: Names = Names(Vec::new()), "a list of at most 20 e-mail addresses" if |names| is_list_of_mail_addresses(&names.0);
        /// How often calls are looked at, in seconds.
        every_s: u64 = 60, "seconds from 1 to 3600" if |s| (1..=3_600).contains(s);
        /// For how long the same alert is not told again, in seconds.
        quiet_s: u64 = 3_600, "seconds from 1 to 86400" if |s| (1..=86_400).contains(s);
        /// How many calls there must be in five minutes before anything is said of an API.
        calls_min: u64 = 100, "a number from 1 to 1000000000" if |count| (1..=1_000_000_000).contains(count);
        /// How many times as many, as few or as slow calls as on the day before are worth an alert. None where it is 0.
        factor: u64 = 4, "a number from 0 to 1000" if |factor| *factor <= 1_000;
        /// How many percent of calls that fail with 5xx are worth an alert. None where it is 0.
        errors_percent: u64 = 10, "a number from 0 to 100" if |percent| *percent <= 100;
        /// How many calls of an application, turned away by its plan or policy in five minutes, are worth an alert. None where
        /// it is 0.
        throttled_min: u64 = 10, "a number from 0 to 1000000000" if |count| *count <= 1_000_000_000;
        /// For how many days it is known from which addresses an application called: a call from another one is worth an
        /// alert. Addresses, which may be those of people, are neither kept nor looked at where it is 0.
        unseen_days: u64 = 0, "days from 0 to 400" if |days| *days <= 400;
        /// Addresses that are known of each application. One that calls from more is at no known place, and nothing further is
        /// said of it.
        addresses_max: u64 = 256, "a number from 1 to 10000" if |count| (1..=10_000).contains(count);
    }
    /// Events of calls, each of which other systems are told of. Needs `statistics.enabled`.
    events: EventsSection {
        /// Where events are posted, in batches, as JSON. Not where it is empty.
        webhook_url: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file whose first line is that URL, where it holds a secret. One of the two may be set.
        webhook_url_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// A file whose first line is the secret by which what is posted is signed: `X-Hub-Signature-256` then holds the
        /// HMAC-SHA-256 of the body. Not signed where it is empty.
        webhook_secret_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// Events of one batch at most.
        batch_max: u64 = 100, "a number from 1 to 1000" if |count| (1..=1_000).contains(count);
        /// How long events are gathered before a batch that is not full is sent, in milliseconds.
        linger_ms: u64 = 1_000, "milliseconds from 10 to 60000" if |ms| (10..=60_000).contains(ms);
        /// Events that may wait while another system takes none. Further ones are dropped and counted. One takes some 200
        /// bytes.
        queue_max: u64 = 10_000, "a number from 100 to 1000000" if |count| (100..=1_000_000).contains(count);
        /// The measurement id of the stream of Google Analytics 4 that is told of each call as of a page view, such as
        /// "G-XXXXXXXXXX". Not where it is empty.
        google_measurement_id: String = String::new(), "letters, digits and `-`, or \"\"" if |id| is_measurement_id(id);
        /// A file whose first line is the API secret of that stream.
        google_api_secret_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// Where Google Analytics takes events by the Measurement Protocol.
        google_url: String = "https://www.google-analytics.com/mp/collect".to_owned(), "an https or http URL without a query" if |url| is_webhook_url(url) && !url.is_empty() && !url.contains('?');
    }
    /// Who bills the use of monetized APIs. A node with Admin tells it where `POST /monetization/publish-usage` asks for that.
    monetization: MonetizationSection {
        /// Where usage records are posted, in batches, as JSON. Not where it is empty.
        billing_url: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file whose first line is the secret by which what is posted is signed: `X-Hub-Signature-256` then holds the
        /// HMAC-SHA-256 of the body. Not signed where it is empty.
        billing_secret_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
    }
    /// A service that assists people in their own words, by the interface of the original's: of the Publisher in designing APIs,
    /// of the Store in finding and trying them out. What people ask goes there, and of APIs their definitions.
    assistant: AssistantSection {
        /// Where it is: requests go to /ai/… behind it. There is none where it is empty.
        url: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file whose first line is the token by which it knows this system.
        token_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// How many APIs of a tenant it takes in, as the Store tells.
        apis_max: u64 = 1_000, "a number from 1 to 1000000" if |count| (1..=1_000_000).contains(count);
    }
    /// A service that audits the security of API definitions, by the interface of 42Crunch. Definitions go there when a publisher
    /// asks for the report.
    security_audit: SecurityAuditSection {
        /// Where APIs are registered, such as "https://platform.42crunch.com/api/v1/apis". There is none where it is empty.
        url: String = String::new(), "an https or http URL without a query, or \"\"" if |url| is_webhook_url(url) && !url.contains('?');
        /// A file whose first line is the key by which it knows this system.
        key_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// The id of the collection that APIs are registered in.
        collection: String = String::new(), "at most 255 characters" if |id| id.chars().count() <= 255;
    }
    /// Telemetry to a collector of OpenTelemetry, by OTLP over HTTP as JSON.
    telemetry: TelemetrySection {
        /// The collector's URL, such as "http://127.0.0.1:4318": spans go to /v1/traces behind it and metrics to /v1/metrics.
        /// None are sent where it is empty.
        otlp_endpoint: String = String::new(), "an https or http URL, or \"\"" if |url| is_webhook_url(url);
        /// A file with headers for the collector, such as a key: each line a name, a colon, and the value.
        otlp_headers_file: String = String::new(), "the path of a file, or \"\"" if |path| path.len() <= 4096;
        /// Whether calls are traced.
        traces: bool = true, "true or false" if |_| true;
        /// Which part of the calls is traced that come without a `traceparent`. Those with one are where it says so.
        sample_ratio: Ratio = Ratio::ONE, "a number from 0 to 1, with at most six digits" if |_| true;
        /// Whether calls that are answered with 5xx are traced too where they were not chosen.
        trace_errors: bool = true, "true or false" if |_| true;
        /// From how many milliseconds until the head of their answer on calls are traced too where they were not chosen; none
        /// where it is 0.
        slow_ms: u64 = 1_000, "milliseconds from 0 to 3600000" if |ms| *ms <= 3_600_000;
        /// Traced calls that may wait while the collector takes none. Further ones are dropped and counted.
        queue_max: u64 = 4_096, "a number from 100 to 1000000" if |count| (100..=1_000_000).contains(count);
        /// How often metrics are sent, in seconds; never where it is 0.
        metrics_every_s: u64 = 60, "seconds from 0 to 3600" if |s| *s <= 3_600;
        /// What the collector is told as `service.name`.
        service_name: String = "portcullis".to_owned(), "1 to 255 characters" if |name| (1..=255).contains(&name.len());
        /// Further attributes of the resource.
        resource_attributes: Pairs = Pairs::default(), "a list of at most 32 NAME=VALUE, such as [\"deployment.environment.name=production\"]" if |pairs| pairs.0.len() <= 32;
    }
    /// What the node writes to standard error.
    log: LogSection {
        /// The level, or a filter such as "info,portcullis_raft=debug".
        level: String = "info".to_owned(), "\"error\", \"warn\", \"info\", \"debug\", \"trace\" or a filter of these by module" if |level| crate::logging::is_filter(level);
        /// The form of a line: "human" or "json".
        format: LogFormat = LogFormat::Human, "\"human\" or \"json\"" if |_| true;
    }
}

impl Config {
    /// Returns the address that others reach this node at.
    #[must_use]
    pub fn advertised(&self) -> IpAddr {
        self.node.advertise.unwrap_or(self.node.bind)
    }

    /// Says whether this node serves a component.
    #[must_use]
    pub fn serves(&self, component: Component) -> bool {
        self.node.components.has(component)
    }

    /// Says whether this node serves anything on the management port.
    #[must_use]
    pub fn has_management(&self) -> bool {
        !self.node.components.is_gateway_alone()
    }

    /// Returns where others reach this node's ports.
    #[must_use]
    pub fn addresses(&self) -> NodeAddresses {
        let at = |port| SocketAddr::new(self.advertised(), port);
        NodeAddresses {
            cluster: at(self.cluster.port),
            management: at(self.management.port),
            gateway_http: at(self.gateway.http_port),
            gateway_https: at(self.gateway.https_port),
        }
    }

    /// Returns the address that a port is bound to.
    #[must_use]
    pub fn bound(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.node.bind, port)
    }

    /// Returns the address of health and metrics.
    #[must_use]
    pub fn observability_address(&self) -> SocketAddr {
        let own = if self.node.bind.is_loopback() { self.node.bind } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        SocketAddr::new(self.observability.bind.unwrap_or(own), self.observability.port)
    }

    /// Returns how long a certificate is valid that this node signs.
    #[must_use]
    pub fn certificate_valid(&self) -> Duration {
        Duration::from_secs(self.cluster.certificate_life_s)
    }

    /// Says whether the node validates keys by Thrift.
    #[must_use]
    pub fn has_thrift(&self) -> bool {
        self.key_manager.thrift && self.serves(Component::KeyManager)
    }

    /// Returns the ports of Thrift with their keys: validation, and the sign-in for it.
    #[must_use]
    pub fn thrift_ports(&self) -> [(&'static str, u16); 2] {
        let KeyManagerSection { thrift_port, thrift_authentication_port, .. } = self.key_manager;
        [
            ("key_manager.thrift_port", thrift_port),
            ("key_manager.thrift_authentication_port", thrift_authentication_port),
        ]
    }

    /// Returns how many gateway workers there are to be.
    #[must_use]
    pub fn gateway_workers(&self) -> usize {
        let wanted = usize::try_from(self.gateway.workers).unwrap_or(usize::MAX);
        if wanted > 0 { wanted } else { std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Returns the node's name, or the host's name where it has none.
    #[must_use]
    pub fn node_name(&self) -> String {
        if !self.node.name.is_empty() {
            return self.node.name.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().to_owned();
        if host.is_empty() || !is_name(&host) { "node".to_owned() } else { host }
    }

    /// Checks what no key can say alone.
    ///
    /// # Errors
    /// Two listeners on one port, or no address that others can reach.
    pub fn check(&self) -> Result<(), ConfigFault> {
        if self.advertised().is_unspecified() {
            return Err(ConfigFault::NoAdvertise { bind: self.node.bind });
        }
        let directory = &self.directory;
        let plain = directory.url.strip_prefix("ldap://").filter(|_| !directory.starttls);
        if plain.is_some_and(|place| !is_this_machine(place)) {
            return Err(ConfigFault::PlainDirectory { url: directory.url.clone() });
        }
        let mut ports = vec![
            ("gateway.http_port", self.gateway.http_port),
            ("gateway.https_port", self.gateway.https_port),
            ("management.port", self.management.port),
            ("observability.port", self.observability.port),
            ("cluster.port", self.cluster.port),
        ];
        if self.has_thrift() {
            ports.extend(self.thrift_ports());
        }
        for (at, (first, port)) in ports.iter().enumerate() {
            if let Some((second, _)) = ports[at + 1..].iter().find(|(_, other)| other == port) {
                return Err(ConfigFault::SamePort { first, second, port: *port });
            }
        }
        Ok(())
    }

    /// Returns `node.toml` with every key: a comment where this configuration has the default, a line in force where
    /// it differs.
    #[must_use]
    pub fn as_commented_toml(&self) -> String {
        let default = Self::default();
        let mut text = "# Configuration of a Portcullis node. Each key shows its default; take away the `#` to change it.\n\
                        # Each can also be set by the environment, or by `--set KEY=VALUE`. A change takes effect at the next start, or where\n\
                        # the key says \"after a reload\", when the node is told: portcullis config reload, or SIGHUP.\n"
            .to_owned();
        for (section, about) in SECTIONS {
            text.push_str(&format!("\n#{}\n[{section}]\n", about.join("\n#")));
            for key in KEYS.iter().filter(|key| key.section == *section) {
                text.push('\n');
                for line in key.doc {
                    text.push_str(&format!("#{line}\n"));
                }
                text.push_str(&format!(
                    "# Accepts {}. Environment: {}. In force {}.\n",
                    key.accepts,
                    key.variable(),
                    key.in_force()
                ));
                let (own, usual) = ((key.show)(self), (key.show)(&default));
                let off = if own == usual { "# " } else { "" };
                text.push_str(&format!("{off}{} = {own}\n", key.name));
            }
        }
        text
    }

    /// Returns the file as `bootstrap` writes it where nothing is set.
    #[must_use]
    pub fn commented_default() -> String {
        Self::default().as_commented_toml()
    }
}

#[cfg(test)]
mod tests;
