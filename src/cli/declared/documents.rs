//! Documents of APIs and products, with what is in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::compare::overlay;
use super::server::Server;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::form::Part;

/// What of a document is the server's.
const MADE_OF_DOCUMENT: [&str; 5] = ["documentId", "createdBy", "createdTime", "lastUpdatedBy", "lastUpdatedTime"];

impl Server {
    /// Reads the documents of what is at a path.
    pub(super) async fn documents(&self, at: &str) -> Result<Vec<Value>, Failure> {
        let mut documents = Vec::new();
        for mut document in self.list(&format!("{at}/documents")).await? {
            let id = document["documentId"].as_str().unwrap_or_default().to_owned();
            let source = document["sourceType"].as_str().unwrap_or_default().to_owned();
            if let Some(fields) = document.as_object_mut() {
                let is_empty = |value: &Value| value.is_null() || *value == json!("");
                fields.retain(|name, value| !MADE_OF_DOCUMENT.contains(&name.as_str()) && !is_empty(value));
            }
            if source != "URL"
                && let Some(reply) = self.bytes(&format!("{at}/documents/{id}/content")).await?
            {
                match source.as_str() {
                    "FILE" => document["contentBase64"] = json!(STANDARD.encode(&reply.bytes)),
                    _ => document["content"] = json!(String::from_utf8_lossy(&reply.bytes)),
                }
            }
            documents.push(document);
        }
        Ok(documents)
    }

    /// Makes the documents those of a file.
    pub(super) async fn bring_documents(&self, at: &str, wanted: &[Value]) -> Result<(), Failure> {
        let there = self.list(&format!("{at}/documents")).await?;
        for document in wanted {
            let mut body = document.clone();
            let mut take = |name: &str| body.as_object_mut().and_then(|fields| fields.shift_remove(name));
            let (text, file) = (take("content"), take("contentBase64"));
            let before = there.iter().find(|one| one["name"] == body["name"]);
            let kept = match before {
                Some(before) => {
                    let path = format!("{at}/documents/{}", before["documentId"].as_str().unwrap_or_default());
                    self.send(Method::PUT, &path, &overlay(before, &body)).await?
                }
                None => self.send(Method::POST, &format!("{at}/documents"), &body).await?,
            };
            let path = format!("{at}/documents/{}/content", kept["documentId"].as_str().unwrap_or_default());
            if let Some(text) = text.as_ref().and_then(Value::as_str) {
                self.send_form(Method::POST, &path, &[Part::text("inlineContent", text)]).await?;
            } else if let Some(file) = file.as_ref().and_then(Value::as_str) {
                let content = STANDARD.decode(file.trim()).map_err(|fault| {
                    let what = format!("contentBase64 of the document {} is no base64", body["name"]);
                    Failure::new(Exit::Failed, what, fault.to_string(), "base64 FILE     writes it")
                })?;
                let name = body["fileName"].as_str().or_else(|| body["name"].as_str()).unwrap_or("document");
                self.send_form(Method::POST, &path, &[Part::file("file", name, &content)]).await?;
            }
        }
        for gone in there.iter().filter(|one| !wanted.iter().any(|wanted| wanted["name"] == one["name"])) {
            let id = gone["documentId"].as_str().unwrap_or_default();
            self.remove(&format!("{at}/documents/{id}")).await?;
        }
        Ok(())
    }
}
