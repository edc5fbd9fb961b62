//! Imports OpenAPI documents as new APIs, and replaces the definition of an existing one.

use std::sync::Arc;

use portcullis_database::SubmitError;
use portcullis_database::command::PutDefinition as PutDefinitionCommand;
use portcullis_model::limit::API_NAME_CHARS_MAX;
use portcullis_model::{Api, ApiKind, Refused};
use serde_json::{Map, Value, json};

use super::ai_apis;
use super::apis::refuse_stale;
use super::{Registry, find, written};
use crate::fault::{FieldFault, PublisherError};
use crate::messages::{ApiView, ImportOpenapi, PutDefinition, Written};
use crate::openapi::extract::merged_scopes;
use crate::openapi::{self, Extracted};
use crate::own_policy::apply::Lookup;

const ATTEMPTS_MAX: usize = 4;

impl Registry {
    pub(crate) async fn import_openapi(&self, message: ImportOpenapi) -> Result<Written<ApiView>, PublisherError> {
        let (document, extracted) = openapi::read(message.text).await?;
        let snapshot = self.snapshot_to_write().await?;
        let base = Api {
            operations: extracted.operations.clone(),
            scopes: extracted.scopes.clone(),
            ..self.new_api(&snapshot, &message.asker.identity, &message.fields)
        };
        let mut fields = merged_fields(extracted, message.fields);
        ai_apis::settle(&snapshot, &base.tenant, None, &mut fields)?;
        Lookup { snapshot: &snapshot, tenant: &base.tenant, current: None }.resolve(&mut fields)?;
        let api = self.read_new(fields, base)?;
        refuse_channels(&api)?;
        self.submit_new(&message.asker, api, document.text).await
    }

    pub(crate) async fn put_definition(&self, message: PutDefinition) -> Result<Written<ApiView>, PublisherError> {
        let (document, extracted) = openapi::read(message.text).await?;
        for attempt in 1.. {
            let snapshot = self.snapshot_to_write().await?;
            let current = find(&snapshot, &message.asker.identity, &message.id)?;
            refuse_channels(&current)?;
            if let Some(expected) = message.expected {
                refuse_stale(&current, expected)?;
            }
            let command = PutDefinitionCommand {
                api: current.id,
                definition: Arc::clone(&document.text),
                operations: extracted.operations.clone(),
                scopes: merged_scopes(&current.scopes, extracted.scopes.clone()),
                expected: Some(current.updated_at),
            };
            match self.handle.submit(command, &message.asker.caller()).await {
                Ok(committed) => {
                    let view = self.view_after(&message.id, &message.asker)?;
                    return Ok(written(committed, |()| view));
                }
                Err(SubmitError::Refused(Refused::Stale { .. }))
                    if message.expected.is_none() && message.asker.idempotency.is_none() && attempt < ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the loop ends with the last attempt")
    }
}

/// Refuses an API whose operations no OpenAPI document describes.
fn refuse_channels(api: &Api) -> Result<(), PublisherError> {
    if matches!(api.kind, ApiKind::Http | ApiKind::SoapToRest) {
        return Ok(());
    }
    let kind = api.kind.as_contract();
    let reason = format!("is {kind}, which OpenAPI does not describe; send its operations with POST or PUT of the API");
    Err(PublisherError::Fields(vec![FieldFault::new("type", reason)]))
}

/// Puts together what a document says and what its publisher says beside it, who goes first. Operations and scopes are
/// the document's.
fn merged_fields(extracted: Extracted, mut sent: Map<String, Value>) -> Map<String, Value> {
    sent.shift_remove("operations");
    let mut fields = extracted.fields;
    let name: String = extracted.title.chars().filter(|one| one.is_alphanumeric() || " -_.".contains(*one)).collect();
    fields.insert("name".to_owned(), json!(name.chars().take(API_NAME_CHARS_MAX).collect::<String>().trim()));
    fields.insert("version".to_owned(), json!(extracted.version));
    if !extracted.description.is_empty() {
        fields.insert("description".to_owned(), json!(extracted.description));
    }
    fields.extend(sent.into_iter().filter(|(_, value)| !value.is_null()));
    if fields.get("scopes").is_some_and(|scopes| scopes.as_array().is_some_and(Vec::is_empty)) {
        fields.shift_remove("scopes");
    }
    fields
}
