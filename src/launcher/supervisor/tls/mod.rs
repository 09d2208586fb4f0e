//! TLS: each connection first goes to a relay, in a sandbox of its own, which ends the TLS and has no key. The
//! relay asks the signer by way of the supervisor, once. Only when it reports a handshake does a handler get
//! the other end of its plain stream.
//!
//! A relay has seen bytes of its peer and is not trusted: what it says is parsed by `tls_wire`, and anything
//! out of turn ends it.

mod held;
mod signer;

use super::Supervisor;
use super::admission::Source;
use super::deadlines::Deadline;
use super::live::{Arrival, Live, RelayEnd, Served, Verdict};
use super::origin::Origin;
use crate::config::service::ServiceId;
use crate::config::tls::Role;
use crate::connection::{Connection, Peer};
use crate::log;
use crate::outcome::{Outcome, Record, micros};
use held::Held;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use sandbox::step::Step;
use signer::Signer;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use sys::process::Usage;
use sys::{Errno, Ignoring};
use tls_wire::{Facts, REPORT_MAX, Reason, Report};

/// A handshake that is younger does not lose its place to a newcomer.
const EVICTABLE_AGE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Tls {
    /// By the number of the connection.
    sessions: HashMap<u64, Session>,
    /// By the number of the sandbox.
    signers: HashMap<u64, Signer>,
}

/// A connection whose relay lives.
#[derive(Debug)]
pub(super) struct Session {
    /// The service that it is for.
    service: ServiceId,
    /// The sandboxes; the handler's is there after the handshake.
    relay: u64,
    handler: Option<u64>,
    control: OwnedFd,
    /// The signer of the relay's certificate.
    signer: u64,
    /// Its clients must have certificates.
    wants_client: bool,
    /// The handler's end of the plain stream, until it has it.
    plain: Option<OwnedFd>,
    began: Instant,
    peer: Peer,
    /// Its place among the handshakes, until that is over.
    place: Option<Source>,
    /// Its handler's place, once that one has ended.
    place_of_handler: Option<Source>,
    progress: Progress,
    failure: Option<Reason>,
    cut: bool,
    /// The handler's record, if that one has ended first.
    held: Option<Held>,
}

/// How far a relay has come.
#[derive(Debug)]
enum Progress {
    /// It has asked nothing yet.
    Begun,
    /// It waits for the signer's answer to this.
    Asking(Vec<u8>),
    /// It has its one signature.
    Answered,
    /// The handshake is over.
    Done,
    /// It has said that it ends.
    Ended,
}

impl Session {
    /// The handshake is over, and there is, or was, a handler.
    fn is_done(&self) -> bool {
        matches!(self.progress, Progress::Done) || (self.is_ended() && self.failure.is_none())
    }

    fn is_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended)
    }

    /// Keeps the record of the handler until the relay has ended too.
    pub(super) fn hold(&mut self, record: &Record<'_>, selector: Option<&str>) {
        self.held = Some(Held::new(record, selector));
        self.handler = None;
    }
}

/// The descriptors between a relay and the others, made when it gets its connection.
#[derive(Debug)]
pub(super) struct Link {
    control: OwnedFd,
    plain: OwnedFd,
    of_relay: OwnedFd,
    peer: Peer,
}

impl Link {
    /// The relay's end of the socket to the supervisor.
    pub(super) fn of_relay(&self) -> BorrowedFd<'_> {
        self.of_relay.as_fd()
    }
}

impl Supervisor<'_> {
    /// Makes what a relay gets beside its connection; None where the sandbox is no relay.
    pub(super) fn link_for(&self, arrival: &mut Arrival) -> Result<Option<Link>, Errno> {
        if !matches!(self.services[arrival.service].service.role, Role::Relay(_)) {
            return Ok(None);
        }
        let (plain, plain_of_relay) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        let (control, of_relay) = sys::socket::message_pair()?;
        sys::set_nonblocking(control.as_fd())?;
        let peer = arrival.connection.peer_of_relay();
        arrival.connection.set_plain_end(plain_of_relay);
        Ok(Some(Link { control, plain, of_relay, peer }))
    }

    /// A relay has got its connection.
    pub(super) fn begin_session(&mut self, id: u64, link: Link) {
        let Some(live) = self.live.get(&id) else { return };
        let Some(served) = &live.served else { return };
        let (conn, relay_service) = (served.conn, live.service_id);
        let Link { control, plain, peer, .. } = link;
        let watched = self.watch(&control, Origin::Relay, conn);
        let service = self.services.owner(relay_service);
        let tls = self.services[service].service.tls.as_ref();
        let (wants_client, time) =
            tls.map_or((false, None), |tls| (tls.files.client_ca.is_some(), tls.handshake_time));
        let session = Session {
            service,
            relay: id,
            handler: None,
            control,
            signer: self.signer_of(service).unwrap_or(0),
            wants_client,
            plain: Some(plain),
            began: served.began,
            peer,
            place: Some(served.source),
            place_of_handler: None,
            progress: Progress::Begun,
            failure: None,
            cut: false,
            held: None,
        };
        self.tls.sessions.insert(conn, session);
        if let Some(time) = time {
            self.deadlines.set(Instant::now() + time, Deadline::HandshakeEnd(conn));
        }
        if let Err(errno) = watched {
            self.fail_relay(conn, Step::Watch, errno);
        }
    }

    /// A sandbox has the connection; with TLS, it is a handler's.
    pub(super) fn set_handler(&mut self, conn: u64, id: u64) {
        if let Some(session) = self.tls.sessions.get_mut(&conn) {
            session.handler = Some(id);
        }
    }

    pub(super) fn relay_session(&mut self, conn: u64) -> Option<&mut Session> {
        self.tls.sessions.get_mut(&conn)
    }

    /// The relay of this sandbox's connection, which may be itself.
    pub(super) fn relay_of(&self, id: u64) -> Option<u64> {
        let conn = self.live.get(&id)?.conn();
        self.tls.sessions.get(&conn).map(|session| session.relay)
    }

    fn fail_relay(&mut self, conn: u64, step: Step, errno: Errno) {
        let Some(session) = self.tls.sessions.get(&conn) else { return };
        let id = session.relay;
        if let Some(live) = self.live.get_mut(&id) {
            live.fail(step, errno);
        }
        self.watch_end(id);
    }

    /// A relay reports, or has closed.
    pub(super) fn on_relay(&mut self, conn: u64) {
        let mut message = [0; REPORT_MAX + 1];
        loop {
            let Some(session) = self.tls.sessions.get_mut(&conn) else { return };
            let report = match sys::read(session.control.as_fd(), &mut message) {
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                // Its exit says the rest.
                Ok(0) | Err(Errno::ECONNRESET) => {
                    self.epoll.delete(&session.control).ignoring("it is not watched any more");
                    return;
                }
                Ok(count) => Report::parse(&message[..count]).ok_or(Errno::EBADMSG),
                Err(errno) => Err(errno),
            };
            let taken = report.and_then(|report| self.take_report(conn, report));
            if let Err(errno) = taken {
                return self.fail_relay(conn, Step::Report, errno);
            }
        }
    }

    /// EPROTO: it is not that one's turn.
    fn take_report(&mut self, conn: u64, report: Report) -> Result<(), Errno> {
        let Some(session) = self.tls.sessions.get_mut(&conn) else { return Ok(()) };
        match (report, &session.progress) {
            (Report::Sign(request), Progress::Begun) => {
                self.ask_signer(conn, request);
                Ok(())
            }
            // A certificate that nobody has asked for, or none: it is a lie.
            (Report::Done(facts), Progress::Answered) if facts.client.is_some() == session.wants_client => {
                session.progress = Progress::Done;
                self.on_handshake(conn, facts);
                Ok(())
            }
            (Report::Failed(reason), Progress::Begun | Progress::Asking(_) | Progress::Answered) => {
                session.failure = Some(reason);
                session.progress = Progress::Ended;
                Ok(())
            }
            (Report::Ended { cut }, Progress::Done) => {
                session.cut = cut;
                session.progress = Progress::Ended;
                Ok(())
            }
            _ => Err(Errno::EPROTO),
        }
    }

    /// The handler's turn.
    fn on_handshake(&mut self, conn: u64, facts: Facts) {
        let Some(session) = self.tls.sessions.get_mut(&conn) else { return };
        let Some(plain) = session.plain.take() else { return };
        let (service, began) = (session.service, session.began);
        let connection = Connection::plain(plain, session.peer, Some(Box::new(facts)));
        match self.services[service].admission.admit(&connection, Instant::now()) {
            // It keeps its place among the handshakes, and its time, until its relay has ended.
            Err(rejected) => self.reject(service, connection, &rejected),
            Ok(source) => {
                self.give_back_place(conn);
                self.make_room(service);
                self.serve_connection(Arrival { service, connection, source, began, conn: Some(conn) });
            }
        }
        self.end_old_signers();
    }

    /// Gives up a place among the served connections. A relay that still has the connection keeps it: its
    /// client may take long to read what the handler has left.
    pub(super) fn release(&mut self, service: ServiceId, conn: Option<u64>, source: Source) {
        let session = conn.and_then(|conn| self.tls.sessions.get_mut(&conn));
        match session.filter(|session| session.service == service) {
            Some(session) => session.place_of_handler = Some(source),
            None => self.services[service].admission.release(source),
        }
    }

    /// It is none of the handshakes any more.
    fn give_back_place(&mut self, conn: u64) {
        self.deadlines.cancel(Deadline::HandshakeEnd(conn));
        let Some(session) = self.tls.sessions.get_mut(&conn) else { return };
        let companions = self.services[session.service].service.tls.as_ref().and_then(|tls| tls.companions);
        if let (Some(source), Some(companions)) = (session.place.take(), companions) {
            self.services[companions.relay].admission.release(source);
        }
    }

    pub(super) fn on_handshake_end(&mut self, conn: u64) {
        if let Some(relay) = self.tls.sessions.get(&conn).map(|session| session.relay) {
            self.end_with(relay, Verdict::Handshake);
        }
    }

    /// Reserved places are being used: the oldest handshake gives its place back, whatever it has sent.
    pub(super) fn evict_handshake(&mut self, relays: ServiceId) {
        let Role::Relay(owner) = self.services[relays].service.role else { return };
        let ends = |session: &Session| {
            self.live.get(&session.relay).is_none_or(|live| live.verdict.is_some() || live.killed.is_some())
        };
        let shaking =
            |session: &&Session| session.service == owner && session.place.is_some() && !ends(session);
        let oldest = self.tls.sessions.values().filter(shaking).min_by_key(|session| session.began);
        let oldest = oldest.filter(|session| session.began.elapsed() >= EVICTABLE_AGE);
        if let Some(relay) = oldest.map(|session| session.relay) {
            self.end_with(relay, Verdict::Evicted);
        }
    }

    /// The end of a relay is that of the connection, but for a handler that goes on.
    pub(super) fn on_relay_end(&mut self, live: &Live, served: &Served, outcome: Outcome, usage: Usage) {
        // Its last report may have come with the end itself.
        self.on_relay(served.conn);
        self.give_back_place(served.conn);
        let Some(session) = self.tls.sessions.remove(&served.conn) else { return };
        self.epoll.delete(&session.control).ignoring("it is not watched any more");
        if let Some(source) = session.place_of_handler {
            self.services[session.service].admission.release(source);
        }
        let is_early = !matches!(outcome, Outcome::Exited(0)) && live.verdict.is_none();
        // Without its word it did not end as it should.
        let cut = session.cut || !session.is_ended();
        if !session.is_done() {
            let outcome = match (outcome, session.failure) {
                (Outcome::Exited(_), reason) => Outcome::NoHandshake(reason.unwrap_or(Reason::Relay)),
                (outcome, _) => outcome,
            };
            self.record_of_relay(&session, live, served, outcome, usage);
        } else if is_early {
            log::relay_ended(&live.service.name, served.conn, &served.peer, &outcome);
        }
        let bytes = served.bytes();
        if let Some(held) = session.held {
            let ended_by_us = live.verdict.is_some().then_some(outcome_of(live));
            held.with(|record, selector| {
                let record = Record { tls_cut: cut, bytes, ..record };
                let outcome = ended_by_us.flatten().unwrap_or_else(|| record.outcome.clone());
                self.record(session.service, &Record { outcome, ..record }, selector);
            });
        } else if let Some(id) = session.handler {
            if let Some(served) = self.live.get_mut(&id).and_then(|live| live.served.as_mut()) {
                served.relay_end = Some(RelayEnd { cut, bytes });
            }
            // Its own verdict waits for the relay's end, which may have had another cause.
            match live.verdict.or(self.live.get(&id).and_then(|handler| handler.verdict)) {
                Some(verdict) => self.end_one(id, verdict),
                None => self.watch_time_of_connection(id, Instant::now()),
            }
        }
        self.end_old_signers();
    }

    fn record_of_relay(
        &mut self,
        session: &Session,
        live: &Live,
        served: &Served,
        outcome: Outcome,
        usage: Usage,
    ) {
        let (now, running) = (Instant::now(), served.running.unwrap_or(served.sandbox_at));
        let waited = served.sandbox_at - served.began;
        let record = Record {
            pid: live.sandbox.pid,
            uid: live.sandbox.identity.uid,
            setup_us: micros(running - served.sandbox_at),
            run_us: micros(now - running),
            usage,
            bytes: served.bytes(),
            ..Record::unserved(served.conn, &served.peer, &live.service.name, outcome, waited)
        };
        self.record(session.service, &record, None);
    }
}

/// The outcome by the supervisor's decision alone.
fn outcome_of(live: &Live) -> Option<Outcome> {
    match live.verdict? {
        Verdict::WallTime => Some(Outcome::WallTime),
        Verdict::IdleTime => Some(Outcome::IdleTime),
        Verdict::TooSlow => Some(Outcome::TooSlow),
        Verdict::Evicted => Some(Outcome::Evicted),
        Verdict::Handshake => None,
        Verdict::Stopped(signal) => Some(Outcome::Stopped(signal)),
    }
}
