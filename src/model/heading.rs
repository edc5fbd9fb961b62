//! What APIs are filed under: categories, which everybody sees, and labels, which are the publishers' own.

use serde::{Deserialize, Serialize};

use crate::id::HeadingId;
use crate::tenant::TenantDomain;

/// Characters of a heading's name (the contract's).
pub const HEADING_NAME_CHARS_MAX: usize = 255;
/// Characters of a description (the contract's).
pub const HEADING_DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Headings of one kind in one tenant.
pub const HEADINGS_MAX: usize = 2_000;
/// Labels of one API.
pub const LABELS_PER_API_MAX: usize = 100;

/// Which of the two a heading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HeadingKind {
    /// A category: an API names it, and the Store shows it.
    Category,
    /// A label: it is attached to an API.
    Label,
}

impl HeadingKind {
    /// What it is called.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Category => "API category",
            Self::Label => "label",
        }
    }
}

/// A category or a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// The id.
    pub id: HeadingId,
    /// The tenant.
    pub tenant: TenantDomain,
    /// Category or label.
    pub kind: HeadingKind,
    /// The name, unique among those of its kind in the tenant.
    pub name: String,
    /// What it is for.
    pub description: String,
}
