//! The zygotes of the services: made when a sandbox is wanted, asked for sandboxes one at a time, replaced
//! when they end.
//!
//! A zygote and its sandboxes have one listener. A notified call is told apart by the number of its process:
//! the zygote's own, which waits in clone(2); that of a sandbox which sets itself up; or that of one that was
//! executed, as in [`super::live`].

use super::answers::call_of;
use super::deadlines::Deadline;
use super::live::{Call, Live, refusal};
use super::origin::Origin;
use super::pool::EndedIn;
use super::warm::PARK_TIME;
use super::{Service, ServiceId, Supervisor};
use crate::log;
use crate::outcome::Outcome;
use nix::sys::epoll::EpollFlags;
use sandbox::launch::zygote;
use sandbox::operand::Operand;
use sandbox::plan::park::Park;
use sandbox::step::{AtStep, Failure, Step};
use sandbox::wire::{GO_ON, REPORT_LEN, Report};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
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
    /// Our end of the stderr of the sandbox that it was asked for last, until that is there.
    next_stderr: Option<OwnedFd>,
    /// Time at which its set-up, or its last sandbox, was begun.
    begun: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    SettingUp,
    /// In this call.
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

    fn is_cloning(&self) -> bool {
        self.stage == Stage::Cloning { is_there: false }
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

    /// Ends those that are left, with the supervisor.
    pub(super) fn end_all(&mut self) {
        for (_, zygote) in self.0.drain().filter(|(_, zygote)| zygote.stage != Stage::Ended) {
            zygote.process.destroy();
        }
    }

    fn find(&self, service: &Rc<Service>, park: Park) -> Option<ZygoteId> {
        let is_it =
            |zygote: &Zygote| !zygote.retired && zygote.park == park && Rc::ptr_eq(&zygote.service, service);
        self.0.iter().find(|(_, zygote)| is_it(zygote)).map(|(id, _)| *id)
    }
}

impl Supervisor<'_> {
    /// Asks for a sandbox that the pool has counted already; it reports when it is parked.
    pub(super) fn want_sandbox(&mut self, service_id: ServiceId, now: Instant) {
        let state = &self.services[service_id];
        let (service, park) = (Rc::clone(&state.service), state.pool.park);
        let found = match self.zygotes.find(&service, park) {
            Some(id) => Ok(id),
            None => {
                self.zygotes.retire(service_id);
                self.make_zygote(service_id, &service, park)
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
        park: Park,
    ) -> Result<ZygoteId, Failure> {
        let environment = CStrings::new(service.environment.clone());
        let process = zygote::make(&service.plan, self.workshop, &environment, park)?;
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
                park,
                process,
                listener: None,
                filters: 0,
                stage: Stage::SettingUp,
                wanted: 0,
                sandboxes: HashMap::new(),
                retired: false,
                failure: None,
                next_stderr: None,
                begun: now,
            },
        );
        Ok(id)
    }

    /// Lets it clone, if it waits for that and a sandbox is wanted.
    fn let_clone(&mut self, id: ZygoteId) {
        let Some(zygote) = self.zygotes.0.get_mut(&id).filter(|zygote| zygote.wanted > 0) else { return };
        let (Stage::Waiting(call), Some(listener)) = (zygote.stage, &zygote.listener) else { return };
        let stderr = match zygote.process.take_stderr(&zygote.service.plan) {
            Ok(stderr) => stderr,
            Err(failure) => return zygote.fail(failure),
        };
        match sys::seccomp::let_call(listener.as_fd(), call) {
            Ok(()) => {
                zygote.wanted -= 1;
                zygote.next_stderr = Some(stderr);
                zygote.stage = Stage::Cloning { is_there: false };
                zygote.begun = Instant::now();
                self.deadlines.set(zygote.begun + PARK_TIME, Deadline::ZygoteEnd(id.0));
            }
            // It has ended: its exit comes next.
            Err(Errno::ENOENT) => {}
            Err(errno) => zygote.fail(Failure { step: Step::Clone, operand: Operand::None, errno }),
        }
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
            Ok(Report::Failed(failure)) => {
                zygote.failure.get_or_insert(failure);
            }
            Ok(Report::Listener(number)) => {
                if let Err(failure) = self.take_listener(id, number).step(Step::Listener)
                    && let Some(zygote) = self.zygotes.0.get_mut(&id)
                {
                    zygote.fail(failure);
                }
            }
            Ok(Report::Handler(_)) => {
                zygote.fail(Failure { step: Step::Report, operand: Operand::None, errno: Errno::EBADMSG });
            }
            Err(failure) => zygote.fail(failure),
        }
    }

    fn take_listener(&mut self, id: ZygoteId, number: i32) -> Result<(), Errno> {
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return Err(Errno::ESRCH) };
        let listener = Rc::new(process::pidfd_getfd(zygote.process.pidfd.as_fd(), number)?);
        zygote.listener = Some(Rc::clone(&listener));
        self.watch(&listener, Origin::ZygoteCall, id.0)?;
        let Some(zygote) = self.zygotes.0.get_mut(&id) else { return Err(Errno::ESRCH) };
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
                self.zygotes.0.remove(&id);
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
        if let Some(failure) = zygote::failure_of(&call, zygote.process.token) {
            zygote.failure.get_or_insert(failure);
            sys::seccomp::end_call(listener.as_fd(), notification.id).ignoring("it has died");
            return;
        }
        let waits = number == libc::SYS_clone
            && !call.foreign
            && call.args[0] == u64::from(process::SIBLING.unsigned_abs());
        if !waits {
            return zygote.fail(Failure {
                step: Step::Inherit,
                operand: Operand::None,
                errno: Errno::EPROTO,
            });
        }
        self.deadlines.cancel(Deadline::ZygoteEnd(id.0));
        let before = std::mem::replace(&mut zygote.stage, Stage::Waiting(notification.id));
        match before {
            Stage::SettingUp => match zygote.process.verify() {
                Ok(filters) => zygote.filters = filters,
                Err(failure) => return zygote.fail(failure),
            },
            Stage::Cloning { is_there: false } => self.on_cloned(id, call.args[5].cast_signed()),
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

    /// It says what came of its call: the sandbox's number, or an errno as the kernel has it.
    fn on_cloned(&mut self, id: ZygoteId, answer: i64) {
        if let Some(pid) = u32::try_from(answer).ok().filter(|pid| *pid != 0) {
            self.adopt(id, pid);
            return;
        }
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
        // Its own, in the place of the zygote's: a handler may run code before its first notified call.
        let placeholder = self.workshop.placeholder();
        let stderr = zygote.next_stderr.take().ok_or(Errno::EPROTO).step(Step::StderrPipe);
        let adopted = placeholder.and_then(|placeholder| {
            zygote::adopt(&service.plan, pid, stderr?, placeholder, service.passed_fds.open()?)
        });
        let adopted = adopted.inspect_err(|_| process::end_child(pid).ignoring("it is none of ours"));
        let watched = adopted.and_then(|(sandbox, set_up)| {
            let number = self.watch_sandbox(&sandbox)?;
            Ok((number, sandbox, set_up))
        });
        let (number, sandbox, set_up) = match watched {
            Ok(watched) => watched,
            Err(failure) => {
                self.mark_as_there(id);
                if !retired {
                    self.on_no_sandbox(service_id, &service, failure, begun);
                }
                return None;
            }
        };
        let mut live = Live::new((service_id, service), sandbox, park, None, begun);
        live.listener = listener;
        live.zygote = Some(id);
        live.set_up = Some(set_up);
        live.retired = retired;
        if retired {
            live.kill();
        }
        self.live.insert(number, live);
        self.deadlines.set(Instant::now() + PARK_TIME, Deadline::ParkEnd(number));
        self.watch_end(number);
        self.mark_as_there(id);
        if let Some(zygote) = self.zygotes.0.get_mut(&id) {
            zygote.sandboxes.insert(pid, number);
        }
        Some(number)
    }

    /// What it was asked for last is there, or is known not to be.
    fn mark_as_there(&mut self, id: ZygoteId) {
        if let Some(zygote) = self.zygotes.0.get_mut(&id)
            && zygote.stage == (Stage::Cloning { is_there: false })
        {
            zygote.stage = Stage::Cloning { is_there: true };
        }
    }

    fn on_call_of_sandbox(&mut self, id: ZygoteId, notification: &Notification) {
        let Some(zygote) = self.zygotes.0.get(&id) else { return };
        let (filters, token) = (zygote.filters, zygote.process.token);
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
            self.zygotes.0.remove(&id);
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
