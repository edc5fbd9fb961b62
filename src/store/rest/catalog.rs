//! Tags, categories, tenants, policies, settings, key managers.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use portcullis_http::page::PageQuery;
use portcullis_http::{ApiError, Stamped};
use portcullis_model::PolicyLevel;
use serde::Deserialize;

use super::Face;
use super::answer::{found, ok};
use super::query::{Query, word};
use super::visitor::{MayManageApplications, MayReadSettings, MaySubscribe};
use crate::dto::catalog::{ApplicationAttributeDto, WholeList};
use crate::messages::{
    GetPolicy, GetSettings, ListCategories, ListKeyManagers, ListPolicies, ListRecommendations, ListTags, ListTenants,
    Visitor,
};

pub(super) async fn tags(
    State(face): State<Face>,
    visitor: Visitor,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Stamped { body, index, unreached } = face.ask(ListTags { visitor, page: page.page()? }).await?;
    found(&headers, Stamped { body: body.with_links("/tags", ""), index, unreached })
}

pub(super) async fn categories(State(face): State<Face>, visitor: Visitor) -> Result<Response, ApiError> {
    ok(face.ask(ListCategories { visitor }).await?)
}

#[derive(Deserialize)]
pub(super) struct TenantQuery {
    state: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

pub(super) async fn tenants(State(face): State<Face>, Query(query): Query<TenantQuery>) -> Result<Response, ApiError> {
    let is_active = word("state", query.state.as_deref(), &[("active", true), ("inactive", false)])?;
    let Stamped { body, index, unreached } = face.ask(ListTenants { is_active, page: query.page.page()? }).await?;
    ok(Stamped { body: body.with_links("/tenants", ""), index, unreached })
}

fn level(text: &str) -> Result<PolicyLevel, ApiError> {
    let words = [("application", PolicyLevel::Application), ("subscription", PolicyLevel::Subscription)];
    word("policyLevel", Some(text), &words)
}

pub(super) async fn policies(
    State(face): State<Face>,
    visitor: Visitor,
    Path(level_word): Path<String>,
    Query(page): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let list = ListPolicies { visitor, level: level(&level_word)?, page: page.page()? };
    let Stamped { body, index, unreached } = face.ask(list).await?;
    let body = body.with_links(&format!("/throttling-policies/{level_word}"), "");
    found(&headers, Stamped { body, index, unreached })
}

pub(super) async fn policy(
    State(face): State<Face>,
    visitor: Visitor,
    Path((level_word, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let get = GetPolicy { visitor, level: level(&level_word)?, name };
    found(&headers, face.ask(get).await?)
}

pub(super) async fn settings(State(face): State<Face>, may: MayReadSettings) -> Result<Response, ApiError> {
    ok(face.ask(GetSettings { tenant: may.0 }).await?)
}

/// No attributes are configured that applications must or may have, so the list is empty; any may be sent.
pub(super) async fn application_attributes(
    _may: MayManageApplications,
) -> axum::Json<WholeList<ApplicationAttributeDto>> {
    axum::Json(WholeList::new(Vec::new()))
}

pub(super) async fn key_managers(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
) -> Result<Response, ApiError> {
    ok(face.ask(ListKeyManagers { tenant: subscriber.principal.tenant }).await?)
}

pub(super) async fn recommendations(
    State(face): State<Face>,
    MaySubscribe(subscriber): MaySubscribe,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    found(&headers, face.ask(ListRecommendations { subscriber }).await?)
}
