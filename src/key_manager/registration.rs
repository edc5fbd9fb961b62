//! Clients that register themselves (DCR): registered by a user, owned by him, not tied to an application of the Store.
//! The keys of applications are not reached from here.

use std::sync::Arc;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::command::{DeleteClient, PutClient};
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::oauth::OauthClient;
use portcullis_model::port::Identity;
use portcullis_model::{ClientId, Refused, TenantDomain, Timestamp, Username};
use serde_json::json;

use crate::authority::{Authority, active_user, client, split_username};
use crate::bound::{CALLBACK_CHARS_MAX, CATCH_UP_WAIT, CLIENT_NAME_CHARS_MAX, GRANT_CHARS_MAX, GRANTS_MAX};
use crate::client_settings::ClientSettings;
use crate::messages::{Registered, Registration, RegistrationError, Revoked};
use crate::redirect_uri;

type Outcome = Result<Registered, RegistrationError>;

impl Authority {
    /// Registers a client, or returns the one that its owner registered under that name before, as the original does.
    pub async fn register(&self, caller: &Identity, registration: Registration) -> Outcome {
        check(&registration)?;
        let view = self.handle.view();
        let (tenant, owner) = owner(&view, caller, registration.owner.as_deref())?;
        if let Some(existing) = find(&view, &tenant, &owner, &registration.name) {
            return self.show(&existing, None);
        }
        let credentials = crate::issuer::draw_credentials(&self.key);
        let client = OauthClient {
            id: credentials.id,
            secret: credentials.sealed,
            tenant: tenant.clone(),
            owner: owner.clone(),
            name: registration.name.clone(),
            mapping: None,
            grants: registration.grants,
            callback_url: registration.callback_url,
            token_type: registration.token_type,
            token_validity_s: None,
            other_fields: json!({ "saasApp": registration.is_saas }).to_string(),
            created_at: Timestamp(0),
        };
        let command = PutClient { client: client.clone(), is_new: true };
        match self.handle.submit(command, &Caller::new(caller.principal.clone()).from_address(caller.origin)).await {
            Ok(committed) => self.show(&client, Some(committed.index)),
            // The same request came twice at the same time: the first one's client is the answer to both.
            Err(SubmitError::Refused(Refused::AlreadyExists { noun, key })) => {
                let view = self.handle.linearizable_view(CATCH_UP_WAIT).await?;
                let existing = find(&view, &tenant, &owner, &registration.name);
                let existing = existing.ok_or(SubmitError::Refused(Refused::AlreadyExists { noun, key }))?;
                self.show(&existing, None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a client that the caller may see.
    pub async fn read_registration(&self, caller: &Identity, id: &ClientId) -> Outcome {
        let client = self.own(caller, id).await?;
        self.show(&client, None)
    }

    /// Changes a client that the caller may change.
    pub async fn change_registration(&self, caller: &Identity, id: &ClientId, now: Registration) -> Outcome {
        check(&now)?;
        let before = self.own(caller, id).await?;
        let mut other_fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&before.other_fields).unwrap_or_default();
        other_fields.insert("saasApp".to_owned(), now.is_saas.into());
        let changed = OauthClient {
            name: now.name,
            callback_url: now.callback_url,
            grants: now.grants,
            token_type: now.token_type,
            other_fields: serde_json::Value::Object(other_fields).to_string(),
            ..before.as_ref().clone()
        };
        let command = PutClient { client: changed.clone(), is_new: false };
        let committed =
            self.handle.submit(command, &Caller::new(caller.principal.clone()).from_address(caller.origin)).await?;
        self.show(&changed, Some(committed.index))
    }

    /// Deletes a client that the caller may delete.
    pub async fn delete_registration(&self, caller: &Identity, id: &ClientId) -> Result<Revoked, RegistrationError> {
        let client = self.own(caller, id).await?;
        let command = DeleteClient { client: client.id.clone() };
        let committed =
            self.handle.submit(command, &Caller::new(caller.principal.clone()).from_address(caller.origin)).await?;
        Ok(Revoked { index: Some(committed.index), unreached: committed.unreached })
    }

    /// Returns a client that registered itself and that the caller owns or administers. Somebody else's is not there.
    async fn own(&self, caller: &Identity, id: &ClientId) -> Result<Arc<OauthClient>, RegistrationError> {
        let mut found = client(&self.handle.view(), id);
        if found.is_none() {
            found = self.caught_up().await.and_then(|view| client(&view, id));
        }
        let is_own = |client: &Arc<OauthClient>| {
            client.mapping.is_none()
                && client.tenant == caller.principal.tenant
                && (client.owner == caller.principal.username || caller.has_any(&["apim:admin"]))
        };
        found.filter(is_own).ok_or_else(|| RegistrationError::NotFound(id.clone()))
    }

    fn show(&self, client: &OauthClient, index: Option<u64>) -> Outcome {
        let cannot_open = || RegistrationError::CannotOpen(client.id.clone());
        let secret = self.key.open(&client.secret).map_err(|_| cannot_open())?;
        let secret = String::from_utf8(secret.to_vec()).map_err(|_| cannot_open())?;
        let owner = if client.tenant.is_super() {
            client.owner.0.clone()
        } else {
            crate::claims::subject(&client.tenant, &client.owner)
        };
        let registration = Registration {
            name: client.name.clone(),
            owner: Some(owner),
            callback_url: client.callback_url.clone(),
            grants: client.grants.clone(),
            token_type: client.token_type,
            is_saas: ClientSettings::read(client).is_saas,
        };
        Ok(Registered { id: client.id.clone(), secret, registration, index })
    }
}

fn find(view: &View<Access>, tenant: &TenantDomain, owner: &Username, name: &str) -> Option<Arc<OauthClient>> {
    let key = (tenant.clone(), owner.clone(), name.to_owned());
    client(view, view.read::<Apimgtdb>().client_names.get(&key)?)
}

/// Returns whose the client will be: the caller's, or for an administrator any user's of the tenant.
fn owner(
    view: &View<Access>,
    caller: &Identity,
    named: Option<&str>,
) -> Result<(TenantDomain, Username), RegistrationError> {
    let own = (caller.principal.tenant.clone(), caller.principal.username.clone());
    let Some(named) = named else { return Ok(own) };
    let (tenant, username) = split_username(view, named);
    // A bare name means a user of the caller's own tenant.
    let wanted = if named.contains('@') && tenant == own.0 {
        (tenant, username)
    } else {
        (own.0.clone(), Username(named.to_owned()))
    };
    if wanted == own {
        return Ok(own);
    }
    if !caller.has_any(&["apim:admin"]) {
        return Err(RegistrationError::NotAllowed(format!(
            "Only an administrator registers a client for somebody else; leave out owner or set it to {}.",
            own.1
        )));
    }
    if active_user(view, &wanted.0, &wanted.1).is_none() {
        return Err(RegistrationError::Invalid { field: "owner", reason: format!("there is no user {named}") });
    }
    Ok(wanted)
}

fn check(registration: &Registration) -> Result<(), RegistrationError> {
    let invalid = |field, reason: String| Err(RegistrationError::Invalid { field, reason });
    let name = &registration.name;
    if name.trim().is_empty() || name.chars().count() > CLIENT_NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return invalid("clientName", format!("must have 1 to {CLIENT_NAME_CHARS_MAX} characters"));
    }
    if registration.callback_url.chars().count() > CALLBACK_CHARS_MAX {
        return invalid("callbackUrl", format!("must have at most {CALLBACK_CHARS_MAX} characters"));
    }
    let callback = &registration.callback_url;
    if callback.starts_with(redirect_uri::PATTERN) && !redirect_uri::is_usable_callback(callback) {
        return invalid("callbackUrl", "the regular expression after regexp= cannot be understood".to_owned());
    }
    let grants = &registration.grants;
    if grants.is_empty() || grants.len() > GRANTS_MAX {
        return invalid("grantType", format!("must name 1 to {GRANTS_MAX} grant types with spaces between them"));
    }
    if grants.iter().any(|grant| grant.len() > GRANT_CHARS_MAX) {
        return invalid("grantType", format!("a grant type has at most {GRANT_CHARS_MAX} characters"));
    }
    Ok(())
}
