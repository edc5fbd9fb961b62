//! Asks the key managers of other nodes by Thrift: which of them, over which connection, and what when one is gone.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_database::ClusterKey;
use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, PortFuture, ShownKey};
use portcullis_model::{NodeId, RequestId, Timestamp};
use thrift::protocol::TMessageType;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Reach;
use super::codec::{Field, Fields, Message};
use super::contract::{
    EXCEPTION_MESSAGE, KEY_MGT_EXCEPTION, MANAGEMENT_EXCEPTION, SUCCESS, VALIDATE_KEY, info, question,
};
use super::serving::Line;
use super::session::{self, Holder};

/// How long a verdict may take, failing over included. A gateway waits a little longer.
const VALIDATE_WITHIN: Duration = Duration::from_secs(4);
/// How long one key manager may take where another can be asked instead.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a key manager that did not answer is asked last.
const AVOIDED_FOR: Duration = Duration::from_secs(2);
/// The pause before all key managers are asked once more.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// Connections to one key manager: each carries one question at a time.
const LINES_MAX: usize = 64;
/// What is asked for where the gateway checks the kind of token itself.
const ANY_LEVEL: &str = "Any";

/// Key validation by Thrift on a node without a key manager.
pub struct ThriftKeyValidation {
    me: NodeId,
    key: ClusterKey,
    reach: Arc<dyn Reach>,
    others: Mutex<BTreeMap<NodeId, Arc<Other>>>,
    /// Who spends tokens, for which the original's protocol has no call.
    spending: Option<Arc<dyn KeyValidation>>,
}

/// A key manager of another node.
struct Other {
    turns: Semaphore,
    idle: Mutex<Vec<Line>>,
    avoided_until: Mutex<Option<Instant>>,
}

impl Other {
    fn idle(&self) -> MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn avoid_until(&self, until: Option<Instant>) {
        *self.avoided_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn is_avoided(&self, now: Instant) -> bool {
        self.avoided_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > now)
    }
}

impl ThriftKeyValidation {
    /// Makes the asking end of node `me`.
    #[must_use]
    pub fn new(me: NodeId, key: ClusterKey, reach: Arc<dyn Reach>) -> Self {
        Self { me, key, reach, others: Mutex::default(), spending: None }
    }

    /// Has tokens spent by another way, as this protocol has none.
    #[must_use]
    pub fn spending_by(self, spending: Arc<dyn KeyValidation>) -> Self {
        Self { spending: Some(spending), ..self }
    }

    fn other(&self, node: NodeId) -> Arc<Other> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let (turns, idle, avoided_until) = (Semaphore::new(LINES_MAX), Mutex::default(), Mutex::default());
            Arc::new(Other { turns, idle, avoided_until })
        };
        Arc::clone(others.entry(node).or_insert_with(made))
    }

    /// Returns a question as the original asks it, with what only this cluster's key managers understand.
    fn asked(&self, asked: KeyQuestion<'_>, context: String, version: String) -> Fields {
        let (token, kind, password) = match asked.shown {
            ShownKey::Token(token) => (token, None, None),
            ShownKey::ApiKey(key) => (key, Some("ApiKey"), None),
            ShownKey::Password { username, password } => (username, Some("Password"), Some(password)),
        };
        let applied = i64::try_from(self.reach.applied()).unwrap_or(i64::MAX);
        let mut fields = Fields::default()
            .with_text(question::CONTEXT, context)
            .with_text(question::VERSION, version)
            .with_text(question::ACCESS_TOKEN, token)
            .with_text(question::SESSION, session::begin(&self.key, Holder::Node(self.me)))
            .with_text(question::LEVEL, ANY_LEVEL)
            .with_text(question::RESOURCE, "")
            .with_text(question::VERB, "")
            .with(question::WANTS_ASSERTION, Field::Bool(asked.wants_assertion))
            .with(question::MIN_INDEX, Field::Long(applied));
        if let Some(origin) = asked.origin {
            fields = fields.with_text(question::ORIGIN, origin.to_string());
        }
        if let Some(request) = RequestId::current() {
            fields = fields.with_text(question::REQUEST_ID, request.as_str());
        }
        if let Some(kind) = kind {
            fields = fields.with_text(question::KIND, kind);
        }
        if let Some(password) = password {
            fields = fields.with_text(question::USER_PASSWORD, password);
        }
        fields
    }

    async fn ask_all(&self, fields: Fields) -> Result<Result<KeyVerdict, KeyRefusal>, String> {
        let deadline = Instant::now() + VALIDATE_WITHIN;
        let mut why = "no node of the cluster has a Key Manager".to_owned();
        loop {
            let mut nodes = self.reach.key_managers();
            let now = Instant::now();
            nodes.sort_by_key(|(node, _)| self.other(*node).is_avoided(now));
            for (node, at) in nodes {
                let until = deadline.min(Instant::now() + ATTEMPT_WITHIN);
                let other = self.other(node);
                match timeout_at(until, self.ask(&other, node, at, &fields)).await {
                    Ok(Ok(judged)) => {
                        other.avoid_until(None);
                        return Ok(judged);
                    }
                    Ok(Err(cause)) => why = format!("node {node} at {at}: {cause}"),
                    Err(_) => why = format!("node {node} at {at}: no answer in time"),
                }
                other.avoid_until(Some(Instant::now() + AVOIDED_FOR));
            }
            // None of them now; one may be about to come back.
            if Instant::now() + ROUND_PAUSE >= deadline {
                return Err(why);
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Asks one key manager, over a connection that is there or a new one. One that was closed meanwhile says nothing of
    /// the key manager, and to ask again does no harm.
    async fn ask(
        &self,
        other: &Other,
        node: NodeId,
        at: SocketAddr,
        fields: &Fields,
    ) -> io::Result<Result<KeyVerdict, KeyRefusal>> {
        let _turn = other.turns.acquire().await.map_err(io::Error::other)?;
        let kept = other.idle().pop();
        if let Some(mut line) = kept {
            match line.ask(VALIDATE_KEY, fields.clone()).await {
                Ok(answer) => {
                    let judged = read(&answer)?;
                    other.idle().push(line);
                    return Ok(judged);
                }
                // The others were closed with it.
                Err(_) => other.idle().clear(),
            }
        }
        let mut line = Line::new(self.reach.dial(node, at).await?);
        let answer = line.ask(VALIDATE_KEY, fields.clone()).await?;
        let judged = read(&answer)?;
        other.idle().push(line);
        Ok(judged)
    }
}

/// Reads what a key manager answered.
fn read(answer: &Message) -> io::Result<Result<KeyVerdict, KeyRefusal>> {
    if answer.kind != TMessageType::Reply {
        let why = answer.fields.text(EXCEPTION_MESSAGE).unwrap_or("it did not understand the question");
        return Err(io::Error::other(why.to_owned()));
    }
    let exception = [KEY_MGT_EXCEPTION, MANAGEMENT_EXCEPTION].into_iter().find(|number| answer.fields.has(*number));
    if let Some(number) = exception {
        let thrown = answer.fields.fields(number).and_then(|fields| fields.text(EXCEPTION_MESSAGE));
        return Err(io::Error::other(thrown.unwrap_or("it does not say why").to_owned()));
    }
    let incomplete =
        || io::Error::new(io::ErrorKind::InvalidData, "the answer lacks fields; is it a node of the cluster?");
    let told = answer.fields.fields(SUCCESS).ok_or_else(incomplete)?;
    if !told.bool(info::AUTHORIZED).ok_or_else(incomplete)? {
        let code = told.int(info::STATUS).and_then(|code| u32::try_from(code).ok()).unwrap_or_default();
        return Ok(Err(KeyRefusal::of_code(code)));
    }
    let verdict = told.text(info::VERDICT).ok_or_else(incomplete)?;
    serde_json::from_str(verdict).map(Ok).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
}

impl KeyValidation for ThriftKeyValidation {
    fn spend<'a>(&'a self, token: &'a str, until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>> {
        match &self.spending {
            Some(spending) => spending.spend(token, until),
            None => Box::pin(async { Err(KeyRefusal::Unavailable) }),
        }
    }

    fn validate<'a>(&'a self, asked: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>> {
        Box::pin(async move {
            // What is not deployed as far as this node knows is called no more.
            let Some((context, version)) = self.reach.api(asked.api) else { return Err(KeyRefusal::NotSubscribed) };
            match self.ask_all(self.asked(asked, context, version)).await {
                Ok(judged) => judged,
                Err(cause) => {
                    tracing::warn!(%cause, "a key could not be validated by Thrift");
                    Err(KeyRefusal::Unavailable)
                }
            }
        })
    }
}
