//! The one event loop: accepts, launches, watches, kills, reaps. The only place that logs how connections
//! end.
//!
//! Nothing a connection does is fatal here. Everything is found by its event, nothing by scanning the live
//! sandboxes.

mod accepting;
pub(crate) mod admission;
mod ageing;
mod answers;
mod awaiting;
mod budget;
mod deadlines;
mod ending;
mod eviction;
pub(crate) mod learning;
mod lifecycle;
mod live;
mod messages;
mod minimum_rate;
mod origin;
mod paths;
mod pool;
mod rate;
mod rate_limited;
pub(crate) mod renewal;
mod resets;
mod services;
mod set_up;
pub(crate) mod statistics;
mod status;
pub(crate) mod stderr;
pub(crate) mod succession;
mod time;
mod tls;
mod traffic;
mod trial;
mod turns;
mod warm;
mod zygotes;

use crate::cgroup::leaves::{Delegated, Leaf};
use crate::config::service::{Service, ServiceId};
use crate::connection::{Connection, Draining};
use crate::diag::Diag;
use crate::listener::Listener;
use crate::log;
use crate::notify::Notifier;
use crate::outcome::Outcome;
use crate::stats::socket::{Answer, StatsSocket};
use awaiting::Awaited;
use deadlines::{Deadline, Deadlines};
use learning::Learner;
use live::{Arrival, Call, Live, Progress, Served};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use origin::{Origin, from_token, token};
use rate::Rate;
use rate_limited::RateLimited;
use renewal::Reload;
use sandbox::Sandbox;
use sandbox::Workshop;
use sandbox::plan::park::Park;
use sandbox::step::{AtStep, Failure, Step};
use services::Services;
use statistics::StatsTargets;
use status::Tally;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use succession::Succession;
use sys::process::Child;
use sys::{CStrings, Errno, Ignoring};
use tls::Tls;
use turns::Turns;
use zygotes::{ZygoteId, Zygotes};

/// How long a refused peer may take to end its sending.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Limit on the time in which a peer takes no queued byte, unless the idle time is longer.
const UNTAKEN_TIME: Duration = Duration::from_secs(60);
/// Pause after EMFILE and the like.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often the pool is looked at for what it does not need.
const SHRINK_EVERY: Duration = Duration::from_secs(10);
pub(crate) struct Supervisor<'a> {
    services: Services,
    reload: Option<Box<dyn Reload + 'a>>,
    notifier: Option<Notifier>,
    workshop: &'a Workshop,
    groups: Option<Rc<Delegated>>,
    epoll: Epoll,
    signals: SignalFd,
    listeners: Vec<Listener>,
    live: HashMap<u64, Live>,
    /// Admitted, without a sandbox until they say something.
    awaited: HashMap<u64, Awaited>,
    draining: HashMap<u64, Draining>,
    /// Children that reset a connection, by the number of its sandbox.
    resets: HashMap<u64, Child>,
    zygotes: Zygotes,
    tls: Tls,
    deadlines: Deadlines,
    turns: Turns,
    /// Rate-limited log of what the machine is short of.
    shortages: RateLimited,
    unknown: RateLimited,
    /// Lines about calls that a default verdict has answered.
    answers_said: Rate,
    /// Where `dayfly learn` writes to.
    learner: Option<Learner>,
    tally: Tally,
    next_id: u64,
    next_conn: u64,
    /// The signal that asked for the end.
    stopping: Option<i32>,
    succession: Succession,
    stats: Option<StatsSocket>,
    /// Documents of counts that are being read.
    stats_answers: HashMap<u64, Answer>,
    /// None where nothing can be known of a connection that a handler has.
    diag: Option<Diag>,
    last: Option<Outcome>,
}

/// Blocks all signals, so that nothing interrupts a set-up, and reads the ones that ask for something.
/// Dispositions become the default ones: what is ignored here (Rust ignores SIGPIPE, nohup SIGHUP) would be
/// ignored by the handler.
pub(crate) fn signal_descriptor() -> Result<SignalFd, Errno> {
    SigSet::all().thread_block()?;
    sys::process::reset_signal_dispositions();
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2] {
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
        services: Vec<Service>,
        workshop: &'a Workshop,
        groups: Option<Rc<Delegated>>,
        signals: SignalFd,
        listeners: Vec<Listener>,
        diag: Option<Diag>,
    ) -> Result<Supervisor<'a>, Errno> {
        let services = services.into_iter().map(Rc::new).collect();
        let supervisor = Supervisor::of(services, workshop, groups, signals, listeners)?;
        Ok(Supervisor { diag, ..supervisor })
    }

    fn of(
        services: Vec<Rc<Service>>,
        workshop: &'a Workshop,
        groups: Option<Rc<Delegated>>,
        signals: SignalFd,
        listeners: Vec<Listener>,
    ) -> Result<Supervisor<'a>, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Signal, 0)))?;
        let supervisor = Supervisor {
            services: Services::new(services, groups.as_ref()),
            reload: None,
            notifier: None,
            workshop,
            groups,
            epoll,
            signals,
            listeners,
            live: HashMap::new(),
            awaited: HashMap::new(),
            draining: HashMap::new(),
            resets: HashMap::new(),
            zygotes: Zygotes::default(),
            tls: Tls::default(),
            deadlines: Deadlines::default(),
            turns: Turns::default(),
            shortages: RateLimited::default(),
            unknown: RateLimited::default(),
            answers_said: answers::said(Instant::now()),
            learner: None,
            tally: Tally::default(),
            next_id: 1,
            next_conn: 1,
            stopping: None,
            succession: Succession::default(),
            stats: None,
            stats_answers: HashMap::new(),
            diag: None,
            last: None,
        };
        supervisor.watch_listeners()?;
        Ok(supervisor)
    }

    /// Serves one connection and answers how it ended.
    ///
    /// A failure is of the loop itself; the connection comes back if no handler can have it.
    pub(crate) fn run(
        mut self,
        connection: Connection,
        began: Instant,
    ) -> Result<Outcome, (Errno, Option<Box<Connection>>)> {
        self.begin(Supervisor::arrival_of_run(connection, began));
        while self.live.values().any(|live| !live.unkillable)
            || !self.draining.is_empty()
            || !self.resets.is_empty()
        {
            if let Err(errno) = self.turn() {
                return Err((errno, self.take_back()));
            }
        }
        self.report_all_lines();
        // `begin` has either made a live sandbox, whose end is recorded, or recorded a refusal.
        self.last.ok_or((Errno::EINVAL, None))
    }

    /// Ends the sandbox of `run`.
    fn take_back(&mut self) -> Option<Box<Connection>> {
        let (_, mut live) = std::mem::take(&mut self.live).into_iter().next()?;
        live.sandbox.destroy();
        // Without our word it cannot have been executed.
        if live.has_executed() { None } else { live.served.take()?.connection.map(Box::new) }
    }

    /// Serves until a signal says to stop, or a successor takes over; SIGHUP makes the services anew.
    pub(crate) fn serve(
        mut self,
        reload: Box<dyn Reload + 'a>,
        notifier: Notifier,
        targets: StatsTargets,
    ) -> Result<(), Errno> {
        self.begin_telling(targets)?;
        ageing::prefer_supervisor();
        self.reload = Some(reload);
        self.begin_notifying(notifier);
        self.deadlines.set(Instant::now() + SHRINK_EVERY, Deadline::Shrink);
        self.deadlines.set(Instant::now() + renewal::LOOK_EVERY, Deadline::LookAtFiles);
        self.replace_signers();
        let served = self.serve_until_stopped();
        self.end_zygotes();
        if let Err(errno) = served {
            // They die with us; one that is only just cloned may not know that yet.
            self.live.values().filter(|live| !live.unkillable).for_each(|live| live.sandbox.destroy());
            return Err(errno);
        }
        self.report_all_lines();
        self.write_stats();
        Ok(())
    }

    fn serve_until_stopped(&mut self) -> Result<(), Errno> {
        while !self.is_leaving()
            || self.services.anybody_waits()
            || self.live.values().any(|live| !live.unkillable)
            || !self.draining.is_empty()
            || !self.resets.is_empty()
            || self.zygotes.are_cloning()
            || !self.awaited.is_empty()
            || self.succession.has_predecessors()
        {
            self.turn()?;
            self.offer_to_take_over();
            self.end_signers_at_the_end();
        }
        Ok(())
    }

    /// Waits for events and handles each.
    fn turn(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        let wanting = self.wants_sandbox(now);
        let wait = if wanting.is_some() { Some(Duration::ZERO) } else { self.deadlines.wait(now) };
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
                Some((Origin::Awaited, id)) => self.on_awaited(id),
                Some((Origin::Reset, id)) => self.on_reset(id),
                Some((Origin::Stats, _)) => self.answer_stats(),
                Some((Origin::ZygoteChannel, id)) => self.on_zygote_channel(ZygoteId(id)),
                Some((Origin::ZygoteCall, id)) => self.on_zygote_call(ZygoteId(id), event.events()),
                Some((Origin::ZygoteExit, id)) => self.on_zygote_exit(ZygoteId(id)),
                Some((Origin::Relay, conn)) => self.on_relay(conn),
                Some((Origin::Signer, id)) => self.on_signer(id),
                Some((Origin::StatsClient, id)) => self.go_on_answering(id),
                Some((Origin::Succession, number)) => self.on_succession(number),
                None => {}
            }
        }
        while let Some(deadline) = self.deadlines.take_due(Instant::now()) {
            self.on_deadline(deadline);
        }
        // Building delays connections in the accept queue, so it waits until the queue is empty, unless a
        // connection waits for it.
        if let Some(service) = wanting
            && (count == 0 || !self.services[service].pool.waiting.is_empty())
        {
            self.build_ahead(service);
        }
        Ok(())
    }

    /// A sandbox for this connection alone, from the beginning. On failure the peer gets the refusal.
    fn begin(&mut self, arrival: Arrival) {
        let (began, now) = (arrival.began, Instant::now());
        let (id, service) = (arrival.service, Rc::clone(&self.services[arrival.service].service));
        let launched = bound(&service, &arrival.connection, began).and_then(|()| {
            let mut environment = service.environment.clone();
            environment.extend(arrival.connection.environment(&service.environment));
            let environment = CStrings::new(environment);
            self.launch(id, &service, arrival.connection.ends(), &environment, Park::None)
        });
        match launched {
            Ok((number, sandbox, leaf)) => {
                let served = self.served(arrival, now);
                log::accepted(served.conn, &served.peer, sandbox.pid, sandbox.identity.uid);
                let mut live = Live::new((id, service), sandbox, Park::None, Some(served), now);
                live.leaf = leaf;
                let conn = live.conn();
                self.live.insert(number, live);
                self.watch_time(number);
                self.set_handler(conn, number);
            }
            Err(failure) => self.wait_or_refuse(arrival, failure, now),
        }
    }

    /// Launches a sandbox, in its own cgroup if the service has them, and watches it.
    fn launch(
        &mut self,
        id: ServiceId,
        service: &Service,
        ends: (BorrowedFd<'_>, BorrowedFd<'_>),
        environment: &CStrings,
        park: Park,
    ) -> Result<(u64, Sandbox, Option<Leaf>), Failure> {
        let leaf = self.services[id].take_leaf()?;
        let group = leaf.as_ref().map(AsFd::as_fd);
        let passed_fds = service.passed_fds.open();
        let launched = passed_fds
            .and_then(|passed_fds| {
                sandbox::launch(&service.plan, self.workshop, group, ends, &passed_fds, environment, park)
            })
            .and_then(|sandbox| Ok((self.watch_sandbox(&sandbox)?, sandbox)));
        match launched {
            Ok((number, sandbox)) => Ok((number, sandbox, leaf)),
            Err(failure) => {
                self.services[id].put_leaf(leaf, service);
                Err(failure)
            }
        }
    }

    fn served(&mut self, arrival: Arrival, sandbox_at: Instant) -> Served {
        let conn = self.number(arrival.conn);
        Served::new(conn, arrival, sandbox_at)
    }

    /// The number of a connection: the one it has, or the next.
    fn number(&mut self, conn: Option<u64>) -> u64 {
        conn.unwrap_or_else(|| {
            self.next_conn += 1;
            self.next_conn - 1
        })
    }

    /// Watches a launched sandbox; one that cannot be watched is destroyed: nothing may run unwatched.
    fn watch_sandbox(&mut self, sandbox: &Sandbox) -> Result<u64, Failure> {
        let id = self.next_id;
        self.next_id += 1;
        let channel = sandbox.channel.as_ref().map(|channel| (channel.as_fd(), Origin::Channel));
        let watched = channel
            .into_iter()
            .chain([(sandbox.stderr.as_fd(), Origin::Stderr), (sandbox.pidfd.as_fd(), Origin::Exit)])
            .try_for_each(|(fd, origin)| self.watch(fd, origin, id));
        watched.map(|()| id).step(Step::Watch).inspect_err(|_| {
            self.unwatch(sandbox);
            sandbox.destroy();
        })
    }

    fn watch(&self, fd: impl AsFd, origin: Origin, number: u64) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token(origin, number)))
    }

    fn on_channel(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        match live.hear() {
            Progress::Going => {}
            Progress::Listening => {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Call, id));
                if let Some(listener) = &live.listener {
                    let watched = self.epoll.add(listener, event);
                    live.on_listener_watched(watched);
                }
            }
            Progress::Ended => {
                if let Some(channel) = &live.sandbox.channel {
                    self.epoll.delete(channel).ignoring("it is not watched any more");
                }
                if live.has_executed() && !live.executed {
                    live.executed = true;
                    let (service, begun) = (live.service_id, live.begun);
                    self.on_built(service, begun);
                    self.on_running(id);
                }
            }
        }
        self.watch_end(id);
    }

    /// The handler runs and has its connection: ours would keep the peer waiting for the end.
    fn on_running(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(served) = &mut live.served else { return };
        served.running.get_or_insert_with(Instant::now);
        if !live.service.plan.rootfs.in_user_namespace {
            served.connection = None;
        }
    }

    fn on_call(&mut self, id: u64, events: EpollFlags) {
        let Some(live) = self.live.get_mut(&id) else { return };
        // ENOENT: the caller has died between its call and our asking.
        let call = if events.contains(EpollFlags::EPOLLIN) { live.hear_call() } else { Ok(Call::Settled) };
        self.on_settled(id, call);
        let Some(live) = self.live.get_mut(&id) else { return };
        // No process uses the filter any more: the end of the sandbox is near.
        if events.contains(EpollFlags::EPOLLHUP)
            && let Some(listener) = live.listener.take()
        {
            self.epoll.delete(listener.as_fd()).ignoring("it is not watched any more");
        }
    }

    fn on_settled(&mut self, id: u64, call: Result<Call, Errno>) {
        match call {
            Ok(Call::Parked) => self.on_parked(id),
            Ok(Call::Answered(first)) => self.on_answered(id, first),
            Ok(Call::Recorded(first)) => self.on_recorded(id, first),
            Ok(Call::Settled) | Err(_) => self.watch_end(id),
        }
    }

    fn on_signal(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo).unwrap_or(libc::SIGTERM) {
                libc::SIGUSR2 => self.begin_succession(),
                signal => self.stop(signal),
            }
        }
    }
}

/// Limits the kernel's buffers and retransmission time for the connection, from its remaining time.
fn bound(service: &Service, connection: &Connection, began: Instant) -> Result<(), Failure> {
    let rest = service.wall_time.map(|wall| wall.saturating_sub(began.elapsed()));
    // Queued bytes outlive the handler: a peer that takes none of them must not keep them for hours.
    let rest = match (rest, service.idle_time) {
        (Some(rest), Some(idle)) => Some(rest.min(idle.max(UNTAKEN_TIME))),
        (rest, _) => rest,
    };
    connection.bound(service.send_buffer, rest).step(Step::BoundConnection)
}
