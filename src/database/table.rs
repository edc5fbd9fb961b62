//! Tables: named persistent maps with a frozen number each, visited in order for snapshots and digests.

use imbl::OrdMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Sees every table of a state, in the order of their numbers.
pub trait TableVisitor {
    /// What can go wrong.
    type Error;

    /// Sees one table.
    ///
    /// # Errors
    /// Whatever stops the visit.
    fn table<K, V>(&mut self, number: u16, name: &'static str, rows: &OrdMap<K, V>) -> Result<(), Self::Error>
    where
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
    fn table<K, V>(&mut self, number: u16, name: &'static str, rows: &mut OrdMap<K, V>) -> Result<(), Self::Error>
    where
        K: Ord + Clone + DeserializeOwned,
        V: Clone + DeserializeOwned;
}

/// Declares a part of the state: a struct of tables with frozen numbers, and how they are visited.
macro_rules! tables {
    ($(#[$doc:meta])* pub struct $part:ident {
        $($(#[$field_doc:meta])* $number:literal $name:ident : $key:ty => $value:ty),* $(,)?
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
                $(visitor.table($number, stringify!($name), &self.$name)?;)*
                Ok(())
            }

            /// Has `filler` fill every table.
            ///
            /// # Errors
            /// What the filler reports.
            #[allow(unused_variables, reason = "a part may have no tables yet")]
            pub fn fill<T: crate::table::TableFiller>(&mut self, filler: &mut T) -> Result<(), T::Error> {
                $(filler.table($number, stringify!($name), &mut self.$name)?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use tables;
