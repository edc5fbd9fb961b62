//! `/publisher/apis/{id}/revisions`: copies of an API that do not change, and where they are deployed.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::environment::VirtualHost;
use portcullis_model::revision::Deployment;
use portcullis_model::{Api, Environment, Revision};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{changes, find, frame};
use crate::actor::Publisher;
use crate::dto::revision::read_deployments;
use crate::messages::{
    ApiView, CreateRevision, DeleteRevision, DeployRevision, ListEnvironments, ListRevisions, RestoreRevision,
    RevisionMeant, UndeployRevision,
};
use crate::rest::answer::flat;
use crate::rest::request::{Params, Request};
use crate::rest::revisions::{CHANGE, DEPLOY, VIEW, revision_id};

/// A revision, and how the API differs from it now.
struct Row {
    revision: Arc<Revision>,
    made: String,
    changes: Vec<String>,
}

/// Where a revision may be deployed: what the form sends, and what is shown.
struct Place {
    value: String,
    title: String,
}

/// What is compared.
#[derive(Default, Deserialize)]
pub(super) struct CompareQuery {
    /// The number of a revision.
    #[serde(default)]
    from: String,
    /// The number of another; the API as it is now where there is none.
    #[serde(default)]
    to: String,
}

/// What changed from one to another.
struct Compared {
    title: String,
    changes: Vec<String>,
}

#[derive(Template)]
#[template(path = "publisher_revisions.html")]
struct RevisionsPage {
    frame: Frame,
    api: Arc<Api>,
    rows: Vec<Row>,
    places: Vec<Place>,
    query: CompareQuery,
    compared: Option<Compared>,
    wrong: Wrong,
    may_change: bool,
}

/// Returns where somebody may deploy: each host of each environment that is open to him.
async fn places(publisher: &Address<Publisher>, request: &Request) -> Result<Vec<Place>, ApiError> {
    let message = ListEnvironments { asker: request.list_asker(VIEW)? };
    let environments = flat(publisher.ask(message).await)?.value;
    let of = |one: &Arc<Environment>| {
        let name = if one.display_name.is_empty() { one.name.clone() } else { one.display_name.clone() };
        let place = |host: &VirtualHost| Place {
            value: format!("{} {}", host.host, one.name),
            title: format!("{name} ({})", host.host),
        };
        one.vhosts.iter().map(place).collect::<Vec<Place>>()
    };
    Ok(environments.iter().flat_map(of).collect())
}

/// Compares what the query names; nothing where it names nothing that there is.
fn compared(query: &CompareQuery, revisions: &[Arc<Revision>], view: &ApiView) -> Option<Compared> {
    let named = |number: &str| revisions.iter().find(|one| one.number.to_string() == number);
    let from = named(&query.from)?;
    let (title, now): (String, (&Api, &str)) = match query.to.as_str() {
        "" => ("now".to_owned(), (&view.api, &view.definition)),
        number => {
            let to = named(number)?;
            (format!("revision {number}"), (&to.content, &to.definition))
        }
    };
    let changes = changes::between((&from.content, &from.definition), now);
    Some(Compared { title: format!("From revision {} to {title}", from.number), changes })
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    (query, wrong): (CompareQuery, Wrong),
) -> Result<RevisionsPage, ApiError> {
    let message = ListRevisions { asker: request.asker(VIEW)?, id: view.api.id.to_string() };
    let mut all = flat(publisher.ask(message).await)?.value;
    all.reverse();
    let now = (view.api.as_ref(), view.definition.as_ref());
    let row = |revision: &Arc<Revision>| Row {
        made: when(revision.created_at),
        changes: changes::between((&revision.content, &revision.definition), now),
        revision: Arc::clone(revision),
    };
    Ok(RevisionsPage {
        rows: all.iter().map(row).collect(),
        compared: compared(&query, &all, view),
        places: places(publisher, request).await?,
        may_change: viewer.may(DEPLOY),
        frame: frame(viewer, view, "/revisions"),
        api: Arc::clone(&view.api),
        query,
        wrong,
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    Params(query): Params<CompareQuery>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&page(&publisher, &request, viewer, &view, (query, Wrong::default())).await?))
}

/// Says what was done, or shows the page with why not.
async fn answered(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    id: &str,
    outcome: Result<String, ApiError>,
) -> Result<Response, ApiError> {
    match outcome {
        Ok(said) => Ok(say_and_go(&said, &format!("/publisher/apis/{id}/revisions"))),
        Err(error) => {
            let view = find(publisher, request, id).await?;
            let shown = (CompareQuery::default(), error.clone().into());
            let page = page(publisher, request, viewer, &view, shown).await?;
            Ok(render_again(&page, &error))
        }
    }
}

/// Reads where the form says to deploy: one host of each environment.
fn chosen(fields: &Fields) -> Result<Vec<Deployment>, ApiError> {
    let chosen = fields.all("place");
    // A host has no space in it; the name of an environment may.
    let places = chosen.iter().map(|place| match place.split_once(' ') {
        Some((host, environment)) => json!({"name": environment, "vhost": host}),
        None => json!({"name": place}),
    });
    let places: Vec<Value> = if chosen.is_empty() { vec![json!({"name": "Default"})] } else { places.collect() };
    read_deployments(places).map_err(|_| {
        ApiError::bad_request("Choose one host of each environment: a revision is at one host of an environment.")
    })
}

async fn deploy(
    publisher: &Address<Publisher>,
    request: &Request,
    id: &str,
    revision: &str,
    deployments: Vec<Deployment>,
) -> Result<String, ApiError> {
    let (asker, revision) = (request.asker(DEPLOY)?, revision_id(revision)?);
    let message = DeployRevision { asker, id: id.to_owned(), revision, deployments };
    let done = flat(publisher.ask(message).await)?;
    Ok(match (done.value.waiting.len(), done.unreached.as_slice()) {
        (0, []) => "Deployed: every gateway serves it now.".to_owned(),
        (0, unreached) => {
            let nodes: Vec<String> = unreached.iter().map(ToString::to_string).collect();
            format!("Deployed. Not heard of yet: node {}.", nodes.join(", node "))
        }
        _ => "The deployment waits for a decision.".to_owned(),
    })
}

pub(super) async fn create(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let outcome = make(&publisher, &request, &id, &fields).await;
    answered(&publisher, &request, viewer, &id, outcome).await
}

/// Makes a revision, and deploys it where the form says so. A choice that cannot be deployed makes none.
async fn make(
    publisher: &Address<Publisher>,
    request: &Request,
    id: &str,
    fields: &Fields,
) -> Result<String, ApiError> {
    let (asker, description) = (request.asker(CHANGE)?, fields.text("description").to_owned());
    let deployments = fields.has("deploy").then(|| chosen(fields)).transpose()?;
    let made = flat(publisher.ask(CreateRevision { asker, id: id.to_owned(), description }).await)?;
    match deployments {
        Some(deployments) => deploy(publisher, request, id, &made.value.id.to_string(), deployments).await,
        None => Ok(format!("Revision {} is made. It is not deployed yet.", made.value.number)),
    }
}

async fn act_on(
    publisher: &Address<Publisher>,
    request: &Request,
    (id, revision, act): (String, String, String),
    fields: &Fields,
) -> Result<String, ApiError> {
    match act.as_str() {
        "deploy" => deploy(publisher, request, &id, &revision, chosen(fields)?).await,
        "undeploy" => {
            let (asker, revision) = (request.asker(CHANGE)?, RevisionMeant::Id(revision_id(&revision)?));
            let environments = fields.filled("environment").map(|name| vec![name.to_owned()]);
            let said = match &environments {
                Some(names) => format!("Gateways of {} do not serve it any more.", names.join(", ")),
                None => "Gateways do not serve it any more.".to_owned(),
            };
            flat(publisher.ask(UndeployRevision { asker, id, revision, environments }).await)?;
            Ok(said)
        }
        "restore" => {
            let (asker, revision) = (request.asker(DEPLOY)?, revision_id(&revision)?);
            flat(publisher.ask(RestoreRevision { asker, id, revision }).await)?;
            Ok("The API is what it was in this revision.".to_owned())
        }
        "delete" => {
            let (asker, revision) = (request.asker(CHANGE)?, revision_id(&revision)?);
            flat(publisher.ask(DeleteRevision { asker, id, revision }).await)?;
            Ok("The revision is deleted.".to_owned())
        }
        _ => Err(ApiError::no_such_path()),
    }
}

pub(super) async fn act(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(path): Path<(String, String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let id = path.0.clone();
    let outcome = act_on(&publisher, &request, path, &fields).await;
    answered(&publisher, &request, viewer, &id, outcome).await
}
