//! The endpoints of an API as a form: addresses, how several share the calls, and what holds for all of them. What the
//! form does not show (weights, suspension, retries, what gateways prove themselves with) stays as it is stored.

use portcullis_model::{Api, dynamic_endpoint};
use portcullis_portal::Fields;
use serde_json::{Map, Value, json};

/// The two sides, as fields of the form and of the document.
const SIDES: [&str; 2] = ["production", "sandbox"];
/// The kinds of several endpoints: the first is what several are where nothing is said.
const SHARED: [&str; 2] = ["load_balance", "failover"];

/// What the form shows.
pub(super) struct Shown {
    /// The addresses, one a line.
    pub(super) production: String,
    pub(super) sandbox: String,
    /// `load_balance` or `failover`.
    pub(super) sharing: String,
    /// How long the head of an answer may take, in milliseconds; empty where nothing is said, or not the same of all.
    pub(super) timeout: String,
    /// What is asked for to see whether a backend is well; empty likewise.
    pub(super) health: String,
}

impl Shown {
    pub(super) fn of(api: &Api) -> Self {
        let document: Value = serde_json::from_str(&api.endpoints.document).unwrap_or_default();
        Self::of_config(document.as_object().unwrap_or(&Map::new()))
    }

    fn of_config(config: &Map<String, Value>) -> Self {
        let lines = |side| items(config, side).iter().map(|one| format!("{}\n", url_of(one))).collect();
        let kind = kind_of(config);
        Self {
            production: lines(SIDES[0]),
            sandbox: lines(SIDES[1]),
            sharing: SHARED.into_iter().find(|shared| *shared == kind).unwrap_or(SHARED[0]).to_owned(),
            timeout: same(config, |one| text_of(&one["config"]["actionDuration"])),
            health: same(config, |one| text_of(&one["config"]["healthCheck"]["path"])),
        }
    }

    /// Shows what was sent in place of what is stored.
    pub(super) fn with_sent(mut self, fields: &Fields) -> Self {
        for (name, shown) in [
            (SIDES[0], &mut self.production),
            (SIDES[1], &mut self.sandbox),
            ("sharing", &mut self.sharing),
            ("timeout", &mut self.timeout),
            ("health", &mut self.health),
        ] {
            if fields.has(name) {
                fields.raw(name).clone_into(shown);
            }
        }
        self
    }
}

/// Writes into an API's body what the form says.
pub(super) fn write(fields: &Fields, _: &Api, body: &mut Map<String, Value>) {
    set(fields, body);
}

fn set(fields: &Fields, body: &mut Map<String, Value>) {
    let mut config = body.get("endpointConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    let shown = Shown::of_config(&config);
    let before = kind_of(&config).to_owned();
    let urls = SIDES.map(|side| urls_of(fields, side));
    let is_several = urls.iter().any(|urls| urls.len() > 1);
    let mut all = urls.iter().flatten().peekable();
    // What stands for backends that policies name.
    let is_dynamic = !is_several && all.peek().is_some() && all.all(|url| url == dynamic_endpoint::URL);
    let kind = if is_dynamic {
        dynamic_endpoint::KIND.to_owned()
    } else if is_several || SHARED.contains(&before.as_str()) {
        fields.filled("sharing").unwrap_or(&shown.sharing).to_owned()
    } else if before == dynamic_endpoint::KIND {
        "http".to_owned()
    } else {
        before.clone()
    };
    let lists = SIDES.map(|side| items(&config, side));
    config.insert("endpoint_type".to_owned(), kind.clone().into());
    for ((side, urls), known) in SIDES.into_iter().zip(&urls).zip(lists) {
        let is_as_before = kind == before && known.iter().map(url_of).eq(urls.iter().map(String::as_str));
        let mut endpoints = if is_as_before { known.clone() } else { taken_over(urls, known, &shown) };
        let is_set = [set_timeout(fields, &shown, &mut endpoints), set_health(fields, &shown, &mut endpoints)];
        if !is_as_before || is_set.contains(&true) {
            put(&mut config, side, &kind, endpoints);
        }
    }
    body.insert("endpointConfig".to_owned(), config.into());
}

fn kind_of(config: &Map<String, Value>) -> &str {
    config.get("endpoint_type").and_then(Value::as_str).unwrap_or("http")
}

/// Returns the endpoints of a side that have an address, in the order in which they are called.
fn items(config: &Map<String, Value>, side: &str) -> Vec<Value> {
    let lists = [format!("{side}_endpoints"), format!("{side}_failovers")];
    let count = if kind_of(config) == "failover" { 2 } else { 1 };
    let list = |name: &String| match config.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
    };
    lists.iter().take(count).flat_map(list).filter(|one| !url_of(one).is_empty()).collect()
}

/// An endpoint may be its address alone.
fn url_of(endpoint: &Value) -> &str {
    endpoint.as_str().or_else(|| endpoint["url"].as_str()).unwrap_or_default()
}

/// Numbers may be texts in this document.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.as_u64().map_or_else(String::new, |number| number.to_string()), str::to_owned)
}

/// Returns what is the same of all endpoints; nothing where it is not.
fn same(config: &Map<String, Value>, value: impl Fn(&Value) -> String) -> String {
    let mut values = SIDES.into_iter().flat_map(|side| items(config, side)).map(|one| value(&one));
    let first = values.next().unwrap_or_default();
    if values.all(|other| other == first) { first } else { String::new() }
}

/// Addresses may hold commas, so each has a line.
fn urls_of(fields: &Fields, side: &str) -> Vec<String> {
    fields.raw(side).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns endpoints of these addresses: those that are known with all that is known of them, new ones with what holds
/// for all.
fn taken_over(urls: &[String], mut known: Vec<Value>, shown: &Shown) -> Vec<Value> {
    let endpoint = |url: &String| match known.iter().position(|one| url_of(one) == url) {
        Some(at) => known.remove(at),
        None => {
            let mut made = json!({"url": url});
            if !shown.timeout.is_empty() {
                made["config"]["actionDuration"] = shown.timeout.as_str().into();
            }
            if !shown.health.is_empty() {
                made["config"]["healthCheck"]["path"] = shown.health.as_str().into();
            }
            made
        }
    };
    urls.iter().map(endpoint).collect()
}

/// Returns what an endpoint is configured with, to be changed.
fn config_of(endpoint: &mut Value) -> Option<&mut Map<String, Value>> {
    if let Some(url) = endpoint.as_str() {
        *endpoint = json!({"url": url});
    }
    let config = endpoint.as_object_mut()?.entry("config").or_insert_with(|| json!({}));
    if !config.is_object() {
        *config = json!({});
    }
    config.as_object_mut()
}

/// Returns what a field says, where it says something else than it showed.
fn changed<'a>(fields: &'a Fields, name: &str, shown: &str) -> Option<&'a str> {
    fields.has(name).then(|| fields.text(name)).filter(|text| *text != shown)
}

fn set_timeout(fields: &Fields, shown: &Shown, endpoints: &mut [Value]) -> bool {
    let Some(text) = changed(fields, "timeout", &shown.timeout) else { return false };
    for config in endpoints.iter_mut().filter_map(config_of) {
        match text {
            "" => config.remove("actionDuration"),
            text => config.insert("actionDuration".to_owned(), text.into()),
        };
    }
    true
}

fn set_health(fields: &Fields, shown: &Shown, endpoints: &mut [Value]) -> bool {
    let Some(path) = changed(fields, "health", &shown.health) else { return false };
    for config in endpoints.iter_mut().filter_map(config_of) {
        if path.is_empty() {
            config.remove("healthCheck");
            continue;
        }
        let check = config.entry("healthCheck").or_insert_with(|| json!({}));
        match check.as_object_mut() {
            Some(check) => drop(check.insert("path".to_owned(), path.into())),
            None => *check = json!({"path": path}),
        }
    }
    true
}

/// Puts the endpoints of a side where the kind has them: those of `failover` after the first are in a list of their own.
fn put(config: &mut Map<String, Value>, side: &str, kind: &str, endpoints: Vec<Value>) {
    let (first, others) = (format!("{side}_endpoints"), format!("{side}_failovers"));
    config.remove(&first);
    let mut endpoints = endpoints.into_iter();
    match kind {
        "load_balance" => {
            let all: Vec<Value> = endpoints.collect();
            if !all.is_empty() {
                config.insert(first, all.into());
            }
            config.remove(&others);
        }
        _ => {
            if let Some(one) = endpoints.next() {
                config.insert(first, one);
            }
            let rest: Vec<Value> = endpoints.collect();
            if kind == "failover" {
                config.insert(others, rest.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(config: &Value, change: &[(&str, &str)]) -> Value {
        let shown = Shown::of_config(config.as_object().unwrap());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("production", &shown.production),
            ("sandbox", &shown.sandbox),
            ("sharing", &shown.sharing),
            ("timeout", &shown.timeout),
            ("health", &shown.health),
        ] {
            let changed = change.iter().find(|(changed, _)| *changed == name);
            query.append_pair(name, changed.map_or(value.as_str(), |(_, value)| value));
        }
        let mut body = Map::new();
        body.insert("endpointConfig".to_owned(), config.clone());
        set(&Fields::of_query(&query.finish()), &mut body);
        body["endpointConfig"].clone()
    }

    fn failover() -> Value {
        json!({
            "endpoint_type": "failover",
            "production_endpoints": {"url": "http://a", "config": {"actionDuration": "3000", "weight": 2}},
            "production_failovers": [{"url": "http://b,c", "config": {"actionDuration": "3000"}}],
            "sandbox_endpoints": {"url": "http://s", "config": {"actionDuration": 3000}},
            "endpoint_security": {"production": {"enabled": true}},
        })
    }

    #[test]
    fn what_is_sent_as_it_was_shown_changes_nothing() {
        let different = json!({
            "endpoint_type": "load_balance", "algoClassName": "WeightedRoundRobin", "failOver": "false",
            "production_endpoints": [
                {"url": "http://a", "config": {"weight": 3, "actionDuration": 1}}, "http://b", {"url": "http://a"},
            ],
            "production_failovers": [],
        });
        let single = json!({"endpoint_type": "address", "production_endpoints": [{"url": "http://a"}]});
        let socket = json!({"endpoint_type": "ws", "production_endpoints": {"url": "ws://a"}});
        for config in [failover(), different, single, socket] {
            assert_eq!(sent(&config, &[]), config);
        }
    }

    #[test]
    fn endpoints_keep_what_is_known_of_them_wherever_they_go() {
        let more = sent(&failover(), &[("production", "http://b,c\r\nhttp://d\r\nhttp://a\r\n")]);
        assert_eq!(more["production_endpoints"], failover()["production_failovers"][0]);
        assert_eq!(more["production_failovers"][0], json!({"url": "http://d", "config": {"actionDuration": "3000"}}));
        assert_eq!(more["production_failovers"][1], failover()["production_endpoints"]);
        let shared = sent(&failover(), &[("sharing", "load_balance")]);
        assert_eq!(shared["endpoint_type"], "load_balance");
        assert_eq!(shared["production_endpoints"][1]["url"], "http://b,c");
        assert_eq!(shared["production_endpoints"][0]["config"]["weight"], 2);
        assert_eq!(
            (&shared["production_failovers"], shared["sandbox_endpoints"].as_array().map(Vec::len)),
            (&Value::Null, Some(1))
        );
        assert_eq!(shared["endpoint_security"], failover()["endpoint_security"]);
        let single = json!({"endpoint_type": "http", "production_endpoints": {"url": "http://a"}});
        let two = sent(&single, &[("production", "http://a\nhttp://b")]);
        assert_eq!(
            (&two["endpoint_type"], &two["production_endpoints"][1]["url"]),
            (&json!("load_balance"), &json!("http://b"))
        );
        assert_eq!(sent(&single, &[("production", "")]).get("production_endpoints"), None);
    }

    #[test]
    fn a_time_and_a_check_hold_for_all_endpoints_once_they_are_changed() {
        let longer = sent(&failover(), &[("timeout", "9000"), ("health", "/health")]);
        for endpoint in
            [&longer["production_endpoints"], &longer["production_failovers"][0], &longer["sandbox_endpoints"]]
        {
            assert_eq!(endpoint["config"]["actionDuration"], "9000");
            assert_eq!(endpoint["config"]["healthCheck"]["path"], "/health");
        }
        let none = sent(&longer, &[("timeout", ""), ("health", "")]);
        assert_eq!(none["production_endpoints"], json!({"url": "http://a", "config": {"weight": 2}}));
    }
}
