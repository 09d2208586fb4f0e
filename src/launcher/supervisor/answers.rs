//! Calls that a profile's default verdict answers with an errno: counted, recorded, and answered at a
//! bounded rate.
//!
//! Each answer costs the supervisor a look at the sandbox. A handler that makes such calls by the thousand
//! waits for its answers; nobody else does.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::{Call, Live};
use super::origin::{Origin, token};
use super::rate::Rate;
use crate::log;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use sandbox::launch::denied::Denied;
use sandbox::plan::park::Park;
use sandbox::step::Step;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::Errno;
use sys::seccomp::Notification;

/// How many different calls a record names.
const KINDS_MAX: usize = 16;

/// The answered calls of one sandbox.
#[derive(Debug)]
pub(super) struct Answers {
    count: u64,
    /// The first of each kind, in order.
    kinds: Vec<Denied>,
    rate: Rate,
}

/// How long a sandbox whose answers are used up waits for the next ones.
const PAUSE: Duration = Duration::from_millis(100);

impl Answers {
    pub(super) fn new(now: Instant) -> Answers {
        Answers { count: 0, kinds: Vec::new(), rate: Rate::new(1000, Duration::from_millis(5), now) }
    }

    /// Counts a call; true where it is the first of its kind.
    pub(super) fn add(&mut self, call: Denied, now: Instant) -> bool {
        self.count = self.count.saturating_add(1);
        self.rate.take(now);
        let is_new = self.kinds.len() < KINDS_MAX && self.kinds.iter().all(|kind| kind.number != call.number);
        if is_new {
            self.kinds.push(call);
        }
        is_new
    }

    /// Whether the next answer has to wait.
    pub(super) fn are_used_up(&self) -> bool {
        self.rate.is_empty()
    }

    /// The number of answered calls and their names, for the record; None if there were none.
    pub(super) fn summary(&self) -> Option<(u64, String)> {
        let names: Vec<String> = self.kinds.iter().map(Denied::name).collect();
        (self.count > 0).then(|| (self.count, names.join(" ")))
    }
}

/// How many lines there are about answered calls, of all sandboxes.
pub(super) fn said(now: Instant) -> Rate {
    Rate::new(32, Duration::from_millis(250), now)
}

/// The call that a notification is of.
pub(super) fn call_of(notification: &Notification) -> Denied {
    Denied {
        number: notification.nr,
        foreign: notification.arch != sys::seccomp::NATIVE_ARCH,
        args: notification.args,
    }
}

impl Live {
    /// Settles one notified call: it parks the sandbox, or it is like the one that did and goes on, or it is
    /// denied: recorded, its maker killed, or answered with the errno of the profile's default verdict. A
    /// denied call is never made.
    pub(super) fn hear_call(&mut self) -> Result<Call, Errno> {
        let Some(listener) = &self.listener else { return Ok(Call::Settled) };
        let notification = sys::seccomp::receive(listener.as_fd())?;
        self.settle(&notification)
    }

    /// The same of a call that was received.
    pub(super) fn settle(&mut self, notification: &Notification) -> Result<Call, Errno> {
        let Some(listener) = &self.listener else { return Ok(Call::Settled) };
        let call = call_of(notification);
        let parks = self.park.is_parking_call(&call) && (self.park.is_after_exec() || !self.executed);
        if parks && self.served.is_none() && self.parked.is_none() {
            self.parked = Some(notification.id);
            return Ok(Call::Parked);
        }
        // libc's start-up makes its call once; again and again it would only keep the supervisor busy.
        if parks && self.park != Park::Entry {
            return sys::seccomp::let_call(listener.as_fd(), notification.id).map(|()| Call::Settled);
        }
        if self.service.learning.is_some() && call.is_native() {
            return self.learn((notification.id, notification.pid), call);
        }
        if let Some(errno) = self.default_answer(&call) {
            sys::seccomp::fail_call(listener.as_fd(), notification.id, errno)?;
            let is_new = self.answers.add(call, Instant::now());
            return Ok(Call::Answered(is_new.then_some((call, errno))));
        }
        self.denied.get_or_insert(call);
        self.kill();
        Ok(Call::Settled)
    }

    /// The errno for a call of the handler's, by the profile's default verdict; None where the call ends the
    /// sandbox. A call by another machine's door or by that of x32 always does.
    pub(super) fn default_answer(&self, call: &Denied) -> Option<u16> {
        let native = call.is_native().then(|| call.number.cast_unsigned());
        native.and_then(|number| self.service.profile.answer(number, &call.args))
    }
}

impl Supervisor<'_> {
    /// The default verdict has answered a call. A handler that makes them faster than they are
    /// answered waits.
    pub(super) fn on_answered(&mut self, id: u64, first: Option<(Denied, u16)>) {
        let Some(live) = self.live.get(&id) else { return };
        if let Some((call, errno)) = first
            && self.answers_said.take(Instant::now())
        {
            log::answered(live.conn(), &live.service.name, &call, errno);
        }
        if live.answers.are_used_up()
            && let Some(listener) = &live.listener
            && self.epoll.delete(listener).is_ok()
        {
            self.deadlines.set(Instant::now() + PAUSE, Deadline::ResumeCalls(id));
        }
    }

    /// Hears the calls of a sandbox again that has waited for its answers.
    pub(super) fn resume_calls(&mut self, id: u64) {
        let Some(listener) = self.live.get(&id).and_then(|live| live.listener.as_ref()) else { return };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token(Origin::Call, id));
        if let Err(errno) = self.epoll.add(listener, event)
            && let Some(live) = self.live.get_mut(&id)
        {
            live.fail(Step::Listener, errno);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: i32) -> Denied {
        Denied { number, foreign: false, args: [0; 6] }
    }

    #[test]
    fn all_calls_are_counted_and_the_first_kinds_named() {
        let now = Instant::now();
        let mut answers = Answers::new(now);
        assert_eq!(answers.summary(), None);
        assert!(answers.add(call(5), now) && !answers.add(call(5), now) && answers.add(call(3), now));
        for number in 100..2000 {
            answers.add(call(number), now);
        }
        let (count, names) = answers.summary().unwrap();
        assert_eq!((count, names.split(' ').count() >= KINDS_MAX), (1903, true));
        assert!(names.starts_with(&format!("{} {}", call(5).name(), call(3).name())), "{names}");
        assert!(answers.are_used_up());
    }
}
