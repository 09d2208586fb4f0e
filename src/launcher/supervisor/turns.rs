//! Sandboxes that have used their burst, and still want the processors all the time, take turns.
//!
//! The least weight is not enough where they are many. The scheduler of Linux 6.6 and later (EEVDF) gives a
//! process that has run ahead of its share no processor until all others have caught up, whatever their
//! weight. Beside 130 processes of SCHED_IDLE a newcomer waits for 100 ms and more; beside one a processor, for
//! some milliseconds. So as many run as there are processors, each for a turn, and the rest is stopped.
//!
//! A sandbox that waits for its client most of the time takes no turns, however much it has used before.

use super::Supervisor;
use super::deadlines::Deadline;
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::time::{Duration, Instant};

/// How long each runs.
const TURN: Duration = Duration::from_millis(40);
/// How often those that take no turns are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The sandboxes that have used their burst, by number: each is in one of the three. With each, the CPU time
/// that it had used at the last look.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Asked for when they are needed: the answer takes some twenty calls, and most launchers never need it.
    processors: OnceCell<usize>,
    /// They run freely.
    free: BTreeMap<u64, Duration>,
    looked: Option<Instant>,
    /// They have their turn.
    running: Vec<(u64, Duration)>,
    /// They are stopped; the first one is next.
    waiting: VecDeque<(u64, Duration)>,
}

impl Turns {
    fn processors(&self) -> usize {
        *self.processors.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn are_taken(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    fn knows(&self, id: u64) -> bool {
        let has_turn = self.running.iter().any(|(other, _)| *other == id);
        has_turn || self.free.contains_key(&id) || self.waiting.iter().any(|(other, _)| *other == id)
    }

    /// It has ended.
    pub(super) fn leave(&mut self, id: u64) {
        self.free.remove(&id);
        self.running.retain(|(other, _)| *other != id);
        self.waiting.retain(|(other, _)| *other != id);
    }
}

/// How many processes of the whole machine run or want to (proc_loadavg(5)).
fn runnable() -> usize {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let count = text.split_whitespace().nth(3).and_then(|field| field.split('/').next()?.parse().ok());
    count.unwrap_or(usize::MAX)
}

impl Supervisor<'_> {
    /// A sandbox has used its burst. While others take turns it waits for its own.
    pub(super) fn join_turns(&mut self, id: u64, now: Instant) {
        if self.turns.knows(id) {
            return;
        }
        if self.turns.are_taken() {
            self.pause(id);
            return;
        }
        let Some(live) = self.live.get(&id) else { return };
        self.turns.free.insert(id, live.cpu_time());
        if !self.deadlines.is_set(Deadline::LookAtAged) {
            self.turns.looked = Some(now);
            self.deadlines.set(now + LOOK_EVERY, Deadline::LookAtAged);
        }
    }

    pub(super) fn on_look_at_aged(&mut self, now: Instant) {
        let elapsed = self.turns.looked.replace(now).map_or(LOOK_EVERY, |looked| now - looked);
        // Each look takes some calls; where the processors are enough for everybody, this one is enough.
        if self.turns.are_taken() || runnable() > self.turns.processors() {
            let hungry = self.find_hungry(elapsed);
            if self.turns.are_taken() || hungry.len() > self.turns.processors() {
                for id in hungry {
                    self.turns.free.remove(&id);
                    self.pause(id);
                }
            }
        }
        if !self.turns.free.is_empty() || self.turns.are_taken() {
            self.deadlines.set(now + LOOK_EVERY, Deadline::LookAtAged);
        }
    }

    fn find_hungry(&mut self, elapsed: Duration) -> Vec<u64> {
        let mut hungry = Vec::new();
        for (id, seen) in &mut self.turns.free {
            let Some(live) = self.live.get(id) else { continue };
            let used = live.cpu_time();
            if live.is_hungry(used.saturating_sub(*seen), elapsed) {
                hungry.push(*id);
            }
            *seen = used;
        }
        hungry
    }

    /// Stops it until its turn.
    fn pause(&mut self, id: u64) {
        let Some(live) = self.live.get(&id) else { return };
        live.pause();
        self.turns.waiting.push_back((id, live.cpu_time()));
        if !self.deadlines.is_set(Deadline::Turn) {
            self.deadlines.set(Instant::now(), Deadline::Turn);
        }
    }

    /// A sandbox that has used its turn waits for the next one. One that has not, wants the processor no more.
    pub(super) fn on_turn(&mut self, now: Instant) {
        for (id, seen) in std::mem::take(&mut self.turns.running) {
            let Some(live) = self.live.get(&id) else { continue };
            let used = live.cpu_time();
            if live.is_hungry(used.saturating_sub(seen), TURN) {
                live.pause();
                self.turns.waiting.push_back((id, used));
            } else {
                self.turns.free.insert(id, used);
            }
        }
        while self.turns.running.len() < self.turns.processors() {
            let Some((id, seen)) = self.turns.waiting.pop_front() else { break };
            let Some(live) = self.live.get(&id) else { continue };
            live.resume();
            self.turns.running.push((id, seen));
        }
        if self.turns.waiting.is_empty() {
            // They are as many as the processors, or fewer.
            self.turns.free.extend(self.turns.running.drain(..));
            return;
        }
        self.deadlines.set(now + TURN, Deadline::Turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_at_least_this_process_to_run() {
        assert!((1..usize::MAX).contains(&runnable()));
    }

    #[test]
    fn one_that_ends_leaves_nothing() {
        let (mut turns, used) = (Turns::default(), Duration::ZERO);
        turns.free.insert(1, used);
        turns.running.push((2, used));
        turns.waiting.push_back((3, used));
        for id in 1..=3 {
            assert!(turns.knows(id));
            turns.leave(id);
            assert!(!turns.knows(id));
        }
    }
}
