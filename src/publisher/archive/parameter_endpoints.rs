//! Endpoints as the parameters of the original's client have them, written as the REST contract has them (`endpointConfig`).

use portcullis_model::{dynamic_endpoint, lambda};
use serde_json::{Map, Value, json};

/// What of the parameters is about endpoints.
pub(super) const NAMES: [&str; 7] = [
    "endpointType",
    "endpointRoutingPolicy",
    "endpoints",
    "loadBalanceEndpoints",
    "failoverEndpoints",
    "awsLambdaEndpoints",
    SECURITY,
];
const SECURITY: &str = "security";
const ALGORITHM: &str = "org.apache.synapse.endpoints.algorithms.RoundRobin";
/// The endpoints of both types of keys, in parameters and in the contract.
const SIDES: [(&str, &str); 2] = [("production", "production_endpoints"), ("sandbox", "sandbox_endpoints")];

/// What is wrong, and where.
type Bad = (String, String);

fn bad(place: &str, reason: impl Into<String>) -> Bad {
    (place.to_owned(), reason.into())
}

/// Returns `endpointConfig` as parameters have it, where it was `before`. Endpoints that nothing is said of stay, and so does how
/// gateways prove themselves to them.
pub(super) fn with_endpoints(before: Value, mut said: Map<String, Value>) -> Result<Value, Bad> {
    let security = said.shift_remove(SECURITY);
    let known = before.get("endpoint_security").cloned();
    let mut config = if said.is_empty() { before } else { endpoints(&said)? };
    let security = security.map(|said| proofs(said, known.as_ref())).transpose()?.or(known);
    if let (Some(security), Some(config)) = (security, config.as_object_mut()) {
        config.insert("endpoint_security".to_owned(), security);
    }
    Ok(config)
}

fn endpoints(said: &Map<String, Value>) -> Result<Value, Bad> {
    let text = |name: &str| said.get(name).map(|value| value.as_str().unwrap_or_default());
    let kind = text("endpointType").unwrap_or("rest");
    let is_soap = kind == "soap";
    let mut config = match (kind, text("endpointRoutingPolicy")) {
        ("rest" | "http" | "soap", None) => {
            let kind = if is_soap { "address" } else { "http" };
            sides(json!({"endpoint_type": kind}), said, "endpoints")?
        }
        ("rest" | "http" | "soap", Some("load_balanced")) => balanced(said)?,
        ("rest" | "http" | "soap", Some("failover")) => failover(said)?,
        ("dynamic", None) => {
            let mut config = json!({"endpoint_type": dynamic_endpoint::KIND, "failOver": "false"});
            for (_, side) in SIDES {
                config[side] = json!({"url": dynamic_endpoint::KIND});
            }
            if said.contains_key("endpoints") { sides(config, said, "endpoints")? } else { config }
        }
        ("aws", None) => function(said)?,
        (kind, None) => return Err(bad("endpointType", format!("is {kind}; rest, soap, dynamic and aws are known"))),
        (kind, Some(policy)) => {
            let reason = format!(
                "is {policy}, of endpoints of the type {kind}; load_balanced and failover are known, of rest and soap"
            );
            return Err(bad("endpointRoutingPolicy", reason));
        }
    };
    if is_soap {
        for name in ["production_endpoints", "sandbox_endpoints", "production_failovers", "sandbox_failovers"] {
            let Some(value) = config.get_mut(name) else { continue };
            let all = match value {
                Value::Array(all) => &mut all[..],
                one => std::slice::from_mut(one),
            };
            all.iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|one| drop(one.insert("endpoint_type".to_owned(), json!("address"))));
        }
    }
    Ok(with_texts(config))
}

fn object<'a>(said: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Bad> {
    said.get(name).and_then(Value::as_object).ok_or_else(|| bad(name, "must be there, and be an object"))
}

/// Adds the endpoints of both types of keys, of which one must be there.
fn sides(mut config: Value, said: &Map<String, Value>, name: &str) -> Result<Value, Bad> {
    let all = object(said, name)?;
    if !SIDES.iter().any(|(side, _)| all.contains_key(*side)) {
        return Err(bad(name, "has neither production nor sandbox"));
    }
    for (side, as_contract) in SIDES {
        if let Some(endpoints) = all.get(side) {
            config[as_contract] = endpoints.clone();
        }
    }
    Ok(config)
}

fn balanced(said: &Map<String, Value>) -> Result<Value, Bad> {
    const NAME: &str = "loadBalanceEndpoints";
    let all = object(said, NAME)?;
    let mut config = sides(json!({"endpoint_type": "load_balance", "algoClassName": ALGORITHM}), said, NAME)?;
    // By transport is what the contract has where nothing is said.
    if let Some(session) = all.get("sessionManagement").filter(|session| **session != "transport") {
        config["sessionManagement"] = session.clone();
    }
    if let Some(time) = all.get("sessionTimeOut") {
        config["sessionTimeOut"] = time.clone();
    }
    Ok(config)
}

fn failover(said: &Map<String, Value>) -> Result<Value, Bad> {
    const NAME: &str = "failoverEndpoints";
    let all = object(said, NAME)?;
    let mut config = sides(json!({"endpoint_type": "failover", "failOver": "true"}), said, NAME)?;
    for (side, others, as_contract) in [
        ("production", "productionFailovers", "production_failovers"),
        ("sandbox", "sandboxFailovers", "sandbox_failovers"),
    ] {
        match all.get(others) {
            Some(endpoints) => config[as_contract] = endpoints.clone(),
            None if all.contains_key(side) => return Err(bad(&format!("{NAME}.{others}"), "must be there")),
            None => {}
        }
    }
    Ok(config)
}

fn function(said: &Map<String, Value>) -> Result<Value, Bad> {
    let mut config = object(said, "awsLambdaEndpoints")?.clone();
    let is_stored = config.shift_remove("accessMethod").is_some_and(|method| method == "stored");
    config.insert("access_method".to_owned(), json!(if is_stored { "stored" } else { "role-supplied" }));
    config.insert("endpoint_type".to_owned(), json!(lambda::KIND));
    Ok(Value::Object(config))
}

/// Returns how gateways prove themselves: as it was `known`, but for what is said. A side that is not named has none.
fn proofs(said: Value, known: Option<&Value>) -> Result<Value, Bad> {
    let Value::Object(mut said) = said else { return Err(bad(SECURITY, "must be an object")) };
    let mut all = Map::new();
    for (side, _) in SIDES {
        let proof = match said.shift_remove(side) {
            None => json!({"enabled": false, "type": "NONE"}),
            Some(Value::Object(mut proof)) => match proof.get("enabled") {
                None => known.and_then(|known| known.get(side)).cloned().unwrap_or_default(),
                Some(is_on) if *is_on == true || *is_on == "true" => {
                    let kind = proof.get("type").and_then(Value::as_str).map(str::to_ascii_uppercase);
                    let place = format!("{SECURITY}.{side}.type");
                    let kind = kind.ok_or_else(|| bad(&place, "must be there: basic, digest or oauth"))?;
                    proof.insert("type".to_owned(), json!(kind));
                    Value::Object(proof)
                }
                Some(_) => json!({"enabled": false, "type": "NONE"}),
            },
            Some(_) => return Err(bad(&format!("{SECURITY}.{side}"), "must be an object")),
        };
        all.insert(side.to_owned(), proof);
    }
    match said.keys().next() {
        None => Ok(Value::Object(all)),
        Some(other) => Err(bad(&format!("{SECURITY}.{other}"), "is said below production or sandbox")),
    }
}

/// Writes numbers as texts, as the contract has them.
fn with_texts(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, with_texts(value))).collect(),
        Value::Array(items) => items.into_iter().map(with_texts).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(said: &Value, before: Value) -> Result<Value, Bad> {
        with_endpoints(before, said.as_object().unwrap().clone())
    }

    #[test]
    fn each_kind_of_endpoints_is_written_as_the_contract_has_it() {
        let (first, second) = (json!({"url": "http://a"}), json!({"url": "http://b"}));
        for (said, expected) in [
            (
                json!({"endpoints": {"production": {"url": "http://a", "config": {"factor": 3, "suspendErrorCode": ["101504"]}}}}),
                json!({"endpoint_type": "http", "production_endpoints":
                    {"url": "http://a", "config": {"factor": "3", "suspendErrorCode": ["101504"]}}}),
            ),
            (
                json!({"endpointType": "soap", "endpoints": {"sandbox": first}}),
                json!({"endpoint_type": "address", "sandbox_endpoints": {"url": "http://a", "endpoint_type": "address"}}),
            ),
            (
                json!({"endpointType": "rest", "endpointRoutingPolicy": "load_balanced", "loadBalanceEndpoints":
                    {"production": [first, second], "sessionManagement": "transport", "sessionTimeOut": 5000}}),
                json!({"endpoint_type": "load_balance", "algoClassName": ALGORITHM, "sessionTimeOut": "5000",
                    "production_endpoints": [first, second]}),
            ),
            (
                json!({"endpointRoutingPolicy": "failover", "failoverEndpoints":
                    {"production": first, "productionFailovers": [second]}}),
                json!({"endpoint_type": "failover", "failOver": "true", "production_endpoints": first,
                    "production_failovers": [second]}),
            ),
            (
                json!({"endpointType": "dynamic"}),
                json!({"endpoint_type": "default", "failOver": "false", "production_endpoints": {"url": "default"},
                    "sandbox_endpoints": {"url": "default"}}),
            ),
            (
                json!({"endpointType": "aws", "awsLambdaEndpoints": {"accessMethod": "stored", "amznRegion": "eu-1"}}),
                json!({"endpoint_type": "awslambda", "access_method": "stored", "amznRegion": "eu-1"}),
            ),
        ] {
            assert_eq!(config(&said, json!({"endpoint_type": "http"})), Ok(expected), "{said}");
        }
        for (said, place) in [
            (json!({"endpointType": "tcp"}), "endpointType"),
            (json!({"endpointType": "rest"}), "endpoints"),
            (json!({"endpoints": {"other": first}}), "endpoints"),
            (json!({"endpointRoutingPolicy": "weighted"}), "endpointRoutingPolicy"),
            (json!({"endpointRoutingPolicy": "load_balanced"}), "loadBalanceEndpoints"),
            (
                json!({"endpointRoutingPolicy": "failover", "failoverEndpoints": {"sandbox": first}}),
                "failoverEndpoints.sandboxFailovers",
            ),
            (json!({"security": {"username": "ann"}}), "security.username"),
            (json!({"security": {"sandbox": {"enabled": true}}}), "security.sandbox.type"),
        ] {
            assert_eq!(config(&said, json!({})).unwrap_err().0, place, "{said}");
        }
    }

    #[test]
    fn proofs_are_as_said_and_else_as_they_were() {
        let known =
            json!({"production": {"enabled": true, "type": "DIGEST"}, "sandbox": {"enabled": true, "type": "BASIC"}});
        let before = json!({"endpoint_type": "http", "endpoint_security": known});
        let moved = config(&json!({"endpoints": {"production": {"url": "http://b"}}}), before.clone()).unwrap();
        assert_eq!((&moved["endpoint_security"], &moved["production_endpoints"]["url"]), (&known, &json!("http://b")));
        let said = json!({"security": {"production": {"enabled": true, "type": "oauth", "grantType": "password"}}});
        let config = config(&said, before).unwrap();
        let none = json!({"enabled": false, "type": "NONE"});
        let oauth = json!({"enabled": true, "type": "OAUTH", "grantType": "password"});
        assert_eq!(config["endpoint_security"], json!({"production": oauth, "sandbox": none}));
        assert_eq!(config["endpoint_type"], "http");
    }
}
