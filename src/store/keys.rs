//! Keys of applications: OAuth clients for production and sandbox, their secrets, and first tokens.
//!
//! It stores clients and shows secrets to their owners; drawing, sealing and opening secrets and issuing tokens is the
//! Key Manager's, through the desk's issuer.

use std::sync::Arc;

use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Committed, command};
use portcullis_http::Stamped;
use portcullis_model::oauth::KeyMapping;
use portcullis_model::{Application, ApplicationId, ClientId, KeyMappingId, KeyType, OauthClient, Refused, Timestamp};
use tracing::warn;

use crate::actor::{Desk, Request, StoreView};
use crate::apis::stamped;
use crate::applications::find_owned;
use crate::dto::key::{KeyDto, KeyListDto, SecretDto, TokenDto, TokenGrantWord};
use crate::error::StoreError;
use crate::key_request::{
    CLIENT_CREDENTIALS, check_callback, check_grants, check_key_manager, check_properties, check_scopes, check_validity,
};
use crate::messages::{
    GenerateKeys, GenerateToken, GetKey, KeyRef, ListKeys, RegenerateSecret, RemoveKey, Subscriber, UpdateKey,
};

impl Request for GenerateKeys {
    type Reply = Stamped<KeyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let body = self.body;
        check_key_manager(body.key_manager.as_deref())?;
        let served = &desk.settings().grant_types;
        let grants = check_grants("grantTypesToBeSupported", &body.grant_types_to_be_supported, served)?;
        let callback_url = body.callback_url.unwrap_or_default();
        check_callback(&callback_url, &grants)?;
        let validity_s = check_validity("validityTime", body.validity_time.as_ref())?;
        let scopes = check_scopes(body.scopes.unwrap_or_default())?;
        let properties = check_properties(body.additional_properties.as_ref())?.unwrap_or_default();

        let view = desk.view_for(self.subscriber.consistency).await?;
        let application = find_owned(&view, &self.subscriber, self.application)?;
        let key_type = KeyType::from(body.key_type);
        let credentials = desk.issuer.new_client_credentials();
        let client = OauthClient {
            id: credentials.id,
            secret: credentials.sealed,
            tenant: application.tenant.clone(),
            owner: application.owner.clone(),
            name: name_of_client(&application, key_type),
            mapping: Some(KeyMapping {
                id: KeyMappingId::from_random(random_bytes()),
                application: application.id,
                key_type,
            }),
            grants,
            callback_url,
            token_type: application.token_type,
            token_validity_s: properties.token_validity_s,
            other_fields: if properties.text.is_empty() { "{}".to_owned() } else { properties.text },
            created_at: Timestamp(0),
        };
        let owned_by = Some(self.subscriber.principal.clone());
        let create = command::PutApplicationClient { client, is_new: true, owned_by };
        // What was stored counts, not what was drawn here: a repeated request gets the keys of the first.
        let Committed { reply: client, index, unreached } = desk.submit(create, &self.subscriber).await?;
        let token = first_token(&desk, &client, index, scopes, validity_s).await;
        Ok(Stamped { body: describe(&desk, &client, token)?, index, unreached })
    }
}

/// Returns the name of the client of an application, as the original forms it.
fn name_of_client(application: &Application, key_type: KeyType) -> String {
    format!("{}_{}_{}", application.owner, application.name, key_type.as_contract())
}

/// Issues the first token of new keys. The keys stand without it: it can be asked for again.
async fn first_token(
    desk: &Desk,
    client: &OauthClient,
    index: u64,
    scopes: Vec<String>,
    validity_s: Option<u64>,
) -> Option<TokenDto> {
    if !client.grants.iter().any(|grant| grant == CLIENT_CREDENTIALS) {
        return None;
    }
    desk.catch_up(index).await;
    match desk.issuer.issue(&client.id, scopes, validity_s).await {
        Ok(token) => Some(TokenDto::from(token)),
        Err(error) => {
            warn!(client = %client.id, %error, "keys were generated without a first token");
            None
        }
    }
}

impl Request for ListKeys {
    type Reply = Stamped<KeyListDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let application = find_owned(&view, &self.subscriber, self.application)?;
        Ok(stamped(KeyListDto::new(keys_of(&desk, &view, application.id)?), &view))
    }
}

impl Request for GetKey {
    type Reply = Stamped<KeyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (client, _) = find(&view, &self.subscriber, self.application, self.key)?;
        Ok(stamped(describe(&desk, &client, None)?, &view))
    }
}

impl Request for UpdateKey {
    type Reply = Stamped<KeyDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (old, _) = find(&view, &self.subscriber, self.application, self.key)?;
        let mut client = OauthClient::clone(&old);
        if let Some(grants) = &self.body.supported_grant_types {
            client.grants = check_grants("supportedGrantTypes", grants, &desk.settings().grant_types)?;
        }
        if let Some(callback_url) = self.body.callback_url {
            client.callback_url = callback_url;
        }
        check_callback(&client.callback_url, &client.grants)?;
        if let Some(properties) = check_properties(self.body.additional_properties.as_ref())? {
            client.token_validity_s = properties.token_validity_s;
            client.other_fields = properties.text;
        }
        let owned_by = Some(self.subscriber.principal.clone());
        let update = command::PutApplicationClient { client, is_new: false, owned_by };
        let Committed { reply, index, unreached } = desk.submit(update, &self.subscriber).await?;
        Ok(Stamped { body: describe(&desk, &reply, None)?, index, unreached })
    }
}

impl Request for RegenerateSecret {
    type Reply = Stamped<SecretDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (_, mapping) = find(&view, &self.subscriber, self.application, self.key)?;
        let replace = command::ReplaceClientSecret {
            mapping: mapping.id,
            application: self.application,
            secret: desk.issuer.new_client_credentials().sealed,
            owned_by: Some(self.subscriber.principal.clone()),
        };
        let Committed { reply: client, index, unreached } = desk.submit(replace, &self.subscriber).await?;
        let consumer_secret = desk.issuer.open_secret(&client.secret)?;
        let body = SecretDto { consumer_key: client.id.to_string(), consumer_secret };
        Ok(Stamped { body, index, unreached })
    }
}

impl Request for RemoveKey {
    type Reply = Stamped<()>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let mapping = match self.key {
            KeyRef::Mapping(id) => id,
            KeyRef::Type(_) => {
                let view = desk.view_for(self.subscriber.consistency).await?;
                find(&view, &self.subscriber, self.application, self.key)?.1.id
            }
        };
        let owned_by = Some(self.subscriber.principal.clone());
        let remove = command::RemoveApplicationClient { mapping, application: self.application, owned_by };
        let Committed { index, unreached, .. } = desk.submit(remove, &self.subscriber).await?;
        Ok(Stamped { body: (), index, unreached })
    }
}

impl Request for GenerateToken {
    type Reply = Stamped<TokenDto>;

    async fn answer(self, desk: Desk) -> Result<Self::Reply, StoreError> {
        let body = self.body;
        if body.grant_type == Some(TokenGrantWord::TokenExchange) {
            return Err(Refused::invalid("grantType", "only CLIENT_CREDENTIALS is possible here").into());
        }
        if body.revoke_token.is_some_and(|token| !token.is_empty()) {
            return Err(Refused::invalid("revokeToken", "must be empty: revoke a token at /oauth2/revoke").into());
        }
        let validity_s = check_validity("validityPeriod", body.validity_period.as_ref())?;
        let scopes = check_scopes(body.scopes.unwrap_or_default())?;
        let view = desk.view_for(self.subscriber.consistency).await?;
        let (client, _) = find(&view, &self.subscriber, self.application, self.key)?;
        if !client.grants.iter().any(|grant| grant == CLIENT_CREDENTIALS) {
            let reason = format!("the keys {} do not allow the grant type {CLIENT_CREDENTIALS}", client.id);
            return Err(Refused::invalid("supportedGrantTypes", reason).into());
        }
        if let Some(secret) = body.consumer_secret.filter(|secret| !secret.is_empty())
            && desk.issuer.open_secret(&client.secret)? != secret
        {
            return Err(Refused::invalid("consumerSecret", "is not the secret of these keys").into());
        }
        let token = desk.issuer.issue(&client.id, scopes, validity_s).await?;
        Ok(stamped(TokenDto::from(token), &view))
    }
}

/// Returns the client of an application that is the subscriber's, and its mapping.
pub(crate) fn find(
    view: &StoreView,
    subscriber: &Subscriber,
    application: ApplicationId,
    key: KeyRef,
) -> Result<(Arc<OauthClient>, KeyMapping), Refused> {
    let application = find_owned(view, subscriber, application)?;
    let database = view.read::<Apimgtdb>();
    let (id, name): (Option<&ClientId>, String) = match key {
        KeyRef::Mapping(id) => (database.key_mapping_ids.get(&id), id.to_string()),
        KeyRef::Type(kind) => (database.key_mappings.get(&(application.id, kind)), kind.as_contract().to_owned()),
    };
    let client = id.and_then(|id| database.clients.get(id));
    let mapping = client.and_then(|client| client.mapping).filter(|mapping| mapping.application == application.id);
    match (client, mapping) {
        (Some(client), Some(mapping)) => Ok((Arc::clone(client), mapping)),
        _ => Err(Refused::not_found("key mapping", name)),
    }
}

/// Returns the keys of an application with their secrets, production before sandbox.
pub(crate) fn keys_of(desk: &Desk, view: &StoreView, id: ApplicationId) -> Result<Vec<KeyDto>, StoreError> {
    let database = view.read::<Apimgtdb>();
    let both = database.key_mappings.range((id, KeyType::Production)..=(id, KeyType::Sandbox));
    let clients = both.filter_map(|(_, client)| database.clients.get(client));
    clients.map(|client| describe(desk, client, None)).collect()
}

fn describe(desk: &Desk, client: &OauthClient, token: Option<TokenDto>) -> Result<KeyDto, StoreError> {
    let secret = desk.issuer.open_secret(&client.secret)?;
    Ok(KeyDto::new(client, secret, token))
}
