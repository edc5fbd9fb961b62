//! Whether this node serves API calls yet, and what it must have applied first.
//!
//! A node that starts, or has just joined, does not hold up a change that waits for every node: it says at once that it
//! acts on it, and keeps its word by serving nothing before it has applied it.

use std::sync::{Mutex, PoisonError};

use portcullis_database::StateCell;

/// Whether the node serves.
#[derive(Debug)]
pub(crate) struct Serving(Mutex<Option<u64>>);

impl Serving {
    /// Not yet, and nothing is promised.
    pub(crate) fn not_yet() -> Self {
        Self(Mutex::new(Some(0)))
    }

    /// Promises that the node serves nothing before it has applied `index`. `false` where it serves already.
    pub(crate) fn promise(&self, index: u64) -> bool {
        let mut promised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match promised.as_mut() {
            Some(promised) => *promised = index.max(*promised),
            None => return false,
        }
        true
    }

    /// Waits until everything promised is applied, and promises nothing more from then on: the node may serve.
    pub(crate) async fn begin(&self, cell: &StateCell) {
        loop {
            let promised = {
                let mut promised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match *promised {
                    Some(index) if index > cell.applied() => index,
                    _ => {
                        *promised = None;
                        return;
                    }
                }
            };
            cell.wait_applied(promised).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use portcullis_model::NodeId;
    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;
    use crate::tests::{Member, VALID, first, until};
    use crate::transport::{Request, Response};

    #[tokio::test]
    async fn who_has_promised_serves_only_with_what_was_promised() {
        let cell = StateCell::new();
        let serving = Arc::new(Serving::not_yet());
        assert!(serving.promise(7) && serving.promise(5));
        let begun = tokio::spawn({
            let (serving, cell) = (Arc::clone(&serving), Arc::clone(&cell));
            async move { serving.begin(&cell).await }
        });
        let mut state = portcullis_database::State { applied_index: 6, ..Default::default() };
        cell.publish(state.clone());
        tokio::task::yield_now().await;
        assert!(!begun.is_finished() && serving.promise(8), "it promises until it serves");
        state.applied_index = 8;
        cell.publish(state);
        begun.await.unwrap();
        assert!(!serving.promise(9), "who serves promises nothing");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_answers_for_what_it_has_not_applied_only_until_it_serves() {
        let root = TempDir::new().unwrap();
        let one = first(&root).await;
        let far = Request::AwaitApplied { index: 1_000_000, within_ms: 20 };
        until("it serves", || !one.node.core.serving.promise(0)).await;
        let answer = Arc::clone(&one.node.core).answer(NodeId(9), far).await;
        assert!(matches!(&answer, Response::Failed(why) if why.contains("not applied yet")), "{answer:?}");
        one.node.shutdown().await;
        let starting = Member::start_without_serving(&one.path, VALID).await.unwrap();
        let far = Request::AwaitApplied { index: 1_000_000, within_ms: 60_000 };
        let answer = timeout(Duration::from_secs(5), Arc::clone(&starting.node.core).answer(NodeId(1), far)).await;
        assert!(matches!(answer, Ok(Response::Applied)), "{answer:?}");
        let begun = timeout(Duration::from_millis(300), starting.node.begin_serving()).await;
        assert!(begun.is_err(), "it has promised what it does not have");
    }
}
