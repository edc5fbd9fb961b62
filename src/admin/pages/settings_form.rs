//! The form of a tenant's configuration: what is changed most, over the rest of the document.

use portcullis_model::Role;
use portcullis_model::task::TaskKind;
use portcullis_portal::Fields;
use serde_json::{Map, Value, json};

/// What may wait for a decision, in words.
const WAITS: [(TaskKind, &str); 5] = [
    (TaskKind::ApplicationCreation, "New applications"),
    (TaskKind::SubscriptionCreation, "New subscriptions"),
    (TaskKind::UserSignUp, "Sign-ups"),
    (TaskKind::ApiState, "Publishing and blocking of APIs"),
    (TaskKind::RevisionDeployment, "Deployments of revisions"),
];

/// What the form shows of a configuration.
pub(super) struct SettingsForm {
    pub(super) is_sign_up_open: bool,
    pub(super) sign_up_roles: String,
    pub(super) allowed_scopes: String,
    /// A line for each role: the role, and those that count as it.
    pub(super) role_mappings: String,
    /// Name in the contract, words, and whether it waits.
    pub(super) waits: Vec<(&'static str, &'static str, bool)>,
}

fn texts(value: &Value) -> String {
    let all = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    all.collect::<Vec<_>>().join(", ")
}

impl SettingsForm {
    /// Returns the form of a document.
    pub(super) fn of(document: &Value) -> Self {
        let sign_up = &document["SelfSignUp"];
        let roles = if sign_up["SignUpRoles"].is_array() {
            texts(&sign_up["SignUpRoles"])
        } else {
            Role::SUBSCRIBER.to_owned()
        };
        let mappings = document["RoleMappings"].as_object().into_iter().flatten();
        let mappings = mappings.map(|(role, others)| format!("{role} = {}", others.as_str().unwrap_or_default()));
        let workflows = document["Workflows"].as_object();
        let waits = |kind: TaskKind| {
            let mut all = workflows.into_iter().flatten();
            all.any(|(name, how)| TaskKind::named(name) == Some(kind) && how == "approval")
        };
        let allowed = &document["AllowedScopes"];
        Self {
            is_sign_up_open: sign_up["EnableSignup"].as_bool().unwrap_or(true),
            sign_up_roles: roles,
            allowed_scopes: if allowed.is_array() { texts(allowed) } else { "^device_.*, openid".to_owned() },
            role_mappings: mappings.collect::<Vec<_>>().join("\n"),
            waits: WAITS.iter().map(|(kind, words)| (kind.as_contract(), *words, waits(*kind))).collect(),
        }
    }

    /// Returns the form as it was sent.
    pub(super) fn of_fields(fields: &Fields) -> Self {
        let chosen = fields.all("waits");
        let waits = |kind: TaskKind| chosen.iter().any(|one| one == kind.as_contract());
        Self {
            is_sign_up_open: fields.has("sign_up"),
            sign_up_roles: fields.text("sign_up_roles").to_owned(),
            allowed_scopes: fields.text("allowed_scopes").to_owned(),
            role_mappings: fields.raw("role_mappings").to_owned(),
            waits: WAITS.iter().map(|(kind, words)| (kind.as_contract(), *words, waits(*kind))).collect(),
        }
    }

    /// Writes the form over a document.
    pub(super) fn write(&self, mut document: Value) -> Value {
        if !document.is_object() {
            return document;
        }
        let mut sign_up = members(document["SelfSignUp"].take());
        sign_up.insert("EnableSignup".to_owned(), self.is_sign_up_open.into());
        sign_up.insert("SignUpRoles".to_owned(), json!(list(&self.sign_up_roles)));
        document["SelfSignUp"] = Value::Object(sign_up);
        document["AllowedScopes"] = json!(list(&self.allowed_scopes));
        let mappings = self.role_mappings.lines().filter(|line| !line.trim().is_empty());
        let mappings = mappings.map(|line| {
            let (role, others) = line.split_once('=').unwrap_or((line, ""));
            (role.trim().to_owned(), others.trim().into())
        });
        document["RoleMappings"] = Value::Object(mappings.collect());
        let mut workflows = members(document["Workflows"].take());
        // What is written for a kind under another of its names goes with it.
        workflows.retain(|name, _| TaskKind::named(name).is_none());
        for (name, _, is_waiting) in &self.waits {
            workflows.insert((*name).to_owned(), if *is_waiting { "approval" } else { "simple" }.into());
        }
        document["Workflows"] = Value::Object(workflows);
        document
    }
}

/// Returns the members of an object; none of what is no object.
fn members(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

fn list(text: &str) -> Vec<&str> {
    text.split([',', '\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_model::TenantConfig;

    use super::*;

    #[test]
    fn what_the_form_does_not_show_stays_as_it_was() {
        let mut document = TenantConfig::default_document();
        document["Workflows"] = json!({"AM_API_STATE": "approval"});
        document["Own"] = json!({"kept": true});
        document["SelfSignUp"]["OwnOfSignUp"] = json!("kept");
        let form = SettingsForm::of(&document);
        assert_eq!(form.waits.iter().filter(|(.., waits)| *waits).count(), 1);
        let written = form.write(document.clone());
        assert_eq!((&written["Own"], &written["RESTAPIScopes"]), (&document["Own"], &document["RESTAPIScopes"]));
        assert_eq!(written["Workflows"]["API_STATE"], "approval");
        assert_eq!(written["SelfSignUp"]["OwnOfSignUp"], "kept");
        let (read, before) = (TenantConfig::read(&written).unwrap(), TenantConfig::read(&document).unwrap());
        assert_eq!((read.approvals, read.sign_up_roles), (before.approvals, before.sign_up_roles));
        assert_eq!(read.allowed_scopes, before.allowed_scopes);
    }
}
