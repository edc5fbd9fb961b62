//! Creates, finds, changes, copies and deletes APIs, and moves them through their lives.

use std::sync::Arc;

use portcullis_database::command::{
    ChangeLifecycle as ChangeLifecycleCommand, CopyBelongings, CreateApi as CreateApiCommand,
    CreateProduct as CreateProductCommand, DeleteApi as DeleteApiCommand, UpdateApi as UpdateApiCommand,
};
use portcullis_database::state::LifecycleEvent;
use portcullis_database::{Apimgtdb, SubmitError, Userdb};
use portcullis_model::api::EndpointConfig;
use portcullis_model::monetization;
use portcullis_model::port::Identity;
use portcullis_model::{Api, ApiKind, Lifecycle, LifecycleAction, Principal, Refused, Role, Timestamp, Username};
use serde_json::{Map, Value};

use super::ai_apis;
use super::headings::{check_categories, label_names};
use super::organizations::check_sharing;
use super::search::{Search, order_of};
use super::{
    ADMIN_ROLE, Registry, Snapshot, find, find_view, has_thumbnail, may_see, new_api_id, seen, view_of, waits, written,
};
use crate::design;
use crate::dto::api::{Reading, blank, read};
use crate::dto::identity::normal_context;
use crate::dto::operations;
use crate::dto::product::is_product;
use crate::fault::PublisherError;
use crate::messages::{
    ApiSearch, ApiView, Asker, ChangeLifecycle, CopyApi, CreateApi, DeleteApi, GetApi, GetLifecycleHistory,
    ImportOpenapi, IsTaken, ListApis, ListedApi, ListedApis, Seen, UpdateApi, Written, api_id,
};
use crate::openapi;
use crate::own_policy::apply::Lookup;

/// How often a change is worked out anew because somebody else changed the API in between.
pub(super) const ATTEMPTS_MAX: usize = 4;

/// All that decides which APIs a list without words has, and in which order.
#[derive(Debug, PartialEq)]
pub(super) struct ListKey {
    principal: Principal,
    roles: Arc<[Role]>,
    search: ApiSearch,
}

impl Registry {
    pub(crate) async fn create_api(&self, message: CreateApi) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let mut base = self.new_api(&snapshot, &message.asker.identity, &message.fields);
        base.operations = Vec::new();
        let mut fields = message.fields;
        let provider = ai_apis::settle(&snapshot, &base.tenant, None, &mut fields)?;
        let has_operations = fields.get("operations").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if let Some(provider) = provider.filter(|_| !has_operations) {
            fields.shift_remove("operations");
            let import = ImportOpenapi { asker: message.asker, text: provider.definition, fields };
            return self.import_openapi(import).await;
        }
        Lookup { snapshot: &snapshot, tenant: &base.tenant, current: None }.resolve(&mut fields)?;
        let mut api = self.read_new(fields, base)?;
        if api.kind == ApiKind::Graphql {
            let reason = "an API of GRAPHQL is made from its schema, by POST to /apis/import-graphql-schema";
            return Err(PublisherError::field("type", reason));
        }
        if api.operations.is_empty() {
            api.operations = operations::defaults(api.kind);
        }
        let definition = openapi::write::generate(&api);
        self.submit_new(&message.asker, api, Arc::from(pretty(&definition))).await
    }

    /// Returns a blank API of the asker, or of another user whom an administrator names as the provider.
    pub(super) fn new_api(&self, snapshot: &Snapshot, identity: &Identity, fields: &Map<String, Value>) -> Api {
        let tenant = identity.principal.tenant.clone();
        let mut provider = identity.principal.username.clone();
        let named = fields.get("provider").and_then(Value::as_str).unwrap_or_default();
        let named = Username(named.strip_suffix(&format!("@{tenant}")).unwrap_or(named).to_owned());
        let is_admin = identity.roles.iter().any(|role| role.0 == ADMIN_ROLE);
        if is_admin && snapshot.read::<Userdb>().users.contains_key(&(tenant.clone(), named.clone())) {
            provider = named;
        }
        blank(new_api_id(), tenant, provider)
    }

    pub(super) fn read_new(&self, fields: Map<String, Value>, base: Api) -> Result<Api, PublisherError> {
        let previous = EndpointConfig::default();
        let reading = Reading { base, previous: &previous, key: &self.key, sets_identity: true };
        read(fields, reading).map_err(PublisherError::Fields)
    }

    pub(super) async fn submit_new(
        &self,
        asker: &Asker,
        api: Api,
        definition: Arc<str>,
    ) -> Result<Written<ApiView>, PublisherError> {
        check_categories(&self.handle.view(), &api, &[])?;
        check_sharing(&self.handle.view(), &api, None)?;
        ai_apis::check(&self.handle.view(), &api, None)?;
        let committed = if is_product(&api) {
            self.handle.submit(CreateProductCommand { product: api, definition }, &asker.caller()).await?
        } else {
            self.handle.submit(CreateApiCommand { api, definition }, &asker.caller()).await?
        };
        // The id of the reply, not the one drawn here: a retry is answered with the API that the first attempt made.
        let view = self.view_after(&committed.reply.to_string(), asker)?;
        Ok(written(committed, |_| view))
    }

    /// Returns an API as this node has it after a write of it was applied here.
    pub(super) fn view_after(&self, id: &str, asker: &Asker) -> Result<ApiView, PublisherError> {
        find_view(&self.handle.view(), &asker.identity, id).map(|view| self.unsealed(view, &asker.identity))
    }

    pub(crate) async fn get_api(&self, message: GetApi) -> Result<Seen<ApiView>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.id)?;
        Ok(seen(&snapshot, self.unsealed(view, &message.asker.identity)))
    }

    pub(crate) async fn list_apis(&self, message: ListApis) -> Result<Seen<ListedApis>, PublisherError> {
        let search = Search::parse(&message.search.query)?;
        let order = order_of(&message.search)?;
        let is_meant = |api: &Api| is_product(api) == message.search.is_of_products;
        let snapshot = self.snapshot(&message.asker).await?;
        let apis = &snapshot.read::<Apimgtdb>().apis;
        let identity = &message.asker.identity;
        let found = || {
            let meant = apis.values().filter(|api| is_meant(api) && may_see(identity, api));
            meant.filter(|api| search.finds(api, || label_names(&snapshot, api)))
        };
        let key = search.is_of_all().then(|| ListKey {
            principal: identity.principal.clone(),
            roles: Arc::clone(&identity.roles),
            search: message.search.clone(),
        });
        let whole = key.and_then(|key| self.lists.list(key, apis, found(), &order));
        let (total, page) = match &whole {
            Some(all) => (all.len(), message.page.of(all).iter().collect()),
            None => message.page.select(found(), |one, other| order(one, other)),
        };
        let listed =
            |api: &Arc<Api>| ListedApi { has_thumbnail: has_thumbnail(&snapshot, api.id), api: Arc::clone(api) };
        let page = page.into_iter().map(listed).collect();
        Ok(seen(&snapshot, ListedApis { total, page }))
    }

    pub(crate) async fn update_api(&self, message: UpdateApi) -> Result<Written<ApiView>, PublisherError> {
        for attempt in 1.. {
            let snapshot = self.snapshot_to_write().await?;
            let current = find(&snapshot, &message.asker.identity, &message.id)?;
            if let Some(expected) = message.expected {
                refuse_stale(&current, expected)?;
            }
            let command = self.updated(&snapshot, &current, message.fields.clone()).await?;
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

    async fn updated(
        &self,
        snapshot: &Snapshot,
        current: &Arc<Api>,
        mut fields: Map<String, Value>,
    ) -> Result<UpdateApiCommand, PublisherError> {
        if is_product(current) {
            return Err(Refused::not_found("API", current.id).into());
        }
        ai_apis::settle(snapshot, &current.tenant, Some(&**current), &mut fields)?;
        Lookup { snapshot, tenant: &current.tenant, current: Some(&**current) }.resolve(&mut fields)?;
        let base = Api {
            operations: current.operations.clone(),
            scopes: current.scopes.clone(),
            name: current.name.clone(),
            context: current.context.clone(),
            version: current.version.clone(),
            other_fields: current.other_fields.clone(),
            kind: current.kind,
            ..blank(current.id, current.tenant.clone(), current.provider.clone())
        };
        let reading = Reading { base, previous: &current.endpoints, key: &self.key, sets_identity: false };
        let mut api = read(fields, reading).map_err(PublisherError::Fields)?;
        check_categories(snapshot, &api, &current.categories)?;
        check_sharing(snapshot, &api, Some(&**current))?;
        ai_apis::check(snapshot, &api, Some(&**current))?;
        if api.operations.is_empty() {
            api.operations.clone_from(&current.operations);
        }
        let is_in_step = api.operations == current.operations && api.scopes == current.scopes;
        let mut definition = None;
        if !is_in_step {
            let text = view_of(snapshot, Arc::clone(current)).definition;
            let (before, after) = (Arc::clone(current), api.clone());
            definition = openapi::aside(move || design::in_step(&text, &before, &after)).await??;
        }
        Ok(UpdateApiCommand { api, definition, expected: Some(current.updated_at) })
    }

    pub(crate) async fn delete_api(&self, message: DeleteApi) -> Result<Written<()>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let id = api_id(&message.id)?;
        // A retry finds the API gone: the state machine then repeats its answer to the first attempt.
        let is_retry = message.asker.idempotency.is_some() && !snapshot.read::<Apimgtdb>().apis.contains_key(&id);
        if !is_retry {
            find(&snapshot, &message.asker.identity, &message.id)?;
        }
        let committed = self.handle.submit(DeleteApiCommand { api: id }, &message.asker.caller()).await?;
        Ok(written(committed, |()| ()))
    }

    pub(crate) async fn copy_api(&self, message: CopyApi) -> Result<Written<ApiView>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let current = find(&snapshot, &message.asker.identity, &message.id)?;
        let mut fields = Map::new();
        for (name, text) in [("name", &current.name), ("context", &current.context), ("version", &message.version)] {
            fields.insert(name.to_owned(), Value::String(text.clone()));
        }
        // Read like any new API, so that the new version's text is checked in the same way.
        let checked = self.read_new(fields, blank(new_api_id(), current.tenant.clone(), current.provider.clone()))?;
        let api = Api {
            id: checked.id,
            version: checked.version,
            is_default_version: message.is_default_version,
            provider: message.asker.identity.principal.username.clone(),
            // Whether a version is billed is said of each.
            other_fields: monetization::taken_over(&current.other_fields, "{}")
                .unwrap_or_else(|| current.other_fields.clone()),
            ..(*current).clone()
        };
        let from = current.id;
        let text = view_of(&snapshot, current).definition;
        let copied = api.clone();
        let definition = openapi::aside(move || design::of_version(text, &copied));
        let made = self.submit_new(&message.asker, api, definition.await?).await?;
        // A retry finds that the first try did this too.
        let belongings = CopyBelongings { from, to: made.value.api.id };
        let made = match self.handle.submit(belongings, &message.asker.caller().with_idempotency(None)).await {
            Ok(copied) => made.and(copied.index, copied.unreached),
            Err(SubmitError::Refused(Refused::WrongState { .. })) => made,
            Err(error) => return Err(error.into()),
        };
        let view = self.view_after(&made.value.api.id.to_string(), &message.asker)?;
        Ok(Written { value: view, ..made })
    }

    pub(crate) async fn is_taken(&self, message: IsTaken) -> Result<Seen<bool>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let tenant = &message.asker.identity.principal.tenant;
        let (field, text) = message.query.split_once(':').unwrap_or(("name", &message.query));
        let text = text.trim().trim_matches('"');
        let of_tenant = || snapshot.read::<Apimgtdb>().apis.values().filter(|api| api.tenant == *tenant);
        let is_taken = match field.trim() {
            "name" => of_tenant().any(|api| api.name.eq_ignore_ascii_case(text)),
            "version" => of_tenant().any(|api| api.version == text),
            "context" => {
                let context = normal_context(text, tenant).map_err(|reason| PublisherError::field("query", reason))?;
                let is_served = snapshot.read::<Apimgtdb>().contexts.contains_key(&(tenant.clone(), context.clone()));
                is_served || of_tenant().any(|api| api.context == context)
            }
            other => {
                let reason = format!("`{other}:` is not known; name:, context: and version: are");
                return Err(PublisherError::field("query", reason));
            }
        };
        Ok(seen(&snapshot, is_taken))
    }

    pub(crate) async fn change_lifecycle(
        &self,
        message: ChangeLifecycle,
    ) -> Result<Written<(Lifecycle, bool)>, PublisherError> {
        let snapshot = self.snapshot_to_write().await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        if matches!(message.action, LifecycleAction::Publish | LifecycleAction::RePublish) {
            self.refuse_ungoverned(&api, None, "API_PUBLISH").await?;
        }
        let command = ChangeLifecycleCommand {
            api: api.id,
            action: message.action,
            deprecates_old_versions: message.checklist.deprecates_old_versions,
            requires_resubscription: message.checklist.requires_resubscription,
        };
        let committed = self.handle.submit(command, &message.asker.caller()).await?;
        let waits = waits(&self.handle.view(), &api);
        Ok(written(committed, |state| (state, waits)))
    }

    pub(crate) async fn get_lifecycle_history(
        &self,
        message: GetLifecycleHistory,
    ) -> Result<Seen<Vec<Arc<LifecycleEvent>>>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let api = find(&snapshot, &message.asker.identity, &message.id)?;
        let events = &snapshot.read::<Apimgtdb>().lifecycle_events;
        let events = events.range((api.id, 0)..=(api.id, u64::MAX)).map(|(_, event)| Arc::clone(event)).collect();
        Ok(seen(&snapshot, events))
    }
}

pub(super) fn refuse_stale(current: &Api, expected: Timestamp) -> Result<(), PublisherError> {
    if current.updated_at == expected {
        return Ok(());
    }
    Err(Refused::Stale { noun: "API".to_owned(), key: current.id.to_string() }.into())
}

/// Writes a document for people to read.
pub(crate) fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a JSON value can be written as text")
}
