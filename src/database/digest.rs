//! The digest of a state: equal on two nodes if and only if their states are, also where their versions differ: rows
//! count as they are stored at the state's feature level.

use imbl::OrdMap;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::codec::CodecError;
use crate::layout::{self, Layout};
use crate::level;
use crate::state::State;
use crate::table::TableVisitor;

struct Digester {
    hash: Sha256,
    level: u32,
}

impl TableVisitor for Digester {
    type Error = CodecError;

    fn table<L, K, V>(&mut self, number: u16, _name: &'static str, rows: &OrdMap<K, V>) -> Result<(), CodecError>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        if !level::has_table(self.level, number, rows.is_empty()) {
            return Ok(());
        }
        self.hash.update(number.to_be_bytes());
        self.hash.update((rows.len() as u64).to_be_bytes());
        for row in rows {
            let bytes = layout::encode_row::<L, K, V>(self.level, row)?;
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(&bytes);
        }
        Ok(())
    }
}

/// Returns the SHA-256 of every row of every table, in order, and of the index applied.
///
/// # Errors
/// Where a row is too large to encode, which no command makes.
pub fn digest(state: &State) -> Result<[u8; 32], CodecError> {
    let mut digester = Digester { hash: Sha256::new(), level: state.feature_level() };
    digester.hash.update(state.applied_index.to_be_bytes());
    state.visit(&mut digester)?;
    Ok(digester.hash.finalize().into())
}
