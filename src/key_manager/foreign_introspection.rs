//! Asks other key managers what tokens are (RFC 7662): tokens that say nothing of themselves, and those of servers that
//! publish no keys. What they say is remembered for a short while, so that calls do not wait for another system each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_database::ClusterKey;
use portcullis_http::fetch::Service;
use portcullis_model::key_manager::{KeyManager, LoginKind};
use portcullis_model::port::KeyRefusal;
use portcullis_model::{KeyManagerId, Timestamp, TokenDigest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::issuer::open_secret;
use crate::mint::digest_of;

/// How long it is believed that a token is good: a token revoked there is refused here within this time.
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(60);
/// How long it is believed that a token is not good.
const BAD_FOR: Duration = Duration::from_secs(10);
/// Bytes of what is remembered.
const REMEMBERED_BYTES_MAX: u64 = 32 << 20;
/// What is remembered of one token takes at least as many bytes.
const ANSWER_BYTES: u64 = 256;
/// Answers for which there is room at first.
const ANSWERS: usize = 1_000;
/// Bytes of one answer that is believed.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Key managers that are asked.
const DESKS_MAX: usize = 1_000;
/// Questions to one key manager at a time; others wait for their turn.
const AT_ONCE: usize = 32;
/// How long one answer may take.
const TIME: Duration = Duration::from_secs(2);
/// How long a key manager that did not answer is not asked again.
const REST: Duration = Duration::from_millis(500);

/// What was said of a token.
#[derive(Clone)]
pub(crate) struct Answer {
    /// What it says of a token that is good.
    pub claims: Option<Arc<Value>>,
    /// Until when that is believed.
    pub until: Timestamp,
    /// The key manager as it was when it was asked: a change makes its answers old.
    by: Arc<KeyManager>,
    bytes: u64,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<(KeyManagerId, TokenDigest), Answer> for Bytewise {
    fn weight(&self, _: &(KeyManagerId, TokenDigest), answer: &Answer) -> u64 {
        ANSWER_BYTES + answer.bytes
    }
}

/// What other key managers said, and how to ask them.
pub(crate) struct Introspection {
    answers: Cache<(KeyManagerId, TokenDigest), Answer, Bytewise>,
    desks: Cache<KeyManagerId, Arc<Desk>>,
    began: Instant,
}

/// Where one key manager is asked.
struct Desk {
    of: Arc<KeyManager>,
    service: Service,
    turns: Semaphore,
    /// Until when it is not asked, in milliseconds of this process.
    rests_until_ms: AtomicU64,
}

impl Introspection {
    pub fn new() -> Self {
        Self {
            answers: Cache::with_weighter(ANSWERS, REMEMBERED_BYTES_MAX, Bytewise),
            desks: Cache::new(DESKS_MAX),
            began: Instant::now(),
        }
    }

    /// Returns what a key manager says of a token, `now` or a little while ago.
    ///
    /// # Errors
    /// [`KeyRefusal::Unavailable`] where it does not answer.
    pub async fn ask(
        &self,
        one: &Arc<KeyManager>,
        key: &ClusterKey,
        token: &str,
        now: Timestamp,
    ) -> Result<Answer, KeyRefusal> {
        let id = (one.id, digest_of(token));
        let remembered = || self.answers.get(&id).filter(|answer| answer.until > now && Arc::ptr_eq(&answer.by, one));
        if let Some(answer) = remembered() {
            return Ok(answer);
        }
        let desk = self.desk(one, key).await.ok_or(KeyRefusal::Unavailable)?;
        let _turn = desk.turns.acquire().await.map_err(|_| KeyRefusal::Unavailable)?;
        // Whoever had the turn before may have asked the same.
        if let Some(answer) = remembered() {
            return Ok(answer);
        }
        let answer = self.ask_now(&desk, token, now).await?;
        self.answers.insert(id, answer.clone());
        Ok(answer)
    }

    async fn ask_now(&self, desk: &Desk, token: &str, now: Timestamp) -> Result<Answer, KeyRefusal> {
        let elapsed_ms = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms() < desk.rests_until_ms.load(Ordering::Relaxed) {
            return Err(KeyRefusal::Unavailable);
        }
        let form = [("token", token), ("token_type_hint", "access_token")];
        let said: Value = desk.service.post_form(&form).await.map_err(|cause| {
            tracing::warn!(%cause, key_manager = desk.of.name, "a key manager does not say what a token is");
            let rest_ms = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
            desk.rests_until_ms.store(elapsed_ms().saturating_add(rest_ms), Ordering::Relaxed);
            KeyRefusal::Unavailable
        })?;
        let bytes = said.to_string().len();
        let is_good = said.get("active") == Some(&Value::Bool(true)) && bytes <= ANSWER_BYTES_MAX;
        let (claims, good_for) = if is_good { (Some(Arc::new(said)), GOOD_FOR) } else { (None, BAD_FOR) };
        let bytes = if is_good { bytes as u64 } else { 0 };
        Ok(Answer { claims, until: now.after(good_for), by: Arc::clone(&desk.of), bytes })
    }

    async fn desk(&self, one: &Arc<KeyManager>, key: &ClusterKey) -> Option<Arc<Desk>> {
        if let Some(desk) = self.desks.get(&one.id).filter(|desk| Arc::ptr_eq(&desk.of, one)) {
            return Some(desk);
        }
        let made = service(one, one.introspection_url.as_deref()?, key).await;
        let service = made.map_err(|cause| tracing::error!(%cause, key_manager = one.name, "cannot be asked")).ok()?;
        let desk = Arc::new(Desk {
            of: Arc::clone(one),
            service: service.with_timeout(TIME),
            turns: Semaphore::new(AT_ONCE),
            rests_until_ms: AtomicU64::new(0),
        });
        self.desks.insert(one.id, Arc::clone(&desk));
        Some(desk)
    }
}

/// Why another key manager cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotCall {
    /// Its address is of no use.
    #[error(transparent)]
    Client(#[from] portcullis_http::ClientError),
    /// What to sign in with does not open.
    #[error("the secret to sign in with cannot be opened with this cluster's key")]
    CannotOpen,
}

/// Returns a service of another key manager, signed in with what its administrator has registered.
pub(crate) async fn service(one: &KeyManager, url: &str, key: &ClusterKey) -> Result<Service, CannotCall> {
    let service = Service::of_tenant(&one.tenant, url).await?;
    let Some(login) = &one.login else { return Ok(service) };
    let secret = open_secret(key, &login.secret).map_err(|_| CannotCall::CannotOpen)?;
    Ok(sign_in(service, login.kind, &login.name, &secret))
}

/// Signs in as a user or as a client.
pub(crate) fn sign_in(service: Service, kind: LoginKind, name: &str, secret: &str) -> Service {
    match kind {
        LoginKind::User => service.with_basic(name, secret),
        // RFC 6749, section 2.3.1.
        LoginKind::Client => service.with_basic(&encoded(name), &encoded(secret)),
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_model::TenantDomain;
    use portcullis_model::key_manager::KeyManagerLogin;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const NOW: Timestamp = Timestamp(1_000_000);

    /// A server that answers each question with what a test has it say, and notes the questions.
    struct Idp {
        url: String,
        asked: Arc<std::sync::Mutex<Vec<String>>>,
    }

    impl Idp {
        async fn saying(status: u16, body: &'static str) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/introspect", listener.local_addr().unwrap());
            let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
            let noted = Arc::clone(&asked);
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut request = Vec::new();
                    // The form is the end of it.
                    while !String::from_utf8_lossy(&request).contains("token_type_hint=access_token") {
                        stream.read_buf(&mut request).await.unwrap();
                    }
                    noted.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
            Self { url, asked }
        }

        fn questions(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }

        fn key_manager(&self, login: Option<(LoginKind, &str, &str)>) -> Arc<KeyManager> {
            let login = login.map(|(kind, name, secret)| KeyManagerLogin {
                kind,
                name: name.to_owned(),
                secret: ClusterKey::new(KEY).seal(secret.as_bytes()),
            });
            Arc::new(KeyManager {
                id: KeyManagerId::from_random([1; 16]),
                tenant: TenantDomain::super_tenant(),
                name: "Theirs".to_owned(),
                issuer: "https://theirs".to_owned(),
                jwks_url: None,
                introspection_url: Some(self.url.clone()),
                registration_url: None,
                token_url: None,
                login,
                opaque_tokens: None,
                consumer_key_claim: "azp".to_owned(),
                scopes_claim: "scope".to_owned(),
                claim_mapping: Vec::new(),
                is_enabled: true,
                other_fields: "{}".to_owned(),
                created_at: Timestamp(0),
            })
        }
    }

    async fn ask(all: &Introspection, one: &Arc<KeyManager>, token: &str, now: Timestamp) -> Result<bool, KeyRefusal> {
        all.ask(one, &ClusterKey::new(KEY), token, now).await.map(|answer| answer.claims.is_some())
    }

    #[tokio::test]
    async fn what_was_said_is_believed_for_a_while_and_not_after_a_change() {
        for (body, good_for) in [(r#"{"active":true,"client_id":"c"}"#, GOOD_FOR), (r#"{"active":false}"#, BAD_FOR)] {
            let is_good = body.contains("client_id");
            let idp = Idp::saying(200, body).await;
            let (all, one) = (Introspection::new(), idp.key_manager(None));
            let just_before = Timestamp(NOW.after(good_for).0 - 1);
            for (token, now, questions) in
                [("a", NOW, 1), ("a", just_before, 1), ("b", NOW, 2), ("a", NOW.after(good_for), 3)]
            {
                assert_eq!(ask(&all, &one, token, now).await, Ok(is_good));
                assert_eq!(idp.questions().len(), questions, "{token} at {now:?}");
            }
            let changed = idp.key_manager(None);
            assert_eq!(ask(&all, &changed, "b", NOW).await, Ok(is_good));
            assert_eq!(idp.questions().len(), 4, "the key manager was changed");
        }
    }

    #[tokio::test]
    async fn calls_that_wait_for_their_turn_take_the_answer_of_those_before() {
        let idp = Idp::saying(200, r#"{"active":true}"#).await;
        let (all, one) = (Introspection::new(), idp.key_manager(None));
        let calls = (0..AT_ONCE * 3).map(|_| ask(&all, &one, "a", NOW));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)));
        // Those that had a turn before the first answer came asked too.
        assert!(idp.questions().len() <= AT_ONCE, "{}", idp.questions().len());
    }

    #[tokio::test]
    async fn it_is_asked_as_its_administrator_says() {
        for (login, expected) in [
            ((LoginKind::User, "admin", "p:w%"), "authorization: Basic YWRtaW46cDp3JQ=="),
            // `me:s%2Bc%25`
            ((LoginKind::Client, "me", "s+c%"), "authorization: Basic bWU6cyUyQmMlMjU="),
        ] {
            let idp = Idp::saying(200, r#"{"active":true}"#).await;
            ask(&Introspection::new(), &idp.key_manager(Some(login)), "a b", NOW).await.unwrap();
            let question = idp.questions().remove(0);
            assert!(question.contains(expected), "{question}");
            assert!(question.ends_with("token=a+b&token_type_hint=access_token"), "{question}");
        }
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_not_taken_to_refuse() {
        for (status, body) in [(500, "{}"), (401, "{}"), (200, "no JSON")] {
            let idp = Idp::saying(status, body).await;
            let (all, one) = (Introspection::new(), idp.key_manager(None));
            for _ in 0..2 {
                assert_eq!(ask(&all, &one, "a", NOW).await, Err(KeyRefusal::Unavailable), "{status} {body}");
            }
        }
        let big: &'static str =
            Box::leak(format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX)).into_boxed_str());
        let idp = Idp::saying(200, big).await;
        assert_eq!(ask(&Introspection::new(), &idp.key_manager(None), "a", NOW).await, Ok(false));
    }
}
