//! The form of a key manager: the fields that most have, over what the contract has besides; or all of it as JSON.

use portcullis_http::ApiError;
use portcullis_portal::Fields;
use serde_json::{Map, Value, json};

use super::json_text;

/// Fields that are texts in the contract too.
const TEXTS: [&str; 8] = [
    "name",
    "issuer",
    "description",
    "tokenEndpoint",
    "introspectionEndpoint",
    "clientRegistrationEndpoint",
    "consumerKeyClaim",
    "scopesClaim",
];
/// How the contract's list of endpoints calls those that have a field of their own.
const LISTED: [&str; 3] = ["token_endpoint", "introspection_endpoint", "client_registration_endpoint"];
/// What signs in is called so by the original's connectors: what the form says, and the names of name and secret.
const LOGINS: [(&str, &str, &str); 2] = [("user", "Username", "Password"), ("client", "client_id", "client_secret")];

/// What the form shows of a key manager.
pub(super) struct Sent {
    texts: Map<String, Value>,
    pub(super) jwks: String,
    pub(super) pem: String,
    pub(super) has_pem: bool,
    pub(super) is_enabled: bool,
    pub(super) login: String,
    pub(super) login_name: String,
    pub(super) json: String,
    pub(super) is_json: bool,
}

impl Sent {
    /// Returns the form of a new one.
    pub(super) fn new() -> Self {
        Self::of(&json!({"name": "", "type": "custom", "issuer": "", "enabled": true}))
    }

    /// Returns the form of a key manager as the contract has it.
    pub(super) fn of(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let certificates = &body["certificates"];
        let is_jwks = certificates["type"] == "JWKS";
        let mut texts: Map<String, Value> =
            TEXTS.iter().map(|name| ((*name).to_owned(), body[*name].clone())).collect();
        for (name, listed) in TEXTS[3..6].iter().zip(LISTED) {
            if texts[*name].as_str().is_none_or(str::is_empty) {
                texts.insert((*name).to_owned(), of_list(body, listed));
            }
        }
        let login = LOGINS.iter().find_map(|(kind, name, _)| Some((*kind, property(body, name)?)));
        let (login, login_name) = login.unwrap_or_default();
        Self {
            texts,
            jwks: if is_jwks { text(&certificates["value"]) } else { String::new() },
            pem: String::new(),
            has_pem: certificates["type"] == "PEM",
            is_enabled: body["enabled"].as_bool().unwrap_or(true),
            login: login.to_owned(),
            login_name,
            json: format!("{body:#}"),
            is_json: false,
        }
    }

    /// Returns the form as it was sent, over what there was before.
    pub(super) fn of_fields(fields: &Fields, before: &Value) -> Self {
        let own = |name: &&str| ((*name).to_owned(), fields.text(name).into());
        let sent = Self::of(before);
        if fields.text("act") == "json" {
            return Self { json: fields.raw("json").to_owned(), is_json: true, ..sent };
        }
        Self {
            texts: TEXTS.iter().map(own).collect(),
            jwks: fields.text("jwks").to_owned(),
            pem: fields.raw("pem").to_owned(),
            is_enabled: fields.has("enabled"),
            login: fields.text("login").to_owned(),
            login_name: fields.text("login_name").to_owned(),
            ..sent
        }
    }

    /// Returns a field that is a text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

fn of_list(body: &Value, listed: &str) -> Value {
    let mut all = body["endpoints"].as_array().into_iter().flatten();
    all.find(|one| one["name"] == listed).map(|one| one["value"].clone()).unwrap_or_default()
}

fn property(body: &Value, wanted: &str) -> Option<String> {
    let properties = body["additionalProperties"].as_object()?;
    let found = properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1.as_str()?;
    Some(found.to_owned()).filter(|text| !text.is_empty())
}

/// Returns the contract's body that a form says, over what there was before.
///
/// # Errors
/// 400 where the JSON is none, with its line.
pub(super) fn body_of(fields: &Fields, before: Value) -> Result<Map<String, Value>, ApiError> {
    if fields.text("act") == "json" {
        return match json_text::parse("json", fields.raw("json"))? {
            Value::Object(body) => Ok(body),
            _ => Err(ApiError::bad_request("json: line 1: must be an object")),
        };
    }
    let Value::Object(mut body) = before else { return Ok(Map::new()) };
    for name in TEXTS {
        match fields.filled(name) {
            Some(text) => body.insert(name.to_owned(), text.into()),
            None => body.shift_remove(name),
        };
    }
    if let Some(Value::Array(endpoints)) = body.get_mut("endpoints") {
        endpoints.retain(|one| !LISTED.iter().any(|listed| one["name"] == *listed));
    }
    body.insert("enabled".to_owned(), fields.has("enabled").into());
    body.entry("type").or_insert("custom".into());
    put_certificates(&mut body, fields);
    put_login(&mut body, fields);
    Ok(body)
}

/// Certificates that were given once stay where the form says nothing of either.
fn put_certificates(body: &mut Map<String, Value>, fields: &Fields) {
    let had_pem = body.get("certificates").is_some_and(|certificates| certificates["type"] == "PEM");
    let certificates = match (fields.filled("pem"), fields.filled("jwks")) {
        (Some(pem), _) => Some(json!({"type": "PEM", "value": pem})),
        (None, Some(url)) => Some(json!({"type": "JWKS", "value": url})),
        (None, None) if had_pem => body.get("certificates").cloned(),
        (None, None) => None,
    };
    body.insert("enableSelfValidationJWT".to_owned(), certificates.is_some().into());
    match certificates {
        Some(certificates) => body.insert("certificates".to_owned(), certificates),
        None => body.shift_remove("certificates"),
    };
}

/// A secret that is left empty stays as it was: it is kept sealed and never shown.
fn put_login(body: &mut Map<String, Value>, fields: &Fields) {
    let is_of_login = |name: &str| {
        LOGINS.iter().any(|(_, who, secret)| name.eq_ignore_ascii_case(who) || name.eq_ignore_ascii_case(secret))
    };
    let properties = body.entry("additionalProperties").or_insert_with(|| json!({}));
    if !properties.is_object() {
        *properties = json!({});
    }
    let Value::Object(properties) = properties else { return };
    properties.retain(|name, _| !is_of_login(name));
    let Some((_, name, secret)) = LOGINS.iter().find(|(kind, ..)| *kind == fields.text("login")) else { return };
    properties.insert((*name).to_owned(), fields.text("login_name").into());
    if let Some(text) = Some(fields.raw("login_secret")).filter(|text| !text.is_empty()) {
        properties.insert((*secret).to_owned(), text.into());
    }
}
