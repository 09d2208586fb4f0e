//! One sandbox for a trial: built like any other, up to the exec of its handler, and ended.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::{self, Live, Verdict};
use super::warm::PARK_TIME;
use crate::config::service::{Service, ServiceId};
use crate::outcome::{Outcome, Refusal};
use nix::sys::signalfd::SignalFd;
use sandbox::Sandbox;
use sandbox::Workshop;
use sandbox::plan::park::Park;
use sandbox::step::{AtStep, Failure, Step};
use sandbox::wire::GO_ON;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;
use sys::{CStrings, Errno};

impl<'a> Supervisor<'a> {
    /// A supervisor of one service, without a listener.
    pub(crate) fn of_one(
        service: &Rc<Service>,
        workshop: &'a Workshop,
        signals: SignalFd,
    ) -> Result<Supervisor<'a>, Errno> {
        Supervisor::of(vec![Rc::clone(service)], workshop, None, signals, Vec::new())
    }

    /// Builds one sandbox without a connection and executes its handler, of which no instruction runs. `look`
    /// may look at the sandbox as it stands before that.
    pub(crate) fn try_out(mut self, look: impl FnOnce(&Sandbox)) -> Result<(), Refusal> {
        let (id, now) = (ServiceId::FIRST, Instant::now());
        let service = Rc::clone(&self.services[id].service);
        let refused = |failure| live::refusal(&service.plan, failure);
        self.services[id].pool.close();
        let environment = CStrings::new(service.environment.clone());
        let placeholder = self.workshop.placeholder().map_err(refused)?;
        let ends = (placeholder.as_fd(), placeholder.as_fd());
        let launched = self.launch(id, &service, ends, &environment, Park::BeforeExec);
        let (number, sandbox, leaf) = launched.map_err(refused)?;
        let mut live = Live::new((id, Rc::clone(&service)), sandbox, Park::BeforeExec, None, now);
        live.leaf = leaf;
        // The sandbox belongs to no pool.
        live.retired = true;
        self.live.insert(number, live);
        self.deadlines.set(now + PARK_TIME, Deadline::ParkEnd(number));
        let lost = |errno: Errno| {
            refused(Failure { step: Step::Watch, operand: sandbox::operand::Operand::None, errno })
        };
        while self.live.get(&number).is_some_and(|live| live.parked.is_none()) {
            self.turn().map_err(lost)?;
        }
        if let Some(live) = self.live.get_mut(&number) {
            look(&live.sandbox);
            let executed = live.try_exec().step(Step::Exec).map_err(refused)?;
            if executed {
                live.judge(Verdict::Stopped(libc::SIGTERM));
                live.kill();
            }
        }
        while self.live.contains_key(&number) {
            self.turn().map_err(lost)?;
        }
        match self.last {
            Some(Outcome::Refused(refusal)) => Err(refusal),
            Some(Outcome::WallTime) => Err(refused(Failure {
                step: Step::Died,
                operand: sandbox::operand::Operand::None,
                errno: Errno::ETIMEDOUT,
            })),
            _ => Ok(()),
        }
    }
}

impl Live {
    /// Lets a sandbox that waits before exec go on without a connection, and stops it as soon as it has
    /// executed its handler. False: it could not execute it, and has reported why.
    fn try_exec(&mut self) -> Result<bool, Errno> {
        let (Some(listener), Some(call)) = (&self.listener, self.parked.take()) else {
            return Err(Errno::ENOENT);
        };
        let handler = self.handler_number()?;
        if sys::process::trace_exec(handler).is_err() {
            // Tracing may be forbidden here: then it is not executed at all.
            return Ok(true);
        }
        self.tell(&GO_ON)?;
        sys::seccomp::end_call(listener.as_fd(), call)?;
        let executed = sys::process::wait_for_exec(handler)?;
        if executed && handler != self.sandbox.pid {
            // A zombie of ours would keep the init stub, which we are about to kill, from ending.
            self.kill();
            sys::process::reap_traced(handler)?;
        }
        Ok(executed)
    }
}
