//! Parts of gateway environments as Publisher and Admin both have them.

use portcullis_model::Environment;
use portcullis_model::environment::{EnvironmentPermission, VirtualHost};
use serde_json::{Value, json};

/// Writes a virtual host.
#[must_use]
pub fn write_vhost(vhost: &VirtualHost) -> Value {
    let (ws_host, ws_port) = vhost.ws.clone().unwrap_or_else(|| (vhost.host.clone(), vhost.http_port));
    let (wss_host, wss_port) = vhost.wss.clone().unwrap_or_else(|| (vhost.host.clone(), vhost.https_port));
    json!({
        "host": vhost.host,
        "httpContext": vhost.http_context,
        "httpPort": vhost.http_port,
        "httpsPort": vhost.https_port,
        "wsHost": ws_host,
        "wsPort": ws_port,
        "wssHost": wss_host,
        "wssPort": wss_port,
    })
}

/// Writes the addresses for other protocols.
#[must_use]
pub fn write_uris(one: &Environment) -> Value {
    one.uris.iter().map(|(protocol, uri)| json!({"protocol": protocol, "endpointURI": uri})).collect()
}

/// Writes the further properties.
#[must_use]
pub fn write_properties(one: &Environment) -> Value {
    one.properties.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// Writes who may deploy there.
#[must_use]
pub fn write_permission(one: &Environment) -> Value {
    let (kind, roles) = match &one.permission {
        EnvironmentPermission::Public => ("PUBLIC", &[][..]),
        EnvironmentPermission::Allow(roles) => ("ALLOW", roles.as_slice()),
        EnvironmentPermission::Deny(roles) => ("DENY", roles.as_slice()),
    };
    let roles: Vec<&str> = roles.iter().map(|role| role.0.as_str()).collect();
    json!({"permissionType": kind, "roles": roles})
}
