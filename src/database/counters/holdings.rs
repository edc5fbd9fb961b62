//! What each node holds of one counter: a few rows in one piece of memory, since there may be a million counters.

use portcullis_model::NodeId;
use serde::{Deserialize, Serialize};

use super::counter::Holding;

/// Holdings by node, in the order of the nodes. Stored as a map is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holdings(Box<[(NodeId, Holding)]>);

impl Holdings {
    fn position(&self, node: NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |(node, _)| *node)
    }

    /// Returns what a node holds.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&Holding> {
        self.position(node).ok().map(|at| &self.0[at].1)
    }

    /// As [`Holdings::get`], to be changed.
    pub fn get_mut(&mut self, node: NodeId) -> Option<&mut Holding> {
        self.position(node).ok().map(|at| &mut self.0[at].1)
    }

    /// As [`Holdings::get_mut`]; a node that is not among them comes to hold what `new` gives.
    pub fn get_or_insert_with(&mut self, node: NodeId, new: impl FnOnce() -> Holding) -> &mut Holding {
        let at = match self.position(node) {
            Ok(at) => at,
            Err(at) => {
                let mut rows = std::mem::take(&mut self.0).into_vec();
                rows.reserve_exact(1);
                rows.insert(at, (node, new()));
                self.0 = rows.into_boxed_slice();
                at
            }
        };
        &mut self.0[at].1
    }

    /// Goes through them.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Holding)> {
        self.0.iter().map(|(node, holding)| (*node, holding))
    }

    /// Goes through what the nodes hold.
    pub fn values(&self) -> impl Iterator<Item = &Holding> {
        self.0.iter().map(|(_, holding)| holding)
    }

    /// As [`Holdings::values`], to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Holding> {
        self.0.iter_mut().map(|(_, holding)| holding)
    }
}

impl FromIterator<(NodeId, Holding)> for Holdings {
    fn from_iter<T: IntoIterator<Item = (NodeId, Holding)>>(rows: T) -> Self {
        let mut rows: Vec<(NodeId, Holding)> = rows.into_iter().collect();
        rows.sort_by_key(|(node, _)| *node);
        Self(rows.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::codec;

    #[test]
    fn they_are_stored_as_the_map_that_they_were_at_first() {
        let rows = [3, 1, 2].map(|id| (NodeId(id), Holding { granted: id * 10, ..Holding::default() }));
        let (map, holdings) = (BTreeMap::from(rows), Holdings::from_iter(rows));
        let bytes = codec::encode(&map).unwrap();
        assert_eq!(codec::encode(&holdings).unwrap(), bytes);
        assert_eq!(codec::decode::<Holdings>(&bytes).unwrap(), holdings);
    }

    #[test]
    fn a_node_is_found_where_it_is_and_comes_in_order() {
        let mut holdings = Holdings::default();
        for id in [5, 1, 3] {
            holdings.get_or_insert_with(NodeId(id), Holding::default).granted += id;
        }
        holdings.get_or_insert_with(NodeId(3), Holding::default).granted += 1;
        let rows: Vec<(u64, u64)> = holdings.iter().map(|(node, holding)| (node.0, holding.granted)).collect();
        assert_eq!(rows, [(1, 1), (3, 4), (5, 5)]);
        assert!(holdings.get(NodeId(2)).is_none() && holdings.get_mut(NodeId(5)).is_some());
    }
}
