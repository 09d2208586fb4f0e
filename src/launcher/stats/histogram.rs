//! A histogram of times with fixed bounds: 1, 2 and 5 times each power of ten, from 10 µs to 100 s.

use serde::{Deserialize, Serialize};

/// Upper bounds, in microseconds.
pub(crate) const BOUNDS: [u64; 22] = [
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
pub(crate) struct Histogram {
    /// How many were at most as long as the bound of the same index and longer than the one before.
    buckets: [u64; BOUNDS.len()],
    /// All, also those beyond the last bound.
    pub(crate) count: u64,
    pub(crate) sum_us: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, micros: u64) {
        let index = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(micros);
    }

    /// Each bound with how many were at most as long.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS.iter().zip(&self.buckets).scan(0u64, |sum, (bound, count)| {
            *sum = sum.saturating_add(*count);
            Some((*bound, *sum))
        })
    }

    /// The bound below which this share lies, in percent; None without any, or beyond the last bound.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
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
}
