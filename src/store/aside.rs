//! Reads, writes and packs what takes long – definitions, clients, archives – away from the threads that serve messages
//! and requests, and not all at once. What is done with them is not known here.

use portcullis_actor::AskError;
use tokio::sync::Semaphore;

use crate::error::StoreError;

/// Pieces of work at a time: one takes some ten times as much memory as the 8 to 16 MiB that it reads or writes.
const IN_WORK_MAX: usize = 4;
/// What the work is called where it fails.
const NAME: &str = "the reader of definitions and archives";

static TURNS: Semaphore = Semaphore::const_new(IN_WORK_MAX);

/// Does work on a thread for blocking work, when its turn comes.
///
/// # Errors
/// [`StoreError::Ask`] where the work failed, or the process is ending.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let turn = TURNS.acquire().await.map_err(|_| AskError::Stopped { actor: NAME })?;
    // The turn goes along: where the caller stops waiting, the work goes on all the same.
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|failed| match failed.is_panic() {
        true => AskError::Restarted { actor: NAME }.into(),
        false => AskError::Stopped { actor: NAME }.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn no_more_is_in_work_than_there_are_turns() {
        let (begin, begun) = channel();
        let works = (0..IN_WORK_MAX).map(|_| {
            let (begin, (go, gone)) = (begin.clone(), channel::<()>());
            let work = aside(move || {
                begin.send(go).unwrap();
                gone.recv_timeout(Duration::from_secs(20)).is_ok()
            });
            tokio::spawn(work)
        });
        let works: Vec<_> = works.collect();
        let all_begun = tokio::task::spawn_blocking(move || {
            (0..IN_WORK_MAX).map(|_| begun.recv_timeout(Duration::from_secs(20)).unwrap()).collect::<Vec<_>>()
        });
        let goes = all_begun.await.unwrap();
        assert!(TURNS.try_acquire().is_err(), "one more would have its turn");
        goes.iter().for_each(|go| go.send(()).unwrap());
        assert!(join_all(works).await.into_iter().all(|was_let_go| was_let_go.unwrap().unwrap()));
    }

    #[tokio::test]
    async fn work_that_fails_is_an_error_and_its_turn_is_given_back() {
        for _ in 0..=IN_WORK_MAX {
            let failed = aside(|| -> () { panic!("on purpose") }).await;
            assert!(matches!(failed, Err(StoreError::Ask(AskError::Restarted { .. }))));
        }
    }
}
