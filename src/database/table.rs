//! Tables: named persistent maps with a frozen number and a row layout each, visited in order for snapshots and digests.

use imbl::OrdMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layout::Layout;

/// Sees every table of a state, in the order of their numbers.
pub trait TableVisitor {
    /// What can go wrong.
    type Error;

    /// Sees one table.
    ///
    /// # Errors
    /// Whatever stops the visit.
    fn table<L, K, V>(&mut self, number: u16, name: &'static str, rows: &OrdMap<K, V>) -> Result<(), Self::Error>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + Serialize,
        V: Clone + Serialize;
}

/// Fills every table of a state, in the order of their numbers.
pub trait TableFiller {
    /// What can go wrong.
    type Error;

    /// Fills one table.
    ///
    /// # Errors
    /// Whatever stops the visit.
    fn table<L, K, V>(&mut self, number: u16, name: &'static str, rows: &mut OrdMap<K, V>) -> Result<(), Self::Error>
    where
        L: Layout<Row = (K, V)>,
        K: Ord + Clone + DeserializeOwned,
        V: Clone + DeserializeOwned;
}

/// The layout of a table's rows: the one named with `as`, or the first.
macro_rules! layout {
    ($key:ty, $value:ty) => { crate::layout::First<$key, $value> };
    ($key:ty, $value:ty, $layout:ty) => { $layout };
}
pub(crate) use layout;

/// Declares a part of the state: a struct of tables with frozen numbers, and how they are visited. A table whose rows
/// are stored otherwise than at first names its layout: `150 policies: Key => Value as PolicyRows`.
macro_rules! tables {
    ($(#[$doc:meta])* pub struct $part:ident {
        $($(#[$field_doc:meta])* $number:literal $name:ident : $key:ty => $value:ty $(as $layout:ty)?),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $part {
            $($(#[$field_doc])* pub $name: imbl::OrdMap<$key, $value>,)*
        }

        impl $part {
            /// Shows every table to `visitor`.
            ///
            /// # Errors
            /// What the visitor reports.
            #[allow(unused_variables, reason = "a part may have no tables yet")]
            pub fn visit<T: crate::table::TableVisitor>(&self, visitor: &mut T) -> Result<(), T::Error> {
                $(visitor.table::<crate::table::layout!($key, $value $(, $layout)?), _, _>(
                    $number, stringify!($name), &self.$name,
                )?;)*
                Ok(())
            }

            /// Has `filler` fill every table.
            ///
            /// # Errors
            /// What the filler reports.
            #[allow(unused_variables, reason = "a part may have no tables yet")]
            pub fn fill<T: crate::table::TableFiller>(&mut self, filler: &mut T) -> Result<(), T::Error> {
                $(filler.table::<crate::table::layout!($key, $value $(, $layout)?), _, _>(
                    $number, stringify!($name), &mut self.$name,
                )?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use tables;
