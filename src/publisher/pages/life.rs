//! `/publisher/apis/{id}/lifecycle`: where an API is in its life, as a picture, and how it came there.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use portcullis_actor::Address;
use portcullis_database::state::LifecycleEvent;
use portcullis_http::ApiError;
use portcullis_model::{Api, Lifecycle, LifecycleAction};
use portcullis_portal::{Fields, Frame, Viewer, Wrong, render, render_again, say_and_go, when};

use super::{find, frame};
use crate::actor::Publisher;
use crate::dto::lifecycle::Checklist;
use crate::messages::{ApiView, CancelStateChange, ChangeLifecycle, GetLifecycleHistory};
use crate::rest::answer::flat;
use crate::rest::lifecycle::{CANCEL, CHANGE, HISTORY};
use crate::rest::request::Request;

/// A state's place in the picture.
struct Spot {
    name: &'static str,
    x: u16,
    y: u16,
    is_here: bool,
}

const SPOTS: [(Lifecycle, u16, u16); 6] = [
    (Lifecycle::Created, 10, 20),
    (Lifecycle::Prototyped, 10, 120),
    (Lifecycle::Published, 170, 70),
    (Lifecycle::Blocked, 330, 20),
    (Lifecycle::Deprecated, 330, 120),
    (Lifecycle::Retired, 490, 120),
];

#[derive(Template)]
#[template(path = "publisher_lifecycle.html")]
struct LifePage {
    frame: Frame,
    api: Arc<Api>,
    spots: [Spot; 6],
    /// What can be done, and where it leads.
    actions: Vec<(&'static str, &'static str)>,
    events: Vec<(Arc<LifecycleEvent>, String)>,
    waits: bool,
    wrong: Wrong,
    may_change: bool,
}

async fn page(
    publisher: &Address<Publisher>,
    request: &Request,
    viewer: Viewer,
    view: &ApiView,
    wrong: Wrong,
) -> Result<LifePage, ApiError> {
    let message = GetLifecycleHistory { asker: request.asker(HISTORY)?, id: view.api.id.to_string() };
    let mut events = flat(publisher.ask(message).await)?.value;
    events.reverse();
    let here = view.api.lifecycle;
    let actions = here.transitions().iter().map(|(action, to)| (action.as_contract(), to.as_title()));
    Ok(LifePage {
        spots: SPOTS.map(|(state, x, y)| Spot { name: state.as_title(), x, y, is_here: state == here }),
        actions: actions.collect(),
        events: events.into_iter().map(|event| (Arc::clone(&event), when(event.at))).collect(),
        waits: view.waits,
        may_change: viewer.may(CHANGE),
        frame: frame(viewer, view, "/lifecycle"),
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

pub(super) async fn change(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    viewer: Viewer,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CHANGE)?;
    let action = fields.text("action");
    let action: LifecycleAction =
        action.parse().map_err(|_| ApiError::bad_request(format!("action: `{action}` is none")))?;
    let checklist = Checklist {
        deprecates_old_versions: fields.has("deprecate"),
        requires_resubscription: fields.has("resubscribe"),
    };
    match flat(publisher.ask(ChangeLifecycle { asker, id: id.clone(), action, checklist }).await) {
        Ok(done) => {
            let said = match done.value {
                (_, true) => "The change waits for a decision.".to_owned(),
                (state, false) => format!("The API is {} now.", state.as_title().to_lowercase()),
            };
            Ok(say_and_go(&said, &format!("/publisher/apis/{id}/lifecycle")))
        }
        Err(error) => {
            let view = find(&publisher, &request, &id).await?;
            let page = page(&publisher, &request, viewer, &view, error.clone().into()).await?;
            Ok(render_again(&page, &error))
        }
    }
}

pub(super) async fn cancel(
    State(publisher): State<Address<Publisher>>,
    request: Request,
    Path(id): Path<String>,
    _fields: Fields,
) -> Result<Response, ApiError> {
    let asker = request.asker(CANCEL)?;
    flat(publisher.ask(CancelStateChange { asker, id: id.clone() }).await)?;
    Ok(say_and_go("The change is taken back.", &format!("/publisher/apis/{id}/lifecycle")))
}
