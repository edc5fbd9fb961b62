//! Keys of an application that are made at another key manager: a client is registered there, and stored here.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_database::{Committed, command};
use portcullis_http::Stamped;
use portcullis_model::key_manager::{KeyManager, MappedKey, RegisteredClient};
use portcullis_model::port::ForeignClientOrder;
use portcullis_model::{ApplicationId, KeyMappingId, KeyType, Refused, Timestamp};
use serde_json::Value;
use tracing::warn;

use crate::actor::Desk;
use crate::applications::find_owned;
use crate::dto::key::{GenerateKeysBody, KeyDto, TokenDto};
use crate::error::StoreError;
use crate::key_request::{CLIENT_CREDENTIALS, check_callback, check_grants, check_scopes};
use crate::keys::name_of_client;
use crate::mapped_keys::{by_name, check_permitted, has_registered, mapped_dto};
use crate::messages::Subscriber;

/// Registers a client at another key manager and has it call for an application.
///
/// # Errors
/// The refusal, of either key manager, or why one could not be asked.
pub(crate) async fn register(
    desk: &Desk,
    subscriber: &Subscriber,
    application: ApplicationId,
    body: GenerateKeysBody,
) -> Result<Stamped<KeyDto>, StoreError> {
    let view = desk.view_for(subscriber.consistency).await?;
    let application = find_owned(&view, subscriber, application)?;
    let named = body.key_manager.unwrap_or_default();
    let one = by_name(&view, &application.tenant, &named)
        .ok_or_else(|| Refused::invalid("keyManager", format!("there is no key manager {named}")))?;
    check_permitted(&view, &one, subscriber)?;
    let key_type = KeyType::from(body.key_type);
    if has_registered(&view, application.id, one.id, key_type) {
        let noun = format!("key of application {} at {} for", application.name, one.name);
        return Err(Refused::exists(&noun, key_type.as_contract()).into());
    }
    let grants = check_grants("grantTypesToBeSupported", &body.grant_types_to_be_supported, &grants_of(&one))?;
    let callback_url = body.callback_url.unwrap_or_default();
    check_callback(&callback_url, &grants)?;
    if callback_url.starts_with("regexp=") {
        let reason = format!("must be one address: {} takes no regular expressions", one.name);
        return Err(Refused::invalid("callbackUrl", reason).into());
    }
    let scopes = check_scopes(body.scopes.unwrap_or_default())?;
    let order = ForeignClientOrder { name: name_of_client(&application, key_type), grants, callback_url };
    let (client, registered) = desk.foreign.register(&one, order).await?;
    let key = MappedKey {
        mapping: KeyMappingId::from_random(random_bytes()),
        key_manager: one.id,
        client: client.clone(),
        application: application.id,
        key_type,
        registered: Some(registered.clone()),
        created_at: Timestamp::default(),
    };
    let owned_by = Some(subscriber.principal.clone());
    let Committed { reply: stored, index, unreached } =
        match desk.submit(command::MapKey { key, owned_by }, subscriber).await {
            Ok(committed) => committed,
            Err(refused) => {
                forget(desk, &registered).await;
                return Err(refused);
            }
        };
    // A repeated request gets what the first one stored.
    if stored.client != client {
        forget(desk, &registered).await;
    }
    let token = first_token(desk, &one, &stored, scopes).await;
    Ok(Stamped { body: mapped_dto(desk, &stored, &one.name, token)?, index, unreached })
}

/// Gets the first token of new keys. The keys stand without it: it can be asked for again.
async fn first_token(desk: &Desk, one: &KeyManager, stored: &MappedKey, scopes: Vec<String>) -> Option<TokenDto> {
    let registered = stored.registered.as_ref()?;
    let may = registered.grants.iter().any(|grant| grant == CLIENT_CREDENTIALS) && registered.secret.is_some();
    if !may || one.token_url.is_none() {
        return None;
    }
    match desk.foreign.issue(one, &stored.client, registered, scopes).await {
        Ok(token) => Some(TokenDto::from(token)),
        Err(error) => {
            warn!(client = %stored.client, %error, "keys were made at another key manager without a first token");
            None
        }
    }
}

/// Has the other key manager forget a client. What it does not forget calls for nobody here.
pub(crate) async fn forget(desk: &Desk, registered: &RegisteredClient) {
    if let Err(error) = desk.foreign.forget(registered).await {
        warn!(%error, "a client stays registered at another key manager");
    }
}

/// Returns the grants that a key manager says it serves.
fn grants_of(one: &Arc<KeyManager>) -> Vec<String> {
    let said: Value = serde_json::from_str(&one.other_fields).unwrap_or_default();
    let grants = said.get("availableGrantTypes").and_then(Value::as_array).into_iter().flatten();
    grants.filter_map(Value::as_str).map(str::to_owned).collect()
}
