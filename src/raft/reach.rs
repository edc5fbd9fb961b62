//! How far the other members act on the log, as far as this node has heard: many changes that wait for a member share
//! one question to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_model::NodeId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::core::Core;
use crate::propose::{left, ms};
use crate::transport::{CallError, Request, Response};

/// What is known of the members.
#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<BTreeMap<NodeId, Arc<Member>>>);

#[derive(Debug)]
struct Member {
    /// It acts on everything up to here.
    acts_on: watch::Sender<u64>,
    /// The highest index that anybody here waits for.
    wanted: AtomicU64,
    /// Held by whoever asks it, for all.
    asking: tokio::sync::Mutex<()>,
}

impl Reach {
    fn of(&self, node: NodeId) -> Arc<Member> {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (acts_on, wanted, asking) = (watch::Sender::new(0), AtomicU64::new(0), tokio::sync::Mutex::default());
            Arc::new(Member { acts_on, wanted, asking })
        };
        Arc::clone(members.entry(node).or_insert_with(new))
    }

    /// Forgets a node that left for good.
    pub(crate) fn forget(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }
}

impl Core {
    /// Says whether a member acts on everything up to the index in time. One that said so is not asked again.
    pub(crate) async fn acts_on(&self, node: NodeId, index: u64, deadline: Instant) -> bool {
        if node == self.node() {
            return timeout_at(deadline, self.cell.wait_applied(index)).await.is_ok();
        }
        let member = self.reach.of(node);
        member.wanted.fetch_max(index, Ordering::SeqCst);
        let mut acts_on = member.acts_on.subscribe();
        let heard = async move { acts_on.wait_for(|acts_on| *acts_on >= index).await.is_ok() };
        tokio::select! {
            biased;
            heard = timeout_at(deadline, heard) => heard.unwrap_or(false),
            _guard = member.asking.lock() => {
                let wanted = member.wanted.load(Ordering::SeqCst);
                let is_reached = self.ask_applied(node, wanted, deadline).await;
                if is_reached {
                    member.acts_on.send_if_modified(|acts_on| std::mem::replace(acts_on, wanted.max(*acts_on)) < wanted);
                }
                is_reached
            }
        }
    }

    /// Asks a member. A connection that breaks meanwhile gets a second chance.
    async fn ask_applied(&self, node: NodeId, index: u64, deadline: Instant) -> bool {
        let Some(at) = self.address_of(node) else { return false };
        for _ in 0..2 {
            let request = Request::AwaitApplied { index, within_ms: ms(left(deadline)) };
            match self.peers.call(node, at, request, left(deadline)).await {
                Ok(Response::Applied) => return true,
                Err(CallError::Lost) => {}
                Ok(_) | Err(_) => return false,
            }
        }
        false
    }
}
