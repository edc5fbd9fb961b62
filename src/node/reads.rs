//! What every read on the management port may ask for: `min_index`, also as header `X-Raft-Min-Index` (wait until this
//! node has applied it), and `consistency`; and the index its answer is as new as (`X-Raft-Index`). What each of them
//! promises is in `docs/reference/consistency.md`. What is read is not known here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use portcullis_database::{Proposer, StateCell};
use portcullis_http::reply::{MIN_INDEX, RAFT_INDEX};
use portcullis_http::{ApiError, auth, idempotency};
use portcullis_model::port::Authentication;

/// How long a read waits for an index or for a majority.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What stands before the components' faces: what their handlers count on is there when they are called.
pub struct Entrance {
    /// Who asks.
    authentication: Arc<dyn Authentication>,
    /// A state as new as is asked for.
    freshness: Freshness,
    /// The paths that it stands before, with all below them.
    before: Vec<&'static str>,
}

struct Freshness {
    cell: Arc<StateCell>,
    proposer: Arc<dyn Proposer>,
    wait_max: Duration,
}

/// What a caller asks of the answer's age.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    min_index: Option<u64>,
    consistency: Consistency,
}

/// What the answer must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Consistency {
    /// What this node has.
    #[default]
    Stale,
    /// Everything that the leader had acknowledged, by its lease.
    Leader,
    /// Everything acknowledged anywhere, confirmed by a majority.
    Linearizable,
}

/// Has an answer, a refusal too, say what index it is as new as.
pub async fn tell_index<Answer>(cell: &StateCell, request: Request, next: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    // Taken before the handler looks, so that the answer is at least as new as the header says.
    let index = cell.applied();
    let mut response = next(request).await;
    response.headers_mut().entry(RAFT_INDEX).or_insert_with(|| HeaderValue::from(index));
    response
}

impl Entrance {
    /// Makes the entrance to the paths in `before`.
    pub fn new(
        before: Vec<&'static str>,
        authentication: Arc<dyn Authentication>,
        cell: Arc<StateCell>,
        proposer: Arc<dyn Proposer>,
    ) -> Self {
        Self { authentication, freshness: Freshness { cell, proposer, wait_max: WAIT_MAX }, before }
    }

    /// Answers a request: before what the entrance stands before, once it is admitted.
    pub async fn answer<Answer>(&self, request: Request, next: impl FnOnce(Request) -> Answer) -> Response
    where
        Answer: Future<Output = Response>,
    {
        if !self.is_before(request.uri().path()) {
            return next(request).await;
        }
        match self.admit(request).await {
            // Once more: it may have waited for a newer state.
            Ok(request) => tell_index(&self.freshness.cell, request, next).await,
            Err(fault) => fault.into_response(),
        }
    }

    fn is_before(&self, path: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.before.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(is_below))
    }

    /// Who somebody is comes before anything is waited for, and before the body is read.
    async fn admit(&self, mut request: Request) -> Result<Request, ApiError> {
        auth::sign_in(self.authentication.as_ref(), &mut request).await?;
        let query = request.uri().query().unwrap_or_default();
        self.freshness.wait(query, request.headers().get(MIN_INDEX)).await?;
        idempotency::recognised(request).await
    }
}

impl Freshness {
    async fn wait(&self, query: &str, min_index: Option<&HeaderValue>) -> Result<(), ApiError> {
        let wanted = Wanted::of(query, min_index)?;
        let caught_up = match wanted.consistency {
            Consistency::Stale => Ok(()),
            Consistency::Leader => self.proposer.catch_up_with_leader(self.wait_max).await,
            Consistency::Linearizable => self.proposer.linearize(self.wait_max).await,
        };
        caught_up.map_err(|_| {
            ApiError::unavailable("No majority of the cluster answers; leave `consistency` out to read this node.")
        })?;
        let Some(index) = wanted.min_index else { return Ok(()) };
        tokio::time::timeout(self.wait_max, self.cell.wait_applied(index)).await.map_err(|_| {
            let (seconds, applied) = (self.wait_max.as_secs(), self.cell.applied());
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
    /// Reads what is asked for. Where query and header name an index, both are waited for.
    fn of(query: &str, min_index: Option<&HeaderValue>) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        if let Some(header) = min_index {
            wanted.min_index = Some(index_of("X-Raft-Min-Index", header.to_str().unwrap_or_default())?);
        }
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, value) {
                ("min_index", text) => {
                    let index = index_of("min_index", text)?;
                    wanted.min_index = Some(wanted.min_index.map_or(index, |other| other.max(index)));
                }
                ("consistency", "linearizable") => wanted.consistency = Consistency::Linearizable,
                ("consistency", "leader") => wanted.consistency = Consistency::Leader,
                ("consistency", "stale") => wanted.consistency = Consistency::Stale,
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

fn index_of(name: &str, text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("{name}: {text:?} is not a whole number, such as 1042")))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use futures_util::future::BoxFuture;
    use portcullis_database::{Applied, Entry, ProposeError, State as DatabaseState};
    use portcullis_model::NodeId;
    use portcullis_model::port::{AuthenticationRefusal, Credentials, Identity, PortFuture};
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn a_read_says_how_fresh_it_must_be_and_nonsense_is_refused() {
        let header = HeaderValue::from_static("50");
        assert_eq!(Wanted::of("limit=3&x", None).unwrap(), Wanted::default());
        assert_eq!(
            Wanted::of("min_index=42&consistency=linearizable", None).unwrap(),
            Wanted { min_index: Some(42), consistency: Consistency::Linearizable }
        );
        assert_eq!(Wanted::of("consistency=leader&min_index=7", Some(&header)).unwrap().min_index, Some(50));
        assert_eq!(Wanted::of("min_index=60", Some(&header)).unwrap().min_index, Some(60));
        assert_eq!(Wanted::of("min_index=soon", None).unwrap_err().status(), 400);
        assert_eq!(Wanted::of("", Some(&HeaderValue::from_static("-1"))).unwrap_err().status(), 400);
        assert_eq!(Wanted::of("consistency=eventual", None).unwrap_err().status(), 400);
    }

    /// Lets nobody in; nobody asks to be let in.
    struct Nobody;

    impl Authentication for Nobody {
        fn authenticate<'a>(
            &'a self,
            _credentials: Credentials<'a>,
        ) -> PortFuture<'a, Result<Identity, AuthenticationRefusal>> {
            Box::pin(std::future::ready(Err(AuthenticationRefusal::Invalid)))
        }
    }

    /// How long a read waits in these tests: nothing is to come that it could miss.
    const WAIT: Duration = Duration::from_millis(200);

    /// Notes how it is asked to catch up; nobody answers where `is_cut_off`.
    #[derive(Default)]
    struct Asked {
        how: Mutex<Vec<&'static str>>,
        is_cut_off: bool,
    }

    impl Asked {
        fn note(&self, how: &'static str) -> BoxFuture<'_, Result<(), ProposeError>> {
            self.how.lock().unwrap().push(how);
            let outcome = if self.is_cut_off { Err(ProposeError::NoLeader) } else { Ok(()) };
            Box::pin(std::future::ready(outcome))
        }
    }

    impl Proposer for Asked {
        fn propose(&self, _entry: Entry, _within: Duration) -> BoxFuture<'_, Result<Applied, ProposeError>> {
            Box::pin(std::future::ready(Err(ProposeError::NoLeader)))
        }

        fn fence(&self, _index: u64, _within: Duration) -> BoxFuture<'_, Vec<NodeId>> {
            Box::pin(std::future::ready(Vec::new()))
        }

        fn linearize(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
            self.note("read index")
        }

        fn catch_up_with_leader(&self, _within: Duration) -> BoxFuture<'_, Result<(), ProposeError>> {
            self.note("lease")
        }
    }

    async fn read(asked: &Arc<Asked>, cell: &Arc<StateCell>, uri: &str) -> Response {
        let router = Router::new().route("/x", get(async || "x"));
        let proposer = Arc::<Asked>::clone(asked) as Arc<dyn Proposer>;
        let freshness = Freshness { cell: Arc::clone(cell), proposer, wait_max: WAIT };
        let entrance = Entrance { authentication: Arc::new(Nobody), freshness, before: vec!["/x"] };
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        let answer =
            async |request| entrance.answer(request, async |request| router.oneshot(request).await.unwrap()).await;
        tell_index(cell, request, answer).await
    }

    #[tokio::test]
    async fn each_consistency_asks_for_what_it_promises_and_every_answer_names_its_index() {
        let (asked, cell) = (Arc::<Asked>::default(), StateCell::new());
        cell.publish(DatabaseState { applied_index: 7, ..DatabaseState::default() });
        for consistency in ["linearizable", "leader", "stale"] {
            let answer = read(&asked, &cell, &format!("/x?consistency={consistency}")).await;
            assert_eq!((answer.status().as_u16(), &answer.headers()[RAFT_INDEX]), (200, &HeaderValue::from(7)));
        }
        assert_eq!(*asked.how.lock().unwrap(), ["read index", "lease"]);
        let missing = read(&asked, &cell, "/nothing").await;
        assert_eq!((missing.status().as_u16(), &missing.headers()[RAFT_INDEX]), (404, &HeaderValue::from(7)));

        // What is applied meanwhile ends the wait; what is not, the bound does.
        let later = read(&asked, &cell, "/x?min_index=8");
        let apply = async { cell.publish(DatabaseState { applied_index: 8, ..DatabaseState::default() }) };
        let (answer, ()) = tokio::join!(biased; later, apply);
        assert_eq!((answer.status().as_u16(), &answer.headers()[RAFT_INDEX]), (200, &HeaderValue::from(8)));
        assert_eq!(read(&asked, &cell, "/x?min_index=9").await.status().as_u16(), 504);

        let cut_off = Arc::new(Asked { is_cut_off: true, ..Asked::default() });
        for consistency in ["linearizable", "leader"] {
            assert_eq!(read(&cut_off, &cell, &format!("/x?consistency={consistency}")).await.status().as_u16(), 503);
        }
        assert_eq!(read(&cut_off, &cell, "/x?consistency=stale").await.status().as_u16(), 200);
    }
}
