//! Sequences of APIs that answer in the place of backends. They are a part of their API: what is deployed has the ones of
//! its revision.

use portcullis_database::command::UpdateApi as UpdateApiCommand;
use portcullis_database::handle::random_bytes;
use portcullis_model::api::EndpointConfig;
use portcullis_model::mediation::own_answer::{
    SEQUENCE_BACKEND, SequenceBackend, is_sequenced, sequences_among, set_sequences,
};
use portcullis_model::{Api, ApiKind, AssetId, Refused};
use serde_json::{Value, json};

use super::{Registry, find, find_view, seen, written};
use crate::dto::api::check_size;
use crate::dto::api_body::kept_fields;
use crate::fault::PublisherError;
use crate::messages::{ApiView, DeleteSequence, ListSequences, PutSequence, Seen, Written};
use crate::own_policy::sequence;

const NOUN: &str = "sequence backend";

impl Registry {
    pub(crate) async fn list_sequences(
        &self,
        message: ListSequences,
    ) -> Result<Seen<Vec<SequenceBackend>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.api)?;
        Ok(seen(&snapshot, sequences_among(&kept_fields(&view.api))))
    }

    pub(crate) async fn put_sequence(&self, message: PutSequence) -> Result<Written<ApiView>, PublisherError> {
        let answer = sequence::answer_of(&message.content)?;
        let snapshot = self.snapshot_to_write().await?;
        let current = find(&snapshot, &message.asker.identity, &message.api)?;
        if !matches!(current.kind, ApiKind::Http | ApiKind::Soap) {
            let reason = format!("is {}; APIs of HTTP and SOAP may have sequences", current.kind.as_contract());
            return Err(PublisherError::field("type", reason));
        }
        let mut fields = kept_fields(&current);
        let mut all = sequences_among(&fields);
        let before = all.iter().position(|one| one.stage == message.stage).map(|place| all.swap_remove(place));
        let id = before.map_or_else(|| AssetId::from_random(random_bytes()).to_string(), |before| before.id);
        all.push(SequenceBackend { id, stage: message.stage, content: message.content, answer });
        all.sort_by_key(|one| one.stage);
        set_sequences(&mut fields, &all);
        let other_fields = Value::Object(fields).to_string();
        check_size(&other_fields).map_err(PublisherError::Fields)?;
        let endpoints = if is_sequenced(&current) {
            current.endpoints.clone()
        } else {
            let document = json!({"endpoint_type": SEQUENCE_BACKEND}).to_string();
            EndpointConfig { document, ..EndpointConfig::default() }
        };
        let command = UpdateApiCommand {
            api: Api { other_fields, endpoints, ..Api::clone(&current) },
            definition: None,
            expected: Some(current.updated_at),
        };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let view = self.view_after(&message.api, &message.asker)?;
        Ok(written(committed, |()| view))
    }

    pub(crate) async fn delete_sequence(&self, message: DeleteSequence) -> Result<Written<()>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let current = find(&snapshot, &message.asker.identity, &message.api)?;
        let mut fields = kept_fields(&current);
        let mut all = sequences_among(&fields);
        let before = all.len();
        all.retain(|one| one.stage != message.stage);
        if all.len() == before && message.asker.idempotency.is_none() {
            return Err(Refused::not_found(NOUN, message.stage.as_contract()).into());
        }
        set_sequences(&mut fields, &all);
        let command = UpdateApiCommand {
            api: Api { other_fields: Value::Object(fields).to_string(), ..Api::clone(&current) },
            definition: None,
            expected: Some(current.updated_at),
        };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }
}
