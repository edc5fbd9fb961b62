//! Writes a snapshot, as the oldest node of the cluster reads it.

use std::io::{self, Write};

use imbl::OrdMap;
use portcullis_model::mutant::{self, Mutant};
use serde::Serialize;

use super::{END, FORMAT, FORMAT_OF_LEVEL_1, MAGIC, SnapshotError};
use crate::layout::{self, Layout};
use crate::level;
use crate::state::State;
use crate::table::TableVisitor;

struct Writer<W> {
    out: W,
    checksum: crc32fast::Hasher,
    format: u16,
    level: u32,
}

impl<W: Write> Writer<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.out.write_all(bytes)
    }
}

impl<W: Write> TableVisitor for Writer<W> {
    type Error = SnapshotError;

    fn table<L, K, V>(&mut self, number: u16, name: &'static str, rows: &OrdMap<K, V>) -> Result<(), SnapshotError>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        if !level::has_table(self.level, number, rows.is_empty()) {
            return Ok(());
        }
        self.put(&number.to_be_bytes())?;
        if self.format > FORMAT_OF_LEVEL_1 {
            self.put(&L::version_at(self.level).to_be_bytes())?;
        }
        let skipped = usize::from(mutant::is(Mutant::ShortSnapshot) && name == "applications");
        for row in rows.iter().skip(skipped) {
            let record = layout::encode_row::<L, K, V>(self.level, row)
                .map_err(|cause| SnapshotError::Record { table: name, cause })?;
            let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
            self.put(&length.to_be_bytes())?;
            self.put(&record)?;
        }
        self.put(&0_u32.to_be_bytes())?;
        Ok(())
    }
}

/// Writes `state` to `out`. The caller buffers and syncs.
///
/// # Errors
/// Where `out` fails.
pub fn write(state: &State, out: impl Write) -> Result<(), SnapshotError> {
    let level = state.feature_level();
    let format = if level == level::FIRST { FORMAT_OF_LEVEL_1 } else { FORMAT };
    let mut writer = Writer { out, checksum: crc32fast::Hasher::new(), format, level };
    writer.put(MAGIC)?;
    writer.put(&format.to_be_bytes())?;
    if format > FORMAT_OF_LEVEL_1 {
        writer.put(&level.to_be_bytes())?;
    }
    state.visit(&mut writer)?;
    writer.put(&END.to_be_bytes())?;
    writer.put(&state.applied_index.to_be_bytes())?;
    let checksum = writer.checksum.clone().finalize();
    writer.out.write_all(&checksum.to_be_bytes())?;
    writer.out.flush()?;
    Ok(())
}
