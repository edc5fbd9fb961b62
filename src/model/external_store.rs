//! Stores of other systems that APIs are published to, as a tenant's configuration names them (`ExternalAPIStores`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Stores of one tenant.
pub const EXTERNAL_STORES_MAX: usize = 20;
/// Characters of an id or a name.
const NAME_CHARS_MAX: usize = 255;
/// Characters of an address.
const URL_CHARS_MAX: usize = 2_048;
/// The member of the configuration.
const MEMBER: &str = "ExternalAPIStores";
/// The list in it.
const LIST: &str = "ExternalAPIStore";
/// The one type of stores that are published to: those with the original's REST contracts.
const KIND: &str = "wso2";

/// A store of another system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalStore {
    /// By what it is named.
    pub id: String,
    /// The name people read.
    pub display_name: String,
    /// Where it is; its Publisher is at the same host and port.
    pub endpoint: String,
    /// Who publishes there.
    pub username: String,
    /// What the user proves itself by, sealed.
    pub password: String,
}

impl ExternalStore {
    /// Says whether a password for one is for the other too: the same user of the same system (scheme, host and port).
    #[must_use]
    pub fn is_same_account(&self, other: &Self) -> bool {
        let origin = |store: &Self| url::Url::parse(&store.endpoint).ok().map(|url| url.origin());
        self.username == other.username && origin(self).is_some() && origin(self) == origin(other)
    }
}

/// The stores that a tenant's configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalStores {
    /// The address of this tenant's own Store, to which visitors of the others are sent.
    pub own_store: String,
    /// The stores, in their order.
    pub stores: Vec<ExternalStore>,
}

impl ExternalStores {
    /// Reads them out of a tenant's configuration. Passwords are returned as they are in it.
    ///
    /// # Errors
    /// What is wrong, by the name of the member.
    pub fn read(document: &Map<String, Value>) -> Result<Self, String> {
        let member = match document.get(MEMBER) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(member)) => member,
            Some(_) => return Err(format!("{MEMBER}: must be an object with StoreURL and {LIST}")),
        };
        let own_store = member.get("StoreURL").and_then(Value::as_str).unwrap_or_default().to_owned();
        let items = match member.get(LIST) {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(items)) if items.len() <= EXTERNAL_STORES_MAX => items,
            Some(_) => return Err(format!("{MEMBER}.{LIST}: must be a list of at most {EXTERNAL_STORES_MAX} stores")),
        };
        let (mut stores, mut ids) = (Vec::new(), BTreeSet::new());
        for (number, item) in items.iter().enumerate() {
            let wrong = |reason: String| format!("{MEMBER}.{LIST}[{number}].{reason}");
            let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let kind = item.get("type").and_then(Value::as_str).unwrap_or(KIND);
            if kind != KIND {
                return Err(wrong(format!("type: is {kind}; {KIND} is published to")));
            }
            let named =
                [text("DisplayName"), text("displayName"), text("id")].into_iter().find(|name| !name.is_empty());
            let store = ExternalStore {
                id: text("id"),
                display_name: named.unwrap_or_default(),
                endpoint: text("Endpoint"),
                username: text("Username"),
                password: text("Password"),
            };
            let chars = store.id.chars().count();
            if chars == 0 || chars > NAME_CHARS_MAX || store.id.contains(',') || store.id.chars().any(char::is_control)
            {
                return Err(wrong(format!("id: must have 1 to {NAME_CHARS_MAX} visible characters and no comma")));
            }
            if store.display_name.chars().count() > NAME_CHARS_MAX || store.username.chars().count() > NAME_CHARS_MAX {
                return Err(wrong(format!("DisplayName and Username: may have {NAME_CHARS_MAX} characters each")));
            }
            if !is_web(&store.endpoint) {
                return Err(wrong("Endpoint: must be an http or https URL".to_owned()));
            }
            if !ids.insert(store.id.clone()) {
                return Err(wrong(format!("id: {} is there twice", store.id)));
            }
            stores.push(store);
        }
        if !stores.is_empty() && !is_web(&own_store) {
            return Err(format!("{MEMBER}.StoreURL: must be an http or https URL: that of this tenant's own Store"));
        }
        Ok(Self { own_store, stores })
    }

    /// Has each password of a configuration be replaced, by the id of its store.
    pub fn replace_passwords(document: &mut Value, replace: impl Fn(&str, &str) -> String) {
        let items = document.get_mut(MEMBER).and_then(|member| member.get_mut(LIST)).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let before = item.get("Password").and_then(Value::as_str).unwrap_or_default();
            let after = replace(&id, before);
            item.insert("Password".to_owned(), Value::String(after));
        }
    }
}

fn is_web(text: &str) -> bool {
    text.chars().count() <= URL_CHARS_MAX
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(member: &Value) -> Result<ExternalStores, String> {
        ExternalStores::read(json!({"ExternalAPIStores": member}).as_object().unwrap())
    }

    #[test]
    fn a_password_is_for_one_user_of_one_system() {
        let store = |endpoint: &str, username: &str| {
            let one = json!({"id": "Two", "Endpoint": endpoint, "Username": username});
            read(&json!({"StoreURL": "https://one", "ExternalAPIStore": [one]})).unwrap().stores.remove(0)
        };
        let first = store("https://two:9443/devportal", "ann");
        assert!(first.is_same_account(&store("https://TWO:9443/store", "ann")));
        for (endpoint, username) in [
            ("https://two:9443/devportal", "bob"),
            ("https://other:9443/devportal", "ann"),
            ("https://two/devportal", "ann"),
            ("http://two:9443/devportal", "ann"),
        ] {
            assert!(!first.is_same_account(&store(endpoint, username)), "{username} at {endpoint}");
        }
    }

    #[test]
    fn stores_are_read_as_the_original_writes_them() {
        let one = json!({"id": "Two", "type": "wso2", "className": "org.wso2.carbon.apimgt.impl.publishers.WSO2APIPublisher",
            "DisplayName": "The second", "Endpoint": "https://two:9443/devportal", "Username": "admin", "Password": "x"});
        let found = read(&json!({"StoreURL": "https://one:9443/devportal", "ExternalAPIStore": [one]})).unwrap();
        assert_eq!(
            (found.stores[0].display_name.as_str(), found.own_store.as_str()),
            ("The second", "https://one:9443/devportal")
        );
        assert_eq!(read(&Value::Null).unwrap(), ExternalStores::default());
        for (list, told) in [
            (json!([{"id": "", "Endpoint": "https://a"}]), "[0].id"),
            (json!([{"id": "a", "Endpoint": "two"}]), "[0].Endpoint"),
            (json!([{"id": "a", "Endpoint": "https://u:p@two"}]), "[0].Endpoint"),
            (json!([{"id": "a", "type": "other", "Endpoint": "https://a"}]), "[0].type"),
            (json!([{"id": "a", "Endpoint": "https://a"}, {"id": "a", "Endpoint": "https://b"}]), "twice"),
            (json!([{"id": "a", "Endpoint": "https://a"}]), "StoreURL"),
            (json!({}), "a list"),
        ] {
            let refused = read(&json!({"ExternalAPIStore": list})).unwrap_err();
            assert!(refused.contains(told), "{list}: {refused}");
        }
    }
}
