//! Alerts for who wants to be told of them by e-mail: of some kinds, and of the APIs of one tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::Statdb;
use portcullis_model::alert::AlertKind;
use portcullis_model::{TenantDomain, Timestamp};
use tracing::warn;

use super::Told;
use super::mail::Mail;
use super::rules::Alert;

/// Who wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The tenant of the APIs.
    pub tenant: TenantDomain,
    /// Who it is, within the tenant.
    pub name: String,
    /// Of what.
    pub kinds: Vec<AlertKind>,
    /// At which addresses.
    pub emails: Vec<String>,
}

/// Says who wants to be told; asked at each look.
pub type Subscribers = Arc<dyn Fn() -> Vec<Subscriber> + Send + Sync>;

/// Tells subscribers, each what was not told to that one lately.
pub(super) struct Subscribed {
    mail: Mail,
    subscribers: Subscribers,
    told: BTreeMap<(TenantDomain, String), Told>,
}

impl Subscribed {
    pub(super) fn new(mail: Mail, subscribers: Subscribers) -> Self {
        Self { mail, subscribers, told: BTreeMap::new() }
    }

    /// Forgets what was told, as whoever does not lead any more.
    pub(super) fn forget(&mut self) {
        self.told.clear();
    }

    pub(super) async fn tell(&mut self, stat: &Statdb, alerts: &[Alert], now: Timestamp, quiet: Duration) {
        let all = (self.subscribers)();
        let mut told = std::mem::take(&mut self.told);
        for subscriber in all {
            let key = (subscriber.tenant.clone(), subscriber.name.clone());
            let mut its = told.remove(&key).unwrap_or_default();
            let wanted = wanted_by(&subscriber, stat, alerts);
            let new = its.news(&wanted, now, quiet);
            if !new.is_empty() {
                match self.mail.to(&subscriber.emails).send(&new, now).await {
                    Ok(()) => its.remember(&new, now),
                    Err(fault) => {
                        warn!(%fault, user = key.1, "a subscriber was not mailed alerts; they are mailed again later");
                    }
                }
            }
            // Whoever subscribes no more is forgotten.
            self.told.insert(key, its);
        }
    }
}

/// Returns the alerts that somebody wants to be told of.
fn wanted_by(subscriber: &Subscriber, stat: &Statdb, alerts: &[Alert]) -> Vec<Alert> {
    let is_wanted = |alert: &&Alert| {
        let is_of_tenant = stat.apis.get(&alert.api).is_some_and(|api| api.tenant == subscriber.tenant);
        is_of_tenant && subscriber.kinds.contains(&alert.kind)
    };
    alerts.iter().filter(is_wanted).cloned().collect()
}
