//! Taking connections from the listeners, and sending those away that are not served.

use super::admission::{Rejected, Source};
use super::deadlines::Deadline;
use super::live::{self, Arrival};
use super::origin::Origin;
use super::{BACK_OFF, DRAIN_TIME, Supervisor};
use crate::config::service::ServiceId;
use crate::connection::{Connection, Draining, NoConnection};
use crate::listener::{Address, Listener};
use crate::log;
use crate::outcome::{Outcome, Record};
use sandbox::step::Failure;
use std::rc::Rc;
use std::time::Instant;
use sys::{Errno, Ignoring};

/// Refused connections that are read to their end at a time; those beyond are closed at once.
const DRAINING_MAX: usize = 64;
/// Connections taken from one listener before others get their turn.
const ACCEPT_BATCH: usize = 16;

impl Supervisor<'_> {
    pub(super) fn watch_listeners(&self) -> Result<(), Errno> {
        if !self.succession.accepts() {
            return Ok(());
        }
        for (index, listener) in (0..).zip(&self.listeners) {
            match self.watch(listener, Origin::Listener, index) {
                Err(Errno::EEXIST) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Closes listeners that no service wants any more. The kernel resets the connections in their queues, as
    /// when a server ends.
    pub(super) fn change_listeners(&mut self, wanted: &[(ServiceId, Address)], bound: Vec<Listener>) {
        // Their indices are their tokens.
        self.pause_listeners();
        self.listeners.retain(|listener| {
            let wants = |(service, address): &(ServiceId, Address)| {
                *service == listener.service && listener.has(address)
            };
            listener.is_passed() || wanted.iter().any(wants)
        });
        for listener in &bound {
            log::listening(&listener.address);
        }
        self.listeners.extend(bound);
        if let Err(errno) = self.watch_listeners() {
            self.pause_accepting(Instant::now(), errno);
        }
    }

    pub(super) fn pause_listeners(&mut self) {
        for listener in &self.listeners {
            self.epoll.delete(listener).ignoring("paused already");
        }
    }

    /// Pauses because the machine is short of something. Live connections continue, and their end may
    /// free it.
    pub(super) fn pause_accepting(&mut self, now: Instant, errno: Errno) {
        if let Some(unlogged) = self.shortages.say(now) {
            log::backing_off(errno, unlogged);
        }
        self.pause_listeners();
        self.deadlines.set(now + BACK_OFF, Deadline::ResumeAccepting);
    }

    /// Accepts again, but only after accepted connections have their sandboxes: each of these takes more of
    /// the scarce resource.
    pub(super) fn resume_accepting(&mut self, now: Instant) {
        if self.is_leaving() {
            return;
        }
        if self.services.all().any(|(_, state)| state.pool.falls_short()) {
            self.deadlines.set(now + BACK_OFF, Deadline::ResumeAccepting);
        } else if let Err(errno) = self.watch_listeners() {
            self.pause_accepting(now, errno);
        }
    }

    pub(super) fn on_listener(&mut self, index: u64) {
        for _ in 0..ACCEPT_BATCH {
            let listener = usize::try_from(index).ok().and_then(|index| self.listeners.get(index));
            let Some(service) = listener.map(|listener| listener.service) else { return };
            match listener.map(Listener::accept) {
                None | Some(Ok(None)) => return,
                Some(Ok(Some(Ok(connection)))) => self.on_connection(service, connection),
                // The connection ended before it was accepted.
                Some(Ok(Some(Err(NoConnection::NotConnected)))) => {
                    self.services[service].statistics.counters.gone();
                }
                Some(Ok(Some(Err(why)))) => self.on_unknown(&why),
                Some(Err(errno)) => return self.pause_accepting(Instant::now(), errno),
            }
        }
    }

    /// Closes a connection whose peer is unknown, because no limit can count it.
    fn on_unknown(&mut self, why: &NoConnection) {
        if let Some(unlogged) = self.unknown.say(Instant::now()) {
            log::unknown(why, unlogged);
        }
    }

    /// Admission comes before a sandbox is spent.
    fn on_connection(&mut self, id: ServiceId, connection: Connection) {
        let now = Instant::now();
        // With TLS, a relay comes first, which has places and sandboxes of its own.
        let companions = self.services[id].service.tls.as_ref().and_then(|tls| tls.companions);
        let id = companions.map_or(id, |companions| companions.relay);
        let state = &mut self.services[id];
        let proxied = state.service.proxies.name(connection.kind);
        let admitted = if proxied {
            state.admission.admit_unidentified(now)
        } else {
            state.admission.admit(&connection, now)
        };
        match admitted {
            Err(rejected) => self.reject(id, connection, &rejected),
            Ok(source) => {
                if !proxied {
                    self.make_room(id);
                }
                let arrival = Arrival { service: id, connection, source, began: now, conn: None };
                if proxied { self.on_proxied(arrival) } else { self.on_arrival(arrival) }
            }
        }
    }

    /// Refuses a connection that is over a limit.
    pub(super) fn reject(&mut self, id: ServiceId, connection: Connection, rejected: &Rejected) {
        let owner = self.services.owner(id);
        self.services[owner].statistics.counters.rejected(rejected.option());
        let state = &mut self.services[id];
        let service = Rc::clone(&state.service);
        self.tally.rejected();
        if let Some(unlogged) = state.admission.log_rejection(Instant::now()) {
            log::rejected(&service.name, &connection.peer(), rejected.option(), unlogged);
        }
        self.on_status_change();
        self.refuse(connection, &service.over_limit);
        if matches!(rejected, Rejected::Total | Rejected::Reserved) {
            // None of those that came in one burst was old enough to lose its place to another of them.
            self.evict_handshake(id);
        }
    }

    /// Refuses an admitted connection that cannot have a sandbox.
    pub(super) fn refuse_for(&mut self, arrival: Arrival, failure: Failure) {
        let Arrival { service: id, connection, source, began, conn } = arrival;
        let conn = self.number(conn);
        self.release(id, Some(conn), source);
        let service = Rc::clone(&self.services[id].service);
        let outcome = Outcome::Refused(live::refusal(&service.plan, failure));
        let peer = connection.peer();
        let record = Record::unserved(conn, &peer, &service.name, outcome.clone(), began.elapsed());
        self.record(id, &record, None);
        self.last = Some(outcome);
        self.refuse(connection, &service.on_refusal);
    }

    pub(super) fn refuse(&mut self, connection: Connection, bytes: &[u8]) {
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

    pub(super) fn on_drain(&mut self, id: u64) {
        if self.draining.get_mut(&id).is_some_and(Draining::drain) {
            self.deadlines.cancel(Deadline::DrainEnd(id));
            self.draining.remove(&id);
        }
    }

    /// The one connection of `run`.
    pub(super) fn arrival_of_run(connection: Connection, began: Instant) -> Arrival {
        Arrival { service: ServiceId::FIRST, connection, source: Source::Other, began, conn: None }
    }
}
