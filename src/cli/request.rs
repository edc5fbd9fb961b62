//! What commands that change things share: documents from files, answers with the nodes that were not reached, confirmation.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use http::Method;
use portcullis_http::client::{Client, Reply};
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::{Failure, why_no_yaml};
use crate::output;
use crate::remote::of_client;

/// Bytes of a document.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Reads a JSON or YAML document from a file, or from standard input where the name is `-`.
///
/// # Errors
/// Where it cannot be read, or is neither.
pub(crate) fn read_document(file: &Path) -> Result<Value, Failure> {
    let what = || format!("{} cannot be read", file.display());
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(DOCUMENT_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(DOCUMENT_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|cause| {
        Failure::from_io(what(), &cause, "give a file with a policy in JSON or YAML, or - for standard input")
    })?;
    let parsed: Result<Value, String> = match serde_json::from_str(&text) {
        Ok(value) => Ok(value),
        Err(_) => serde_saphyr::from_str(&text).map_err(|fault| why_no_yaml(&fault)),
    };
    parsed.map_err(|why| {
        Failure::new(
            Exit::Failed,
            what(),
            why,
            "write it as the server shows it: portcullis policy plan show Gold -o yaml",
        )
    })
}

/// Reads a document that has fields; `example` is the command that shows one.
///
/// # Errors
/// Where it cannot be read, or is something else.
pub(crate) fn read_object(file: &Path, example: &str) -> Result<Value, Failure> {
    let document = read_document(file)?;
    if document.is_object() {
        return Ok(document);
    }
    let next = format!("write it as the server shows it: {example}");
    Err(Failure::new(Exit::Failed, format!("{} is not usable", file.display()), "it is not an object", next))
}

/// Sends a document, and tells of the nodes that do not act on it yet.
///
/// # Errors
/// Where the server refuses or cannot be reached.
pub(crate) async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
    let reply = client.send_json(method, path, body).await.map_err(|fault| of_client(&fault))?;
    say_unreached(&reply);
    reply.json().map_err(|fault| of_client(&fault))
}

/// Tells of the nodes that do not act on a change yet.
pub(crate) fn say_unreached(reply: &Reply) {
    if let Some(nodes) = reply.headers.get("x-fence-unreached").and_then(|value| value.to_str().ok()) {
        output::tell(&format!("warning: not yet in force on node {nodes}, which does not answer"));
    }
}

/// Shows what would be sent.
///
/// # Errors
/// Where standard output cannot be written.
pub(crate) fn show_dry_run(method: &Method, path: &str, body: &Value) -> Result<(), Failure> {
    output::say(&format!("would send {method} {path}; nothing was changed"));
    if body.is_null() { Ok(()) } else { output::value(output::Format::Json, body) }
}

/// Has the name typed on a terminal; where there is none, `--yes` must be given.
///
/// # Errors
/// Where that is not done.
pub(crate) fn confirm(what: &str, name: &str, is_confirmed: bool) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let why = "nobody can be asked: standard input is not a terminal";
        return Err(Failure::new(
            Exit::Usage,
            format!("{what} {name} was not deleted"),
            why,
            "--yes deletes without asking",
        ));
    }
    output::tell(&format!("Type {name} to delete the {what}:"));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == name {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("{what} {name} was not deleted"),
        "something else was typed",
        "--yes does not ask",
    ))
}
