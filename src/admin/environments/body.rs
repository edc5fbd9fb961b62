//! Gateway environments as the Admin contract has them.

use portcullis_model::environment::{
    ENVIRONMENT_DESCRIPTION_CHARS_MAX, ENVIRONMENT_LISTS_MAX, ENVIRONMENT_NAME_CHARS_MAX, ENVIRONMENT_TEXT_CHARS_MAX,
    EnvironmentKind, EnvironmentPermission, VHOSTS_MAX, VirtualHost,
};
use portcullis_model::{Environment, EnvironmentId, Refused, Role, TenantDomain};
use serde::Deserialize;
use serde_json::{Value, json};

/// The contract's `Environment`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentBody {
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    provider: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    gateway_type: Option<String>,
    vhosts: Vec<VhostBody>,
    permissions: Option<PermissionBody>,
    #[serde(rename = "endpointURIs", default)]
    uris: Vec<UriBody>,
    #[serde(default)]
    additional_properties: Vec<PropertyBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VhostBody {
    host: String,
    http_context: Option<String>,
    http_port: Option<u16>,
    https_port: Option<u16>,
    ws_host: Option<String>,
    ws_port: Option<u16>,
    wss_host: Option<String>,
    wss_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionBody {
    permission_type: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UriBody {
    protocol: String,
    #[serde(rename = "endpointURI")]
    uri: String,
}

#[derive(Deserialize)]
struct PropertyBody {
    key: String,
    value: String,
}

/// The ports of a virtual host that names none (the original's).
const USUAL_PORTS: (u16, u16) = (80, 443);
/// Gateways of the original that are not these.
const GATEWAY_TYPE: &str = "Regular";

/// Reads a body.
///
/// # Errors
/// The first field that is not acceptable.
pub(super) fn read(body: EnvironmentBody, id: EnvironmentId, tenant: TenantDomain) -> Result<Environment, Refused> {
    if let Some(other) = body.gateway_type.filter(|kind| !kind.is_empty() && kind != GATEWAY_TYPE) {
        let reason = format!("is {other}; only {GATEWAY_TYPE} is served: the gateways of this cluster");
        return Err(Refused::invalid("gatewayType", reason));
    }
    if body.vhosts.len() > VHOSTS_MAX {
        return Err(Refused::invalid("vhosts", format!("must have 1 to {VHOSTS_MAX} virtual hosts")));
    }
    for (name, count) in [("endpointURIs", body.uris.len()), ("additionalProperties", body.additional_properties.len())]
    {
        if count > ENVIRONMENT_LISTS_MAX {
            return Err(Refused::invalid(name, format!("may have at most {ENVIRONMENT_LISTS_MAX} items, not {count}")));
        }
    }
    let text = |name: &str, value: Option<String>, max: usize| bounded(name, value.unwrap_or_default(), max);
    let display_name = text("displayName", body.display_name, ENVIRONMENT_NAME_CHARS_MAX)?;
    let long = |name: &str, value: String| bounded(name, value, ENVIRONMENT_TEXT_CHARS_MAX);
    Ok(Environment {
        id,
        tenant,
        display_name: if display_name.is_empty() { body.name.clone() } else { display_name },
        name: body.name,
        description: text("description", body.description, ENVIRONMENT_DESCRIPTION_CHARS_MAX)?,
        provider: text("provider", body.provider, ENVIRONMENT_NAME_CHARS_MAX)?,
        kind: kind(body.kind)?,
        vhosts: body.vhosts.into_iter().map(vhost).collect::<Result<_, _>>()?,
        permission: permission(body.permissions)?,
        uris: body
            .uris
            .into_iter()
            .map(|one| Ok((long("endpointURIs.protocol", one.protocol)?, long("endpointURIs.endpointURI", one.uri)?)))
            .collect::<Result<_, Refused>>()?,
        properties: body
            .additional_properties
            .into_iter()
            .map(|one| Ok((long("additionalProperties.key", one.key)?, long("additionalProperties.value", one.value)?)))
            .collect::<Result<_, Refused>>()?,
    })
}

fn bounded(name: &str, text: String, chars_max: usize) -> Result<String, Refused> {
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(Refused::invalid(name, format!("may have at most {chars_max} characters, not {chars}")));
    }
    Ok(text)
}

fn kind(text: Option<String>) -> Result<EnvironmentKind, Refused> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(EnvironmentKind::Hybrid) };
    let found = EnvironmentKind::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
    let reason = || format!("is {text}; hybrid, production and sandbox are possible");
    found.map(|(_, kind)| *kind).ok_or_else(|| Refused::invalid("type", reason()))
}

fn vhost(body: VhostBody) -> Result<VirtualHost, Refused> {
    let host = body.host.to_ascii_lowercase();
    let context = body.http_context.unwrap_or_default();
    let segment = context.trim_start_matches('/');
    let is_segment = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_segment || segment.len() > ENVIRONMENT_NAME_CHARS_MAX {
        let reason = format!("is {context}; one segment of letters, digits and hyphens is possible");
        return Err(Refused::invalid("vhosts.httpContext", reason));
    }
    let differing = |other: Option<String>, port: Option<u16>, usual: u16| {
        (other.is_some() || port.is_some()).then(|| (other.unwrap_or_else(|| host.clone()), port.unwrap_or(usual)))
    };
    let (http_port, https_port) = (body.http_port.unwrap_or(USUAL_PORTS.0), body.https_port.unwrap_or(USUAL_PORTS.1));
    let (ws, wss) =
        (differing(body.ws_host, body.ws_port, http_port), differing(body.wss_host, body.wss_port, https_port));
    for (other, _) in ws.iter().chain(&wss) {
        if !portcullis_model::environment::is_host_name(other) {
            return Err(Refused::invalid("vhosts.wsHost", format!("`{other}` is not a host name")));
        }
    }
    Ok(VirtualHost { http_context: segment.to_owned(), http_port, https_port, ws, wss, host: host.clone() })
}

fn permission(body: Option<PermissionBody>) -> Result<EnvironmentPermission, Refused> {
    let Some(body) = body else { return Ok(EnvironmentPermission::Public) };
    let roles = || {
        let is_name = |role: &String| (1..=ENVIRONMENT_NAME_CHARS_MAX).contains(&role.trim().chars().count());
        if !(1..=ENVIRONMENT_LISTS_MAX).contains(&body.roles.len()) || !body.roles.iter().all(is_name) {
            let reason = format!("must name 1 to {ENVIRONMENT_LISTS_MAX} roles");
            return Err(Refused::invalid("permissions.roles", reason));
        }
        Ok(body.roles.iter().map(|role| Role(role.trim().to_owned())).collect())
    };
    match body.permission_type.as_deref() {
        None | Some("PUBLIC") => Ok(EnvironmentPermission::Public),
        Some("ALLOW") => Ok(EnvironmentPermission::Allow(roles()?)),
        Some("DENY") => Ok(EnvironmentPermission::Deny(roles()?)),
        Some(other) => {
            let reason = format!("is {other}; PUBLIC, ALLOW and DENY are possible");
            Err(Refused::invalid("permissions.permissionType", reason))
        }
    }
}

/// Writes an environment.
#[must_use]
pub(super) fn write(one: &Environment) -> Value {
    let id = if one.is_default() { one.name.clone() } else { one.id.to_string() };
    json!({
        "id": id,
        "name": one.name,
        "displayName": one.display_name,
        "description": one.description,
        "provider": one.provider,
        "type": one.kind.as_contract(),
        "gatewayType": GATEWAY_TYPE,
        "isReadOnly": one.is_default(),
        "vhosts": one.vhosts.iter().map(portcullis_http::contract::environment::write_vhost).collect::<Value>(),
        "endpointURIs": portcullis_http::contract::environment::write_uris(one),
        "additionalProperties": portcullis_http::contract::environment::write_properties(one),
        "permissions": portcullis_http::contract::environment::write_permission(one),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(body: Value) -> Result<Environment, Refused> {
        let body = serde_json::from_value(body).unwrap();
        read(body, EnvironmentId::from_random([1; 16]), TenantDomain::super_tenant())
    }

    #[test]
    fn a_body_comes_back_with_what_it_left_out() {
        let body = json!({
            "name": "us", "vhosts": [{"host": "API.example.com"}, {"host": "b", "httpPort": 8280, "wsHost": "ws.b"}],
            "permissions": {"permissionType": "DENY", "roles": ["guest"]},
        });
        let written = write(&read_json(body).unwrap());
        assert_eq!((&written["displayName"], &written["type"]), (&json!("us"), &json!("hybrid")));
        assert_eq!((&written["isReadOnly"], &written["gatewayType"]), (&json!(false), &json!("Regular")));
        let [first, second] = [&written["vhosts"][0], &written["vhosts"][1]];
        assert_eq!((&first["host"], &first["httpPort"]), (&json!("api.example.com"), &json!(80)));
        assert_eq!((&second["wsHost"], &second["wsPort"]), (&json!("ws.b"), &json!(8280)));
        assert_eq!(written["permissions"], json!({"permissionType": "DENY", "roles": ["guest"]}));
    }

    #[test]
    fn what_is_not_served_or_out_of_bounds_is_refused_by_field() {
        let host = json!([{"host": "a"}]);
        for (field, body) in [
            ("gatewayType", json!({"name": "us", "vhosts": host, "gatewayType": "AWS"})),
            ("type", json!({"name": "us", "vhosts": host, "type": "both"})),
            ("vhosts.httpContext", json!({"name": "us", "vhosts": [{"host": "a", "httpContext": "a/b"}]})),
            ("description", json!({"name": "us", "vhosts": host, "description": "x".repeat(1024)})),
            ("permissions.roles", json!({"name": "us", "vhosts": host, "permissions": {"permissionType": "ALLOW"}})),
        ] {
            let refused = read_json(body).unwrap_err();
            assert!(matches!(&refused, Refused::Invalid { field: its, .. } if its == field), "{refused:?}");
        }
    }
}
