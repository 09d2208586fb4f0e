//! A successor: a new process of the same services, which takes the listening sockets over while this one
//! serves its connections to their end.
//!
//! Both processes have the same sockets, so a connection that waits in a queue is accepted by one or the
//! other. They talk by messages:
//!
//! | from | message | then |
//! |---|---|---|
//! | predecessor | `Ranges` | the successor refuses a range of uids that overlaps one of them |
//! | successor | `Ready` | the predecessor stops accepting |
//! | predecessor | `Counters`, one for each service | counting goes on from them |
//! | predecessor | `TakeOver` | the successor accepts, and is the service's main process |
//! | predecessor | `Ended`, for each connection that ends | the successor counts it |
//! | successor | `Stop` | the predecessor stops, as by SIGTERM |
//!
//! A successor that ends or hangs before `TakeOver` changes nothing.

use super::Supervisor;
use super::deadlines::Deadline;
use super::messages::{Channel, Message, Received};
use super::origin::Origin;
use crate::config::service::ServiceId;
use crate::listener::Listener;
use crate::log;
use crate::notify::Notifier;
use report::counters::{Counters, Ended};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use sys::process::Child;
use sys::{Errno, Ignoring, process};

/// Time for a new process to open and check everything that the services need.
const START_TIME: Duration = Duration::from_secs(60);
/// Time for a process that is ready to read what it is told.
const READ_TIME: Duration = Duration::from_secs(5);

/// The numbers of the channels among events: the successor's, that of the process before, and from the next one
/// on those of processes before it.
const SUCCESSOR: u64 = 0;
const PREDECESSOR: u64 = 1;

/// Descriptors that a successor gets besides its own channel.
#[derive(Debug)]
pub(crate) struct PassedOn<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) stats: Option<BorrowedFd<'a>>,
    /// Channels of processes before this one that still have connections.
    pub(crate) predecessors: Vec<BorrowedFd<'a>>,
}

/// 0 to 2 are others'.
const FIRST_OWN: i32 = 3;

/// Tells a successor the ranges that sandboxes here may have ids from: base and size. Before it is executed.
pub(crate) fn tell_ranges(channel: BorrowedFd<'_>, ranges: Vec<(u32, u32)>) -> Result<(), Errno> {
    Channel(sys::dup_above(channel, FIRST_OWN)?).send(&Message::Ranges(ranges))
}

/// Those of the processes before this one. None comes from one that does not tell.
pub(crate) fn hear_ranges(channel: BorrowedFd<'_>) -> Vec<(u32, u32)> {
    match sys::dup_above(channel, FIRST_OWN).map(|channel| Channel(channel).receive()) {
        Ok(Received::Message(Message::Ranges(ranges))) => ranges,
        _ => Vec::new(),
    }
}

/// The process that was started to take over.
#[derive(Debug)]
pub(crate) struct Successor {
    /// Our end of the channel.
    pub(crate) channel: OwnedFd,
    pub(crate) process: Child,
}

/// From a process that could not become the successor.
pub(crate) fn tell_failure(channel: OwnedFd, why: &str) {
    let failed = Channel(channel).send(&Message::Failed(why.to_owned()));
    failed.ignoring("the end of the channel says that it was no use");
}

/// This process among those before and after it.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// Processes that still have connections, by the numbers of their channels.
    predecessors: BTreeMap<u64, Channel>,
    /// The predecessor still accepts; what systemd is told later, and whether it was told that we are ready.
    waiting: Option<Waiting>,
    successor: Option<(Channel, Child)>,
    /// The successor accepts.
    succeeded: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    notifier: Option<Notifier>,
    ready: bool,
}

impl Succession {
    /// Whether connections are this process's to accept.
    pub(super) fn accepts(&self) -> bool {
        self.waiting.is_none() && !self.succeeded
    }

    /// Whether a process before this one still has connections.
    pub(super) fn has_predecessors(&self) -> bool {
        !self.predecessors.is_empty()
    }
}

impl Supervisor<'_> {
    /// Waits with accepting until the first of these predecessors lets it take over.
    pub(crate) fn after(mut self, predecessors: Vec<OwnedFd>) -> Result<Self, Errno> {
        if let Some(channel) = predecessors.first() {
            self.pause_listeners();
            self.watch(channel, Origin::Succession, PREDECESSOR)?;
            self.succession.waiting = Some(Waiting::default());
        }
        self.succession.predecessors = (PREDECESSOR..).zip(predecessors.into_iter().map(Channel)).collect();
        Ok(self)
    }

    /// Tells systemd that this process serves, or keeps that for later.
    pub(super) fn begin_notifying(&mut self, notifier: Notifier) {
        match &mut self.succession.waiting {
            Some(waiting) => waiting.notifier = Some(notifier),
            None => {
                self.notifier = Some(notifier);
                let status = self.status();
                self.tell(|notifier| notifier.ready(&status));
                self.tell_watchdog();
            }
        }
    }

    /// Whether this process takes no new connections any more.
    pub(super) fn is_leaving(&self) -> bool {
        self.stopping.is_some() || self.succession.succeeded
    }

    /// Says that it is ready once as many sandboxes as are wanted have been begun.
    pub(super) fn offer_to_take_over(&mut self) {
        if self.succession.waiting.as_ref().is_none_or(|waiting| waiting.ready)
            || self.wants_sandbox(Instant::now()).is_some()
        {
            return;
        }
        let succession = &mut self.succession;
        if let (Some(waiting), Some(channel)) =
            (&mut succession.waiting, succession.predecessors.get(&PREDECESSOR))
        {
            waiting.ready = true;
            channel.send(&Message::Ready).ignoring("its end is an event of its own");
        }
    }

    pub(super) fn on_succession(&mut self, number: u64) {
        loop {
            let succession = &self.succession;
            let channel = match number {
                SUCCESSOR => succession.successor.as_ref().map(|(channel, _)| channel),
                _ => succession.predecessors.get(&number),
            };
            match channel.map(Channel::receive) {
                None | Some(Received::Nothing) => return,
                Some(Received::Message(message)) => self.on_message(message),
                Some(Received::Closed) if number == SUCCESSOR => {
                    return self.on_successors_end("the new process has ended before it was ready");
                }
                Some(Received::Closed) => return self.on_predecessors_end(number),
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Failed(why) => self.on_successors_end(&why),
            Message::Ready => self.pass_on(),
            // Heard before there was a loop.
            Message::Ranges(_) => {}
            Message::Stop => self.stop(libc::SIGTERM),
            Message::TakeOver => self.take_over(),
            Message::Counters(index, counters) => {
                if let Some(state) = self.services.all_mut().nth(index) {
                    state.statistics.continue_from(*counters);
                }
            }
            Message::Ended(index, ended) => {
                let id = self.services.ids().get(index).copied();
                if let Some(id) = id {
                    self.count(id, &ended.as_ended());
                }
            }
        }
    }

    /// Starts a successor, by the command line of this process and the program and files as they are now.
    pub(super) fn begin_succession(&mut self) {
        let Some(reload) = &self.reload else { return };
        let busy = self.succession.waiting.is_some() || self.succession.successor.is_some();
        let started = if self.learner.is_some() {
            Err("dayfly learn cannot be replaced while it runs".to_owned())
        } else if busy || self.is_leaving() {
            Err("another replacement, or the end, is under way".to_owned())
        } else {
            let stats = self.stats.as_ref().map(AsFd::as_fd);
            let predecessors = self.succession.predecessors.values().map(AsFd::as_fd).collect();
            reload.succeed(&PassedOn { listeners: &self.listeners, stats, predecessors })
        };
        let watched = started.and_then(|Successor { channel, process }| {
            self.watch(&channel, Origin::Succession, SUCCESSOR)
                .map_err(|errno| format!("cannot watch the new process: {errno}"))?;
            Ok((Channel(channel), process))
        });
        match watched {
            Ok(successor) => {
                log::successor_started(successor.1.pid);
                self.tell(Notifier::reloading);
                self.succession.successor = Some(successor);
                self.deadlines.set(Instant::now() + START_TIME, Deadline::SuccessorEnd);
            }
            Err(why) => log::not_succeeded(&why),
        }
    }

    /// The successor is ready: it gets the counts, then the connections that come from now on.
    fn pass_on(&mut self) {
        if self.is_leaving() {
            return;
        }
        let Some((channel, process)) = self.succession.successor.take() else { return };
        let pid = process.pid;
        self.pause_listeners();
        let end = Instant::now() + READ_TIME;
        for (index, (_, state)) in self.services.all().enumerate() {
            let counters = Box::new(state.statistics.counters.clone());
            let sent = channel.send_until(&Message::Counters(index, counters), end);
            sent.ignoring("it counts from what is written");
        }
        // Before the successor sends anything itself: systemd listens to the main process alone.
        let status = self.status();
        self.tell(|notifier| notifier.succeeded(pid, &status));
        let told = channel.send_until(&Message::TakeOver, end);
        self.succession.successor = Some((channel, process));
        if let Err(errno) = told {
            return self.stay(errno);
        }
        self.deadlines.cancel(Deadline::SuccessorEnd);
        self.succession.succeeded = true;
        log::succeeded(pid, self.services.connections());
        self.notifier = None;
        for listener in &mut self.listeners {
            listener.leave_file();
        }
        self.listeners.clear();
        self.forget_predecessors();
        self.change_stats_socket();
        for state in self.services.all_mut() {
            state.statistics.counters = Counters::default();
        }
        self.retire_unneeded();
    }

    /// The successor was ready, but cannot be told to take over: nobody would accept.
    fn stay(&mut self, errno: Errno) {
        if let Some((_, process)) = &self.succession.successor {
            process::send_signal(process.pidfd.as_fd(), libc::SIGKILL).ignoring("it has just ended");
        }
        self.on_successors_end(&format!("the new process was ready and does not hear: {errno}"));
        let own = std::process::id();
        let status = self.status();
        self.tell(|notifier| notifier.succeeded(own, &status));
        if let Err(errno) = self.watch_listeners() {
            self.pause_accepting(Instant::now(), errno);
        }
    }

    /// The successor has the socket for the counts as well. Its own is for who asks for the connections here.
    fn change_stats_socket(&mut self) {
        if let Some(mut socket) = self.stats.take() {
            self.epoll.delete(socket.as_fd()).ignoring("it is not watched any more");
            socket.leave_file();
        }
        self.stats = self.reload.as_ref().and_then(|reload| reload.stats_socket());
        if let Some(socket) = &self.stats {
            self.watch(socket.as_fd(), Origin::Stats, 0).ignoring("counts are no layer");
        }
    }

    /// The predecessor accepts no more.
    fn take_over(&mut self) {
        let Some(waiting) = self.succession.waiting.take() else { return };
        log::took_over();
        if let Err(errno) = self.watch_listeners() {
            self.pause_accepting(Instant::now(), errno);
        }
        if let Some(socket) = &self.stats {
            self.watch(socket.as_fd(), Origin::Stats, 0).ignoring("counts are no layer");
        }
        for (number, channel) in self.succession.predecessors.range(PREDECESSOR + 1..) {
            self.watch(channel, Origin::Succession, *number).ignoring("counts are no layer");
        }
        if let Some(notifier) = waiting.notifier {
            self.begin_notifying(notifier);
        }
        self.write_stats();
    }

    /// Passes a stop on: connections of the processes before are the service's, too.
    pub(super) fn stop_predecessors(&mut self) {
        if self.succession.waiting.take().is_some() {
            self.forget_predecessors();
        }
        for channel in self.succession.predecessors.values() {
            channel.send(&Message::Stop).ignoring("its end is an event of its own");
        }
    }

    fn on_predecessors_end(&mut self, number: u64) {
        if let Some(channel) = self.succession.predecessors.remove(&number) {
            self.epoll.delete(&channel).ignoring("it is not watched any more");
        }
        if self.succession.waiting.is_some() {
            log::remark("the process that this one was to replace has given it up or has ended");
            self.stop(libc::SIGTERM);
        }
    }

    /// Those are the successor's now, or were never this one's.
    fn forget_predecessors(&mut self) {
        for (_, channel) in std::mem::take(&mut self.succession.predecessors) {
            self.epoll.delete(&channel).ignoring("it is not watched any more");
        }
    }

    fn on_successors_end(&mut self, why: &str) {
        let Some((channel, _)) = self.succession.successor.take() else { return };
        self.epoll.delete(&channel).ignoring("it is not watched any more");
        if self.succession.succeeded {
            return;
        }
        self.deadlines.cancel(Deadline::SuccessorEnd);
        log::not_succeeded(why);
        let status = self.status();
        self.tell(|notifier| notifier.ready(&status));
    }

    /// The new process has had time enough.
    pub(super) fn on_successor_late(&mut self) {
        if let Some((_, process)) = &self.succession.successor {
            process::send_signal(process.pidfd.as_fd(), libc::SIGKILL).ignoring("it has just ended");
        }
        self.on_successors_end(&format!("the new process was not ready within {} s", START_TIME.as_secs()));
    }

    /// Counts the end of a connection, here or where the service's counts are kept now.
    pub(super) fn count(&mut self, service: ServiceId, ended: &Ended<'_>) {
        if self.succession.succeeded
            && let Some((channel, _)) = &self.succession.successor
        {
            let message = Message::Ended(service.index(), ended.into());
            channel.send(&message).ignoring("it is in the log; counts are no layer");
        } else {
            self.services[service].statistics.ended(ended);
        }
    }
}
