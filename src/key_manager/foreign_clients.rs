//! Clients at other key managers: registered there for applications of this cluster (RFC 7591), and deleted there with
//! them (RFC 7592). Where they are kept, and who may, is the Store's.

use http::StatusCode;
use portcullis_database::ClusterKey;
use portcullis_http::ClientError;
use portcullis_http::fetch::Service;
use portcullis_model::key_manager::{KeyManager, LoginKind, RegisteredClient, RegistrationAccess};
use portcullis_model::port::{self, ForeignClientOrder, IssueRefusal, IssuedToken, PortFuture};
use portcullis_model::{ClientId, Refused};
use serde::Deserialize;
use serde_json::{Map, json};
use url::Url;

use crate::bound::{CLIENT_ID_CHARS_MAX, CLIENT_SECRET_BYTES_MAX, SCOPES_MAX, TOKEN_BYTES_MAX};
use crate::foreign_introspection::{CannotCall, service, sign_in};
use crate::issuer::open_secret;

/// Bytes of the address and of the token by which a registration is managed.
const MANAGEMENT_BYTES_MAX: usize = 4 << 10;

/// Registers clients at other key managers.
#[derive(Clone)]
pub struct ForeignClients {
    /// What opens and seals secrets.
    key: ClusterKey,
}

/// What another key manager says of a client that it has registered.
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    registration_client_uri: Option<String>,
    #[serde(default)]
    registration_access_token: Option<String>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
}

/// What a token endpoint says (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
}

impl ForeignClients {
    /// Makes it with the cluster's key.
    #[must_use]
    pub fn new(key: ClusterKey) -> Self {
        Self { key }
    }

    async fn register_at(
        &self,
        at: &KeyManager,
        order: ForeignClientOrder,
    ) -> Result<(ClientId, RegisteredClient), IssueRefusal> {
        let url = at.registration_url.as_deref().ok_or_else(|| cannot(at, "says nowhere to register clients"))?;
        let mut wish = Map::new();
        wish.insert("client_name".to_owned(), order.name.into());
        wish.insert("grant_types".to_owned(), json!(order.grants));
        if !order.callback_url.is_empty() {
            wish.insert("redirect_uris".to_owned(), json!([order.callback_url]));
        }
        let service = self.registrar(at, url).await?;
        let said: Registered = service.post(&wish).await.map_err(|cause| refusal(at, &cause))?;
        let is_fit = (1..=CLIENT_ID_CHARS_MAX).contains(&said.client_id.len())
            && said.client_secret.as_ref().is_none_or(|secret| secret.len() <= CLIENT_SECRET_BYTES_MAX);
        if !is_fit {
            return Err(cannot(at, "has registered a client whose id or secret is too long"));
        }
        let registered = RegisteredClient {
            secret: said.client_secret.map(|secret| self.key.seal(secret.as_bytes())),
            grants: said.grant_types.unwrap_or(order.grants),
            callback_url: order.callback_url,
            management: said
                .registration_client_uri
                .zip(said.registration_access_token)
                .filter(|(address, token)| is_near(address, url) && token.len() <= MANAGEMENT_BYTES_MAX)
                .map(|(url, token)| RegistrationAccess { url, token: self.key.seal(token.as_bytes()) }),
        };
        Ok((ClientId(said.client_id), registered))
    }

    /// Returns where clients are registered, signed in: as a user, or by a token that this cluster's own client gets.
    async fn registrar(&self, at: &KeyManager, url: &str) -> Result<Service, IssueRefusal> {
        let own = at.login.as_ref().filter(|login| login.kind == LoginKind::Client);
        let (Some(login), Some(token_url)) = (own, &at.token_url) else {
            return service(at, url, &self.key).await.map_err(|cause| not_called(at, &cause));
        };
        let secret = open_secret(&self.key, &login.secret)?;
        let desk = Service::of_tenant(&at.tenant, token_url).await.map_err(|cause| refusal(at, &cause))?;
        let token: Token = sign_in(desk, login.kind, &login.name, &secret)
            .post_form(&[("grant_type", "client_credentials")])
            .await
            .map_err(|cause| refusal(at, &cause))?;
        let service = Service::of_tenant(&at.tenant, url).await.map_err(|cause| refusal(at, &cause))?;
        Ok(service.with_bearer(&token.access_token))
    }

    async fn forget_client(&self, client: &RegisteredClient) -> Result<(), IssueRefusal> {
        let Some(access) = &client.management else { return Ok(()) };
        let token = open_secret(&self.key, &access.token)?;
        // The address is the other server's own word.
        let service =
            Service::of_user(&access.url).await.map_err(|cause| IssueRefusal::Unavailable(cause.to_string()))?;
        match service.with_bearer(&token).delete().await {
            // It is gone already.
            Err(ClientError::Status { status: StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, .. }) | Ok(()) => {
                Ok(())
            }
            Err(cause) => Err(IssueRefusal::Unavailable(cause.to_string())),
        }
    }

    async fn token_of(
        &self,
        at: &KeyManager,
        client: &ClientId,
        registered: &RegisteredClient,
        scopes: Vec<String>,
    ) -> Result<IssuedToken, IssueRefusal> {
        let url = at.token_url.as_deref().ok_or_else(|| cannot(at, "says nowhere to get tokens"))?;
        let secret = registered.secret.as_ref().ok_or_else(|| cannot(at, "gave the client no secret"))?;
        let secret = open_secret(&self.key, secret)?;
        let scope = scopes.join(" ");
        let mut form = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        let desk = Service::of_tenant(&at.tenant, url).await.map_err(|cause| refusal(at, &cause))?;
        let desk = sign_in(desk, LoginKind::Client, &client.0, &secret);
        let token: Token = desk.post_form(&form).await.map_err(|cause| refusal(at, &cause))?;
        if token.access_token.len() > TOKEN_BYTES_MAX {
            return Err(cannot(at, "issues tokens that are too long for gateways"));
        }
        let granted = token.scope.unwrap_or(scope);
        Ok(IssuedToken {
            access_token: token.access_token,
            scopes: granted.split_whitespace().take(SCOPES_MAX).map(str::to_owned).collect(),
            expires_in_s: token.expires_in.unwrap_or_default(),
        })
    }
}

impl port::ForeignClients for ForeignClients {
    fn register<'a>(
        &'a self,
        at: &'a KeyManager,
        order: ForeignClientOrder,
    ) -> PortFuture<'a, Result<(ClientId, RegisteredClient), IssueRefusal>> {
        Box::pin(self.register_at(at, order))
    }

    fn forget<'a>(&'a self, client: &'a RegisteredClient) -> PortFuture<'a, Result<(), IssueRefusal>> {
        Box::pin(self.forget_client(client))
    }

    fn issue<'a>(
        &'a self,
        at: &'a KeyManager,
        client: &'a ClientId,
        registered: &'a RegisteredClient,
        scopes: Vec<String>,
    ) -> PortFuture<'a, Result<IssuedToken, IssueRefusal>> {
        Box::pin(self.token_of(at, client, registered, scopes))
    }
}

/// Says whether a registration is managed where it was made: the token must not be sent anywhere else.
fn is_near(address: &str, registration: &str) -> bool {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    address.len() <= MANAGEMENT_BYTES_MAX && origin(address).is_some_and(|its| Some(its) == origin(registration))
}

fn cannot(at: &KeyManager, why: &str) -> IssueRefusal {
    Refused::invalid("keyManager", format!("{} {why}", at.name)).into()
}

fn not_called(at: &KeyManager, cause: &CannotCall) -> IssueRefusal {
    match cause {
        CannotCall::Client(cause) => refusal(at, cause),
        CannotCall::CannotOpen => IssueRefusal::CannotOpen,
    }
}

/// Tells what the other key manager refused from what it did not answer.
fn refusal(at: &KeyManager, cause: &ClientError) -> IssueRefusal {
    match cause {
        ClientError::Status { status, .. } if status.is_client_error() => cannot(at, &format!("refuses: {cause}")),
        _ => IssueRefusal::Unavailable(format!("{} cannot be asked: {cause}", at.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn a_registration_is_managed_at_the_server_that_made_it_alone() {
        let at = "https://idp.example/register";
        for good in ["https://idp.example/register/7", "https://idp.example:443/clients?id=7"] {
            assert!(is_near(good, at), "{good}");
        }
        for bad in
            ["https://evil.example/register/7", "http://idp.example/register/7", "https://idp.example:8443/", "x", ""]
        {
            assert!(!is_near(bad, at), "{bad}");
        }
    }
}
