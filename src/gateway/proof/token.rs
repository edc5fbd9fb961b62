//! Tokens of OAuth 2 servers for backends (RFC 6749 §4.3, §4.4): one for all calls of a gateway, asked for before the
//! last one ends, beside the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use portcullis_model::backend_proof::TokenRequest;
use portcullis_model::{Endpoint as DesignedEndpoint, Sealed};
use serde::Deserialize;
use tracing::warn;
use zeroize::Zeroizing;

use super::{CannotProve, Opened, basic, secret_field};
use crate::ask::{self, Question};
use crate::mediation::query_pair;
use crate::route::endpoint::{Endpoint, Origins};
use crate::upstream::UpstreamError;
use crate::worker::Worker;

/// How long a token is good of which its server does not say so.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// The longest that a token is kept.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long calls are told of a failure before the server is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a server may take to give a token.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where tokens come from, and the present one.
pub(crate) struct TokenSource {
    server: Endpoint,
    client: HeaderValue,
    form: Zeroizing<String>,
    present: ArcSwapOption<Token>,
    failed_at: ArcSwapOption<Instant>,
    /// Held by the one who asks while there is no token that can be used; the others wait for what comes of it.
    asking: tokio::sync::Mutex<()>,
    is_renewing: AtomicBool,
}

/// A token.
pub(crate) struct Token {
    pub(super) field: HeaderValue,
    renew_at: Instant,
    ends_at: Instant,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("the server for tokens was not reached: {0}")]
    Upstream(#[from] UpstreamError),
    #[error("the server for tokens answered {0}")]
    Status(u16),
    #[error("what the server for tokens answered holds no bearer token")]
    Answer,
    #[error("it failed a moment ago")]
    Recently,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
}

impl TokenSource {
    pub(super) fn new(
        request: &TokenRequest,
        open: impl Fn(&Sealed) -> Result<Opened, CannotProve>,
        origins: &mut Origins,
    ) -> Result<Self, CannotProve> {
        let address = DesignedEndpoint { url: request.url.clone(), timeout_ms: None };
        let server = origins.endpoint(&address).map_err(|_| CannotProve::Address)?;
        let grant = if request.user.is_some() { "password" } else { "client_credentials" };
        let mut form = Zeroizing::new(query_pair("grant_type", grant));
        let mut add = |name: &str, value: &str| {
            form.push('&');
            form.push_str(&Zeroizing::new(query_pair(name, value)));
        };
        if let Some(user) = &request.user {
            add("username", &user.username);
            add("password", &open(&user.password)?);
        }
        for (name, value) in &request.parameters {
            match Sealed::of_text(value) {
                Some(sealed) => add(name, &open(&sealed)?),
                None => add(name, value),
            }
        }
        Ok(Self {
            server,
            client: basic(&request.client_id, &open(&request.client_secret)?)?,
            form,
            present: ArcSwapOption::empty(),
            failed_at: ArcSwapOption::empty(),
            asking: tokio::sync::Mutex::default(),
            is_renewing: AtomicBool::new(false),
        })
    }

    /// Returns a token that is good now. Asks for the next one beside the call where this one ends soon, and waits only
    /// where there is none.
    ///
    /// # Errors
    /// Where the server gives none.
    pub(super) async fn token(self: &Arc<Self>, worker: &std::rc::Rc<Worker>) -> Result<Arc<Token>, NoToken> {
        let now = worker.clock.now().instant;
        if let Some(token) = self.present.load_full().filter(|token| now < token.ends_at) {
            if now >= token.renew_at && !self.is_renewing.swap(true, Ordering::AcqRel) {
                self.renew_beside(worker);
            }
            return Ok(token);
        }
        let _asking = self.asking.lock().await;
        // Whoever held it before may have brought one.
        if let Some(token) = self.present.load_full().filter(|token| Instant::now() < token.ends_at) {
            return Ok(token);
        }
        if self.failed_at.load_full().is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(NoToken::Recently);
        }
        let asked = self.ask(worker).await;
        if let Err(error) = &asked {
            warn!(server = &*self.server.authority, %error, "no token for a backend");
            self.failed_at.store(Some(Arc::new(Instant::now())));
        }
        asked
    }

    /// Forgets a token that a backend did not accept.
    pub(super) fn forget(&self, token: &Arc<Token>) {
        if self.present.load().as_ref().is_some_and(|present| Arc::ptr_eq(present, token)) {
            self.present.store(None);
        }
    }

    fn renew_beside(self: &Arc<Self>, worker: &std::rc::Rc<Worker>) {
        let (source, worker) = (Arc::clone(self), std::rc::Rc::clone(worker));
        tokio::task::spawn_local(async move {
            if let Err(error) = source.ask(&worker).await {
                warn!(server = &*source.server.authority, %error, "token for a backend not renewed; tried again with the next call");
            }
            source.is_renewing.store(false, Ordering::Release);
        });
    }

    async fn ask(&self, worker: &Worker) -> Result<Arc<Token>, NoToken> {
        let question = Question {
            verb: Method::POST,
            path: None,
            fields: &[
                (AUTHORIZATION, self.client.clone()),
                (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
                (ACCEPT, HeaderValue::from_static("application/json")),
            ],
            body: Bytes::copy_from_slice(self.form.as_bytes()),
            may_reuse: false,
            patience: PATIENCE,
        };
        let answer = ask::ask(worker, &self.server, question).await?;
        if !answer.status.is_success() {
            return Err(NoToken::Status(answer.status.as_u16()));
        }
        let Answer { access_token, token_type, expires_in } =
            serde_json::from_slice(&answer.body).map_err(|_| NoToken::Answer)?;
        if token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) || access_token.is_empty() {
            return Err(NoToken::Answer);
        }
        // Some servers write the number as text.
        let told = expires_in.and_then(|told| told.as_u64().or_else(|| told.as_str()?.trim().parse().ok()));
        let life = told.map_or(USUAL_LIFE, Duration::from_secs).min(LIFE_MAX);
        let now = Instant::now();
        let field = Zeroizing::new(format!("Bearer {}", *Zeroizing::new(access_token)));
        let token = Arc::new(Token {
            field: secret_field(&field).map_err(|_| NoToken::Answer)?,
            renew_at: now + life * 4 / 5,
            ends_at: now + life,
        });
        self.present.store(Some(Arc::clone(&token)));
        Ok(token)
    }
}
