//! Tells whoever bills it which use there was of monetized APIs. What is told once is kept before it is sent, and sent under
//! the same name until it is taken: a receiver that heeds the name counts nothing twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_database::monetization::{book_of, day_of, keep_book, subscription_of, terms_of, usage_of, waiting};
use portcullis_database::{Apimgtdb, Caller, Handle, Statdb, SubmitError, access};
use portcullis_http::Delivery;
use portcullis_http::delivery::DELIVERY;
use portcullis_model::asset::Asset;
use portcullis_model::monetization::{Batch, Usage, UsageBook, date_of};
use portcullis_model::user::Principal;
use portcullis_model::{Api, AssetId, Refused, TenantDomain};
use serde_json::{Value, json};

/// How often a batch of one API is begun in one run; more go with the next.
const BATCHES_MAX: usize = 200;
/// How often a batch is tried.
const TRIES: u32 = 4;
/// How long a read waits for what was acknowledged on other nodes.
const FRESH_WITHIN: Duration = Duration::from_secs(5);

type View = portcullis_database::handle::View<access::Admin>;

/// Who bills the use of APIs.
#[derive(Clone)]
pub struct BillingEngine {
    delivery: Arc<Delivery>,
}

impl BillingEngine {
    /// One that is told at a URL, signed where there is a secret.
    #[must_use]
    pub fn new(url: &str, secret: &str) -> Self {
        Self { delivery: Arc::new(Delivery::new(url).with_tries(TRIES).signed_with(secret)) }
    }
}

/// Why use was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BillingFault {
    /// The cluster could not say yes.
    #[error("what is told could not be kept: {0}")]
    Submit(#[from] SubmitError),
    /// There is no leader.
    #[error("this node does not know what was told: the cluster has no leader")]
    NotFresh,
    /// It was not taken.
    #[error("the billing engine did not take it: {0}")]
    NotTaken(String),
}

/// How many records of how many APIs were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) apis: usize,
    pub(crate) batches: usize,
}

/// Tells all that was not told of a tenant's APIs; of those that are not monetized any more, what was gathered while they were.
/// What cannot be told of one keeps no other from it.
pub(crate) async fn tell_all(
    handle: &Handle<access::Admin>,
    engine: &BillingEngine,
    tenant: &TenantDomain,
) -> Result<Told, BillingFault> {
    let view = fresh(handle).await?;
    let database = view.read::<Apimgtdb>();
    let waiting = waiting(database, tenant);
    let is_meant = |api: &Api| api.tenant == *tenant && (api.is_monetized() || waiting.contains(&api.id));
    let apis: Vec<Arc<Api>> = database.apis.values().filter(|api| is_meant(api)).cloned().collect();
    let (mut told, mut fault) = (Told::default(), None);
    for api in apis {
        match tell(handle, engine, &api).await {
            Ok(0) => {}
            Ok(batches) => told = Told { apis: told.apis + 1, batches: told.batches + batches },
            Err(error) => {
                tracing::warn!(api = %api.id, fault = %error, "the use of an API was not told; it is told with the next run");
                fault = Some(error);
            }
        }
    }
    fault.map_or(Ok(told), Err)
}

async fn fresh(handle: &Handle<access::Admin>) -> Result<View, BillingFault> {
    handle.linearizable_view(FRESH_WITHIN).await.map_err(|_| BillingFault::NotFresh)
}

/// Tells what was not told of one API; returns in how many batches.
async fn tell(handle: &Handle<access::Admin>, engine: &BillingEngine, api: &Api) -> Result<usize, BillingFault> {
    let mut batches = 0;
    for _ in 0..BATCHES_MAX {
        let view = fresh(handle).await?;
        let (before, mut book) = book_of(view.read::<Apimgtdb>(), api);
        let is_first = before.is_none();
        if book.pending.is_none() && !(api.is_monetized() && gather(&view, api, &mut book, is_first)) {
            if is_first && api.is_monetized() {
                keep(handle, api, before.as_deref(), &book).await?;
            }
            break;
        }
        let Some(batch) = book.pending.clone() else { break };
        // What another node gathered meanwhile is read anew.
        let Some(kept) = keep(handle, api, before.as_deref(), &book).await? else { continue };
        send(engine, &batch).await?;
        book.taken(wall_clock());
        keep(handle, api, Some(&kept), &book).await?;
        batches += 1;
    }
    Ok(batches)
}

/// Puts what was not told into the book; says whether there is anything. A book that is new begins here.
fn gather(view: &View, api: &Api, book: &mut UsageBook, is_first: bool) -> bool {
    let (database, stat) = (view.read::<Apimgtdb>(), view.read::<Statdb>());
    let today = day_of(wall_clock());
    if is_first {
        book.begin(&usage_of(stat, api.id, today), today);
        return false;
    }
    let new = book.gather(&usage_of(stat, api.id, book.from()), today);
    if new.is_empty() {
        return false;
    }
    let id = AssetId::from_random(random_bytes()).to_string();
    let records: Vec<Value> = new.iter().map(|one| record(database, stat, api, one)).collect();
    let its = json!({"id": api.id.to_string(), "name": api.name, "version": api.version, "provider": api.provider.0});
    let body = json!({"id": id, "tenant": api.tenant.0, "api": its, "records": records}).to_string();
    book.pending = Some(Batch { id, body });
    true
}

fn record(database: &Apimgtdb, stat: &Statdb, api: &Api, usage: &Usage) -> Value {
    let terms = terms_of(database, &api.tenant, &usage.plan);
    let subscription = subscription_of(database, api.id, usage.application);
    let application = stat.applications.get(&usage.application);
    json!({
        "date": date_of(usage.day),
        "calls": usage.calls,
        "plan": usage.plan,
        "terms": terms.as_ref().map(portcullis_model::monetization::Terms::properties),
        "amount": terms.as_ref().map(|terms| terms.of_calls(usage.calls).to_string()),
        "application": {
            "id": usage.application.to_string(),
            "name": application.map(|known| &known.name),
            "owner": application.map(|known| &known.owner.0),
        },
        "subscription": subscription.map(|one| one.id.to_string()),
    })
}

/// Keeps a book; returns what keeps it, or nothing where somebody else kept another meanwhile, also right after this one.
async fn keep(
    handle: &Handle<access::Admin>,
    api: &Api,
    before: Option<&Asset>,
    book: &UsageBook,
) -> Result<Option<Arc<Asset>>, BillingFault> {
    let command = keep_book(api, before, book, &Principal::system().username);
    let document = command.asset.document.clone();
    match handle.submit(command, &Caller::system()).await {
        Ok(_) => Ok(book_of(handle.view().read::<Apimgtdb>(), api).0.filter(|kept| kept.document == document)),
        Err(SubmitError::Refused(Refused::Stale { .. } | Refused::AlreadyExists { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn send(engine: &BillingEngine, batch: &Batch) -> Result<(), BillingFault> {
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    headers.extend(HeaderValue::from_str(&batch.id).ok().map(|id| (DELIVERY, id)));
    let sent = engine.delivery.deliver(Bytes::from(batch.body.clone()), &headers).await;
    sent.map_err(|fault| BillingFault::NotTaken(fault.to_string()))
}
