//! Keeps the deployed projection what the registry says: one row for each environment and API that is deployed there.
//! It does not decide what is deployed: the commands do, and then call this.

use std::iter;
use std::sync::Arc;

use imbl::OrdMap;
use portcullis_model::api::EndpointConfig;
use portcullis_model::api_endpoint::served_endpoints;
use portcullis_model::client_certificate::{ClientCertificate, TrustedCertificate};
use portcullis_model::environment::EnvironmentKind;
use portcullis_model::environment_properties::{place_endpoints, properties_of};
use portcullis_model::graphql::GraphqlRules;
use portcullis_model::product::{self, ProductPart};
use portcullis_model::revision::{Deployment, Revision};
use portcullis_model::websub::WebsubRules;
use portcullis_model::{Api, ApiId, DeployedApi, EdgeSecurity, Lifecycle, Mediation, TenantDomain};

use crate::api_rules::{first_id, versions_of};
use crate::counters::policy_change;
use crate::state::{Generation, State};
use crate::{assets, environments, level};

/// What of a revision has rows of its own beside that of its API, where it differs from the defaults.
#[derive(Default)]
struct More {
    edge: Option<EdgeSecurity>,
    mediation: Option<Mediation>,
    /// The definition, where calls are checked against it.
    definition: Option<Arc<str>>,
    /// Where the operations of a product go.
    parts: Option<Vec<ProductPart>>,
    /// The schema of an API of the type GRAPHQL.
    graphql: Option<GraphqlRules>,
    /// What an API of the type WEBSUB takes events by.
    websub: Option<WebsubRules>,
}

impl More {
    /// Reads it. Nothing at the first feature level, whose nodes do not know the rows.
    fn of(state: &State, revision: &Revision) -> Self {
        if state.feature_level() <= level::FIRST {
            return Self::default();
        }
        let other_fields: serde_json::Value = serde_json::from_str(&revision.content.other_fields).unwrap_or_default();
        let graphql = GraphqlRules::of(&revision.content, &revision.definition);
        let wants_checks = other_fields.get("enableSchemaValidation") == Some(&serde_json::Value::Bool(true));
        // Queries are checked against their schema in any case.
        let is_checked = wants_checks && graphql.is_none();
        let header = other_fields.get("apiKeyHeader").and_then(serde_json::Value::as_str);
        let api_key_header = header.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("apikey"));
        let certificates = certificates_of(state, revision.api).map(TrustedCertificate::from).collect();
        let edge = EdgeSecurity { api_key_header: api_key_header.map(str::to_owned), certificates };
        Self {
            edge: (edge != EdgeSecurity::default()).then_some(edge),
            definition: is_checked.then(|| Arc::clone(&revision.definition)),
            mediation: Some(Mediation::of_api(&revision.content, &other_fields))
                .filter(|mediation| !mediation.is_empty()),
            parts: Some(product::parts_of(&revision.content)).filter(|parts| !parts.is_empty()),
            graphql,
            websub: WebsubRules::of(&revision.content),
        }
    }
}

/// Brings the rows of an API up to date, and those of its other versions where another one became the default.
/// Works also for an API that was just deleted, whose tenant and name the caller still knows.
pub(crate) fn refresh(state: &mut State, tenant: &TenantDomain, name: &str, api: ApiId) {
    let before = served_default(state, tenant, name);
    settle_default(state, tenant, name, before);
    let after = served_default(state, tenant, name);
    let mut changed = vec![api];
    if before != after {
        changed.extend(before.into_iter().chain(after).filter(|other| *other != api));
    }
    let mut is_changed = false;
    for id in changed {
        is_changed |= refresh_rows(state, id);
    }
    if is_changed {
        state.deployed.advance(Generation::Routes);
    }
}

/// Returns the revisions of an API in the order of their numbers.
pub(crate) fn revisions_of(state: &State, api: ApiId) -> Vec<Arc<Revision>> {
    state.apimgt.revisions.range((api, 0)..=(api, u32::MAX)).map(|(_, revision)| Arc::clone(revision)).collect()
}

fn served_default(state: &State, tenant: &TenantDomain, name: &str) -> Option<ApiId> {
    state.apimgt.served_defaults.get(&(tenant.clone(), name.to_owned())).copied()
}

/// Decides which version answers calls without a version: the one marked so, once it can; until then the one before,
/// so that marking a version that is still being designed takes nothing away from callers.
fn settle_default(state: &mut State, tenant: &TenantDomain, name: &str, before: Option<ApiId>) {
    let marked = versions_of(state, tenant, name)
        .into_iter()
        .find(|id| state.apimgt.apis.get(id).is_some_and(|api| api.is_default_version));
    let before = before.filter(|id| is_deployed(state, *id));
    let next = match marked {
        None => None,
        Some(id) if !is_deployed(state, id) => before,
        Some(id) if before.is_some() && lifecycle_of(state, id) == Some(Lifecycle::Created) => before,
        Some(id) => Some(id),
    };
    let key = (tenant.clone(), name.to_owned());
    match next {
        Some(id) => state.apimgt.served_defaults.insert(key, id),
        None => state.apimgt.served_defaults.remove(&key),
    };
}

fn lifecycle_of(state: &State, api: ApiId) -> Option<Lifecycle> {
    state.apimgt.apis.get(&api).map(|api| api.lifecycle)
}

fn is_deployed(state: &State, api: ApiId) -> bool {
    lifecycle_of(state, api).is_some_and(Lifecycle::is_deployable)
        && revisions_of(state, api).iter().any(|revision| !revision.deployments.is_empty())
}

/// Makes the rows of one API what its revisions say, and says whether that changed anything.
fn refresh_rows(state: &mut State, api: ApiId) -> bool {
    let mut wanted = Vec::new();
    if let Some(live) = state.apimgt.apis.get(&api).cloned().filter(|live| live.lifecycle.is_deployable()) {
        let is_default = served_default(state, &live.tenant, &live.name) == Some(api);
        for revision in revisions_of(state, api) {
            for deployment in &revision.deployments {
                let mut more = More::of(state, &revision);
                let endpoints = endpoints_in_force(state, &revision.content);
                let mut row = row(&live, &revision, deployment, is_default, endpoints);
                let own = assets::environment_properties(&state.apimgt, &live.tenant, api, &deployment.environment);
                if let Some(own) = own {
                    place_endpoints(&mut row.endpoints, &properties_of(&own.document));
                }
                let parts = more.parts.iter_mut().flatten().map(|part| &mut part.endpoints);
                keep_endpoints(
                    state,
                    &row.tenant,
                    &deployment.environment,
                    iter::once(&mut row.endpoints).chain(parts),
                );
                wanted.push((deployment.environment.clone(), row, more));
            }
        }
    }
    let index = state.applied_index;
    let mut is_changed = false;
    for environment in environments(state) {
        if !wanted.iter().any(|(its, ..)| *its == environment) {
            policy_change::note_maximum(state, &environment, api, index);
            let key = (environment, api);
            state.deployed.edge_security.remove(&key);
            state.deployed.mediations.remove(&key);
            state.deployed.checked_definitions.remove(&key);
            state.deployed.product_parts.remove(&key);
            state.deployed.graphql_rules.remove(&key);
            state.deployed.websub_rules.remove(&key);
            is_changed |= state.deployed.apis.remove(&key).is_some();
        }
    }
    for (environment, row, more) in wanted {
        let key = (environment, api);
        is_changed |= put_row(&mut state.deployed.edge_security, &key, more.edge);
        is_changed |= put_row(&mut state.deployed.mediations, &key, more.mediation);
        is_changed |= put_row(&mut state.deployed.product_parts, &key, more.parts);
        is_changed |= put_row(&mut state.deployed.graphql_rules, &key, more.graphql);
        is_changed |= put_row(&mut state.deployed.websub_rules, &key, more.websub);
        is_changed |= put_definition(&mut state.deployed.checked_definitions, &key, more.definition);
        let now = state.deployed.apis.get(&key);
        if now.is_some_and(|now| now.max_tps != row.max_tps) {
            policy_change::note_maximum(state, &key.0, api, index);
        }
        if state.deployed.apis.get(&key).is_none_or(|now| **now != row) {
            state.deployed.apis.insert(key, Arc::new(row));
            is_changed = true;
        }
    }
    is_changed
}

/// Returns the client certificates of an API, in the order of their aliases.
pub(crate) fn certificates_of(state: &State, api: ApiId) -> impl Iterator<Item = &ClientCertificate> {
    let all = state.apimgt.client_certificates.range((api, String::new())..);
    all.take_while(move |((its, _), _)| *its == api).map(|(_, one)| one.as_ref())
}

/// Removes the client certificates of an API.
pub(crate) fn remove_certificates(state: &mut State, api: ApiId) {
    let aliases: Vec<String> = certificates_of(state, api).map(|one| one.alias.clone()).collect();
    for alias in aliases {
        state.apimgt.client_certificates.remove(&(api, alias));
    }
}

/// Makes a row what it should be, and says whether that changed anything.
fn put_row<V: PartialEq>(
    table: &mut OrdMap<(String, ApiId), Arc<V>>,
    key: &(String, ApiId),
    wanted: Option<V>,
) -> bool {
    if table.get(key).map(AsRef::as_ref) == wanted.as_ref() {
        return false;
    }
    match wanted {
        Some(row) => table.insert(key.clone(), Arc::new(row)),
        None => table.remove(key),
    };
    true
}

/// The same for a definition, which is shared with its revision.
fn put_definition(
    table: &mut OrdMap<(String, ApiId), Arc<str>>,
    key: &(String, ApiId),
    wanted: Option<Arc<str>>,
) -> bool {
    if table.get(key) == wanted.as_ref() {
        return false;
    }
    match wanted {
        Some(row) => table.insert(key.clone(), row),
        None => table.remove(key),
    };
    true
}

/// Brings the rows of all APIs up to date: the cluster has come to a level at which they say more.
pub(crate) fn refresh_all(state: &mut State) {
    let apis: Vec<ApiId> = state.apimgt.apis.keys().copied().collect();
    let mut is_changed = false;
    for api in apis {
        is_changed |= refresh_rows(state, api);
    }
    if is_changed {
        state.deployed.advance(Generation::Routes);
    }
}

/// Returns the environments that have rows, by skipping from one to the next.
fn environments(state: &State) -> Vec<String> {
    let mut found = Vec::new();
    let mut from = (String::new(), first_id());
    while let Some(((environment, _), _)) = state.deployed.apis.range(from..).next() {
        found.push(environment.clone());
        from = (format!("{environment}\0"), first_id());
    }
    found
}

/// Takes away the endpoints for keys that an environment does not serve.
fn keep_endpoints<'a>(
    state: &State,
    tenant: &TenantDomain,
    environment: &str,
    all: impl Iterator<Item = &'a mut EndpointConfig>,
) {
    let kind = environments::of_name(&state.apimgt, tenant, environment).map(|found| found.kind);
    for endpoints in all {
        match kind {
            None | Some(EnvironmentKind::Hybrid) => {}
            Some(EnvironmentKind::Production) => endpoints.sandbox.clear(),
            Some(EnvironmentKind::Sandbox) => endpoints.production.clear(),
        }
    }
}

/// Returns where calls of an API go. Nodes of the first level know no endpoints with names.
pub(crate) fn endpoints_in_force(state: &State, api: &Api) -> EndpointConfig {
    if state.feature_level() > level::FIRST { served_endpoints(api) } else { api.endpoints.clone() }
}

/// Makes a row: the revision's content, with what is in force at once of the API itself.
fn row(
    live: &Api,
    revision: &Revision,
    deployment: &Deployment,
    is_default_version: bool,
    endpoints: EndpointConfig,
) -> DeployedApi {
    let content = &revision.content;
    DeployedApi {
        id: live.id,
        revision: revision.id,
        tenant: live.tenant.clone(),
        provider: live.provider.clone(),
        name: live.name.clone(),
        context: live.context.clone(),
        version: live.version.clone(),
        is_default_version,
        kind: content.kind,
        lifecycle: live.lifecycle,
        vhost: deployment.vhost.clone(),
        operations: content.operations.clone(),
        endpoints,
        api_policy: content.api_policy.clone(),
        has_http: content.has_http,
        has_https: content.has_https,
        security: content.security,
        authorization_header: content.authorization_header.clone(),
        max_tps: content.max_tps,
        cors: content.cors.clone(),
    }
}
