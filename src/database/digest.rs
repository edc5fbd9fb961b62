//! The digest of a state: equal on two nodes if and only if their states are.

use imbl::OrdMap;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::codec::{self, CodecError};
use crate::state::State;
use crate::table::TableVisitor;

struct Digester(Sha256);

impl TableVisitor for Digester {
    type Error = CodecError;

    fn table<K, V>(&mut self, number: u16, _name: &'static str, rows: &OrdMap<K, V>) -> Result<(), CodecError>
    where
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        self.0.update(number.to_be_bytes());
        self.0.update((rows.len() as u64).to_be_bytes());
        for row in rows {
            let bytes = codec::encode(&row)?;
            self.0.update((bytes.len() as u64).to_be_bytes());
            self.0.update(&bytes);
        }
        Ok(())
    }
}

/// Returns the SHA-256 of every row of every table, in order, and of the index applied.
///
/// # Errors
/// Where a row is too large to encode, which no command makes.
pub fn digest(state: &State) -> Result<[u8; 32], CodecError> {
    let mut digester = Digester(Sha256::new());
    digester.0.update(state.applied_index.to_be_bytes());
    state.visit(&mut digester)?;
    Ok(digester.0.finalize().into())
}
