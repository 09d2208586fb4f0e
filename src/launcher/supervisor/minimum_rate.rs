//! How fast a peer takes what is sent to it.

use std::time::{Duration, Instant};

/// A rate is measured over this time at least: a peer's kernel makes room in lumps, not byte by byte.
const WINDOW_MIN: Duration = Duration::from_secs(5);

/// The time over which a service's rate is measured. A client may pause for as long as it may be idle.
pub(super) fn window(idle_time: Option<Duration>) -> Duration {
    idle_time.map_or(WINDOW_MIN, |idle| idle.max(WINDOW_MIN))
}

/// State from when the peer last began to lag.
#[derive(Debug, Default)]
pub(super) struct MinimumRate(Option<(Instant, u64)>);

impl MinimumRate {
    /// `sent` has the peer taken by now and `queued` has it yet to take. Only time in which something is
    /// queued at each look counts: a handler that has nothing to say makes no slow peer.
    pub(super) fn is_below(
        &mut self,
        (rate, window): (u64, Duration),
        now: Instant,
        sent: u64,
        queued: u64,
    ) -> bool {
        if queued == 0 {
            self.0 = None;
            return false;
        }
        let (since, before) = *self.0.get_or_insert((now, sent));
        let elapsed = now.duration_since(since);
        if elapsed < window {
            return false;
        }
        self.0 = Some((now, sent));
        u128::from(sent - before) * 1000 < u128::from(rate) * elapsed.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether a peer is ever too slow that takes so much each second for half a minute.
    fn is_ever_below(rate: u64, a_second: u64, queued: impl Fn(u32) -> u64) -> bool {
        let (mut minimum, began) = (MinimumRate::default(), Instant::now());
        (0..30).any(|n| {
            minimum.is_below((rate, WINDOW_MIN), began + SECOND * n, a_second * u64::from(n), queued(n))
        })
    }

    #[test]
    fn who_takes_less_than_the_rate_is_found_and_who_takes_as_much_is_not() {
        assert!(is_ever_below(1000, 999, |_| 1));
        assert!(!is_ever_below(1000, 1000, |_| 1));
    }

    #[test]
    fn a_pause_is_as_long_as_idleness_may_be() {
        assert_eq!(window(None), WINDOW_MIN);
        assert_eq!(window(Some(SECOND)), WINDOW_MIN);
        let (mut minimum, began) = (MinimumRate::default(), Instant::now());
        // 20 seconds without a byte, after a second of much.
        let sent = |n: u32| if n == 0 { 0 } else { 50_000 };
        let rate = (1000, window(Some(SECOND * 30)));
        assert!(!(0..30).any(|n| minimum.is_below(rate, began + SECOND * n, sent(n), 1)));
        assert!((30..90).any(|n| minimum.is_below(rate, began + SECOND * n, sent(n), 1)));
    }

    #[test]
    fn a_handler_that_has_nothing_to_say_makes_no_slow_peer() {
        assert!(!is_ever_below(1000, 0, |_| 0));
        assert!(!is_ever_below(1000, 0, |n| u64::from(n % 4)));
    }

    #[test]
    fn lumps_are_as_good_as_a_flow() {
        let (mut minimum, began) = (MinimumRate::default(), Instant::now());
        let lumps = |n: u32| u64::from(n / 5 * 5000);
        assert!(!(0..30).any(|n| minimum.is_below((1000, WINDOW_MIN), began + SECOND * n, lumps(n), 1)));
    }
}
