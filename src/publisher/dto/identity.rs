//! Name, version and context of a new API: what they may be made of.

use portcullis_model::limit::{API_CONTEXT_CHARS_MAX, API_NAME_CHARS_MAX, API_VERSION_CHARS_MAX};
use portcullis_model::{Api, ApiKind, TenantDomain};

use super::fields::Fields;

/// Characters that a name must not have (REST contract).
const NAME_FORBIDDEN: &str = "~!@#;:%^*()+={}|\\<>\"',&$[]/";
/// The types of APIs that gateways serve.
const SERVED: [ApiKind; 7] =
    [ApiKind::Http, ApiKind::Ws, ApiKind::Sse, ApiKind::Websub, ApiKind::Soap, ApiKind::SoapToRest, ApiKind::Graphql];
/// Contexts at which gateways themselves answer.
const CONTEXTS_OF_GATEWAYS: [&str; 5] = ["/token", "/revoke", "/authorize", "/userinfo", "/t"];

/// Reads name, version, context and protocol into `api`, which holds what goes for those that are not sent.
pub fn read_identity(fields: &mut Fields, api: &mut Api) {
    let kind = fields.text("type", 32).unwrap_or_else(|| "HTTP".to_owned());
    match SERVED.into_iter().find(|served| served.as_contract() == kind) {
        Some(served) => api.kind = served,
        None => {
            let served = SERVED.map(ApiKind::as_contract).join(", ");
            fields.fault("type", format!("is {kind}; the gateways serve APIs of the types {served}"));
        }
    }
    for (name, place, chars_max) in [
        ("name", &mut api.name, API_NAME_CHARS_MAX),
        ("version", &mut api.version, API_VERSION_CHARS_MAX),
        ("context", &mut api.context, API_CONTEXT_CHARS_MAX),
    ] {
        let is_sent = fields.rest().get(name).is_some_and(|value| !value.is_null());
        match fields.text(name, chars_max) {
            Some(text) => *place = text.trim().to_owned(),
            // What is wrong with it is noted already.
            None if is_sent => continue,
            None => {}
        }
        if place.is_empty() {
            fields.fault(name, "must be there");
        }
    }
    if let Some(wrong) = api.name.chars().find(|one| NAME_FORBIDDEN.contains(*one) || one.is_control()) {
        fields.fault("name", format!("must not have {wrong:?}"));
    }
    let is_wrong = |one: &char| NAME_FORBIDDEN.contains(*one) || one.is_whitespace() || one.is_control();
    if let Some(wrong) = api.version.chars().find(is_wrong) {
        fields.fault("version", format!("must not have {wrong:?}"));
    }
    if matches!(api.version.as_str(), "." | "..") {
        fields.fault("version", "must not be . or .., which are parts of paths");
    }
    match normal_context(&api.context, &api.tenant) {
        Ok(context) if context.is_empty() && !api.context.is_empty() => fields.fault("context", "must not be / alone"),
        Ok(context) => api.context = context,
        Err(reason) => fields.fault("context", reason),
    }
}

/// Returns a context with its slash in front and none behind, and the tenant's part before it.
///
/// # Errors
/// What is wrong with it.
pub fn normal_context(context: &str, tenant: &TenantDomain) -> Result<String, String> {
    let context = format!("/{}", context.trim().trim_matches('/'));
    if context == "/" {
        return Ok(String::new());
    }
    let without_version = context.replacen("{version}", "", 1);
    let allowed = |one: char| one.is_ascii_alphanumeric() || "/-_.~".contains(one);
    if let Some(wrong) = without_version.chars().find(|one| !allowed(*one)) {
        return Err(format!(
            "`{context}` must not have {wrong:?}; letters, digits, / - _ . ~ and {{version}} are accepted"
        ));
    }
    if context.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("`{context}` has an empty part, or . or .. as one"));
    }
    let prefix = format!("/t/{tenant}");
    if !tenant.is_super() {
        let is_there = context.starts_with(&format!("{prefix}/"));
        return Ok(if is_there { context } else { format!("{prefix}{context}") });
    }
    if CONTEXTS_OF_GATEWAYS.contains(&context.as_str()) || context.starts_with("/t/") {
        return Err(format!("`{context}` belongs to the gateways; choose another"));
    }
    Ok(context)
}
