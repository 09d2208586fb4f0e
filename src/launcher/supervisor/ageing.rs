//! CPU time ages: a sandbox that has used its burst of it yields to everybody else.
//!
//! In a cgroup of its own it gets the least weight. Without one, its session's autogroup gets nice 19
//! (sched(7)), and its processes become SCHED_IDLE. Nothing here opens a file of the handler's or waits for it:
//! its processes are known by number, and stay ours as long as the first of them is not reaped.

use super::Supervisor;
use super::deadlines::Deadline;
use super::live::Live;
use crate::log;
use std::fs;
use std::time::{Duration, Instant};
use sys::{Ignoring, process};

/// Looks are no closer together than this.
const TICK_MIN: Duration = Duration::from_millis(50);
/// As many connections have whole bursts; more share them. No share is less than what an ordinary answer
/// takes.
const BURSTS: usize = 2;
const BURST_MIN: Duration = Duration::from_millis(5);
/// One that uses none is looked at less and less often, down to this.
const TICK_AT_REST: Duration = Duration::from_millis(500);
/// Once demoted, processes that have left the session are looked for this often.
const TICK_AGED: Duration = Duration::from_secs(1);
/// As many descendants of a sandbox's first process are looked at.
const PROCESSES_MAX: usize = 1024;

impl Supervisor<'_> {
    /// From the moment on that the handler runs.
    pub(super) fn watch_cpu(&mut self, id: u64, now: Instant) {
        let burst = self.live.get(&id).and_then(|live| live.service.cpu_burst);
        if let Some(burst) = burst {
            let burst = shared(burst, self.services.connections());
            self.deadlines.set(now + burst.max(TICK_MIN), Deadline::CpuTick(id));
        }
    }

    pub(super) fn on_cpu_tick(&mut self, id: u64, now: Instant) {
        let count = self.services.connections();
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(burst) = live.service.cpu_burst else { return };
        let burst = shared(burst, count);
        let used = live.cpu_time();
        if used < burst {
            let tick = live.cpu_look.next(used, (burst - used).max(TICK_MIN));
            self.deadlines.set(now + tick, Deadline::CpuTick(id));
            return;
        }
        live.demote();
        let processes = live.has_processes() && live.leaf.is_none();
        self.join_turns(id, now);
        // A single process can make no other.
        if processes {
            self.deadlines.set(now + TICK_AGED, Deadline::CpuTick(id));
        }
    }
}

/// The last look at a sandbox's CPU time: what it had used, and how long the next look waited.
#[derive(Debug, Default)]
pub(super) struct CpuLook {
    used: Duration,
    tick: Duration,
}

impl CpuLook {
    /// Time until the next look. `tick` is for one that uses some.
    fn next(&mut self, used: Duration, tick: Duration) -> Duration {
        let rests = used == self.used;
        self.used = used;
        self.tick = if rests { (self.tick * 2).min(TICK_AT_REST).max(tick) } else { tick };
        self.tick
    }
}

/// Many at a time have a burst together that a few would have each: else the first one of each would keep
/// newcomers waiting for minutes.
fn shared(burst: Duration, connections: usize) -> Duration {
    let parts = u32::try_from(connections / BURSTS).unwrap_or(u32::MAX).max(1);
    (burst / parts).max(BURST_MIN).min(burst)
}

impl Live {
    /// Whether its handler may have made others.
    fn has_processes(&self) -> bool {
        self.service.plan.init
    }

    pub(super) fn cpu_time(&self) -> Duration {
        if let Some(time) =
            self.leaf.as_ref().filter(|_| self.has_processes()).and_then(|leaf| leaf.cpu_time())
        {
            return time;
        }
        self.processes().into_iter().filter_map(|pid| process::cpu_time(pid).ok()).sum()
    }

    /// Its first process, and the descendants of that where there can be any: those that it has forked, and
    /// orphans.
    fn processes(&self) -> Vec<u32> {
        if self.has_processes() { with_descendants(self.sandbox.pid) } else { vec![self.sandbox.pid] }
    }

    /// Whether it wants a processor all the time, as far as can be told: of `elapsed`, it has used half, or it wants
    /// one now.
    pub(super) fn is_hungry(&self, used: Duration, elapsed: Duration) -> bool {
        used >= elapsed / 2 || self.processes().into_iter().any(is_runnable)
    }

    /// Stops what runs in it: it has neither a say in that nor a way to go on.
    pub(super) fn pause(&self) {
        self.stop_or_go_on(true, libc::SIGSTOP);
    }

    pub(super) fn resume(&self) {
        self.stop_or_go_on(false, libc::SIGCONT);
    }

    fn stop_or_go_on(&self, frozen: bool, signal: i32) {
        if self.leaf.as_ref().is_some_and(|leaf| leaf.freeze(frozen).is_ok()) {
            return;
        }
        for pid in self.processes() {
            process::signal(pid, signal).ignoring("it has ended");
        }
    }

    fn demote(&mut self) {
        let in_group = self.leaf.as_mut().is_some_and(|leaf| leaf.demote().is_ok());
        if in_group {
            return;
        }
        for pid in self.processes() {
            fs::write(format!("/proc/{pid}/autogroup"), "19")
                .ignoring("there are no autogroups, or it has ended");
            // Whatever wakes takes the processor from it at once; by its weight alone it would keep it for
            // a tick. Not without the capability: a filter of the unit may kill for the attempt.
            if may_schedule() {
                process::set_idle_scheduling(pid).ignoring("it has ended; the limit of CPU time remains");
            }
        }
    }
}

/// The process and its descendants. The kernel keeps a list of children for each thread, and reading it waits
/// for no process (proc_pid_children(5)).
fn with_descendants(first: u32) -> Vec<u32> {
    let (mut found, mut next) = (vec![first], 0);
    while let Some(pid) = found.get(next).copied().filter(|_| found.len() < PROCESSES_MAX) {
        for thread in threads(pid) {
            let children = fs::read_to_string(format!("{thread}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// The directories of a process's threads.
fn threads(pid: u32) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.take(PROCESSES_MAX).map(|entry| entry.path().to_string_lossy().into_owned())
}

/// Whether one of its threads runs or waits for a processor: it is at no place in the kernel then
/// (proc_pid_wchan(5)). Unlike /proc/PID/stat this holds nothing of the process, not even its memory for a
/// moment. A thread that has ended, and one that may not be looked at, is said to be at no place either, but
/// has no namespace to tell.
fn is_runnable(pid: u32) -> bool {
    let is_at_no_place =
        |thread: &String| fs::read(format!("{thread}/wchan")).is_ok_and(|place| place == b"0");
    let lives = |thread: String| fs::read_link(format!("{thread}/ns/uts")).is_ok();
    threads(pid).filter(is_at_no_place).any(lives)
}

fn may_schedule() -> bool {
    caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_NICE).unwrap_or(false)
}

/// The supervisor's own session comes before all others, where it is alone in it. What it clones begins anew:
/// each sandbox has a session of its own.
pub(super) fn prefer_supervisor() {
    let leads = process::session().is_ok_and(|session| u32::try_from(session) == Ok(std::process::id()));
    let preferred = if leads { fs::write("/proc/self/autogroup", "-20") } else { Ok(()) };
    if let Err(error) = preferred {
        log::detail(&format!("the supervisor has no weight above its sandboxes': {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_uses_no_cpu_time_is_looked_at_less_often_until_it_uses_some() {
        let (mut look, used) = (CpuLook::default(), Duration::from_millis(1));
        let ticks = [0; 6].map(|_| look.next(used, TICK_MIN).as_millis());
        assert_eq!(ticks, [50, 100, 200, 400, 500, 500]);
        assert_eq!(look.next(used * 2, TICK_MIN), TICK_MIN);
        // Few connections have longer bursts than that anyway.
        assert_eq!(look.next(used * 2, TICK_AT_REST * 2), TICK_AT_REST * 2);
    }

    /// The test's own thread is not the first of its process.
    #[test]
    fn a_child_of_any_thread_is_a_descendant() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = with_descendants(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&child.id()), "{found:?}");
    }

    /// The first thread waits for the tests.
    #[test]
    fn a_process_wants_a_processor_if_any_thread_of_it_does() {
        let own = std::process::id();
        while fs::read(format!("/proc/{own}/task/{own}/wchan")).unwrap() == b"0" {
            std::thread::yield_now();
        }
        assert!(is_runnable(own));
    }

    #[test]
    fn a_process_that_has_ended_wants_no_processor() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(fs::read(format!("/proc/{}/wchan", child.id())).unwrap(), b"0");
        assert!(!is_runnable(child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn many_connections_share_what_a_few_have_each() {
        let burst = Duration::from_millis(250);
        assert_eq!(shared(burst, 1), burst);
        assert_eq!(shared(burst, 20), burst / 10);
        assert_eq!(shared(burst, 10_000), BURST_MIN);
        assert_eq!(shared(Duration::from_millis(1), 10_000), Duration::from_millis(1));
    }
}
