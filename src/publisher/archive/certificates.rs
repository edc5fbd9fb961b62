//! Certificates of archives, brought along with an API and written into its archive.

use portcullis_database::{Apimgtdb, endpoint_trust};
use portcullis_http::zip::Files;
use portcullis_model::client_certificate::{CertificateDer, ClientCertificate, check_certificate};
use portcullis_model::endpoint_trust::EndpointPlace;
use portcullis_model::{Api, ApiId, KeyType, PolicyLevel, TenantDomain, Timestamp};
use serde_json::{Value, json};

use super::certificate_files::{Meant, OF_CLIENTS, OF_ENDPOINTS, ProjectCertificate};
use super::project::{ArchiveFormat, Project, put};
use super::writes::Writes;
use crate::dto::certificate;
use crate::fault::PublisherError;
use crate::messages::{Asker, DeleteEndpointCertificate, PutClientCertificate, PutEndpointCertificate};
use crate::registry::{Registry, Snapshot, has_endpoint_at};

/// What has to be done so that a certificate of an archive is there.
enum Step<'a> {
    Client { alias: &'a str, plan: &'a str, key_type: KeyType, certificate: Option<&'a [u8]>, is_new: bool },
    Endpoint { alias: &'a str, endpoint: &'a str, certificate: &'a [u8] },
}

impl ProjectCertificate {
    /// Returns what is to be done for an API of a tenant, if it is there already; `None` where all is as it should be.
    fn step(
        &self,
        snapshot: &Snapshot,
        tenant: &TenantDomain,
        api: Option<ApiId>,
    ) -> Result<Option<Step<'_>>, PublisherError> {
        let database = snapshot.read::<Apimgtdb>();
        let read = certificate::parse(&self.bytes).map_err(|bad| self.refuse(&bad.reason))?;
        check_certificate(&self.alias, &read).map_err(|refused| self.refuse(&refused.to_string()))?;
        match &self.meant {
            Meant::Client(plan, key_type) => {
                if !database.policies.contains_key(&(tenant.clone(), PolicyLevel::Subscription, plan.clone())) {
                    return Err(self.refuse(&format!("there is no business plan {plan}")));
                }
                let known = api.and_then(|api| database.client_certificates.get(&(api, self.alias.clone())));
                self.client_step((plan, *key_type), known.map(|known| &**known), &read, snapshot.now())
            }
            Meant::Endpoint(endpoint) => {
                let known = database.endpoint_certificates.get(&(tenant.clone(), self.alias.clone()));
                self.endpoint_step(endpoint, known.map(|known| &known.certificate), &read, snapshot.now())
            }
        }
    }

    fn client_step<'a>(
        &'a self,
        (plan, key_type): (&'a str, KeyType),
        known: Option<&ClientCertificate>,
        read: &CertificateDer,
        now: Timestamp,
    ) -> Result<Option<Step<'a>>, PublisherError> {
        if let Some(other) = known.filter(|known| known.key_type != key_type) {
            let (here, there) = (other.key_type.as_contract(), key_type.as_contract());
            let reason =
                format!("is for keys of the type {there}, and here for {here}; delete or rename one of the two");
            return Err(self.refuse(&reason));
        }
        let is_known = known.is_some_and(|known| known.certificate == *read);
        if is_known && known.is_some_and(|known| known.plan == *plan) {
            return Ok(None);
        }
        if !is_known {
            self.check_date(read, now)?;
        }
        let certificate = (!is_known).then_some(&self.bytes[..]);
        Ok(Some(Step::Client { alias: &self.alias, plan, key_type, certificate, is_new: known.is_none() }))
    }

    /// One of the tenant's for backends stays as it is: another one by its alias is refused, because other APIs rely on it.
    fn endpoint_step<'a>(
        &'a self,
        endpoint: &'a str,
        known: Option<&CertificateDer>,
        read: &CertificateDer,
        now: Timestamp,
    ) -> Result<Option<Step<'a>>, PublisherError> {
        match known {
            Some(known) if known == read => return Ok(None),
            Some(_) => return Err(self.refuse("there is another certificate by this alias; delete or rename it")),
            None => {}
        }
        if EndpointPlace::parse(endpoint.trim()).is_none() {
            return Err(self.refuse(&format!("the endpoint {endpoint} is neither a URL nor host:port nor a host")));
        }
        self.check_date(read, now)?;
        Ok(Some(Step::Endpoint { alias: &self.alias, endpoint, certificate: &self.bytes }))
    }

    fn check_date(&self, read: &CertificateDer, now: Timestamp) -> Result<(), PublisherError> {
        match certificate::ended_on(read, now) {
            None => Ok(()),
            Some(day) => Err(self.refuse(&format!("has ended on {day}; take it out of the archive, or renew it"))),
        }
    }
}

/// Checks that the certificates of an archive can be brought along: to an API, where it is there already.
///
/// # Errors
/// Which cannot be, and why.
pub(super) fn check_certificates(
    snapshot: &Snapshot,
    tenant: &TenantDomain,
    api: Option<ApiId>,
    project: &Project,
) -> Result<(), PublisherError> {
    project.certificates.iter().try_for_each(|one| one.step(snapshot, tenant, api).map(drop))
}

impl Registry {
    /// Brings along the certificates of an archive.
    pub(super) async fn bring_certificates(
        &self,
        asker: &Asker,
        id: ApiId,
        project: &Project,
        writes: &mut Writes,
    ) -> Result<(), PublisherError> {
        if project.certificates.is_empty() {
            return Ok(());
        }
        let snapshot = self.snapshot_to_write().await?;
        let tenant = &asker.identity.principal.tenant;
        for one in &project.certificates {
            let asker = asker.clone();
            match one.step(&snapshot, tenant, Some(id))? {
                None => {}
                Some(Step::Client { alias, plan, key_type, certificate, is_new }) => {
                    let put = PutClientCertificate {
                        asker,
                        id: id.to_string(),
                        alias: alias.to_owned(),
                        key_type,
                        plan: Some(plan.to_owned()),
                        certificate: certificate.map(<[u8]>::to_vec),
                        is_new,
                    };
                    writes.add(self.put_client_certificate(put).await?);
                }
                Some(Step::Endpoint { alias, endpoint, certificate }) => {
                    let (endpoint, certificate) = (Some(endpoint.to_owned()), certificate.to_vec());
                    let put = PutEndpointCertificate { asker, alias: alias.to_owned(), endpoint, certificate };
                    writes.add(self.put_endpoint_certificate(put).await?);
                    writes.trusted.push(alias.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Deletes the certificates of backends that an import brought which failed after that.
    pub(super) async fn take_back_certificates(&self, asker: &Asker, aliases: &[String]) {
        for alias in aliases {
            let undo = DeleteEndpointCertificate { asker: asker.clone(), alias: alias.clone() };
            if let Err(error) = self.delete_endpoint_certificate(undo).await {
                tracing::warn!(alias, %error, "a certificate of an import that failed could not be taken back");
            }
        }
    }
}

/// Adds the certificates of an API to an archive, and those that its backends are trusted by.
///
/// # Errors
/// Where a list cannot be written.
pub(super) fn add_certificates(
    (snapshot, files): (&Snapshot, &mut Files),
    api: &Api,
    root: &str,
    format: ArchiveFormat,
) -> Result<(), PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    let of_api = database.client_certificates.range((api.id, String::new())..);
    let of_api: Vec<_> = of_api.take_while(|((its, _), _)| *its == api.id).map(|(_, one)| one).collect();
    for key_type in [KeyType::Production, KeyType::Sandbox] {
        let folder = format!("{root}/{}/{}", OF_CLIENTS.0, key_type.as_contract());
        let of_type = of_api.iter().filter(|one| one.key_type == key_type);
        let of_type = of_type.map(|one| (&one.alias, &one.certificate, json!({"tierName": one.plan})));
        add_list(files, &folder, (OF_CLIENTS.1, of_type.collect()), format)?;
    }
    let trusted = endpoint_trust::of_tenant(database, &api.tenant).filter(|one| has_endpoint_at(api, &one.place));
    let trusted = trusted.map(|one| (&one.alias, &one.certificate, json!({"endpoint": one.endpoint})));
    add_list(files, &format!("{root}/{}", OF_ENDPOINTS.0), (OF_ENDPOINTS.1, trusted.collect()), format)
}

fn add_list(
    files: &mut Files,
    folder: &str,
    (list, all): (&str, Vec<(&String, &CertificateDer, Value)>),
    format: ArchiveFormat,
) -> Result<(), PublisherError> {
    if all.is_empty() {
        return Ok(());
    }
    let mut items = Vec::with_capacity(all.len());
    for (number, (alias, der, mut item)) in all.into_iter().enumerate() {
        // An alias may be what no file can be called.
        let is_plain = alias.chars().all(|one| one.is_ascii_alphanumeric() || "-_".contains(one));
        let file = if is_plain { format!("{alias}.crt") } else { format!("{}.crt", number + 1) };
        files.insert(format!("{folder}/{file}"), certificate::pem(der).into_bytes());
        item["alias"] = json!(alias);
        item["certificate"] = json!(file);
        items.push(item);
    }
    put(files, &format!("{folder}/{list}"), list, &Value::Array(items), format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(meant: Meant) -> (ProjectCertificate, CertificateDer) {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let der = CertificateDer(made.cert.der().to_vec());
        (
            ProjectCertificate {
                alias: "ann".to_owned(),
                file: String::new(),
                bytes: made.cert.pem().into_bytes(),
                meant,
            },
            der,
        )
    }

    #[test]
    fn a_certificate_that_is_known_is_not_asked_for_its_date() {
        let over = Timestamp(u64::MAX);
        let (one, der) = certificate(Meant::Endpoint("https://b:1".to_owned()));
        assert!(one.endpoint_step("https://b:1", Some(&der), &der, over).unwrap().is_none());
        let refused = one.endpoint_step("https://b:1", None, &der, over).err().unwrap().to_string();
        assert!(refused.contains("ann: has ended on 01-01-4096"), "{refused}");
        assert!(one.endpoint_step("https://b:1", Some(&CertificateDer(vec![1])), &der, Timestamp(0)).is_err());

        let known = |key_type, plan: &str| ClientCertificate {
            api: ApiId::from_random([1; 16]),
            alias: "ann".to_owned(),
            plan: plan.to_owned(),
            key_type,
            certificate: der.clone(),
            added_by: portcullis_model::Username("ann".to_owned()),
            added_at: Timestamp(0),
        };
        let step = |known: Option<ClientCertificate>| {
            let step = one.client_step(("Gold", KeyType::Production), known.as_ref(), &der, over);
            step.map(|step| step.map(|step| matches!(step, Step::Client { certificate: None, is_new: false, .. })))
        };
        assert_eq!(step(Some(known(KeyType::Production, "Gold"))).unwrap(), None);
        assert_eq!(step(Some(known(KeyType::Production, "Silver"))).unwrap(), Some(true), "the plan alone changes");
        let other = step(Some(known(KeyType::Sandbox, "Gold"))).unwrap_err().to_string();
        assert!(other.contains("PRODUCTION") && other.contains("SANDBOX"), "{other}");
        assert!(step(None).unwrap_err().to_string().contains("has ended on"));
    }
}
