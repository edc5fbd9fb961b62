//! Certificates in archives: those that clients of an API are known by, and those that its backends are trusted by.

use portcullis_database::{Apimgtdb, endpoint_trust};
use portcullis_http::zip::Files;
use portcullis_model::client_certificate::CertificateDer;
use portcullis_model::{Api, ApiId, KeyType};
use serde_json::{Value, json};

use super::project::{ArchiveFormat, Project, put, read_either, refuse};
use super::writes::Writes;
use crate::dto::certificate;
use crate::fault::PublisherError;
use crate::messages::{
    Asker, ListClientCertificates, ListEndpointCertificates, PutClientCertificate, PutEndpointCertificate,
};
use crate::registry::{Registry, Snapshot, has_endpoint_at};

/// The folders of the original's client, and the files in them that say what is there.
const OF_CLIENTS: (&str, &str) = ("Client-certificates", "client_certificates");
const OF_ENDPOINTS: (&str, &str) = ("Endpoint-certificates", "endpoint_certificates");

/// A certificate of an archive.
pub(super) struct ProjectCertificate {
    alias: String,
    /// The certificate as it is in its file.
    bytes: Vec<u8>,
    meant: Meant,
}

/// What a certificate is for.
enum Meant {
    /// Clients of the API: the business plan, and the type of their keys.
    Client(String, KeyType),
    /// A backend: its address.
    Endpoint(String),
}

/// Reads the certificates of an archive.
///
/// # Errors
/// A file that is not listed, or a certificate without its file or address.
pub(super) fn certificates_in(files: &Files, root: &str) -> Result<Vec<ProjectCertificate>, PublisherError> {
    let mut all = Vec::new();
    // The folder itself is that of older versions.
    for (inner, key_type) in
        [("", KeyType::Production), ("PRODUCTION/", KeyType::Production), ("SANDBOX/", KeyType::Sandbox)]
    {
        for item in listed(files, root, OF_CLIENTS, inner)? {
            let plan = item.said("tierName").unwrap_or_else(|| "Unlimited".to_owned());
            all.push(item.certificate(Meant::Client(plan, key_type))?);
        }
    }
    for item in listed(files, root, OF_ENDPOINTS, "")? {
        let missing = || refuse(&item.place, format!("{}: endpoint must be there", item.alias));
        let endpoint = item.said("endpoint").ok_or_else(missing)?;
        all.push(item.certificate(Meant::Endpoint(endpoint))?);
    }
    for (folder, _) in [OF_CLIENTS, OF_ENDPOINTS] {
        let folder = format!("{root}{folder}/");
        let is_lost = |name: &&String| name.starts_with(&folder) && !name.ends_with('/');
        if all.is_empty()
            && let Some(lost) = files.keys().find(is_lost)
        {
            return Err(refuse(lost, "is named by no list of certificates beside it"));
        }
    }
    Ok(all)
}

/// An entry of a list of certificates.
struct Item<'a> {
    alias: String,
    said: Value,
    /// The folder that its file is in.
    folder: String,
    place: String,
    files: &'a Files,
}

impl Item<'_> {
    fn said(&self, name: &str) -> Option<String> {
        self.said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn certificate(&self, meant: Meant) -> Result<ProjectCertificate, PublisherError> {
        let file = self.said("certificate").unwrap_or_else(|| format!("{}.crt", self.alias));
        let bytes = self.files.get(&format!("{}{file}", self.folder));
        let bytes =
            bytes.ok_or_else(|| refuse(&self.place, format!("{}: {file} is not in the archive", self.alias)))?;
        Ok(ProjectCertificate { alias: self.alias.clone(), bytes: bytes.clone(), meant })
    }
}

fn listed<'a>(
    files: &'a Files,
    root: &str,
    (folder, list): (&str, &str),
    inner: &str,
) -> Result<Vec<Item<'a>>, PublisherError> {
    let folder = format!("{root}{folder}/{inner}");
    let place = format!("{folder}{list}");
    let items = match read_either(files, &place)? {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(refuse(&place, "must hold a list under `data`")),
    };
    let one = |said: Value| {
        let alias = said.get("alias").and_then(Value::as_str).filter(|alias| !alias.is_empty());
        let alias = alias.ok_or_else(|| refuse(&place, "each certificate must have an alias"))?.to_owned();
        Ok(Item { alias, said, folder: folder.clone(), place: place.clone(), files })
    };
    items.into_iter().map(one).collect()
}

impl Registry {
    /// Brings along the certificates of an archive. One of the tenant's for backends stays as it is: another one by its alias
    /// is refused, because other APIs rely on it.
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
        let list = ListClientCertificates { asker: asker.clone(), id: id.to_string() };
        let of_clients = self.list_client_certificates(list).await?.value;
        let list = ListEndpointCertificates { asker: asker.clone() };
        let of_endpoints = self.list_endpoint_certificates(list).await?.value;
        for one in &project.certificates {
            let (asker, alias) = (asker.clone(), one.alias.clone());
            match &one.meant {
                Meant::Client(plan, key_type) => {
                    let is_new = of_clients.iter().all(|known| known.alias != alias);
                    let put = PutClientCertificate {
                        asker,
                        id: id.to_string(),
                        alias,
                        key_type: *key_type,
                        plan: Some(plan.clone()),
                        certificate: Some(one.bytes.clone()),
                        is_new,
                    };
                    writes.add(self.put_client_certificate(put).await?);
                }
                Meant::Endpoint(endpoint) => {
                    let known = of_endpoints.iter().find(|known| known.alias == alias);
                    let now = self.handle.view().now();
                    let read = certificate::read(&one.bytes, now).map_err(|bad| PublisherError::Fields(vec![bad]))?;
                    match known {
                        Some(known) if known.certificate == read => continue,
                        Some(_) => {
                            let reason =
                                format!("there is another certificate by the alias {alias}; delete or rename it");
                            return Err(refuse(OF_ENDPOINTS.0, reason));
                        }
                        None => {}
                    }
                    let (endpoint, certificate) = (Some(endpoint.clone()), one.bytes.clone());
                    let put = PutEndpointCertificate { asker, alias, endpoint, certificate };
                    writes.add(self.put_endpoint_certificate(put).await?);
                }
            }
        }
        Ok(())
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

    fn files(all: &[(&str, &str)]) -> Files {
        all.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn certificates_are_read_with_what_they_are_for() {
        let of_clients = "data:\n- {alias: ann, certificate: ann.crt, tierName: Gold}\n";
        let all = certificates_in(
            &files(&[
                ("a/Client-certificates/SANDBOX/client_certificates.yaml", of_clients),
                ("a/Client-certificates/SANDBOX/ann.crt", "PEM"),
                ("a/Endpoint-certificates/endpoint_certificates.yaml", "data: [{alias: b, endpoint: 'https://b:1'}]"),
                ("a/Endpoint-certificates/b.crt", "PEM"),
            ]),
            "a/",
        )
        .unwrap();
        assert!(matches!(&all[0].meant, Meant::Client(plan, KeyType::Sandbox) if plan == "Gold"));
        assert!(matches!(&all[1].meant, Meant::Endpoint(place) if place == "https://b:1"));
        for bad in [
            &[("a/Client-certificates/client_certificates.yaml", of_clients)][..],
            &[("a/Client-certificates/ann.crt", "PEM")],
            &[
                ("a/Endpoint-certificates/endpoint_certificates.yaml", "data: [{alias: b}]"),
                ("a/Endpoint-certificates/b.crt", ""),
            ],
        ] {
            assert!(certificates_in(&files(bad), "a/").is_err(), "{bad:?}");
        }
    }
}
