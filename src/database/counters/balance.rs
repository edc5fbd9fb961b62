//! What a counter's window brings along beside its limit: how much of the window before still counts, what is owed for
//! costs that were known late, and what a reset has forgiven.
//!
//! All of it comes down to one number, the [`Balance::capacity`]: how much the nodes together may hold now. Fixed
//! windows without debts have no balance; their capacity is the limit.

use std::sync::Arc;

use portcullis_model::{Timestamp, WindowKind};
use serde::{Deserialize, Serialize};

use super::counter::{Counter, Opening};
use super::window::WindowId;

/// What a counter brings along beside its limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// How the counter's windows followed each other when it opened.
    pub kind: WindowKind,
    /// Spent in this window beyond what nodes held, because the cost was known late.
    pub owed: u64,
    /// What had been used when the counter was reset.
    pub forgiven: u64,
    /// The window before, where it matters.
    pub before: Option<Before>,
}

/// The window before. What nodes still say about it is taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Its counter.
    pub counter: Arc<Counter>,
    /// Owed in it.
    pub owed: u64,
    /// Forgiven in it.
    pub forgiven: u64,
    /// What it had itself begun with less.
    pub carried: u64,
}

impl Before {
    /// Returns the most that may have been used in it.
    fn used(&self) -> u64 {
        let used = self.counter.exposure().saturating_add(self.owed).saturating_add(self.carried);
        used.saturating_sub(self.forgiven)
    }

    /// Returns what it leaves `window` to pay: what was used beyond its limit, less a limit for each window that
    /// passed unused in between.
    fn debt(&self, window: WindowId) -> u64 {
        let own = self.counter.window;
        let skipped = window.start().0.saturating_sub(own.end().0) / own.length_ms.max(1);
        let paid = self.counter.limit.saturating_mul(skipped.saturating_add(1));
        self.used().saturating_sub(paid)
    }

    /// Returns the part of it, in milliseconds, that lies less than the length of `window` before `now`.
    fn overlap_ms(&self, window: WindowId, now: Timestamp) -> u64 {
        let own = self.counter.window;
        let now = now.0.clamp(window.start().0, window.end().0);
        let from = now.saturating_sub(window.length_ms).max(own.start().0);
        own.end().0.saturating_sub(from).min(own.length_ms)
    }

    /// Returns how much of what was used in it still counts at `now`, rounded up.
    fn weight(&self, window: WindowId, now: Timestamp) -> u64 {
        let part = u128::from(self.used()) * u128::from(self.overlap_ms(window, now));
        u64::try_from(part.div_ceil(u128::from(self.counter.window.length_ms.max(1)))).unwrap_or(u64::MAX)
    }
}

impl Balance {
    /// Opens the balance for a new window of a counter, or says that it needs none. `last` is the counter's last window
    /// with its balance.
    #[must_use]
    pub fn open(opening: &Opening<'_>, last: Option<(&Arc<Counter>, Option<&Self>)>) -> Option<Self> {
        let before = last.map(|(counter, balance)| Before {
            counter: Arc::clone(counter),
            owed: balance.map_or(0, |balance| balance.owed),
            forgiven: balance.map_or(0, |balance| balance.forgiven),
            carried: balance.map_or(0, |balance| balance.brought(counter.window, counter.window.end())),
        });
        let kind = opening.terms.kind;
        let before = match kind {
            WindowKind::Fixed => before.filter(|before| before.owed > 0 || before.debt(opening.window) > 0),
            WindowKind::Sliding => {
                let known = before.filter(|before| before.overlap_ms(opening.window, opening.window.start()) > 0);
                Some(known.or_else(|| Self::unknown_before(opening))?)
            }
        };
        (kind == WindowKind::Sliding || before.is_some()).then_some(Self { kind, owed: 0, forgiven: 0, before })
    }

    /// Nobody has reported on the window before, but each node may have used its reserve in it.
    fn unknown_before(opening: &Opening<'_>) -> Option<Before> {
        let index = opening.window.index.checked_sub(1)?;
        let window = WindowId { index, ..opening.window };
        let counter = Arc::new(Counter::open(&Opening { window, ..*opening }));
        Some(Before { counter, owed: 0, forgiven: 0, carried: 0 })
    }

    /// Returns what the window before takes away from `window` at `now`.
    fn brought(&self, window: WindowId, now: Timestamp) -> u64 {
        let Some(before) = &self.before else { return 0 };
        match self.kind {
            WindowKind::Fixed => before.debt(window),
            WindowKind::Sliding => before.weight(window, now),
        }
    }

    /// Returns how much of the counter the nodes together may hold at `now`. Grows with time, never shrinks by it.
    #[must_use]
    pub fn capacity(&self, counter: &Counter, now: Timestamp) -> u64 {
        let brought = self.brought(counter.window, now);
        counter.limit.saturating_add(self.forgiven).saturating_sub(brought).saturating_sub(self.owed)
    }

    /// Returns from when on there will be something to grant though there is nothing at `now`, if time alone brings
    /// it.
    #[must_use]
    pub fn refills_at(&self, counter: &Counter, now: Timestamp) -> Option<Timestamp> {
        let before = self.before.as_ref().filter(|_| self.kind == WindowKind::Sliding)?;
        let needed = counter.exposure().saturating_add(self.owed).saturating_add(1);
        let room = counter.limit.saturating_add(self.forgiven).checked_sub(needed)?;
        let used = u128::from(before.used().max(1));
        let overlap = u128::from(room) * u128::from(before.counter.window.length_ms) / used;
        let overlap = u64::try_from(overlap).unwrap_or(u64::MAX).min(before.counter.window.length_ms);
        let at = before.counter.window.end().0.saturating_add(counter.window.length_ms).saturating_sub(overlap);
        Some(Timestamp(at.max(now.0)))
    }

    /// Forgives what is known to have been used of `counter`, and what the window before left to pay. What nodes hold
    /// and have not reported as spent stays theirs, so no more than the limit can be used from now on.
    pub fn forgive(&mut self, counter: &Counter) {
        self.forgiven = self.forgiven.max(counter.known_used().saturating_add(self.owed));
        match (self.kind, &mut self.before) {
            (WindowKind::Fixed, before) => *before = None,
            (WindowKind::Sliding, Some(before)) => {
                let used = before.counter.known_used().saturating_add(before.owed).saturating_add(before.carried);
                before.forgiven = before.forgiven.max(used);
            }
            (WindowKind::Sliding, None) => {}
        }
    }
}
