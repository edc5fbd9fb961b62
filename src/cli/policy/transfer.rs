//! `portcullis policy export` and `import`: a policy from one cluster to another.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde_json::Value;
use url::form_urlencoded;

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{read_document, say_unreached, show_dry_run};

const EXPORT: &str = "/api/am/admin/v4/throttling/policies/export";
const IMPORT: &str = "/api/am/admin/v4/throttling/policies/import";
/// What stands between the parts of a form; no JSON document has such a line.
const BOUNDARY: &str = "portcullis-policy-form";

/// Arguments of `policy export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The policy's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Its level; needed where several have a policy of that name.
    #[arg(long, value_name = "LEVEL", value_parser = ["subscription", "application", "advanced", "custom"])]
    level: Option<String>,
    /// The form.
    #[arg(short, long, value_enum, default_value = "json", value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Arguments of `policy import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// What was exported, in JSON or YAML; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Replace a policy of the same name.
    #[arg(long)]
    overwrite: bool,
    /// Show what would be sent, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what the server answers.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Writes a policy to standard output.
///
/// # Errors
/// Where there is none, or several, or the server cannot be reached.
pub async fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let remote = arguments.remote.connect().await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", &arguments.name);
    if let Some(level) = &arguments.level {
        let short = match level.as_str() {
            "subscription" => "sub",
            "application" => "app",
            "advanced" => "api",
            _ => "global",
        };
        query.append_pair("type", short);
    }
    let path = format!("{EXPORT}?{}", query.finish());
    let body: Value = remote.client.get(&path).await.map_err(|fault| of_client(&fault))?;
    output::value(arguments.output, &body)
}

/// Brings in a policy.
///
/// # Errors
/// Where the file cannot be read, the server refuses, or cannot be reached.
pub async fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let document = read_document(&arguments.file)?;
    let path = if arguments.overwrite { format!("{IMPORT}?overwrite=true") } else { IMPORT.to_owned() };
    if arguments.dry_run {
        return show_dry_run(&Method::POST, &path, &document);
    }
    let remote = arguments.remote.connect().await?;
    let form = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"policy.json\"\r\nContent-Type: \
         application/json\r\n\r\n{document}\r\n--{BOUNDARY}--\r\n"
    );
    let content_type = HeaderValue::from_static("multipart/form-data; boundary=portcullis-policy-form");
    let sent = remote.client.send(Method::POST, &path, &[(CONTENT_TYPE, content_type)], Bytes::from(form)).await;
    let reply = sent.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let policy: Value = reply.json().map_err(|fault| of_client(&fault))?;
    let name = policy["policyName"].as_str().unwrap_or_default();
    output::done(arguments.output, name, &format!("policy {name} is imported"), &policy)
}
