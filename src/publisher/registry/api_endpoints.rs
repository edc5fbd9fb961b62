//! The endpoints of an API that have names. They are a part of it: what is deployed has the ones of its revision.

use portcullis_database::SubmitError;
use portcullis_database::command::UpdateApi as UpdateApiCommand;
use portcullis_database::handle::random_bytes;
use portcullis_model::ai::routes_in;
use portcullis_model::api_endpoint::{API_ENDPOINTS_MAX, ApiEndpoint, endpoints_among, primary_of, set_endpoints};
use portcullis_model::{Api, AssetId, KeyType, Mediation, Refused};
use serde_json::{Map, Value};

use super::apis::ATTEMPTS_MAX;
use super::{Registry, find, find_view, seen, written};
use crate::dto::api_body::kept_fields;
use crate::dto::api_endpoint::{Reading, read};
use crate::dto::product::is_product;
use crate::fault::PublisherError;
use crate::messages::{Asker, DeleteApiEndpoint, ListApiEndpoints, PutApiEndpoint, Seen, Written};

const NOUN: &str = "API endpoint";

/// Says whether a policy among the other fields of an API names an endpoint.
fn is_chosen_among(fields: &Map<String, Value>, endpoint: &str) -> bool {
    let mediation = Mediation::of_document(&Value::Object(fields.clone()));
    routes_in(&mediation).iter().any(|route| route.names(endpoint))
}

impl Registry {
    pub(crate) async fn list_api_endpoints(
        &self,
        message: ListApiEndpoints,
    ) -> Result<Seen<Vec<ApiEndpoint>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.api)?;
        Ok(seen(&snapshot, endpoints_among(&kept_fields(&view.api))))
    }

    pub(crate) async fn put_api_endpoint(
        &self,
        message: PutApiEndpoint,
    ) -> Result<Written<ApiEndpoint>, PublisherError> {
        let PutApiEndpoint { asker, api, id, is_new, fields } = message;
        let id = id.unwrap_or_else(|| AssetId::from_random(random_bytes()).to_string());
        let put = |api: &Api, all: &mut Vec<ApiEndpoint>| {
            let place = all.iter().position(|one| one.id == id);
            if place.is_none() && !is_new {
                return Err(Refused::not_found(NOUN, &id).into());
            }
            if place.is_none() && all.len() >= API_ENDPOINTS_MAX {
                let what = "endpoints of an API".to_owned();
                return Err(Refused::LimitReached { what, max: API_ENDPOINTS_MAX as u64 }.into());
            }
            let before = place.map(|place| &all[place]);
            let reading = Reading { id: id.clone(), kind: api.kind, before, key: &self.key };
            let endpoint = read(fields.clone(), reading).map_err(PublisherError::Fields)?;
            if all.iter().any(|other| other.id != id && other.name == endpoint.name) {
                return Err(PublisherError::field("name", "is that of another endpoint of the API"));
            }
            let is_chosen = before.is_some_and(|before| {
                primary_of(&kept_fields(api), before.stage) == Some(&*id) && before.stage != endpoint.stage
            });
            if is_chosen {
                return Err(PublisherError::field(
                    "deploymentStage",
                    "cannot change: it is the primary endpoint of its stage",
                ));
            }
            if before.is_some_and(|before| before.stage != endpoint.stage) && is_chosen_among(&kept_fields(api), &id) {
                return Err(PublisherError::field("deploymentStage", "cannot change: a policy has calls go there"));
            }
            match place {
                Some(place) => all[place] = endpoint,
                None => all.push(endpoint),
            }
            Ok(())
        };
        let (kept, all) = self.change_endpoints(&asker, &api, put).await?;
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        // By its name: a retry finds what the first attempt made.
        let found = all.into_iter().find(|one| one.name == name || (one.id == id && !is_new));
        let value = found.ok_or_else(|| Refused::not_found(NOUN, &id))?;
        Ok(Written { value, index: kept.index, unreached: kept.unreached })
    }

    pub(crate) async fn delete_api_endpoint(&self, message: DeleteApiEndpoint) -> Result<Written<()>, PublisherError> {
        let DeleteApiEndpoint { asker, api, id } = message;
        let is_retry = asker.idempotency.is_some();
        let delete = |api: &Api, all: &mut Vec<ApiEndpoint>| {
            let fields = kept_fields(api);
            let stages = [KeyType::Production, KeyType::Sandbox];
            if stages.iter().any(|stage| primary_of(&fields, *stage) == Some(&*id)) {
                let reason = "the endpoint is the primary one of its stage; choose another one for the API first";
                return Err(Refused::wrong_state(reason).into());
            }
            if is_chosen_among(&fields, &id) {
                let reason = "a policy has calls go to the endpoint; take it out of the policy first";
                return Err(Refused::wrong_state(reason).into());
            }
            let before = all.len();
            all.retain(|one| one.id != id);
            if all.len() == before && !is_retry {
                return Err(Refused::not_found(NOUN, &id).into());
            }
            Ok(())
        };
        Ok(self.change_endpoints(&asker, &api, delete).await?.0)
    }

    /// Changes the endpoints of an API; where somebody else changed the API in between, that is done anew.
    async fn change_endpoints(
        &self,
        asker: &Asker,
        id: &str,
        change: impl Fn(&Api, &mut Vec<ApiEndpoint>) -> Result<(), PublisherError>,
    ) -> Result<(Written<()>, Vec<ApiEndpoint>), PublisherError> {
        for attempt in 1.. {
            let snapshot = self.snapshot_to_write().await?;
            let current = find(&snapshot, &asker.identity, id)?;
            if is_product(&current) {
                return Err(Refused::not_found("API", id).into());
            }
            let mut fields = kept_fields(&current);
            let mut all = endpoints_among(&fields);
            change(&current, &mut all)?;
            set_endpoints(&mut fields, &all);
            let other_fields = Value::Object(fields).to_string();
            crate::dto::api::check_size(&other_fields).map_err(PublisherError::Fields)?;
            let api = Api { other_fields, ..Api::clone(&current) };
            let command = UpdateApiCommand { api, definition: None, expected: Some(current.updated_at) };
            match self.handle.submit(command, &asker.caller()).await {
                Ok(committed) => {
                    let after = find(&self.handle.view(), &asker.identity, id)?;
                    return Ok((written(committed, |()| ()), endpoints_among(&kept_fields(&after))));
                }
                Err(SubmitError::Refused(Refused::Stale { .. }))
                    if asker.idempotency.is_none() && attempt < ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the loop ends with the last attempt")
    }
}
