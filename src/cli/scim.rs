//! Users and roles over SCIM, as the commands for both need them: found by name, changed, shown.

use clap::Args;
use http::Method;
use portcullis_http::client::Client;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::remote::{RemoteArguments, of_client};
use crate::request::{confirm, say_unreached, send, show_dry_run};

/// Where users are.
pub const USERS: &str = "/scim2/Users";
/// Where roles are.
pub const ROLES: &str = "/scim2/Groups";

/// Encodes a text for a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns what is kept at a path, and the attribute that names one.
fn words_of(path: &str) -> (&'static str, &'static str) {
    if path == USERS { ("user", "userName") } else { ("role", "displayName") }
}

/// Finds the user or the role of a name.
///
/// # Errors
/// Where there is none, and where the server cannot be asked.
pub async fn find(client: &Client, path: &str, name: &str) -> Result<Value, Failure> {
    let (noun, attribute) = words_of(path);
    let filter = format!("{attribute} eq {}", Value::from(name));
    let found: Value =
        client.get(&format!("{path}?filter={}", encoded(&filter))).await.map_err(|fault| of_client(&fault))?;
    found["Resources"].get(0).cloned().ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no {noun} {name}"),
            "the tenant that you signed in to has none of that name",
            format!("portcullis {noun} list"),
        )
    })
}

/// Returns the path of a user or role that was found.
#[must_use]
pub fn path_of(path: &str, found: &Value) -> String {
    format!("{path}/{}", found["id"].as_str().unwrap_or_default())
}

/// How a user or role is deleted.
#[derive(Debug, Args)]
pub struct Deletion {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// Deletes the user or the role of a name.
///
/// # Errors
/// Where there is none, it is not confirmed, and where the server refuses or cannot be reached.
pub async fn delete(path: &str, name: &str, how: &Deletion) -> Result<(), Failure> {
    let remote = how.remote.connect().await?;
    let found = find(&remote.client, path, name).await?;
    let (noun, one) = (words_of(path).0, path_of(path, &found));
    if how.dry_run {
        return show_dry_run(&Method::DELETE, &one, &Value::Null);
    }
    confirm(noun, name, how.yes)?;
    let reply = remote.client.delete(&one).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    let whole = json!({"id": found["id"], words_of(path).1: name, "deleted": true});
    output::done(how.output, name, &format!("{noun} {name} is deleted"), &whole)
}

/// Returns a change of a user or role.
#[must_use]
pub fn patch(operations: &[Value]) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// Gives users a role, or takes it from them.
///
/// # Errors
/// Where there is no such role or user, and where the server refuses or cannot be reached.
pub async fn change_holders(client: &Client, role: &str, users: &[String], is_given: bool) -> Result<Value, Failure> {
    let found = find(client, ROLES, role).await?;
    let mut operations = Vec::new();
    for user in users {
        let id = find(client, USERS, user).await?["id"].clone();
        operations.push(if is_given {
            json!({"op": "add", "path": "members", "value": [{"value": id}]})
        } else {
            json!({"op": "remove", "path": format!("members[value eq {id}]")})
        });
    }
    send(client, Method::PATCH, &path_of(ROLES, &found), &patch(&operations)).await
}

/// Shows a list of SCIM: the REST body unchanged as JSON or YAML, rows as a table, names alone.
///
/// # Errors
/// Where standard output cannot be written.
pub fn show(format: Format, body: &Value, heads: &[&str], row: impl Fn(&Value) -> Vec<String>) -> Result<(), Failure> {
    let one = std::slice::from_ref(body);
    let resources = body.get("Resources").and_then(Value::as_array).map_or(one, Vec::as_slice);
    match format {
        Format::Json | Format::Yaml => output::value(format, body),
        Format::Name => {
            let names: Vec<String> = resources.iter().filter_map(|one| row(one).into_iter().next()).collect();
            if names.is_empty() { Ok(()) } else { output::data(&names.join("\n")) }
        }
        Format::Table => output::data(&output::table(heads, resources.iter().map(row))),
    }
}

/// Returns the texts of a multi-valued attribute's part, joined.
#[must_use]
pub fn joined(values: &Value, part: &str) -> String {
    let texts: Vec<&str> = values.as_array().into_iter().flatten().filter_map(|value| value[part].as_str()).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

/// Returns a text as a person reads it.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// Puts a text into a document where there is one.
pub fn put(document: &mut Map<String, Value>, name: &str, text: Option<&String>) {
    if let Some(text) = text {
        document.insert(name.to_owned(), json!(text));
    }
}
