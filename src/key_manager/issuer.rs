//! Issues tokens and seals secrets for the Store. The Store stores the client; this only draws its credentials.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_actor::{Address, OfRequest};
use portcullis_database::ClusterKey;
use portcullis_database::handle::random_bytes;
use portcullis_model::authorization::TokenDetails;
use portcullis_model::port::{
    ApiKeyOrder, ClientCredentials, IssueRefusal, IssuedApiKey, IssuedToken, PortFuture, TokenIssuer,
};
use portcullis_model::{ClientId, Sealed};

use crate::actor::KeyManager;
use crate::authority::{Authority, client};
use crate::messages::{IssueApiKey, IssueForClient};

/// The Key Manager's end of [`TokenIssuer`].
pub(crate) struct Issuer {
    pub address: Address<KeyManager>,
    pub authority: Arc<Authority>,
}

impl TokenIssuer for Issuer {
    fn issue<'a>(
        &'a self,
        client: &'a ClientId,
        scopes: Vec<String>,
        validity_s: Option<u64>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        Box::pin(async move {
            let message = IssueForClient { client: client.clone(), scopes, validity_s };
            match self.address.ask(message).await {
                Ok(issued) => issued,
                Err(not_answered) => Err(IssueRefusal::Unavailable(not_answered.to_string())),
            }
        })
    }

    fn new_client_credentials(&self) -> ClientCredentials {
        draw_credentials(&self.authority.key)
    }

    fn seal_secret(&self, secret: &str) -> Sealed {
        self.authority.key.seal(secret.as_bytes())
    }

    fn open_secret(&self, sealed: &Sealed) -> Result<String, IssueRefusal> {
        open_secret(&self.authority.key, sealed)
    }

    fn issue_api_key(&self, order: ApiKeyOrder) -> PortFuture<'_, Result<IssuedApiKey, IssueRefusal>> {
        Box::pin(async move {
            match self.address.ask(OfRequest::new(IssueApiKey(order))).await {
                Ok(issued) => issued,
                Err(not_answered) => Err(IssueRefusal::Unavailable(not_answered.to_string())),
            }
        })
    }
}

/// Opens a client's secret.
pub(crate) fn open_secret(key: &ClusterKey, sealed: &Sealed) -> Result<String, IssueRefusal> {
    let secret = key.open(sealed).map_err(|_| IssueRefusal::CannotOpen)?;
    String::from_utf8(secret.to_vec()).map_err(|_| IssueRefusal::CannotOpen)
}

impl Authority {
    /// Issues an application's own token to a client that is in the state.
    pub async fn issue_for_client(&self, request: IssueForClient) -> Result<IssuedToken, IssueRefusal> {
        let mut found = client(&self.handle.view(), &request.client);
        if found.is_none() {
            found = self.caught_up().await.and_then(|view| client(&view, &request.client));
        }
        let found = found.ok_or_else(|| IssueRefusal::NoSuchClient(request.client.clone()))?;
        let reply = self.grant_to_client(&found, &request.scopes, request.validity_s, TokenDetails::default()).await;
        let reply = reply.map_err(|error| IssueRefusal::Unavailable(error.to_string()))?;
        Ok(IssuedToken { access_token: reply.access_token, scopes: reply.scopes, expires_in_s: reply.expires_in_s })
    }
}

/// Draws a client id (168 random bits) and a secret (256 random bits), and seals the secret.
pub(crate) fn draw_credentials(key: &ClusterKey) -> ClientCredentials {
    // Letters and digits first and last, so that a double click marks the whole of it.
    let id = loop {
        let id = URL_SAFE_NO_PAD.encode(random_bytes::<21>());
        if id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            break id;
        }
    };
    let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
    let sealed = key.seal(secret.as_bytes());
    ClientCredentials { id: ClientId(id), secret, sealed }
}
