//! What the files of an archive mean: the layout of the original's command-line client, version 4.

use std::collections::BTreeMap;

use portcullis_http::contract::document::DocumentBody;
use portcullis_http::zip::{self, Files};
use portcullis_model::KeyType;
use serde_json::{Map, Value, json};

use super::certificate_files::{ProjectCertificate, certificates_in};
use super::left_out::left_out;
use super::mediation_policies::take_policies;
use super::parameters::unwrapped;
use super::policy::policies_in;
use super::soap_sequences::take_sequences;
use crate::design::{Design, asyncapi, graphql, wsdl};
use crate::dto::product::FIRST_VERSION;
use crate::fault::{FieldFault, PublisherError};
use crate::openapi::aside;
use crate::openapi::document::parse_text;

/// A folder of an archive that is not brought along: what is in it would silently not be in force.
const REFUSED_FOLDER: (&str, &str) = ("Sequences/", "apply operation policies instead");
/// The file of a product, without its ending, and the folder of the APIs that it is made of.
const PRODUCT: &str = "api_product";
const PARTS: &str = "APIs/";
/// The files by which an archive is one of an MCP server.
const MCP_SERVER: [&str; 2] = ["mcp_server.yaml", "mcp_server.json"];
const NO_MCP_SERVERS: &str = "the archive is that of an MCP server; MCP servers are not carried";
/// The version that files name.
const VERSION: &str = "v4.5.0";

/// How the files of an archive are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// An API as an archive has it.
pub(super) struct Project {
    pub(super) name: String,
    pub(super) version: String,
    /// The fields of the REST contract.
    pub(super) fields: Map<String, Value>,
    /// The definition, in the language of its type.
    pub(super) definition: Option<Definition>,
    /// What the fields of an API of GraphQL cost, as the REST contract has it.
    pub(super) field_costs: Option<Map<String, Value>>,
    /// Where it is to be deployed, as the REST contract has it.
    pub(super) deployments: Vec<Value>,
    pub(super) documents: Vec<ProjectDocument>,
    pub(super) picture: Option<Vec<u8>>,
    /// Endpoints that have names, as the REST contract has them.
    pub(super) endpoints: Vec<Map<String, Value>>,
    /// Sequences that answer in the place of backends, with the type of the keys that they are for.
    pub(super) sequences: Vec<(KeyType, String)>,
    /// Certificates of clients and backends.
    pub(super) certificates: Vec<ProjectCertificate>,
    /// Specifications of operation policies, with their definitions.
    pub(super) policies: Vec<(String, Option<String>)>,
    /// Of a product: the APIs that it is made of.
    pub(super) apis: Vec<Project>,
    /// Files that were not read.
    pub(super) left_out: Vec<String>,
}

/// The definition of an API, in the language of its type.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    Openapi(String),
    Graphql(String),
    Asyncapi(String),
    /// A document or an archive.
    Wsdl(Vec<u8>),
}

/// A document of an API, with what is in it.
pub(super) struct ProjectDocument {
    pub(super) body: DocumentBody,
    pub(super) content: Option<(String, Vec<u8>)>,
}

pub(super) fn refuse(place: &str, reason: impl Into<String>) -> PublisherError {
    PublisherError::Fields(vec![FieldFault::new(place, reason)])
}

impl Project {
    /// Understands an archive of an API, with what is said beside of the place that it comes into.
    ///
    /// # Errors
    /// What is missing or not understood, by file.
    pub(super) fn of_archive(archive: &[u8]) -> Result<Self, PublisherError> {
        let (files, parameters) = unwrapped(files_of(archive)?)?;
        let mut project = Self::of(&files)?;
        parameters.map(|parameters| parameters.apply(&mut project)).transpose()?;
        Ok(project)
    }

    /// Understands an archive of a product, with what is said beside of the place that it comes into.
    ///
    /// # Errors
    /// What is missing or not understood, by file.
    pub(super) fn of_product_archive(archive: &[u8]) -> Result<Self, PublisherError> {
        let (files, parameters) = unwrapped(files_of(archive)?)?;
        let mut project = Self::of_product(&files)?;
        parameters.map(|parameters| parameters.apply_to_product(&mut project)).transpose()?;
        Ok(project)
    }

    fn of(files: &Files) -> Result<Self, PublisherError> {
        Self::of_stem(files, "api").map(|(project, _)| project)
    }

    fn of_product(files: &Files) -> Result<Self, PublisherError> {
        let (mut project, root) = Self::of_stem(files, PRODUCT)?;
        // Products had no versions before 4.2.
        if project.version.is_empty() {
            FIRST_VERSION.clone_into(&mut project.version);
            project.fields.insert("version".to_owned(), json!(FIRST_VERSION));
        }
        let folder = format!("{root}{PARTS}");
        let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
        for (name, bytes) in files {
            if let Some((api, rest)) = name.strip_prefix(&folder).and_then(|rest| rest.split_once('/')) {
                folders.entry(api).or_default().insert(rest.to_owned(), bytes.clone());
            }
        }
        for (name, files) in &folders {
            let api = Self::of(files)?;
            project.left_out.extend(api.left_out.iter().map(|file| format!("{folder}{name}/{file}")));
            project.apis.push(api);
        }
        Ok(project)
    }

    fn of_stem(files: &Files, stem: &str) -> Result<(Self, String), PublisherError> {
        let names = ["yaml", "json"].map(|end| format!("{stem}.{end}"));
        let first = |names: &[String]| files.keys().find_map(|name| names.iter().find_map(|file| root_of(name, file)));
        let root = first(&names).ok_or_else(|| match first(&MCP_SERVER.map(str::to_owned)) {
            Some(_) => refuse(MCP_SERVER[0], NO_MCP_SERVERS),
            None => refuse("file", format!("the archive has no {} in its first folder", names.join(" or "))),
        })?;
        let within = |path: &str| format!("{root}{path}");
        let (folder, instead) = REFUSED_FOLDER;
        if files.keys().any(|name| name.starts_with(&within(folder))) {
            return Err(refuse(folder, format!("is not imported: take it out of the archive, and {instead}")));
        }
        let Some(Value::Object(mut fields)) = read_either(files, &within(stem))? else {
            return Err(refuse(&names[0], "must hold an object under `data`"));
        };
        if fields.get("type").is_some_and(|kind| kind == "MCP") {
            return Err(refuse(&names[0], NO_MCP_SERVERS));
        }
        take_policies(&mut fields)?;
        if fields.get("type").is_some_and(|kind| kind == "SOAPTOREST") {
            take_sequences(&mut fields, files, &root)?;
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let definition = Definition::of(files, &root, &text("type"))?;
        let field_costs = match read_either(files, &within("Definitions/graphql-complexity"))? {
            Some(Value::Object(costs)) => Some(costs),
            None | Some(Value::Null) => None,
            Some(_) => return Err(refuse("Definitions/graphql-complexity", "must hold an object under `data`")),
        };
        let deployments = match read_either(files, &within("deployment_environments"))? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(deployment).collect(),
            Some(_) => return Err(refuse("deployment_environments.yaml", "must hold a list under `data`")),
        };
        let endpoints = match read_either(files, &within("endpoints"))? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.into_iter().map(endpoint).collect::<Result<_, _>>()?,
            Some(_) => return Err(refuse("endpoints.yaml", "must hold a list under `data`")),
        };
        let sequences = match read_either(files, &within("sequence_backends"))? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(sequence).collect::<Result<_, _>>()?,
            Some(_) => return Err(refuse("sequence_backends.yaml", "must hold a list under `data`")),
        };
        let picture = files.iter().find(|(name, _)| name.starts_with(&within("Image/icon")));
        let project = Self {
            name: text("name"),
            version: text("version"),
            definition,
            field_costs,
            deployments,
            documents: documents(files, &within("Docs/"))?,
            picture: picture.map(|(_, bytes)| bytes.clone()),
            endpoints,
            sequences,
            certificates: certificates_in(files, &root)?,
            policies: policies_in(files, &within("Policies/"))?,
            apis: Vec::new(),
            left_out: left_out(files, &root, stem, (stem == PRODUCT).then_some(PARTS)),
            fields,
        };
        Ok((project, root))
    }
}

fn files_of(archive: &[u8]) -> Result<Files, PublisherError> {
    zip::read(archive).map_err(|reason| PublisherError::field("file", reason))
}

fn endpoint(item: Value) -> Result<Map<String, Value>, PublisherError> {
    match item {
        Value::Object(fields) => Ok(fields),
        _ => Err(refuse("endpoints.yaml", "must hold a list of objects under `data`")),
    }
}

fn sequence(item: &Value) -> Result<(KeyType, String), PublisherError> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let mut stages = [KeyType::Production, KeyType::Sandbox].into_iter();
    let stage = stages.find(|stage| text("sequenceType") == Some(stage.as_contract()));
    let found = stage.zip(text("sequence").map(str::to_owned));
    found.ok_or_else(|| {
        refuse("sequence_backends.yaml", "each must have a sequenceType, PRODUCTION or SANDBOX, and a sequence")
    })
}

impl Definition {
    /// Finds the definition of an API of a type; the original has an OpenAPI document beside that of other types, which
    /// says nothing that they do not.
    fn of(files: &Files, root: &str, kind: &str) -> Result<Option<Self>, PublisherError> {
        let find = |path: &str| files.get(&format!("{root}{path}"));
        let text =
            |path: &str, bytes: &Vec<u8>| String::from_utf8(bytes.clone()).map_err(|_| refuse(path, "is not UTF-8"));
        let either = |stem: &str| ["yaml", "json"].iter().find_map(|end| find(&format!("Definitions/{stem}.{end}")));
        match kind {
            "GRAPHQL" => {
                let path = "Definitions/schema.graphql";
                let schema = find(path).ok_or_else(|| refuse(path, "must be there: the API is of the type GRAPHQL"))?;
                Ok(Some(Self::Graphql(text(path, schema)?)))
            }
            "SOAP" => {
                let folder = format!("{root}WSDL/");
                let mut all = files.iter().filter(|(name, _)| name.starts_with(&folder));
                match (all.next(), all.next()) {
                    (None, _) => Ok(None),
                    (Some((_, bytes)), None) => Ok(Some(Self::Wsdl(bytes.clone()))),
                    _ => {
                        Err(refuse("WSDL/", "holds several files; put them in one zip file with the WSDL at its root"))
                    }
                }
            }
            "WS" | "SSE" | "WEBSUB" => {
                either("asyncapi").map(|bytes| text("Definitions/asyncapi.yaml", bytes).map(Self::Asyncapi)).transpose()
            }
            "" | "HTTP" | "SOAPTOREST" => {
                either("swagger").map(|bytes| text("Definitions/swagger.yaml", bytes).map(Self::Openapi)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// Reads a definition in another language than OpenAPI.
    ///
    /// # Errors
    /// What is wrong with it; `None` for OpenAPI, which is read where it is imported.
    pub(super) async fn design(&self) -> Result<Option<Design>, PublisherError> {
        match self.clone() {
            Self::Openapi(_) => Ok(None),
            Self::Graphql(text) => aside(move || graphql::read(&text)).await?.map(Some),
            Self::Asyncapi(text) => aside(move || asyncapi::read(&text)).await?.map(|(design, _)| Some(design)),
            Self::Wsdl(bytes) => aside(move || wsdl::read(&bytes)).await?.map(|(design, _)| Some(design)),
        }
    }
}

/// Returns the folder that a file is in, with its slash: the first of the archive, or none.
pub(super) fn root_of(name: &str, file: &str) -> Option<String> {
    let folder = name.strip_suffix(file)?;
    (folder.is_empty() || folder.find('/') == Some(folder.len() - 1)).then(|| folder.to_owned())
}

/// Reads a file in whichever of the two forms it is there: what is under `data`, or all of it where there is no such.
pub(super) fn read_either(files: &Files, stem: &str) -> Result<Option<Value>, PublisherError> {
    let found = ["yaml", "json"].iter().find_map(|end| {
        let name = format!("{stem}.{end}");
        files.get(&name).map(|bytes| (name, bytes))
    });
    let Some((name, bytes)) = found else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(&name, "is not UTF-8"))?;
    let mut value = parse_text(text).map_err(|error| refuse(&name, error.to_string()))?;
    match value.get_mut("data") {
        Some(data) => Ok(Some(data.take())),
        None => Ok(Some(value)),
    }
}

pub(super) fn deployment(item: &Value) -> Value {
    json!({
        "name": item.get("deploymentEnvironment"),
        "vhost": item.get("deploymentVhost"),
        "displayOnDevportal": item.get("displayOnDevportal"),
    })
}

fn documents(files: &Files, folder: &str) -> Result<Vec<ProjectDocument>, PublisherError> {
    let mut found = Vec::new();
    for name in files.keys().filter(|name| name.starts_with(folder)) {
        let Some(own) = name.strip_suffix("/document.yaml").or_else(|| name.strip_suffix("/document.json")) else {
            continue;
        };
        let said = read_either(files, &format!("{own}/document"))?.unwrap_or_default();
        let body = serde_json::from_value(said).map_err(|error| refuse(name, error.to_string()))?;
        let beside = files.iter().find(|(other, _)| {
            let is_inside = other.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'));
            is_inside && !other.ends_with("/document.yaml") && !other.ends_with("/document.json")
        });
        let content =
            beside.map(|(other, bytes)| (other.rsplit('/').next().unwrap_or_default().to_owned(), bytes.clone()));
        found.push(ProjectDocument { body, content });
    }
    Ok(found)
}

/// Writes a file of an archive: what it is of, which version, and the data.
///
/// # Errors
/// Where it cannot be written as YAML.
pub(super) fn put(
    files: &mut Files,
    stem: &str,
    kind: &str,
    data: &Value,
    format: ArchiveFormat,
) -> Result<(), PublisherError> {
    let whole = json!({"type": kind, "version": VERSION, "data": data});
    let (name, text) = written(stem, &whole, format)?;
    files.insert(name, text.into_bytes());
    Ok(())
}

/// Writes a value in a form, with the name that its file has then.
///
/// # Errors
/// Where it cannot be written as YAML.
pub(super) fn written(stem: &str, value: &Value, format: ArchiveFormat) -> Result<(String, String), PublisherError> {
    match format {
        ArchiveFormat::Json => Ok((format!("{stem}.json"), crate::registry::pretty(value))),
        ArchiveFormat::Yaml => {
            let text = serde_saphyr::to_string(value).map_err(|error| refuse(stem, error.to_string()))?;
            Ok((format!("{stem}.yaml"), text))
        }
    }
}
