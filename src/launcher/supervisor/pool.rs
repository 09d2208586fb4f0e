//! How many sandboxes wait ahead: bounds, growth under load, shrinking when idle. Numbers only; the loop acts
//! on them.

use super::live::Arrival;
use crate::config::values::Warm;
use sandbox::plan::park::Park;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The phase in which a sandbox ended instead of parking. A failed set-up says nothing about the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedIn {
    SetUp,
    Handler,
}

/// Reaction to a sandbox that ended before it was parked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    TryAgain,
    /// The handler cannot be parked after exec: park before exec until a reload.
    ParkBeforeExec,
    /// No sandbox can be parked now; try again after a pause.
    Pause,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) park: Park,
    bounds: Warm,
    target: usize,
    pub(super) parked: VecDeque<u64>,
    /// Connections that came when no sandbox was parked: they wait for one, none runs with less.
    pub(super) waiting: VecDeque<Arrival>,
    /// Launched and not parked yet.
    pub(super) building: usize,
    /// Failures in a row, by phase.
    failed_set_ups: u32,
    failed_handlers: u32,
    /// Parked sandboxes in a row that made a denied call, since one was given away.
    denied: u32,
    paused_until: Option<Instant>,
    /// The last sandbox could not be made for want of something.
    short: bool,
    /// A connection found no parked sandbox since the last look.
    ran_dry: bool,
}

/// Number of sandboxes in a row that end before they are parked; then the pool reacts.
const FAILURES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

impl Pool {
    pub(super) fn new(park: Park, bounds: Warm) -> Pool {
        Pool {
            park,
            bounds,
            target: bounds.min,
            parked: VecDeque::new(),
            waiting: VecDeque::new(),
            building: 0,
            failed_set_ups: 0,
            failed_handlers: 0,
            denied: 0,
            paused_until: None,
            short: false,
            ran_dry: false,
        }
    }

    /// Whether one more should be built.
    pub(super) fn wants_one(&self, now: Instant) -> bool {
        let paused = self.paused_until.is_some_and(|until| now < until);
        self.park != Park::None
            && !paused
            && self.parked.len() + self.building < self.target + self.waiting.len()
    }

    /// Time at which building may go on, if it is paused.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Takes the sandbox that has waited longest.
    pub(super) fn take(&mut self) -> Option<u64> {
        let taken = self.parked.pop_front();
        if taken.is_some() {
            self.denied = 0;
        }
        if taken.is_none() {
            self.ran_dry = true;
            self.target = (self.target + self.target.div_ceil(2)).clamp(self.bounds.min, self.bounds.max);
        }
        taken
    }

    /// Keeps no sandbox ahead any more.
    pub(super) fn close(&mut self) {
        self.bounds = Warm { min: 0, max: 0 };
        self.target = 0;
        self.parked.clear();
        if self.waiting.is_empty() {
            self.building = 0;
        }
    }

    /// Counts a sandbox that has parked.
    pub(super) fn parked(&mut self) {
        self.building = self.building.saturating_sub(1);
        self.failed_set_ups = 0;
        self.failed_handlers = 0;
        self.paused_until = None;
        self.short = false;
    }

    /// Counts a sandbox that ended before it was parked.
    pub(super) fn failed(&mut self, now: Instant, ended_in: EndedIn) -> AfterFailure {
        self.building = self.building.saturating_sub(1);
        let failures = match ended_in {
            EndedIn::SetUp => &mut self.failed_set_ups,
            EndedIn::Handler => &mut self.failed_handlers,
        };
        *failures += 1;
        if *failures < FAILURES_MAX {
            return AfterFailure::TryAgain;
        }
        *failures = 0;
        self.give_way(now, ended_in)
    }

    /// Counts a parked sandbox that made a denied call: by another thread than the parked one.
    pub(super) fn denied_while_parked(&mut self, now: Instant) -> AfterFailure {
        self.denied += 1;
        if self.denied < FAILURES_MAX {
            return AfterFailure::TryAgain;
        }
        self.denied = 0;
        self.give_way(now, EndedIn::Handler)
    }

    fn give_way(&mut self, now: Instant, ended_in: EndedIn) -> AfterFailure {
        if ended_in == EndedIn::Handler && self.park.is_after_exec() {
            self.park = Park::BeforeExec;
            return AfterFailure::ParkBeforeExec;
        }
        self.paused_until = Some(now + PAUSE);
        AfterFailure::Pause
    }

    /// Counts a sandbox that a shortage prevented: building pauses, and the handler is not blamed.
    pub(super) fn fell_short(&mut self, now: Instant, pause: Duration) {
        self.building = self.building.saturating_sub(1);
        self.paused_until = Some(now + pause);
        self.short = true;
    }

    /// Whether connections wait for sandboxes that a shortage prevents.
    pub(super) fn falls_short(&self) -> bool {
        self.short && !self.waiting.is_empty()
    }

    /// Lowers the target after a quiet period. Returns the surplus sandboxes.
    pub(super) fn shrink(&mut self) -> Vec<u64> {
        if !self.ran_dry {
            self.target = (self.target - self.target / 4).max(self.bounds.min);
        }
        self.ran_dry = false;
        let surplus = self.parked.len().saturating_sub(self.target);
        self.parked.drain(..surplus).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(park: Park) -> Pool {
        Pool::new(park, Warm { min: 4, max: 16 })
    }

    #[test]
    fn it_is_filled_to_the_lower_bound_at_first() {
        let mut pool = pool(Park::Entry);
        pool.building = 3;
        assert!(pool.wants_one(Instant::now()));
        pool.building = 4;
        assert!(!pool.wants_one(Instant::now()));
    }

    #[test]
    fn it_grows_to_the_upper_bound_when_it_runs_dry_and_shrinks_when_it_does_not() {
        let mut pool = pool(Park::Entry);
        for _ in 0..10 {
            assert_eq!(pool.take(), None);
        }
        assert_eq!(pool.target, 16);
        pool.parked.extend(0..16);
        assert!(pool.shrink().is_empty());
        assert_eq!(pool.shrink().len(), 4);
        for _ in 0..20 {
            pool.shrink();
        }
        assert_eq!((pool.target, pool.parked.len()), (4, 4));
    }

    #[test]
    fn a_handler_that_cannot_be_parked_after_exec_is_parked_before_it() {
        let mut pool = pool(Park::Entry);
        let (now, ended_in) = (Instant::now(), EndedIn::Handler);
        assert_eq!(pool.failed(now, ended_in), AfterFailure::TryAgain);
        assert_eq!(pool.failed(now, EndedIn::SetUp), AfterFailure::TryAgain);
        assert_eq!(pool.failed(now, ended_in), AfterFailure::TryAgain);
        assert_eq!(pool.failed(now, ended_in), AfterFailure::ParkBeforeExec);
        assert_eq!(pool.park, Park::BeforeExec);
        pool.failed(now, ended_in);
        pool.failed(now, ended_in);
        assert_eq!(pool.failed(now, ended_in), AfterFailure::Pause);
        assert!(!pool.wants_one(now));
        assert!(pool.wants_one(now + PAUSE));
    }

    #[test]
    fn parked_sandboxes_that_make_denied_calls_again_and_again_are_parked_before_exec() {
        let mut pool = pool(Park::Ready);
        let now = Instant::now();
        for _ in 0..2 {
            // As many as one connection takes none of the others with it.
            assert_eq!(pool.denied_while_parked(now), AfterFailure::TryAgain);
            assert_eq!(pool.denied_while_parked(now), AfterFailure::TryAgain);
            pool.parked();
            pool.parked.push_back(1);
            assert_eq!(pool.take(), Some(1));
        }
        for _ in 0..2 {
            assert_eq!(pool.denied_while_parked(now), AfterFailure::TryAgain);
            pool.parked();
        }
        assert_eq!(pool.denied_while_parked(now), AfterFailure::ParkBeforeExec);
        assert_eq!(pool.park, Park::BeforeExec);
    }

    #[test]
    fn what_fails_before_the_handler_runs_only_pauses() {
        let mut pool = pool(Park::Entry);
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(pool.failed(now, EndedIn::SetUp), AfterFailure::TryAgain);
            assert_eq!(pool.failed(now, EndedIn::SetUp), AfterFailure::TryAgain);
            assert_eq!(pool.failed(now, EndedIn::SetUp), AfterFailure::Pause);
        }
        assert_eq!(pool.park, Park::Entry);
    }

    #[test]
    fn without_parking_nothing_is_built_ahead() {
        assert!(!pool(Park::None).wants_one(Instant::now()));
    }
}
