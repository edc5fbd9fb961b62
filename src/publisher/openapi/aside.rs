//! Reads and writes documents away from the threads that serve messages and requests: a large one takes seconds. What is
//! done with them is not known here.

use portcullis_actor::AskError;
use tokio::sync::Semaphore;

use super::extract::extract;
use super::{Document, Extracted};
use crate::fault::PublisherError;

/// Documents in work at a time: one of 10 MiB takes ten times as much memory while it is read.
const IN_WORK_MAX: usize = 4;
/// What the work is called where it fails.
const NAME: &str = "the reader of API definitions";

static TURNS: Semaphore = Semaphore::const_new(IN_WORK_MAX);

/// Does work on a document on a thread for blocking work, when its turn comes.
///
/// # Errors
/// [`PublisherError::Ask`] where the work failed, or the process is ending.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PublisherError> {
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

/// Reads and checks a document.
///
/// # Errors
/// [`PublisherError::Definition`] with what is wrong and where.
pub(crate) async fn read(text: String) -> Result<(Document, Extracted), PublisherError> {
    aside(move || {
        let document = Document::parse(&text)?;
        Ok((extract(&document.value)?, document))
    })
    .await?
    .map(|(extracted, document)| (document, extracted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_is_read_while_the_thread_serves_others() {
        // This test has one thread: the document waits for the other task, which it could not if it were read on it.
        let (go, gone) = std::sync::mpsc::channel();
        let work = aside(move || gone.recv_timeout(std::time::Duration::from_secs(20)).is_ok());
        let (was_served, ()) = tokio::join!(work, async { go.send(()).unwrap() });
        assert!(was_served.unwrap());
    }

    #[tokio::test]
    async fn work_that_fails_is_an_error_and_its_turn_is_given_back() {
        for _ in 0..=IN_WORK_MAX {
            let failed = aside(|| -> () { panic!("on purpose") }).await;
            assert!(matches!(failed, Err(PublisherError::Ask(AskError::Restarted { .. }))));
        }
    }
}
