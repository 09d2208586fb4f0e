//! The one event loop: accepts, launches, watches, kills, reaps. The only place that logs how connections end.
//!
//! Nothing a connection does is fatal here. Everything is found by its event, nothing by scanning the live sandboxes.

pub(crate) mod admission;
mod deadlines;
mod lifecycle;
mod live;
mod origin;
mod pool;
mod stderr;
mod warm;

use crate::config::service::Service;
use crate::connection::{Connection, Draining, Kind};
use crate::listener::Listener;
use crate::log;
use crate::notify::Notifier;
use crate::outcome::{Outcome, Record};
use crate::sandbox::park::Park;
use crate::sandbox::step::{AtStep, Failure, Step};
use crate::sandbox::{self, Sandbox, Workshop};
use crate::sys::process::Usage;
use crate::sys::{CStrings, Errno, Ignoring};
use admission::{Admission, Source};
use deadlines::{Deadline, Deadlines};
use live::{Arrival, Call, Heard, Live, Progress, Served, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use origin::{Origin, from_token, token};
use pool::Pool;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a refused peer may take to end its sending.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Refused connections that are read to their end at a time; those beyond are closed at once.
const DRAINING_MAX: usize = 64;
/// Pause after EMFILE and the like.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Idle time is looked at this often at the least.
const IDLE_TICK_MAX: Duration = Duration::from_secs(1);
const IDLE_TICK_MIN: Duration = Duration::from_millis(20);
/// What systemctl status shows.
const SERVING: &str = "serving";
/// How often the pool is looked at for what it does not need.
const SHRINK_EVERY: Duration = Duration::from_secs(10);
/// Connections taken from one listener before others get their turn.
const ACCEPT_BATCH: usize = 16;

/// Makes the service anew from its file; the text says what is wrong with that.
pub(crate) type Reload<'a> = Box<dyn Fn() -> Result<Service, String> + 'a>;

pub(crate) struct Supervisor<'a> {
    service: Rc<Service>,
    reload: Option<Reload<'a>>,
    notifier: Option<Notifier>,
    workshop: &'a Workshop,
    epoll: Epoll,
    signals: SignalFd,
    listeners: Vec<Listener>,
    live: HashMap<u64, Live>,
    draining: HashMap<u64, Draining>,
    deadlines: Deadlines,
    pool: Pool,
    admission: Admission,
    next_id: u64,
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
        service: Rc<Service>,
        workshop: &'a Workshop,
        signals: SignalFd,
        listeners: Vec<Listener>,
    ) -> Result<Supervisor<'a>, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Signal, 0)))?;
        let supervisor = Supervisor {
            pool: Pool::new(service.park, service.warm),
            admission: Admission::new(service.admission),
            service,
            reload: None,
            notifier: None,
            workshop,
            epoll,
            signals,
            listeners,
            live: HashMap::new(),
            draining: HashMap::new(),
            deadlines: Deadlines::default(),
            next_id: 1,
            next_conn: 1,
            stopping: None,
            last: None,
        };
        supervisor.watch_listeners()?;
        Ok(supervisor)
    }

    /// Serves one connection and answers how it ended.
    pub(crate) fn run(mut self, connection: Connection, began: Instant) -> Result<Outcome, Errno> {
        self.begin(Arrival { connection, source: Source::Other, began });
        while !self.live.is_empty() || !self.draining.is_empty() {
            self.turn()?;
        }
        // `begin` has either made a live sandbox, whose end is recorded, or recorded a refusal.
        self.last.ok_or(Errno::EINVAL)
    }

    /// Serves until a signal says to stop; SIGHUP makes the service anew.
    pub(crate) fn serve(mut self, reload: Reload<'a>, notifier: Notifier) -> Result<(), Errno> {
        notifier.ready(SERVING);
        self.reload = Some(reload);
        self.notifier = Some(notifier);
        self.deadlines.set(Instant::now() + SHRINK_EVERY, Deadline::Shrink);
        self.tell_watchdog();
        while self.stopping.is_none() || !self.live.is_empty() || !self.draining.is_empty() {
            self.turn()?;
        }
        Ok(())
    }

    /// Waits for events and handles each.
    fn turn(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        let wants_sandbox = self.wants_sandbox(now);
        let wait = if wants_sandbox { Some(Duration::ZERO) } else { self.deadlines.wait(now) };
        let timeout =
            wait.map_or(EpollTimeout::NONE, |wait| EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX));
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in events.iter().take(count) {
            match from_token(event.data()) {
                Some((Origin::Signal, _)) => self.on_signal(),
                Some((Origin::Listener, index)) => self.on_listener(index),
                Some((Origin::Channel, id)) => self.on_channel(id),
                Some((Origin::Call, id)) => self.on_call(id, event.events()),
                Some((Origin::Stderr, id)) => self.on_stderr(id),
                Some((Origin::Exit, id)) => self.on_exit(id),
                Some((Origin::Drain, id)) => self.on_drain(id),
                None => {}
            }
        }
        while let Some(deadline) = self.deadlines.take_due(Instant::now()) {
            self.on_deadline(deadline);
        }
        // Building holds up whoever waits in accept, so it comes when nobody does; unless it is for one who waits.
        if wants_sandbox && (count == 0 || !self.pool.waiting.is_empty()) {
            self.build_ahead();
        }
        Ok(())
    }

    /// A sandbox for this connection alone, from the beginning. On failure the peer gets the refusal.
    fn begin(&mut self, arrival: Arrival) {
        let began = arrival.began;
        match self.launch_for(&arrival.connection, began) {
            Ok(sandbox) => {
                let served = self.served(arrival);
                log::accepted(served.conn, &served.peer, sandbox.pid, sandbox.identity.uid);
                let service = Rc::clone(&self.service);
                let id = self.admit(Live::new(service, sandbox, Park::None, Some(served), began));
                self.watch_time(id);
            }
            Err(failure) => self.refuse_for(arrival, failure),
        }
    }

    fn launch_for(&self, connection: &Connection, began: Instant) -> Result<Sandbox, Failure> {
        self.bound(connection, began)?;
        let mut environment = self.service.environment.clone();
        environment.extend(connection.environment());
        let environment = CStrings::new(environment);
        sandbox::launch(&self.service.plan, self.workshop, connection.ends(), &environment, Park::None)
    }

    /// What the kernel may hold for the connection, from the time that is left to it.
    fn bound(&self, connection: &Connection, began: Instant) -> Result<(), Failure> {
        let rest = self.service.wall_time.map(|wall| wall.saturating_sub(began.elapsed()));
        connection.bound(self.service.send_buffer, rest).step(Step::BoundConnection)
    }

    fn served(&mut self, arrival: Arrival) -> Served {
        let conn = self.next_conn;
        self.next_conn += 1;
        Served::new(conn, arrival)
    }

    fn refuse_for(&mut self, arrival: Arrival, failure: Failure) {
        let Arrival { connection, source, .. } = arrival;
        self.admission.release(source);
        let service = Rc::clone(&self.service);
        let conn = self.next_conn;
        self.next_conn += 1;
        let outcome = Outcome::Refused(live::refusal(&service.plan, failure));
        log::ended(&Record::before_launch(conn, &connection.peer(), &service.name, outcome.clone()));
        self.last = Some(outcome);
        self.refuse(connection, &service.on_refusal);
    }

    /// Watches a launched sandbox. One that cannot be watched is killed at once: nothing may run unwatched.
    fn admit(&mut self, live: Live) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let sandbox = &live.sandbox;
        let watched = [
            (sandbox.channel.as_fd(), Origin::Channel),
            (sandbox.stderr.as_fd(), Origin::Stderr),
            (sandbox.pidfd.as_fd(), Origin::Exit),
        ]
        .into_iter()
        .try_for_each(|(fd, origin)| self.watch(fd, origin, id));
        if let Err(errno) = watched {
            log::backing_off(errno);
            live.kill();
        }
        self.live.insert(id, live);
        id
    }

    /// Wall and idle time, from the connection on.
    fn watch_time(&mut self, id: u64) {
        let Some(served) = self.live.get(&id).and_then(|live| live.served.as_ref()) else { return };
        let (began, by_hand) = (served.began, served.kind == Kind::ByHand);
        if let Some(wall) = self.service.wall_time {
            self.deadlines.set(began + wall, Deadline::Wall(id));
        }
        if let (Some(tick), false) = (self.idle_tick(), by_hand) {
            self.deadlines.set(began + tick, Deadline::IdleTick(id));
        }
    }

    fn watch(&self, fd: impl AsFd, origin: Origin, number: u64) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token(origin, number)))
    }

    fn idle_tick(&self) -> Option<Duration> {
        self.service.idle_time.map(|idle| (idle / 4).clamp(IDLE_TICK_MIN, IDLE_TICK_MAX))
    }

    fn refuse(&mut self, connection: Connection, bytes: &[u8]) {
        let Some(mut draining) = connection.refuse(bytes) else { return };
        if self.draining.len() >= DRAINING_MAX {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if draining.drain() || self.watch(&draining, Origin::Drain, id).is_err() {
            return;
        }
        self.deadlines.set(Instant::now() + DRAIN_TIME, Deadline::DrainEnd(id));
        self.draining.insert(id, draining);
    }

    fn on_drain(&mut self, id: u64) {
        if self.draining.get_mut(&id).is_some_and(Draining::drain) {
            self.draining.remove(&id);
        }
    }

    fn on_channel(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        match live.hear() {
            Progress::Going => {}
            Progress::Listening => {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Call, id));
                let watched = live.listener.as_ref().map(|listener| self.epoll.add(listener, event));
                if let Some(Err(errno)) = watched {
                    log::backing_off(errno);
                    live.kill();
                }
            }
            Progress::Ended => {
                self.epoll.delete(&live.sandbox.channel).ignoring("it is not watched any more");
                if live.has_executed() && !live.executed {
                    live.executed = true;
                    self.on_running(id);
                }
            }
        }
    }

    /// The handler runs and has its connection: ours would keep the peer waiting for the end.
    fn on_running(&mut self, id: u64) {
        let Some(served) = self.live.get_mut(&id).and_then(|live| live.served.as_mut()) else { return };
        served.running.get_or_insert_with(Instant::now);
        if !self.service.plan.rootfs.in_user_namespace {
            served.connection = None;
        }
    }

    fn on_call(&mut self, id: u64, events: EpollFlags) {
        let Some(live) = self.live.get_mut(&id) else { return };
        // ENOENT: the caller has died between its call and our asking.
        if events.contains(EpollFlags::EPOLLIN) && live.hear_call() == Ok(Call::Parked) {
            self.on_parked(id);
            return;
        }
        // No process uses the filter any more: the end of the sandbox is near.
        if events.contains(EpollFlags::EPOLLHUP)
            && let Some(listener) = live.listener.take()
        {
            self.epoll.delete(&listener).ignoring("it is not watched any more");
        }
    }

    fn on_stderr(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        if live.hear_stderr() == Heard::End {
            self.epoll.delete(&live.sandbox.stderr).ignoring("it is not watched any more");
        }
    }

    fn on_exit(&mut self, id: u64) {
        let Some(live) = self.live.get(&id) else { return };
        let Ok(Some((ending, usage))) = crate::sys::process::reap(live.sandbox.pidfd.as_fd()) else { return };
        // Its last report may have come with the end itself.
        self.on_channel(id);
        let Some(mut live) = self.live.remove(&id) else { return };
        self.unwatch(&live);
        live.drain_stderr();
        let outcome = live.outcome(ending);
        match live.served.take() {
            Some(served) => self.finish(&live.sandbox, served, outcome, usage),
            None => self.on_end_before_connection(id, &live, &outcome),
        }
    }

    /// Said, not left to the close: a sandbox that is being set up has copies of these for a moment, and epoll goes by the
    /// open file.
    fn unwatch(&self, live: &Live) {
        let sandbox = &live.sandbox;
        for fd in [&sandbox.channel, &sandbox.stderr, &sandbox.pidfd].into_iter().chain(&live.listener) {
            self.epoll.delete(fd).ignoring("it is not watched any more");
        }
    }

    fn finish(&mut self, sandbox: &Sandbox, mut served: Served, outcome: Outcome, usage: Usage) {
        self.admission.release(served.source);
        let now = Instant::now();
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let running = served.running.unwrap_or(now);
        log::ended(&Record {
            conn: served.conn,
            peer: &served.peer,
            service: &self.service.name,
            pid: sandbox.pid,
            uid: sandbox.identity.uid,
            outcome: outcome.clone(),
            setup_us: micros(running - served.began),
            run_us: micros(now - running),
            usage,
        });
        if let (Outcome::Refused(_), Some(connection)) = (&outcome, served.connection.take()) {
            let service = Rc::clone(&self.service);
            self.refuse(connection, &service.on_refusal);
        }
        self.last = Some(outcome);
    }

    fn on_deadline(&mut self, deadline: Deadline) {
        let now = Instant::now();
        match deadline {
            Deadline::Wall(id) => self.end(id, Verdict::WallTime),
            Deadline::IdleTick(id) => self.on_idle_tick(id, now),
            Deadline::ParkEnd(id) => self.on_park_end(id),
            Deadline::DrainEnd(id) => drop(self.draining.remove(&id)),
            Deadline::Shrink => self.shrink_pool(now),
            Deadline::Watchdog => self.tell_watchdog(),
            // The loop looks at the pool by itself.
            Deadline::ResumeBuilding => {}
            Deadline::ResumeAccepting => {
                if self.stopping.is_none() && self.watch_listeners().is_err() {
                    self.deadlines.set(now + BACK_OFF, Deadline::ResumeAccepting);
                }
            }
            Deadline::StopEnd => self.kill_all(),
        }
    }

    fn end(&mut self, id: u64, verdict: Verdict) {
        if let Some(live) = self.live.get_mut(&id) {
            live.condemn(verdict);
        }
    }

    fn on_idle_tick(&mut self, id: u64, now: Instant) {
        let (Some(idle), Some(tick)) = (self.service.idle_time, self.idle_tick()) else { return };
        let Some(live) = self.live.get_mut(&id) else { return };
        live.look_at_traffic(now);
        if live.served.as_ref().is_some_and(|served| now.duration_since(served.traffic_seen) >= idle) {
            self.end(id, Verdict::IdleTime);
        } else {
            self.deadlines.set(now + tick, Deadline::IdleTick(id));
        }
    }

    fn watch_listeners(&self) -> Result<(), Errno> {
        for (index, listener) in (0..).zip(&self.listeners) {
            match self.watch(listener, Origin::Listener, index) {
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
        let now = Instant::now();
        match self.admission.admit(&connection) {
            Ok(source) => self.serve_connection(Arrival { connection, source, began: now }),
            Err(rejected) => {
                if let Some(unlogged) = self.admission.log_rejection(now) {
                    log::rejected(&connection.peer(), rejected.option(), unlogged);
                }
                let service = Rc::clone(&self.service);
                self.refuse(connection, &service.over_limit);
            }
        }
    }

    fn on_signal(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or(libc::SIGTERM);
            self.stop(signal);
        }
    }
}
