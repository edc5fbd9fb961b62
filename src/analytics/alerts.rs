//! Alerts about calls: much more or fewer than is usual, slow, failing, or turned away by a quota. They are found by the
//! node that leads, from the statistics, and told to a web address and by e-mail. No call waits for it.

mod mail;
mod rules;
mod strays;
mod subscribers;
mod unseen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_database::access::Analytics as Rights;
use portcullis_database::{Handle, Statdb};
use portcullis_http::ClientError;
use portcullis_http::fetch::Service;
use portcullis_http::time::rfc3339;
use portcullis_model::alert::AlertKind as Kind;
use portcullis_model::statistics::MINUTE_MS;
use portcullis_model::{ApiId, ApplicationId, CallerNetwork, Timestamp};
use serde_json::{Value, json};
use tracing::{info, warn};

pub use mail::{Mail, MailFault};
pub use rules::Thresholds;
use rules::{Alert, look};
pub use strays::BotSubscribers;
use strays::Strays;
use subscribers::Subscribed;
pub use subscribers::{Subscriber, Subscribers};

/// Alerts of one look; the largest ones.
const ALERTS_MAX: usize = 50;
/// What was told and is remembered, so that it is not told again.
const TOLD_MAX: usize = 10_000;
/// How often telling is tried.
const TRIES: u32 = 4;
/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);

/// How alerts are set up.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// Where they are posted.
    pub webhook_url: Option<String>,
    /// By what they are mailed.
    pub mail: Option<Mail>,
    /// How often calls are looked at.
    pub every: Duration,
    /// For how long the same alert is not told again.
    pub quiet: Duration,
    /// From when on something is told.
    pub thresholds: Thresholds,
}

/// Says whether this node leads.
pub type Leads = Arc<dyn Fn() -> bool + Send + Sync>;

/// What an alert is about: told once in a while.
type About = (Kind, ApiId, Option<ApplicationId>, Option<CallerNetwork>);

/// What was told, and when.
#[derive(Default)]
struct Told(BTreeMap<About, Timestamp>);

impl Told {
    /// Forgets what was told long ago, and returns what there is to tell: the largest, where there is room to remember it.
    fn news(&mut self, alerts: &[Alert], now: Timestamp, quiet: Duration) -> Vec<Alert> {
        self.0.retain(|_, at| at.after(quiet) > now);
        let room = ALERTS_MAX.min(TOLD_MAX.saturating_sub(self.0.len()));
        alerts.iter().filter(|alert| !self.0.contains_key(&alert.about())).take(room).cloned().collect()
    }

    fn remember(&mut self, alerts: &[Alert], now: Timestamp) {
        self.0.extend(alerts.iter().map(|alert| (alert.about(), now)));
    }
}

/// A way of telling, and what was told by it.
struct Way {
    by: By,
    told: Told,
}

enum By {
    Webhook(String),
    Mail(Box<Mail>),
}

impl Way {
    fn new(by: By) -> Self {
        Self { by, told: Told::default() }
    }

    /// Tells what was not told by this way lately. What was not taken is found and told again with the next look.
    async fn tell(&mut self, alerts: &[Alert], now: Timestamp, quiet: Duration) {
        let new = self.told.news(alerts, now, quiet);
        if new.is_empty() {
            return;
        }
        let is_taken = match &self.by {
            By::Webhook(url) => post(url, &body_of(&new, now)).await,
            By::Mail(mail) => mail
                .send(&new, now)
                .await
                .inspect_err(|fault| warn!(%fault, "nobody was mailed alerts; they are mailed again later"))
                .is_ok(),
        };
        if is_taken {
            self.told.remember(&new, now);
        }
    }
}

/// Writes to the log what was not written there lately.
fn note(logged: &mut Told, alerts: &[Alert], now: Timestamp, quiet: Duration) {
    let new = logged.news(alerts, now, quiet);
    for alert in &new {
        info!(alert = alert.kind.name(), api = alert.api_name, application = alert.application_name, "{}", alert.text);
    }
    logged.remember(&new, now);
}

/// Looks and tells, until the task is dropped.
pub async fn run(
    settings: AlertSettings,
    handle: Handle<Rights>,
    leads: Leads,
    subscribers: Subscribers,
    bots: BotSubscribers,
) {
    let mut strays = settings.mail.clone().map(|mail| Strays::new(mail, bots));
    let mut subscribed = settings.mail.clone().map(|mail| Subscribed::new(mail, subscribers));
    let webhook = settings.webhook_url.map(By::Webhook);
    let mut ways: Vec<Way> =
        webhook.into_iter().chain(settings.mail.map(|mail| By::Mail(Box::new(mail)))).map(Way::new).collect();
    let mut logged = Told::default();
    let mut ticks = tokio::time::interval(settings.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Another node tells what is found while it leads; where it changes, an alert may be told twice.
        if !leads() {
            ways.iter_mut().for_each(|way| way.told = Told::default());
            subscribed.iter_mut().for_each(Subscribed::forget);
            strays.iter_mut().for_each(Strays::forget);
            continue;
        }
        let view = handle.view();
        let now = portcullis_database::handle::wall_clock();
        let (thresholds, every) = (settings.thresholds, settings.every);
        let named = handle.view();
        let looking = tokio::task::spawn_blocking(move || {
            let minute = u32::try_from(now.0 / MINUTE_MS).unwrap_or(u32::MAX);
            let mut alerts = look(view.read::<Statdb>(), minute, &thresholds);
            alerts.extend(unseen::look(view.read::<Statdb>(), now, every, &thresholds));
            alerts
        });
        let Ok(alerts) = looking.await else { continue };
        note(&mut logged, &alerts, now, settings.quiet);
        for way in &mut ways {
            way.tell(&alerts, now, settings.quiet).await;
        }
        if let Some(subscribed) = &mut subscribed {
            subscribed.tell(named.read::<Statdb>(), &alerts, now, settings.quiet).await;
        }
        if let Some(strays) = &mut strays {
            strays.tell(named.read::<Statdb>(), now, settings.quiet).await;
        }
    }
}

/// Posts alerts; says whether they were taken.
async fn post(url: &str, body: &Value) -> bool {
    let mut pause = PAUSE;
    for number in 1..=TRIES {
        let sent = match Service::at(url).await {
            Ok(service) => service.post::<Value>(body).await.map(drop),
            Err(fault) => Err(fault),
        };
        match sent {
            // What it says does not matter where it took it.
            Ok(()) | Err(ClientError::NotJson(_)) => return true,
            Err(fault) if number == TRIES => warn!(%fault, "alerts could not be told; they are told again later"),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    false
}

fn body_of(alerts: &[Alert], now: Timestamp) -> Value {
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({
                "kind": alert.kind.name(),
                "api": alert.api.to_string(),
                "api_name": alert.api_name,
                "api_version": alert.api_version,
                "application": alert.application.map(|id| id.to_string()),
                "application_name": alert.application_name,
                "address": alert.network.map(|network| network.to_string()),
                "value": alert.value,
                "usual": alert.usual,
                "unit": alert.kind.unit(),
                "text": alert.text,
            })
        })
        .collect();
    json!({"at": rfc3339(now), "alerts": alerts})
}
