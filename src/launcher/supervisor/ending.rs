//! The end of a sandbox, as the kernel reports it, and the record of its connection.

use super::Supervisor;
use super::live::{Arrival, Live, Served};
use crate::config::tls::Role;
use crate::outcome::{Outcome, Record, micros};
use sandbox::Sandbox;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;
use sys::Ignoring;
use sys::process::Usage;

impl Supervisor<'_> {
    pub(super) fn on_exit(&mut self, id: u64) {
        let Some(live) = self.live.get(&id) else { return };
        let Ok(Some((ending, usage))) = sys::process::reap(live.sandbox.pidfd.as_fd()) else { return };
        // Its last report may have come with the end itself.
        self.on_channel(id);
        let Some(mut live) = self.live.remove(&id) else { return };
        self.unwatch(&live.sandbox);
        match (live.zygote, &live.listener) {
            (Some(zygote), _) => {
                // Nothing says that it was executed but that it did not fail to be.
                live.executed |= live.has_executed();
                self.zygotes.forget(zygote, live.sandbox.pid);
            }
            (None, Some(listener)) => {
                self.epoll.delete(listener.as_fd()).ignoring("it is not watched any more");
            }
            (None, None) => {}
        }
        self.deadlines.cancel_of_sandbox(id);
        self.turns.leave(id);
        live.drain_stderr(&mut self.services[live.service_id].lines);
        self.report_lines_later(live.service_id);
        let outcome = live.outcome(ending);
        self.pass_on_lessons(&live);
        let state = &mut self.services[live.service_id];
        state.put_leaf(live.leaf.take(), &live.service);
        state.unkillable -= usize::from(live.unkillable);
        match live.served.take() {
            Some(served) => self.finish(id, &live, served, outcome, usage),
            None => self.on_end_before_connection(id, &live, &outcome),
        }
    }

    /// Said, not left to the close: a sandbox that is being set up has copies of these for a moment, and
    /// epoll goes by the open file.
    pub(super) fn unwatch(&self, sandbox: &Sandbox) {
        for fd in sandbox.channel.iter().chain([&sandbox.stderr, &sandbox.pidfd]) {
            self.epoll.delete(fd).ignoring("it is not watched any more");
        }
    }

    pub(super) fn finish(
        &mut self,
        id: u64,
        live: &Live,
        mut served: Served,
        outcome: Outcome,
        usage: Usage,
    ) {
        match live.service.role {
            Role::Handler => {}
            Role::Relay(_) => return self.on_relay_end(live, &served, outcome, usage),
            Role::Signer(_) => return self.on_signer_end(id, live, &outcome),
        }
        if let Some(failure) = self.waits_for_files(&outcome, served.began)
            && let Some(connection) = served.connection.take()
        {
            let Served { source, began, conn, .. } = served;
            let (service, conn) = (live.service_id, Some(conn));
            self.wait_or_refuse(Arrival { service, connection, source, began, conn }, failure, live.begun);
            return;
        }
        self.release(live.service_id, Some(served.conn), served.source);
        let (service, sandbox) = (Rc::clone(&live.service), &live.sandbox);
        let now = Instant::now();
        let running = served.running.unwrap_or(now);
        let record = Record {
            conn: served.conn,
            peer: &served.peer,
            service: &service.name,
            pid: sandbox.pid,
            uid: sandbox.identity.uid,
            outcome: outcome.clone(),
            wait_us: micros(served.sandbox_at - served.began),
            setup_us: micros(running - served.sandbox_at),
            run_us: micros(now - running),
            usage,
            bytes: served.bytes(),
            answered: live.answers.summary(),
            learning: service.learning.is_some(),
            tls: served.tls.as_deref(),
            tls_cut: served.relay_end.is_some_and(|end| end.cut),
        };
        // Behind a relay, what the peer has had is known when that one has ended.
        match self.relay_session(served.conn) {
            Some(session) => session.hold(&record, live.selector.as_deref()),
            None => self.record(live.service_id, &record, live.selector.as_deref()),
        }
        if let (Outcome::Refused(_), Some(connection)) = (&outcome, served.connection.take()) {
            self.refuse(connection, &service.on_refusal);
        }
        self.learn_of_end(&outcome);
        self.last = Some(outcome);
    }
}
