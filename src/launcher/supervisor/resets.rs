//! The end of a sandbox by the supervisor's decision, with a reset for a client that has not had the
//! whole answer.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Verdict;
use super::origin::Origin;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::Ignoring;
use sys::process;

/// After this a sandbox is killed whether or not its connection can be reset.
const RESET_TIME: Duration = Duration::from_secs(1);

impl Supervisor<'_> {
    /// Ends a sandbox for a reason of the supervisor's. Of a connection with TLS, the relay ends first, and the
    /// handler with it: of a handler that ends, a relay would tell the peer that this was all.
    pub(super) fn end_with(&mut self, id: u64, verdict: Verdict) {
        let relay = self.relay_of(id);
        if relay.is_some_and(|relay| relay != id)
            && let Some(live) = self.live.get_mut(&id)
        {
            live.judge(verdict);
        }
        self.end_one(relay.unwrap_or(id), verdict);
    }

    pub(super) fn end_one(&mut self, id: u64, verdict: Verdict) {
        let Some(live) = self.live.get_mut(&id) else { return };
        live.judge(verdict);
        // A child that is begun is waited for.
        let begun = self.resets.contains_key(&id);
        let child = if begun { None } else { live.begin_reset() };
        match child {
            None => {
                live.kill();
                self.watch_end(id);
            }
            Some(child) => {
                let watched = self.watch(&child.pidfd, Origin::Reset, id);
                watched.ignoring("the deadline ends it");
                self.resets.insert(id, child);
                self.deadlines.set(Instant::now() + RESET_TIME, Deadline::ResetEnd(id));
            }
        }
    }

    /// The child that resets a connection has ended.
    pub(super) fn on_reset(&mut self, id: u64) {
        let Some(child) = self.resets.remove(&id) else { return };
        self.deadlines.cancel(Deadline::ResetEnd(id));
        self.epoll.delete(&child.pidfd).ignoring("it is not watched any more");
        process::reap(child.pidfd.as_fd()).ignoring("a zombie that is left is reaped by our own end");
        if let Some(live) = self.live.get_mut(&id) {
            live.kill();
        }
        self.watch_end(id);
    }

    /// Kills a child that has not ended in time: something in the place of the connection blocks it.
    pub(super) fn on_reset_end(&mut self, id: u64) {
        if let Some(child) = self.resets.get(&id) {
            process::kill_child(child.pidfd.as_fd(), child.pid).ignoring("it has just ended");
        }
        self.on_reset(id);
    }
}
