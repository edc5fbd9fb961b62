//! Which of the scopes asked for go into a token. The scopes an operation asks for are the gateway's business.
//!
//! As in the original, a scope that the user's roles do not back, or that nobody knows, is dropped without a word; a
//! token without any scope left carries `default`.

use portcullis_database::Apimgtdb;
use portcullis_database::access::KeyManager;
use portcullis_database::handle::View;
use portcullis_model::api::ApiScope;
use portcullis_model::oauth::OauthClient;
use portcullis_model::{ApiId, ApplicationId, Role, TenantConfig};
use uuid::Uuid;

use crate::bound::{SCOPE_CHARS_MAX, SCOPES_BYTES_MAX, SCOPES_MAX};
use crate::oauth_error::OauthError;
use crate::rest_scope;
use crate::user_claims::settings_of;

/// The scope of a token that has no other.
pub(crate) const DEFAULT: &str = "default";
/// The scope that asks for facts about the user (OpenID Connect).
pub(crate) const OPENID: &str = "openid";
/// Scopes of facts about users (OpenID Connect Core, sections 5.4 and 11).
const OF_USERS: [&str; 6] = ["profile", "email", "phone", "groups", "roles", "offline_access"];

/// Reads the `scope` parameter (RFC 6749, section 3.3): names between spaces, each once.
pub(crate) fn parse(text: &str) -> Result<Vec<String>, OauthError> {
    let is_scope_character = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
        if scope.len() > SCOPE_CHARS_MAX || !scope.chars().all(is_scope_character) {
            return Err(OauthError::invalid_scope("a scope has a character or a length that is not allowed"));
        }
        if scopes.iter().any(|known| known == scope) {
            continue;
        }
        if scopes.len() == SCOPES_MAX {
            return Err(OauthError::invalid_scope(format!("at most {SCOPES_MAX} scopes can be asked for at once")));
        }
        scopes.push(scope.to_owned());
    }
    Ok(scopes)
}

/// Returns those of `wanted` that a token of `client` may carry on behalf of somebody with `roles`.
///
/// The scopes of the REST APIs go to users, and to clients that were registered by themselves on behalf of their owner;
/// not to an application's own token: applications are shared with people who must not act as the owner.
pub(crate) fn granted(
    view: &View<KeyManager>,
    client: &OauthClient,
    roles: &[Role],
    is_user_token: bool,
    wanted: &[String],
) -> Result<Vec<String>, OauthError> {
    let application = client.mapping.map(|mapping| mapping.application);
    let config = rest_scope::config(view, &client.tenant);
    let is_granted = |scope: &str| {
        if scope == DEFAULT || TenantConfig::is_allowed_to_all(config, scope) {
            return true;
        }
        if OF_USERS.contains(&scope) {
            return is_user_token;
        }
        if rest_scope::is_rest_scope(config, scope) {
            return (is_user_token || application.is_none()) && rest_scope::is_allowed(config, scope, roles);
        }
        match application.and_then(|application| backing(view, application, scope, roles)) {
            Some(is_backed) => is_backed,
            // One of the tenant's own that tell facts about users.
            None => {
                is_user_token && settings_of(view.read(), &client.tenant).scopes.iter().any(|one| one.name == scope)
            }
        }
    };
    let mut scopes: Vec<String> = wanted.iter().filter(|scope| is_granted(scope)).cloned().collect();
    if scopes.is_empty() {
        scopes.push(DEFAULT.to_owned());
    }
    if scopes.iter().map(String::len).sum::<usize>() > SCOPES_BYTES_MAX {
        return Err(OauthError::invalid_scope(format!("the scopes of a token are at most {SCOPES_BYTES_MAX} bytes")));
    }
    Ok(scopes)
}

/// Says whether one of the roles may have a scope of an API that the application is subscribed to; `None` where none of
/// them has such a scope.
fn backing(view: &View<KeyManager>, application: ApplicationId, scope: &str, roles: &[Role]) -> Option<bool> {
    let tables = view.read::<Apimgtdb>();
    let every_api = (application, ApiId(Uuid::nil()))..=(application, ApiId(Uuid::max()));
    let subscribed = tables.subscriptions_by_application.range(every_api);
    let of_apis = subscribed.filter_map(|((_, api), _)| tables.apis.get(api)).flat_map(|api| &api.scopes);
    of_apis.filter(|one| one.name == scope).map(|one| may_have(one, roles)).reduce(|a, b| a || b)
}

fn may_have(scope: &ApiScope, roles: &[Role]) -> bool {
    scope.roles.is_empty() || scope.roles.iter().any(|role| roles.contains(role))
}
