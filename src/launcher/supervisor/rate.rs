//! So much at once, and then so much a second.

use std::time::{Duration, Instant};

/// A token bucket.
#[derive(Debug)]
pub(super) struct Rate {
    tokens: u32,
    burst: u32,
    every: Duration,
    refilled: Instant,
}

impl Rate {
    /// `burst` at once, and then one `every` so often.
    pub(super) fn new(burst: u32, every: Duration, now: Instant) -> Rate {
        Rate { tokens: burst, burst, every, refilled: now }
    }

    /// Whether there is a token.
    pub(super) fn has(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens > 0
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let is_there = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        is_there
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        let earned = passed.as_nanos() / self.every.as_nanos().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned == 0 {
            return;
        }
        self.refilled = if earned >= self.burst { now } else { self.refilled + self.every * earned };
        self.tokens = self.tokens.saturating_add(earned).min(self.burst);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// Nothing of it has been used lately.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens == self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_at_once_and_the_rest_at_a_rate() {
        let now = Instant::now();
        let mut rate = Rate::new(3, Duration::from_millis(10), now);
        assert_eq!([0; 4].map(|_| rate.take(now)), [true, true, true, false]);
        assert!(!rate.take(now + Duration::from_millis(9)));
        assert!(rate.take(now + Duration::from_millis(10)));
        assert!(!rate.take(now + Duration::from_millis(19)));
        let later = now + Duration::from_secs(9);
        assert_eq!([0; 4].map(|_| rate.take(later)), [true, true, true, false]);
    }
}
