//! What a node holds of one counter, in one machine word: the low bits of the window's number above the amount.
//!
//! Both change together, so a request can never spend in one window what was held for another, whatever the timing.

/// Bits of the amount.
const AMOUNT_BITS: u32 = 40;
const AMOUNT_MASK: u64 = (1 << AMOUNT_BITS) - 1;
/// The part of a window's number that is kept.
const TAG_MASK: u64 = (1 << (64 - AMOUNT_BITS)) - 1;
/// The most that a node holds of one counter.
pub(crate) const HELD_MAX: u64 = AMOUNT_MASK;

/// Returns the word for `held` in the window of number `window`.
pub(crate) fn pack(window: u64, held: u64) -> u64 {
    ((window & TAG_MASK) << AMOUNT_BITS) | held.min(HELD_MAX)
}

/// Returns what is held.
pub(crate) fn held(word: u64) -> u64 {
    word & AMOUNT_MASK
}

/// Says whether the word belongs to the window of number `window`.
pub(crate) fn is_of(word: u64, window: u64) -> bool {
    word >> AMOUNT_BITS == window & TAG_MASK
}

/// Returns the number of the word's window, which is `latest` or one shortly before it.
pub(crate) fn window(word: u64, latest: u64) -> u64 {
    latest.wrapping_sub(latest.wrapping_sub(word >> AMOUNT_BITS) & TAG_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_the_window_and_the_amount_that_went_in() {
        for number in [0, 5, TAG_MASK, TAG_MASK + 1, 29_000_123, u64::from(u32::MAX) * 7] {
            let word = pack(number, 1234);
            assert_eq!((held(word), window(word, number), window(word, number + 1)), (1234, number, number));
            assert!(is_of(word, number) && !is_of(word, number + 1));
        }
        assert_eq!(held(pack(1, u64::MAX)), HELD_MAX);
    }
}
