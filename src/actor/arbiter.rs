//! Runs one actor on a thread of its own and rebuilds it after a panic. What the actor does is not known here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::dev::channel;
use actix::{Actor, Addr, Arbiter, Context};
use tracing::{error, info, warn};

use crate::address::{Address, Shared};
use crate::observe::{self, Observe};

/// The pause before the first restart; it doubles with each failure in a row.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause before a restart.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// An actor that ran this long before it failed is restarted after the shortest pause again.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// Starts an actor on an arbiter of its own (a thread that runs nothing else) and returns its address at once. It is
/// built by `factory`, there and again after each panic. At most `capacity` messages wait or are in work at a time.
///
/// # Panics
/// Where the operating system gives no thread, which can only be at start-up.
pub fn spawn<A>(name: &'static str, capacity: usize, factory: impl Fn() -> A + Send + Sync + 'static) -> Address<A>
where
    A: Actor<Context = Context<A>>,
{
    let shared = Arc::new(Shared::new(name, capacity));
    let as_observed: Arc<dyn Observe> = Arc::<Shared<A>>::clone(&shared);
    observe::register(Arc::downgrade(&as_observed));
    drop(as_observed);
    let weak = Arc::downgrade(&shared);
    let (started, wait_started) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let system = actix::System::new();
            system.block_on(run(&weak, &factory, &started));
        })
        .expect("the operating system must give each component a thread");
    // The first start is waited for, so that a component answers as soon as it has an address. Where the factory
    // panics the sender stays, and the wait ends by time: the restart goes on in the background.
    if wait_started.recv_timeout(Duration::from_secs(1)).is_err() {
        warn!(actor = name, "actor has not started yet");
    }
    Address { shared }
}

/// Builds and runs the actor until nobody holds an address or it stops by itself.
async fn run<A>(shared: &Weak<Shared<A>>, factory: &impl Fn() -> A, started: &std::sync::mpsc::Sender<()>)
where
    A: Actor<Context = Context<A>>,
{
    let mut pause = RESTART_PAUSE_MIN;
    loop {
        let began = tokio::time::Instant::now();
        let end = run_once(shared, factory, started).await;
        let Some(alive) = shared.upgrade() else { return };
        alive.set_running(None);
        match end {
            End::Stopped => {
                info!(actor = alive.name, "actor stopped");
                return;
            }
            End::Panicked => {
                let restarts = alive.restarts.fetch_add(1, Ordering::Relaxed) + 1;
                error!(actor = alive.name, restarts, "actor failed and is restarted");
            }
        }
        drop(alive);
        if began.elapsed() >= STEADY_AFTER {
            pause = RESTART_PAUSE_MIN;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RESTART_PAUSE_MAX);
    }
}

/// How one life of an actor ended.
enum End {
    Stopped,
    Panicked,
}

async fn run_once<A>(shared: &Weak<Shared<A>>, factory: &impl Fn() -> A, started: &std::sync::mpsc::Sender<()>) -> End
where
    A: Actor<Context = Context<A>>,
{
    // The factory makes a new value from what it captured; nothing half-done of the old actor is seen again.
    let Ok(actor) = catch_unwind(AssertUnwindSafe(factory)) else { return End::Panicked };
    let Some(alive) = shared.upgrade() else { return End::Stopped };
    let (sender, receiver) = channel::channel(alive.capacity);
    let life = actix::spawn(Context::with_receiver(receiver).into_future(actor));
    alive.set_running(Some((Addr::new(sender), Arbiter::current())));
    drop(alive);
    // Nobody waits for the second start and later ones, so that a closed channel is no fault.
    started.send(()).ok();
    match life.await {
        Err(failed) if failed.is_panic() => End::Panicked,
        Ok(()) | Err(_) => End::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message, ResponseFuture};
    use tokio::sync::oneshot;

    use super::*;
    use crate::AskError;

    /// Counts; panics when asked to; waits when asked to.
    struct Counter(u64);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u64")]
    struct Add(u64);

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Fail;

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Wait(oneshot::Receiver<()>);

    impl Handler<Add> for Counter {
        type Result = u64;

        fn handle(&mut self, message: Add, _context: &mut Context<Self>) -> u64 {
            self.0 += message.0;
            self.0
        }
    }

    impl Handler<Fail> for Counter {
        type Result = ();

        fn handle(&mut self, _message: Fail, _context: &mut Context<Self>) {
            panic!("asked to fail");
        }
    }

    impl Handler<Wait> for Counter {
        type Result = ResponseFuture<()>;

        fn handle(&mut self, message: Wait, _context: &mut Context<Self>) -> ResponseFuture<()> {
            Box::pin(async move { drop(message.0.await) })
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        tokio::time::timeout(Duration::from_secs(10), async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the condition comes true");
    }

    #[tokio::test]
    async fn an_actor_that_panics_is_built_again_from_its_factory() {
        let counter = spawn("counter", 4, || Counter(100));
        assert_eq!(counter.ask(Add(1)).await, Ok(101));
        assert_eq!(counter.ask(Fail).await, Err(AskError::Restarted { actor: "counter" }));
        until(|| counter.observe().restarts == 1 && counter.observe().is_running).await;
        assert_eq!(counter.ask(Add(1)).await, Ok(101), "the state is the factory's again");
        assert_eq!(counter.observe().in_work, 0);
    }

    #[tokio::test]
    async fn a_full_actor_is_busy_and_counts_what_it_refused() {
        let counter = spawn("full", 2, || Counter(0));
        let (release, waits) = oneshot::channel();
        let first = tokio::spawn({
            let counter = counter.clone();
            async move { counter.ask(Wait(waits)).await }
        });
        let (release_second, waits_second) = oneshot::channel();
        let second = tokio::spawn({
            let counter = counter.clone();
            async move { counter.ask(Wait(waits_second)).await }
        });
        until(|| counter.observe().in_work == 2).await;
        assert_eq!(counter.ask(Add(1)).await, Err(AskError::Busy { actor: "full", capacity: 2 }));
        assert_eq!(counter.observe().refused, 1);
        release.send(()).unwrap();
        release_second.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
        until(|| counter.observe().in_work == 0).await;
        assert_eq!(counter.ask(Add(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_still_counts_until_the_work_is_done() {
        let counter = spawn("given-up", 1, || Counter(0));
        let (release, waits) = oneshot::channel();
        let asked = tokio::spawn({
            let counter = counter.clone();
            async move { counter.ask(Wait(waits)).await }
        });
        until(|| counter.observe().in_work == 1).await;
        asked.abort();
        drop(asked.await);
        assert_eq!(counter.ask(Add(1)).await, Err(AskError::Busy { actor: "given-up", capacity: 1 }));
        release.send(()).unwrap();
        until(|| counter.observe().in_work == 0).await;
        assert_eq!(counter.ask(Add(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn an_actor_without_addresses_ends_and_is_no_longer_observed() {
        let counter = spawn("short-lived", 1, || Counter(0));
        assert!(crate::observe_all().iter().any(|one| one.actor == "short-lived"));
        drop(counter);
        until(|| !crate::observe_all().iter().any(|one| one.actor == "short-lived")).await;
    }
}
