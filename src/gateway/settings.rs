//! What an operator may set about a gateway, with the defaults. It does not read files or the environment.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use portcullis_database::ClusterKey;
use portcullis_model::access_log::AccessLog;
use portcullis_model::api::Cors;
use portcullis_model::environment::DEFAULT_ENVIRONMENT;
use portcullis_model::port::{Addresses, CallEvents, CallStatistics, ContentSafety, Countries, Webhooks};
use portcullis_model::span::Tracing;

use crate::freshness::Freshness;
use crate::pace::SlowestPace;

/// The settings of a gateway.
#[derive(Clone)]
pub struct Settings {
    /// Where plain HTTP is served; `None` for nowhere.
    pub http: Option<SocketAddr>,
    /// Where HTTPS is served, and with what; `None` for nowhere.
    pub https: Option<HttpsSettings>,
    /// Where certificates of virtual hosts are, as `NAME.pem` and `NAME.key`; `None` for nowhere.
    pub certificates_dir: Option<PathBuf>,
    /// How many workers serve; each has one thread. 1 or more; one per core is right.
    pub workers: usize,
    /// The environments whose deployments are served; of two that claim a context at a host, the first one's API has it.
    pub environments: Vec<String>,
    /// Bounds on what clients may do.
    pub client: ClientLimits,
    /// Bounds on what is asked of backends.
    pub upstream: UpstreamLimits,
    /// How long a request waits for the cluster to grant more of a quota.
    pub grant_wait: Duration,
    /// What becomes of a request when no grant came in that time.
    pub on_no_quorum: OnNoQuorum,
    /// Calls under way on a worker from which on what they send goes out together; with fewer there is nothing to be won.
    pub sends_together_from: u64,
    /// Tokens whose verdict each worker remembers.
    pub verdicts_max: usize,
    /// Bytes of answers that each worker keeps to give them again.
    pub cache_bytes_max: u64,
    /// Cross-origin settings of APIs that have none of their own.
    pub cors: Cors,
    /// How TLS to backends is checked; `None` trusts the certificate authorities of the operating system.
    pub upstream_tls: Option<Arc<rustls::ClientConfig>>,
    /// The certificate by which the gateway shows backends that ask for one who it is; `None` shows none. Not used where
    /// `upstream_tls` is given.
    pub backend_identity: Option<Arc<rustls::sign::CertifiedKey>>,
    /// Networks of proxies whose word about the client counts: `X-Forwarded-For`, and the PROXY protocol.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies that end TLS pass on the client's certificate; `None` for none.
    pub client_certificate_header: Option<HeaderName>,
    /// Whether clients are asked for certificates also where no API wants them, because the key manager does.
    pub asks_for_certificates: bool,
    /// The header in which backends are told who calls (a signed JSON Web Token); `None` for not at all.
    pub assertion_header: Option<HeaderName>,
    /// Opens the secrets by which the gateway proves itself to backends; `None` where no API has any.
    pub cluster_key: Option<ClusterKey>,
    /// Whether connections of trusted proxies begin with a PROXY protocol header, version 1 or 2.
    pub has_proxy_protocol: bool,
    /// Whether answers to limited calls have the older `X-RateLimit-*` fields too.
    pub has_x_ratelimit: bool,
    /// Which lines calls have in an access log, and where to; `None` where there is none.
    pub access_log: Option<AccessLog>,
    /// Whether connections wait in the listeners' queues until [`crate::Gateway::open`]: a node that starts serves
    /// nothing by a state that is older than what it answered for before.
    pub waits_to_be_opened: bool,
    /// Until when protected operations are served by the state that the gateway has.
    pub freshness: Arc<Freshness>,
    /// Where what is gathered about calls goes; `None` where nothing is gathered.
    pub statistics: Option<StatisticsSettings>,
    /// Which calls are traced; `None` where none is.
    pub tracing: Option<Tracing>,
    /// APIs that the metrics tell apart; the calls of further ones are told together. Where no statistics are gathered, none
    /// are told apart.
    pub metrics_apis_max: usize,
    /// Takes webhooks and events of APIs of the type WEBSUB; without, no such API is served.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// Asks for addresses in what is said, where a guardrail wants to know them; without, none leads anywhere.
    pub addresses: Option<Arc<dyn Addresses>>,
    /// Says how harmful texts are, where a guardrail wants to know that; without, nobody says.
    pub content_safety: Option<Arc<dyn ContentSafety>>,
}

/// What is gathered about calls, for statistics.
#[derive(Clone)]
pub struct StatisticsSettings {
    /// Where it goes.
    pub sink: Arc<dyn CallStatistics>,
    /// Kinds of calls that each worker tells apart at a time; further ones are told together.
    pub kinds_max: usize,
    /// How often it is handed on; at the end of each minute in any case.
    pub interval: Duration,
    /// Whether it is told from where applications call.
    pub notes_networks: bool,
    /// Whether calls are told that lead to no API.
    pub notes_strays: bool,
    /// Says from which country calls come; `None` where nobody is to look.
    pub countries: Option<Arc<dyn Countries>>,
    /// Where each call is told of that has ended; `None` where nobody is told.
    pub events: Option<Arc<dyn CallEvents>>,
}

/// Where and how HTTPS is served.
#[derive(Clone)]
pub struct HttpsSettings {
    /// The address.
    pub address: SocketAddr,
    /// Certificates and protocol versions; the application protocols (ALPN) are set by the gateway.
    pub tls: Arc<rustls::ServerConfig>,
}

/// What becomes of a request when the cluster did not grant more of a quota in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNoQuorum {
    /// It is refused: a quota is never passed.
    Deny,
    /// It is let through, and the quota may be passed.
    Allow,
}

/// Bounds on what clients may do.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Open connections per worker; more wait to be accepted.
    pub connections_max: usize,
    /// Bytes of a request's head (RFC 9112 names no bound; 64 KiB is far beyond what browsers send).
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// How long the head of a request may take once its first byte came.
    pub head_timeout: Duration,
    /// How long the TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may neither send what it announced nor take what is sent to it.
    pub stall_timeout: Duration,
    /// Bytes of a request's body that a client must send per second; any pace does where it is 0. A client that is
    /// slower is given up once it is behind by `behind_max`.
    pub request_bytes_per_s: u64,
    /// Bytes of an answer that a client must take per second; any pace does where it is 0.
    pub answer_bytes_per_s: u64,
    /// How far a client may be behind that pace, in the time in which it is waited for.
    pub behind_max: Duration,
    /// How long a WebSocket may be silent: its client is asked for a sign of life after half of it.
    pub websocket_idle_timeout: Duration,
}

impl ClientLimits {
    /// Returns the slowest pace of requests' bodies.
    pub(crate) fn slowest_request(&self) -> Option<SlowestPace> {
        SlowestPace::new(self.request_bytes_per_s, self.behind_max)
    }

    /// Returns the slowest pace at which answers are taken.
    pub(crate) fn slowest_answer(&self) -> Option<SlowestPace> {
        SlowestPace::new(self.answer_bytes_per_s, self.behind_max)
    }
}

/// Bounds on what is asked of backends.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamLimits {
    /// Connections per worker and backend address in use at a time.
    pub connections_max: usize,
    /// Requests per worker and backend address that may wait for a connection.
    pub waiting_max: usize,
    /// Unused connections kept per worker and backend address.
    pub idle_max: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How long it may take to connect, TLS handshake included.
    pub connect_timeout: Duration,
    /// How long the head of an answer may take, where the endpoint does not say.
    pub head_timeout: Duration,
    /// How long an answer may pause in the midst of its body.
    pub stall_timeout: Duration,
    /// Bytes of an answer's head.
    pub head_bytes_max: usize,
    /// How long an address that could not be connected to is passed over where an API has another.
    pub suspension: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            certificates_dir: None,
            workers: 1,
            environments: vec![DEFAULT_ENVIRONMENT.to_owned()],
            client: ClientLimits::default(),
            upstream: UpstreamLimits::default(),
            grant_wait: Duration::from_millis(250),
            on_no_quorum: OnNoQuorum::Deny,
            sends_together_from: 4,
            verdicts_max: 50_000,
            cache_bytes_max: 32 << 20,
            cors: default_cors(),
            upstream_tls: None,
            backend_identity: None,
            trusted_proxies: Vec::new(),
            client_certificate_header: None,
            asks_for_certificates: false,
            assertion_header: None,
            cluster_key: None,
            has_proxy_protocol: false,
            has_x_ratelimit: false,
            access_log: None,
            waits_to_be_opened: false,
            freshness: Freshness::always(),
            statistics: None,
            tracing: None,
            metrics_apis_max: 100,
            webhooks: None,
            addresses: None,
            content_safety: None,
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            head_bytes_max: 64 << 10,
            headers_max: 100,
            head_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            request_bytes_per_s: 100,
            answer_bytes_per_s: 100,
            behind_max: Duration::from_secs(60),
            websocket_idle_timeout: Duration::from_secs(300),
        }
    }
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            waiting_max: 4_096,
            idle_max: 256,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(300),
            head_bytes_max: 64 << 10,
            suspension: Duration::from_secs(5),
        }
    }
}

/// Returns the original's cross-origin defaults.
fn default_cors() -> Cors {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Cors {
        is_enabled: true,
        allow_origins: owned(&["*"]),
        allow_credentials: false,
        allow_headers: owned(&[
            "authorization",
            "Access-Control-Allow-Origin",
            "Content-Type",
            "SOAPAction",
            "apikey",
            "Internal-Key",
        ]),
        allow_methods: owned(&["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("http", &self.http)
            .field("https", &self.https.as_ref().map(|https| https.address))
            .field("workers", &self.workers)
            .field("environments", &self.environments)
            .field("client", &self.client)
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}
