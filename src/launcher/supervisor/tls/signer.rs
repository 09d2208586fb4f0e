//! The signer of each service that speaks TLS: one resident sandbox, which alone has the key.

use super::{Progress, Session, Supervisor};
use crate::config::service::{Service, ServiceId};
use crate::config::tls::Role;
use crate::connection::{Connection, Peer};
use crate::log;
use crate::outcome::Outcome;
use crate::supervisor::admission::Source;
use crate::supervisor::deadlines::Deadline;
use crate::supervisor::live::{Arrival, Live, Served, refusal};
use crate::supervisor::origin::Origin;
use sandbox::plan::park::Park;
use sandbox::step::{AtStep, Failure, Step};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use sys::{CStrings, Errno, Ignoring};
use tls_wire::SIGNATURE_MAX;

/// A signer that has ended sooner is not replaced at once.
const RESTART_TIME: Duration = Duration::from_secs(1);
/// Requests that it has and has not answered: as many as its socket takes with ease.
const OUTSTANDING_MAX: usize = 32;
/// A signer that answers nobody for so long answers nobody any more.
const ANSWER_TIME: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Signer {
    /// The service of signers that it is one of.
    service: ServiceId,
    control: OwnedFd,
    /// Of a configuration that was replaced: it ends when no relay needs it.
    old: bool,
    waiting: VecDeque<Vec<u8>>,
    outstanding: usize,
    /// When it has answered, or was asked after it had answered all.
    heard: Instant,
}

impl Signer {
    fn hangs(&self) -> bool {
        self.outstanding > 0 && self.heard.elapsed() >= ANSWER_TIME
    }

    /// Sends what waits, as far as it takes it.
    fn send(&mut self) {
        while self.outstanding < OUTSTANDING_MAX {
            let Some(message) = self.waiting.front() else { return };
            if sys::write(self.control.as_fd(), message).is_err() {
                // It is full, and will answer; or it has ended, and its exit comes next.
                return;
            }
            self.waiting.pop_front();
            if self.outstanding == 0 {
                self.heard = Instant::now();
            }
            self.outstanding += 1;
        }
    }
}

impl Supervisor<'_> {
    /// Starts the signers of new configurations. Relays of the old one still ask theirs.
    pub(in crate::supervisor) fn replace_signers(&mut self) {
        for id in self.services.ids() {
            self.replace_signer_of(id);
        }
    }

    /// Starts a new signer, if the service is one of signers.
    pub(in crate::supervisor) fn replace_signer_of(&mut self, id: ServiceId) {
        if !matches!(self.services[id].service.role, Role::Signer(_)) {
            return;
        }
        for signer in self.tls.signers.values_mut().filter(|signer| signer.service == id) {
            signer.old = true;
        }
        self.start_signer(id);
        self.end_old_signers();
    }

    /// Starts the signer of a service. If it cannot be, that is tried again.
    pub(in crate::supervisor) fn start_signer(&mut self, id: ServiceId) {
        if self.current_signer(id).is_some() || self.stopping.is_some() {
            return;
        }
        let service = Rc::clone(&self.services[id].service);
        match self.launch_signer(id, &service) {
            Ok(number) => self.send_again(id, number),
            Err(failure) => {
                log::signer_ended(&service.name, &Outcome::Refused(refusal(&service.plan, failure)));
                self.deadlines.set(Instant::now() + RESTART_TIME, Deadline::StartSigner(id));
            }
        }
    }

    fn launch_signer(&mut self, id: ServiceId, service: &Rc<Service>) -> Result<u64, Failure> {
        let now = Instant::now();
        let (control, of_signer) = sys::socket::message_pair().step(Step::Channel)?;
        sys::set_nonblocking(control.as_fd()).step(Step::Channel)?;
        let connection = Connection::plain(of_signer, Peer::default(), None);
        let environment = CStrings::new(service.environment.clone());
        let (number, sandbox, leaf) =
            self.launch(id, service, connection.ends(), &environment, Park::None)?;
        let arrival = Arrival { service: id, connection, source: Source::Other, began: now, conn: None };
        // It is no connection, so it has no number.
        let served = Served::new(0, arrival, now);
        let mut live = Live::new((id, Rc::clone(service)), sandbox, Park::None, Some(served), now);
        live.leaf = leaf;
        self.live.insert(number, live);
        let watched = self.watch(&control, Origin::Signer, number);
        let waiting = VecDeque::new();
        let signer = Signer { service: id, control, old: false, waiting, outstanding: 0, heard: now };
        self.tls.signers.insert(number, signer);
        if let Err(errno) = watched
            && let Some(live) = self.live.get_mut(&number)
        {
            live.fail(Step::Watch, errno);
        }
        Ok(number)
    }

    fn current_signer(&self, id: ServiceId) -> Option<u64> {
        let is_current = |(_, signer): &(&u64, &Signer)| signer.service == id && !signer.old;
        self.tls.signers.iter().find(is_current).map(|(number, _)| *number)
    }

    /// A relay asks: its request goes to the signer, unread.
    pub(super) fn ask_signer(&mut self, conn: u64, request: Vec<u8>) {
        let Some(session) = self.tls.sessions.get(&conn) else { return };
        let (own, service) = (session.signer, session.service);
        // That of its certificate. Without one, the next that starts gets it.
        let number = if self.tls.signers.contains_key(&own) { Some(own) } else { self.signer_of(service) };
        let number = number.unwrap_or(0);
        let message = tls_wire::ask(conn, &request);
        if let Some(session) = self.tls.sessions.get_mut(&conn) {
            session.signer = number;
            session.progress = Progress::Asking(request);
        }
        if let Some(signer) = self.tls.signers.get_mut(&number) {
            signer.waiting.push_back(message);
            signer.send();
            if signer.hangs() {
                self.look_at_signer(number);
            }
        }
    }

    /// Kills a signer that has not answered for long, unless its answers are there.
    fn look_at_signer(&mut self, number: u64) {
        self.on_signer(number);
        if self.tls.signers.get(&number).is_some_and(Signer::hangs)
            && let Some(live) = self.live.get_mut(&number)
        {
            live.fail(Step::Report, Errno::ETIMEDOUT);
        }
        self.watch_end(number);
    }

    /// The signer that relays of this service get now.
    pub(super) fn signer_of(&self, service: ServiceId) -> Option<u64> {
        let tls = self.services[service].service.tls.as_ref();
        self.current_signer(tls?.companions?.signer)
    }

    /// Requests without an answer go to the new signer.
    fn send_again(&mut self, id: ServiceId, number: u64) {
        let Role::Signer(owner) = self.services[id].service.role else { return };
        let super::Tls { sessions, signers } = &mut self.tls;
        let known: Vec<u64> = signers.keys().copied().filter(|known| *known != number).collect();
        let Some(new) = signers.get_mut(&number) else { return };
        for (conn, session) in sessions.iter_mut().filter(|(_, session)| session.service == owner) {
            if let Progress::Asking(request) = &session.progress
                && !known.contains(&session.signer)
                && session.signer != number
            {
                session.signer = number;
                new.waiting.push_back(tls_wire::ask(*conn, request));
            }
        }
        new.send();
    }

    pub(in crate::supervisor) fn on_signer(&mut self, id: u64) {
        let mut message = [0; 16 + SIGNATURE_MAX];
        loop {
            let Some(signer) = self.tls.signers.get_mut(&id) else { return };
            let count = match sys::read(signer.control.as_fd(), &mut message) {
                Err(Errno::EAGAIN | Errno::EINTR) => return signer.send(),
                Ok(0) | Err(_) => {
                    self.epoll.delete(&signer.control).ignoring("it is not watched any more");
                    return;
                }
                Ok(count) => count,
            };
            // The number 0 says that it has the key.
            let Some((conn @ 1.., answer)) = tls_wire::split(&message[..count]) else { continue };
            signer.outstanding = signer.outstanding.saturating_sub(1);
            signer.heard = Instant::now();
            self.pass_answer(id, conn, answer);
        }
    }

    fn pass_answer(&mut self, id: u64, conn: u64, answer: &[u8]) {
        let Some(session) = self.tls.sessions.get_mut(&conn) else { return };
        if session.signer != id || !matches!(session.progress, Progress::Asking(_)) {
            return;
        }
        session.progress = Progress::Answered;
        if let Err(errno) = sys::write(session.control.as_fd(), answer) {
            self.fail_relay(conn, Step::Report, errno);
        }
    }

    /// A signer has ended: a new one takes over, unless it was to end.
    pub(in crate::supervisor) fn on_signer_end(&mut self, number: u64, live: &Live, outcome: &Outcome) {
        let Some(signer) = self.tls.signers.remove(&number) else { return };
        self.epoll.delete(&signer.control).ignoring("it is not watched any more");
        if self.stopping.is_some() {
            return;
        }
        log::signer_ended(&live.service.name, outcome);
        if signer.old {
            // Relays that wait get the new one's answer, which fits a certificate that stayed the same.
            if let Some(current) = self.current_signer(live.service_id) {
                self.send_again(live.service_id, current);
            }
        } else if live.begun.elapsed() >= RESTART_TIME {
            self.start_signer(live.service_id);
        } else {
            self.deadlines.set(Instant::now() + RESTART_TIME, Deadline::StartSigner(live.service_id));
        }
    }

    /// Ends signers of configurations that no handshake is left of: they see the end of their input.
    pub(super) fn end_old_signers(&mut self) {
        if !self.tls.signers.values().any(|signer| signer.old) {
            return;
        }
        let needed = |id: u64| {
            let may_ask = |session: &Session| {
                session.signer == id && matches!(session.progress, Progress::Begun | Progress::Asking(_))
            };
            self.tls.sessions.values().any(may_ask)
        };
        let old = self.tls.signers.iter().filter(|(id, signer)| signer.old && !needed(**id));
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.drop_signer(id);
        }
    }

    fn drop_signer(&mut self, id: u64) {
        if let Some(signer) = self.tls.signers.remove(&id) {
            self.epoll.delete(&signer.control).ignoring("it is not watched any more");
        }
    }

    /// With the last connection, the supervisor needs no signer.
    pub(in crate::supervisor) fn end_signers_at_the_end(&mut self) {
        let nobody =
            self.tls.sessions.is_empty() && self.awaited.is_empty() && !self.services.anybody_waits();
        if self.is_leaving() && nobody {
            self.tls.signers.clear();
        }
    }
}
