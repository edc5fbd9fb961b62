//! `/rulesets` and `/policies` of governance: what is there, added, changed and deleted.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use portcullis_actor::Address;
use portcullis_http::{ApiError, Body, List, MultipartForm, PageQuery, Stamped, percent};
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{AssetId, Refused};
use serde::Deserialize;
use serde_json::{Value, json};

use super::defaults;
use super::policy::{Policy, PolicyBody};
use super::ruleset::{Ruleset, RulesetBody};
use super::spectral::{Rules, check_size};
use crate::actor::Publisher;
use crate::messages::{Asker, DeleteAsset, ListAssets, PutAsset, Seen, Written};
use crate::openapi;
use crate::rest::answer::{flat, read as read_answer, wrote};
use crate::rest::request::{Params, Request};

const READ_RULES: &[&str] = &["apim:gov_rule_read", "apim:gov_rule_manage"];
const MANAGE_RULES: &[&str] = &["apim:gov_rule_manage"];
const READ_POLICIES: &[&str] = &["apim:gov_policy_read", "apim:gov_policy_manage"];
const MANAGE_POLICIES: &[&str] = &["apim:gov_policy_manage"];

#[derive(Deserialize)]
pub struct ListQuery {
    /// Words of names, and `member:value`.
    query: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

async fn assets(
    publisher: &Address<Publisher>,
    asker: Asker,
    kind: AssetKind,
) -> Result<Seen<Vec<Arc<Asset>>>, ApiError> {
    flat(publisher.ask(ListAssets { asker, kind, api: None }).await)
}

async fn rulesets(publisher: &Address<Publisher>, asker: Asker) -> Result<Seen<Vec<Ruleset>>, ApiError> {
    let seen = assets(publisher, asker, AssetKind::Ruleset).await?;
    Ok(Seen { value: Ruleset::all(seen.value.iter()), index: seen.index })
}

async fn policies(publisher: &Address<Publisher>, asker: Asker) -> Result<Seen<Vec<Policy>>, ApiError> {
    let seen = assets(publisher, asker, AssetKind::GovernancePolicy).await?;
    Ok(Seen { value: Policy::all(seen.value.iter()), index: seen.index })
}

async fn ruleset(publisher: &Address<Publisher>, asker: Asker, id: &str) -> Result<Seen<Ruleset>, ApiError> {
    let seen = rulesets(publisher, asker).await?;
    let found = seen.value.into_iter().find(|ruleset| ruleset.id.to_string() == id);
    Ok(Seen { value: found.ok_or_else(|| ApiError::not_found("Ruleset", id))?, index: seen.index })
}

async fn policy(publisher: &Address<Publisher>, asker: Asker, id: &str) -> Result<Seen<Policy>, ApiError> {
    let seen = policies(publisher, asker).await?;
    let found = seen.value.into_iter().find(|policy| policy.id.to_string() == id);
    Ok(Seen { value: found.ok_or_else(|| ApiError::not_found("Governance policy", id))?, index: seen.index })
}

/// Says whether a body is what a search asks for: `member:value`, where a value goes on up to the next member.
fn is_meant(body: &Value, query: &str) -> bool {
    let mut terms: Vec<(String, String)> = Vec::new();
    for word in query.split_whitespace() {
        match (word.split_once(':'), terms.last_mut()) {
            (Some((member, value)), _) => terms.push((member.to_owned(), value.to_owned())),
            (None, Some((_, value))) => *value = format!("{value} {word}"),
            (None, None) => terms.push(("name".to_owned(), word.to_owned())),
        }
    }
    terms.iter().all(|(member, value)| {
        let member = match member.as_str() {
            "state" => "governableStates",
            "label" => "labels",
            other => other,
        };
        let has = |text: &Value| text.as_str().is_some_and(|text| text.to_lowercase().contains(&value.to_lowercase()));
        match &body[member] {
            Value::Array(items) => items.iter().any(has),
            one => has(one),
        }
    })
}

fn listed(request: &Request, query: &ListQuery, all: Vec<Value>, path: &str, index: u64) -> Result<Response, ApiError> {
    let (page, search) = (query.page.page()?, query.query.as_deref().unwrap_or_default());
    let found: Vec<Value> = all.into_iter().filter(|body| is_meant(body, search)).collect();
    let tail = if search.is_empty() { String::new() } else { format!("query={}", percent::encoded(search)) };
    Ok(read_answer(&request.headers, &json!(List::of(found, page).with_links(path, &tail)), index))
}

pub async fn list_rulesets(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let seen = rulesets(&publisher, request.list_asker(READ_RULES)?).await?;
    listed(&request, &query, seen.value.iter().map(Ruleset::write).collect(), "/rulesets", seen.index)
}

pub async fn list_policies(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let seen = policies(&publisher, request.list_asker(READ_POLICIES)?).await?;
    listed(&request, &query, seen.value.iter().map(Policy::write).collect(), "/policies", seen.index)
}

/// What is kept.
struct Kept {
    kind: AssetKind,
    id: Option<AssetId>,
    name: String,
    document: String,
    content: String,
}

async fn put(publisher: &Address<Publisher>, asker: Asker, kept: Kept) -> Result<Written<Arc<Asset>>, ApiError> {
    let Kept { kind, id, name, document, content } = kept;
    flat(publisher.ask(PutAsset { asker, kind, id, api: None, name, document, content, expected: None }).await)
}

/// Refuses to change what comes with the program.
fn refuse_default(is_default: bool, noun: &str) -> Result<(), ApiError> {
    if !is_default {
        return Ok(());
    }
    let reason = format!("The {noun} comes with the program and stays as it is; add one of your own.");
    Err(ApiError::new(403, 403, "Forbidden", reason))
}

/// Returns the id of something that may be changed. Whether it is there is for the command to say: it repeats its answer to
/// a request that is sent again with the same key.
fn id_to_change(id: &str, noun: &str, is_default: fn(AssetId) -> bool) -> Result<AssetId, ApiError> {
    let known = id.parse().map_err(|_| ApiError::not_found(noun, id))?;
    refuse_default(is_default(known), &noun.to_lowercase())?;
    Ok(known)
}

async fn of_form(form: &MultipartForm, id: Option<AssetId>, taken: &[Ruleset]) -> Result<Kept, ApiError> {
    let text = |name: &str| Ok::<_, ApiError>(form.text(name)?.unwrap_or_default().trim().to_owned());
    let name = text("name")?;
    let category = text("ruleCategory")?;
    if !matches!(category.as_str(), "" | "SPECTRAL") {
        return Err(ApiError::bad_request("ruleCategory: must be SPECTRAL"));
    }
    let body = RulesetBody {
        description: text("description")?,
        rule_type: text("ruleType")?,
        artifact_type: text("artifactType")?,
        documentation_link: text("documentationLink")?,
        provider: text("provider")?,
    };
    body.check(&name)?;
    if taken.iter().any(|ruleset| ruleset.is_default() && ruleset.name.eq_ignore_ascii_case(&name)) {
        return Err(ApiError::from(Refused::exists("ruleset", name)));
    }
    let content = form.part("rulesetContent")?.text("rulesetContent")?;
    check_size(content)?;
    let content = content.to_owned();
    let content = openapi::aside(move || Rules::parse(&content).map(|_| content)).await??;
    Ok(Kept { kind: AssetKind::Ruleset, id, name, document: json!(body).to_string(), content })
}

fn put_ruleset(status: StatusCode, written: &Written<Arc<Asset>>) -> Response {
    let all = Ruleset::all(std::iter::once(&written.value));
    wrote(status, written, all.last().map(Ruleset::write).unwrap_or_default())
}

pub async fn create_ruleset(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_RULES)?;
    let there = rulesets(&publisher, asker.clone()).await?.value;
    let written = put(&publisher, asker, of_form(&form, None, &there).await?).await?;
    Ok(put_ruleset(StatusCode::CREATED, &written))
}

pub async fn show_ruleset(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = ruleset(&publisher, request.asker(READ_RULES)?, &id).await?;
    Ok(read_answer(&request.headers, &seen.value.write(), seen.index))
}

pub async fn update_ruleset(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    form: MultipartForm,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_RULES)?;
    let id = id_to_change(&id, "Ruleset", defaults::is_ruleset)?;
    let there = rulesets(&publisher, asker.clone()).await?.value;
    let written = put(&publisher, asker, of_form(&form, Some(id), &there).await?).await?;
    Ok(put_ruleset(StatusCode::OK, &written))
}

fn users_of(policies: &[Policy], ruleset: &str) -> Vec<String> {
    let uses = |policy: &&Policy| policy.body.rulesets.iter().any(|id| id == ruleset);
    policies.iter().filter(uses).map(|policy| policy.id.to_string()).collect()
}

async fn delete(
    publisher: &Address<Publisher>,
    asker: Asker,
    kind: AssetKind,
    id: AssetId,
) -> Result<Response, ApiError> {
    let written = flat(publisher.ask(DeleteAsset { asker, kind, id, api: None }).await)?;
    Ok(Stamped { body: StatusCode::NO_CONTENT, index: written.index, unreached: written.unreached }.into_response())
}

pub async fn delete_ruleset(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_RULES)?;
    let known = id_to_change(&id, "Ruleset", defaults::is_ruleset)?;
    let there = policies(&publisher, asker.clone()).await?.value;
    if let Some(policy) = users_of(&there, &known.to_string()).first() {
        let reason = format!("The ruleset is used by the policy {policy}; take it out of that first.");
        return Err(ApiError::bad_request(reason));
    }
    delete(&publisher, asker, AssetKind::Ruleset, known).await
}

pub async fn ruleset_content(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = ruleset(&publisher, request.asker(READ_RULES)?, &id).await?;
    let text = seen.value.content().to_owned();
    let media_type = if text.trim_start().starts_with('{') { "application/json" } else { "application/x-yaml" };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response())
}

pub async fn ruleset_usage(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(READ_RULES)?;
    ruleset(&publisher, asker.clone(), &id).await?;
    let seen = policies(&publisher, asker).await?;
    Ok(read_answer(&request.headers, &json!(users_of(&seen.value, &id)), seen.index))
}

/// Checks a policy and keeps it.
async fn keep_policy(
    publisher: &Address<Publisher>,
    asker: Asker,
    id: Option<AssetId>,
    body: PolicyBody,
) -> Result<Written<Arc<Asset>>, ApiError> {
    body.check(&rulesets(publisher, asker.clone()).await?.value)?;
    let there = policies(publisher, asker.clone()).await?.value;
    if there.iter().any(|policy| policy.is_default() && policy.body.name.eq_ignore_ascii_case(&body.name)) {
        return Err(ApiError::from(Refused::exists("governance policy", body.name)));
    }
    let (kind, name) = (AssetKind::GovernancePolicy, body.name.clone());
    put(publisher, asker, Kept { kind, id, name, document: json!(body).to_string(), content: String::new() }).await
}

fn put_policy(status: StatusCode, written: &Written<Arc<Asset>>) -> Response {
    let all = Policy::all(std::iter::once(&written.value));
    wrote(status, written, all.last().map(Policy::write).unwrap_or_default())
}

pub async fn create_policy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Body(body): Body<PolicyBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_POLICIES)?;
    Ok(put_policy(StatusCode::CREATED, &keep_policy(&publisher, asker, None, body).await?))
}

pub async fn show_policy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let seen = policy(&publisher, request.asker(READ_POLICIES)?, &id).await?;
    Ok(read_answer(&request.headers, &seen.value.write(), seen.index))
}

pub async fn update_policy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    Body(body): Body<PolicyBody>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_POLICIES)?;
    let id = id_to_change(&id, "Policy", defaults::is_policy)?;
    Ok(put_policy(StatusCode::OK, &keep_policy(&publisher, asker, Some(id), body).await?))
}

pub async fn delete_policy(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let asker = request.asker(MANAGE_POLICIES)?;
    let id = id_to_change(&id, "Policy", defaults::is_policy)?;
    delete(&publisher, asker, AssetKind::GovernancePolicy, id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_has_values_of_several_words() {
        let body = json!({"name": "WSO2 Best Practices", "governableStates": ["API_CREATE"], "labels": ["GLOBAL"]});
        for (query, wanted) in [
            ("", true),
            ("best", true),
            ("name:WSO2 Best Practices state:API_CREATE label:GLOBAL", true),
            ("name:Best state:API_DEPLOY", false),
            ("name:Worst", false),
        ] {
            assert_eq!(is_meant(&body, query), wanted, "{query}");
        }
    }
}
