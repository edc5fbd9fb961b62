//! Replies to writes, stamped with what the caller needs to read its own write and to trust the fence.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use portcullis_model::NodeId;

/// Header with the index of the log entry that a write became, or up to which a read's state was applied.
pub const RAFT_INDEX: HeaderName = HeaderName::from_static("x-raft-index");
/// Header with the index that a read must be as new as.
pub const MIN_INDEX: HeaderName = HeaderName::from_static("x-raft-min-index");
/// Header with the ids of the nodes that may not act on a write yet.
pub const FENCE_UNREACHED: HeaderName = HeaderName::from_static("x-fence-unreached");

/// A reply with the index of its write and the nodes the fence did not reach. `T` is any reply: `axum::Json(value)`,
/// `(StatusCode::CREATED, [(LOCATION, path)], axum::Json(value))`, `StatusCode::NO_CONTENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<T> {
    /// The reply.
    pub body: T,
    /// The index in the log.
    pub index: u64,
    /// The nodes that were not reached in time; empty for a write that does not wait for them.
    pub unreached: Vec<NodeId>,
}

impl<T: IntoResponse> IntoResponse for Stamped<T> {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        let headers = response.headers_mut();
        headers.insert(RAFT_INDEX, HeaderValue::from(self.index));
        if !self.unreached.is_empty() {
            let ids = self.unreached.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let ids = HeaderValue::from_str(&ids).expect("numbers and commas are a valid header");
            headers.insert(FENCE_UNREACHED, ids);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_names_the_nodes_that_were_not_reached() {
        let response = Stamped { body: (), index: 7, unreached: vec![NodeId(2), NodeId(3)] }.into_response();
        assert_eq!(response.headers()[RAFT_INDEX], "7");
        assert_eq!(response.headers()[FENCE_UNREACHED], "2,3");
        let response = Stamped { body: (), index: 7, unreached: Vec::new() }.into_response();
        assert!(!response.headers().contains_key(FENCE_UNREACHED));
    }
}
