//! What is other of an API in one environment than in the others: where its backends are.

use std::collections::BTreeMap;

use crate::api::{Endpoint, EndpointConfig, EndpointStrategy};

/// Properties of one API in one environment.
pub const ENVIRONMENT_PROPERTIES_MAX: usize = 100;
/// The property that is the address of the backend for production keys.
pub const PRODUCTION_ENDPOINT: &str = "productionEndpoint";
/// The property that is the address of the backend for sandbox keys.
pub const SANDBOX_ENDPOINT: &str = "sandboxEndpoint";

/// Reads the properties as they are kept; none of what is not understood.
#[must_use]
pub fn properties_of(document: &str) -> BTreeMap<String, String> {
    serde_json::from_str(document).unwrap_or_default()
}

/// Puts the backends of an environment in the place of those that the API has everywhere. What else is said of those –
/// security, care – holds for them.
pub fn place_endpoints(endpoints: &mut EndpointConfig, properties: &BTreeMap<String, String>) {
    let url_of = |name: &str| properties.get(name).filter(|url| !url.is_empty());
    let sides = [(PRODUCTION_ENDPOINT, &mut endpoints.production), (SANDBOX_ENDPOINT, &mut endpoints.sandbox)];
    for (name, side) in sides {
        if let Some(url) = url_of(name) {
            let timeout_ms = side.first().and_then(|first| first.timeout_ms);
            *side = vec![Endpoint { url: url.clone(), timeout_ms }];
        }
    }
    if endpoints.production.len() <= 1 && endpoints.sandbox.len() <= 1 {
        endpoints.strategy = EndpointStrategy::Single;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_of_the_environment_stands_for_all_of_its_side() {
        let endpoint = |url: &str| Endpoint { url: url.to_owned(), timeout_ms: Some(7) };
        let everywhere = EndpointConfig {
            production: vec![endpoint("http://a"), endpoint("http://b")],
            sandbox: vec![endpoint("http://c")],
            strategy: EndpointStrategy::RoundRobin,
            document: "{}".to_owned(),
        };
        let mut here = everywhere.clone();
        place_endpoints(&mut here, &properties_of(r#"{"other": "x", "sandboxEndpoint": ""}"#));
        assert_eq!(here, everywhere);
        place_endpoints(&mut here, &properties_of(r#"{"productionEndpoint": "http://eu"}"#));
        assert_eq!((here.production, here.sandbox), (vec![endpoint("http://eu")], everywhere.sandbox));
        assert_eq!(here.strategy, EndpointStrategy::Single);
    }
}
