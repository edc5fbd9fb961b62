//! Makes APIs from schemas of GraphQL, AsyncAPI documents and WSDL, and replaces those of existing ones.

use std::sync::Arc;

use portcullis_database::SubmitError;
use portcullis_database::command::{PutDefinition as PutDefinitionCommand, UpdateApi as UpdateApiCommand};
use portcullis_model::api::ApiScope;
use portcullis_model::graphql::set_costs;
use portcullis_model::{Api, Operation, Refused, Timestamp};
use serde_json::{Map, Value, json};

use super::ai_apis;
use super::apis::refuse_stale;
use super::{Registry, Snapshot, find, find_view, seen, view_of, written};
use crate::design::{self, Design, Language, check_named, graphql, settled, topics};
use crate::dto::api_body::kept_fields;
use crate::dto::operations;
use crate::fault::PublisherError;
use crate::messages::{
    ApiView, Asker, GetSchemaTypes, ImportDesign, PutDesign, PutFieldCosts, PutTopics, Seen, Written,
};
use crate::openapi;
use crate::own_policy::apply::Lookup;

/// How often a change is worked out anew because somebody else changed the API in between.
const ATTEMPTS_MAX: usize = 4;

/// A change of an API: the command that makes it.
enum Change {
    Definition(PutDefinitionCommand),
    Api(Box<UpdateApiCommand>),
}

impl Registry {
    pub(crate) async fn import_design(&self, message: ImportDesign) -> Result<Written<ApiView>, PublisherError> {
        let ImportDesign { asker, design, fields: mut sent } = message;
        sent.retain(|_, value| !value.is_null());
        let snapshot = self.snapshot_to_write().await?;
        let mut fields = design.fields;
        // What is kept beside the document: of operations that it names, what clients may do with them.
        let is_empty = |name: &str| sent.get(name).is_some_and(|one| one.as_array().is_some_and(Vec::is_empty));
        for name in ["operations", "scopes"].into_iter().filter(|name| is_empty(name)).collect::<Vec<_>>() {
            sent.shift_remove(name);
        }
        fields.entry("type").or_insert_with(|| json!(design.kind.as_contract()));
        fields.extend(sent);
        let base = Api {
            operations: design.operations.clone(),
            scopes: design.scopes,
            ..self.new_api(&snapshot, &asker.identity, &fields)
        };
        ai_apis::settle(&snapshot, &base.tenant, None, &mut fields)?;
        Lookup { snapshot: &snapshot, tenant: &base.tenant, current: None }.resolve(&mut fields)?;
        let says_what_clients_may_do = fields.contains_key("operations");
        let mut api = self.read_new(fields, base)?;
        design.language.check(api.kind)?;
        let mut operations = fitting(design.operations, &api)?;
        if says_what_clients_may_do {
            check_named(&operations, &api.operations, "operations come from the definition")?;
            operations = settled(operations, &api.operations);
        }
        api.operations = operations;
        self.submit_new(&asker, api, design.text).await
    }

    pub(crate) async fn put_design(&self, message: PutDesign) -> Result<Written<ApiView>, PublisherError> {
        let PutDesign { asker, id, design, expected } = message;
        self.change_design(&asker, &id, expected, |_, current| {
            design.language.check(current.kind)?;
            let named = fitting(design.operations.clone(), current)?;
            // A document of channels says what clients may do with them; the others do not.
            let is_said = design.language == Language::Asyncapi;
            let operations = if is_said { named } else { settled(named, &current.operations) };
            Ok(Change::Definition(PutDefinitionCommand {
                api: current.id,
                definition: Arc::clone(&design.text),
                operations,
                scopes: kept_scopes(current, &design),
                expected: Some(current.updated_at),
            }))
        })
        .await
    }

    pub(crate) async fn put_topics(&self, message: PutTopics) -> Result<Written<ApiView>, PublisherError> {
        let PutTopics { asker, id, fields, expected } = message;
        self.change_design(&asker, &id, expected, |snapshot, current| {
            Language::Asyncapi.check(current.kind)?;
            let named = topics::read(fields.clone(), current.kind)?;
            let api = Api { operations: settled(named, &current.operations), ..current.clone() };
            let text = view_of(snapshot, Arc::new(current.clone())).definition;
            let definition = design::in_step(&text, current, &api)?;
            Ok(Change::Api(Box::new(UpdateApiCommand { api, definition, expected: Some(current.updated_at) })))
        })
        .await
    }

    pub(crate) async fn put_field_costs(&self, message: PutFieldCosts) -> Result<Written<ApiView>, PublisherError> {
        let PutFieldCosts { asker, id, fields } = message;
        self.change_design(&asker, &id, None, |snapshot, current| {
            Language::Graphql.check(current.kind)?;
            let text = view_of(snapshot, Arc::new(current.clone())).definition;
            let (_, schema) = graphql::parse(&text)?;
            let costs = graphql::read_costs(fields.clone(), &schema)?;
            let mut others = kept_fields(current);
            set_costs(&mut others, &costs);
            let api = Api { other_fields: Value::Object(others).to_string(), ..current.clone() };
            let command = UpdateApiCommand { api, definition: None, expected: Some(current.updated_at) };
            Ok(Change::Api(Box::new(command)))
        })
        .await
    }

    pub(crate) async fn get_schema_types(
        &self,
        message: GetSchemaTypes,
    ) -> Result<Seen<Vec<(String, Vec<String>)>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.id)?;
        Language::Graphql.check(view.api.kind)?;
        let types = openapi::aside(move || {
            let (_, schema) = graphql::parse(&view.definition)?;
            let one = |(name, fields): (&str, Vec<&str>)| {
                (name.to_owned(), fields.into_iter().map(str::to_owned).collect::<Vec<_>>())
            };
            Ok::<_, PublisherError>(schema.types().map(one).collect())
        });
        Ok(seen(&snapshot, types.await??))
    }

    /// Changes an API as `change` says of what it is now; again where somebody else changed it in between.
    async fn change_design(
        &self,
        asker: &Asker,
        id: &str,
        expected: Option<Timestamp>,
        change: impl Fn(&Snapshot, &Api) -> Result<Change, PublisherError>,
    ) -> Result<Written<ApiView>, PublisherError> {
        for attempt in 1.. {
            let snapshot = self.snapshot_to_write().await?;
            let current = find(&snapshot, &asker.identity, id)?;
            if let Some(expected) = expected {
                refuse_stale(&current, expected)?;
            }
            let submitted = match change(&snapshot, &current)? {
                Change::Definition(command) => self.handle.submit(command, &asker.caller()).await,
                Change::Api(command) => self.handle.submit(*command, &asker.caller()).await,
            };
            match submitted {
                Ok(committed) => {
                    let view = self.view_after(id, asker)?;
                    return Ok(written(committed, |()| view));
                }
                Err(SubmitError::Refused(Refused::Stale { .. }))
                    if expected.is_none() && asker.idempotency.is_none() && attempt < ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the loop ends with the last attempt")
    }
}

/// Returns the scopes of an API after its definition changed: those that it had, and those that are new.
fn kept_scopes(current: &Api, design: &Design) -> Vec<ApiScope> {
    let is_new = |scope: &&ApiScope| !current.scopes.iter().any(|known| known.name == scope.name);
    current.scopes.iter().chain(design.scopes.iter().filter(is_new)).cloned().collect()
}

/// Returns those of the operations of a document that an API of this type can have: streams of events are only read.
fn fitting(named: Vec<Operation>, api: &Api) -> Result<Vec<Operation>, PublisherError> {
    let verbs = operations::verbs_of(api.kind);
    let fitting: Vec<_> = named.into_iter().filter(|one| verbs.contains(&one.verb.as_str())).collect();
    if fitting.is_empty() {
        let kind = api.kind.as_contract();
        let reason = format!("the document names no operation that an API of {kind} has ({})", verbs.join(", "));
        return Err(PublisherError::field("type", reason));
    }
    Ok(fitting)
}

/// Returns what an API is imported with: what was sent beside the document.
///
/// # Errors
/// Where it is no JSON object.
pub(crate) fn properties(text: Option<&str>) -> Result<Map<String, Value>, PublisherError> {
    match text {
        None | Some("") => Ok(Map::new()),
        Some(properties) => serde_json::from_str(properties)
            .map_err(|error| PublisherError::field("additionalProperties", format!("must be a JSON object: {error}"))),
    }
}
