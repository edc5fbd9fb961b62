//! The feed at a real broker: RabbitMQ, where it is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties, Consumer};
use portcullis_database::State;
use portcullis_model::counter::CounterSubject;
use portcullis_model::{ApplicationId, CounterKey, TenantDomain, Username};
use portcullis_traffic_manager::BrokerSettings;
use portcullis_traffic_manager::feed::{Broker, Feed};

/// A broker of its own, on a port of its own.
struct Rabbit {
    child: Child,
    port: u16,
}

impl Rabbit {
    /// Starts it; `None` where it is not installed.
    fn start(folder: &Path, port: u16) -> Option<Self> {
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        // Debian's command changes the user; what it runs in the end does not.
        let program = Some("/usr/lib/rabbitmq/bin/rabbitmq-server").filter(|program| Path::new(program).exists());
        let child = Command::new(program.unwrap_or("rabbitmq-server"))
            .env("HOME", folder)
            .env("RABBITMQ_NODENAME", format!("portcullis{port}@localhost"))
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", (port + 1).to_string())
            .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(Self { child, port })
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Listens to everything that the topics carry.
    async fn consume(&self) -> Option<(Connection, Consumer)> {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await.ok()?;
        let channel = connection.create_channel().await.ok()?;
        // Queue and bindings outlive the broker's process, so that nothing is published past them.
        let (options, none) = (QueueDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
        channel.queue_declare("heard".into(), options, none.clone()).await.ok()?;
        for key in ["throttleData", "usageData"] {
            let options = QueueBindOptions::default();
            channel.queue_bind("heard".into(), "amq.topic".into(), key.into(), options, none.clone()).await.ok()?;
        }
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume("heard".into(), "test".into(), options, none).await.ok()?;
        Some((connection, consumer))
    }

    fn end(&mut self) {
        // The script hands its signals on.
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().ok();
        self.child.wait().ok();
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.end();
    }
}

fn key(number: u32) -> CounterKey {
    let user = Username(format!("user-{number}"));
    let subject = CounterSubject::Application { application: ApplicationId::from_random([1; 16]), user };
    CounterKey { tenant: TenantDomain::super_tenant(), policy: "50PerMin".to_owned(), subject }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_reaches_a_broker_and_what_was_told_while_it_was_away_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let port = u16::try_from(20_000 + std::process::id() % 20_000).unwrap();
    let Some(mut rabbit) = Rabbit::start(folder.path(), port) else {
        eprintln!("rabbitmq-server is not installed: nothing is tested");
        return;
    };
    let feed = Feed::new();
    let mut state = State::default();
    feed.learn(&state);
    let telling = Arc::clone(&feed);
    tokio::spawn(async move { telling.tell().await });
    let broker = Broker::new(BrokerSettings { url: rabbit.url(), exchange: "amq.topic".to_owned() }, Arc::clone(&feed));
    let publishing = Arc::clone(&broker);
    let published = tokio::spawn(async move { publishing.publish_feed().await });
    let (_connection, mut consumer) = within(consumed(&rabbit)).await;
    state.counters.usage.insert(key(1), 7);
    feed.learn(&state);
    let delivery = within(consumer.next()).await.unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&delivery.data).unwrap();
    assert_eq!((&body["used"], &body["usedInAll"]), (&7.into(), &7.into()), "{body}");
    assert_eq!(delivery.routing_key.as_str(), "usageData");
    let headers = delivery.properties.headers().as_ref().unwrap();
    assert_eq!(headers.inner().get("usedInAll"), Some(&AMQPValue::LongLongInt(7)));
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    rabbit.end();
    state.counters.usage.insert(key(2), 1);
    feed.learn(&state);
    within(async {
        while broker.figures().2 == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let rabbit = Rabbit::start(folder.path(), port).expect("it was there before");
    let (_connection, mut consumer) = within(consumed(&rabbit)).await;
    let delivery = within(consumer.next()).await.unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&delivery.data).unwrap();
    assert_eq!((&body["used"], body["throttleKey"].as_str().unwrap().contains("user-2")), (&1.into(), true), "{body}");
    feed.end();
    within(published).await.unwrap();
}

/// Connects as soon as the broker is up.
async fn consumed(rabbit: &Rabbit) -> (Connection, Consumer) {
    loop {
        if let Some(ready) = rabbit.consume().await {
            return ready;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), what).await.expect("in time")
}
