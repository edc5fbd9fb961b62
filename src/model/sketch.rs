//! A summary of many durations from which any quantile can be told: a DDSketch (Masson, Rim and Lee, VLDB 2019) with the
//! mapping by powers of two and straight lines between, in integers alone. Two summaries of different calls merge into
//! that of all of them, in whatever order. It knows no clock.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Buckets of each power of two. The middle of a bucket is off by a 128th at most: 0.8 %.
const BUCKETS_PER_OCTAVE: u64 = 1 << OCTAVE_BITS;
const OCTAVE_BITS: u32 = 6;
/// The largest value that is told from larger ones: in microseconds, more than an hour.
const VALUE_MAX: u64 = u32::MAX as u64;
/// Places that are looked at one after the other before all others are searched.
const NEAR: usize = 12;
/// Buckets that there can be.
const BUCKETS_MAX: usize = ((u32::BITS - OCTAVE_BITS + 1) << OCTAVE_BITS) as usize;

/// How many values fell into which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The sum of the values.
    sum: u64,
    /// Buckets that have any, in order.
    counts: Vec<(u16, u64)>,
}

/// A sketch as it is stored and sent: a few bytes a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedSketch(Box<[u8]>);

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        self.sum = self.sum.saturating_add(value);
        self.add_to(bucket_of(value), 1);
    }

    /// Adds the values of another.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        for &(bucket, count) in &other.counts {
            self.add_to(bucket, count);
        }
    }

    fn add_to(&mut self, bucket: u16, more: u64) {
        match self.find(bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(more),
            Err(at) => self.counts.insert(at, (bucket, more)),
        }
    }

    /// Finds the place of a bucket, or where it would be. In the middle of many values each bucket has some: it is as far from the
    /// first as it would be if all had, or a little before.
    fn find(&self, bucket: u16) -> Result<usize, usize> {
        let first = self.counts.first().map_or(bucket, |(first, _)| *first);
        let mut end = self.counts.len().min(usize::from(bucket.saturating_sub(first)) + 1);
        for _ in 0..NEAR {
            match end.checked_sub(1).map(|at| self.counts[at].0.cmp(&bucket)) {
                Some(Ordering::Equal) => return Ok(end - 1),
                Some(Ordering::Greater) => end -= 1,
                Some(Ordering::Less) | None => return Err(end),
            }
        }
        self.counts[..end].binary_search_by_key(&bucket, |(bucket, _)| *bucket)
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns how many values are about at or below a value.
    #[must_use]
    pub fn count_up_to(&self, value: u64) -> u64 {
        let last = bucket_of(value);
        let counts = self.counts.iter().take_while(|(bucket, _)| *bucket <= last);
        counts.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns the mean; exact.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count())
    }

    /// Returns the value below or at which so many of ten thousand are, within 1 %; `None` where there is no value.
    #[must_use]
    pub fn quantile(&self, per_ten_thousand: u64) -> Option<u64> {
        let last = self.count().checked_sub(1)?;
        let rank = u128::from(last) * u128::from(per_ten_thousand.min(10_000)) / 10_000;
        let mut below = 0_u128;
        for &(bucket, count) in &self.counts {
            below += u128::from(count);
            if below > rank {
                return Some(middle_of(bucket));
            }
        }
        None
    }

    /// Returns it as it is stored.
    #[must_use]
    pub fn pack(&self) -> PackedSketch {
        let mut bytes = Vec::with_capacity(self.counts.len() * 2 + 4);
        if self.counts.is_empty() {
            return PackedSketch::default();
        }
        push(&mut bytes, self.sum);
        let mut before = 0;
        for &(bucket, count) in &self.counts {
            push(&mut bytes, u64::from(bucket - before));
            push(&mut bytes, count);
            before = bucket;
        }
        PackedSketch(bytes.into_boxed_slice())
    }
}

impl PackedSketch {
    /// Returns it as one that can be added to. What is damaged counts as nothing.
    #[must_use]
    pub fn open(&self) -> Sketch {
        let mut rest = &*self.0;
        let mut sketch = Sketch { sum: take(&mut rest).unwrap_or(0), counts: Vec::new() };
        let mut bucket = 0_u64;
        while let (Some(further), Some(count)) = (take(&mut rest), take(&mut rest)) {
            bucket = bucket.saturating_add(further);
            let Some(known) = u16::try_from(bucket).ok().filter(|known| usize::from(*known) < BUCKETS_MAX) else {
                break;
            };
            sketch.add_to(known, count);
        }
        sketch
    }

    /// Adds the values of another.
    pub fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.clone_from(other);
        } else if !other.0.is_empty() {
            let mut sum = self.open();
            sum.merge(&other.open());
            *self = sum.pack();
        }
    }

    /// Returns how many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there is no value in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Small values have a bucket each; of larger ones the position of the highest bit and the six bits behind it count.
fn bucket_of(value: u64) -> u16 {
    let value = value.min(VALUE_MAX);
    if value < BUCKETS_PER_OCTAVE {
        return u16::try_from(value).unwrap_or(u16::MAX);
    }
    let shift = value.ilog2() - OCTAVE_BITS;
    let bucket = (u64::from(shift) << OCTAVE_BITS) + (value >> shift);
    // 27 octaves of 64 are few.
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

/// Returns the value in the middle of a bucket.
fn middle_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 2 * BUCKETS_PER_OCTAVE {
        return bucket;
    }
    let shift = (bucket >> OCTAVE_BITS) - 1;
    let low = (bucket - (shift << OCTAVE_BITS)) << shift;
    low + (1 << shift) / 2
}

/// Writes a number in groups of seven bits, the lowest first.
fn push(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low & 0x7f);
        }
        bytes.push(low | 0x80);
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(at).ok()? * 7)?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that look like latencies: spread over six powers of ten, always the same.
    fn values(count: u64) -> Vec<u64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (1 << (state >> 59)) + (state >> 40) % 1000
        };
        (0..count).map(next).collect()
    }

    fn sketch_of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn every_quantile_is_within_one_percent() {
        let mut values = values(20_000);
        let sketch = sketch_of(&values);
        values.sort_unstable();
        for per_ten_thousand in [0, 1, 100, 5_000, 9_000, 9_500, 9_900, 9_990, 10_000] {
            let rank = usize::try_from((values.len() as u64 - 1) * per_ten_thousand / 10_000).unwrap();
            let (exact, told) = (values[rank], sketch.quantile(per_ten_thousand).unwrap());
            assert!(told.abs_diff(exact) * 100 <= exact, "{per_ten_thousand}: {told} for {exact}");
        }
        assert_eq!(sketch.mean(), Some(values.iter().sum::<u64>() / 20_000));
        assert_eq!(Sketch::default().quantile(5_000), None);
    }

    #[test]
    fn every_value_lies_in_a_bucket_whose_middle_is_near() {
        for value in (0..100_000).chain([1 << 20, (1 << 20) + 12_345, 1 << 31, VALUE_MAX]) {
            let middle = middle_of(bucket_of(value));
            assert!(middle.abs_diff(value) * 100 <= value, "{value} becomes {middle}");
        }
        assert!(usize::from(bucket_of(u64::MAX)) < BUCKETS_MAX);
    }

    #[test]
    fn merging_is_the_same_in_any_order_and_however_it_is_packed() {
        let values = values(3_000);
        let parts: Vec<Sketch> = values.chunks(700).map(sketch_of).collect();
        let mut forth = PackedSketch::default();
        parts.iter().for_each(|part| forth.merge(&part.pack()));
        let mut back = Sketch::default();
        parts.iter().rev().for_each(|part| back.merge(part));
        assert_eq!(forth.open(), back);
        assert_eq!(back, sketch_of(&values));
        assert_eq!(back.pack().open(), back);
    }

    #[test]
    fn a_bucket_is_found_wherever_others_are_missing() {
        let values = values(400);
        for step in [1, 2, 3, 7, 50, 400] {
            let sketch = sketch_of(&values.iter().copied().step_by(step).collect::<Vec<_>>());
            for bucket in 0..u16::try_from(BUCKETS_MAX).unwrap() {
                let expected = sketch.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket);
                assert_eq!(sketch.find(bucket), expected, "{bucket} of every {step}th");
            }
        }
        assert_eq!(Sketch::default().find(5), Err(0));
    }

    #[test]
    fn damaged_bytes_are_read_without_harm() {
        for bytes in [&[][..], &[0x80], &[0xff; 12], &[1, 0xff, 0xff, 0xff, 1, 5], &[1, 2, 3, 0x80]] {
            let sketch = PackedSketch(bytes.into()).open();
            assert!(sketch.counts.iter().all(|(bucket, _)| usize::from(*bucket) < BUCKETS_MAX));
        }
    }
}
