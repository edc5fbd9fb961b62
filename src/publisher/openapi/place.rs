//! Where in a document something stands: a chain of borrowed names, written out only when somebody is told. It knows
//! nothing of what stands there.

use std::fmt;

/// A place, as seen from the top of the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// The document itself.
    Top,
    /// A place that was written out before.
    Known(&'a str),
    /// A field of an object.
    Field(&'a Place<'a>, &'a str),
    /// An item of a list.
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Known(text) => f.write_str(text),
            Self::Field(Self::Top, name) => f.write_str(name),
            Self::Field(above, name) => write!(f, "{above}.{name}"),
            Self::Item(above, number) => write!(f, "{above}[{number}]"),
        }
    }
}
