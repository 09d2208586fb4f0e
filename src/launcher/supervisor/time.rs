//! Timed events: wall and idle time of connections, and the supervisor's own deadlines.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Verdict;
use crate::config::service::Service;
use crate::connection::Kind;
use std::time::{Duration, Instant};

/// Traffic is looked at this often at the least.
const IDLE_TICK_MAX: Duration = Duration::from_secs(1);
const IDLE_TICK_MIN: Duration = Duration::from_millis(20);

/// How often a service wants its connections looked at.
fn idle_tick(service: &Service) -> Option<Duration> {
    let idle = service.idle_time.map(|idle| (idle / 4).clamp(IDLE_TICK_MIN, IDLE_TICK_MAX));
    idle.or(service.min_rate.map(|_| IDLE_TICK_MAX))
}

impl Supervisor<'_> {
    /// Wall time from the connection on; idle time from the moment that the handler has it.
    pub(super) fn watch_time(&mut self, id: u64) {
        let Some(live) = self.live.get(&id) else { return };
        let Some(served) = &live.served else { return };
        let handed_over = served.traffic_seen;
        if let Some(wall) = live.service.wall_time {
            self.deadlines.set(served.began + wall, Deadline::Wall(id));
        }
        if let (Some(tick), false) = (idle_tick(&live.service), served.kind == Kind::ByHand) {
            self.deadlines.set(handed_over + tick, Deadline::IdleTick(id));
        }
    }

    pub(super) fn on_deadline(&mut self, deadline: Deadline) {
        let now = Instant::now();
        match deadline {
            Deadline::Wall(id) => self.end_with(id, Verdict::WallTime),
            Deadline::IdleTick(id) => self.on_idle_tick(id, now),
            Deadline::ParkEnd(id) => self.on_park_end(id),
            Deadline::ResetEnd(id) => self.on_reset_end(id),
            Deadline::ResumeCalls(id) => self.resume_calls(id),
            Deadline::AwaitEnd(id) => self.on_await_end(id),
            Deadline::DrainEnd(id) => drop(self.draining.remove(&id)),
            Deadline::Shrink => self.shrink_pools(now),
            Deadline::LookAtFiles => self.look_at_all_files(now),
            Deadline::Status => self.tell_status(),
            Deadline::Watchdog => self.tell_watchdog(),
            Deadline::WriteStats => self.write_stats(),
            // The loop looks at the pools by itself.
            Deadline::ResumeBuilding => {}
            Deadline::ResumeAccepting => self.resume_accepting(now),
            Deadline::EndInput => self.end_input(),
            Deadline::StopEnd(service) => self.kill_all_of(service),
        }
    }

    fn on_idle_tick(&mut self, id: u64, now: Instant) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(tick) = idle_tick(&live.service) else { return };
        match live.look_at_traffic(now) {
            Some(verdict) => self.end_with(id, verdict),
            None => self.deadlines.set(now + tick, Deadline::IdleTick(id)),
        }
    }
}
