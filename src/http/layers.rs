//! What is around every router of the management port: request ids, bounds in size and time, fallbacks, and a net under panics.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue};
use portcullis_model::RequestId;
use portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX;
use tower::ServiceExt as _;
use tracing::{Instrument as _, debug, error, info_span};

use crate::error::ApiError;
use crate::percent;

/// Header with the id of a request: taken from the caller or made, and sent back.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The original's name of the same.
const ACTIVITY_ID: HeaderName = HeaderName::from_static("activityid");

/// How long a request may take until its reply begins: the body, forwarding, commit and fence together.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// What is behind that which is put around a router.
#[derive(Debug)]
pub struct Rest(Router);

impl Rest {
    /// Has the router answer.
    pub async fn run(self, request: Request) -> Response {
        let Ok(response) = self.0.oneshot(request).await;
        response
    }
}

/// Puts `around` around a whole router. A layer of axum goes around each of its routes instead, which costs every request
/// several pieces of memory for each layer; so whatever is put around everything is put around once.
pub fn surround<F, Answer>(router: Router, around: F) -> Router
where
    F: Fn(Request, Rest) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Response> + Send + 'static,
{
    let service = tower::service_fn(move |request| {
        let answer = around(request, Rest(router.clone()));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    Router::new().fallback_service(service)
}

/// Finishes a router, once, after everything is merged into it: 404 and 405 as error bodies, and what [`guard`] does.
pub fn finish(router: Router) -> Router {
    surround(with_fallbacks(router), |request, rest| guard(request, |request| rest.run(request)))
}

/// Has a router answer 404 and 405 with error bodies. Goes to a router into which everything is merged.
pub fn with_fallbacks(router: Router) -> Router {
    let router = router.fallback(async || ApiError::no_such_path());
    router.method_not_allowed_fallback(async || ApiError::method_not_allowed())
}

/// Puts around a router for other nodes what it shares with the others: the bound on time, the request id, and 500 for a
/// handler that panics.
pub fn around(router: Router) -> Router {
    surround(router, |request, rest| protect(request, |request| rest.run(request)))
}

/// Answers a request from outside: the bounds on bodies and time, 400 for a path that is no text, the request id, and 500
/// for a handler that panics.
pub async fn guard<Answer>(mut request: Request, next: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    DefaultBodyLimit::max(MANAGEMENT_BODY_BYTES_MAX).apply(&mut request);
    // Handlers take what is in a path as text; what finds none there answers in words that no client reads.
    let is_text = percent::is_utf8(request.uri().path());
    let answer = async |request: Request| match is_text {
        true => next(request).await,
        false => ApiError::bad_request("The path is not UTF-8 once it is decoded.").into_response(),
    };
    protect(request, answer).await
}

fn new_id() -> (RequestId, HeaderValue) {
    let mut random = [0; 16];
    // Without randomness ids repeat, which harms nothing but the reading of logs.
    getrandom::fill(&mut random).ok();
    let text = uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string();
    let id = RequestId::of(text.as_bytes()).expect("a UUID is an id");
    (id, HeaderValue::from_str(&text).expect("a UUID is a valid header"))
}

async fn protect<Answer>(mut request: Request, next: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    let (id, header) = id_of(&request);
    request.extensions_mut().insert(id.clone());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let bounded = tokio::time::timeout(REQUEST_TIME_MAX, next(request));
    let told = info_span!("request", id = id.as_str());
    let carried = id.clone().carry(bounded.instrument(told));
    // The request and what the handler made of it are gone after a panic; shared state is behind locks that poison.
    let mut response = match AssertUnwindSafe(carried).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => too_late(),
        Err(cause) => {
            let path = uri.path();
            error!(%method, path, request = %id, cause = panic_text(cause.as_ref()), "a handler failed");
            ApiError::internal(format!("Something failed inside Portcullis; its log tells more at request {id}."))
                .into_response()
        }
    };
    debug!(request = %id, %method, path = uri.path(), status = response.status().as_u16(), "answered");
    response.headers_mut().insert(REQUEST_ID, header);
    response
}

/// Returns the id of a request and how it is sent back: the one that came, or a new one.
fn id_of(request: &Request) -> (RequestId, HeaderValue) {
    let sent = [&REQUEST_ID, &ACTIVITY_ID].into_iter().find_map(|name| request.headers().get(name));
    let taken = sent.and_then(|header| Some((RequestId::of(header.as_bytes())?, header.clone())));
    taken.unwrap_or_else(new_id)
}

fn too_late() -> Response {
    let seconds = REQUEST_TIME_MAX.as_secs();
    let text = format!("The request was not done within {seconds} s; what it asked for may still happen.");
    ApiError::new(504, 504, "Gateway Timeout", text).into_response()
}

fn panic_text(cause: &(dyn Any + Send)) -> &str {
    cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}
