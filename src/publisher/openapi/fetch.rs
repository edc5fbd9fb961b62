//! Definitions at an address that a user gives. They are fetched as a backend would be called: by http or https, without
//! redirects, within bounds, and from no address that is barred ([`portcullis_http::reach`]). What is there besides a
//! definition is not told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_http::fetch::Service;
use portcullis_http::{ApiError, ClientError};
use portcullis_model::TenantDomain;
use portcullis_model::limit::DEFINITION_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

/// Characters of an address.
const URL_CHARS_MAX: usize = 2_048;
/// How long a definition may take to come.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Definitions that are fetched at a time, each for another tenant.
const FETCHED_MAX: usize = 4;
/// How long a definition waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

static TURNS: Turns = Turns::new();

/// Who may fetch: so many at a time, and one of each tenant, so that none of them takes all turns. What takes longer than a
/// definition has turns of its own.
pub(crate) struct Turns {
    all: Semaphore,
    /// Tenants that fetch or wait.
    tenants: Mutex<BTreeMap<TenantDomain, Arc<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_tenant: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { all: Semaphore::const_new(FETCHED_MAX), tenants: Mutex::new(BTreeMap::new()) }
    }

    /// Waits until a tenant may have something asked for `field` of its request.
    ///
    /// # Errors
    /// 503 with the name of the field, where that is not so within 5 s.
    pub(crate) async fn take_for(&self, tenant: &TenantDomain, field: &str) -> Result<Turn<'_>, ApiError> {
        self.take_within(TURN_WAIT_MAX, tenant, field).await
    }

    async fn take_within(&self, wait_max: Duration, tenant: &TenantDomain, field: &str) -> Result<Turn<'_>, ApiError> {
        self.take(tenant, wait_max).await.ok_or_else(|| {
            let reason = "one of this tenant, or as many of others as are asked at a time, are being asked already";
            ApiError::unavailable(format!("{field}: {reason}. Try again in a moment."))
        })
    }

    /// Waits for a tenant's turn; `None` where none is free in time.
    async fn take(&self, tenant: &TenantDomain, wait_max: Duration) -> Option<Turn<'_>> {
        let own = self.of_tenant(tenant);
        // One's own turn first: who waits for it keeps none from another tenant.
        let both = async { Some((own.acquire_owned().await.ok()?, self.all.acquire().await.ok()?)) };
        let (of_tenant, of_all) = timeout(wait_max, both).await.ok()??;
        Some(Turn { _of_all: of_all, _of_tenant: of_tenant })
    }

    fn of_tenant(&self, tenant: &TenantDomain) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds are free.
        tenants.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

/// Refuses what is no address of the web.
///
/// # Errors
/// 400 with the name of the field.
pub(crate) fn check_address(field: &str, url: &str) -> Result<(), ApiError> {
    let is_web = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_web && url.chars().count() <= URL_CHARS_MAX {
        return Ok(());
    }
    let reason = format!("{field}: must be an http or https URL of at most {URL_CHARS_MAX} characters");
    Err(ApiError::bad_request(reason))
}

/// Returns the text at an address, of at most as many bytes as a definition may have, within 10 s. A tenant's definitions
/// come one after the other.
///
/// # Errors
/// 400 with the name of the field, where there is none; 503 where it is not the tenant's turn within 5 s.
pub(crate) async fn fetch(tenant: &TenantDomain, field: &str, url: &str) -> Result<String, ApiError> {
    fetch_in_turn(&TURNS, TURN_WAIT_MAX, tenant, field, url).await
}

/// Waits until a tenant may have its `endpointUrl` asked, in the turns of definitions.
///
/// # Errors
/// 503 where that is not so within 5 s.
pub(crate) async fn take_turn(tenant: &TenantDomain) -> Result<Turn<'static>, ApiError> {
    TURNS.take_for(tenant, "endpointUrl").await
}

async fn fetch_in_turn(
    turns: &Turns,
    wait_max: Duration,
    tenant: &TenantDomain,
    field: &str,
    url: &str,
) -> Result<String, ApiError> {
    let url = url.trim();
    check_address(field, url)?;
    let refuse = |reason: String| ApiError::bad_request(format!("{field}: {reason}"));
    let Some(_turn) = turns.take(tenant, wait_max).await else {
        let reason = "one of this tenant, or as many of others as are fetched at a time, are being fetched already";
        return Err(ApiError::unavailable(format!("{field}: {reason}. Try again in a moment.")));
    };
    let bytes = read(url).await.map_err(|error| refuse(explain(&error)))?;
    String::from_utf8(bytes).map_err(|_| refuse("what is there is no UTF-8 text".to_owned()))
}

async fn read(url: &str) -> Result<Vec<u8>, ClientError> {
    let service = Service::of_user(url).await?;
    service.with_timeout(TIME_MAX).with_reply_bytes_max(DEFINITION_BYTES_MAX).bytes().await.map(Vec::from)
}

/// Says why there is no document, without what the server said: it may not have been meant for this user.
fn explain(error: &ClientError) -> String {
    match error.status() {
        Some(status) if status.is_redirection() => {
            format!(
                "the server answers with status {}; redirects are not followed: give the last address",
                status.as_u16()
            )
        }
        Some(status) => format!("the server answers with status {}", status.as_u16()),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    /// Long enough for a turn that is free, short enough to wait for one that is not.
    const BRIEF: Duration = Duration::from_millis(50);

    fn tenant(domain: &str) -> TenantDomain {
        TenantDomain(domain.to_owned())
    }

    #[tokio::test]
    async fn one_tenant_has_one_turn_and_leaves_the_others_to_others() {
        let turns = Turns::new();
        let first = turns.take(&tenant("a.example"), BRIEF).await;
        assert!(first.is_some());
        let refused = fetch_in_turn(&turns, BRIEF, &tenant("a.example"), "url", "http://127.0.0.1:1/").await;
        let response = refused.unwrap_err().into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));

        let mut others = Vec::new();
        for domain in ["b.example", "c.example", "d.example"] {
            others.push(turns.take(&tenant(domain), BRIEF).await.expect(domain));
        }
        assert!(turns.take(&tenant("e.example"), BRIEF).await.is_none(), "all turns are taken");

        // Who waits has a turn once one is free.
        let long = Duration::from_secs(60);
        let (waiting, again) = (tenant("e.example"), tenant("a.example"));
        let free = async { drop(first) };
        let (turn, ()) = tokio::join!(turns.take(&waiting, long), free);
        assert!(turn.is_some());
        others.clear();
        assert!(turns.take(&again, BRIEF).await.is_some());
        drop(turn);
        assert_eq!(turns.of_tenant(&again).available_permits(), 1);
        assert_eq!(turns.tenants.lock().unwrap().len(), 1, "tenants are forgotten");
    }

    #[tokio::test]
    async fn other_turns_are_not_those_of_definitions_and_name_their_field() {
        static OTHERS: Turns = Turns::new();
        let busy = tenant("busy.example");
        let held = OTHERS.take_for(&busy, "amznResourceNames").await;
        assert!(held.is_ok());
        let Err(refused) = OTHERS.take_within(BRIEF, &busy, "amznResourceNames").await else { panic!("two turns") };
        assert_eq!(refused.status(), 503);
        assert!(refused.description().starts_with("amznResourceNames: "), "{}", refused.description());
        assert!(take_turn(&busy).await.is_ok(), "definitions go on");
    }

    #[tokio::test]
    async fn what_is_no_address_of_a_document_is_refused_by_the_name_of_the_field() {
        for (url, said) in [
            ("file:///etc/passwd", "http or https"),
            ("gopher://127.0.0.1/", "http or https"),
            ("http://169.254.169.254/latest/meta-data", "metadata"),
            ("http://[::ffff:169.254.169.254]/", "metadata"),
            ("http://0.0.0.0:9763/metrics", "no single host"),
            ("http://ann:secret@127.0.0.1/", "name or password"),
            ("http://127.0.0.1:1/openapi.yaml", "cannot connect"),
        ] {
            let refused = fetch(&tenant("carbon.super"), "url", url).await.unwrap_err();
            assert_eq!(refused.status(), 400, "{url}");
            let text = refused.description();
            assert!(text.starts_with("url: ") && text.contains(said), "{url}: {text}");
        }
    }
}
