//! How large the parts of a state are, for metrics: rows exactly, bytes by a sample, so that it costs the same whatever
//! the state holds.

use std::convert::Infallible;

use imbl::OrdMap;
use serde::Serialize;

use crate::codec;
use crate::layout::Layout;
use crate::state::{Apimgtdb, Database as _, Regdb, Statdb, State, Userdb};
use crate::table::TableVisitor;

/// Rows at each end of a table that are measured; the rest are taken to be like them.
const SAMPLED: usize = 32;

/// The size of one part of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows in all tables of the part.
    pub rows: u64,
    /// Bytes of the rows as they are stored; exact for tables with up to 64 rows, an estimate for larger ones.
    pub bytes: u64,
}

impl TableVisitor for Size {
    type Error = Infallible;

    fn table<L, K, V>(&mut self, _number: u16, _name: &'static str, rows: &OrdMap<K, V>) -> Result<(), Infallible>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        let count = rows.len();
        let first = rows.iter().take(SAMPLED);
        let last = rows.iter().rev().take(count.saturating_sub(SAMPLED).min(SAMPLED));
        let (mut measured, mut bytes) = (0_u64, 0_u64);
        for row in first.chain(last) {
            // A row that cannot be encoded is none that a command makes.
            bytes += codec::encode(&row).map_or(0, |row| row.len() as u64);
            measured += 1;
        }
        self.rows += count as u64;
        self.bytes += (bytes * count as u64).checked_div(measured).unwrap_or(0);
        Ok(())
    }
}

/// Returns the sizes of the parts of a state: the four databases, the counters, what gateways serve, and the cluster's
/// own records.
#[must_use]
pub fn sizes(state: &State) -> Vec<(&'static str, Size)> {
    fn of(visit: impl FnOnce(&mut Size) -> Result<(), Infallible>) -> Size {
        let mut size = Size::default();
        match visit(&mut size) {
            Ok(()) => size,
        }
    }
    vec![
        (Apimgtdb::NAME, of(|size| state.apimgt.visit(size))),
        (Userdb::NAME, of(|size| state.user.visit(size))),
        (Regdb::NAME, of(|size| state.reg.visit(size))),
        (Statdb::NAME, of(|size| state.stat.visit(size))),
        ("counters", of(|size| state.counters.visit(size))),
        ("deployed", of(|size| state.deployed.visit(size))),
        ("cluster", of(|size| state.system.visit(size))),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_model::ApiId;

    use super::*;

    #[test]
    fn rows_are_counted_and_bytes_follow_what_is_stored() {
        let mut state = State::default();
        let definition = |bytes: usize| Arc::<str>::from("x".repeat(bytes));
        for number in 0..100_u8 {
            state.reg.definitions.insert(ApiId::from_random([number; 16]), definition(1000));
        }
        let regdb = |state: &State| sizes(state).into_iter().find(|(name, _)| *name == "regdb").unwrap().1;
        let size = regdb(&state);
        assert_eq!(size.rows, 100);
        assert!((100_000..110_000).contains(&size.bytes), "{size:?}");
        assert_eq!(sizes(&State::default())[0].1, Size::default());
    }
}
