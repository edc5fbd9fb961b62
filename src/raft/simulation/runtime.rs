//! Tokio for openraft, whose chance comes from the simulation's seed where one runs on this thread.

use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend, TokioRuntime};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::AsyncWrite;

thread_local! {
    static CHANCE: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// Says whether a simulation runs on this thread.
pub(crate) fn is_here() -> bool {
    CHANCE.with_borrow(Option::is_some)
}

/// Tokio keeps tasks in lists by their ids, and ends those of a runtime list by list; there are fewer lists than this.
#[cfg(tokio_unstable)]
const TASK_LISTS: u64 = 64;

/// Has the next task begin the first of tokio's lists. Ids go on from one runtime to the next: without this the order in
/// which the tasks of a crashed node end would depend on what ran in this process before.
#[cfg(tokio_unstable)]
fn align_task_ids() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let next = || runtime.spawn(async {}).id().to_string().parse::<u64>().expect("a task's id is a number");
    while next() % TASK_LISTS != TASK_LISTS - 1 {}
}

/// Runs `simulation` with the chance of `seed`.
pub(super) fn with_seed<T>(seed: u64, simulation: impl FnOnce() -> T) -> T {
    #[cfg(tokio_unstable)]
    align_task_ids();
    CHANCE.set(Some(SmallRng::seed_from_u64(seed)));
    let result = simulation();
    CHANCE.set(None);
    result
}

/// Returns the next number of the simulation's chance.
pub(super) fn chance() -> u64 {
    CHANCE.with_borrow_mut(|chance| chance.as_mut().expect("a simulation runs here").next_u64())
}

/// A file whose writes are done at once: a thread for them would have a clock of its own.
pub(crate) struct Immediate(pub(crate) File);

impl AsyncWrite for Immediate {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Tokio with a chance that can be repeated.
#[derive(Debug)]
pub(crate) struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        if is_here() { SmallRng::seed_from_u64(chance()) } else { SmallRng::from_rng(&mut rand::rng()) }
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
