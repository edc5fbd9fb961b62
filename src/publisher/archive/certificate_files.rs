//! Certificates in the files of archives: those that clients of an API are known by, and those that its backends are trusted by.

use std::collections::BTreeSet;

use portcullis_http::zip::Files;
use portcullis_model::KeyType;
use serde_json::Value;

use super::project::{read_either, refuse};
use crate::fault::PublisherError;

/// The folders of the original's client, and the files in them that say what is there.
pub(super) const OF_CLIENTS: (&str, &str) = ("Client-certificates", "client_certificates");
pub(super) const OF_ENDPOINTS: (&str, &str) = ("Endpoint-certificates", "endpoint_certificates");

/// A certificate of an archive.
pub(super) struct ProjectCertificate {
    pub(super) alias: String,
    /// The name of its file.
    pub(super) file: String,
    /// The certificate as it is in there.
    pub(super) bytes: Vec<u8>,
    pub(super) meant: Meant,
}

/// What a certificate is for.
pub(super) enum Meant {
    /// Clients of the API: the business plan, and the type of their keys.
    Client(String, KeyType),
    /// A backend: its address.
    Endpoint(String),
}

/// Reads the certificates of an archive.
///
/// # Errors
/// A file that is not listed, a certificate without its file or address, or two of one alias.
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
    let folders = [OF_CLIENTS, OF_ENDPOINTS].map(|(folder, _)| format!("{root}{folder}/"));
    let is_of_one = |name: &&String| folders.iter().any(|folder| name.starts_with(folder));
    let is_list = |name: &str| {
        let stem = [".yaml", ".json"].iter().find_map(|end| name.strip_suffix(end));
        stem.is_some_and(|stem| [OF_CLIENTS.1, OF_ENDPOINTS.1].iter().any(|list| stem.ends_with(&format!("/{list}"))))
    };
    let is_named = |name: &str| all.iter().any(|one| one.file == *name);
    if let Some(lost) = files.keys().filter(is_of_one).find(|name| !is_list(name) && !is_named(name)) {
        return Err(refuse(lost, "is named by no list of certificates beside it"));
    }
    refuse_doubles(&all)?;
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
        let found = self.files.get_key_value(&format!("{}{file}", self.folder));
        let (file, bytes) =
            found.ok_or_else(|| refuse(&self.place, format!("{}: {file} is not in the archive", self.alias)))?;
        Ok(ProjectCertificate { alias: self.alias.clone(), file: file.clone(), bytes: bytes.clone(), meant })
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

/// Refuses an alias that is there twice: of clients it is one name for both types of keys.
pub(super) fn refuse_doubles(all: &[ProjectCertificate]) -> Result<(), PublisherError> {
    let mut seen = BTreeSet::new();
    match all.iter().find(|one| !seen.insert((one.place(), &one.alias))) {
        None => Ok(()),
        Some(one) => Err(one.refuse("is the alias of two certificates; rename one of them")),
    }
}

impl ProjectCertificate {
    /// Returns one that clients of the API are known by.
    pub(super) fn of_client(alias: String, file: String, bytes: Vec<u8>, plan: String, key_type: KeyType) -> Self {
        Self { alias, file, bytes, meant: Meant::Client(plan, key_type) }
    }

    /// Returns one that a backend is trusted by.
    pub(super) fn of_endpoint(alias: String, file: String, bytes: Vec<u8>, endpoint: String) -> Self {
        Self { alias, file, bytes, meant: Meant::Endpoint(endpoint) }
    }

    pub(super) fn is_of_client(&self) -> bool {
        matches!(self.meant, Meant::Client(..))
    }

    fn place(&self) -> &'static str {
        match self.meant {
            Meant::Client(..) => OF_CLIENTS.0,
            Meant::Endpoint(_) => OF_ENDPOINTS.0,
        }
    }

    pub(super) fn refuse(&self, reason: &str) -> PublisherError {
        refuse(self.place(), format!("{}: {reason}", self.alias))
    }
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
            // A file beside the one that is named.
            &[
                ("a/Client-certificates/client_certificates.yaml", of_clients),
                ("a/Client-certificates/ann.crt", "PEM"),
                ("a/Client-certificates/bob.crt", "PEM"),
            ],
            // One alias for both types of keys.
            &[
                ("a/Client-certificates/PRODUCTION/client_certificates.yaml", of_clients),
                ("a/Client-certificates/PRODUCTION/ann.crt", "PEM"),
                ("a/Client-certificates/SANDBOX/client_certificates.yaml", of_clients),
                ("a/Client-certificates/SANDBOX/ann.crt", "PEM"),
            ],
        ] {
            assert!(certificates_in(&files(bad), "a/").is_err(), "{bad:?}");
        }
    }
}
