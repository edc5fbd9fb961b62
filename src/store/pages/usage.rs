//! `/devportal/applications/{application}/usage`: what an application called, for those who may see it.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_http::{ApiError, Signed};
use portcullis_model::ApplicationId;
use portcullis_portal::statistics::{About, PageQuery, Source, ValuesQuery, download, fragment, look};
use portcullis_portal::{Frame, Shell, Viewer, render};

use crate::dto::application::ApplicationDto;
use crate::messages::{GetApplication, Subscriber};
use crate::rest::Face;
use crate::rest::query::{Query, id};
use crate::rest::visitor::MayManageApplications;

#[derive(Template)]
#[template(path = "statistics.html")]
struct UsagePage {
    frame: Frame,
    fragment: String,
}

/// Returns an application of a subscriber, and what its statistics are about.
async fn find(face: &Face, subscriber: Subscriber, application: &str) -> Result<(ApplicationDto, About), ApiError> {
    let id: ApplicationId = id("application", application)?;
    // Only an owner gets at an application.
    let owner = subscriber.principal.username.clone();
    let found = face.ask(GetApplication { subscriber, application: id }).await?.body;
    Ok((found, About::Application { id, owner }))
}

pub(crate) async fn show(
    State(face): State<Face>,
    Extension(source): Extension<Source>,
    MayManageApplications(subscriber): MayManageApplications,
    signed: Signed,
    viewer: Viewer,
    Path(application): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let (found, about) = find(&face, subscriber, &application).await?;
    let view = look(source, signed.0, about, &query).await?;
    let of_application = format!("/devportal/applications/{}", found.id);
    let fragment = fragment(&format!("{of_application}/usage"), &view);
    let frame = Frame::new(viewer, Shell::Store, "/devportal/applications", "Usage");
    let frame = frame.below("/devportal/applications", "Applications").below(of_application, found.info.name);
    Ok(render(&UsagePage { frame, fragment }))
}

pub(crate) async fn values(
    State(face): State<Face>,
    Extension(source): Extension<Source>,
    MayManageApplications(subscriber): MayManageApplications,
    signed: Signed,
    Path((application, report)): Path<(String, String)>,
    Query(query): Query<ValuesQuery>,
) -> Result<Response, ApiError> {
    let (_, about) = find(&face, subscriber, &application).await?;
    download(source, signed.0, about, report, &query).await
}
