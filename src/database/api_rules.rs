//! What must hold for an API in the state: unique names and contexts, bounds, and that what it refers to exists. It
//! changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_model::api::{Visibility, versioned_context};
use portcullis_model::limit::{
    API_CONTEXT_CHARS_MAX, API_DESCRIPTION_CHARS_MAX, API_NAME_CHARS_MAX, API_OPERATIONS_MAX, API_VERSION_CHARS_MAX,
    DEFINITION_BYTES_MAX,
};
use portcullis_model::policy::PolicyLevel;
use portcullis_model::product::parts_of;
use portcullis_model::{Api, ApiId, ApiKind, Mediation, Refused, TenantDomain};
use uuid::Uuid;

use crate::codec;
use crate::command::Moment;
use crate::state::State;

/// Bytes of an API's record. With its definition it stays below what one command and one revision may have.
pub(crate) const API_RECORD_BYTES_MAX: usize = 4 << 20;

/// Bytes of what gateways get of an API's policies and its own answers: one row, half of what a record may have.
const MEDIATION_BYTES_MAX: usize = 8 << 20;

/// The policy that every tenant has, also where its record was deleted.
const UNLIMITED_POLICY: &str = "Unlimited";

/// Returns the API of that id in the principal's tenant.
///
/// # Errors
/// [`Refused::NotFound`], also for an API of another tenant.
pub(crate) fn find(state: &State, moment: &Moment, id: ApiId) -> Result<Arc<Api>, Refused> {
    match state.apimgt.apis.get(&id) {
        Some(api) if api.tenant == moment.principal.tenant => Ok(Arc::clone(api)),
        _ => Err(Refused::not_found("API", id)),
    }
}

/// Checks that `api` may be in the state beside the others. A row of the same id is not counted as another.
///
/// # Errors
/// The first rule that does not hold.
pub(crate) fn check(state: &State, api: &Api) -> Result<(), Refused> {
    check_bounds(api)?;
    check_identity(state, api)?;
    check_references(state, api)?;
    check_scopes(state, api)
}

/// Checks the size of a definition.
///
/// # Errors
/// Where it is larger than a definition may be.
pub(crate) fn check_definition(definition: &str) -> Result<(), Refused> {
    if definition.len() > DEFINITION_BYTES_MAX {
        return Err(Refused::invalid("definition", format!("has more than {DEFINITION_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Checks the size of what gateways get of an API's policies and of what it answers by itself.
///
/// # Errors
/// Where it is larger than its row may be.
pub(crate) fn check_mediation(api: &Api) -> Result<(), Refused> {
    let fields: serde_json::Value = serde_json::from_str(&api.other_fields).unwrap_or_default();
    let bytes = codec::encoded_len(&Mediation::of_api(api, &fields));
    if bytes > MEDIATION_BYTES_MAX {
        let reason = format!(
            "its policies and its own answers have {bytes} bytes together as gateways get them; at most \
             {MEDIATION_BYTES_MAX} are accepted: make them fewer or shorter"
        );
        return Err(Refused::invalid("API", reason));
    }
    Ok(())
}

/// Returns the ids of all versions of the API of that name, in the order of their version texts.
pub(crate) fn versions_of(state: &State, tenant: &TenantDomain, name: &str) -> Vec<ApiId> {
    let first = (tenant.clone(), name.to_owned(), String::new());
    state
        .apimgt
        .api_names
        .range(first..)
        .take_while(|((its_tenant, its_name, _), _)| its_tenant == tenant && its_name == name)
        .map(|(_, id)| *id)
        .collect()
}

fn check_bounds(api: &Api) -> Result<(), Refused> {
    let texts = [
        ("name", &api.name, 1, API_NAME_CHARS_MAX),
        ("context", &api.context, 1, API_CONTEXT_CHARS_MAX),
        ("version", &api.version, 1, API_VERSION_CHARS_MAX),
        ("description", &api.description, 0, API_DESCRIPTION_CHARS_MAX),
    ];
    for (field, text, min, max) in texts {
        let chars = text.chars().count();
        if chars < min || chars > max {
            return Err(Refused::invalid(field, format!("has {chars} characters; {min} to {max} are accepted")));
        }
    }
    if !api.context.starts_with('/') {
        return Err(Refused::invalid("context", "begins with /"));
    }
    if api.operations.len() > API_OPERATIONS_MAX {
        let reason = format!("there are {}; at most {API_OPERATIONS_MAX} are accepted", api.operations.len());
        return Err(Refused::invalid("operations", reason));
    }
    let bytes = codec::encode(api).map_or(usize::MAX, |record| record.len());
    if bytes > API_RECORD_BYTES_MAX {
        return Err(Refused::invalid(
            "API",
            format!("is larger than {API_RECORD_BYTES_MAX} bytes without its definition"),
        ));
    }
    Ok(())
}

/// Checks names and contexts: a name and version once per tenant; one context for all versions of a name; no path of
/// one API that another one serves.
fn check_identity(state: &State, api: &Api) -> Result<(), Refused> {
    let name_key = (api.tenant.clone(), api.name.clone(), api.version.clone());
    if is_taken_by_other(state.apimgt.api_names.get(&name_key), api.id) {
        return Err(Refused::exists("API", format!("{}:{}", api.name, api.version)));
    }
    for id in versions_of(state, &api.tenant, &api.name) {
        if let Some(other) = state.apimgt.apis.get(&id)
            && id != api.id
            && other.context != api.context
        {
            let reason = format!("the other versions of {} have the context {}", api.name, other.context);
            return Err(Refused::invalid("context", reason));
        }
    }
    let served = versioned_context(&api.context, &api.version);
    let bare = api.context.trim_end_matches('/').to_owned();
    let is_served =
        |path: &String| is_taken_by_other(state.apimgt.contexts.get(&(api.tenant.clone(), path.clone())), api.id);
    if is_served(&served) {
        return Err(Refused::exists("API context", served));
    }
    let is_bare_taken = is_served(&bare)
        || has_bare_context(state, api, &api.context, &prefix_of(&api.context))
        || has_bare_context(state, api, &served, &prefix_of(&served));
    if is_bare_taken {
        return Err(Refused::exists("API context", &api.context));
    }
    Ok(())
}

fn is_taken_by_other(holder: Option<&ApiId>, id: ApiId) -> bool {
    holder.is_some_and(|holder| *holder != id)
}

/// Returns what the version-filled form of every version of a context begins with.
fn prefix_of(context: &str) -> String {
    match context.split_once("{version}") {
        Some((before, _)) => before.to_owned(),
        None => format!("{}/", context.trim_end_matches('/')),
    }
}

/// Says whether an API of another name has this bare context.
fn has_bare_context(state: &State, api: &Api, context: &str, prefix: &str) -> bool {
    state
        .apimgt
        .contexts
        .range((api.tenant.clone(), prefix.to_owned())..)
        .take_while(|((tenant, served), _)| *tenant == api.tenant && served.starts_with(prefix))
        .filter_map(|(_, id)| state.apimgt.apis.get(id))
        .any(|other| other.name != api.name && other.context == context)
}

fn check_references(state: &State, api: &Api) -> Result<(), Refused> {
    let has_policy = |level, name: &str| {
        state.apimgt.policies.contains_key(&(api.tenant.clone(), level, name.to_owned())) || name == UNLIMITED_POLICY
    };
    for plan in &api.plans {
        if !has_policy(PolicyLevel::Subscription, plan) {
            return Err(Refused::invalid("policies", format!("there is no business plan {plan}")));
        }
    }
    if let Some(policy) = &api.api_policy
        && !has_policy(PolicyLevel::Advanced, policy)
    {
        return Err(Refused::invalid("apiThrottlingPolicy", format!("there is no advanced policy {policy}")));
    }
    let mut checked = UNLIMITED_POLICY;
    for operation in &api.operations {
        if operation.policy != checked && !has_policy(PolicyLevel::Advanced, &operation.policy) {
            let reason =
                format!("{} {}: there is no advanced policy {}", operation.verb, operation.target, operation.policy);
            return Err(Refused::invalid("operations", reason));
        }
        checked = &operation.policy;
    }
    if api.visibility == Visibility::Restricted && api.visible_roles.is_empty() {
        return Err(Refused::invalid("visibleRoles", "RESTRICTED visibility needs at least one role"));
    }
    for role in api.visible_roles.iter().chain(api.scopes.iter().flat_map(|scope| &scope.roles)) {
        if !state.user.roles.contains_key(&(api.tenant.clone(), role.clone())) {
            return Err(Refused::invalid("roles", format!("there is no role {}", role.0)));
        }
    }
    Ok(())
}

/// Checks that operations use declared scopes, and that no API of another name has one of them: whoever asks for a
/// scope by name must know which roles it needs.
fn check_scopes(state: &State, api: &Api) -> Result<(), Refused> {
    let declared: BTreeSet<&str> = api.scopes.iter().map(|one| one.name.as_str()).collect();
    for operation in &api.operations {
        if let Some(unknown) = operation.scopes.iter().find(|name| !declared.contains(name.as_str())) {
            let reason = format!("{} {}: the scope {unknown} is not among scopes", operation.verb, operation.target);
            return Err(Refused::invalid("operations", reason));
        }
    }
    // A product has the scopes of its APIs.
    if api.kind == ApiKind::Product {
        return Ok(());
    }
    let own: BTreeSet<&str> = api.scopes.iter().filter(|one| !one.is_shared).map(|one| one.name.as_str()).collect();
    if own.is_empty() {
        return Ok(());
    }
    let is_other =
        |other: &&Arc<Api>| other.tenant == api.tenant && other.name != api.name && other.kind != ApiKind::Product;
    for other in state.apimgt.apis.values().filter(is_other) {
        let taken = other.scopes.iter().find(|its| own.contains(its.name.as_str()));
        if let Some(taken) = taken {
            let reason = format!("the scope {} belongs to {}:{}", taken.name, other.name, other.version);
            return Err(Refused::invalid("scopes", reason));
        }
    }
    Ok(())
}

/// Returns a product that has operations of an API.
pub(crate) fn product_with(state: &State, api: &Api) -> Option<Arc<Api>> {
    let mut products =
        state.apimgt.apis.values().filter(|other| other.kind == ApiKind::Product && other.tenant == api.tenant);
    products.find(|product| parts_of(product).iter().any(|part| part.api == api.id)).cloned()
}

/// Returns the smallest id, to begin a range with.
pub(crate) const fn first_id() -> ApiId {
    ApiId(Uuid::nil())
}
