//! Counts connections that end, and reports the counts: to clients of the socket, and to the service's own
//! sandboxes.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::{Live, Served};
use super::origin::{Origin, token};
use super::services;
use crate::config::service::ServiceId;
use crate::config::tls::Role;
use crate::log;
use crate::outcome::{Record, micros};
use crate::stats;
use crate::stats::public::PublicDirectory;
use crate::stats::socket::{Answer, StatsSocket};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use report::counters::{Counters, Ended};
use report::{LISTED_MAX, Limits, Report, Sandbox, State};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::Errno;

/// As many may read the counts at a time.
const ANSWERS_MAX: usize = 16;
/// As long as they may take.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How often `stats.json` is written, at the most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Descriptors opened before the supervisor left the host's mounts.
#[derive(Debug, Default)]
pub(crate) struct StatsTargets {
    pub(crate) socket: Option<StatsSocket>,
    /// One for each service.
    pub(crate) public: Vec<Option<PublicDirectory>>,
}

/// The counts of one service.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) counters: Counters,
    public: Option<PublicDirectory>,
    /// Counted and not written yet.
    unwritten: bool,
    /// The gauges as last written.
    written: Gauges,
}

impl Statistics {
    /// Counting goes on from what an earlier supervisor has written.
    fn publish(&mut self, directory: Option<PublicDirectory>) {
        if let Some(before) = directory.as_ref().and_then(PublicDirectory::restore) {
            self.counters = before;
        }
        self.unwritten = true;
        self.public = directory;
    }

    pub(super) fn ended(&mut self, ended: &Ended<'_>) {
        self.counters.ended(ended);
        self.unwritten = true;
    }

    /// Counting goes on from what the process before this one has counted.
    pub(super) fn continue_from(&mut self, before: Counters) {
        self.counters = before;
        self.unwritten = true;
    }
}

fn ended<'a>(record: &Record<'a>, selector: Option<&'a str>) -> Ended<'a> {
    Ended {
        at: stats::now(),
        outcome: record.outcome.name(),
        peer: record.peer,
        launched: record.pid != 0,
        wait_us: record.wait_us,
        setup_us: record.setup_us,
        run_us: record.run_us,
        cpu_us: record.usage.cpu_us,
        selector,
    }
}

impl Supervisor<'_> {
    pub(super) fn begin_telling(&mut self, targets: StatsTargets) -> Result<(), Errno> {
        if let Some(socket) = targets.socket.as_ref().filter(|_| self.succession.accepts()) {
            self.watch(socket.as_fd(), Origin::Stats, 0)?;
        }
        self.stats = targets.socket;
        for (state, directory) in self.services.all_mut().zip(targets.public) {
            state.statistics.publish(directory);
        }
        self.write_stats();
        Ok(())
    }

    /// Every end of a connection: logged and counted.
    pub(super) fn record(&mut self, service: ServiceId, record: &Record<'_>, selector: Option<&str>) {
        log::ended(record);
        self.tally.ended(record);
        self.on_status_change();
        let service = self.services.owner(service);
        self.count(service, &ended(record, selector));
    }

    /// One for each service, without its sandboxes.
    fn reports(&self) -> Vec<Report> {
        // Those of TLS stand behind all others.
        let asked_for = self.services.all().filter(|(_, state)| state.service.role == Role::Handler);
        let mut reports: Vec<Report> = asked_for.map(|(_, state)| report_of(state)).collect();
        for live in self.live.values().filter(|live| live.served.is_some()) {
            if let Some(report) = reports.get_mut(live.service_id.index()) {
                report.waiting = report.waiting.saturating_sub(1);
            }
        }
        reports
    }

    /// Reports with the sandboxes that are listed.
    fn whole_reports(&self) -> Vec<Report> {
        let mut reports = self.reports();
        let mut served: Vec<(&Live, &Served)> =
            self.live.values().filter_map(|live| Some((live, live.served.as_ref()?))).collect();
        served.sort_unstable_by_key(|(_, served)| served.conn);
        let now = Instant::now();
        for (live, served) in served.into_iter().take(LISTED_MAX) {
            if let Some(report) = reports.get_mut(live.service_id.index()) {
                report.sandboxes.push(listed(live, served, now));
            }
        }
        reports
    }

    /// Somebody asks. The document is larger than a socket's buffer where there are many services.
    pub(super) fn answer_stats(&mut self) {
        let Some(client) = self.stats.as_ref().and_then(StatsSocket::accept) else { return };
        if self.stats_answers.len() >= ANSWERS_MAX {
            return;
        }
        let Some(mut answer) = Answer::new(client, &self.whole_reports()) else { return };
        if answer.go_on() {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLOUT, token(Origin::StatsClient, id));
        if self.epoll.add(&answer, event).is_ok() {
            self.deadlines.set(Instant::now() + ANSWER_TIME, Deadline::AnswerEnd(id));
            self.stats_answers.insert(id, answer);
        }
    }

    pub(super) fn go_on_answering(&mut self, id: u64) {
        if self.stats_answers.get_mut(&id).is_some_and(Answer::go_on) {
            self.deadlines.cancel(Deadline::AnswerEnd(id));
            self.stats_answers.remove(&id);
        }
    }

    /// Writes changed statistics. A failure is logged once, and retried.
    pub(super) fn write_stats(&mut self) {
        // The files are those of the process that accepts.
        if !self.succession.accepts()
            || self.services.all().all(|(_, state)| state.statistics.public.is_none())
        {
            return;
        }
        let reports = self.reports();
        for (state, mut report) in self.services.all_mut().zip(reports) {
            let statistics = &mut state.statistics;
            let gauges = Gauges::of(&report);
            if !statistics.unwritten && statistics.written == gauges {
                continue;
            }
            let Some(directory) = &statistics.public else { continue };
            statistics.unwritten = false;
            statistics.written = gauges;
            statistics.counters.turn_to(stats::now());
            report.counters.clone_from(&statistics.counters);
            if let Err(error) = directory.write(&report) {
                log::detail(&format!("cannot write the statistics of {}: {error}", state.service.name));
            }
        }
        self.deadlines.set(Instant::now() + WRITE_EVERY, Deadline::WriteStats);
    }
}

/// Numbers that change without a connection's end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gauges {
    numbers: [u64; 4],
    limits: Option<Limits>,
}

impl Gauges {
    fn of(report: &Report) -> Gauges {
        Gauges {
            numbers: [report.live, report.waiting, report.parked, report.sources],
            limits: report.limits,
        }
    }
}

/// A service's report without its sandboxes; all its connections count as waiting.
fn report_of(state: &services::State) -> Report {
    let (service, live) = (&state.service, state.admission.count() as u64);
    let span = |time: Option<Duration>| time.map(micros);
    Report {
        service: service.name.clone(),
        live,
        parked: state.pool.parked.len() as u64,
        waiting: live,
        sources: state.admission.sources() as u64,
        limits: Some(Limits {
            max_connections: service.admission.total as u64,
            max_per_source: service.admission.per_source as u64,
            memory_bytes: service.memory(),
            wall_time_us: span(service.wall_time),
            idle_time_us: span(service.idle_time),
        }),
        counters: state.statistics.counters.clone(),
        ..Report::default()
    }
}

/// A sandbox as the supervisor knows it: the reader gets the kernel's counts itself.
fn listed(live: &Live, served: &Served, now: Instant) -> Sandbox {
    let state = match served.running {
        _ if live.verdict.is_some() => State::Ending,
        Some(_) => State::Running,
        None => State::SetUp,
    };
    let bytes = served.bytes();
    Sandbox {
        conn: served.conn,
        peer: served.peer.clone(),
        pid: live.sandbox.pid,
        uid: live.sandbox.identity.uid,
        state,
        age_us: micros(now.saturating_duration_since(served.began)),
        bytes_in: bytes.map(|bytes| bytes.received),
        bytes_out: bytes.map(|bytes| bytes.sent),
    }
}
