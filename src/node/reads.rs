//! What every read on the management port may ask for: `min_index` (wait until this node has applied it),
//! `consistency=linearizable`, and the index its answer is as new as (`X-Raft-Index`). What is read is not known here.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use portcullis_database::{Proposer, StateCell};
use portcullis_http::ApiError;
use portcullis_http::reply::RAFT_INDEX;

/// How long a read waits for an index or for a majority.
const WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Freshness {
    cell: Arc<StateCell>,
    proposer: Arc<dyn Proposer>,
}

/// What a caller asks of the answer's age.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    min_index: Option<u64>,
    is_linearizable: bool,
}

/// Adds the query parameters and the header to every route of `router` so far.
pub fn with_freshness(router: Router, cell: Arc<StateCell>, proposer: Arc<dyn Proposer>) -> Router {
    router.layer(middleware::from_fn_with_state(Freshness { cell, proposer }, wait_until_fresh))
}

async fn wait_until_fresh(State(freshness): State<Freshness>, request: Request, next: Next) -> Response {
    if let Err(fault) = freshness.wait(request.uri().query().unwrap_or_default()).await {
        return fault.into_response();
    }
    // Taken before the handler looks, so that the answer is at least as new as the header says.
    let index = freshness.cell.applied();
    let mut response = next.run(request).await;
    response.headers_mut().entry(RAFT_INDEX).or_insert_with(|| HeaderValue::from(index));
    response
}

impl Freshness {
    async fn wait(&self, query: &str) -> Result<(), ApiError> {
        let wanted = Wanted::of(query)?;
        if wanted.is_linearizable {
            self.proposer.linearize(WAIT_MAX).await.map_err(|_| {
                ApiError::unavailable("No majority of the cluster answers; leave `consistency` out to read this node.")
            })?;
        }
        let Some(index) = wanted.min_index else { return Ok(()) };
        tokio::time::timeout(WAIT_MAX, self.cell.wait_applied(index)).await.map_err(|_| {
            let (seconds, applied) = (WAIT_MAX.as_secs(), self.cell.applied());
            ApiError::new(
                504,
                900_967,
                "Gateway Timeout",
                format!("This node has not applied index {index} within {seconds} s; it is at {applied}. Try again, or ask another node."),
            )
        })
    }
}

impl Wanted {
    fn of(query: &str) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, value) {
                ("min_index", text) => {
                    let index = text.parse().map_err(|_| {
                        ApiError::bad_request(format!("min_index: {text:?} is not a whole number, such as 1042"))
                    })?;
                    wanted.min_index = Some(index);
                }
                // A follower reads at the leader's index, so "leader" is served by the stronger promise.
                ("consistency", "linearizable" | "leader") => wanted.is_linearizable = true,
                ("consistency", "stale") => {}
                ("consistency", other) => {
                    return Err(ApiError::bad_request(format!(
                        "consistency: {other:?} is none of linearizable, leader, stale"
                    )));
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_says_how_fresh_it_must_be_and_nonsense_is_refused() {
        assert_eq!(Wanted::of("limit=3&x").unwrap(), Wanted::default());
        assert_eq!(
            Wanted::of("min_index=42&consistency=linearizable").unwrap(),
            Wanted { min_index: Some(42), is_linearizable: true }
        );
        assert_eq!(Wanted::of("min_index=soon").unwrap_err().status(), 400);
        assert_eq!(Wanted::of("consistency=eventual").unwrap_err().status(), 400);
    }
}
