//! Sandboxes that a zygote has cloned: taken in, whoever names them first.

use super::{Next, Stage, ZygoteId};
use crate::config::service::Service;
use crate::supervisor::Supervisor;
use crate::supervisor::deadlines::Deadline;
use crate::supervisor::live::{Call, Live};
use crate::supervisor::services::failure_of;
use crate::supervisor::warm::PARK_TIME;
use sandbox::launch::mounting;
use sandbox::launch::zygote::{self, SetUp};
use sandbox::operand::Operand;
use sandbox::step::{AtStep, Failure, Step};
use sandbox::{Sandbox, Workshop};
use std::fs;
use std::rc::Rc;
use std::time::Instant;
use sys::seccomp::Notification;
use sys::{Errno, Ignoring, process};

impl Supervisor<'_> {
    /// It says what came of its call: the sandbox's number, or an errno as the kernel has it.
    pub(super) fn on_cloned(&mut self, id: ZygoteId, answer: i64) {
        if let Some(pid) = u32::try_from(answer).ok().filter(|pid| *pid != 0) {
            self.adopt(id, pid);
            return;
        }
        self.put_next_leaf(id);
        let Some(zygote) = self.zygotes.0.get(&id).filter(|zygote| !zygote.retired) else { return };
        let (service_id, service, begun) = (zygote.service_id, Rc::clone(&zygote.service), zygote.begun);
        let errno = Errno::from_raw(i32::try_from(-answer).unwrap_or(libc::EIO));
        let errno = if answer == 0 { Errno::EBADE } else { errno };
        let failure = Failure { step: Step::Clone, operand: Operand::None, errno };
        self.on_no_sandbox(service_id, &service, failure, begun);
    }

    /// Takes a sandbox in that a zygote has cloned.
    fn adopt(&mut self, id: ZygoteId, pid: u32) -> Option<u64> {
        let zygote = self.zygotes.0.get_mut(&id)?;
        let (service_id, service) = (zygote.service_id, Rc::clone(&zygote.service));
        let (park, retired, listener) = (zygote.park, zygote.retired, zygote.listener.clone());
        let begun = zygote.begun;
        let (next, leaf) = (zygote.next.take(), zygote.next_leaf.take());
        let in_group = leaf.as_ref().map_or(Ok(()), |leaf| leaf.verify_holds(pid));
        let in_group = in_group.map_err(|error| failure_of(&error));
        let taken = in_group.and_then(|()| take(&service, self.workshop, pid, next));
        let taken = taken.inspect_err(|_| process::end_child(pid).ignoring("it is none of ours"));
        let watched = taken.and_then(|(sandbox, set_up)| {
            let number = self.watch_sandbox(&sandbox)?;
            Ok((number, sandbox, set_up))
        });
        let (number, sandbox, set_up) = match watched {
            Ok(watched) => watched,
            Err(failure) => {
                self.services[service_id].put_leaf(leaf, &service);
                self.mark_as_there(id);
                if !retired {
                    self.on_no_sandbox(service_id, &service, failure, begun);
                }
                return None;
            }
        };
        let is_sealed = set_up.is_some();
        let mut live = Live::new((service_id, service), sandbox, park, None, begun);
        live.listener = listener;
        live.zygote = set_up.as_ref().map(|_| id);
        live.leaf = leaf;
        live.set_up = set_up;
        live.retired = retired;
        if retired {
            live.kill();
        }
        self.live.insert(number, live);
        self.deadlines.set(Instant::now() + PARK_TIME, Deadline::ParkEnd(number));
        self.watch_end(number);
        self.mark_as_there(id);
        if is_sealed && let Some(zygote) = self.zygotes.0.get_mut(&id) {
            zygote.sandboxes.insert(pid, number);
        }
        Some(number)
    }

    /// A zygote has ended before it could say the number of its last sandbox. If that has not asked for its
    /// descriptors and never will, nobody else would reap it.
    pub(super) fn adopt_stray(&mut self, id: ZygoteId) {
        if self.zygotes.0.get(&id).is_none_or(|zygote| zygote.next.is_none()) {
            return;
        }
        if let Some(stray) = self.stray() {
            self.adopt(id, stray);
        }
    }

    /// A sandbox that was cloned, and that no zygote has told of.
    fn stray(&self) -> Option<u32> {
        let own = std::process::id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let is_known = |pid: &u32| self.live.values().any(|live| live.sandbox.pid == *pid);
        let mut children = children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
        children.find(|pid| !is_known(pid) && zygote::is_sandbox(*pid))
    }

    /// Ends those that are left, with the supervisor. What they have cloned last may not know of its end yet.
    pub(in crate::supervisor) fn end_zygotes(&mut self) {
        let zygotes = std::mem::take(&mut self.zygotes.0);
        for zygote in zygotes.values().filter(|zygote| zygote.stage != Stage::Ended) {
            zygote.process.destroy();
        }
        if zygotes.values().any(|zygote| zygote.next.is_some()) {
            while self.stray().is_some_and(|pid| process::end_child(pid).is_ok()) {}
        }
    }

    /// The sandbox that it was asked for last is there, or is known not to be.
    fn mark_as_there(&mut self, id: ZygoteId) {
        if let Some(zygote) = self.zygotes.0.get_mut(&id)
            && zygote.stage == (Stage::Cloning { is_there: false })
        {
            zygote.stage = Stage::Cloning { is_there: true };
        }
    }

    pub(super) fn on_call_of_sandbox(&mut self, id: ZygoteId, notification: &Notification) {
        let Some(zygote) = self.zygotes.0.get(&id) else { return };
        let (filters, Some(token)) = (zygote.filters, zygote.process.token) else { return };
        let known = zygote.sandboxes.get(&notification.pid).copied();
        let Some(number) = known.or_else(|| self.adopt(id, notification.pid)) else { return };
        let Some(live) = self.live.get_mut(&number) else { return };
        if live.set_up.is_some() {
            live.answer_set_up(notification, token);
            self.watch_end(number);
        } else if !live.hears_of_failed_exec(notification, token) {
            // One that has not inherited everything is given no connection.
            let is_whole = live.look_once(filters);
            let settled = if is_whole { live.settle(notification) } else { Ok(Call::Settled) };
            self.on_settled(number, settled);
        }
    }
}

/// The sandbox from the outside, and what it has to get yet if it has inherited its filters.
fn take(
    service: &Service,
    workshop: &Workshop,
    pid: u32,
    next: Option<Next>,
) -> Result<(Sandbox, Option<SetUp>), Failure> {
    let plan = &service.plan;
    match next.ok_or(Errno::EPROTO).step(Step::Clone)? {
        Next::Sealed(stderr) => {
            // Its own, in the place of the zygote's: a handler may run code before its first notified call.
            let placeholder = workshop.placeholder()?;
            let adopted = zygote::adopt(plan, pid, stderr, placeholder, service.passed_fds.open()?);
            adopted.map(|(sandbox, set_up)| (sandbox, Some(set_up)))
        }
        Next::Mounting(ordered) => {
            mounting::adopt(plan, workshop, pid, ordered).map(|sandbox| (sandbox, None))
        }
    }
}
