//! The certificates that a tenant's backends are trusted by.

use std::sync::Arc;

use portcullis_database::command::{
    DeleteEndpointCertificate as DeleteEndpointCertificateCommand,
    PutEndpointCertificate as PutEndpointCertificateCommand,
};
use portcullis_database::{Apimgtdb, endpoint_trust};
use portcullis_model::api_endpoint::endpoints_among;
use portcullis_model::endpoint_trust::{EndpointCertificate, EndpointPlace};
use portcullis_model::{Api, Endpoint, Refused, TenantDomain, Timestamp};

use super::{Registry, Snapshot, may_see, seen, written};
use crate::dto::api_body::kept_fields;
use crate::dto::certificate;
use crate::fault::PublisherError;
use crate::messages::{
    DeleteEndpointCertificate, ListEndpointCertificates, ListEndpointUsers, PutEndpointCertificate, Seen, Written,
};

impl Registry {
    pub(crate) async fn list_endpoint_certificates(
        &self,
        message: ListEndpointCertificates,
    ) -> Result<Seen<Vec<Arc<EndpointCertificate>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = &message.asker.identity.principal.tenant;
        let all = endpoint_trust::of_tenant(snapshot.read::<Apimgtdb>(), tenant).map(Arc::clone).collect();
        Ok(seen(&snapshot, all))
    }

    pub(crate) async fn list_endpoint_users(
        &self,
        message: ListEndpointUsers,
    ) -> Result<Seen<Vec<Arc<Api>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let identity = &message.asker.identity;
        let one = find(&snapshot, &identity.principal.tenant, &message.alias)?;
        let apis = snapshot.read::<Apimgtdb>().apis.values();
        let mut users: Vec<_> =
            apis.filter(|api| may_see(identity, api) && has_endpoint_at(api, &one.place)).map(Arc::clone).collect();
        users.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        Ok(seen(&snapshot, users))
    }

    pub(crate) async fn put_endpoint_certificate(
        &self,
        message: PutEndpointCertificate,
    ) -> Result<Written<Arc<EndpointCertificate>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let principal = &message.asker.identity.principal;
        let is_new = message.endpoint.is_some();
        let endpoint = match message.endpoint {
            Some(endpoint) => endpoint.trim().to_owned(),
            None => find(&snapshot, &principal.tenant, &message.alias)?.endpoint.clone(),
        };
        let place = EndpointPlace::parse(&endpoint).ok_or_else(|| {
            let reason = format!("is `{endpoint}`; a URL (https://host:port), host:port or a host is possible");
            Refused::invalid("endpoint", reason)
        })?;
        let read = certificate::read(&message.certificate, snapshot.now());
        let certificate = read.map_err(|fault| PublisherError::Fields(vec![fault]))?;
        let one = EndpointCertificate {
            tenant: principal.tenant.clone(),
            alias: message.alias,
            endpoint,
            place,
            certificate,
            added_by: principal.username.clone(),
            added_at: Timestamp::default(),
        };
        let command = PutEndpointCertificateCommand { certificate: one.clone(), is_new };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| Arc::new(one)))
    }

    pub(crate) async fn delete_endpoint_certificate(
        &self,
        message: DeleteEndpointCertificate,
    ) -> Result<Written<()>, PublisherError> {
        let tenant = message.asker.identity.principal.tenant.clone();
        let command = DeleteEndpointCertificateCommand { tenant, alias: message.alias };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}

fn find(snapshot: &Snapshot, tenant: &TenantDomain, alias: &str) -> Result<Arc<EndpointCertificate>, PublisherError> {
    let key = (tenant.clone(), alias.to_owned());
    let found = snapshot.read::<Apimgtdb>().endpoint_certificates.get(&key).cloned();
    found.ok_or_else(|| Refused::not_found("endpoint certificate", alias).into())
}

/// Says whether a backend of an API is at a place.
pub(crate) fn has_endpoint_at(api: &Api, place: &EndpointPlace) -> bool {
    let is_there = |endpoint: &Endpoint| {
        let its = EndpointPlace::parse(&endpoint.url);
        its.is_some_and(|its| place.has(&its.host, its.port.unwrap_or_default()))
    };
    let named = endpoints_among(&kept_fields(api));
    let all = std::iter::once(&api.endpoints).chain(named.iter().map(|one| &one.config));
    all.flat_map(|config| config.production.iter().chain(&config.sandbox)).any(is_there)
}
