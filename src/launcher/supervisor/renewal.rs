//! Reloads one service, without a signal, when its files were replaced or removed.
//!
//! The supervisor checks the paths each second, before it gives a connection to a sandbox, before it builds a
//! sandbox, and when a step failed on one of the files. If the reload fails, the old files stay in force, and
//! the supervisor tries again. Pauses between the attempts grow, so that files that change all the time cost
//! little.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Arrival;
use super::succession::{PassedOn, Successor};
use crate::config::service::{Service, ServiceId};
use crate::listener::{Address, Listener};
use crate::log;
use crate::outcome::Outcome;
use crate::stats::socket::StatsSocket;
use sandbox::plan::park::Park;
use sandbox::step::{Failure, Step};
use std::time::{Duration, Instant};
use sys::Errno;

/// Makes services anew; the text of an error says what is wrong with that.
pub(crate) trait Reload {
    /// All of them, from their files as they are now.
    fn reload(&self, listeners: &[Listener]) -> Result<Reloaded, String>;
    /// One of them, by the configuration that is in force.
    fn renew(&self, service: ServiceId) -> Result<Service, String>;
    /// The file of a service that has been replaced since the service was made.
    fn changed(&self, service: &Service) -> Option<String>;
    /// Whether the program's file is another than the one that this process runs.
    fn program_is_replaced(&self) -> bool;
    /// Starts a process that will take over.
    fn succeed(&self, passed: &PassedOn<'_>) -> Result<Successor, String>;
    /// Another socket for the counts.
    fn stats_socket(&self) -> Option<StatsSocket>;
}

/// Result of a reload.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub(crate) services: Vec<Service>,
    /// Every address of `--listen` now.
    pub(crate) wanted: Vec<(ServiceId, Address)>,
    /// Listeners for addresses that are new.
    pub(crate) bound: Vec<Listener>,
}

/// How often the paths are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same interval while something is wrong with the files.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often at the most, however many connections come.
const LOOK_SELDOM: Duration = Duration::from_millis(1);
/// How long a connection waits for files that are missing.
pub(super) const FILES_TIME: Duration = Duration::from_secs(2);

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// After so long without an attempt the pauses begin small again.
const QUIET: Duration = Duration::from_secs(10);

/// Attempts with pauses that grow.
#[derive(Debug, Default)]
struct Paced {
    last: Option<Instant>,
    pause: Duration,
}

impl Paced {
    /// Whether to attempt it now.
    fn attempts(&mut self, now: Instant) -> bool {
        let since = self.last.map(|last| now.duration_since(last));
        if since.is_some_and(|since| since < self.pause) {
            return false;
        }
        self.last = Some(now);
        self.pause = match since {
            Some(since) if since < QUIET => (self.pause * 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        true
    }
}

/// When a service's files were looked at, and how that went.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    looked: Option<Instant>,
    /// The service is made anew.
    attempts: Paced,
    /// Sandboxes are built for those who wait.
    retries: Paced,
    /// The error of the last attempt, which the log has.
    error: Option<String>,
    /// Why the service was made anew, which has been said, since the last sandbox that could be built.
    told: Option<String>,
    /// Failure of the last sandbox that could not be built, and when that was begun. Looks at the paths do
    /// not see what is wrong: the next sandbox does.
    failure: Option<(Failure, Instant)>,
}

impl Renewal {
    /// Whether to look now.
    fn looks(&mut self, now: Instant) -> bool {
        let looks = self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_SELDOM);
        if looks {
            self.looked = Some(now);
        }
        looks
    }

    /// Whether the error is to be said: once, until it is another one.
    fn failed(&mut self, error: &str) -> bool {
        let new = self.error.as_deref() != Some(error);
        self.error = Some(error.to_owned());
        new
    }

    pub(super) fn is_failing(&self) -> bool {
        self.error.is_some()
    }

    /// Whether the reason is to be said.
    fn tells(&mut self, why: &str) -> bool {
        let new = self.told.as_deref() != Some(why);
        self.told = Some(why.to_owned());
        new
    }

    /// A sandbox that was begun at this time could be built. True if that is news to who has read the log.
    fn built(&mut self, began: Instant) -> bool {
        self.told = None;
        if self.failure.is_none_or(|(_, failed)| began <= failed) {
            return false;
        }
        self.failure = None;
        self.error.take().is_some()
    }
}

/// Whether a sandbox could not be built because a file is gone, or is another one than when the service
/// was made.
pub(super) fn is_of_files(failure: Failure) -> bool {
    use Step::{
        AttachRoot, Bind, BindChanged, BindMap, BindSource, Credentials, Dev, Directory, Exec,
        HandlerChanged, HandlerFile, LandlockRule, Layers, MountPoint, Open, Overlay, Pivot, Proc, Snapshot,
        Snapshots, Template, TemplateChanged, Tmpfs,
    };
    let step = matches!(
        failure.step,
        Template
            | TemplateChanged
            | Layers
            | Overlay
            | Snapshot
            | Snapshots
            | AttachRoot
            | HandlerFile
            | HandlerChanged
            | MountPoint
            | BindSource
            | BindChanged
            | BindMap
            | Bind
            | Tmpfs
            | Proc
            | Dev
            | Credentials
            | Pivot
            | Open
            | Directory
            | LandlockRule
    );
    match failure.errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ELOOP => step,
        // Somebody writes to the handler's file at this moment.
        Errno::ETXTBSY => failure.step == Exec,
        _ => false,
    }
}

impl Supervisor<'_> {
    /// Looks at all files, by the clock. Connections that wait for files get another attempt.
    pub(super) fn look_at_all_files(&mut self, now: Instant) {
        for id in self.services.ids() {
            self.look_at_files(id, now);
            self.retry(id, now);
        }
        let waits = self.services.all().any(|(_, state)| {
            state.renewal.is_failing() || state.pool.park == Park::None && !state.pool.waiting.is_empty()
        });
        self.deadlines.set(now + if waits { LOOK_AGAIN } else { LOOK_EVERY }, Deadline::LookAtFiles);
    }

    /// Makes the service anew if a path of its leads to another file.
    pub(super) fn look_at_files(&mut self, id: ServiceId, now: Instant) {
        let state = &mut self.services[id];
        let Some(reload) = self.reload.as_ref().filter(|_| state.renewal.looks(now)) else { return };
        match reload.changed(&state.service) {
            Some(why) => drop(self.renew(id, &why, now)),
            // A change that the paths do not show is found by the next sandbox.
            None if state.renewal.failure.is_some() => {}
            None => {
                if state.renewal.error.take().is_some() {
                    log::files_are_back(&state.service.name);
                }
            }
        }
    }

    /// Makes the service anew after a sandbox could not be built for what the files are; true where that was
    /// done. What is opened for each sandbox alone is opened by its path each time.
    pub(super) fn renew_after(
        &mut self,
        id: ServiceId,
        failure: Failure,
        begun: Instant,
        now: Instant,
    ) -> bool {
        if self.reload.is_none() || matches!(failure.step, Step::Open | Step::Exec) {
            return false;
        }
        let state = &mut self.services[id];
        state.renewal.failure = Some((failure, begun));
        let service = &state.service;
        let changed = self.reload.as_ref().and_then(|reload| reload.changed(service));
        let why = changed
            .unwrap_or_else(|| log::refusal_message(&failure, service.plan.operand(&failure).as_deref()));
        self.renew(id, &why, now)
    }

    fn renew(&mut self, id: ServiceId, why: &str, now: Instant) -> bool {
        let leaving = self.is_leaving();
        let state = &mut self.services[id];
        let Some(reload) = self.reload.as_ref().filter(|_| !leaving) else { return false };
        if !state.renewal.attempts.attempts(now) {
            return false;
        }
        match reload.renew(id) {
            Ok(service) => {
                state.renewal.error = None;
                state.renewal.failure = None;
                if state.renewal.tells(why) {
                    log::renewed(&service.name, why);
                }
                self.retire_all_of(id);
                self.services[id].replace(service, self.groups.as_ref());
                self.replace_signer_of(id);
                true
            }
            Err(error) => {
                if state.renewal.failed(&error) {
                    log::not_renewed(&state.service.name, why, &error);
                }
                self.deadlines.set(now + LOOK_AGAIN, Deadline::LookAtFiles);
                false
            }
        }
    }

    /// A sandbox has been built, which was begun at this time.
    pub(super) fn on_built(&mut self, id: ServiceId, began: Instant) {
        let state = &mut self.services[id];
        if state.renewal.built(began) {
            log::files_are_back(&state.service.name);
        }
    }

    /// Whether a connection whose sandbox could not be built waits for its service's files.
    pub(super) fn waits_for_files(&self, outcome: &Outcome, began: Instant) -> Option<Failure> {
        let Outcome::Refused(refusal) = outcome else { return None };
        refusal.failure.filter(|failure| self.has_patience(*failure, began))
    }

    fn has_patience(&self, failure: Failure, began: Instant) -> bool {
        let serving = self.reload.is_some() && !self.is_leaving();
        serving && is_of_files(failure) && began.elapsed() < FILES_TIME
    }

    /// A connection that could not have a sandbox: it waits while its service's files may be put in place.
    pub(super) fn wait_or_refuse(&mut self, arrival: Arrival, failure: Failure, begun: Instant) {
        let (id, now) = (arrival.service, Instant::now());
        if !self.has_patience(failure, arrival.began) {
            self.refuse_for(arrival, failure);
            return;
        }
        let renewed = self.renew_after(id, failure, begun, now);
        self.services[id].pool.waiting.push_back(arrival);
        if renewed {
            self.services[id].renewal.retries = Paced::default();
        }
        self.deadlines.set(if renewed { now } else { now + LOOK_AGAIN }, Deadline::LookAtFiles);
    }

    /// Those that wait where nothing is parked ahead. As long as the service cannot be made anew, no sandbox
    /// of it can be built: that is looked at first, at a pace of its own.
    fn retry(&mut self, id: ServiceId, now: Instant) {
        let state = &mut self.services[id];
        if state.pool.park != Park::None || state.pool.waiting.is_empty() {
            return;
        }
        let failing = state.renewal.failure.filter(|_| state.renewal.is_failing());
        if let Some((failure, begun)) = failing
            && !self.renew_after(id, failure, begun, now)
        {
            self.refuse_waiting(id, failure, FILES_TIME);
        } else if self.services[id].renewal.retries.attempts(now) {
            self.serve_waiting_of(id);
        }
    }

    /// Serves connections that wait where nothing is parked ahead.
    pub(super) fn serve_waiting(&mut self) {
        for id in self.services.ids() {
            if self.services[id].pool.park == Park::None {
                self.serve_waiting_of(id);
            }
        }
    }

    fn serve_waiting_of(&mut self, id: ServiceId) {
        for arrival in std::mem::take(&mut self.services[id].pool.waiting) {
            self.begin(arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded_and_the_pause_between_them_grows() {
        let (mut paced, mut now) = (Paced::default(), Instant::now());
        let mut attempts = 0;
        for _ in 0..1000 {
            attempts += u32::from(paced.attempts(now));
            now += Duration::from_millis(10);
        }
        // In 10 s: after 100, 200, 400 and 800 ms, then once a second.
        assert_eq!(attempts, 13);
        now += QUIET;
        assert!(paced.attempts(now));
        assert!(paced.attempts(now + PAUSE_MIN));
    }

    #[test]
    fn an_error_is_said_once_until_it_is_another() {
        let mut renewal = Renewal::default();
        assert!(renewal.failed("gone"));
        assert!(!renewal.failed("gone"));
        assert!(renewal.failed("another"));
        assert!(renewal.is_failing());
    }

    #[test]
    fn only_a_sandbox_that_was_begun_later_shows_that_a_failure_is_over() {
        let failure = Failure {
            step: Step::MountPoint,
            operand: sandbox::operand::Operand::None,
            errno: Errno::ENOENT,
        };
        let (mut renewal, now) = (Renewal::default(), Instant::now());
        renewal.failure = Some((failure, now + PAUSE_MIN));
        assert!(renewal.failed("gone"));
        assert!(!renewal.built(now) && renewal.is_failing());
        assert!(renewal.built(now + PAUSE_MAX) && !renewal.is_failing());
        assert!(!renewal.built(now + PAUSE_MAX));
    }

    #[test]
    fn only_files_that_are_gone_or_others_are_waited_for() {
        let failure = |step, errno| Failure { step, operand: sandbox::operand::Operand::None, errno };
        assert!(is_of_files(failure(Step::Layers, Errno::ENOENT)));
        assert!(is_of_files(failure(Step::BindChanged, Errno::ESTALE)));
        assert!(is_of_files(failure(Step::Exec, Errno::ETXTBSY)));
        assert!(!is_of_files(failure(Step::Exec, Errno::ENOENT)));
        assert!(!is_of_files(failure(Step::Clone, Errno::ENOENT)));
        assert!(!is_of_files(failure(Step::Layers, Errno::EPERM)));
    }
}
