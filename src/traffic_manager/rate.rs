//! How fast a counter is wanted on this node, estimated from what was wanted between two reports.

/// What was wanted this long ago counts about a third: what the demand is now.
const MEMORY_MS: f64 = 50.0;
/// The same for what the demand is as a rule.
const LONG_MEMORY_MS: f64 = 1000.0;
/// Fewer requests than this in memory are chance and no rate.
const REQUESTS_MIN: f64 = 4.0;

/// A demand per millisecond.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    now_per_ms: f64,
    steady_per_ms: f64,
    sampled_at_ms: u64,
}

impl Rate {
    /// Takes in that `wanted` was wanted since the last sample.
    pub(crate) fn sample(&mut self, wanted: u64, now_ms: u64) {
        let since = now_ms.saturating_sub(self.sampled_at_ms);
        self.sampled_at_ms = now_ms;
        blend(&mut self.now_per_ms, wanted, since, MEMORY_MS);
        blend(&mut self.steady_per_ms, wanted, since, LONG_MEMORY_MS);
    }

    /// Returns how much will be wanted in the next `millis`, rounded down; nothing where the rate rests on so few
    /// requests that it may be chance.
    pub(crate) fn within(&self, millis: u32) -> u64 {
        expected(self.now_per_ms, MEMORY_MS, millis)
    }

    /// The same where holding a little too much harms nobody: also by what was wanted longer ago.
    pub(crate) fn within_amply(&self, millis: u32) -> u64 {
        self.within(millis).max(expected(self.steady_per_ms, LONG_MEMORY_MS, millis))
    }
}

fn blend(per_ms: &mut f64, wanted: u64, since_ms: u64, memory_ms: f64) {
    // A longer gap counts as twice the memory: a burst after silence is not diluted by the silence.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let (wanted, gap) = (wanted as f64, (since_ms as f64).clamp(1.0, memory_ms * 2.0));
    let weight = 1.0 - (-gap / memory_ms).exp();
    *per_ms += (wanted / gap - *per_ms) * weight;
}

fn expected(per_ms: f64, memory_ms: f64, millis: u32) -> u64 {
    if per_ms * memory_ms < REQUESTS_MIN {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
    let expected = (per_ms * f64::from(millis)) as u64;
    expected
}
