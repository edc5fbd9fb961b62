//! Chooses some of many calls. Drawn by a worker for itself; that somebody guesses which calls are chosen does no harm.

use std::cell::Cell;

const MILLION: u32 = 1_000_000;

/// Draws for each call.
pub(crate) struct Sampler {
    per_million: u32,
    state: Cell<u64>,
}

impl Sampler {
    /// Begins with random bytes, other for each worker. Of a million calls `per_million` are chosen.
    pub(crate) fn new(per_million: u32, random: [u8; 8]) -> Self {
        // Zero would stay zero.
        Self { per_million, state: Cell::new(u64::from_ne_bytes(random) | 1) }
    }

    /// Draws a number by xorshift (Marsaglia 2003), and says whether the call is chosen.
    pub(crate) fn chooses(&self) -> bool {
        if self.per_million >= MILLION {
            return true;
        }
        let mut state = self.state.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.state.set(state);
        (state >> 11) % u64::from(MILLION) < u64::from(self.per_million)
    }
}

#[cfg(test)]
mod tests {
    use super::Sampler;

    #[test]
    fn as_many_are_chosen_as_was_said() {
        for (per_million, least, most) in
            [(0, 0, 0), (10_000, 800, 1_200), (500_000, 49_000, 51_000), (1_000_000, 100_000, 100_000)]
        {
            let sampler = Sampler::new(per_million, *b"portcull");
            let chosen = (0..100_000).filter(|_| sampler.chooses()).count();
            assert!((least..=most).contains(&chosen), "{per_million}: {chosen}");
        }
    }
}
