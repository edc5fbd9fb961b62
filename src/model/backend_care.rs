//! How gateways share calls among the backends of an API, and what they do with those that fail: what the contract's
//! `endpointConfig` says beside addresses, read. Times are in milliseconds, as there.

use serde_json::Value;

/// The longest time that can be set.
const MS_MAX: u64 = 24 * 3600 * 1000;
/// How often a call is tried again at one backend, at most.
const RETRIES_MAX: u64 = 10;
/// How long a call may wait between tries.
const RETRY_DELAY_MS_MAX: u64 = 10_000;
/// Codes in a list.
const CODES_MAX: usize = 50;
/// The largest weight.
const WEIGHT_MAX: u64 = 1_000;
/// The shortest time from one health check to the next.
const CHECK_INTERVAL_MS_MIN: u64 = 100;
/// The codes that are tried again where a list is not given: no answer in time, and none at all.
const RETRY_CODES: [u32; 2] = [101_504, 101_505];

/// How calls are shared among the backends of an API, and how each of them is treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendCare {
    /// How calls are shared.
    pub sharing: Sharing,
    /// Those of production keys, in the order of the endpoints.
    pub production: Vec<EndpointCare>,
    /// Those of sandbox keys, in the order of the endpoints.
    pub sandbox: Vec<EndpointCare>,
    /// Where calls with production keys go besides.
    pub beside_production: Besides,
    /// Where calls with sandbox keys go besides.
    pub beside_sandbox: Besides,
}

/// Where calls go besides. The original has none of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Besides {
    /// A backend that is tried out: it gets a share of the calls (`production_canary`).
    pub canary: Option<Beside>,
    /// A backend that gets copies, whose answers nobody waits for (`production_mirror`).
    pub mirror: Option<Beside>,
}

/// A backend that gets some of the calls, or copies of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// An `http` or `https` URL.
    pub url: String,
    /// Its share, in percent (`weight`).
    pub percent: u32,
    /// A header field whose calls go there whatever the share, and its value; any value where there is none.
    pub header: Option<(String, Option<String>)>,
    /// How it is treated.
    pub care: EndpointCare,
}

/// How calls are shared among several backends (`load_balance`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Whose turn it is.
    pub turns: Turns,
    /// Whether a client stays with a backend (`sessionManagement`).
    pub session: Option<Session>,
    /// Whether another backend is asked where one fails (`failOver`).
    pub fails_over: bool,
}

/// Whose turn it is (`algoClassName`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turns {
    /// One after the other.
    #[default]
    Even,
    /// By weight.
    ByWeight,
    /// The one with the fewest calls in progress, by weight.
    LeastRequests,
}

/// How long a client stays with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// From its last call (`sessionTimeOut`); as long as the client's own session where it is `None`.
    pub lasts_ms: Option<u64>,
    /// By the id of a session in its messages (`soap`), instead of a cookie. The backend says how long that is good.
    pub is_soap: bool,
}

/// How one backend is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointCare {
    /// Its share of the calls.
    pub weight: u32,
    /// Whether an answer may take any time (`actionSelect` `neverTimeout`).
    pub never_times_out: bool,
    /// When it is left alone for a while.
    pub suspension: Option<Suspension>,
    /// When it is tried again.
    pub retry: Option<Retry>,
    /// How it is looked whether it is well.
    pub health: Option<HealthCheck>,
    /// Whether it speaks HTTP/2: with prior knowledge over plain connections, by negotiation over TLS.
    pub has_http2: bool,
}

/// When a backend is left alone for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspension {
    /// After what (`suspendErrorCode`): the original's codes of errors, and statuses; nothing for any error.
    pub codes: Vec<u32>,
    /// For how long at first (`suspendDuration`).
    pub first_ms: u64,
    /// How much longer each time (`factor`).
    pub factor: f64,
    /// For how long at most (`suspendMaxDuration`).
    pub max_ms: u64,
}

/// When a backend is tried again before it is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// After what (`retryErroCode`, as the contract writes it).
    pub codes: Vec<u32>,
    /// How often (`retryTimeOut`).
    pub times: u32,
    /// After how long (`retryDelay`).
    pub delay_ms: u64,
}

/// How it is looked whether a backend is well (`healthCheck`, which the original does not have).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for, with a slash in front.
    pub path: String,
    /// From one time to the next.
    pub interval_ms: u64,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// After how many failures it counts as down.
    pub failures: u32,
    /// After how many good answers it counts as up again.
    pub successes: u32,
}

/// What is wrong with a document: where in it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCare {
    /// The place, such as `production_endpoints[0].config.factor`.
    pub place: String,
    /// Why it is not accepted.
    pub reason: String,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { turns: Turns::Even, session: None, fails_over: true }
    }
}

impl Default for EndpointCare {
    fn default() -> Self {
        Self { weight: 1, never_times_out: false, suspension: None, retry: None, health: None, has_http2: false }
    }
}

impl EndpointCare {
    /// Says whether it is watched how the backend does.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.suspension.is_some() || self.retry.is_some() || self.health.is_some()
    }
}

impl BackendCare {
    /// Reads an `endpointConfig`, and what is wrong with it. What is wrong is left out.
    #[must_use]
    pub fn of_document(document: &Value) -> (Self, Vec<BadCare>) {
        let mut faults = Faults(Vec::new());
        let kind = document.get("endpoint_type").and_then(Value::as_str).unwrap_or_default();
        let mut side = |names: [&str; 2]| {
            let count = if kind == "failover" { 2 } else { 1 };
            let lists = names.into_iter().take(count);
            lists.flat_map(|name| list(document, name, &mut faults)).collect::<Vec<_>>()
        };
        let production = side(["production_endpoints", "production_failovers"]);
        let sandbox = side(["sandbox_endpoints", "sandbox_failovers"]);
        let mut beside = |name: &str, usual: u64| beside(document, name, usual, &mut faults);
        let beside_production =
            Besides { canary: beside("production_canary", 0), mirror: beside("production_mirror", 100) };
        let beside_sandbox = Besides { canary: beside("sandbox_canary", 0), mirror: beside("sandbox_mirror", 100) };
        let sharing = if kind == "load_balance" { sharing(document, &mut faults) } else { Sharing::default() };
        (Self { sharing, production, sandbox, beside_production, beside_sandbox }, faults.0)
    }
}

/// Reads how the backends are treated of what stands in one place (`production_endpoints`), with or without an address.
pub(crate) fn of_place(item: Option<&Value>, name: &str) -> (EndpointCare, Vec<BadCare>) {
    let item = match item {
        Some(Value::Array(items)) => items.first(),
        item => item,
    };
    let mut faults = Faults(Vec::new());
    let care = match item.and_then(|item| item.get("config")) {
        Some(config) if config.is_object() => {
            Config { config, place: format!("{name}.config"), faults: &mut faults }.read()
        }
        _ => EndpointCare::default(),
    };
    (care, faults.0)
}

struct Faults(Vec<BadCare>);

impl Faults {
    fn add(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.0.push(BadCare { place: place.into(), reason: reason.into() });
    }
}

/// Reads the endpoints of a list; one without an address is none.
fn list(document: &Value, name: &str, faults: &mut Faults) -> Vec<EndpointCare> {
    let items: Vec<&Value> = match document.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    };
    let has_address = |item: &Value| {
        let text = item.as_str().or_else(|| item.get("url").and_then(Value::as_str));
        text.is_some_and(|text| !text.is_empty())
    };
    let addressed = items.into_iter().enumerate().filter(|(_, item)| has_address(item));
    addressed
        .map(|(number, item)| match item.get("config") {
            Some(config) if config.is_object() => {
                Config { config, place: format!("{name}[{number}].config"), faults }.read()
            }
            _ => EndpointCare::default(),
        })
        .collect()
}

/// Reads a backend that gets some of the calls; `usual` is its share where the document says nothing.
fn beside(document: &Value, name: &str, usual: u64, faults: &mut Faults) -> Option<Beside> {
    let found = document.get(name).filter(|found| !found.is_null())?;
    let url = found.get("url").and_then(Value::as_str).unwrap_or_default();
    if url.is_empty() {
        return None;
    }
    let is_good = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_good {
        faults.add(format!("{name}.url"), format!("`{url}` must be an absolute http or https URL"));
        return None;
    }
    let header = match found.get("header") {
        None | Some(Value::Null) => None,
        Some(header) => {
            let text = |field: &str| header.get(field).and_then(Value::as_str).map(str::to_owned);
            let field = text("name").filter(|name| http::HeaderName::from_bytes(name.as_bytes()).is_ok());
            if field.is_none() {
                faults.add(format!("{name}.header.name"), "must be the name of a header field");
            }
            field.map(|field| (field, text("value")))
        }
    };
    let weight = Config { config: found, place: name.to_owned(), faults }.number("weight", 0, 100);
    let care = match found.get("config") {
        Some(config) if config.is_object() => {
            let care = Config { config, place: format!("{name}.config"), faults }.read();
            // Whether it is well is seen by those who try it out.
            EndpointCare { suspension: None, retry: None, health: None, ..care }
        }
        _ => EndpointCare::default(),
    };
    let percent = u32::try_from(weight.unwrap_or(usual)).unwrap_or(0);
    Some(Beside { url: url.to_owned(), percent, header, care })
}

fn sharing(document: &Value, faults: &mut Faults) -> Sharing {
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    let turns = match text("algoClassName").rsplit('.').next().unwrap_or_default() {
        "" | "RoundRobin" => Turns::Even,
        "WeightedRoundRobin" => Turns::ByWeight,
        "WeightedRRLCAlgorithm" | "LeastRequests" => Turns::LeastRequests,
        other => {
            let reason = format!("is {other}; RoundRobin, WeightedRoundRobin and LeastRequests are served");
            faults.add("algoClassName", reason);
            Turns::Even
        }
    };
    let session = match text("sessionManagement") {
        "" | "none" => None,
        kind @ ("transport" | "simpleClientSession" | "soap") => {
            let lasts_ms = Config { config: document, place: String::new(), faults }.ms("sessionTimeOut");
            Some(Session { lasts_ms, is_soap: kind == "soap" })
        }
        other => {
            let reason = format!("is {other}; none, transport, soap and simpleClientSession are served");
            faults.add("sessionManagement", reason);
            None
        }
    };
    let fails_over = !matches!(document.get("failOver"), Some(Value::Bool(false)))
        && !text("failOver").eq_ignore_ascii_case("false");
    Sharing { turns, session, fails_over }
}

/// The settings of one endpoint.
struct Config<'a> {
    config: &'a Value,
    place: String,
    faults: &'a mut Faults,
}

impl Config<'_> {
    fn read(mut self) -> EndpointCare {
        let action = self.config.get("actionSelect").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !["", "fault", "discard", "neverTimeout"].contains(&action.as_str()) {
            self.wrong("actionSelect", format!("is {action}; fault, discard and neverTimeout are served"));
        }
        // What it is for is read with the addresses; what is wrong with it is told here.
        self.ms("actionDuration");
        EndpointCare {
            weight: self.number("weight", 1, WEIGHT_MAX).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1),
            never_times_out: action == "neverTimeout",
            suspension: self.suspension(),
            retry: self.retry(),
            health: self.health(),
            has_http2: self.flag("http2"),
        }
    }

    fn suspension(&mut self) -> Option<Suspension> {
        let codes = self.codes("suspendErrorCode");
        let max_ms = self.ms("suspendMaxDuration").unwrap_or(MS_MAX);
        let factor = self.factor();
        let first_ms = self.ms("suspendDuration")?;
        Some(Suspension { codes, first_ms, factor, max_ms: max_ms.max(first_ms) })
    }

    fn retry(&mut self) -> Option<Retry> {
        let mut codes = self.codes("retryErroCode");
        codes.extend(self.codes("retryErrorCode"));
        // The original sets no bounds, and set-ups come from there: more than is done here counts as that.
        let delay_ms = self.number("retryDelay", 0, MS_MAX).unwrap_or(0).min(RETRY_DELAY_MS_MAX);
        let times = self.number("retryTimeOut", 0, MS_MAX).filter(|times| *times > 0)?.min(RETRIES_MAX);
        if codes.is_empty() {
            codes.extend(RETRY_CODES);
        }
        Some(Retry { codes, times: u32::try_from(times).ok()?, delay_ms })
    }

    fn health(&mut self) -> Option<HealthCheck> {
        let config = match self.config.get("healthCheck") {
            None | Some(Value::Null) => return None,
            Some(config) => config,
        };
        let place = self.at("healthCheck");
        let path = config.get("path").and_then(Value::as_str).unwrap_or("/").to_owned();
        let is_path = path.starts_with('/') && path.len() <= 2_048 && path.bytes().all(|byte| byte.is_ascii_graphic());
        if !config.is_object() || !is_path {
            self.faults.add(place, "must be an object; its path must begin with a slash and have no spaces");
            return None;
        }
        let mut inside = Config { config, place, faults: self.faults };
        let interval_ms = inside.number("interval", CHECK_INTERVAL_MS_MIN, MS_MAX).unwrap_or(5_000);
        let timeout_ms = inside.number("timeout", 1, MS_MAX).unwrap_or(2_000);
        let mut count = |name: &str, usual: u32| {
            inside.number(name, 1, 100).and_then(|count| u32::try_from(count).ok()).unwrap_or(usual)
        };
        let (failures, successes) = (count("failures", 3), count("successes", 1));
        // A check has ended before the next one begins.
        Some(HealthCheck { path, interval_ms, timeout_ms: timeout_ms.min(interval_ms), failures, successes })
    }

    fn factor(&mut self) -> f64 {
        let read = match self.config.get("factor") {
            None | Some(Value::Null) => return 1.0,
            Some(Value::String(text)) if text.trim().is_empty() => return 1.0,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
        };
        match read.filter(|factor| (1.0..=100.0).contains(factor)) {
            Some(factor) => factor,
            None => {
                self.wrong("factor", "must be a number from 1 to 100");
                1.0
            }
        }
    }

    /// Reads a time; `None` for none or zero.
    fn ms(&mut self, name: &str) -> Option<u64> {
        self.number(name, 0, MS_MAX).filter(|ms| *ms > 0)
    }

    /// Reads a number, or its text as the original's portal sends it; `None` for none, or a wrong one.
    fn number(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let read = match self.config.get(name)? {
            Value::Null => return None,
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64(),
        };
        let read = read.filter(|number| (min..=max).contains(number));
        if read.is_none() {
            self.wrong(name, format!("must be a whole number from {min} to {max}"));
        }
        read
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.config.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong(name, "must be true or false");
                false
            }
        }
    }

    /// Reads codes: a list of numbers or texts.
    fn codes(&mut self, name: &str) -> Vec<u32> {
        let items = match self.config.get(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::String(text)) if text.is_empty() => return Vec::new(),
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let code = |item: &Value| match item {
            Value::String(text) => text.trim().parse::<u32>().ok(),
            value => value.as_u64().and_then(|code| u32::try_from(code).ok()),
        };
        let codes: Option<Vec<u32>> = items.iter().map(code).collect();
        match codes.filter(|codes| codes.len() <= CODES_MAX) {
            Some(codes) => codes,
            None => {
                self.wrong(name, format!("must be a list of at most {CODES_MAX} numbers"));
                Vec::new()
            }
        }
    }

    fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn wrong(&mut self, name: &str, reason: impl Into<String>) {
        let place = self.at(name);
        self.faults.add(place, reason);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_settings_of_the_contract_are_read_as_numbers_and_as_texts() {
        let (care, faults) = BackendCare::of_document(&json!({
            "endpoint_type": "load_balance",
            "algoClassName": "org.apache.synapse.endpoints.algorithms.WeightedRoundRobin",
            "sessionManagement": "transport", "sessionTimeOut": "60000", "failOver": "False",
            "production_endpoints": [
                {"url": ""},
                {"url": "http://a", "config": {
                    "actionSelect": "neverTimeout", "suspendErrorCode": ["101503", 503], "suspendDuration": "100",
                    "suspendMaxDuration": 1000, "factor": "2", "retryTimeOut": "3", "retryDelay": 5, "weight": 4,
                    "healthCheck": {"path": "/up", "interval": 100, "timeout": 900},
                }},
                "http://b",
            ],
        }));
        assert_eq!(faults, []);
        let session = Some(Session { lasts_ms: Some(60_000), is_soap: false });
        assert_eq!(care.sharing, Sharing { turns: Turns::ByWeight, session, fails_over: false });
        let [first, second] = care.production.as_slice() else { panic!("two have addresses") };
        assert_eq!((first.weight, first.never_times_out, second), (4, true, &EndpointCare::default()));
        let suspension = Suspension { codes: vec![101_503, 503], first_ms: 100, factor: 2.0, max_ms: 1_000 };
        assert_eq!(first.suspension, Some(suspension));
        assert_eq!(first.retry, Some(Retry { codes: RETRY_CODES.to_vec(), times: 3, delay_ms: 5 }));
        assert_eq!(first.health.as_ref().map(|health| health.timeout_ms), Some(100), "no longer than the interval");
    }

    #[test]
    fn where_calls_go_besides_is_read_and_what_is_wrong_with_it_named() {
        let (care, faults) = BackendCare::of_document(&json!({
            "production_canary": {"url": "http://new", "weight": "5", "header": {"name": "x-try"}},
            "production_mirror": {"url": "http://copy"},
            "sandbox_canary": {"url": ""},
        }));
        assert_eq!(faults, []);
        let canary = care.beside_production.canary.unwrap();
        assert_eq!((canary.percent, canary.header), (5, Some(("x-try".to_owned(), None))));
        assert_eq!(care.beside_production.mirror.map(|mirror| mirror.percent), Some(100));
        assert_eq!(care.beside_sandbox, Besides::default());
        let (_, faults) = BackendCare::of_document(&json!({
            "production_canary": {"url": "new", "weight": 5},
            "sandbox_canary": {"url": "http://new", "weight": 101, "header": {"name": "x y"}},
            "production_mirror": {"url": "http://copy", "config": {"http2": "yes"}},
        }));
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "production_canary.url",
                "production_mirror.config.http2",
                "sandbox_canary.header.name",
                "sandbox_canary.weight",
            ]
        );
    }

    #[test]
    fn zero_and_nothing_switch_suspension_off() {
        for config in [json!({}), json!({"suspendDuration": "0"}), json!({"suspendDuration": "", "factor": ""})] {
            let document = json!({"production_endpoints": {"url": "http://a", "config": config}});
            let (care, faults) = BackendCare::of_document(&document);
            assert_eq!((care.production, faults), (vec![EndpointCare::default()], Vec::new()));
        }
    }

    #[test]
    fn more_than_is_done_counts_as_that() {
        let config = json!({"retryTimeOut": 13_000, "retryDelay": "23000"});
        let (care, faults) =
            BackendCare::of_document(&json!({"production_endpoints": {"url": "http://a", "config": config}}));
        assert_eq!(faults, []);
        let retry = Retry { codes: RETRY_CODES.to_vec(), times: 10, delay_ms: 10_000 };
        assert_eq!(care.production[0].retry, Some(retry));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (_, faults) = BackendCare::of_document(&json!({
            "endpoint_type": "load_balance", "algoClassName": "com.example.Mine", "sessionManagement": "mine",
            "production_endpoints": [{"url": "http://a", "config": {
                "factor": 0, "suspendDuration": -1, "suspendErrorCode": ["x"], "retryTimeOut": -1, "weight": 0,
                "actionSelect": "explode", "http2": 1, "healthCheck": {"path": "up"},
            }}],
        }));
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        places.sort_unstable();
        let of_config = [
            "actionSelect",
            "factor",
            "healthCheck",
            "http2",
            "retryTimeOut",
            "suspendDuration",
            "suspendErrorCode",
            "weight",
        ];
        let mut expected: Vec<String> =
            of_config.iter().map(|name| format!("production_endpoints[0].config.{name}")).collect();
        expected.insert(0, "algoClassName".to_owned());
        expected.push("sessionManagement".to_owned());
        assert_eq!(places, expected);
    }
}
