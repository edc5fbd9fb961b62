//! The client certificates that an API trusts.

use std::sync::Arc;

use portcullis_database::Apimgtdb;
use portcullis_database::command::{
    DeleteClientCertificate as DeleteClientCertificateCommand, PutClientCertificate as PutClientCertificateCommand,
};
use portcullis_model::client_certificate::ClientCertificate;
use portcullis_model::{ApiId, KeyType, Refused, Timestamp};

use super::{Registry, Snapshot, find, seen, written};
use crate::dto::certificate;
use crate::fault::PublisherError;
use crate::messages::{DeleteClientCertificate, ListClientCertificates, PutClientCertificate, Seen, Written};

impl Registry {
    pub(crate) async fn list_client_certificates(
        &self,
        message: ListClientCertificates,
    ) -> Result<Seen<Vec<Arc<ClientCertificate>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        Ok(seen(&snapshot, certificates_of(&snapshot, api.id)))
    }

    pub(crate) async fn put_client_certificate(
        &self,
        message: PutClientCertificate,
    ) -> Result<Written<Arc<ClientCertificate>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let before = if message.is_new {
            None
        } else {
            Some(find_certificate(&snapshot, api.id, &message.alias, message.key_type)?)
        };
        let given = message.certificate.map(|bytes| certificate::read(&bytes, snapshot.now()));
        let given = given.transpose().map_err(|fault| PublisherError::Fields(vec![fault]))?;
        let kept = before.as_ref().map(|before| before.certificate.clone());
        let certificate = given.or(kept).ok_or_else(|| Refused::invalid("certificate", "must be there"))?;
        let plan = message.plan.or_else(|| before.as_ref().map(|before| before.plan.clone()));
        let one = ClientCertificate {
            api: api.id,
            alias: message.alias,
            plan: plan.ok_or_else(|| Refused::invalid("tier", "must be there"))?,
            key_type: message.key_type,
            certificate,
            added_by: message.asker.identity.principal.username.clone(),
            added_at: Timestamp::default(),
        };
        let command = PutClientCertificateCommand { certificate: one.clone(), is_new: message.is_new };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| Arc::new(one)))
    }

    pub(crate) async fn delete_client_certificate(
        &self,
        message: DeleteClientCertificate,
    ) -> Result<Written<()>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        find_certificate(&snapshot, api.id, &message.alias, message.key_type)?;
        let command = DeleteClientCertificateCommand { api: api.id, alias: message.alias };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}

fn certificates_of(snapshot: &Snapshot, api: ApiId) -> Vec<Arc<ClientCertificate>> {
    let all = snapshot.read::<Apimgtdb>().client_certificates.range((api, String::new())..);
    all.take_while(|((its, _), _)| *its == api).map(|(_, one)| Arc::clone(one)).collect()
}

fn find_certificate(
    snapshot: &Snapshot,
    api: ApiId,
    alias: &str,
    key_type: KeyType,
) -> Result<Arc<ClientCertificate>, PublisherError> {
    let found = snapshot.read::<Apimgtdb>().client_certificates.get(&(api, alias.to_owned()));
    let found = found.filter(|one| one.key_type == key_type).cloned();
    found.ok_or_else(|| Refused::not_found("client certificate", alias).into())
}
