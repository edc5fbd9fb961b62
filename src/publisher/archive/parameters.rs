//! What an archive says of the place that it comes into. The original's client, where it is given parameters, sends the project
//! as `SourceArchive.zip`; beside it `intermediate_params.yaml`, or `Deployment/` with that and a folder of certificates. What
//! these say goes before what the project says.

use portcullis_http::zip::{self, Files};
use portcullis_model::KeyType;
use serde_json::{Map, Value, json};

use super::certificate_files::{ProjectCertificate, refuse_doubles};
use super::parameter_endpoints::{self, with_endpoints};
use super::project::{Project, deployment, read_either, refuse, root_of};
use crate::fault::PublisherError;

/// The archive of the project, and the folder that is in it.
const SOURCE: &str = "SourceArchive.zip";
const SOURCE_FOLDER: &str = "SourceArchive/";
/// The parameters, without their ending, and where they are with certificates.
const STEM: &str = "intermediate_params";
const DEPLOYMENT: &str = "Deployment/";
const CERTIFICATES: &str = "Deployment/certificates/";
/// The parameters of the APIs that a product is made of, by `NAME-VERSION`.
const PARTS: &str = "dependentAPIs";
/// What clients of an API show, as the contract has it among the ways of security.
const MUTUAL_TLS: &str = "mutualssl";

/// What is said of the place.
pub(super) struct Parameters {
    /// The file that says it.
    place: String,
    said: Map<String, Value>,
    /// Certificates by the names of their files.
    certificates: Files,
}

/// Returns the files of the project that is in an archive, and what is said beside it.
///
/// # Errors
/// Where one of the two cannot be read.
pub(super) fn unwrapped(mut files: Files) -> Result<(Files, Option<Parameters>), PublisherError> {
    let Some(root) = files.keys().find_map(|name| root_of(name, SOURCE)) else { return Ok((files, None)) };
    let archive = files.remove(&format!("{root}{SOURCE}")).unwrap_or_default();
    let inner = zip::read(&archive).map_err(|reason| refuse(SOURCE, reason))?;
    // It is the archive of a folder that was given this name.
    let own = |name: String| name.strip_prefix(SOURCE_FOLDER).map(str::to_owned).unwrap_or(name);
    let inner: Files = inner.into_iter().map(|(name, bytes)| (own(name), bytes)).collect();
    let stems = [format!("{root}{DEPLOYMENT}{STEM}"), format!("{root}{STEM}")];
    for stem in stems {
        let said = match read_either(&files, &stem)? {
            None => continue,
            Some(said) => match without_blanks(said) {
                Some(Value::Object(said)) => said,
                None => Map::new(),
                Some(_) => return Err(refuse(&stem, "must hold an object")),
            },
        };
        let folder = format!("{root}{CERTIFICATES}");
        let certificates =
            files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&folder)?.to_owned(), bytes.clone())));
        return Ok((inner, Some(Parameters { place: STEM.to_owned(), said, certificates: certificates.collect() })));
    }
    Ok((inner, None))
}

/// Leaves out what is blank: the client writes a file in which what can be said is blank until somebody says it.
fn without_blanks(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let map: Map<String, Value> =
                map.into_iter().filter_map(|(name, value)| Some((name, without_blanks(value)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(without_blanks).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::String(text) if text.is_empty() => None,
        other => Some(other),
    }
}

impl Parameters {
    /// Lets them go before what a project of an API says.
    ///
    /// # Errors
    /// What is not understood, by its place.
    pub(super) fn apply(mut self, project: &mut Project) -> Result<(), PublisherError> {
        self.apply_endpoints(project)?;
        self.apply_rest(project)
    }

    /// Lets them go before what a project of a product says, and the projects of the APIs that it is made of.
    ///
    /// # Errors
    /// What is not understood, by its place, and an API that is not in the archive.
    pub(super) fn apply_to_product(mut self, product: &mut Project) -> Result<(), PublisherError> {
        let parts = match self.said.shift_remove(PARTS) {
            None => Map::new(),
            Some(Value::Object(parts)) => parts,
            Some(_) => return Err(self.refuse(PARTS, "must be an object")),
        };
        for (name, said) in parts {
            let place = format!("{PARTS}.{name}");
            let Value::Object(said) = said else { return Err(self.refuse(&place, "must be an object")) };
            let of_part = |api: &&mut Project| format!("{}-{}", api.name, api.version) == name;
            let Some(api) = product.apis.iter_mut().find(of_part) else {
                return Err(self.refuse(&place, "is none of the APIs in the archive, NAME-VERSION"));
            };
            let certificates = self.certificates.clone();
            Self { place: format!("{}: {place}", self.place), said, certificates }.apply(api)?;
            product.left_out.append(&mut api.left_out);
        }
        self.apply_rest(product)
    }

    fn refuse(&self, place: &str, reason: impl Into<String>) -> PublisherError {
        refuse(&format!("{}: {place}", self.place), reason)
    }

    fn apply_endpoints(&mut self, project: &mut Project) -> Result<(), PublisherError> {
        let mut said = Map::new();
        for name in parameter_endpoints::NAMES {
            said.extend(self.said.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
        if said.is_empty() {
            return Ok(());
        }
        let before = project.fields.get("endpointConfig").cloned().unwrap_or_default();
        let config = with_endpoints(before, said).map_err(|(place, reason)| self.refuse(&place, reason))?;
        project.fields.insert("endpointConfig".to_owned(), config);
        Ok(())
    }

    fn apply_rest(&mut self, project: &mut Project) -> Result<(), PublisherError> {
        if let Some(deployments) = self.list("deploymentEnvironments")? {
            project.deployments = deployments.iter().map(deployment).collect();
        }
        if let Some(plans) = self.list("policies")? {
            project.fields.insert("policies".to_owned(), plans.into());
        }
        if let Some(list) = self.list("mutualSslCerts")? {
            let certificates = list.iter().map(|one| self.of_client(one)).collect::<Result<Vec<_>, _>>()?;
            project.certificates.retain(|one| !one.is_of_client());
            project.certificates.extend(certificates);
            let mut ways = project.fields.get("securityScheme").and_then(Value::as_array).cloned().unwrap_or_default();
            if !ways.iter().any(|way| way == MUTUAL_TLS) {
                ways.push(json!(MUTUAL_TLS));
            }
            project.fields.insert("securityScheme".to_owned(), ways.into());
        }
        if let Some(list) = self.list("certs")? {
            let certificates = list.iter().map(|one| self.of_endpoint(one)).collect::<Result<Vec<_>, _>>()?;
            project.certificates.retain(ProjectCertificate::is_of_client);
            project.certificates.extend(certificates);
        }
        refuse_doubles(&project.certificates)?;
        let place = &self.place;
        project.left_out.extend(self.said.keys().map(|name| format!("{place}: {name}")));
        Ok(())
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, PublisherError> {
        match self.said.shift_remove(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.refuse(name, "must be a list")),
        }
    }

    fn of_client(&self, one: &Value) -> Result<ProjectCertificate, PublisherError> {
        const PLACE: &str = "mutualSslCerts";
        let plan = one.get("tierName").and_then(Value::as_str).unwrap_or("Unlimited").to_owned();
        let key_type = match one.get("keyType").map(|said| said.as_str().unwrap_or_default()) {
            None => KeyType::Production,
            Some(said) => [KeyType::Production, KeyType::Sandbox]
                .into_iter()
                .find(|known| known.as_contract() == said)
                .ok_or_else(|| self.refuse(PLACE, "keyType must be PRODUCTION or SANDBOX"))?,
        };
        let (alias, file, bytes) = self.certificate(PLACE, one)?;
        Ok(ProjectCertificate::of_client(alias, file, bytes, plan, key_type))
    }

    fn of_endpoint(&self, one: &Value) -> Result<ProjectCertificate, PublisherError> {
        const PLACE: &str = "certs";
        let endpoint = one.get("hostName").and_then(Value::as_str);
        let endpoint = endpoint.ok_or_else(|| self.refuse(PLACE, "each must have a hostName"))?.to_owned();
        let (alias, file, bytes) = self.certificate(PLACE, one)?;
        Ok(ProjectCertificate::of_endpoint(alias, file, bytes, endpoint))
    }

    /// Returns the alias, the file and what is in it.
    fn certificate(&self, place: &str, one: &Value) -> Result<(String, String, Vec<u8>), PublisherError> {
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        let alias = text("alias").ok_or_else(|| self.refuse(place, "each must have an alias"))?;
        let path = text("path").ok_or_else(|| self.refuse(place, format!("{alias}: path must be there")))?;
        let bytes = self.certificates.get(path);
        let bytes = bytes.ok_or_else(|| {
            self.refuse(place, format!("{alias}: {path} is not in the folder certificates beside the parameters"))
        })?;
        Ok((alias.to_owned(), format!("{CERTIFICATES}{path}"), bytes.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "data: {name: pizza, version: 1.0.0, context: /pizza, policies: [Bronze], endpointConfig: {endpoint_type: http, production_endpoints: {url: 'http://a'}}}";

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        zip::write(&files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()).unwrap()
    }

    /// Wraps a project as the original's client does.
    fn wrapped(source: &[(&str, &str)], beside: &[(&str, &str)]) -> Vec<u8> {
        let source: Vec<(String, &[u8])> =
            source.iter().map(|(name, text)| (format!("{SOURCE_FOLDER}{name}"), text.as_bytes())).collect();
        let source: Vec<(&str, &[u8])> = source.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let source = zipped(&source);
        let outer = [("apim1/SourceArchive.zip", &source[..])];
        let beside: Vec<(&str, &[u8])> = beside.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        zipped(&[&outer[..], &beside].concat())
    }

    #[test]
    fn what_is_said_of_the_place_goes_before_what_the_project_says() {
        let said = "endpoints: {production: {url: 'http://b'}, sandbox: {url: }}\npolicies: [Gold, ]\nsecurity: {enabled: }\n\
            deploymentEnvironments: [{deploymentEnvironment: Default, displayOnDevportal: true}]\nother: 1";
        let archive = wrapped(&[("api.yaml", API)], &[("apim1/intermediate_params.yaml", said)]);
        let project = Project::of_archive(&archive).map_err(|error| error.to_string()).unwrap();
        let fields = &project.fields;
        assert_eq!((&fields["name"], &fields["policies"]), (&json!("pizza"), &json!(["Gold"])));
        assert_eq!(
            fields["endpointConfig"],
            json!({"endpoint_type": "http", "production_endpoints": {"url": "http://b"}})
        );
        assert_eq!(project.deployments[0]["name"], "Default");
        assert_eq!(project.left_out, ["intermediate_params: other"]);
        let blank =
            wrapped(&[("api.yaml", API)], &[("apim1/intermediate_params.yaml", "endpoints: {production: {url: }}")]);
        let blank = Project::of_archive(&blank).map_err(|error| error.to_string()).unwrap();
        assert_eq!((&blank.fields["policies"], blank.deployments.len()), (&json!(["Bronze"]), 0));
        assert_eq!(blank.fields["endpointConfig"]["production_endpoints"]["url"], "http://a");
    }

    #[test]
    fn certificates_come_from_the_folder_beside() {
        let said = "mutualSslCerts: [{tierName: Gold, alias: bob, path: bob.crt, keyType: SANDBOX}]\n\
            certs: [{hostName: 'https://b', alias: alice, path: alice.crt}]";
        let params = "apim1/Deployment/intermediate_params.yaml";
        let bob = ("apim1/Deployment/certificates/bob.crt", "B");
        let alice = ("apim1/Deployment/certificates/alice.crt", "A");
        let archive = wrapped(&[("api.yaml", API)], &[(params, said), bob, alice]);
        let project = Project::of_archive(&archive).map_err(|error| error.to_string()).unwrap();
        assert_eq!(project.fields["securityScheme"], json!(["mutualssl"]));
        assert_eq!(
            project.certificates.iter().map(ProjectCertificate::is_of_client).collect::<Vec<_>>(),
            [true, false]
        );
        for (said, beside, why) in [
            (said, vec![bob], "alice: alice.crt is not in the folder certificates"),
            ("certs: [{alias: alice, path: alice.crt}]", vec![alice], "hostName"),
            ("mutualSslCerts: [{alias: bob, path: bob.crt, keyType: OTHER}]", vec![bob], "keyType"),
            ("mutualSslCerts: 1", vec![], "must be a list"),
            ("[1]", vec![], "must hold an object"),
        ] {
            let archive = wrapped(&[("api.yaml", API)], &[&[(params, said)][..], &beside].concat());
            let refused = Project::of_archive(&archive).map(drop).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_product_without_a_version_has_the_first_and_says_where_its_apis_are() {
        let product = "data: {name: meal, context: /meal, apis: [{name: pizza, version: 1.0.0}]}";
        let source = [("api_product.yaml", product), ("APIs/pizza-1.0.0/api.yaml", API)];
        let said =
            "dependentAPIs: {pizza-1.0.0: {endpoints: {production: {url: 'http://b'}}, more: 1}}\npolicies: [Gold]";
        let archive = wrapped(&source, &[("apim1/intermediate_params.yaml", said)]);
        let project = Project::of_product_archive(&archive).map_err(|error| error.to_string()).unwrap();
        assert_eq!((&*project.version, &project.fields["version"]), ("1.0.0", &json!("1.0.0")));
        assert_eq!(project.fields["policies"], json!(["Gold"]));
        assert_eq!(project.apis[0].fields["endpointConfig"]["production_endpoints"]["url"], "http://b");
        assert_eq!(project.left_out, ["intermediate_params: dependentAPIs.pizza-1.0.0: more"]);
        let archive =
            wrapped(&source, &[("apim1/intermediate_params.yaml", "dependentAPIs: {pasta-1: {policies: [Gold]}}")]);
        let refused = Project::of_product_archive(&archive).map(drop).unwrap_err().to_string();
        assert!(refused.contains("dependentAPIs.pasta-1"), "{refused}");
    }
}
