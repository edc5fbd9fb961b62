//! What a gateway gathers about calls of all kinds: each once, with its bytes, its backend, its fault and its time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_gateway::{Settings, StatisticsSettings};
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{CallStatistics, KeyVerdict};
use portcullis_model::statistics::{Fact, Gathered, Tally};
use serde_json::json;
use stage::{Backend, Stage, api, settings, verdict};

/// Keeps what it is given.
#[derive(Default)]
struct Sink(Mutex<Vec<Fact>>);

impl CallStatistics for Sink {
    fn take(&self, gathered: Gathered) -> Result<(), Gathered> {
        self.0.lock().unwrap().extend(gathered.facts);
        Ok(())
    }
}

impl Sink {
    fn calls(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|fact| fact.tally.calls).sum()
    }

    /// Returns the sum of the facts that `is_meant`.
    fn sum(&self, is_meant: impl Fn(&Fact) -> bool) -> Tally {
        let mut sum = Tally::default();
        self.0.lock().unwrap().iter().filter(|fact| is_meant(fact)).for_each(|fact| sum.merge(&fact.tally));
        sum
    }
}

fn gathering() -> (Arc<Sink>, Settings) {
    let sink = Arc::new(Sink::default());
    let taking: Arc<dyn CallStatistics> = Arc::<Sink>::clone(&sink);
    let interval = Duration::from_millis(100);
    let (notes_networks, notes_strays, countries, events) = (false, false, None, None);
    let statistics = Some(StatisticsSettings {
        sink: taking,
        kinds_max: 100,
        interval,
        notes_networks,
        notes_strays,
        countries,
        events,
    });
    (sink, Settings { statistics, ..settings() })
}

#[tokio::test]
async fn calls_of_all_kinds_are_gathered_once_with_all_that_is_told_of_them() {
    let backend = Backend::start().await;
    let (sink, settings) = gathering();
    let stage = Stage::new(settings);
    let id = api(backend.address).id;
    stage.deploy(api(backend.address));
    stage.mediate(id, &json!({"responseCachingEnabled": true, "cacheTimeout": 300}));
    stage.keys.set("good", Ok(verdict()));
    stage.keys.set("limited", Ok(KeyVerdict { plan: "Gold".to_owned(), ..verdict() }));
    stage.budgets.set("Gold", CounterLevel::Subscription, 0, false);
    let mut client = stage.client().await;
    let head = "HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8\r\nAuthorization: Bearer good\r\n";
    for (request, status) in [
        // Twice, of which one is given again.
        (format!("GET /pizza/1.0.0/menu {head}\r\n"), 200),
        (format!("GET /pizza/1.0.0/menu {head}\r\n"), 200),
        (format!("POST /pizza/1.0.0/menu {head}Content-Length: 5\r\n\r\nhello"), 200),
        (
            format!(
                "POST /pizza/1.0.0/files/a {head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
            ),
            200,
        ),
        (format!("GET /pizza/1.0.0/admin {head}\r\n"), 403),
        ("GET /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer limited\r\n\r\n".to_owned(), 429),
        ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
    ] {
        client.send(&request).await;
        assert_eq!(client.reply().await.status, status, "{request}");
    }
    stage::until("all calls are gathered", || sink.calls() == 7).await;
    let metrics = stage.gateway.metrics();
    let answered: Vec<_> = metrics
        .calls
        .iter()
        .map(|(labels, calls)| (labels.api.as_str(), labels.method, calls.by_class.iter().sum::<u64>()))
        .collect();
    let expected = [("(none)", "(none)", 1), ("Pizza", "GET", 4), ("Pizza", "POST", 2), ("(other)", "(none)", 0)];
    assert_eq!(answered, expected);
    let [_, (_, got), ..] = &metrics.calls[..] else { panic!("four kinds of calls") };
    assert_eq!((got.by_class, got.durations.buckets.iter().sum::<u64>()), ([0, 0, 2, 0, 2, 0], 4));
    let counts = [&metrics.upstream, &metrics.overhead].map(|one| one.buckets.iter().sum::<u64>());
    assert_eq!(counts, [3, 7], "each call costs the gateway something, and three asked a backend");
    let gold = metrics.decisions.iter().find(|(policy, _)| policy == "Gold").expect("the plan");
    assert_eq!((gold.1.allowed, gold.1.throttled), (0, 1));

    let of_resource = |name: &str| sink.sum(|fact| fact.resource.as_deref() == Some(name) && fact.code == 0);
    let menu = of_resource("GET /menu");
    assert_eq!((menu.calls, menu.cache_hits, menu.classes), (2, 1, [0, 0, 2, 0, 0, 0]));
    assert!(menu.response_bytes > 0 && menu.last.0 > 0);
    assert_eq!(of_resource("POST /menu").request_bytes, 5);
    assert_eq!(of_resource("POST /files/*").request_bytes, 7, "counted as it comes where it is not announced");
    for (code, calls) in [(900_910, 1), (900_804, 1), (404, 1)] {
        assert_eq!(sink.sum(|fact| fact.code == code).calls, calls, "{code}");
    }
    let facts = sink.0.lock().unwrap();
    let url = format!("http://{}/base", backend.address);
    let asked: Vec<_> = facts.iter().filter(|fact| fact.destination.as_deref() == Some(url.as_str())).collect();
    assert_eq!(
        asked.iter().map(|fact| fact.times.upstream.count()).sum::<u64>(),
        3,
        "what was refused or kept asked nobody"
    );
    assert_eq!(facts.iter().map(|fact| fact.times.total.count()).sum::<u64>(), 7);
    // They come in no order.
    for (code, plan) in [(0, verdict().plan), (900_804, "Gold".to_owned())] {
        let caller = facts.iter().filter(|fact| fact.code == code).find_map(|fact| fact.caller.as_ref()).unwrap();
        assert_eq!((caller.application.id, &caller.plan), (verdict().application, &plan), "{code}");
    }
    assert!(facts.iter().any(|fact| fact.agent.name() == "curl"));
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_named_with_its_fault_and_all_is_handed_on_at_the_end() {
    let (sink, settings) = gathering();
    let stage = Stage::new(settings);
    let gone = "127.0.0.1:1".parse().unwrap();
    stage.deploy(api(gone));
    stage.keys.set("good", Ok(verdict()));
    assert_eq!(stage.get("/pizza/1.0.0/menu").await.status, 503);
    stage::until("the call is gathered", || sink.calls() == 1).await;
    let failed =
        sink.sum(|fact| fact.code == 101_503 && fact.destination.as_deref() == Some("http://127.0.0.1:1/base"));
    assert_eq!((failed.calls, failed.classes[5]), (1, 1));
    let mut client = stage.client().await;
    client.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.reply().await;
    assert_eq!(stage.gateway.drain(Duration::from_secs(5)).await, 0);
    assert_eq!(sink.calls(), 2, "what was gathered is handed on when the gateway ends");
}
