//! Services outside of this system that users are answered by: assistants, auditors. Which there are says the
//! configuration; what is sent and what comes back is bounded in size, time and number.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::client_error::ClientError;
use crate::error::ApiError;
use crate::fetch::Service;

/// How long one answer may take: below what a request of a user may.
const TIME_MAX: Duration = Duration::from_secs(45);
/// Bytes of an answer.
const REPLY_BYTES_MAX: usize = 4 << 20;
/// Bytes of what is sent.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Requests under way at a time.
const REQUESTS_MAX: usize = 8;
/// How long a request waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);
/// After which time somebody whom the service turned away may try again, where it does not say.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A service outside of this system.
#[derive(Clone, Debug)]
pub struct OutsideService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    turns: Semaphore,
}

impl OutsideService {
    /// Makes a client of a service: what people call it, where it is, and by which header fields it knows this system.
    /// Connects with each call.
    #[must_use]
    pub fn new(name: &'static str, url: &str, mut headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        for (_, value) in &mut headers {
            value.set_sensitive(true);
        }
        let url = url.trim_end_matches('/').to_owned();
        Self(Arc::new(Inner { name, url, headers, turns: Semaphore::new(REQUESTS_MAX) }))
    }

    /// Posts JSON to a path behind the service's address, and returns the JSON that comes back.
    ///
    /// # Errors
    /// As [`OutsideService::call`].
    pub async fn post(
        &self,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &Value,
    ) -> Result<Value, ApiError> {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let headers: Vec<_> = headers.iter().cloned().chain([json]).collect();
        self.call(Method::POST, path, &headers, Bytes::from(body.to_string())).await
    }

    /// Sends a request to a path behind the service's address, and returns the JSON that comes back.
    ///
    /// # Errors
    /// 413 for a request that is too large; 429 where the service, or this node, has too many; 502 where it gives no answer
    /// or another than is expected.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Value, ApiError> {
        let Inner { name, url, headers: own, turns } = &*self.0;
        if body.len() > REQUEST_BYTES_MAX {
            let reason = format!("{name} would be sent {} bytes; at most {REQUEST_BYTES_MAX} are", body.len());
            return Err(ApiError::too_large(reason));
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WAIT_MAX, turns.acquire()).await else {
            let reason = format!("{name} is being asked as many things by this node as it may be at a time.");
            return Err(ApiError::too_many_requests(reason, TURN_WAIT_MAX));
        };
        let headers: Vec<_> = own.iter().chain(headers).cloned().collect();
        let asked = async {
            let service = Service::at(&format!("{url}{path}")).await?;
            let service = service.with_timeout(TIME_MAX).with_reply_bytes_max(REPLY_BYTES_MAX);
            service.send(method, &headers, body).await?.json()
        };
        asked.await.map_err(|error| explain(name, &error))
    }
}

/// Says why there is no answer. What the service says of it is logged and not told: it is meant for whoever runs this node.
fn explain(name: &str, error: &ClientError) -> ApiError {
    tracing::warn!(service = name, %error, "a service outside of this system gave no answer");
    match error.status() {
        Some(StatusCode::TOO_MANY_REQUESTS) => {
            ApiError::too_many_requests(format!("{name} takes no more requests for now."), AGAIN_AFTER)
        }
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            failed(format!("{name} does not know this system: its key is not good there. Ask who runs this node."))
        }
        Some(status) => failed(format!("{name} answered with status {}.", status.as_u16())),
        None => failed(format!("{name} gave no answer that could be read. The node's log says why.")),
    }
}

fn failed(description: String) -> ApiError {
    ApiError::new(502, 502, "Bad Gateway", description)
}

/// Says that there is no such service: nobody named one in the configuration.
#[must_use]
pub fn not_configured(name: &str, key: &str) -> ApiError {
    ApiError::new(404, 404, "Not Found", format!("This system has no {name}: nobody set {key} in its configuration."))
}
