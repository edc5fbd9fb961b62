//! Whom this leader last told what was committed, and since when it leads: from that it knows how new the state of a
//! node can be that it cannot reach.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use portcullis_model::NodeId;
use tokio::time::Instant;

/// What a leader remembers of the questions for read indexes.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    told: BTreeMap<NodeId, Instant>,
    /// The term in which this node leads, and a moment after it began to.
    leads: Option<(u64, Instant)>,
}

impl Questions {
    /// Notes that a node is about to be told an index.
    pub(crate) fn tell(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).told.insert(node, Instant::now());
    }

    /// Notes in which term this node leads, if it does. Called again and again.
    pub(crate) fn note_lead(&self, term: Option<u64>) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.leads.map(|(term, _)| term) != term {
            memory.leads = term.map(|term| (term, Instant::now()));
        }
    }

    /// Returns a moment after which `node` has begun no question that was answered before now, if this node leads in
    /// `term`. An earlier leader's answers came before this one began to lead.
    pub(crate) fn silent_since(&self, node: NodeId, term: u64) -> Option<Instant> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, since) = memory.leads.filter(|(leads_in, _)| *leads_in == term)?;
        Some(memory.told.get(&node).copied().map_or(since, |told| told.max(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_answers_for_its_own_term_only_and_from_its_beginning_on() {
        let questions = Questions::default();
        let node = NodeId(3);
        questions.tell(node);
        assert_eq!(questions.silent_since(node, 4), None, "it does not lead");
        questions.note_lead(Some(4));
        let since = questions.silent_since(node, 4).unwrap();
        questions.note_lead(Some(4));
        assert_eq!(questions.silent_since(node, 4), Some(since), "what it told before it led does not count");
        assert_eq!(questions.silent_since(node, 5), None, "another term");
        questions.tell(node);
        assert!(questions.silent_since(node, 4).unwrap() >= since);
        questions.note_lead(None);
        assert_eq!(questions.silent_since(node, 4), None);
    }
}
