//! A request that waits for a grant is counted as waiting for exactly as long as it does, however that ends.

use crate::allowance::NodeAllowance;

/// A request that waits for a grant.
pub(crate) struct Waiter<'a> {
    allowance: &'a NodeAllowance,
    has_ended: bool,
}

impl<'a> Waiter<'a> {
    pub(crate) fn begin(allowance: &'a NodeAllowance) -> Self {
        allowance.begin_wait();
        Self { allowance, has_ended: false }
    }

    /// Ends the wait: the request tries again.
    pub(crate) fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.allowance.end_wait(!self.has_ended);
    }
}
