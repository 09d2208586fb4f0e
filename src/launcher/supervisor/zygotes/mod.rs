//! The zygotes of the services: made when a sandbox is wanted, asked for sandboxes one at a time, replaced
//! when they end.
//!
//! A zygote and its sandboxes have one listener. A notified call is told apart by the number of its process:
//! the zygote's own, which waits in clone3(2); that of a sandbox which sets itself up; or that of one that was
//! executed, as in [`super::live`]. A zygote whose sandboxes mount something has no listener: it takes orders
//! on its channel, and each of its sandboxes has a listener of its own.

mod adoption;

use super::answers::call_of;
use super::deadlines::Deadline;
use super::live::refusal;
use super::origin::Origin;
use super::pool::EndedIn;
use super::warm::PARK_TIME;
use super::{Service, ServiceId, Supervisor};
use crate::cgroup::leaves::Leaf;
use crate::log;
use crate::outcome::Outcome;
use nix::sys::epoll::EpollFlags;
use sandbox::Workshop;
use sandbox::launch::mounting::{self, Ordered};
use sandbox::launch::zygote;
use sandbox::operand::Operand;
use sandbox::plan::park::Park;
use sandbox::plan::zygote::Kind;
use sandbox::step::{AtStep, Failure, Step};
use sandbox::wire::{GO_ON, REPORT_LEN, Report};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;
use sys::process;
use sys::seccomp::Notification;
use sys::{CStrings, Errno, Ignoring};

/// Among all that a supervisor makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ZygoteId(pub(super) u64);

#[derive(Debug, Default)]
pub(super) struct Zygotes(HashMap<ZygoteId, Zygote>);

#[derive(Debug)]
struct Zygote {
    service_id: ServiceId,
    /// The service it was made for; a reload makes another.
    service: Rc<Service>,
    kind: Kind,
    park: Park,
    process: zygote::Zygote,
    /// Until the last process that uses its filters has ended.
    listener: Option<Rc<OwnedFd>>,
    /// How many filters it has, and so each sandbox.
    filters: u32,
    stage: Stage,
    /// Sandboxes that it was not asked for yet.
    wanted: usize,
    /// Its live sandboxes, by the numbers of their processes.
    sandboxes: HashMap<u32, u64>,
    /// No longer needed, or ended: no sandbox is wanted of it.
    retired: bool,
    failure: Option<Failure>,
    /// Our part of the sandbox that it was asked for last, and its cgroup, until that sandbox is there.
    next: Option<Next>,
    next_leaf: Option<Leaf>,
    /// Time at which its set-up, or its last sandbox, was begun.
    begun: Instant,
}

#[derive(Debug)]
enum Next {
    /// Our end of its stderr.
    Sealed(OwnedFd),
    Mounting(Ordered),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    SettingUp,
    /// In this call; 0: for an order.
    Waiting(u64),
    /// It was asked for a sandbox, which may be there before it says so.
    Cloning {
        is_there: bool,
    },
    Ended,
}

impl Zygote {
    /// Sandboxes that are wanted of it and not there.
    fn outstanding(&self) -> usize {
        self.wanted + usize::from(self.is_cloning())
    }

    /// Asks for a sandbox, in this cgroup.
    fn ask(&self, call: u64, group: Option<BorrowedFd<'_>>, workshop: &Workshop) -> Result<Next, Failure> {
        let (process, plan) = (&self.process, &self.service.plan);
        match self.kind {
            Kind::Sealed => {
                let listener = self.listener.as_ref().ok_or(Errno::ENOENT).step(Step::Clone)?;
                let stderr = process.take_stderr(plan)?;
                process.let_clone(listener.as_fd(), call, group).step(Step::Clone)?;
                Ok(Next::Sealed(stderr))
            }
            Kind::Mounting => mounting::order(process, plan, workshop, group).map(Next::Mounting),
        }
    }

    fn is_cloning(&self) -> bool {
        self.stage == Stage::Cloning { is_there: false }
    }

    /// Looks at one that is complete: how many filters its sandboxes have.
    fn verify(&self) -> Result<u32, Failure> {
        match self.kind {
            Kind::Sealed => self.process.verify(),
            Kind::Mounting => mounting::verify_zygote(&self.process).map(|()| 0),
        }
    }

    fn kill(&self) {
        if self.stage != Stage::Ended {
            self.process.kill().ignoring("it ends with the supervisor");
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        self.kill();
    }
}

impl Zygotes {
    /// A sandbox has ended, and its number may be another's now.
    pub(super) fn forget(&mut self, id: ZygoteId, pid: u32) {
        if let Some(zygote) = self.0.get_mut(&id) {
            zygote.sandboxes.remove(&pid);
        }
    }

    /// The sandboxes that it has made live on. One that clones ends when it has said what came of that.
    pub(super) fn retire(&mut self, service: ServiceId) {
        for zygote in self.0.values_mut().filter(|zygote| zygote.service_id == service && !zygote.retired) {
            zygote.retired = true;
            zygote.wanted = 0;
            if !zygote.is_cloning() {
                zygote.kill();
            }
        }
    }

    /// Whether a sandbox may come into being that is not known yet.
    pub(super) fn are_cloning(&self) -> bool {
        self.0.values().any(Zygote::is_cloning)
    }

    fn find(&self, service: &Rc<Service>, park: Park) -> Option<ZygoteId> {
        let is_it =
            |zygote: &Zygote| !zygote.retired && zygote.park == park && Rc::ptr_eq(&zygote.service, service);
        self.0.iter().find(|(_, zygote)| is_it(zygote)).map(|(id, _)| *id)
    }
}

impl Supervisor<'_> {
    /// Asks for a sandbox that the pool has counted already; it reports when it is parked.
    pub(super) fn want_sandbox(&mut self, service_id: ServiceId, kind: Kind, now: Instant) {
        let state = &self.services[service_id];
        let (service, park) = (Rc::clone(&state.service), state.pool.park);
        let found = match self.zygotes.find(&service, park) {
            Some(id) => Ok(id),
            None => {
                self.zygotes.retire(service_id);
                self.make_zygote(service_id, &service, kind, park)
            }
        };
        match found {
            Ok(id) => {
                if let Some(zygote) = self.zygotes.0.get_mut(&id) {
                    zygote.wanted += 1;
                }
                self.let_clone(id);
            }
            Err(failure) => self.on_no_sandbox(service_id, &service, failure, now),
        }
    }

    fn on_no_sandbox(&mut self, service_id: ServiceId, service: &Service, failure: Failure, begun: Instant) {
        let outcome = Outcome::Refused(refusal(&service.plan, failure));
        self.on_failed_ahead(service_id, &outcome, EndedIn::SetUp, begun);
    }

    fn make_zygote(
        &mut self,
        service_id: ServiceId,
        service: &Rc<Service>,
        kind: Kind,
        park: Park,
    ) -> Result<ZygoteId, Failure> {
        let environment = CStrings::new(service.environment.clone());
        let (plan, workshop) = (&service.plan, self.workshop);
        let process = match kind {
            Kind::Sealed => zygote::make(plan, workshop, &environment, park, service.cgroup.is_some())?,
            Kind::Mounting => mounting::make(plan, workshop, &environment, park)?,
        };
        let id = ZygoteId(self.next_id);
        self.next_id += 1;
        let watched = self
            .watch(&process.channel, Origin::ZygoteChannel, id.0)
            .and_then(|()| self.watch(&process.pidfd, Origin::ZygoteExit, id.0));
        if let Err(failure) = watched.step(Step::Watch) {
            self.epoll.delete(&process.channel).ignoring("it may not be watched");
            process.destroy();
            return Err(failure);
        }
        let now = Instant::now();
        self.deadlines.set(now + PARK_TIME, Deadline::ZygoteEnd(id.0));
        self.zygotes.0.insert(
            id,
            Zygote {
                service_id,
                service: Rc::clone(service),
                kind,
                park,
                process,
                listener: None,
                filters: 0,
                stage: Stage::SettingUp,
                wanted: 0,
                sandboxes: HashMap::new(),
                retired: false,
                failure: None,
                next: None,
                next_leaf: None,
                begun: now,
            },
        );
        Ok(id)
    }

    /// Lets it clone, if it waits for that and a sandbox is wanted.
    fn let_clone(&mut self, id: ZygoteId) {
        let Some(zygote) = self.zygotes.0.get_mut(&id).filter(|zygote| zygote.wanted > 0) else { return };
        let Stage::Waiting(call) = zygote.stage else { return };
        let state = &mut self.services[zygote.service_id];
        let leaf = match state.take_leaf() {
            Ok(leaf) => leaf,
            Err(failure) => return self.on_no_order(id, failure),
        };
        match zygote.ask(call, leaf.as_ref().map(Leaf::as_fd), self.workshop) {
            Ok(next) => {
                zygote.wanted -= 1;
                (zygote.next, zygote.next_leaf) = (Some(next), leaf);
                zygote.stage = Stage::Cloning { is_there: false };
                zygote.begun = Instant::now();
                self.deadlines.set(zygote.begun + PARK_TIME, Deadline::ZygoteEnd(id.0));
            }
            Err(failure) => {
                state.put_leaf(leaf, &zygote.service);
                match (failure.step, failure.errno) {
                    // It has ended: its exit comes next.
                    (Step::Clone, Errno::ENOENT | Errno::ESRCH | Errno::EPIPE)
                    | (Step::StderrPipe, Errno::ESRCH) => {}
                    (Step::Clone, _) => zygote.fail(failure),
                    _ => self.on_no_order(id, failure),
                }
            }
        }
    }

    /// A sandbox cannot be asked for; the zygote is as it was.
    fn on_no_order(&mut self, id: ZygoteId, failure: Failure) {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        zygote.wanted -= 1;
        let (service_id, service) = (zygote.service_id, Rc::clone(&zygote.service));
        self.on_no_sandbox(service_id, &service, failure, Instant::now());
        self.let_clone(id);
    }

    /// Takes back what was meant for a sandbox that is not made.
    fn put_next_leaf(&mut self, id: ZygoteId) {
        if let Some(zygote) = self.zygotes.0.get_mut(&id) {
            zygote.next = None;
            self.services[zygote.service_id].put_leaf(zygote.next_leaf.take(), &zygote.service);
        }
    }

    /// Neither it nor a sandbox of it lives any more.
    fn remove_zygote(&mut self, id: ZygoteId) {
        self.put_next_leaf(id);
        self.zygotes.0.remove(&id);
    }

    pub(super) fn on_zygote_channel(&mut self, id: ZygoteId) {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        let mut message = [0; REPORT_LEN];
        let report = match sys::read(zygote.process.channel.as_fd(), &mut message) {
            Ok(REPORT_LEN) => Report::decode(message).ok_or(Errno::EBADMSG),
            Ok(0) | Err(Errno::ECONNRESET) => {
                self.epoll.delete(&zygote.process.channel).ignoring("it is not watched any more");
                return;
            }
            Ok(_) => Err(Errno::EBADMSG),
            Err(errno) => Err(errno),
        };
        match report.step(Step::Report) {
            Ok(Report::Failed(failure)) if zygote.is_cloning() => {
                self.on_waiting(id, 0, -i64::from(failure.errno as i32));
            }
            Ok(Report::Failed(failure)) => {
                zygote.failure.get_or_insert(failure);
            }
            Ok(Report::Waiting) if zygote.kind == Kind::Mounting => self.on_waiting(id, 0, 0),
            Ok(Report::Cloned(pid)) if zygote.kind == Kind::Mounting => self.on_waiting(id, 0, pid.into()),
            Ok(Report::Listener(number)) => {
                if let Err(failure) = self.take_listener(id, number).step(Step::Listener)
                    && let Some(zygote) = self.zygotes.0.get_mut(&id)
                {
                    zygote.fail(failure);
                }
            }
            Ok(Report::Handler(_) | Report::Waiting | Report::Cloned(_)) => {
                zygote.fail(Failure { step: Step::Report, operand: Operand::None, errno: Errno::EBADMSG });
            }
            Err(failure) => zygote.fail(failure),
        }
    }

    fn take_listener(&mut self, id: ZygoteId, number: i32) -> Result<(), Errno> {
        let Some(zygote) = self.zygotes.0.get(&id) else { return Err(Errno::ESRCH) };
        let listener = process::pidfd_getfd(zygote.process.pidfd.as_fd(), number)?;
        // One that is not watched would never be known to be unused.
        self.watch(&listener, Origin::ZygoteCall, id.0)?;
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return Err(Errno::ESRCH) };
        zygote.listener = Some(Rc::new(listener));
        sys::write(zygote.process.channel.as_fd(), &GO_ON).map(drop)
    }

    pub(super) fn on_zygote_call(&mut self, id: ZygoteId, events: EpollFlags) {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        let Some(listener) = zygote.listener.clone() else { return };
        if !events.contains(EpollFlags::EPOLLIN) {
            // No process uses its filters any more.
            self.epoll.delete(&listener).ignoring("it is not watched any more");
            zygote.listener = None;
            if zygote.stage == Stage::Ended {
                self.remove_zygote(id);
            }
            return;
        }
        // ENOENT: the caller has died between its call and our asking.
        let Ok(notification) = sys::seccomp::receive(listener.as_fd()) else { return };
        if zygote.stage != Stage::Ended && notification.pid == zygote.process.pid {
            self.on_call_of_zygote(id, &notification);
        } else {
            self.on_call_of_sandbox(id, &notification);
        }
    }

    fn on_call_of_zygote(&mut self, id: ZygoteId, notification: &Notification) {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        let Some(listener) = zygote.listener.clone() else { return };
        let call = call_of(notification);
        let number = libc::c_long::from(call.number);
        let is_setting_up = zygote.stage == Stage::SettingUp;
        if is_setting_up && matches!(number, libc::SYS_close_range | libc::SYS_fcntl) {
            // It closes what it needs no longer, and looks.
            sys::seccomp::let_call(listener.as_fd(), notification.id).ignoring("it has died");
            return;
        }
        let token = zygote.process.token;
        if let Some(failure) = token.and_then(|token| zygote::failure_of(&call, token)) {
            zygote.failure.get_or_insert(failure);
            sys::seccomp::end_call(listener.as_fd(), notification.id).ignoring("it has died");
            return;
        }
        let Some(answer) = zygote.process.waits_in(&call) else {
            return zygote.fail(Failure {
                step: Step::Inherit,
                operand: Operand::None,
                errno: Errno::EPROTO,
            });
        };
        self.on_waiting(id, notification.id, answer);
    }

    /// It waits, in this call or for an order, and says what came of the sandbox before.
    fn on_waiting(&mut self, id: ZygoteId, call: u64, answer: i64) {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        self.deadlines.cancel(Deadline::ZygoteEnd(id.0));
        let before = std::mem::replace(&mut zygote.stage, Stage::Waiting(call));
        match before {
            Stage::SettingUp => match zygote.verify() {
                Ok(filters) => zygote.filters = filters,
                Err(failure) => return zygote.fail(failure),
            },
            Stage::Cloning { is_there: false } => self.on_cloned(id, answer),
            Stage::Cloning { is_there: true } => {}
            Stage::Waiting(_) | Stage::Ended => {
                return zygote.fail(Failure {
                    step: Step::Clone,
                    operand: Operand::None,
                    errno: Errno::EPROTO,
                });
            }
        }
        match self.zygotes.0.get(&id) {
            Some(zygote) if zygote.retired => zygote.kill(),
            _ => self.let_clone(id),
        }
    }

    pub(super) fn on_zygote_end(&mut self, id: ZygoteId) {
        if let Some(zygote) = self.zygotes.0.get_mut(&id) {
            zygote.fail(Failure { step: Step::Died, operand: Operand::None, errno: Errno::ETIMEDOUT });
        }
    }

    pub(super) fn on_zygote_exit(&mut self, id: ZygoteId) {
        let Some(zygote) = self.zygotes.0.get(&id) else { return };
        let Ok(Some((ending, _))) = process::reap(zygote.process.pidfd.as_fd()) else { return };
        // Its last report may have come with the end itself.
        self.on_zygote_channel(id);
        self.adopt_stray(id);
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return };
        for fd in [&zygote.process.channel, &zygote.process.pidfd] {
            self.epoll.delete(fd).ignoring("it is not watched any more");
        }
        self.deadlines.cancel(Deadline::ZygoteEnd(id.0));
        let (outstanding, retired) = (zygote.outstanding(), zygote.retired);
        (zygote.stage, zygote.wanted, zygote.retired) = (Stage::Ended, 0, true);
        let (service_id, service, begun) = (zygote.service_id, Rc::clone(&zygote.service), zygote.begun);
        let outcome = match zygote.failure {
            Some(failure) => Outcome::Refused(refusal(&service.plan, failure)),
            None => ending.into(),
        };
        if zygote.listener.is_none() {
            self.remove_zygote(id);
        }
        if retired {
            return;
        }
        log::zygote_ended(&service.name, &outcome);
        if outstanding > 0 {
            let pool = &mut self.services[service_id].pool;
            pool.building = pool.building.saturating_sub(outstanding - 1);
            self.on_failed_ahead(service_id, &outcome, EndedIn::SetUp, begun);
        }
    }
}
