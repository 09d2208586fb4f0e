//! What must happen when, earliest first.

use crate::config::service::ServiceId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// A connection's whole time is over.
    Wall(u64),
    /// Time to look whether bytes have moved.
    IdleTick(u64),
    /// A sandbox that was to be parked must be by now.
    ParkEnd(u64),
    /// Time to look whether fewer parked sandboxes would do.
    Shrink,
    /// systemd wants to hear of us.
    Watchdog,
    /// Sandboxes may be built ahead again.
    ResumeBuilding,
    /// A connection that no sandbox was spent on has said too little for too long.
    AwaitEnd(u64),
    /// A refused connection is read no longer.
    DrainEnd(u64),
    /// The services' own statistics are written anew.
    WriteStats,
    /// Accepting may be tried again.
    ResumeAccepting,
    /// Live connections of a service are killed now.
    StopEnd(ServiceId),
}

/// One entry a deadline; those of connections that have ended are forgotten when they come up, so that nothing need be
/// searched at an end.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Instant, Deadline)>);

impl Deadlines {
    pub(super) fn set(&mut self, at: Instant, deadline: Deadline) {
        self.0.insert((at, deadline));
    }

    /// Takes the earliest one that is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Deadline> {
        let (at, deadline) = *self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(deadline)
    }

    /// How long until the next one; None where there is none. Whole milliseconds, upwards: epoll's unit.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let (at, _) = self.0.first()?;
        let exact = at.saturating_duration_since(now);
        Some(Duration::from_millis(u64::try_from(exact.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_none_before_its_time() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(now + Duration::from_secs(2), Deadline::Wall(1));
        deadlines.set(now + Duration::from_secs(1), Deadline::IdleTick(1));
        assert_eq!(deadlines.take_due(now), None);
        assert_eq!(deadlines.wait(now), Some(Duration::from_secs(1)));
        let later = now + Duration::from_secs(3);
        assert_eq!(deadlines.take_due(later), Some(Deadline::IdleTick(1)));
        assert_eq!(deadlines.take_due(later), Some(Deadline::Wall(1)));
        assert_eq!(deadlines.wait(later), None);
    }
}
