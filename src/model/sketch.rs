//! A summary of many durations from which any quantile can be told: a DDSketch (Masson, Rim and Lee, VLDB 2019) with the
//! mapping by powers of two and straight lines between, in integers alone. Two summaries of different calls merge into
//! that of all of them, in whatever order. It knows no clock.

use serde::{Deserialize, Serialize};

/// Buckets of each power of two. The middle of a bucket is off by a 128th at most: 0.8 %.
const BUCKETS_PER_OCTAVE: u64 = 1 << OCTAVE_BITS;
const OCTAVE_BITS: u32 = 6;
/// The largest value that is told from larger ones: in microseconds, more than an hour.
const VALUE_MAX: u64 = u32::MAX as u64;
/// Buckets that are searched for; where there are more, each has its place.
const FEW_MAX: usize = 16;
/// Buckets that there can be.
const BUCKETS_MAX: usize = ((u32::BITS - OCTAVE_BITS + 1) << OCTAVE_BITS) as usize;

/// How many values fell into which bucket.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// The sum of the values.
    sum: u64,
    counts: Counts,
}

/// The buckets that have any values.
#[derive(Clone, Debug)]
enum Counts {
    /// In order: a sketch of a few values takes a few bytes.
    Few(Vec<(u16, u64)>),
    /// All between two, so that to add a value takes no search.
    Run(Run),
}

/// Buckets beside each other, from a whole power of two to another.
#[derive(Clone, Debug, Default)]
struct Run {
    first: usize,
    counts: Vec<u64>,
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
        for (bucket, count) in other.buckets() {
            self.add_to(bucket, count);
        }
    }

    fn add_to(&mut self, bucket: u16, more: u64) {
        let few = match &mut self.counts {
            Counts::Run(run) => return run.add(bucket, more),
            Counts::Few(few) => few,
        };
        match few.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => few[at].1 = few[at].1.saturating_add(more),
            Err(at) if few.len() < FEW_MAX => few.insert(at, (bucket, more)),
            Err(_) => {
                let mut run = Run::default();
                few.iter().for_each(|(bucket, count)| run.add(*bucket, *count));
                run.add(bucket, more);
                self.counts = Counts::Run(run);
            }
        }
    }

    /// Returns the buckets that have any values, in order, and how many.
    fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let (few, run) = match &self.counts {
            Counts::Few(few) => (Some(few.iter().copied()), None),
            Counts::Run(run) => (None, Some(run.buckets())),
        };
        few.into_iter().flatten().chain(run.into_iter().flatten())
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Returns how many values are about at or below a value.
    #[must_use]
    pub fn count_up_to(&self, value: u64) -> u64 {
        let last = bucket_of(value);
        let counts = self.buckets().take_while(|(bucket, _)| *bucket <= last);
        counts.fold(0, |sum, (_, count)| sum.saturating_add(count))
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
        for (bucket, count) in self.buckets() {
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
        let mut buckets = self.buckets().peekable();
        if buckets.peek().is_none() {
            return PackedSketch::default();
        }
        let mut bytes = Vec::new();
        push(&mut bytes, self.sum);
        let mut before = 0;
        for (bucket, count) in buckets {
            push(&mut bytes, u64::from(bucket - before));
            push(&mut bytes, count);
            before = bucket;
        }
        PackedSketch(bytes.into_boxed_slice())
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.sum == other.sum && self.buckets().eq(other.buckets())
    }
}

impl Eq for Sketch {}

impl Run {
    fn add(&mut self, bucket: u16, more: u64) {
        let bucket = usize::from(bucket);
        // Before the first it is beyond the end, too.
        if self.counts.get(bucket.wrapping_sub(self.first)).is_none() {
            self.reach(bucket);
        }
        let count = &mut self.counts[bucket - self.first];
        *count = count.saturating_add(more);
    }

    /// Has a place for a bucket, and for all of its power of two.
    #[cold]
    fn reach(&mut self, bucket: usize) {
        let octave = BUCKETS_PER_OCTAVE as usize;
        let (first, end) = (bucket / octave * octave, bucket / octave * octave + octave);
        if self.counts.is_empty() {
            self.first = first;
        }
        if let Some(missing) = self.first.checked_sub(first) {
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = first;
        }
        self.counts.resize(self.counts.len().max(end - self.first), 0);
    }

    fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        // There are fewer than 2048.
        let bucket_at = |at: usize| u16::try_from(self.first + at).unwrap_or(u16::MAX);
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(move |(at, count)| (bucket_at(at), *count))
    }
}

impl PackedSketch {
    /// Returns it as one that can be added to. What is damaged counts as nothing.
    #[must_use]
    pub fn open(&self) -> Sketch {
        let mut rest = &*self.0;
        let mut sketch = Sketch { sum: take(&mut rest).unwrap_or(0), counts: Counts::default() };
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
    fn values_are_told_apart_whichever_come_first_and_however_many_there_are() {
        let mut values = values(400);
        for count in [0, 1, 2, FEW_MAX, FEW_MAX + 1, 40, 400] {
            let few = &mut values[..count];
            for _ in 0..2 {
                let mut expected: Vec<(u16, u64)> = Vec::new();
                let mut buckets: Vec<u16> = few.iter().map(|value| bucket_of(*value)).collect();
                buckets.sort_unstable();
                for bucket in buckets {
                    match expected.last_mut() {
                        Some(last) if last.0 == bucket => last.1 += 1,
                        _ => expected.push((bucket, 1)),
                    }
                }
                assert_eq!(sketch_of(few).buckets().collect::<Vec<_>>(), expected, "{count}");
                few.sort_unstable();
                few.reverse();
            }
        }
    }

    #[test]
    fn damaged_bytes_are_read_without_harm() {
        for bytes in [&[][..], &[0x80], &[0xff; 12], &[1, 0xff, 0xff, 0xff, 1, 5], &[1, 2, 3, 0x80]] {
            let sketch = PackedSketch(bytes.into()).open();
            assert!(sketch.buckets().all(|(bucket, _)| usize::from(bucket) < BUCKETS_MAX));
        }
    }
}
