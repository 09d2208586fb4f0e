//! A message that would come too often: logged once a second, with the number of those left out.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct RateLimited {
    again: Option<Instant>,
    unsaid: u64,
}

impl RateLimited {
    /// Whether it is to be said now, and how often it was not since the last time.
    pub(super) fn say(&mut self, now: Instant) -> Option<u64> {
        if self.again.is_some_and(|again| now < again) {
            self.unsaid += 1;
            return None;
        }
        self.again = Some(now + EVERY);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_second_with_the_number_between() {
        let (mut limited, now) = (RateLimited::default(), Instant::now());
        assert_eq!(limited.say(now), Some(0));
        assert_eq!((limited.say(now), limited.say(now)), (None, None));
        assert_eq!(limited.say(now + EVERY), Some(2));
    }
}
