//! What the use of monetized APIs is worth: calls from the statistics, prices from the plans, and the books of what was told
//! to whoever bills it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::monetization::{Amount, Terms, Usage, UsageBook, date_of};
use portcullis_model::statistics::{Aspect, DAY_MS};
use portcullis_model::{
    Api, ApiId, ApplicationId, AssetId, PolicyLevel, Subscription, SubscriptionState, TenantDomain, Timestamp, Username,
};

use crate::command::PutAsset;
use crate::handle::random_bytes;
use crate::state::{Apimgtdb, Statdb};
use crate::statistics::Span;
use crate::statistics::reading::{Selection, Sight, find};
use crate::{assets, subscriptions};

/// Under which name a book is kept among what belongs to its API.
const BOOK: &str = "usage";

/// Returns the day of a time, counted from 1970.
#[must_use]
pub fn day_of(time: Timestamp) -> u32 {
    u32::try_from(time.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// Returns which calls of an API were answered without a fault, from a day on: by day, application and plan, as far as is
/// kept. Calls of applications beyond the bound of the statistics are not among them.
#[must_use]
pub fn usage_of(stat: &Statdb, api: ApiId, from: u32) -> Vec<Usage> {
    let minutes = Span::Day.minutes();
    let from = from.saturating_mul(minutes);
    let selection = Selection { api: Some(api), span: Span::Day, ..Selection::new(Sight::All, from, u32::MAX) };
    let rows = find(stat, Aspect::Application, &selection);
    let usage = rows.iter().filter_map(|row| {
        let (application, calls) = (row.subject.application?, row.tally.calls.saturating_sub(row.tally.failed()));
        let plan = row.subject.value.to_string();
        (calls > 0).then_some(Usage { day: row.start / minutes, application, plan, calls })
    });
    let mut usage: Vec<Usage> = usage.collect();
    usage.sort();
    usage
}

/// Returns what a plan costs; `None` where it is free.
#[must_use]
pub fn terms_of(database: &Apimgtdb, tenant: &TenantDomain, plan: &str) -> Option<Terms> {
    let key = (tenant.clone(), PolicyLevel::Subscription, plan.to_owned());
    database.policies.get(&key).and_then(|policy| Terms::of(policy))
}

/// Returns the book of an API, and what keeps it.
#[must_use]
pub fn book_of(database: &Apimgtdb, api: &Api) -> (Option<Arc<Asset>>, UsageBook) {
    let mut books = assets::of_tenant(database, &api.tenant, AssetKind::UsageBook);
    let asset = books.find(|asset| asset.api == Some(api.id)).cloned();
    let book = asset.as_ref().and_then(|asset| serde_json::from_str(&asset.document).ok()).unwrap_or_default();
    (asset, book)
}

/// Returns the APIs of a tenant of whose use something was gathered that was not taken yet, monetized still or not.
#[must_use]
pub fn waiting(database: &Apimgtdb, tenant: &TenantDomain) -> BTreeSet<ApiId> {
    let books = assets::of_tenant(database, tenant, AssetKind::UsageBook);
    let waits = |asset: &Arc<Asset>| {
        let book: UsageBook = serde_json::from_str(&asset.document).ok()?;
        book.pending.and(asset.api)
    };
    books.filter_map(waits).collect()
}

/// Returns the command that keeps a book; refused as stale where somebody else kept another since `before`.
#[must_use]
pub fn keep_book(api: &Api, before: Option<&Asset>, book: &UsageBook, by: &Username) -> PutAsset {
    let document = serde_json::to_string(book).unwrap_or_default();
    let asset = Asset {
        id: before.map_or_else(|| AssetId::from_random(random_bytes()), |before| before.id),
        tenant: api.tenant.clone(),
        kind: AssetKind::UsageBook,
        api: Some(api.id),
        name: BOOK.to_owned(),
        document,
        content: String::new(),
        created_by: by.clone(),
        created_at: Timestamp::default(),
        updated_by: by.clone(),
        updated_at: Timestamp::default(),
    };
    PutAsset { asset, is_new: before.is_none(), expected: before.map(|before| before.updated_at) }
}

/// Returns what the current cycle of a subscription costs so far: `properties` as the contracts tell them. Empty where its
/// plan is free.
#[must_use]
pub fn pending_invoice(
    database: &Apimgtdb,
    stat: &Statdb,
    tenant: &TenantDomain,
    subscription: &Subscription,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let Some(terms) = terms_of(database, tenant, &subscription.plan) else { return BTreeMap::new() };
    let from = terms.cycle.first_day(day_of(now)).max(day_of(subscription.created_at));
    let usage = usage_of(stat, subscription.api, from);
    let its = |one: &&Usage| one.application == subscription.application && one.plan == subscription.plan;
    let calls: u64 = usage.iter().filter(its).map(|one| one.calls).sum();
    let mut properties = terms.properties();
    properties.insert("billedCalls".to_owned(), calls.to_string());
    properties.insert("billedFrom".to_owned(), date_of(from));
    properties.insert("amount".to_owned(), terms.fixed_price.plus(terms.of_calls(calls)).to_string());
    properties
}

/// Returns what an API brings in in the current cycles of its plans so far: `properties` as the contract tells them, with the
/// plan before each.
#[must_use]
pub fn revenue(database: &Apimgtdb, stat: &Statdb, api: &Api, now: Timestamp) -> BTreeMap<String, String> {
    let mut subscribers: BTreeMap<String, u64> = BTreeMap::new();
    for id in subscriptions::of_api(database, api.id) {
        let Some(one) = database.subscriptions.get(&id) else { continue };
        if !matches!(one.state, SubscriptionState::OnHold | SubscriptionState::Rejected) {
            *subscribers.entry(one.plan.clone()).or_default() += 1;
        }
    }
    let mut properties = BTreeMap::new();
    let mut totals: BTreeMap<String, Amount> = BTreeMap::new();
    // A plan that the API has no more may still have subscribers.
    let plans: BTreeSet<&String> = api.plans.iter().chain(subscribers.keys()).collect();
    for plan in plans {
        let Some(terms) = terms_of(database, &api.tenant, plan) else { continue };
        let from = terms.cycle.first_day(day_of(now));
        let calls: u64 =
            usage_of(stat, api.id, from).iter().filter(|one| one.plan == **plan).map(|one| one.calls).sum();
        let count = subscribers.get(plan).copied().unwrap_or_default();
        let amount = terms.fixed_price.times(count).plus(terms.of_calls(calls));
        let told = [
            ("subscriptions", count.to_string()),
            ("billedCalls", calls.to_string()),
            ("billedFrom", date_of(from)),
            ("billingCycle", terms.cycle.name().to_owned()),
            ("amount", format!("{amount} {}", terms.currency)),
        ];
        properties.extend(told.into_iter().map(|(name, text)| (format!("{plan}.{name}"), text)));
        let total = totals.entry(terms.currency).or_default();
        *total = total.plus(amount);
    }
    properties.extend(totals.into_iter().map(|(currency, total)| (format!("total.{currency}"), total.to_string())));
    properties
}

/// Returns the subscription of an application to an API, where there is one.
#[must_use]
pub fn subscription_of(database: &Apimgtdb, api: ApiId, application: ApplicationId) -> Option<&Arc<Subscription>> {
    let id = database.subscriptions_by_api.get(&(api, application))?;
    database.subscriptions.get(id)
}

#[cfg(test)]
mod tests {
    use portcullis_model::monetization::Batch;

    use super::*;

    #[test]
    fn apis_with_a_batch_that_was_not_taken_wait() {
        let mut database = Apimgtdb::default();
        let tenant = TenantDomain::super_tenant();
        let mut keep = |number: u8, api: Option<ApiId>, document: String| {
            let asset = Asset {
                id: AssetId::from_random([number; 16]),
                tenant: tenant.clone(),
                kind: AssetKind::UsageBook,
                api,
                name: BOOK.to_owned(),
                document,
                content: String::new(),
                created_by: Username("ann".to_owned()),
                created_at: Timestamp::default(),
                updated_by: Username("ann".to_owned()),
                updated_at: Timestamp::default(),
            };
            database.assets.insert((asset.kind, tenant.clone(), asset.id), Arc::new(asset));
        };
        let batch = Batch { id: "1".to_owned(), body: "{}".to_owned() };
        let mut book = UsageBook::default();
        let taken = serde_json::to_string(&book).unwrap();
        book.pending = Some(batch);
        let [first, second] = [1, 2].map(|number| ApiId::from_random([number; 16]));
        keep(1, Some(first), serde_json::to_string(&book).unwrap());
        keep(2, Some(second), taken);
        // What a tenant keeps of its runs is no book.
        keep(3, None, r#"{"is_running":false}"#.to_owned());
        assert_eq!(waiting(&database, &tenant), BTreeSet::from([first]));
    }
}
