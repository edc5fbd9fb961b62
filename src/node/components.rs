//! What each component is told at start: the node's configuration in the component's own words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use portcullis_analytics::{CountryFile, CountryFileFault, EventSettings, Google, Webhook};
use portcullis_database::ClusterKey;
use portcullis_database::statistics::{NetworkBounds, StatisticsBounds};
use portcullis_gateway::{ClientLimits, Freshness, HttpsSettings, StatisticsSettings};
use portcullis_http::content_safety::AzureContentSafety;
use portcullis_http::outside::OutsideService;
use portcullis_http::tls;
use portcullis_key_manager::Algorithm;
use portcullis_model::access_log::{AccessLog, AccessLogForm};
use portcullis_model::port::{ContentSafety, Countries};
use portcullis_model::span::Tracing;
use portcullis_model::{Component, NodeId, PasswordPolicy};

use crate::access_log::AccessLogFile;
use crate::boot_fault::BootFault;
use crate::config::{Config, OnNoQuorum, SigningAlgorithm, is_webhook_url};
use crate::places::Places;
use crate::telemetry::{Resource, TelemetrySettings};

/// Returns the settings of the gateway.
pub(crate) fn gateway_settings(
    config: &Config,
    tls: &Arc<rustls::ServerConfig>,
    cluster_key: &ClusterKey,
    freshness: Arc<Freshness>,
    statistics: Option<StatisticsSettings>,
    tracing: Option<Tracing>,
    access_log: Option<AccessLog>,
) -> Result<portcullis_gateway::Settings, BootFault> {
    let https = HttpsSettings { address: config.bound(config.gateway.https_port), tls: Arc::clone(tls) };
    Ok(portcullis_gateway::Settings {
        access_log,
        backend_identity: backend_identity(config)?,
        http: Some(config.bound(config.gateway.http_port)),
        https: Some(https),
        certificates_dir: Some(&config.gateway.certificates_dir).filter(|text| !text.is_empty()).map(PathBuf::from),
        workers: config.gateway_workers(),
        grant_wait: Duration::from_millis(config.throttling.grant_wait_ms),
        on_no_quorum: on_no_quorum(config),
        environments: config.gateway.environments.0.clone(),
        trusted_proxies: config.gateway.trusted_proxies.0.clone(),
        asks_for_certificates: !config.oauth.client_authorities_file.is_empty(),
        client_certificate_header: header(&config.gateway.client_certificate_header),
        assertion_header: header(&config.gateway.backend_jwt_header),
        cluster_key: Some(cluster_key.clone()),
        has_proxy_protocol: config.gateway.proxy_protocol,
        has_x_ratelimit: config.gateway.x_ratelimit_headers,
        cache_bytes_max: (config.gateway.response_cache_mb << 20) / config.gateway_workers() as u64,
        client: ClientLimits {
            head_timeout: Duration::from_millis(config.gateway.head_timeout_ms),
            idle_timeout: Duration::from_millis(config.gateway.idle_timeout_ms),
            stall_timeout: Duration::from_millis(config.gateway.stall_timeout_ms),
            request_bytes_per_s: config.gateway.request_bytes_per_s,
            answer_bytes_per_s: config.gateway.answer_bytes_per_s,
            behind_max: Duration::from_millis(config.gateway.behind_max_ms),
            websocket_idle_timeout: Duration::from_millis(config.gateway.websocket_idle_ms),
            ..ClientLimits::default()
        },
        waits_to_be_opened: true,
        metrics_apis_max: usize::try_from(config.observability.metrics_apis_max).unwrap_or(usize::MAX),
        freshness,
        statistics,
        tracing,
        ..portcullis_gateway::Settings::default()
    })
}

/// Returns by what the gateway shows backends who it is.
fn backend_identity(config: &Config) -> Result<Option<Arc<rustls::sign::CertifiedKey>>, BootFault> {
    let key = "gateway.backend_certificate_file";
    let (certificate_file, key_file) = (&config.gateway.backend_certificate_file, &config.gateway.backend_key_file);
    let certificate = read_named(key, certificate_file)?;
    let private = read_named("gateway.backend_key_file", key_file)?;
    if certificate_file.is_empty() && key_file.is_empty() {
        return Ok(None);
    }
    let unusable = |what: String| BootFault::File {
        key,
        file: certificate_file.into(),
        cause: std::io::Error::new(std::io::ErrorKind::InvalidData, what),
    };
    if certificate_file.is_empty() || key_file.is_empty() {
        return Err(unusable(
            "gateway.backend_certificate_file and gateway.backend_key_file must both be set".to_owned(),
        ));
    }
    let identity = tls::certified_key(&certificate, &private).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(Arc::new(identity)))
}

/// Returns what becomes of a request whose quota cannot be had.
pub(crate) fn on_no_quorum(config: &Config) -> portcullis_gateway::OnNoQuorum {
    match config.throttling.on_no_quorum {
        OnNoQuorum::Deny => portcullis_gateway::OnNoQuorum::Deny,
        OnNoQuorum::Allow => portcullis_gateway::OnNoQuorum::Allow,
    }
}

/// Returns what the gateway gathers, and where that goes.
pub(crate) fn statistics_settings(
    config: &Config,
    analytics: &portcullis_analytics::Running,
    countries: Option<Arc<dyn Countries>>,
) -> StatisticsSettings {
    StatisticsSettings {
        sink: analytics.sink(),
        kinds_max: usize::try_from(config.statistics.kinds_max).unwrap_or(usize::MAX),
        interval: Duration::from_millis(config.statistics.gather_ms),
        notes_networks: config.alerts.unseen_days > 0,
        notes_strays: config.statistics.strays_max > 0,
        countries,
        events: analytics.events(),
    }
}

/// Returns the settings of Analytics.
pub(crate) fn analytics_settings(config: &Config, node: NodeId) -> portcullis_analytics::Settings {
    let section = &config.statistics;
    let minutes = |days: u64| bounded(days.saturating_mul(24 * 60));
    let kept = [bounded(section.minutes_kept_h * 60), minutes(section.hours_kept_d), minutes(section.days_kept_d)];
    let (values_max, rows_max) = (bounded(section.values_max), bounded(section.rows_max));
    let alerts = &config.alerts;
    let networks = (alerts.unseen_days > 0).then(|| NetworkBounds {
        days: bounded(alerts.unseen_days),
        per_application_max: bounded(alerts.addresses_max),
        rows_max,
    });
    let strays_max = bounded(section.strays_max);
    let bounds = StatisticsBounds { values_max, rows_max, kept };
    portcullis_analytics::Settings { node, bounds, networks, strays_max }
}

/// Returns what tells the countries of addresses; `None` where no file is named, or nothing is gathered.
///
/// # Errors
/// Where the file cannot be used.
pub(crate) fn countries(config: &Config) -> Result<Option<Arc<CountryFile>>, BootFault> {
    let file = &config.statistics.country_file;
    if file.is_empty() || !config.statistics.enabled {
        return Ok(None);
    }
    let unusable = |fault| match fault {
        CountryFileFault::Read(cause) => cause,
        other => std::io::Error::new(std::io::ErrorKind::InvalidData, other),
    };
    let opened = CountryFile::open(Path::new(file));
    let (key, path) = ("statistics.country_file", file.into());
    opened.map(Some).map_err(|fault| BootFault::File { key, file: path, cause: unusable(fault) })
}

/// Returns which other systems are told of calls; `None` where none are.
///
/// # Errors
/// Where a file with a secret cannot be read, or a part of what Google Analytics needs is missing.
pub(crate) fn event_settings(config: &Config, node: NodeId) -> Result<Option<EventSettings>, BootFault> {
    let section = &config.events;
    let url = url_or_file("events.webhook_url_file", &section.webhook_url, &section.webhook_url_file)?;
    let webhook = match url {
        None => None,
        Some(url) => {
            let secret = first_line("events.webhook_secret_file", &section.webhook_secret_file)?;
            let batch_max = usize::try_from(section.batch_max).unwrap_or(usize::MAX);
            Some(Webhook::new(node, &url, &secret, batch_max))
        }
    };
    let google = if section.google_measurement_id.is_empty() { None } else { Some(google(config)?) };
    if webhook.is_none() && google.is_none() {
        return Ok(None);
    }
    let queue_max = usize::try_from(section.queue_max).unwrap_or(usize::MAX);
    let linger = Duration::from_millis(section.linger_ms);
    Ok(Some(EventSettings { webhook, google, queue_max, linger }))
}

fn google(config: &Config) -> Result<Google, BootFault> {
    let (key, section) = ("events.google_api_secret_file", &config.events);
    let secret = first_line(key, &section.google_api_secret_file)?;
    let is_secret = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if secret.is_empty() || !is_secret(&secret) {
        let what = "its first line must be the API secret of the stream: letters, digits, - and _";
        return Err(unusable(key, &section.google_api_secret_file, what));
    }
    Ok(Google::new(&section.google_url, &section.google_measurement_id, &secret))
}

/// Returns the service for moderation; `None` where there is none.
///
/// # Errors
/// Where the file with its key cannot be read, or has none.
pub(crate) fn content_safety(config: &Config) -> Result<Option<Arc<dyn ContentSafety>>, BootFault> {
    let (key, section) = ("gateway.content_safety_key_file", &config.gateway);
    if section.content_safety_url.is_empty() {
        return Ok(None);
    }
    let secret = first_line(key, &section.content_safety_key_file)?;
    let Some(service) = AzureContentSafety::new(&section.content_safety_url, &secret) else {
        let what = "its first line must be a key of the resource that gateway.content_safety_url names";
        return Err(unusable(key, &section.content_safety_key_file, what));
    };
    Ok(Some(Arc::new(service)))
}

/// Says that what is in a file that a key names is of no use.
fn unusable(key: &'static str, file: &str, what: &str) -> BootFault {
    let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    BootFault::File { key, file: file.into(), cause }
}

/// Returns the first line of a file that a key names; nothing where it names none.
fn first_line(key: &'static str, path: &str) -> Result<String, BootFault> {
    Ok(read_named(key, path)?.lines().next().unwrap_or_default().trim().to_owned())
}

/// Returns the URL that is given, or that is the first line of the file `key` names; nothing where neither is.
///
/// # Errors
/// Where both are given, the file cannot be read, or its first line is no URL.
fn url_or_file(key: &'static str, url: &str, file: &str) -> Result<Option<String>, BootFault> {
    if file.is_empty() {
        return Ok(Some(url.to_owned()).filter(|url| !url.is_empty()));
    }
    if !url.is_empty() {
        return Err(unusable(key, file, "the URL is given beside the file: set one of the two"));
    }
    let read = first_line(key, file)?;
    if read.is_empty() || !is_webhook_url(&read) {
        return Err(unusable(key, file, "its first line must be an https or http URL"));
    }
    Ok(Some(read))
}

/// Opens the access log; `None` where there is none.
///
/// # Errors
/// Where the file cannot be opened.
pub(crate) fn access_log(config: &Config) -> Result<Option<Arc<AccessLogFile>>, BootFault> {
    let path = &config.gateway.access_log_file;
    if path.is_empty() || !config.serves(Component::Gateway) {
        return Ok(None);
    }
    let key = "gateway.access_log_file";
    AccessLogFile::open(path).map(Some).map_err(|cause| BootFault::File { key, file: path.into(), cause })
}

/// Returns what lines calls have in the access log.
pub(crate) fn access_log_settings(config: &Config, sink: Arc<AccessLogFile>) -> AccessLog {
    let form = match config.gateway.access_log_form {
        crate::config::AccessLogForm::Common => AccessLogForm::Common,
        crate::config::AccessLogForm::Combined => AccessLogForm::Combined,
        crate::config::AccessLogForm::Json => AccessLogForm::Json,
    };
    AccessLog { sink, form, sampled_per_million: config.gateway.access_log_ratio.per_million() }
}

/// Returns where telemetry goes; `None` where no collector is named.
///
/// # Errors
/// Where the file with headers cannot be read, or a line is none.
pub(crate) fn telemetry_settings(config: &Config, node: NodeId) -> Result<Option<TelemetrySettings>, BootFault> {
    let section = &config.telemetry;
    if section.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let (key, file) = ("telemetry.otlp_headers_file", &section.otlp_headers_file);
    let mut headers = Vec::new();
    for line in read_named(key, file)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let pair = line.split_once(':').and_then(|(name, value)| {
            let mut value = http::HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<http::HeaderName>().ok()?, value))
        });
        let Some(pair) = pair else {
            let what = "each line must be the name of a header, a colon, and its value";
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
            return Err(BootFault::File { key, file: file.into(), cause });
        };
        headers.push(pair);
    }
    let further = &section.resource_attributes.0;
    Ok(Some(TelemetrySettings {
        endpoint: section.otlp_endpoint.clone(),
        headers,
        resource: Resource::new(&section.service_name, &config.node_name(), &node.to_string(), further),
        sampled_per_million: section.traces.then(|| section.sample_ratio.per_million()),
        traces_errors: section.trace_errors,
        slow: Some(section.slow_ms).filter(|ms| *ms > 0).map(Duration::from_millis),
        queue_max: usize::try_from(section.queue_max).unwrap_or(usize::MAX),
        metrics_every: Some(section.metrics_every_s).filter(|every| *every > 0).map(Duration::from_secs),
    }))
}

/// Returns how alerts are set up; `None` where none are told.
///
/// # Errors
/// Where the mail server's URL or the addresses cannot be read.
pub(crate) fn alert_settings(config: &Config) -> Result<Option<portcullis_analytics::AlertSettings>, BootFault> {
    let section = &config.alerts;
    let webhook_url = url_or_file("alerts.webhook_url_file", &section.webhook_url, &section.webhook_url_file)?;
    let file = Some(&section.mail_url_file).filter(|file| !file.is_empty()).map(Path::new);
    let mail = file.map(|file| alert_mail(config, file)).transpose()?;
    if webhook_url.is_none() && mail.is_none() {
        return Ok(None);
    }
    Ok(Some(portcullis_analytics::AlertSettings {
        webhook_url,
        mail,
        every: Duration::from_secs(section.every_s),
        quiet: Duration::from_secs(section.quiet_s),
        thresholds: portcullis_analytics::Thresholds {
            calls_min: section.calls_min,
            factor: section.factor,
            errors_percent: section.errors_percent,
            throttled_min: section.throttled_min,
            unseen_days: section.unseen_days,
        },
    }))
}

fn alert_mail(config: &Config, file: &Path) -> Result<portcullis_analytics::Mail, BootFault> {
    let section = &config.alerts;
    let unusable = |cause| BootFault::File { file: file.to_owned(), key: "alerts.mail_url_file", cause };
    let invalid = |what: String| unusable(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
    if section.mail_from.is_empty() || section.mail_to.0.is_empty() {
        return Err(invalid("alerts.mail_from and alerts.mail_to must say from whom and to whom".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(unusable)?;
    let url = text.lines().next().unwrap_or_default().trim();
    portcullis_analytics::Mail::new(url, &section.mail_from, &section.mail_to.0)
        .map_err(|fault| invalid(fault.to_string()))
}

/// Returns a number of the configuration, whose own bounds are narrower.
fn bounded(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns the header of a name; `None` where there is no name. The configuration accepts nothing else.
fn header(name: &str) -> Option<http::HeaderName> {
    if name.is_empty() { None } else { name.parse().ok() }
}

/// Returns the settings of the Traffic Manager.
///
/// # Errors
/// Where the file with the broker's URL cannot be read.
pub(crate) fn traffic_manager_settings(
    config: &Config,
    node: NodeId,
    data_dir: &Path,
) -> Result<portcullis_traffic_manager::Settings, BootFault> {
    let file = &config.throttling.amqp_url_file;
    let broker = if file.is_empty() { None } else { Some(broker_settings(config, Path::new(file))?) };
    Ok(portcullis_traffic_manager::Settings {
        node,
        data_dir: data_dir.to_owned(),
        store_bytes_max: config.throttling.message_store_max_mb << 20,
        broker,
    })
}

fn broker_settings(config: &Config, file: &Path) -> Result<portcullis_traffic_manager::BrokerSettings, BootFault> {
    let unreadable = |cause| BootFault::Broker { file: file.to_owned(), cause };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let url = text.lines().next().unwrap_or_default().trim().to_owned();
    if !(url.starts_with("amqp://") || url.starts_with("amqps://")) {
        let what = "its first line must be amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://";
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, what)));
    }
    Ok(portcullis_traffic_manager::BrokerSettings { url, exchange: config.throttling.amqp_exchange.clone() })
}

/// Returns the settings of the Key Manager. Without a public URL the issuer in tokens stays the original's default on
/// every node: nodes accept each other's tokens by it.
///
/// # Errors
/// Where a file that is named cannot be read.
pub(crate) fn key_manager_settings(config: &Config) -> Result<portcullis_key_manager::Settings, BootFault> {
    let oauth = &config.oauth;
    let own = format!("https://{}", config.addresses().management);
    let usual = portcullis_key_manager::Settings::default();
    let settings = match oauth.public_url.as_str() {
        "" => portcullis_key_manager::Settings { base_url: own, ..usual },
        url => portcullis_key_manager::Settings::at(url),
    };
    Ok(portcullis_key_manager::Settings {
        directory: directory_settings(config)?,
        client_authorities: client_authorities(config)?,
        is_password_grant_enabled: oauth.password_grant,
        is_implicit_grant_enabled: oauth.implicit_grant,
        is_pkce_required: oauth.pkce_required,
        signing_algorithm: match oauth.signing_algorithm {
            SigningAlgorithm::Es256 => Algorithm::Es256,
            SigningAlgorithm::Rs256 => Algorithm::Rs256,
            SigningAlgorithm::EdDsa => Algorithm::EdDsa,
        },
        has_one_token: oauth.one_token,
        application_token_validity: Duration::from_secs(oauth.application_token_s),
        user_token_validity: Duration::from_secs(oauth.user_token_s),
        refresh_token_validity: Duration::from_secs(oauth.refresh_token_s),
        code_validity: Duration::from_secs(oauth.code_s),
        sign_in_validity: Duration::from_secs(oauth.sign_in_s),
        lock_out: u32::try_from(config.users.lock_out_failures).ok().filter(|failures| *failures > 0).map(|failures| {
            portcullis_key_manager::LockOut { failures, lasts: Duration::from_secs(config.users.lock_out_s) }
        }),
        ..settings
    })
}

/// Returns the authorities that vouch for clients' certificates; nothing where there are none.
fn client_authorities(config: &Config) -> Result<String, BootFault> {
    let (key, path) = ("oauth.client_authorities_file", &config.oauth.client_authorities_file);
    let text = read_named(key, path)?;
    if !path.is_empty() {
        let unusable = |cause| std::io::Error::new(std::io::ErrorKind::InvalidData, cause);
        tls::ClientAuthorities::new(&text).map_err(|cause| BootFault::File {
            key,
            file: path.into(),
            cause: unusable(cause),
        })?;
    }
    Ok(text)
}

/// Returns where further users are; `None` where no directory is asked.
fn directory_settings(config: &Config) -> Result<Option<portcullis_key_manager::DirectorySettings>, BootFault> {
    let section = &config.directory;
    if section.url.is_empty() {
        return Ok(None);
    }
    let password = read_named("directory.bind_password_file", &section.bind_password_file)?;
    Ok(Some(portcullis_key_manager::DirectorySettings {
        url: section.url.clone(),
        has_starttls: section.starttls,
        authorities: read_named("directory.authorities_file", &section.authorities_file)?,
        bind_dn: section.bind_dn.clone(),
        bind_password: password.lines().next().unwrap_or_default().to_owned(),
        user_base: section.user_base.clone(),
        user_filter: section.user_filter.clone(),
        email_attribute: section.email_attribute.clone(),
        group_base: section.group_base.clone(),
        group_filter: section.group_filter.clone(),
        group_attribute: section.group_attribute.clone(),
        roles: section.roles.0.clone(),
        timeout: Duration::from_millis(section.timeout_ms),
    }))
}

/// Reads a file that a key names; nothing where it names none.
fn read_named(key: &'static str, path: &str) -> Result<String, BootFault> {
    if path.is_empty() {
        return Ok(String::new());
    }
    std::fs::read_to_string(path).map_err(|cause| BootFault::File { key, file: path.into(), cause })
}

/// Returns who is told of the use of APIs; `None` where nobody is.
///
/// # Errors
/// Where the file with the secret cannot be read.
pub(crate) fn billing_engine(config: &Config) -> Result<Option<portcullis_admin::BillingEngine>, BootFault> {
    let section = &config.monetization;
    if section.billing_url.is_empty() {
        return Ok(None);
    }
    let secret = first_line("monetization.billing_secret_file", &section.billing_secret_file)?;
    Ok(Some(portcullis_admin::BillingEngine::new(&section.billing_url, &secret)))
}

/// Services outside of this system that users are answered by.
pub(crate) struct OutsideServices {
    pub(crate) assistant: Option<OutsideService>,
    pub(crate) audit: Option<portcullis_publisher::SecurityAudit>,
}

/// Returns the services outside of this system that are configured.
///
/// # Errors
/// Where the file with a key cannot be read, or what is in it is no key.
pub(crate) fn outside_services(config: &Config) -> Result<OutsideServices, BootFault> {
    let value = |key: &'static str, file: &str, text: String| {
        HeaderValue::from_str(&text).map_err(|cause| {
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, cause);
            BootFault::File { key, file: file.into(), cause }
        })
    };
    let mut services = OutsideServices { assistant: None, audit: None };
    let section = &config.assistant;
    if !section.url.is_empty() {
        let key = "assistant.token_file";
        let token = first_line(key, &section.token_file)?;
        let mut headers = Vec::new();
        if !token.is_empty() {
            headers.push((AUTHORIZATION, value(key, &section.token_file, format!("Bearer {token}"))?));
        }
        services.assistant = Some(OutsideService::new("the assistant", &section.url, headers));
    }
    let section = &config.security_audit;
    if !section.url.is_empty() {
        let key = "security_audit.key_file";
        let secret = first_line(key, &section.key_file)?;
        let header = (HeaderName::from_static("x-api-key"), value(key, &section.key_file, secret)?);
        let service = OutsideService::new("the auditor of API definitions", &section.url, vec![header]);
        services.audit = Some(portcullis_publisher::SecurityAudit { service, collection: section.collection.clone() });
    }
    Ok(services)
}

/// Returns how passwords are made.
pub(crate) fn passwords(config: &Config) -> portcullis_admin::Passwords {
    let policy = PasswordPolicy {
        min_chars: usize::try_from(config.users.password_min_chars).unwrap_or(usize::MAX),
        min_kinds: usize::try_from(config.users.password_min_kinds).unwrap_or(usize::MAX),
        may_have_name: config.users.password_may_have_name,
    };
    portcullis_admin::Passwords { hash: portcullis_key_manager::hash_password, policy }
}

/// Returns the addresses that the web pages name.
pub(crate) fn page_addresses(places: &Places) -> portcullis_portal::Addresses {
    let gateway = places.gateway();
    portcullis_portal::Addresses {
        management: format!("https://{}", places.management(Component::KeyManager)),
        gateway_https: format!("https://{}", gateway.gateway_https),
        gateway_http: format!("http://{}", gateway.gateway_http),
        publisher: places.page(Component::Publisher, "/publisher"),
        devportal: places.page(Component::Store, "/devportal"),
        admin: places.page(Component::Admin, "/admin"),
    }
}

/// Returns the settings of the Store.
pub(crate) fn store_settings(places: &Places, has_assistant: bool) -> portcullis_store::Settings {
    let gateway = places.gateway();
    portcullis_store::Settings {
        gateway: portcullis_store::GatewayUrls {
            http: format!("http://{}", gateway.gateway_http),
            https: format!("https://{}", gateway.gateway_https),
        },
        management_url: format!("https://{}", places.management(Component::KeyManager)),
        grant_types: portcullis_key_manager::GRANT_TYPES.iter().map(|grant| (*grant).to_owned()).collect(),
        has_assistant,
    }
}
