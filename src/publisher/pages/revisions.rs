//! `/publisher/apis/{id}/revisions`: copies of an API that do not change, and where they are deployed.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_http::ApiError;
use portcullis_model::{Api, Revision};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};
use serde_json::json;

use super::{find, frame};
use crate::actor::Publisher;
use crate::dto::revision::read_deployments;
use crate::messages::{
    ApiView, CreateRevision, DeleteRevision, DeployRevision, ListRevisions, RestoreRevision, RevisionMeant,
    UndeployRevision,
};
use crate::rest::answer::flat;
use crate::rest::request::Request;
use crate::rest::revisions::{CHANGE, DEPLOY, VIEW, revision_id};

/// A revision, and how the API differs from it now.
struct Row {
    revision: Arc<Revision>,
    made: String,
    places: Vec<String>,
    changes: Vec<String>,
}

#[derive(Template)]
#[template(path = "publisher_revisions.html")]
struct RevisionsPage {
    frame: Frame,
    api: Arc<Api>,
    rows: Vec<Row>,
    wrong: Wrong,
    may_change: bool,
}

/// Says in which way an API is not what it was.
fn changes(then: &Api, now: &Api) -> Vec<String> {
    let named = |api: &Api| -> BTreeSet<String> {
        api.operations.iter().map(|one| format!("{} {}", one.verb, one.target)).collect()
    };
    let (before, after) = (named(then), named(now));
    let mut changes: Vec<String> = after.difference(&before).map(|name| format!("+ {name}")).collect();
    changes.extend(before.difference(&after).map(|name| format!("− {name}")));
    let parts = [
        ("description", then.description != now.description),
        ("settings of resources", before == after && then.operations != now.operations),
        ("endpoints", then.endpoints != now.endpoints),
        ("plans", then.plans != now.plans || then.api_policy != now.api_policy),
        ("security", then.security != now.security || then.authorization_header != now.authorization_header),
        ("scopes", then.scopes != now.scopes),
        ("visibility", then.visibility != now.visibility || then.visible_roles != now.visible_roles),
        ("CORS", then.cors != now.cors),
        ("other settings", then.other_fields != now.other_fields),
    ];
    changes.extend(parts.iter().filter(|(_, is_other)| *is_other).map(|(name, _)| format!("{name} changed")));
    changes
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    wrong: Wrong,
) -> Result<RevisionsPage, ApiError> {
    let message = ListRevisions { asker: request.asker(VIEW)?, id: view.api.id.to_string() };
    let mut all = flat(publisher.ask(message).await)?.value;
    all.reverse();
    let row = |revision: Arc<Revision>| Row {
        made: when(revision.created_at),
        places: revision.deployments.iter().map(|one| format!("{} ({})", one.environment, one.vhost)).collect(),
        changes: changes(&revision.content, &view.api),
        revision,
    };
    Ok(RevisionsPage {
        rows: all.into_iter().map(row).collect(),
        may_change: viewer.may(DEPLOY),
        frame: frame(viewer, view, "/revisions"),
        api: Arc::clone(&view.api),
        wrong,
    })
}

pub(super) async fn show(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let view = find(&publisher, &request, &id).await?;
    Ok(render(&page(&publisher, &request, viewer, &view, Wrong::default()).await?))
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
            let page = page(publisher, request, viewer, &view, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

async fn deploy(
    publisher: &Address<Publisher>,
    request: &Request,
    id: &str,
    revision: &str,
) -> Result<String, ApiError> {
    let (asker, revision) = (request.asker(DEPLOY)?, revision_id(revision)?);
    let deployments = read_deployments(vec![json!({"name": "Default"})])?;
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
    let asker = request.asker(CHANGE)?;
    let description = fields.text("description").to_owned();
    let made = flat(publisher.ask(CreateRevision { asker, id: id.clone(), description }).await);
    let outcome = match made {
        Ok(made) if fields.has("deploy") => deploy(&publisher, &request, &id, &made.value.id.to_string()).await,
        Ok(made) => Ok(format!("Revision {} is made. It is not deployed yet.", made.value.number)),
        Err(error) => Err(error),
    };
    answered(&publisher, &request, viewer, &id, outcome).await
}

async fn act_on(
    publisher: &Address<Publisher>,
    request: &Request,
    (id, revision, act): (String, String, String),
) -> Result<String, ApiError> {
    match act.as_str() {
        "deploy" => deploy(publisher, request, &id, &revision).await,
        "undeploy" => {
            let (asker, revision) = (request.asker(CHANGE)?, RevisionMeant::Id(revision_id(&revision)?));
            flat(publisher.ask(UndeployRevision { asker, id, revision, environments: None }).await)?;
            Ok("Gateways do not serve it any more.".to_owned())
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
    _fields: Fields,
) -> Result<Response, ApiError> {
    let id = path.0.clone();
    let outcome = act_on(&publisher, &request, path).await;
    answered(&publisher, &request, viewer, &id, outcome).await
}
