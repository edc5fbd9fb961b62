//! Services of other systems: called with bounds on time and size, over TLS that the operating system's authorities vouch
//! for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use portcullis_model::TenantDomain;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::{Position, Url};

use crate::client::{Client, Reply};
use crate::client_error::ClientError;

/// How long an answer may take where nothing else is said.
const TIME: Duration = Duration::from_secs(5);
/// Characters of an address that a user gives.
const URL_CHARS_MAX: usize = 2_048;
/// Bytes of an answer: key sets and metadata of large servers stay far below.
const BYTES_MAX: usize = 1 << 20;

/// Gets a JSON document of at most 1 MiB, within 5 s, at an address that a tenant's administrator gave
/// ([`Service::of_tenant`]). Redirects are not followed.
///
/// # Errors
/// Where the address cannot be used, or there is no such document.
pub async fn json<T: DeserializeOwned>(tenant: &TenantDomain, url: &str) -> Result<T, ClientError> {
    Service::of_tenant(tenant, url).await?.get().await
}

/// Another system's service at one URL. Answers may have 1 MiB and take 5 s; redirects are not followed.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client,
    /// Path and query.
    target: String,
}

impl Service {
    /// Makes a client of a service. Connects at the first call.
    ///
    /// # Errors
    /// Where it is no `http` or `https` URL with a host, or the operating system trusts nobody.
    pub async fn at(url: &str) -> Result<Self, ClientError> {
        Self::make(url, Client::new).await
    }

    /// Makes a client of a service that a user named who is no administrator: no address is called that is
    /// [`crate::reach::barred`], whatever name stands for it, and no name and password goes along.
    ///
    /// # Errors
    /// As [`Service::at`], and for a URL of more than 2 048 characters or with a login.
    pub async fn of_user(url: &str) -> Result<Self, ClientError> {
        check_of_user(url)?;
        Self::make(url, Client::of_user).await
    }

    /// The same where the user only subscribes to APIs: no address is called that is
    /// [`crate::reach::barred_to_subscribers`].
    ///
    /// # Errors
    /// As [`Service::of_user`].
    pub async fn of_subscriber(url: &str) -> Result<Self, ClientError> {
        check_of_user(url)?;
        Self::make(url, Client::of_subscriber).await
    }

    /// Makes a client of a service that a tenant's administrator named. Those of the first tenant run the cluster: theirs
    /// may be anywhere. No address that is [`crate::reach::barred`] is called for others.
    ///
    /// # Errors
    /// As [`Service::at`].
    pub async fn of_tenant(tenant: &TenantDomain, url: &str) -> Result<Self, ClientError> {
        Self::make(url, if tenant.is_super() { Client::new } else { Client::of_user }).await
    }

    /// The same where the service may also be trusted by certificates of authorities that the system does not know (DER).
    ///
    /// # Errors
    /// As [`Service::of_tenant`], and where one of them is no certificate of an authority.
    pub async fn of_tenant_trusting(
        tenant: &TenantDomain,
        url: &str,
        authorities: Vec<Vec<u8>>,
    ) -> Result<Self, ClientError> {
        if authorities.is_empty() || !url.starts_with("https:") {
            return Self::of_tenant(tenant, url).await;
        }
        let bad = |reason| ClientError::BadUrl { url: url.to_owned(), reason };
        let made = tokio::task::spawn_blocking(move || read_authorities(authorities)).await.ok().flatten();
        let tls = made.ok_or_else(|| bad("a certificate that it is to be trusted by is not that of an authority"))?;
        let client = if tenant.is_super() { Client::new } else { Client::of_user };
        let parsed = Url::parse(url).map_err(|_| bad("it is not a URL"))?;
        let client = client(&parsed[..Position::BeforePath], Some(tls))?;
        let client = client.with_timeout(TIME).with_reply_bytes_max(BYTES_MAX);
        Ok(Self { client, target: parsed[Position::BeforePath..Position::AfterQuery].to_owned() })
    }

    /// Returns the client, for other paths at the same place.
    #[must_use]
    pub fn into_client(self) -> Client {
        self.client
    }

    async fn make(
        url: &str,
        client: fn(&str, Option<Arc<ClientConfig>>) -> Result<Client, ClientError>,
    ) -> Result<Self, ClientError> {
        let bad = |reason| ClientError::BadUrl { url: url.to_owned(), reason };
        let parsed = Url::parse(url).map_err(|_| bad("it is not a URL"))?;
        let tls = if parsed.scheme() == "https" {
            // What is behind the host may be a secret, and faults are logged.
            let url = format!("https://{}", parsed.host_str().unwrap_or_default());
            let reason = "the operating system trusts no certificate authority";
            Some(of_system().await.ok_or(ClientError::BadUrl { url, reason })?)
        } else {
            None
        };
        let client = client(&parsed[..Position::BeforePath], tls)?;
        let client = client.with_timeout(TIME).with_reply_bytes_max(BYTES_MAX);
        Ok(Self { client, target: parsed[Position::BeforePath..Position::AfterQuery].to_owned() })
    }

    /// Signs in with a name and a secret (RFC 7617).
    #[must_use]
    pub fn with_basic(mut self, name: &str, secret: &str) -> Self {
        self.client = self.client.with_basic(name, secret);
        self
    }

    /// Signs in with a token (RFC 6750).
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.client = self.client.with_bearer(token);
        self
    }

    /// Sets how long an answer may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.with_timeout(timeout);
        self
    }

    /// Sets how many bytes of an answer are read.
    #[must_use]
    pub fn with_reply_bytes_max(mut self, bytes: usize) -> Self {
        self.client = self.client.with_reply_bytes_max(bytes);
        self
    }

    /// Gets what is there as bytes, whatever it is.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn bytes(&self) -> Result<Bytes, ClientError> {
        Ok(self.client.send(Method::GET, &self.target, &[], Bytes::new()).await?.bytes)
    }

    /// Gets the document.
    ///
    /// # Errors
    /// Where there is no answer, an error as answer, or another document than is expected.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        self.client.get(&self.target).await
    }

    /// Asks for the head of what is there and returns the status of the answer, whatever it is.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn status(&self) -> Result<StatusCode, ClientError> {
        match self.client.send(Method::HEAD, &self.target, &[], Bytes::new()).await {
            Ok(reply) => Ok(reply.status),
            Err(ClientError::Status { status, .. }) => Ok(status),
            Err(error) => Err(error),
        }
    }

    /// Posts a form and returns the JSON document that comes back.
    ///
    /// # Errors
    /// As [`Service::get`].
    pub async fn post_form<T: DeserializeOwned>(&self, form: &[(&str, &str)]) -> Result<T, ClientError> {
        self.client.post_form(&self.target, form).await
    }

    /// Posts a JSON document and returns the one that comes back.
    ///
    /// # Errors
    /// As [`Service::get`].
    pub async fn post<T: DeserializeOwned>(&self, body: &impl Serialize) -> Result<T, ClientError> {
        self.client.send_json(Method::POST, &self.target, body).await?.json()
    }

    /// Posts a body with these headers. What comes back does not matter, but for the status.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn post_bytes(&self, headers: &[(HeaderName, HeaderValue)], body: Bytes) -> Result<(), ClientError> {
        self.client.send(Method::POST, &self.target, headers, body).await.map(drop)
    }

    /// Sends a request with any body and returns the answer.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn send(
        &self,
        method: Method,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        self.client.send(method, &self.target, headers, body).await
    }

    /// Deletes what is there.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn delete(&self) -> Result<(), ClientError> {
        self.client.delete(&self.target).await.map(drop)
    }
}

/// Refuses an address that no user may have called.
fn check_of_user(url: &str) -> Result<(), ClientError> {
    let bad = |reason| ClientError::BadUrl { url: url.chars().take(URL_CHARS_MAX).collect(), reason };
    if url.chars().count() > URL_CHARS_MAX {
        return Err(bad("it has more than 2048 characters"));
    }
    if Url::parse(url).is_ok_and(|url| !url.username().is_empty() || url.password().is_some()) {
        return Err(bad("it must not have a name or password in it"));
    }
    Ok(())
}

/// Returns TLS by the authorities that the operating system trusts; they are read once.
pub async fn of_system() -> Option<Arc<ClientConfig>> {
    static CONFIG: OnceCell<Option<Arc<ClientConfig>>> = OnceCell::const_new();
    let made = CONFIG.get_or_init(|| async { tokio::task::spawn_blocking(read_system).await.ok().flatten() }).await;
    made.clone()
}

fn read_system() -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return None;
    }
    config_of(roots)
}

/// Returns TLS by the authorities that the system trusts, and by these.
fn read_authorities(authorities: Vec<Vec<u8>>) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let _known = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in authorities {
        roots.add(authority.into()).ok()?;
    }
    config_of(roots)
}

fn config_of(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tenants_other_than_the_first_reach_no_metadata_service() {
        let other = TenantDomain("example.com".to_owned());
        for url in ["http://169.254.169.254/keys", "http://[fd00:c1::a9fe:a9fe]/keys", "http://0.0.0.0:1/keys"] {
            let refused = json::<serde_json::Value>(&other, url).await.unwrap_err();
            assert!(matches!(refused, ClientError::BadUrl { .. }), "{url}: {refused}");
        }
        // Nobody is there; it is tried all the same.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        for (tenant, host) in [(&other, "127.0.0.1"), (&TenantDomain::super_tenant(), "0.0.0.0")] {
            let url = format!("http://{host}:{}/keys", free.port());
            let tried = json::<serde_json::Value>(tenant, &url).await.unwrap_err();
            assert!(matches!(tried, ClientError::CannotConnect { .. }), "{url}: {tried}");
        }
    }
}
