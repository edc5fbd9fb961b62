//! What the writes of an import left behind together.

use portcullis_model::NodeId;

use crate::messages::Written;

/// The newest index of several writes, and the nodes that may not act on one of them yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    index: u64,
    unreached: Vec<NodeId>,
    /// Aliases of the certificates of backends that were not there before: they are not of the API, and have to be taken
    /// back by themselves where what follows fails.
    pub(super) trusted: Vec<String>,
}

impl Writes {
    /// Adds a write; returns its answer.
    pub(super) fn add<T>(&mut self, written: Written<T>) -> T {
        self.index = self.index.max(written.index);
        self.unreached.extend(written.unreached);
        self.unreached.sort_unstable();
        self.unreached.dedup();
        written.value
    }

    /// Answers with what they left behind, as of the index of what was read after them.
    pub(super) fn answer<T>(self, value: T, seen: u64) -> Written<T> {
        Written { value, index: self.index.max(seen), unreached: self.unreached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_one_write_did_not_reach_are_told_with_the_newest_index() {
        let written = |index, nodes: &[u64]| Written {
            value: index,
            index,
            unreached: nodes.iter().map(|node| NodeId(*node)).collect(),
        };
        let mut writes = Writes::default();
        assert_eq!(writes.add(written(7, &[3])), 7);
        writes.add(written(9, &[2, 3]));
        writes.add(written(8, &[]));
        let answer = writes.answer((), 5);
        assert_eq!((answer.index, answer.unreached), (9, vec![NodeId(2), NodeId(3)]));
        assert_eq!(Writes::default().answer((), 5).index, 5);
    }
}
