//! How fast a counter is wanted on this node, estimated from what was wanted between two reports.

/// What was wanted this long ago counts about a third.
const MEMORY_MS: f64 = 50.0;
/// Fewer requests than this in memory are chance and no rate.
const REQUESTS_MIN: f64 = 4.0;
/// A longer gap between samples counts as this long: a burst after silence is not diluted by the silence.
const GAP_MS_MAX: f64 = 100.0;

/// A demand per millisecond.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    per_ms: f64,
    sampled_at_ms: u64,
}

impl Rate {
    /// Takes in that `wanted` was wanted since the last sample.
    pub(crate) fn sample(&mut self, wanted: u64, now_ms: u64) {
        let since = now_ms.saturating_sub(self.sampled_at_ms);
        self.sampled_at_ms = now_ms;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let (wanted, gap) = (wanted as f64, (since as f64).clamp(1.0, GAP_MS_MAX));
        let weight = 1.0 - (-gap / MEMORY_MS).exp();
        self.per_ms += (wanted / gap - self.per_ms) * weight;
    }

    /// Returns how much will be wanted in the next `millis`, rounded down; nothing where the rate rests on so few
    /// requests that it may be chance.
    pub(crate) fn within(&self, millis: u32) -> u64 {
        if self.per_ms * MEMORY_MS < REQUESTS_MIN {
            return 0;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        let expected = (self.per_ms * f64::from(millis)) as u64;
        expected
    }
}
