//! What a worker notes between two ticks of its clock and then hands on: a note costs a place in a list, without a lock or a
//! message. The list is bounded; what is beyond is counted.

use std::cell::{Cell, RefCell};

/// The list.
pub(crate) struct ToHandOn<T> {
    max: usize,
    noted: RefCell<Vec<T>>,
    dropped: Cell<u64>,
}

impl<T> ToHandOn<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, noted: RefCell::default(), dropped: Cell::new(0) }
    }

    /// Notes something; it is not made where there is no room for it.
    pub(crate) fn push(&self, one: impl FnOnce() -> T) {
        let mut noted = self.noted.borrow_mut();
        if noted.len() < self.max {
            noted.push(one());
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Takes out what was noted, with the number of what was not; `None` where there was nothing.
    pub(crate) fn take(&self) -> Option<(Vec<T>, u64)> {
        let (noted, dropped) = (self.noted.take(), self.dropped.take());
        (!noted.is_empty() || dropped > 0).then_some((noted, dropped))
    }
}
