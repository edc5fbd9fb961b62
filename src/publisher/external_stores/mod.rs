//! Stores of other systems that APIs are published to, as in the original: an API is brought there as one that is only
//! advertised, so that whoever finds it there is sent to the Store of its own tenant. What is published where is
//! remembered, and withdrawn where it is no longer wanted.

mod archive;
mod remote;
mod rest;

use std::sync::Arc;

use axum::Router;
use http::StatusCode;
use portcullis_actor::Address;
use portcullis_database::{Apimgtdb, Userdb, assets};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::external_store::{ExternalStore, ExternalStores};
use portcullis_model::{Api, ApiId, AssetId, Lifecycle, Refused, TenantDomain, Timestamp};
use serde_json::{Value, json};

use self::remote::{Found, Remote};
use crate::actor::Publisher;
use crate::dto::product::is_product;
use crate::fault::PublisherError;
use crate::messages::{
    Asker, DeleteAsset, ExportApi, ListExternalStores, ListPublications, PublishElsewhere, PutAsset, Seen, Written,
};
use crate::registry::{Registry, Snapshot, find_view, seen};

const KIND: AssetKind = AssetKind::ExternalPublication;
/// In what is remembered of a publication: whether the API came there as a whole.
const IS_DONE: &str = "isDone";

/// Returns the routes.
pub(crate) fn routes() -> Router<Address<Publisher>> {
    rest::routes()
}

/// Says that an API is published to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The store's id.
    pub store: String,
    /// When it was brought there last.
    pub at: Timestamp,
}

/// Returns what a tenant's configuration says of other stores.
fn configured(snapshot: &Snapshot, tenant: &TenantDomain) -> ExternalStores {
    let config = snapshot.read::<Userdb>().tenant_configs.get(tenant);
    let document = config.and_then(|config| serde_json::from_str(&config.document).ok());
    document.and_then(|document| ExternalStores::read(&document).ok()).unwrap_or_default()
}

/// Returns what is remembered of where an API is published, by the id of the store.
fn published(snapshot: &Snapshot, tenant: &TenantDomain, api: ApiId) -> Vec<Arc<Asset>> {
    let all = assets::of_tenant(snapshot.read::<Apimgtdb>(), tenant, KIND);
    let mut all: Vec<_> = all.filter(|asset| asset.api == Some(api)).cloned().collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Returns what is shown of what is remembered; `None` where the API did not yet come there as a whole.
fn publication(asset: &Arc<Asset>) -> Option<Publication> {
    let document: Value = serde_json::from_str(&asset.document).unwrap_or_default();
    (document[IS_DONE] != false).then(|| Publication { store: asset.name.clone(), at: asset.updated_at })
}

/// Makes the message by which it is remembered that an API is brought to a store, and whether that was done.
fn to_remember(asker: &Asker, api: &Api, store: &ExternalStore, id: Option<AssetId>, is_done: bool) -> PutAsset {
    PutAsset {
        asker: asker.clone(),
        kind: KIND,
        id,
        api: Some(api.id.to_string()),
        name: store.id.clone(),
        document: json!({"endpoint": store.endpoint, IS_DONE: is_done}).to_string(),
        content: String::new(),
        expected: None,
    }
}

/// What a store has of an API's name and version.
enum There {
    Nothing,
    Ours(Found),
    Others,
}

/// Finds what a store has of an API's name and version. What came there as a whole is ours. Of what broke off only part is
/// remembered, and somebody else may have been quicker: it is ours where it sends its readers to the API's own page.
async fn there(
    remote: &Remote,
    api: &Api,
    known: Option<&Arc<Asset>>,
    leads_to: &str,
) -> Result<There, PublisherError> {
    let Some(found) = remote.find(&api.name, &api.version).await? else { return Ok(There::Nothing) };
    let is_ours = match known {
        Some(known) => publication(known).is_some() || remote.leads_to(&found, leads_to).await?,
        None => false,
    };
    Ok(if is_ours { There::Ours(found) } else { There::Others })
}

fn is_conflict(error: &PublisherError) -> bool {
    matches!(error, PublisherError::Elsewhere { source, .. } if source.status() == Some(StatusCode::CONFLICT))
}

/// Says that a store has an API of that name, which is not ours.
fn taken(store: &ExternalStore, api: &Api) -> PublisherError {
    let reason = format!(
        "the store {} has {}:{} already, and it was not published from here: delete or rename it there first",
        store.id, api.name, api.version
    );
    Refused::wrong_state(reason).into()
}

impl Registry {
    pub(crate) async fn list_external_stores(
        &self,
        message: ListExternalStores,
    ) -> Result<Seen<Vec<ExternalStore>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let stores = configured(&snapshot, &message.asker.identity.principal.tenant).stores;
        Ok(seen(&snapshot, stores))
    }

    pub(crate) async fn list_publications(
        &self,
        message: ListPublications,
    ) -> Result<Seen<Vec<Publication>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find_view(&snapshot, &message.asker.identity, &message.api)?.api;
        Ok(seen(&snapshot, published(&snapshot, &api.tenant, api.id).iter().filter_map(publication).collect()))
    }

    /// Has an API be in these stores, and in no others. Where one of them fails, what was done before stays done, and is
    /// remembered: the same request goes on.
    pub(crate) async fn publish_elsewhere(
        &self,
        message: PublishElsewhere,
    ) -> Result<Written<Vec<Publication>>, PublisherError> {
        // Several writes: a retry finds what the first try made, and goes on.
        let asker = Asker { idempotency: None, ..message.asker };
        let snapshot = self.snapshot_to_write().await?;
        let view = find_view(&snapshot, &asker.identity, &message.api)?;
        let api = &view.api;
        if is_product(api) || view.revision.is_some() {
            return Err(Refused::not_found("API", &message.api).into());
        }
        let config = configured(&snapshot, &api.tenant);
        let mut wanted = Vec::new();
        for id in &message.stores {
            let store = config.stores.iter().find(|store| store.id == *id);
            wanted.push(store.ok_or_else(|| {
                let known: Vec<&str> = config.stores.iter().map(|store| store.id.as_str()).collect();
                let reason = format!("there is no store {id} in the tenant's configuration, but: {}", known.join(", "));
                PublisherError::field("externalStoreIds", reason)
            })?);
        }
        if !wanted.is_empty() && !matches!(api.lifecycle, Lifecycle::Published | Lifecycle::Prototyped) {
            return Err(Refused::wrong_state(format!("{}:{} is not published here", api.name, api.version)).into());
        }
        let leads_to = format!("{}/apis/{}/overview", config.own_store.trim_end_matches('/'), api.id);
        let before = published(&snapshot, &api.tenant, api.id);
        let mut last = Written { value: (), index: snapshot.applied_index(), unreached: Vec::new() };
        for gone in before.iter().filter(|one| !wanted.iter().any(|store| store.id == one.name)) {
            if let Some(store) = config.stores.iter().find(|store| store.id == gone.name) {
                let remote = self.remote(&snapshot, &api.tenant, store).await?;
                if let There::Ours(found) = there(&remote, api, Some(gone), &leads_to).await? {
                    remote.withdraw(&found).await?;
                }
            } else {
                tracing::warn!(store = gone.name, api = %api.id, "not withdrawn: the configuration no longer names the store");
            }
            let forget = DeleteAsset { asker: asker.clone(), kind: KIND, id: gone.id, api: Some(api.id.to_string()) };
            let Written { index, unreached, .. } = self.delete_asset(forget).await?;
            last = last.and(index, unreached);
        }
        let archive =
            if wanted.is_empty() { Vec::new() } else { self.advertised(&asker, api, leads_to.clone()).await? };
        for store in wanted {
            let known = before.iter().find(|one| one.name == store.id);
            let remote = self.remote(&snapshot, &api.tenant, store).await?;
            let overwrites = match there(&remote, api, known, &leads_to).await? {
                There::Nothing => false,
                There::Ours(_) => true,
                There::Others => return Err(taken(store, api)),
            };
            let id = if let Some(known) = known {
                known.id
            } else {
                // Before it is brought there: where that fails half-way, what is there is found to be ours when this is
                // tried again.
                let put = to_remember(&asker, api, store, None, false);
                let Written { value, index, unreached } = self.put_asset(put).await?;
                last = last.and(index, unreached);
                value.id
            };
            // Only what is ours is overwritten: where another brings one of that name in the meantime, one of the two fails.
            if let Err(failed) = remote.publish(&api.name, &api.version, &archive, overwrites).await {
                let is_there = is_conflict(&failed) && !overwrites;
                let is_taken = is_there && remote.find(&api.name, &api.version).await?.is_some();
                return Err(if is_taken { taken(store, api) } else { failed });
            }
            let put = to_remember(&asker, api, store, Some(id), true);
            let Written { index, unreached, .. } = self.put_asset(put).await?;
            last = last.and(index, unreached);
        }
        let now = self.handle.view();
        let value = published(&now, &api.tenant, api.id).iter().filter_map(publication).collect();
        Ok(Written { value, index: last.index, unreached: last.unreached })
    }

    /// Returns the archive of an API as other stores get it; it sends readers on to `leads_to`.
    async fn advertised(&self, asker: &Asker, api: &Api, leads_to: String) -> Result<Vec<u8>, PublisherError> {
        let export = ExportApi {
            asker: asker.clone(),
            id: Some(api.id.to_string()),
            name: String::new(),
            version: String::new(),
            format: crate::archive::ArchiveFormat::Json,
            keeps_status: false,
            is_latest_revision: false,
            shows_secrets: false,
        };
        let (_, whole) = self.export_api(export).await?.value;
        let owner = crate::dto::api_body::provider_of(api);
        crate::openapi::aside(move || archive::advertised(&whole, &leads_to, &owner)).await?
    }

    async fn remote(
        &self,
        snapshot: &Snapshot,
        tenant: &TenantDomain,
        store: &ExternalStore,
    ) -> Result<Remote, PublisherError> {
        let place = |one: &Arc<portcullis_model::endpoint_trust::EndpointCertificate>| {
            let url = url::Url::parse(&store.endpoint).ok()?;
            let is_there = one.place.has(url.host_str()?, url.port_or_known_default()?);
            is_there.then(|| one.certificate.0.clone())
        };
        let trusted = portcullis_database::endpoint_trust::of_tenant(snapshot.read::<Apimgtdb>(), tenant);
        let trusted: Vec<Vec<u8>> = trusted.filter_map(place).collect();
        Remote::new(tenant, store, self.opened(&store.password), trusted).await
    }
}
