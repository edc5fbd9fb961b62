//! Row layouts: how the rows of a table are stored, each version with the one before it, so that what an older version
//! wrote comes up to date when it is read, and what older nodes must read is written as they know it.
//!
//! To change the rows of a table: keep the old types (in `mod v1` beside the new ones), declare the new layout, and
//! name it in the table's line (`150 policies: Key => Value as PolicyRows`):
//!
//! ```ignore
//! /// Layout 2 of `policies`: the unit of the burst came.
//! pub struct PolicyRows;
//!
//! impl Layout for PolicyRows {
//!     type Row = (PolicyKey, Arc<QuotaPolicy>);
//!     type Previous = First<PolicyKey, Arc<v1::QuotaPolicy>>;
//!     const SINCE: u32 = 2;
//!     fn migrate((key, old): …) -> Self::Row { … }
//!     fn revert((key, new): Self::Row) -> … { … }
//! }
//! ```
//!
//! A migrated row must be what replaying the log with this version gives: otherwise two nodes differ.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};

/// A layout of a table's rows.
pub trait Layout {
    /// A row: its key and its value.
    type Row: Serialize + DeserializeOwned;
    /// The layout before this one; [`Nothing`] for the first.
    type Previous: Layout;
    /// Its number; the first has 1.
    const VERSION: u16 = Self::Previous::VERSION + 1;
    /// The feature level of the state from which rows are written like this.
    const SINCE: u32;

    /// Makes a row of this layout from one of the layout before.
    fn migrate(previous: <Self::Previous as Layout>::Row) -> Self::Row;

    /// Makes a row of the layout before from one of this, for nodes that do not know this one yet. What the old layout
    /// cannot say must not be in a row while the state has a level below [`Layout::SINCE`].
    fn revert(row: Self::Row) -> <Self::Previous as Layout>::Row;

    /// Returns the layout's number in which rows are written at a feature level.
    #[must_use]
    fn version_at(level: u32) -> u16 {
        if level >= Self::SINCE { Self::VERSION } else { Self::Previous::version_at(level) }
    }

    /// Reads a row of layout `version`, which is at most this one's, and migrates it.
    ///
    /// # Errors
    /// Where the record does not hold a row of that layout.
    fn decode(version: u16, record: &[u8]) -> Result<Self::Row, CodecError> {
        if version < Self::VERSION {
            return Self::Previous::decode(version, record).map(Self::migrate);
        }
        codec::decode(record)
    }

    /// Writes a row as it is stored at a feature level.
    ///
    /// # Errors
    /// Where the row is larger than a record may be.
    fn encode_at(level: u32, row: Self::Row) -> Result<Vec<u8>, CodecError> {
        if level >= Self::SINCE { codec::encode(&row) } else { Self::Previous::encode_at(level, Self::revert(row)) }
    }
}

/// Writes a row, which stays where it is, as it is stored at a feature level.
pub(crate) fn encode_row<L, K, V>(level: u32, (key, value): (&K, &V)) -> Result<Vec<u8>, CodecError>
where
    L: Layout<Row = (K, V)>,
    K: Clone + Serialize,
    V: Clone + Serialize,
{
    if level >= L::SINCE {
        return codec::encode(&(key, value));
    }
    L::encode_at(level, (key.clone(), value.clone()))
}

/// The first layout of a table.
#[derive(Debug)]
pub struct First<K, V>(PhantomData<(K, V)>);

impl<K, V> Layout for First<K, V>
where
    (K, V): Serialize + DeserializeOwned,
{
    type Row = (K, V);
    type Previous = Nothing;
    const SINCE: u32 = 0;

    fn migrate(previous: Never) -> (K, V) {
        match previous {}
    }

    /// Never called: no level is below that of the first layout.
    fn revert(_row: (K, V)) -> Never {
        unreachable!("the first layout has none before it")
    }
}

/// What stands before the first layout: no rows at all.
#[derive(Debug)]
pub enum Nothing {}

/// A row that cannot be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Never {}

impl Layout for Nothing {
    type Row = Never;
    type Previous = Self;
    const VERSION: u16 = 0;
    const SINCE: u32 = 0;

    fn migrate(previous: Never) -> Never {
        previous
    }

    fn revert(row: Never) -> Never {
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layout 2: a name came.
    struct Named;
    /// Layout 3: the number became text.
    struct Text;

    impl Layout for Named {
        type Row = (u8, (u32, String));
        type Previous = First<u8, u32>;
        const SINCE: u32 = 2;

        fn migrate((key, number): (u8, u32)) -> Self::Row {
            (key, (number, "none".to_owned()))
        }

        fn revert((key, (number, _)): Self::Row) -> (u8, u32) {
            (key, number)
        }
    }

    impl Layout for Text {
        type Row = (u8, (String, String));
        type Previous = Named;
        const SINCE: u32 = 4;

        fn migrate((key, (number, name)): (u8, (u32, String))) -> Self::Row {
            (key, (number.to_string(), name))
        }

        fn revert((key, (number, name)): Self::Row) -> (u8, (u32, String)) {
            (key, (number.parse().unwrap_or_default(), name))
        }
    }

    #[test]
    fn a_row_of_any_older_layout_comes_up_to_date_step_by_step() {
        assert_eq!((First::<u8, u32>::VERSION, Named::VERSION, Text::VERSION), (1, 2, 3));
        let first = codec::encode(&(7_u8, 42_u32)).unwrap();
        assert_eq!(Text::decode(1, &first).unwrap(), (7, ("42".to_owned(), "none".to_owned())));
        let second = codec::encode(&(7_u8, (42_u32, "a"))).unwrap();
        assert_eq!(Text::decode(2, &second).unwrap(), (7, ("42".to_owned(), "a".to_owned())));
        assert!(Text::decode(1, &second).is_err(), "a row of another layout is not guessed at");
    }

    #[test]
    fn a_row_is_written_as_the_nodes_of_the_level_read_it() {
        let row = || (7_u8, ("42".to_owned(), "a".to_owned()));
        assert_eq!((1..=5).map(Text::version_at).collect::<Vec<_>>(), [1, 2, 2, 3, 3]);
        for level in 1..=5 {
            let written = Text::encode_at(level, row()).unwrap();
            let name = if level == 1 { "none" } else { "a" };
            let read = Text::decode(Text::version_at(level), &written).unwrap();
            assert_eq!(read, (7, ("42".to_owned(), name.to_owned())), "level {level}");
        }
        assert_eq!(Text::encode_at(1, row()).unwrap(), codec::encode(&(7_u8, 42_u32)).unwrap());
    }
}
