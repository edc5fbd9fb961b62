//! Who sends telemetry, as OpenTelemetry names it, and the attributes of OTLP's JSON.

use serde_json::{Value, json};

/// The program's name as the origin of spans and metrics.
const SCOPE: &str = "portcullis";

/// Who sends.
#[derive(Clone, Debug)]
pub(crate) struct Resource(Vec<(String, String)>);

impl Resource {
    /// Names a node: what is `further` takes the place of what is usual.
    pub(crate) fn new(service: &str, node_name: &str, node: &str, further: &[(String, String)]) -> Self {
        let mut attributes = vec![
            ("service.name".to_owned(), service.to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id".to_owned(), node_name.to_owned()),
            ("portcullis.node.id".to_owned(), node.to_owned()),
        ];
        for (name, value) in further {
            attributes.retain(|(known, _)| known != name);
            attributes.push((name.clone(), value.clone()));
        }
        Self(attributes)
    }

    /// Returns it as OTLP has it.
    pub(crate) fn as_json(&self) -> Value {
        let attributes: Vec<Value> = self.0.iter().map(|(name, value)| text_attribute(name, value)).collect();
        json!({"attributes": attributes})
    }
}

/// Returns the scope of spans and metrics.
pub(super) fn scope() -> Value {
    json!({"name": SCOPE, "version": env!("CARGO_PKG_VERSION")})
}

/// Returns an attribute that is a text.
pub(super) fn text_attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}
