//! How many lines of handlers the log takes: so many of a connection, of a source and of a service. journald
//! drops what is over its rate, whatever it says; a flood of one source must not cost the others their
//! records.
//!
//! Records of connections are not lines of handlers: none is ever suppressed.

use super::Supervisor;
use super::admission::Source;
use super::deadlines::Deadline;
use super::live::{Live, StderrRead};
use super::origin::{Origin, token};
use super::rate::Rate;
use crate::config::service::ServiceId;
use crate::log;

use nix::sys::epoll::{EpollEvent, EpollFlags};
use report::counters::selector_of;
use sandbox::step::Step;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::{Errno, Ignoring};

/// Lines at once, and then a second: below journald's default for a unit, which is 10,000 in 30 s.
const OF_SERVICE: (u32, u32) = (1024, 256);
const OF_SOURCE: (u32, u32) = (512, 64);
/// Sources with a budget of their own. Those beyond share one.
const SOURCES_MAX: usize = 1024;

/// How long a pipe is not read that brings more than the log takes. Its handler waits meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// Reads after such a pause: what a pipe holds.
const READS: usize = 16;
/// How often suppressed lines are reported.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Lines that were suppressed and not reported yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) lines: u64,
    /// The connection of the first of them.
    pub(super) conn: u64,
}

#[derive(Debug)]
pub(super) struct LineBudget {
    service: Rate,
    sources: HashMap<Source, Rate>,
    suppressed: Suppressed,
}

fn rate((burst, a_second): (u32, u32), now: Instant) -> Rate {
    Rate::new(burst, Duration::from_secs(1) / a_second, now)
}

impl LineBudget {
    pub(super) fn new(now: Instant) -> LineBudget {
        LineBudget {
            service: rate(OF_SERVICE, now),
            sources: HashMap::new(),
            suppressed: Suppressed::default(),
        }
    }

    /// Whether the log takes one more line of this source. What one budget refuses takes nothing from the
    /// other.
    pub(super) fn take(&mut self, source: Source, now: Instant) -> bool {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            self.sources.retain(|_, rate| !rate.is_full(now));
        }
        let source = match self.sources.len() < SOURCES_MAX || self.sources.contains_key(&source) {
            true => source,
            false => Source::Other,
        };
        let of_source = self.sources.entry(source).or_insert_with(|| rate(OF_SOURCE, now));
        of_source.has(now) && self.service.has(now) && of_source.take(now) && self.service.take(now)
    }

    pub(super) fn suppress(&mut self, conn: u64, lines: u64) {
        if lines > 0 && self.suppressed.lines == 0 {
            self.suppressed.conn = conn;
        }
        self.suppressed.lines = self.suppressed.lines.saturating_add(lines);
    }

    pub(super) fn suppresses(&self) -> bool {
        self.suppressed.lines > 0
    }

    fn report(&mut self) -> Option<Suppressed> {
        self.suppresses().then(|| std::mem::take(&mut self.suppressed))
    }
}

impl Live {
    /// Passes on what the handler has said.
    pub(super) fn hear_stderr(&mut self, budget: &mut LineBudget) -> StderrRead {
        let mut buffer = [0; 4096];
        match sys::read(self.sandbox.stderr.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => StderrRead::Nothing,
            Ok(0) | Err(_) => StderrRead::End,
            Ok(count) => match self.log_lines(&buffer[..count], budget) {
                0 => StderrRead::Something,
                _ => StderrRead::TooMuch,
            },
        }
    }

    /// Logs the lines that are whole now; with nothing more to come, the last one too. The number of those
    /// that the log does not take.
    fn log_lines(&mut self, bytes: &[u8], budget: &mut LineBudget) -> u64 {
        let (conn, now) = (self.conn(), Instant::now());
        let source = self.served.as_ref().map_or(Source::Other, |served| served.source);
        let (selector, mut suppressed) = (&mut self.selector, 0);
        let say = |line: &[u8]| {
            let line = log::escape(line);
            // The first that says what was asked for counts.
            if selector.is_none() {
                *selector = selector_of(&line).map(str::to_owned);
            }
            match budget.take(source, now) {
                true => log::handler_line(conn, &line),
                false => suppressed += 1,
            }
        };
        match bytes {
            [] => self.lines.finish(now, say),
            _ => self.lines.push(bytes, now, say),
        }
        suppressed += std::mem::take(&mut self.lines.dropped);
        budget.suppress(conn, suppressed);
        suppressed
    }

    /// Everything that is still in the pipe: after the handler's end, when all its writers are dead.
    pub(super) fn drain_stderr(&mut self, budget: &mut LineBudget) {
        while matches!(self.hear_stderr(budget), StderrRead::Something | StderrRead::TooMuch) {}
        self.log_lines(&[], budget);
    }
}

impl Supervisor<'_> {
    pub(super) fn on_stderr(&mut self, id: u64) {
        match self.hear_stderr(id) {
            StderrRead::Something | StderrRead::Nothing => {}
            StderrRead::TooMuch => self.pause_stderr(id),
            StderrRead::End => self.unwatch_stderr(id),
        }
    }

    fn hear_stderr(&mut self, id: u64) -> StderrRead {
        let Some(live) = self.live.get_mut(&id) else { return StderrRead::End };
        let service = live.service_id;
        let heard = live.hear_stderr(&mut self.services[service].lines);
        self.report_lines_later(service);
        heard
    }

    fn unwatch_stderr(&self, id: u64) {
        if let Some(live) = self.live.get(&id) {
            self.epoll.delete(&live.sandbox.stderr).ignoring("it is not watched any more");
        }
    }

    fn pause_stderr(&mut self, id: u64) {
        self.unwatch_stderr(id);
        self.deadlines.set(Instant::now() + PAUSE, Deadline::ResumeStderr(id));
    }

    /// Takes what has come meanwhile, and watches the pipe again if that was not too much.
    pub(super) fn resume_stderr(&mut self, id: u64) {
        let mut heard = StderrRead::Something;
        let mut too_much = false;
        for _ in 0..READS {
            heard = self.hear_stderr(id);
            too_much |= heard == StderrRead::TooMuch;
            if matches!(heard, StderrRead::Nothing | StderrRead::End) {
                break;
            }
        }
        if heard == StderrRead::End {
            return;
        }
        if too_much {
            self.deadlines.set(Instant::now() + PAUSE, Deadline::ResumeStderr(id));
            return;
        }
        let Some(live) = self.live.get_mut(&id) else { return };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Stderr, id));
        if let Err(errno) = self.epoll.add(&live.sandbox.stderr, event) {
            live.fail(Step::Watch, errno);
        }
    }

    /// Suppressed lines are reported together.
    pub(super) fn report_lines_later(&mut self, service: ServiceId) {
        let deadline = Deadline::ReportLines(service);
        if self.services[service].lines.suppresses() && !self.deadlines.is_set(deadline) {
            self.deadlines.set(Instant::now() + SAY_EVERY, deadline);
        }
    }

    pub(super) fn report_lines(&mut self, service: ServiceId) {
        let state = &mut self.services[service];
        if let Some(Suppressed { lines, conn }) = state.lines.report() {
            state.statistics.counters.suppressed(lines);
            log::handler_lines_dropped(&state.service.name, conn, lines);
        }
    }

    /// At the end nothing stays unsaid.
    pub(super) fn report_all_lines(&mut self) {
        for id in self.services.ids() {
            self.report_lines(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_over_its_budget_takes_nothing_of_the_others() {
        let now = Instant::now();
        let mut budget = LineBudget::new(now);
        let given = |budget: &mut LineBudget, source| (0..5000).filter(|_| budget.take(source, now)).count();
        assert_eq!(given(&mut budget, Source::V4(1)), 512);
        assert_eq!(given(&mut budget, Source::V4(2)), 512);
        assert_eq!(given(&mut budget, Source::V4(3)), 0);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..5000).filter(|_| budget.take(Source::V4(1), later)).count(), 64);
        assert_eq!((0..5000).filter(|_| budget.take(Source::V4(3), later)).count(), 192);
    }

    #[test]
    fn in_half_a_minute_a_service_stays_below_what_journald_takes() {
        let begin = Instant::now();
        let mut budget = LineBudget::new(begin);
        let mut given = 0;
        for millis in 0..30_000 {
            let now = begin + Duration::from_millis(millis);
            given += (0..10).filter(|source| budget.take(Source::V4(*source), now)).count();
        }
        assert!((5000..9000).contains(&given), "{given}");
    }

    #[test]
    fn sources_without_a_budget_of_their_own_share_one() {
        let now = Instant::now();
        let mut budget = LineBudget::new(now);
        for source in 0..10_000 {
            budget.take(Source::V4(source), now);
        }
        assert!(budget.sources.len() <= SOURCES_MAX + 1, "{}", budget.sources.len());
        // Those that are at rest make room.
        budget.take(Source::V4(20_000), now + Duration::from_secs(3600));
        assert_eq!(budget.sources.len(), 1);
    }

    #[test]
    fn what_is_suppressed_is_counted_until_it_is_reported() {
        let mut budget = LineBudget::new(Instant::now());
        assert_eq!(budget.report(), None);
        budget.suppress(7, 0);
        budget.suppress(7, 2);
        budget.suppress(8, 3);
        assert_eq!(budget.report(), Some(Suppressed { lines: 5, conn: 7 }));
        assert_eq!(budget.report(), None);
    }
}
