//! The feed as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use portcullis_http::{ApiError, Problem, Signed};
use serde::Deserialize;

use super::{Face, operator};
use crate::feed::event::{Event, KINDS};

/// How often something is sent though there is nothing to tell, so that both ends notice a broken line.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is wanted of the stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// One of [`KINDS`]; all where it is not given.
    only: Option<String>,
}

pub(super) async fn stream(
    State(face): State<Face>,
    signed: Result<Signed, ApiError>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    operator(signed)?;
    if wanted.only.as_deref().is_some_and(|only| !KINDS.contains(&only)) {
        return Err(Problem::bad_request(format!("only: must be one of {}", KINDS.join(", "))));
    }
    let reader = face.feed.listen().map_err(|fault| Problem::unavailable(fault.to_string()))?;
    let messages = stream::unfold(Some((reader, wanted.only)), |listening| async move {
        let (mut reader, only) = listening?;
        loop {
            let event = reader.next().await?;
            let is_last = matches!(*event, Event::Dropped(_));
            if !is_last && only.as_deref().is_some_and(|only| only != event.kind()) {
                continue;
            }
            let message = sse::Event::default().event(event.kind()).id(event.id()).data(event.as_json());
            return Some((Ok::<_, Infallible>(message), (!is_last).then_some((reader, only))));
        }
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}
