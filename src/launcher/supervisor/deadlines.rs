//! Deadlines, earliest first.

use crate::config::service::ServiceId;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Deadline {
    /// A connection's whole time is over.
    Wall(u64),
    /// Time to look whether bytes have moved.
    IdleTick(u64),
    /// Time to look how much CPU time a sandbox has used.
    CpuTick(u64),
    /// Time to look who of those that have used their burst still wants the processors.
    LookAtAged,
    /// The turn of those that take turns is over.
    Turn,
    /// A sandbox that was killed must have ended by now.
    KillEnd(u64),
    /// A sandbox that was to be parked must be by now.
    ParkEnd(u64),
    /// A zygote must have made what it was asked for by now.
    ZygoteEnd(u64),
    /// A sandbox's calls are answered again.
    ResumeCalls(u64),
    /// A sandbox's stderr is read again.
    ResumeStderr(u64),
    /// Suppressed lines of a service's handlers are reported.
    ReportLines(ServiceId),
    /// Time to look whether fewer parked sandboxes would do.
    Shrink,
    /// Time to look whether the services' files are the same.
    LookAtFiles,
    /// systemd wants to hear of us.
    Watchdog,
    /// systemd may be told the new numbers.
    Status,
    /// Sandboxes may be built ahead again.
    ResumeBuilding,
    /// A connection that no sandbox was spent on has said too little for too long.
    AwaitEnd(u64),
    /// A sandbox is killed whose connection could not be reset.
    ResetEnd(u64),
    /// A TLS handshake takes too long.
    HandshakeEnd(u64),
    /// A service's signer may be started again.
    StartSigner(ServiceId),
    /// A refused connection is read no longer.
    DrainEnd(u64),
    /// The services' own statistics are written anew.
    WriteStats,
    /// A client that has asked for the statistics and does not read is disconnected.
    AnswerEnd(u64),
    /// Accepting may be tried again.
    ResumeAccepting,
    /// Handlers need not wait for input any more.
    EndInput,
    /// A new process must be ready to take over by now.
    SuccessorEnd,
    /// Live connections of a service are killed now.
    StopEnd(ServiceId),
}

/// Each is set at most once at a time, and removed when its connection ends. So their number is bounded by
/// that of connections.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Instant, Deadline)>,
    times: HashMap<Deadline, Instant>,
}

impl Deadlines {
    /// Sets it, or moves it.
    pub(super) fn set(&mut self, at: Instant, deadline: Deadline) {
        if let Some(before) = self.times.insert(deadline, at) {
            self.by_time.remove(&(before, deadline));
        }
        self.by_time.insert((at, deadline));
    }

    pub(super) fn is_set(&self, deadline: Deadline) -> bool {
        self.times.contains_key(&deadline)
    }

    pub(super) fn cancel(&mut self, deadline: Deadline) {
        if let Some(at) = self.times.remove(&deadline) {
            self.by_time.remove(&(at, deadline));
        }
    }

    /// Takes out all that are about one sandbox.
    pub(super) fn cancel_of_sandbox(&mut self, id: u64) {
        for deadline in [
            Deadline::Wall(id),
            Deadline::IdleTick(id),
            Deadline::CpuTick(id),
            Deadline::KillEnd(id),
            Deadline::ParkEnd(id),
            Deadline::ResumeCalls(id),
            Deadline::ResumeStderr(id),
        ] {
            self.cancel(deadline);
        }
    }

    /// Takes the earliest one that is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Deadline> {
        let (at, deadline) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.cancel(deadline);
        Some(deadline)
    }

    /// Time until the next one, if any, rounded up to milliseconds, epoll's unit.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let (at, _) = self.by_time.first()?;
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

    /// Rounded down, the loop would wake before it, find nothing to do, and wake again.
    #[test]
    fn the_wait_is_rounded_up_to_whole_milliseconds() {
        let (now, mut deadlines) = (Instant::now(), Deadlines::default());
        deadlines.set(now + Duration::from_micros(1_500), Deadline::Shrink);
        assert_eq!(deadlines.wait(now), Some(Duration::from_millis(2)));
        assert_eq!(deadlines.wait(now + Duration::from_micros(1_499)), Some(Duration::from_millis(1)));
        assert_eq!(deadlines.wait(now + Duration::from_micros(1_500)), Some(Duration::ZERO));
    }

    #[test]
    fn one_that_is_moved_or_cancelled_leaves_nothing() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for seconds in [5, 1, 3] {
            deadlines.set(now + Duration::from_secs(seconds), Deadline::IdleTick(1));
        }
        deadlines.set(now, Deadline::Wall(1));
        deadlines.cancel(Deadline::Wall(1));
        deadlines.cancel(Deadline::Wall(2));
        assert_eq!(deadlines.wait(now), Some(Duration::from_secs(3)));
        assert_eq!(deadlines.take_due(now + Duration::from_secs(9)), Some(Deadline::IdleTick(1)));
        assert!(deadlines.by_time.is_empty() && deadlines.times.is_empty());
    }
}
