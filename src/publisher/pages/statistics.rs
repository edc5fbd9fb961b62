//! The place of an API's statistics among its pages: `/publisher/apis/{id}/statistics`.

/// Whether a page is there.
pub(super) const IS_SERVED: bool = false;
