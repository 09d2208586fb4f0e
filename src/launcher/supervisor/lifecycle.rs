//! Reload, shutdown, and notifications to systemd.

use super::Supervisor;
use super::deadlines::Deadline;
use super::learning::Learner;
use super::live::{Live, Verdict};
use crate::config::service::ServiceId;
use crate::config::tls::Role;
use crate::log;
use crate::notify::Notifier;
use std::time::{Duration, Instant};

/// Time for a connection that was just accepted to send its request, before the supervisor ends its input.
const REQUEST_TIME: Duration = Duration::from_secs(1);

impl Supervisor<'_> {
    /// Reloads the services. Live connections continue unchanged; parked sandboxes are replaced; a wrong
    /// file changes nothing. Passed sockets and those that are still wanted stay, with the connections in
    /// their queues.
    pub(super) fn reload(&mut self) {
        let Some(reload) = &self.reload else { return };
        self.tell(Notifier::reloading);
        match reload.reload(&self.listeners) {
            Ok(reloaded) => {
                self.retire_all();
                self.services.replace(reloaded.services, self.groups.as_ref());
                self.replace_signers();
                self.change_listeners(&reloaded.wanted, reloaded.bound);
                self.serve_waiting();
                log::reloaded();
            }
            Err(message) => log::not_reloaded(&message),
        }
        let status = self.status();
        self.tell(|notifier| notifier.ready(&status));
    }

    /// A reload is for the program as well, where that has been replaced.
    fn reload_or_succeed(&mut self) {
        let replaced = self.reload.as_ref().is_some_and(|reload| reload.program_is_replaced());
        if replaced && self.learner.is_none() { self.begin_succession() } else { self.reload() }
    }

    pub(super) fn tell(&self, what: impl Fn(&Notifier)) {
        if let Some(notifier) = &self.notifier {
            what(notifier);
        }
    }

    /// The loop turns: that is what the watchdog asks.
    pub(super) fn tell_watchdog(&mut self) {
        if let Some(interval) = self.notifier.as_ref().and_then(|notifier| notifier.watchdog) {
            self.tell(Notifier::alive);
            self.deadlines.set(Instant::now() + interval, Deadline::Watchdog);
        }
    }

    /// `run` kills its sandbox at once, or signals its handler first. `serve` stops accepting, serves the
    /// accepted connections, ends their input after `REQUEST_TIME`, and kills the rest after the drain time,
    /// or at a second signal.
    pub(super) fn stop(&mut self, signal: i32) {
        let serving = self.reload.is_some();
        let again = self.stopping.is_some();
        if serving && signal == libc::SIGHUP {
            if !self.is_leaving() {
                self.reload_or_succeed();
            }
            return;
        }
        self.stop_predecessors();
        self.stopping.get_or_insert(signal);
        if !serving && !again && self.live.values().any(Live::ask_to_end) {
            return;
        }
        if !serving || again {
            self.kill_all();
            return;
        }
        if !self.learner.as_ref().is_some_and(Learner::is_done) {
            log::stopping(signal, self.services.connections());
        }
        self.tell(Notifier::stopping);
        self.pause_listeners();
        self.listeners.clear();
        self.turn_all_awaited_away();
        self.retire_unneeded();
        let now = Instant::now();
        self.deadlines.set(now + REQUEST_TIME, Deadline::EndInput);
        for (id, state) in self.services.all() {
            if let Some(time) = state.service.drain_time {
                self.deadlines.set(now + time, Deadline::StopEnd(id));
            }
        }
    }

    /// Handlers that still wait for their peers see the end of input.
    pub(super) fn end_input(&mut self) {
        let has_input = |live: &&Live| live.served.is_some() && live.service.role == Role::Handler;
        for live in self.live.values().filter(has_input) {
            live.end_input();
        }
    }

    fn kill_all(&mut self) {
        for id in self.services.ids() {
            self.kill_all_of(id);
        }
    }

    pub(super) fn kill_all_of(&mut self, service: ServiceId) {
        for arrival in std::mem::take(&mut self.services[service].pool.waiting) {
            self.turn_away(arrival);
        }
        let signal = self.stopping.unwrap_or(libc::SIGTERM);
        let of_service = self.live.iter().filter(|(_, live)| live.service_id == service);
        for id in of_service.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end_with(id, Verdict::Stopped(signal));
        }
        self.watch_ends();
    }
}
