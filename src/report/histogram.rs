//! A histogram of times with fixed bounds: 1, 2 and 5 times each power of ten, from 10 µs to 100 s.

use serde::{Deserialize, Serialize};

/// Upper bounds, in microseconds.
pub const BOUNDS: [u64; 22] = [
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// How many were at most as long as the bound of the same index and longer than the one before.
    buckets: [u64; BOUNDS.len()],
    /// All, also those beyond the last bound.
    pub count: u64,
    pub sum_us: u64,
}

impl Histogram {
    pub fn add(&mut self, micros: u64) {
        let index = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    /// Each bound with how many were at most as long.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS.iter().zip(&self.buckets).scan(0u64, |sum, (bound, count)| {
            *sum = sum.saturating_add(*count);
            Some((*bound, *sum))
        })
    }

    /// The values since an earlier copy; all values if the copy is not of this histogram.
    pub fn since(&self, before: &Histogram) -> Histogram {
        let is_older = before.count <= self.count && before.sum_us <= self.sum_us;
        if !is_older {
            return self.clone();
        }
        let mut new = self.clone();
        for (bucket, old) in new.buckets.iter_mut().zip(before.buckets) {
            *bucket = bucket.saturating_sub(old);
        }
        new.count -= before.count;
        new.sum_us -= before.sum_us;
        new
    }

    /// Adds all that another has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(more);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// The bound below which this share lies, in percent; None without any, or beyond the last bound.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let wanted = (u128::from(self.count) * u128::from(percent)).div_ceil(100);
        if self.count == 0 {
            return None;
        }
        self.cumulative().find(|(_, sum)| u128::from(*sum) >= wanted).map(|(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_to_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for micros in [0, 10, 11, 1_000_000_000] {
            histogram.add(micros);
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative[..2], [(10, 2), (20, 3)]);
        assert_eq!(cumulative.last(), Some(&(100_000_000, 3)));
        assert_eq!(
            (histogram.count, histogram.percentile(50), histogram.percentile(100)),
            (4, Some(10), None)
        );
        assert_eq!(Histogram::default().percentile(50), None);
    }

    #[test]
    fn what_came_since_an_earlier_copy_is_counted_alone() {
        let mut before = Histogram::default();
        before.add(15);
        let mut after = before.clone();
        after.add(700);
        after.add(900);
        let new = after.since(&before);
        assert_eq!((new.count, new.sum_us, new.percentile(50)), (2, 1600, Some(1000)));
        // A sum with another beginning.
        assert_eq!(before.since(&after).count, 1);
        let mut both = before.since(&Histogram::default());
        both.merge(&new);
        assert_eq!((both.count, both.sum_us, both.percentile(1)), (3, 1615, Some(20)));
    }
}
