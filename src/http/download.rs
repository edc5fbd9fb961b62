//! Downloads: replies of any length, taken piece by piece.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use serde::Serialize;
use tokio::time::timeout;

use crate::client::{Client, REPLY_BYTES_MAX, read};
use crate::client_error::{ClientError, ErrorReply};

/// A reply whose body comes piece by piece.
#[derive(Debug)]
pub struct Download {
    client: Client,
    body: Incoming,
    /// Held open while the body comes, and not used again.
    _connection: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Posts a JSON document and returns what comes back once it begins to come. The client's timeout counts until then,
    /// and again for each piece.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn download(&self, path: &str, body: &impl Serialize) -> Result<Download, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::NotJson)?;
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.begin(self.request(Method::POST, path, &[content_type], Bytes::from(body))?).await
    }

    /// Asks for what goes on until somebody ends it, such as server-sent events. The client's timeout counts for each
    /// piece.
    ///
    /// # Errors
    /// Where there is no answer, or an error as answer.
    pub async fn stream(&self, path: &str) -> Result<Download, ClientError> {
        self.begin(self.request(Method::GET, path, &[], Bytes::new())?).await
    }

    async fn begin(&self, request: Request<Full<Bytes>>) -> Result<Download, ClientError> {
        let lost = |source| ClientError::Lost { server: self.server.address(), source };
        let begun = async {
            let mut connection = self.server.connect().await?;
            let response = connection.send_request(request).await.map_err(lost)?;
            let (parts, body) = response.into_parts();
            if parts.status.is_success() {
                return Ok(Download { client: self.clone(), body, _connection: connection });
            }
            let bytes = read(body, REPLY_BYTES_MAX)
                .await
                .map_err(|error| error.map_or(ClientError::TooLarge(REPLY_BYTES_MAX), lost))?;
            let (status, headers) = (parts.status, Box::new(parts.headers));
            Err(ClientError::Status { status, error: Box::new(ErrorReply::read(&bytes)), headers })
        };
        timeout(self.timeout, begun).await.map_err(|_| self.timed_out())?
    }

    fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { server: self.server.address(), after: self.timeout }
    }
}

impl Download {
    /// Returns the next piece; `None` after the last.
    ///
    /// # Errors
    /// Where the connection breaks before the end, or nothing comes in time.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = timeout(self.client.timeout, self.body.frame()).await.map_err(|_| self.client.timed_out())?;
            let Some(frame) = frame else { return Ok(None) };
            let lost = |source| ClientError::Lost { server: self.client.server.address(), source };
            if let Ok(data) = frame.map_err(lost)?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}
