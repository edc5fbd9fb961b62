//! What is other of an API in one environment.

use std::collections::BTreeMap;

use portcullis_database::command::PutEnvironmentProperties as PutEnvironmentPropertiesCommand;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, assets};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::environment_properties::properties_of;
use portcullis_model::port::Identity;
use portcullis_model::{AssetId, Refused, Timestamp};
use serde_json::json;

use super::environments::open_to;
use super::{Registry, Snapshot, find, seen, written};
use crate::dto::environment_properties::check;
use crate::dto::product::is_product;
use crate::fault::PublisherError;
use crate::messages::{GetEnvironmentProperties, PutEnvironmentProperties, Seen, Written};

impl Registry {
    pub(crate) async fn get_environment_properties(
        &self,
        message: GetEnvironmentProperties,
    ) -> Result<Seen<BTreeMap<String, String>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find(&snapshot, &message.asker.identity, &message.api)?;
        let environment = environment_of(&snapshot, &message.asker.identity, &message.environment)?;
        let kept = assets::environment_properties(snapshot.read::<Apimgtdb>(), &api.tenant, api.id, &environment);
        let properties = kept.map(|asset| properties_of(&asset.document)).unwrap_or_default();
        Ok(seen(&snapshot, properties))
    }

    pub(crate) async fn put_environment_properties(
        &self,
        message: PutEnvironmentProperties,
    ) -> Result<Written<BTreeMap<String, String>>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.api)?;
        if is_product(&api) {
            return Err(Refused::not_found("API", message.api).into());
        }
        let environment = environment_of(&snapshot, &message.asker.identity, &message.environment)?;
        check(&message.properties, api.kind).map_err(PublisherError::Fields)?;
        let principal = &message.asker.identity.principal;
        let asset = Asset {
            id: AssetId::from_random(random_bytes()),
            tenant: principal.tenant.clone(),
            kind: AssetKind::EnvironmentProperties,
            api: Some(api.id),
            name: environment,
            document: json!(message.properties).to_string(),
            content: String::new(),
            created_by: principal.username.clone(),
            created_at: Timestamp::default(),
            updated_by: principal.username.clone(),
            updated_at: Timestamp::default(),
        };
        let command = PutEnvironmentPropertiesCommand { asset, expected: None };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        Ok(written(committed, |()| message.properties))
    }
}

/// Finds an environment to which somebody may deploy by its id, or by its name, and returns the name.
fn environment_of(snapshot: &Snapshot, identity: &Identity, text: &str) -> Result<String, PublisherError> {
    let open = open_to(snapshot, identity);
    let found = open.iter().find(|one| one.id.to_string() == text || one.name == text);
    let found = found.ok_or_else(|| Refused::not_found("gateway environment", text))?;
    Ok(found.name.clone())
}
