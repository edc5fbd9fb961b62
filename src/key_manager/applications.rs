//! What administrators see and change of a tenant's OAuth clients, whoever registered them: the original's `applications`.

use std::fmt;
use std::sync::Arc;

use actix::Message;
use portcullis_database::command::{self, PutClient, RenewClientSecret};
use portcullis_database::{Apimgtdb, Caller, SubmitError};
use portcullis_model::oauth::OauthClient;
use portcullis_model::{ClientId, NodeId, Refused, TenantDomain};
use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::issuer::draw_credentials;
use crate::user_claims::FIELD;

/// The index of a write, and the nodes of which it is not known that they act on it.
pub type Done = (u64, Vec<NodeId>);

/// Asks for a tenant's clients, in the order of their ids.
#[derive(Debug, Message)]
#[rtype(result = "Vec<ClientRow>")]
pub struct ListClients {
    /// The tenant.
    pub tenant: TenantDomain,
}

/// A client.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Its record.
    pub client: Arc<OauthClient>,
    /// Whether it is revoked and gets no tokens.
    pub is_revoked: bool,
}

/// Sets what a client is told about users.
#[derive(Debug, Message)]
#[rtype(result = "Result<Done, SubmitError>")]
pub struct ConfigureClaims {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// The client.
    pub client: ClientId,
    /// The original's `claimConfiguration`, which can be read.
    pub configuration: Value,
}

/// Revokes a client with all its tokens, until it has another secret.
#[derive(Debug, Message)]
#[rtype(result = "Result<Done, SubmitError>")]
pub struct RevokeClient {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// The client.
    pub client: ClientId,
}

/// Gives a client another secret.
#[derive(Debug, Message)]
#[rtype(result = "Result<Renewed, SubmitError>")]
pub struct RenewSecret {
    /// Who asks; the tenant is his.
    pub caller: Caller,
    /// The client.
    pub client: ClientId,
}

/// A client's new secret.
pub struct Renewed {
    /// The secret: the only time that it is seen.
    pub secret: String,
    /// The write.
    pub done: Done,
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewed({:?})", self.done)
    }
}

impl Authority {
    /// Returns a tenant's clients.
    pub fn list_clients(&self, tenant: &TenantDomain) -> Vec<ClientRow> {
        let view = self.handle.view();
        let tables = view.read::<Apimgtdb>();
        let of_tenant = tables.clients.values().filter(|client| client.tenant == *tenant);
        let is_revoked = |id| tables.revoked_clients.get(id).is_some_and(|revocation| !revocation.is_over);
        of_tenant.map(|client| ClientRow { is_revoked: is_revoked(&client.id), client: Arc::clone(client) }).collect()
    }

    fn client_of(&self, tenant: &TenantDomain, id: &ClientId) -> Result<Arc<OauthClient>, SubmitError> {
        let view = self.handle.view();
        let found = view.read::<Apimgtdb>().clients.get(id).filter(|client| client.tenant == *tenant);
        found.cloned().ok_or_else(|| SubmitError::Refused(Refused::not_found("OAuth client", id)))
    }

    /// Sets what a client is told about users.
    pub async fn configure_claims(&self, request: ConfigureClaims) -> Result<Done, SubmitError> {
        let ConfigureClaims { caller, client, configuration } = request;
        let before = self.client_of(&caller.principal.tenant, &client)?;
        let mut fields: Map<String, Value> = serde_json::from_str(&before.other_fields).unwrap_or_default();
        fields.insert(FIELD.to_owned(), configuration);
        let changed = OauthClient { other_fields: Value::Object(fields).to_string(), ..before.as_ref().clone() };
        let committed = self.handle.submit(PutClient { client: changed, is_new: false }, &caller).await?;
        Ok((committed.index, committed.unreached))
    }

    /// Revokes a client.
    pub async fn revoke_client(&self, request: RevokeClient) -> Result<Done, SubmitError> {
        let RevokeClient { caller, client } = request;
        let command = command::RevokeClient { tenant: caller.principal.tenant.clone(), client };
        let committed = self.handle.submit(command, &caller).await?;
        Ok((committed.index, committed.unreached))
    }

    /// Gives a client another secret.
    pub async fn renew_secret(&self, request: RenewSecret) -> Result<Renewed, SubmitError> {
        let RenewSecret { caller, client } = request;
        let drawn = draw_credentials(&self.key);
        let command = RenewClientSecret { tenant: caller.principal.tenant.clone(), client, secret: drawn.sealed };
        let committed = self.handle.submit(command, &caller).await?;
        let done = (committed.index, committed.unreached);
        Ok(Renewed { secret: drawn.secret, done })
    }
}
