//! Publishes the feed to a broker of the user's (AMQP 0-9-1), with publisher confirms: each message at least once while
//! the broker can be reached, and up to a bound after it was away.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use portcullis_database::handle::wall_clock;
use tracing::{info, warn};

use super::event::Event;
use super::{Feed, Reader};

/// How long connecting and each confirm may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Messages published before their confirms are waited for.
const UNCONFIRMED_MAX: usize = 256;
/// How long the first of them waits for others.
const GATHER: Duration = Duration::from_millis(20);

/// Which broker, and where to.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`. Holds a secret.
    pub url: String,
    /// The exchange.
    pub exchange: String,
}

impl fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerSettings").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

/// Publishes to the broker.
pub struct Broker {
    settings: BrokerSettings,
    feed: Arc<Feed>,
    is_connected: AtomicBool,
    published: AtomicU64,
    failures: AtomicU64,
}

/// Why publishing stopped.
#[derive(Debug, thiserror::Error)]
enum BrokerFault {
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    #[error("the broker did not answer within {ANSWER_WAIT:?}")]
    TimedOut,
    #[error("the broker refused a message")]
    Refused,
}

impl Broker {
    /// Makes a publisher of `feed`.
    #[must_use]
    pub fn new(settings: BrokerSettings, feed: Arc<Feed>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            feed,
            is_connected: AtomicBool::new(false),
            published: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Returns whether the broker is connected, how many messages it has confirmed, and how often it failed.
    #[must_use]
    pub fn figures(&self) -> (bool, u64, u64) {
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (self.is_connected.load(Ordering::SeqCst), figure(&self.published), figure(&self.failures))
    }

    /// Publishes until the feed ends.
    pub async fn publish_feed(&self) {
        let mut unconfirmed = VecDeque::new();
        let mut pause = RETRY_PAUSE_MIN;
        // Kept while the broker is away: so far as it reaches, nothing is missed.
        let Ok(mut reader) = self.feed.listen() else { return };
        loop {
            let before = self.published.load(Ordering::Relaxed);
            let outcome = self.publish_all(&mut reader, &mut unconfirmed).await;
            self.is_connected.store(false, Ordering::SeqCst);
            let Err(fault) = outcome else { return };
            self.failures.fetch_add(1, Ordering::Relaxed);
            pause = if self.published.load(Ordering::Relaxed) > before { RETRY_PAUSE_MIN } else { pause };
            warn!(%fault, retry_s = pause.as_secs(), "the feed cannot be published to the broker");
            if reader.ends_within(pause).await {
                return;
            }
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Connects, and publishes until something fails or the feed ends.
    async fn publish_all(
        &self,
        reader: &mut Reader,
        unconfirmed: &mut VecDeque<Arc<Event>>,
    ) -> Result<(), BrokerFault> {
        let properties = ConnectionProperties::default().with_connection_name(LongString::from("portcullis"));
        let connection = in_time(Connection::connect(&self.settings.url, properties)).await?;
        let channel = in_time(connection.create_channel()).await?;
        in_time(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        self.is_connected.store(true, Ordering::SeqCst);
        info!(exchange = self.settings.exchange, "the feed is published to the broker");
        loop {
            if unconfirmed.is_empty() {
                let Some(first) = reader.next().await else {
                    // The connection ends with this in any case.
                    in_time(connection.close(200, ShortString::from("the node stops"))).await.ok();
                    return Ok(());
                };
                unconfirmed.push_back(first);
                let deadline = tokio::time::Instant::now() + GATHER;
                while unconfirmed.len() < UNCONFIRMED_MAX
                    && let Ok(Some(next)) = tokio::time::timeout_at(deadline, reader.next()).await
                {
                    unconfirmed.push_back(next);
                }
            }
            self.publish(&channel, unconfirmed).await?;
        }
    }

    /// Publishes all of `unconfirmed` and waits until the broker has them.
    async fn publish(&self, channel: &Channel, unconfirmed: &mut VecDeque<Arc<Event>>) -> Result<(), BrokerFault> {
        let mut confirms = Vec::with_capacity(unconfirmed.len());
        for event in unconfirmed.iter() {
            let (exchange, key) =
                (ShortString::from(self.settings.exchange.as_str()), ShortString::from(routing_key(event)));
            let (options, payload, properties) = (BasicPublishOptions::default(), event.as_json(), properties(event));
            confirms
                .push(in_time(channel.basic_publish(exchange, key, options, payload.as_bytes(), properties)).await?);
        }
        for confirm in confirms {
            if let Confirmation::Nack(_) = in_time(confirm).await? {
                return Err(BrokerFault::Refused);
            }
            unconfirmed.pop_front();
            self.published.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn in_time<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerFault> {
    Ok(tokio::time::timeout(ANSWER_WAIT, answer).await.map_err(|_| BrokerFault::TimedOut)??)
}

/// Returns the topic: the original's for all but usage.
fn routing_key(event: &Event) -> &'static str {
    match event {
        Event::Decision(_) | Event::Blocking(_) | Event::KeyTemplate(_) => "throttleData",
        Event::Usage(_) => "usageData",
        Event::Dropped(_) => "dropped",
    }
}

/// Returns the message's properties. The fields of the body are headers too, which is as near as AMQP comes to the
/// original's map messages.
fn properties(event: &Event) -> BasicProperties {
    let mut headers = FieldTable::default();
    let fields = serde_json::to_value(event).ok();
    for (name, value) in fields.as_ref().and_then(serde_json::Value::as_object).into_iter().flatten() {
        let value = match value {
            serde_json::Value::String(text) => AMQPValue::LongString(LongString::from(text.as_str())),
            serde_json::Value::Number(number) => AMQPValue::LongLongInt(number.as_i64().unwrap_or(i64::MAX)),
            _ => continue,
        };
        headers.insert(ShortString::from(name.as_str()), value);
    }
    BasicProperties::default()
        .with_content_type(ShortString::from("application/json"))
        .with_message_id(ShortString::from(short(&event.id())))
        .with_timestamp(wall_clock().0 / 1000)
        .with_delivery_mode(2)
        .with_headers(headers)
}

/// AMQP's short strings hold 255 bytes: longer ids are cut from the front, where the keys are long and alike.
fn short(id: &str) -> &str {
    const BYTES_MAX: usize = 255;
    let mut from = id.len().saturating_sub(BYTES_MAX);
    while !id.is_char_boundary(from) {
        from += 1;
    }
    &id[from..]
}

/// The actor that publishes.
pub(crate) struct Publisher(pub(crate) Arc<Broker>);

impl actix::Actor for Publisher {
    type Context = actix::Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let broker = Arc::clone(&self.0);
        actix::AsyncContext::spawn(context, actix::fut::wrap_future(async move { broker.publish_feed().await }));
    }
}
