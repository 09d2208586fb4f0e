//! The one event loop: accepts, launches, watches, kills, reaps. The only place that logs how connections end.
//!
//! Nothing a connection does is fatal here. Everything is found by its event, nothing by scanning the live sandboxes.

mod deadlines;
mod live;
mod stderr;

use crate::config::service::Service;
use crate::connection::{Connection, Draining, Kind};
use crate::listener::Listener;
use crate::log;
use crate::outcome::{Outcome, Record, Refusal};
use crate::sandbox::{self, Workshop};
use crate::sys::{CStrings, Errno, Ignoring};
use deadlines::{Deadline, Deadlines};
use live::{Ended, Live, Progress, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Where an event comes from; with the number of its connection or listener it makes epoll's 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signal,
    Listener,
    Channel,
    Denied,
    Stderr,
    Exit,
    Drain,
}

const SOURCES: [Source; 7] = [
    Source::Signal,
    Source::Listener,
    Source::Channel,
    Source::Denied,
    Source::Stderr,
    Source::Exit,
    Source::Drain,
];

fn token(source: Source, number: u64) -> u64 {
    number << 3 | source as u64
}

fn from_token(token: u64) -> Option<(Source, u64)> {
    let index = usize::try_from(token & 7).ok()?;
    Some((*SOURCES.get(index)?, token >> 3))
}

/// How long a refused peer may take to end its sending.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Pause after EMFILE and the like.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Idle time is looked at this often at the least.
const IDLE_TICK_MAX: Duration = Duration::from_secs(1);
const IDLE_TICK_MIN: Duration = Duration::from_millis(20);
/// Connections taken from one listener before others get their turn.
const ACCEPT_BATCH: usize = 16;

#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    service: &'a Service,
    workshop: &'a Workshop,
    epoll: Epoll,
    signals: SignalFd,
    listeners: Vec<Listener>,
    live: HashMap<u64, Live>,
    draining: HashMap<u64, Draining>,
    deadlines: Deadlines,
    next_conn: u64,
    /// The signal that asked for the end.
    stopping: Option<i32>,
    last: Option<Outcome>,
}

/// Blocks all signals, so that nothing interrupts a set-up, and reads the ones that ask for something. Dispositions become
/// the default ones: what is ignored here (Rust ignores SIGPIPE, nohup SIGHUP) would be ignored by the handler.
pub(crate) fn signal_descriptor() -> Result<SignalFd, Errno> {
    SigSet::all().thread_block()?;
    crate::sys::process::reset_signal_dispositions();
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Refuses a connection before there is a loop, and reads what its peer still sends for as long as one would.
pub(crate) fn refuse_and_wait(connection: Connection, bytes: &[u8]) {
    let Some(mut draining) = connection.refuse(bytes) else { return };
    let end = Instant::now() + DRAIN_TIME;
    while !draining.drain() {
        let rest = end.saturating_duration_since(Instant::now()).as_millis();
        let rest = PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO);
        let mut watched = [PollFd::new(draining.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut watched, rest), Ok(1..)) {
            return;
        }
    }
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        service: &'a Service,
        workshop: &'a Workshop,
        signals: SignalFd,
        listeners: Vec<Listener>,
    ) -> Result<Supervisor<'a>, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, token(Source::Signal, 0)))?;
        let supervisor = Supervisor {
            service,
            workshop,
            epoll,
            signals,
            listeners,
            live: HashMap::new(),
            draining: HashMap::new(),
            deadlines: Deadlines::default(),
            next_conn: 1,
            stopping: None,
            last: None,
        };
        supervisor.watch_listeners()?;
        Ok(supervisor)
    }

    /// Serves one connection and answers how it ended.
    pub(crate) fn run(mut self, connection: Connection, began: Instant) -> Result<Outcome, Errno> {
        self.begin(connection, began);
        while !self.live.is_empty() || !self.draining.is_empty() {
            self.turn()?;
        }
        // `begin` has either made a live sandbox, whose end is recorded, or recorded a refusal.
        self.last.ok_or(Errno::EINVAL)
    }

    /// Serves until a signal says to stop.
    pub(crate) fn serve(mut self) -> Result<(), Errno> {
        while self.stopping.is_none() || !self.live.is_empty() || !self.draining.is_empty() {
            self.turn()?;
        }
        Ok(())
    }

    /// Waits for events and handles each.
    fn turn(&mut self) -> Result<(), Errno> {
        let wait = self.deadlines.wait(Instant::now());
        let timeout =
            wait.map_or(EpollTimeout::NONE, |wait| EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX));
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in events.iter().take(count) {
            match from_token(event.data()) {
                Some((Source::Signal, _)) => self.on_signal(),
                Some((Source::Listener, index)) => self.on_listener(index),
                Some((Source::Channel, conn)) => self.on_channel(conn),
                Some((Source::Denied, conn)) => self.on_denied(conn, event.events()),
                Some((Source::Stderr, conn)) => self.on_stderr(conn),
                Some((Source::Exit, conn)) => self.on_exit(conn),
                Some((Source::Drain, conn)) => self.on_drain(conn),
                None => {}
            }
        }
        while let Some(deadline) = self.deadlines.take_due(Instant::now()) {
            self.on_deadline(deadline);
        }
        Ok(())
    }

    /// Bounds the connection, launches a sandbox around it, watches it. On failure the peer gets the refusal.
    fn begin(&mut self, connection: Connection, began: Instant) {
        let conn = self.next_conn;
        self.next_conn += 1;
        match self.launch(&connection, began) {
            Ok(sandbox) => {
                let live = Live::new(conn, connection, sandbox, began);
                log::accepted(conn, &live.peer, live.sandbox.pid, live.sandbox.identity.uid);
                self.admit(conn, live);
            }
            Err(failure) => {
                let service = self.service;
                let refusal = live::refusal(&service.plan, failure);
                self.record_refusal(conn, &connection.peer(), refusal);
                self.refuse(conn, connection, &service.on_refusal);
            }
        }
    }

    fn launch(
        &self,
        connection: &Connection,
        began: Instant,
    ) -> Result<sandbox::Sandbox, sandbox::step::Failure> {
        use sandbox::step::{AtStep, Step};
        let rest = self.service.wall_time.map(|wall| wall.saturating_sub(began.elapsed()));
        connection.bound(self.service.send_buffer, rest).step(Step::BoundConnection)?;
        let mut environment = self.service.environment.clone();
        environment.extend(connection.environment());
        sandbox::launch(&self.service.plan, self.workshop, connection.ends(), &CStrings::new(environment))
    }

    /// Watches a launched sandbox. One that cannot be watched is killed at once: nothing may run unwatched.
    fn admit(&mut self, conn: u64, live: Live) {
        let sandbox = &live.sandbox;
        let watched = [
            (sandbox.channel.as_fd(), Source::Channel),
            (sandbox.stderr.as_fd(), Source::Stderr),
            (sandbox.pidfd.as_fd(), Source::Exit),
        ]
        .into_iter()
        .try_for_each(|(fd, source)| self.watch(fd, source, conn));
        if let Err(errno) = watched {
            log::backing_off(errno);
            live.kill();
        }
        if let Some(wall) = self.service.wall_time {
            self.deadlines.set(live.began + wall, Deadline::Wall(conn));
        }
        if let (Some(tick), true) = (self.idle_tick(), live.kind != Kind::ByHand) {
            self.deadlines.set(live.began + tick, Deadline::IdleTick(conn));
        }
        self.live.insert(conn, live);
    }

    fn watch(&self, fd: impl AsFd, source: Source, number: u64) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token(source, number)))
    }

    fn idle_tick(&self) -> Option<Duration> {
        self.service.idle_time.map(|idle| (idle / 4).clamp(IDLE_TICK_MIN, IDLE_TICK_MAX))
    }

    fn refuse(&mut self, conn: u64, connection: Connection, bytes: &[u8]) {
        let Some(mut draining) = connection.refuse(bytes) else { return };
        if draining.drain() || self.watch(&draining, Source::Drain, conn).is_err() {
            return;
        }
        self.deadlines.set(Instant::now() + DRAIN_TIME, Deadline::DrainEnd(conn));
        self.draining.insert(conn, draining);
    }

    fn on_drain(&mut self, conn: u64) {
        if self.draining.get_mut(&conn).is_some_and(Draining::drain) {
            self.draining.remove(&conn);
        }
    }

    fn on_channel(&mut self, conn: u64) {
        let Some(live) = self.live.get_mut(&conn) else { return };
        match live.hear() {
            Progress::Going => {}
            Progress::Listening => {
                let watched = live.listener.as_ref().map(|listener| {
                    self.epoll
                        .add(listener, EpollEvent::new(EpollFlags::EPOLLIN, token(Source::Denied, conn)))
                });
                if let Some(Err(errno)) = watched {
                    log::backing_off(errno);
                    live.kill();
                }
            }
            Progress::Ended => {
                if live.has_executed() && live.executed.is_none() {
                    live.executed = Some(Instant::now());
                    if !self.service.plan.rootfs.in_user_namespace {
                        live.connection = None;
                    }
                }
                self.epoll.delete(&live.sandbox.channel).ignoring("it is not watched any more");
            }
        }
    }

    fn on_denied(&mut self, conn: u64, events: EpollFlags) {
        let Some(live) = self.live.get_mut(&conn) else { return };
        if events.contains(EpollFlags::EPOLLIN) {
            live.hear_denied().ignoring("ENOENT: the caller has died between its call and our asking");
        }
        // No process uses the filter any more: the end of the sandbox is near.
        if events.contains(EpollFlags::EPOLLHUP)
            && let Some(listener) = live.listener.take()
        {
            self.epoll.delete(&listener).ignoring("it is not watched any more");
        }
    }

    fn on_stderr(&mut self, conn: u64) {
        let Some(live) = self.live.get_mut(&conn) else { return };
        if live.hear_stderr() {
            self.epoll.delete(&live.sandbox.stderr).ignoring("it is not watched any more");
        }
    }

    fn on_exit(&mut self, conn: u64) {
        let Some(live) = self.live.get(&conn) else { return };
        let Ok(Some((ending, usage))) = crate::sys::process::reap(live.sandbox.pidfd.as_fd()) else { return };
        // Its last report may have come with the end itself.
        self.on_channel(conn);
        if let Some(mut live) = self.live.remove(&conn) {
            live.drain_stderr();
            self.finish(Ended { live, ending, usage });
        }
    }

    fn finish(&mut self, ended: Ended) {
        let Ended { mut live, ending, usage } = ended;
        let outcome = live.outcome(&self.service.plan, ending);
        let now = Instant::now();
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let executed = live.executed.unwrap_or(now);
        log::ended(&Record {
            conn: live.conn,
            peer: &live.peer,
            service: &self.service.name,
            pid: live.sandbox.pid,
            uid: live.sandbox.identity.uid,
            outcome: outcome.clone(),
            setup_us: micros(executed - live.began),
            run_us: micros(now - executed),
            usage,
        });
        if let (Outcome::Refused(_), Some(connection)) = (&outcome, live.connection.take()) {
            let service = self.service;
            self.refuse(live.conn, connection, &service.on_refusal);
        }
        self.last = Some(outcome);
    }

    fn record_refusal(&mut self, conn: u64, peer: &str, refusal: Refusal) {
        let outcome = Outcome::Refused(refusal);
        log::ended(&Record::before_launch(conn, peer, &self.service.name, outcome.clone()));
        self.last = Some(outcome);
    }

    fn on_deadline(&mut self, deadline: Deadline) {
        let now = Instant::now();
        match deadline {
            Deadline::Wall(conn) => self.end(conn, Verdict::WallTime),
            Deadline::IdleTick(conn) => self.on_idle_tick(conn, now),
            Deadline::DrainEnd(conn) => drop(self.draining.remove(&conn)),
            Deadline::ResumeAccepting => {
                if self.stopping.is_none() && self.watch_listeners().is_err() {
                    self.deadlines.set(now + BACK_OFF, Deadline::ResumeAccepting);
                }
            }
            Deadline::StopEnd => self.kill_all(),
        }
    }

    fn end(&mut self, conn: u64, verdict: Verdict) {
        if let Some(live) = self.live.get_mut(&conn) {
            live.condemn(verdict);
        }
    }

    fn on_idle_tick(&mut self, conn: u64, now: Instant) {
        let (Some(idle), Some(tick)) = (self.service.idle_time, self.idle_tick()) else { return };
        let Some(live) = self.live.get_mut(&conn) else { return };
        live.look_at_traffic(now);
        if now.duration_since(live.traffic_seen) >= idle {
            self.end(conn, Verdict::IdleTime);
        } else {
            self.deadlines.set(now + tick, Deadline::IdleTick(conn));
        }
    }

    fn watch_listeners(&self) -> Result<(), Errno> {
        for (index, listener) in (0..).zip(&self.listeners) {
            match self.watch(listener, Source::Listener, index) {
                Err(Errno::EEXIST) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn pause_listeners(&mut self) {
        for listener in &self.listeners {
            self.epoll.delete(listener).ignoring("paused already");
        }
    }

    fn on_listener(&mut self, index: u64) {
        for _ in 0..ACCEPT_BATCH {
            let listener = usize::try_from(index).ok().and_then(|index| self.listeners.get(index));
            match listener.map(Listener::accept) {
                None | Some(Ok(None)) => return,
                Some(Ok(Some(Ok(connection)))) => self.on_connection(connection),
                // It has ended before it was looked at.
                Some(Ok(Some(Err(_)))) => {}
                Some(Err(errno)) => {
                    log::backing_off(errno);
                    self.pause_listeners();
                    self.deadlines.set(Instant::now() + BACK_OFF, Deadline::ResumeAccepting);
                    return;
                }
            }
        }
    }

    /// Admission comes before a sandbox is spent.
    fn on_connection(&mut self, connection: Connection) {
        if self.live.len() + self.draining.len() >= self.service.max_connections as usize {
            log::rejected(&connection.peer(), "max-connections");
            let conn = self.next_conn;
            self.next_conn += 1;
            let service = self.service;
            self.refuse(conn, connection, &service.over_limit);
            return;
        }
        self.begin(connection, Instant::now());
    }

    fn on_signal(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or(libc::SIGTERM);
            self.stop(signal);
        }
    }

    /// `run` ends its sandbox at once. `serve` stops accepting, lets handlers see the end of input, and kills what is left
    /// when the drain time is over, or at a second signal.
    fn stop(&mut self, signal: i32) {
        let serving = !self.listeners.is_empty();
        let again = self.stopping.is_some();
        if serving && signal == libc::SIGHUP {
            log::remark("SIGHUP: the service is not reloaded; restart to apply a changed file");
            return;
        }
        self.stopping.get_or_insert(signal);
        if !serving || again {
            self.kill_all();
            return;
        }
        log::stopping(signal, self.live.len());
        self.pause_listeners();
        self.listeners.clear();
        for live in self.live.values() {
            live.end_input();
        }
        if let Some(time) = self.service.drain_time {
            self.deadlines.set(Instant::now() + time, Deadline::StopEnd);
        }
    }

    fn kill_all(&mut self) {
        let signal = self.stopping.unwrap_or(libc::SIGTERM);
        for live in self.live.values_mut() {
            live.condemn(Verdict::Stopped(signal));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_source_and_number() {
        for source in SOURCES {
            assert_eq!(from_token(token(source, 123_456)), Some((source, 123_456)));
        }
    }
}
