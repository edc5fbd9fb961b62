//! `/devportal/applications`: a subscriber's applications, and a new one.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use portcullis_http::{ApiError, PageQuery};
use portcullis_model::PolicyLevel;
use portcullis_portal::{Fields, Frame, Part, Shell, Viewer, Wrong, page, render, render_again, say_and_go};

use super::api::OWN;
use crate::dto::application::{ApplicationBody, ApplicationInfoDto};
use crate::dto::policy::PolicyDto;
use crate::messages::{ApplicationSort, CreateApplication, Direction, ListApplications, ListPolicies, Subscriber};
use crate::rest::Face;
use crate::rest::query::Query;
use crate::rest::visitor::MayManageApplications;

#[derive(Template)]
#[template(path = "store_applications.html")]
struct ApplicationsPage {
    frame: Frame,
    applications: Vec<ApplicationInfoDto>,
    policies: Vec<PolicyDto>,
    part: Part,
    fields: Fields,
    wrong: Wrong,
}

async fn page(
    face: &Face,
    subscriber: Subscriber,
    viewer: Viewer,
    query: &PageQuery,
    fields: Fields,
    wrong: Wrong,
) -> Result<ApplicationsPage, ApiError> {
    let wanted = page::wanted(query)?;
    let policies = policies(face, &subscriber).await?;
    let message = ListApplications {
        subscriber,
        query: String::new(),
        sort: ApplicationSort::Name,
        direction: Direction::Ascending,
        page: wanted,
    };
    let found = face.ask(message).await?.body;
    let path = "/devportal/applications";
    let part = Part::of(path, "", wanted, found.list.len(), found.pagination.total);
    let frame = Frame::new(viewer, Shell::Store, path, "Applications");
    Ok(ApplicationsPage { frame, applications: found.list, policies, part, fields, wrong })
}

pub(super) async fn policies(face: &Face, subscriber: &Subscriber) -> Result<Vec<PolicyDto>, ApiError> {
    let message = ListPolicies { visitor: subscriber.as_visitor(), level: PolicyLevel::Application, page: OWN };
    Ok(face.ask(message).await?.body.list)
}

pub(crate) async fn show(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    Ok(render(&page(&face, subscriber, viewer, &query, Fields::default(), Wrong::default()).await?))
}

/// Returns an application as a form says it.
pub(super) fn body_of(fields: &Fields) -> ApplicationBody {
    ApplicationBody {
        name: fields.text("name").to_owned(),
        throttling_policy: fields.text("policy").to_owned(),
        description: Some(fields.text("description").to_owned()),
        token_type: None,
        groups: None,
        attributes: None,
        visibility: None,
    }
}

pub(crate) async fn create(
    State(face): State<Face>,
    MayManageApplications(subscriber): MayManageApplications,
    viewer: Viewer,
    fields: Fields,
) -> Result<Response, ApiError> {
    let body = body_of(&fields);
    match face.ask(CreateApplication { subscriber: subscriber.clone(), body }).await {
        Ok(made) => {
            let said = "The application is there. Subscribe it to APIs, and get its keys below.";
            Ok(say_and_go(said, &format!("/devportal/applications/{}", made.body.id)))
        }
        Err(error) => {
            let query = PageQuery::default();
            let page = page(&face, subscriber, viewer, &query, fields, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}
