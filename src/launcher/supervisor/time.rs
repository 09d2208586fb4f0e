//! Timed events: wall and idle time of connections, and the supervisor's own deadlines.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Verdict;
use super::zygotes::ZygoteId;
use crate::config::service::Service;
use crate::connection::Kind;
use crate::log;
use std::time::{Duration, Instant};
use sys::process::{Ending, Usage};

/// Traffic is looked at this often at the least.
const IDLE_TICK_MAX: Duration = Duration::from_secs(1);
/// The same for a connection that has lasted.
const IDLE_TICK_AGED: Duration = Duration::from_secs(5);
const IDLE_TICK_MIN: Duration = Duration::from_millis(20);

/// Longer than this a process does not take to die, unless it cannot.
const KILL_TIME: Duration = Duration::from_secs(5);

/// How often a service wants a connection of this age looked at. One that has lasted is looked at less often,
/// so that many of them cost little.
fn idle_tick(service: &Service, age: Duration) -> Option<Duration> {
    let idle = service.idle_time.map(|idle| idle / 4);
    let longest = idle.or(service.min_rate.map(|_| IDLE_TICK_MAX))?.clamp(IDLE_TICK_MIN, IDLE_TICK_AGED);
    Some((age / 8).clamp(IDLE_TICK_MIN, longest).max(longest.min(IDLE_TICK_MAX)))
}

impl Supervisor<'_> {
    /// Wall time from the connection on; idle time from the moment that the handler has it.
    pub(super) fn watch_time(&mut self, id: u64) {
        let Some(served) = self.live.get(&id).and_then(|live| live.served.as_ref()) else { return };
        let (conn, handed_over) = (served.conn, served.traffic_seen);
        // Behind a relay, that one's connection is looked at, and has the same time.
        if self.relay_session(conn).is_none() {
            self.watch_time_of_connection(id, handed_over);
        }
        self.watch_cpu(id, handed_over);
    }

    /// Idle time counts from this moment on.
    pub(super) fn watch_time_of_connection(&mut self, id: u64, since: Instant) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(served) = &mut live.served else { return };
        served.traffic_seen = since;
        if let Some(wall) = live.service.wall_time {
            self.deadlines.set(served.began + wall, Deadline::Wall(id));
        }
        let tick = idle_tick(&live.service, Duration::ZERO);
        if let (Some(tick), true) = (tick, served.kind != Kind::ByHand) {
            self.deadlines.set(since + tick, Deadline::IdleTick(id));
        }
    }

    pub(super) fn on_deadline(&mut self, deadline: Deadline) {
        let now = Instant::now();
        match deadline {
            Deadline::Wall(id) => self.end_with(id, Verdict::WallTime),
            Deadline::IdleTick(id) => self.on_idle_tick(id, now),
            Deadline::CpuTick(id) => self.on_cpu_tick(id, now),
            Deadline::LookAtAged => self.on_look_at_aged(now),
            Deadline::Turn => self.on_turn(now),
            Deadline::KillEnd(id) => self.on_kill_end(id),
            Deadline::ParkEnd(id) => self.on_park_end(id),
            Deadline::ZygoteEnd(id) => self.on_zygote_end(ZygoteId(id)),
            Deadline::ResetEnd(id) => self.on_reset_end(id),
            Deadline::ResumeCalls(id) => self.resume_calls(id),
            Deadline::ResumeStderr(id) => self.resume_stderr(id),
            Deadline::ReportLines(service) => self.report_lines(service),
            Deadline::AwaitEnd(id) => self.on_await_end(id),
            Deadline::HandshakeEnd(conn) => self.on_handshake_end(conn),
            Deadline::StartSigner(service) => self.start_signer(service),
            Deadline::DrainEnd(id) => drop(self.draining.remove(&id)),
            Deadline::Shrink => self.shrink_pools(now),
            Deadline::LookAtFiles => self.look_at_all_files(now),
            Deadline::Status => self.tell_status(),
            Deadline::Watchdog => self.tell_watchdog(),
            Deadline::AnswerEnd(id) => drop(self.stats_answers.remove(&id)),
            Deadline::WriteStats => self.write_stats(),
            // The loop looks at the pools by itself.
            Deadline::ResumeBuilding => {}
            Deadline::ResumeAccepting => self.resume_accepting(now),
            Deadline::SuccessorEnd => self.on_successor_late(),
            Deadline::EndInput => self.end_input(),
            Deadline::StopEnd(service) => self.kill_all_of(service),
        }
    }

    /// Sets the deadline by which a killed sandbox must have ended.
    pub(super) fn watch_end(&mut self, id: u64) {
        let killed = self.live.get(&id).filter(|live| !live.unkillable).and_then(|live| live.killed);
        if let Some(killed) = killed {
            self.deadlines.set(killed + KILL_TIME, Deadline::KillEnd(id));
        }
    }

    /// SIGKILL has not ended it: it waits in the kernel for a file system or a device that does not answer.
    /// Its connection ends for everybody else, and its place is given back, up to as many as there are
    /// places.
    pub(super) fn on_kill_end(&mut self, id: u64) {
        let Some(mut live) = self.live.remove(&id) else { return };
        let state = &mut self.services[live.service_id];
        let served = live.served.take_if(|_| state.unkillable < live.service.admission.total);
        state.statistics.counters.unkillable();
        log::unkillable(
            served.as_ref().map_or(0, |served| served.conn),
            live.sandbox.pid,
            &live.service.name,
        );
        live.unkillable = true;
        state.unkillable += 1;
        if let Some(served) = served {
            let outcome = live.outcome(Ending::Signaled(libc::SIGKILL));
            self.finish(id, &live, served, outcome, Usage::default());
        }
        self.live.insert(id, live);
    }

    fn on_idle_tick(&mut self, id: u64, now: Instant) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let age = live.served.as_ref().map_or(Duration::ZERO, |served| now.duration_since(served.began));
        let Some(tick) = idle_tick(&live.service, age) else { return };
        match live.look_at_traffic(self.diag.as_ref(), now) {
            Some(verdict) => self.end_with(id, verdict),
            None => {
                // In time for the end of its idle time, if nothing moves until then.
                let seen = live.served.as_ref().map_or(now, |served| served.traffic_seen);
                let rest = live.service.idle_time.map(|idle| idle.saturating_sub(now.duration_since(seen)));
                let next = rest.map_or(tick, |rest| tick.min(rest.max(IDLE_TICK_MIN)));
                self.deadlines.set(now + next, Deadline::IdleTick(id));
            }
        }
    }
}
