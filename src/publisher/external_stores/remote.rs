//! The Publisher of another system, by its REST contract: Portcullis or the original, version 4.

use std::time::Duration;

use axum::body::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portcullis_database::handle::random_bytes;
use portcullis_http::client::Client;
use portcullis_http::fetch::Service;
use portcullis_http::{ClientError, percent};
use portcullis_model::TenantDomain;
use portcullis_model::external_store::ExternalStore;
use serde_json::Value;
use url::{Position, Url};

use crate::fault::PublisherError;

const PUBLISHER: &str = "/api/am/publisher/v4";
/// How long one answer may take: an archive is read and checked in this time.
const TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer.
const REPLY_BYTES_MAX: usize = 4 << 20;

/// Another system's Publisher.
pub(super) struct Remote {
    client: Client,
    name: String,
}

/// An API there.
#[derive(Default)]
pub(super) struct Found {
    id: String,
    state: String,
}

impl Remote {
    /// Makes a client of the Publisher beside a store.
    ///
    /// # Errors
    /// Where the store's address cannot be called.
    pub(super) async fn new(
        tenant: &TenantDomain,
        store: &ExternalStore,
        password: Option<String>,
        trusted: Vec<Vec<u8>>,
    ) -> Result<Self, PublisherError> {
        let name = format!("the store {}", store.id);
        let failed = |source| PublisherError::Elsewhere { system: name.clone(), source };
        let base = Url::parse(&store.endpoint).map(|url| url[..Position::BeforePath].to_owned());
        let base = base.unwrap_or_else(|_| store.endpoint.clone());
        let service = Service::of_tenant_trusting(tenant, &base, trusted).await.map_err(failed)?;
        let service = service.with_basic(&store.username, &password.unwrap_or_default());
        let service = service.with_timeout(TIME_MAX).with_reply_bytes_max(REPLY_BYTES_MAX);
        Ok(Self { client: service.into_client(), name })
    }

    fn failed(&self, source: ClientError) -> PublisherError {
        PublisherError::Elsewhere { system: self.name.clone(), source }
    }

    /// Returns an API of that name and version there, if there is one.
    ///
    /// # Errors
    /// What the other system says.
    pub(super) async fn find(&self, name: &str, version: &str) -> Result<Option<Found>, PublisherError> {
        let query = percent::encoded(&format!("name:\"{name}\" version:\"{version}\""));
        let path = format!("{PUBLISHER}/apis?limit=100&query={query}");
        let listed: Value = self.client.get(&path).await.map_err(|error| self.failed(error))?;
        let mut all = listed["list"].as_array().into_iter().flatten();
        let found = all.find(|one| one["name"] == *name && one["version"] == *version);
        let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        Ok(found.map(|one| Found { id: text(one, "id"), state: text(one, "lifeCycleStatus") }))
    }

    /// Says whether an API there sends its readers to an address: whose address that is, brought it.
    ///
    /// # Errors
    /// What the other system says.
    pub(super) async fn leads_to(&self, found: &Found, address: &str) -> Result<bool, PublisherError> {
        let path = format!("{PUBLISHER}/apis/{}", percent::encoded(&found.id));
        let whole: Value = self.client.get(&path).await.map_err(|error| self.failed(error))?;
        Ok(whole["advertiseInfo"]["originalDevPortalUrl"] == *address)
    }

    /// Brings an API there and publishes it. One that is there already is changed if `overwrites`: it must be known to be
    /// ours; else the other system refuses it.
    ///
    /// # Errors
    /// What the other system says.
    pub(super) async fn publish(
        &self,
        name: &str,
        version: &str,
        archive: &[u8],
        overwrites: bool,
    ) -> Result<(), PublisherError> {
        let path = format!("{PUBLISHER}/apis/import?preserveProvider=false&overwrite={overwrites}");
        let (content_type, body) = form(archive);
        let sent = self.client.send(Method::POST, &path, &[(CONTENT_TYPE, content_type)], body).await;
        sent.map_err(|error| self.failed(error))?;
        let Found { id, state } = self.find(name, version).await?.unwrap_or_default();
        if state == "PUBLISHED" {
            return Ok(());
        }
        let path = format!("{PUBLISHER}/apis/change-lifecycle?action=Publish&apiId={}", percent::encoded(&id));
        self.client.send(Method::POST, &path, &[], Bytes::new()).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Deletes an API there.
    ///
    /// # Errors
    /// What the other system says.
    pub(super) async fn withdraw(&self, found: &Found) -> Result<(), PublisherError> {
        let path = format!("{PUBLISHER}/apis/{}", percent::encoded(&found.id));
        self.client.delete(&path).await.map(drop).map_err(|error| self.failed(error))
    }
}

/// Writes a form with an archive as its `file`.
fn form(archive: &[u8]) -> (HeaderValue, Bytes) {
    let boundary = hex::encode(random_bytes::<16>());
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"api.zip\"\r\n\
         content-type: application/zip\r\n\r\n"
    );
    let body = [head.as_bytes(), archive, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    let content_type = format!("multipart/form-data; boundary={boundary}");
    (HeaderValue::from_str(&content_type).expect("a boundary is made of digits and letters"), Bytes::from(body))
}
