//! Documents of other systems: fetched with bounds on time and size, over TLS that the operating system's authorities
//! vouch for.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use url::Url;

use crate::client::Client;
use crate::client_error::ClientError;

/// How long a document may take to come.
const TIME: Duration = Duration::from_secs(5);

/// Gets a JSON document of at most what [`Client`] takes, within 5 s. Redirects are not followed.
///
/// # Errors
/// Where the address cannot be used, or there is no such document.
pub async fn json<T: DeserializeOwned>(url: &str) -> Result<T, ClientError> {
    let bad = |reason| ClientError::BadUrl { url: url.to_owned(), reason };
    let parsed = Url::parse(url).map_err(|_| bad("it is not a URL"))?;
    let tls = if parsed.scheme() == "https" {
        Some(of_system().await.ok_or_else(|| bad("the operating system trusts no certificate authority"))?)
    } else {
        None
    };
    let target = parsed[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    let base = &parsed[..url::Position::BeforePath];
    Client::new(base, tls)?.with_timeout(TIME).get(&target).await
}

/// Returns TLS by the authorities that the operating system trusts; they are read once.
async fn of_system() -> Option<Arc<ClientConfig>> {
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
