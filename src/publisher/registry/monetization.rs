//! Whether the use of an API is billed, what it brings in, and from when on it is told to whoever bills it.

use std::collections::BTreeMap;

use portcullis_database::command::UpdateApi as UpdateApiCommand;
use portcullis_database::monetization::{book_of, day_of, keep_book, revenue, terms_of, usage_of};
use portcullis_database::{Apimgtdb, Statdb, SubmitError};
use portcullis_model::monetization::FIELD;
use portcullis_model::{Api, Refused};
use serde_json::{Value, json};

use super::apis::ATTEMPTS_MAX;
use super::{Registry, Snapshot, find, seen, written};
use crate::dto::api_body::kept_fields;
use crate::dto::product::is_product;
use crate::fault::PublisherError;
use crate::messages::{Asker, GetMonetization, GetRevenue, MonetizationView, Monetize, Seen, Written};

impl Registry {
    /// Turns billing on or off. From when it is turned on, calls are told; those before are not.
    pub(crate) async fn monetize(&self, message: Monetize) -> Result<Written<()>, PublisherError> {
        let Monetize { asker, id, is_enabled, properties } = message;
        for attempt in 1.. {
            let snapshot = self.snapshot_to_write().await?;
            let current = own_api(&snapshot, &asker, &id)?;
            if is_enabled {
                refuse_without_price(&snapshot, &current)?;
            }
            match self.change_monetization(&snapshot, &asker, &current, (is_enabled, &properties)).await {
                Err(SubmitError::Refused(Refused::Stale { .. })) if attempt < ATTEMPTS_MAX => {}
                other => return Ok(other?),
            }
        }
        unreachable!("the loop ends with the last attempt")
    }

    async fn change_monetization(
        &self,
        snapshot: &Snapshot,
        asker: &Asker,
        current: &Api,
        (is_enabled, properties): (bool, &BTreeMap<String, String>),
    ) -> Result<Written<()>, SubmitError> {
        let caller = asker.caller();
        if is_enabled && !current.is_monetized() {
            let today = day_of(snapshot.now());
            let (before, mut book) = book_of(snapshot.read::<Apimgtdb>(), current);
            book.begin(&usage_of(snapshot.read::<Statdb>(), current.id, today), today);
            let by = &asker.identity.principal.username;
            // Without the key of the request: that is the second change's.
            let first = caller.clone().with_idempotency(None);
            self.handle.submit(keep_book(current, before.as_deref(), &book, by), &first).await?;
        }
        let mut fields = kept_fields(current);
        fields.insert(FIELD.to_owned(), json!({"enabled": is_enabled, "properties": properties}));
        let api = Api { other_fields: Value::Object(fields).to_string(), ..Api::clone(current) };
        let command = UpdateApiCommand { api, definition: None, expected: Some(current.updated_at) };
        Ok(written(self.handle.submit(command, &caller).await?, |_| ()))
    }

    pub(crate) async fn get_monetization(
        &self,
        message: GetMonetization,
    ) -> Result<Seen<MonetizationView>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = own_api(&snapshot, &message.asker, &message.id)?;
        let database = snapshot.read::<Apimgtdb>();
        let plans = api.plans.iter().map(|plan| (plan.clone(), terms_of(database, &api.tenant, plan))).collect();
        let said = kept_fields(&api).get(FIELD).cloned().unwrap_or_default();
        let view = MonetizationView {
            is_enabled: api.is_monetized(),
            properties: said["properties"].clone(),
            plans,
            taken_at: book_of(database, &api).1.taken_at,
        };
        Ok(seen(&snapshot, view))
    }

    pub(crate) async fn get_revenue(
        &self,
        message: GetRevenue,
    ) -> Result<Seen<BTreeMap<String, String>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = own_api(&snapshot, &message.asker, &message.id)?;
        if !api.is_monetized() {
            return Err(Refused::not_found("monetization of API", &message.id).into());
        }
        let properties = revenue(snapshot.read::<Apimgtdb>(), snapshot.read::<Statdb>(), &api, snapshot.now());
        Ok(seen(&snapshot, properties))
    }
}

fn own_api(snapshot: &Snapshot, asker: &Asker, id: &str) -> Result<std::sync::Arc<Api>, PublisherError> {
    let api = find(snapshot, &asker.identity, id)?;
    if is_product(&api) { Err(Refused::not_found("API", id).into()) } else { Ok(api) }
}

/// Refuses to bill an API of which nothing costs anything.
fn refuse_without_price(snapshot: &Snapshot, api: &Api) -> Result<(), PublisherError> {
    let database = snapshot.read::<Apimgtdb>();
    if api.plans.iter().any(|plan| terms_of(database, &api.tenant, plan).is_some()) {
        return Ok(());
    }
    let reason = "cannot be true: none of the API's plans costs anything; give it one with billingPlan COMMERCIAL and a \
                  monetization that says what";
    Err(PublisherError::field("enabled", reason))
}
