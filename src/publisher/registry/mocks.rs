//! Mocks of APIs: their scripts are in the definition, and what they answer is read out of it with each revision, so that
//! what is deployed needs neither.

use std::sync::Arc;

use portcullis_database::command::UpdateApi as UpdateApiCommand;
use portcullis_model::mediation::own_answer::{is_mocked, set_mocks};
use portcullis_model::{Api, ApiKind};
use serde_json::Value;

use super::{Registry, Snapshot, find, find_view, pretty, seen, view_of, written};
use crate::dto::api::check_size;
use crate::dto::api_body::kept_fields;
use crate::fault::PublisherError;
use crate::messages::{ApiView, Asker, GenerateMocks, GetMocks, Seen, Written};
use crate::mock;
use crate::openapi::aside;
use crate::openapi::document::parse_text;

impl Registry {
    pub(crate) async fn generate_mocks(&self, message: GenerateMocks) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let current = find(&snapshot, &message.asker.identity, &message.api)?;
        refuse_other(&current)?;
        let text = view_of(&snapshot, Arc::clone(&current)).definition;
        let with_scripts = aside(move || {
            let mut document = parse_text(&text)?;
            let scripts = mock::generate(&document)?;
            mock::put(&mut document, &scripts);
            Ok::<_, PublisherError>(pretty(&document))
        });
        let definition = Some(Arc::from(with_scripts.await??));
        let command = UpdateApiCommand { api: Api::clone(&current), definition, expected: Some(current.updated_at) };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let view = self.view_after(&message.api, &message.asker)?;
        Ok(written(committed, |()| view))
    }

    pub(crate) async fn get_mocks(
        &self,
        message: GetMocks,
    ) -> Result<Seen<Vec<(String, String, String)>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.api)?;
        refuse_other(&view.api)?;
        let scripts = aside(move || mock::generate(&parse_text(&view.definition)?)).await??;
        Ok(seen(&snapshot, scripts.into_iter().map(|one| (one.path, one.verb, one.content)).collect()))
    }

    /// Reads what the mocks of an API answer, before a revision of it is made.
    pub(super) async fn settle_mocks(
        &self,
        asker: &Asker,
        snapshot: &Snapshot,
        api: &Arc<Api>,
    ) -> Result<(), PublisherError> {
        if !is_mocked(api) {
            return Ok(());
        }
        let text = view_of(snapshot, Arc::clone(api)).definition;
        let mocks = aside(move || mock::answers(&parse_text(&text)?)).await??;
        let mut fields = kept_fields(api);
        set_mocks(&mut fields, &mocks);
        let other_fields = Value::Object(fields).to_string();
        if other_fields == api.other_fields {
            return Ok(());
        }
        check_size(&other_fields).map_err(PublisherError::Fields)?;
        let command = UpdateApiCommand {
            api: Api { other_fields, ..Api::clone(api) },
            definition: None,
            expected: Some(api.updated_at),
        };
        // The revision is what a retry of the request is about.
        self.handle.submit(command, &asker.caller().with_idempotency(None)).await?;
        Ok(())
    }
}

fn refuse_other(api: &Api) -> Result<(), PublisherError> {
    if api.kind == ApiKind::Http {
        return Ok(());
    }
    let reason = format!("is {}; mocks are made of OpenAPI documents, which APIs of HTTP have", api.kind.as_contract());
    Err(PublisherError::field("type", reason))
}
