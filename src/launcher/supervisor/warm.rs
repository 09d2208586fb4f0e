//! The warm pool at work: sandboxes built ahead, parked, given one connection each.

use super::deadlines::Deadline;
use super::live::{Arrival, Live, Verdict};
use super::pool::{AfterFailure, EndedIn};
use super::renewal::{FILES_TIME, is_of_files};
use super::tls::Link;
use super::{BACK_OFF, SHRINK_EVERY, Supervisor, bound};
use crate::config::service::ServiceId;
use crate::log;
use crate::outcome::Outcome;
use sandbox::operand::Operand;
use sandbox::plan::park::Park;
use sandbox::step::{AtStep, Failure, Step};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use sys::{CStrings, Errno};

/// A handler that is to be parked after exec and is not by then never will be.
pub(super) const PARK_TIME: Duration = Duration::from_secs(5);

/// How long a connection waits for a machine that is short of something.
const SHORTAGE_TIME: Duration = Duration::from_secs(5);

const DIED: Failure = Failure { step: Step::Died, operand: Operand::None, errno: Errno::EPIPE };

/// Errors that pass when something else ends; they say nothing about the service.
pub(super) fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
}

impl Supervisor<'_> {
    /// The service that the loop should build a sandbox for, ahead.
    pub(super) fn wants_sandbox(&self, now: Instant) -> Option<ServiceId> {
        self.services.wanting(now)
    }

    /// Launches a sandbox without a connection; it reports when it is parked.
    pub(super) fn build_ahead(&mut self, service_id: ServiceId) {
        let now = Instant::now();
        self.look_at_files(service_id, now);
        let state = &mut self.services[service_id];
        let (service, park) = (Rc::clone(&state.service), state.pool.park);
        state.pool.building += 1;
        if let Ok(kind) = service.zygote(park) {
            self.want_sandbox(service_id, kind, now);
            return;
        }
        let environment = CStrings::new(service.environment.clone());
        let launched = self.workshop.placeholder().and_then(|placeholder| {
            let ends = (placeholder.as_fd(), placeholder.as_fd());
            self.launch(service_id, &service, ends, &environment, park)
        });
        match launched {
            Ok((id, sandbox, leaf)) => {
                let mut live = Live::new((service_id, service), sandbox, park, None, now);
                live.leaf = leaf;
                self.live.insert(id, live);
                self.deadlines.set(now + PARK_TIME, Deadline::ParkEnd(id));
            }
            Err(failure) => {
                let refusal = super::live::refusal(&service.plan, failure);
                self.on_failed_ahead(service_id, &Outcome::Refused(refusal), EndedIn::SetUp, now);
            }
        }
    }

    /// Takes a sandbox that has parked: a connection that waits gets it, or else the pool.
    pub(super) fn on_parked(&mut self, id: u64) {
        let Some(live) = self.live.get(&id).filter(|live| !live.retired) else { return };
        let (service, begun) = (live.service_id, live.begun);
        self.on_built(service, begun);
        self.deadlines.cancel(Deadline::ParkEnd(id));
        self.services[service].pool.parked();
        match self.next_waiting(service) {
            Some(arrival) => self.hand_over(id, arrival),
            None if self.is_leaving() => self.retire(id),
            None => {
                self.services[service].pool.parked.push_back(id);
                self.on_status_change();
            }
        }
    }

    /// The longest-waiting connection that is still open. No sandbox is used for a closed one.
    fn next_waiting(&mut self, service: ServiceId) -> Option<Arrival> {
        loop {
            let state = &mut self.services[service];
            let arrival = state.pool.waiting.pop_front()?;
            if !arrival.connection.is_gone() {
                return Some(arrival);
            }
            state.admission.release(arrival.source);
            let owner = self.services.owner(service);
            self.services[owner].statistics.counters.gone();
        }
    }

    /// Serves a connection from the pool, or with a new sandbox if nothing is parked ahead.
    pub(super) fn serve_connection(&mut self, arrival: Arrival) {
        // A parked sandbox has the files of its time, which may be gone.
        self.look_at_files(arrival.service, Instant::now());
        if self.services[arrival.service].pool.park == Park::None {
            self.begin(arrival);
            return;
        }
        let pool = &mut self.services[arrival.service].pool;
        match pool.take() {
            Some(id) => self.hand_over(id, arrival),
            None => pool.waiting.push_back(arrival),
        }
    }

    /// Gives the connection to the parked sandbox; if that has died, to the next one.
    fn hand_over(&mut self, id: u64, mut arrival: Arrival) {
        let now = Instant::now();
        let state = &mut self.services[arrival.service];
        if let Err(failure) = bound(&state.service, &arrival.connection, arrival.began) {
            // The sandbox has seen nothing of the connection: it stays parked.
            state.pool.parked.push_front(id);
            self.refuse_for(arrival, failure);
            return;
        }
        let link = match self.link_for(&mut arrival).step(Step::Release) {
            Ok(link) => link,
            Err(failure) => {
                self.services[arrival.service].pool.parked.push_front(id);
                return self.refuse_for(arrival, failure);
            }
        };
        let control = link.as_ref().map(Link::of_relay);
        let live = self.live.get_mut(&id).ok_or(Errno::ENOENT);
        let passed_fds = live.and_then(|live| live.hand_over(&arrival.connection, control));
        match passed_fds.step(Step::Release) {
            Ok(()) => self.on_handed_over(id, arrival, now, link),
            Err(failure) => {
                // The sandbox may hold a copy of the connection already.
                self.retire(id);
                match failure.errno {
                    // The sandbox died before, between two calls, or in the middle of one.
                    Errno::ENOENT | Errno::EPIPE | Errno::ESRCH => self.serve_connection(arrival),
                    _ => self.refuse_for(arrival, failure),
                }
            }
        }
    }

    fn on_handed_over(&mut self, id: u64, arrival: Arrival, since: Instant, link: Option<Link>) {
        let served = self.served(arrival, since);
        let Some(live) = self.live.get_mut(&id) else { return };
        log::accepted(served.conn, &served.peer, live.sandbox.pid, live.sandbox.identity.uid);
        let conn = served.conn;
        live.served = Some(served);
        let runs = live.park.is_after_exec();
        self.watch_time(id);
        match link {
            Some(link) => self.begin_session(id, link),
            None => self.set_handler(conn, id),
        }
        if runs {
            self.on_running(id);
        }
    }

    /// A sandbox ended that never had a connection.
    pub(super) fn on_end_before_connection(&mut self, id: u64, live: &Live, outcome: &Outcome) {
        self.last = Some(outcome.clone());
        if live.retired || live.unkillable {
            return;
        }
        self.services[live.service_id].pool.parked.retain(|parked| *parked != id);
        if live.parked.is_some() {
            // Parked and killed by somebody else, or by what another of its threads did; the next one is built.
            log::parked_ended(outcome);
            if outcome.denied().is_some() {
                let after = self.services[live.service_id].pool.denied_while_parked(Instant::now());
                self.after_failure(live.service_id, &after);
            }
            return;
        }
        let ended_in = if live.executed { EndedIn::Handler } else { EndedIn::SetUp };
        self.on_failed_ahead(live.service_id, outcome, ended_in, live.begun);
    }

    /// Handles a sandbox that could not be parked. If no sandbox can be set up, the longest-waiting
    /// connection is refused. In a shortage, connections wait some time, because live ones will end.
    pub(super) fn on_failed_ahead(
        &mut self,
        service: ServiceId,
        outcome: &Outcome,
        ended_in: EndedIn,
        begun: Instant,
    ) {
        let now = Instant::now();
        let failure = match outcome {
            Outcome::Refused(refusal) => refusal.failure,
            _ => None,
        };
        let pool = &mut self.services[service].pool;
        if let Some(failure) = failure.filter(|failure| is_shortage(failure.errno)) {
            pool.fell_short(now, BACK_OFF);
            self.deadlines.set(now + BACK_OFF, Deadline::ResumeBuilding);
            self.pause_accepting(now, failure.errno);
            self.refuse_waiting(service, failure, SHORTAGE_TIME);
            return;
        }
        let of_files = failure.filter(|failure| is_of_files(*failure));
        if of_files.is_some_and(|failure| self.renew_after(service, failure, begun, now)) {
            // The service was made anew, with a new pool, which serves the waiting connections.
            return;
        }
        let state = &mut self.services[service];
        if of_files.is_none() || !state.renewal.is_failing() {
            log::parked_ended(outcome);
        }
        let after = state.pool.failed(now, ended_in);
        self.after_failure(service, &after);
        match failure {
            Some(failure) if of_files.is_some() => self.refuse_waiting(service, failure, FILES_TIME),
            Some(failure) => self.refuse_first_waiting(service, failure),
            // The handler may yet be parked before exec, or not at all.
            None => self.refuse_waiting(service, DIED, PARK_TIME * 4),
        }
    }

    fn after_failure(&mut self, service: ServiceId, after: &AfterFailure) {
        match after {
            AfterFailure::TryAgain => {}
            AfterFailure::ParkBeforeExec => log::park_before_exec(),
            AfterFailure::Pause => {
                let until = self.services[service].pool.paused_until().unwrap_or_else(Instant::now);
                self.deadlines.set(until, Deadline::ResumeBuilding);
            }
        }
    }

    fn refuse_first_waiting(&mut self, service: ServiceId, failure: Failure) {
        if let Some(arrival) = self.services[service].pool.waiting.pop_front() {
            self.refuse_for(arrival, failure);
        }
    }

    /// Refuses those that have waited for so long.
    pub(super) fn refuse_waiting(&mut self, service: ServiceId, failure: Failure, patience: Duration) {
        let waits_too_long = |arrival: &Arrival| arrival.began.elapsed() >= patience;
        while self.services[service].pool.waiting.front().is_some_and(waits_too_long) {
            self.refuse_first_waiting(service, failure);
        }
    }

    pub(super) fn on_park_end(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        if live.parked.is_none() && live.served.is_none() {
            live.judge(Verdict::WallTime);
            live.kill();
        }
        self.watch_end(id);
    }

    pub(super) fn shrink_pools(&mut self, now: Instant) {
        let surplus: Vec<u64> = self.services.all_mut().flat_map(|state| state.pool.shrink()).collect();
        for id in surplus {
            self.retire(id);
        }
        self.deadlines.set(now + SHRINK_EVERY, Deadline::Shrink);
    }

    /// Ends every sandbox that has no connection.
    pub(super) fn retire_all(&mut self) {
        for id in self.services.ids() {
            self.retire_all_of(id);
        }
    }

    /// Ends every sandbox of one service that has no connection.
    pub(super) fn retire_all_of(&mut self, service: ServiceId) {
        self.zygotes.retire(service);
        let unused = |live: &&mut Live| live.service_id == service && live.served.is_none() && !live.retired;
        for live in self.live.values_mut().filter(unused) {
            live.retired = true;
            live.kill();
        }
        let pool = &mut self.services[service].pool;
        pool.parked.clear();
        pool.building = 0;
        self.watch_ends();
    }

    /// Ends the sandboxes that no connection waits for, because no new connection comes.
    pub(super) fn retire_unneeded(&mut self) {
        let services = &mut self.services;
        for (id, live) in self.live.iter_mut().filter(|(_, live)| live.served.is_none() && !live.retired) {
            let pool = &services[live.service_id].pool;
            if pool.waiting.is_empty() || pool.parked.contains(id) {
                live.retired = true;
                live.kill();
            }
        }
        for state in services.all_mut() {
            state.pool.close();
        }
        self.watch_ends();
    }

    fn retire(&mut self, id: u64) {
        if let Some(live) = self.live.get_mut(&id) {
            live.retired = true;
            live.kill();
        }
        self.watch_end(id);
    }

    pub(super) fn watch_ends(&mut self) {
        let killed: Vec<u64> =
            self.live.iter().filter(|(_, live)| live.killed.is_some()).map(|(id, _)| *id).collect();
        for id in killed {
            self.watch_end(id);
        }
    }
}
