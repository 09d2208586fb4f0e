//! `dayfly learn`: calls that the profile does not allow are counted and continue.
//!
//! Each call waits until it is counted here, so none is lost. What a sandbox has made is written when it
//! ends, to the program that keeps the learned profile.

use super::Supervisor;
use super::live::{Call, Live};
use super::paths;
use crate::log;
use crate::outcome::Outcome;
use sandbox::launch::denied::Denied;
use seccomp::learning::{self, Lesson};
use seccomp::lessons::{Access, Learned, Told};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Instant;
use sys::{Errno, names};

/// Kinds of one call that are told apart.
const KINDS_MAX: usize = 32;
/// More calls than any machine has, times the verdicts: a handler that makes up numbers does not fill
/// the memory.
const CALLS_MAX: usize = 4096;
/// Paths of one sandbox that are noted.
const PATHS_MAX: usize = 4096;

/// The other end of what is learned.
#[derive(Debug)]
pub(crate) struct Learner {
    lessons: File,
    /// `serve` ends after so many connections.
    connections: Option<u64>,
}

impl Learner {
    /// Whether it has seen as many connections as it was to.
    pub(super) fn is_done(&self) -> bool {
        self.connections == Some(0)
    }

    pub(crate) fn new(lessons: File, connections: Option<u64>) -> Learner {
        Learner { lessons, connections }
    }

    fn tell(&mut self, told: &Told) {
        if let Err(error) = writeln!(self.lessons, "{told}") {
            log::fatal(&format!("cannot pass on what was learned, it is lost: {error}"));
        }
    }
}

/// The calls that one sandbox made, and the paths that it opened.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    calls: HashMap<(u32, Lesson), Kinds>,
    paths: HashSet<(Access, String)>,
}

#[derive(Debug, Default)]
struct Kinds {
    counts: Vec<([u64; 6], u64)>,
    /// Calls of kinds that are too many to tell apart.
    others: u64,
}

impl Lessons {
    /// Counts a call; true where it is the first of its kind.
    fn add(&mut self, call: &Denied, lesson: Lesson) -> bool {
        let number = call.number.cast_unsigned();
        let is_known = self.calls.contains_key(&(number, lesson));
        if !is_known && self.calls.len() >= CALLS_MAX {
            return false;
        }
        let kinds = self.calls.entry((number, lesson)).or_default();
        let kind = names::NATIVE.call_name(number).map_or([0; 6], |name| learning::kind(name, &call.args));
        if let Some((_, count)) = kinds.counts.iter_mut().find(|(known, _)| *known == kind) {
            *count += 1;
            return false;
        }
        if kinds.counts.len() >= KINDS_MAX {
            kinds.others += 1;
            return false;
        }
        kinds.counts.push((kind, 1));
        true
    }

    fn lines(&self) -> impl Iterator<Item = Told> {
        let paths = self.paths.iter().cloned().map(|(access, path)| Told::Path { access, path });
        let calls = self.calls.iter().flat_map(|(&(number, lesson), kinds)| {
            let told = move |kind, count| Told::Call(Learned { number, lesson, kind, count });
            let others = (kinds.others > 0).then(|| told(None, kinds.others));
            kinds.counts.iter().map(move |(kind, count)| told(Some(*kind), *count)).chain(others)
        });
        calls.chain(paths)
    }
}

impl Live {
    /// Counts a call by the machine's own ABI and lets it go on, unless a line of the profile or the
    /// guard denies it: a call that goes on skips the guard. The guard judges numbers that nobody can
    /// change meanwhile.
    pub(super) fn learn(&mut self, (id, thread): (u64, u32), call: Denied) -> Result<Call, Errno> {
        let (Some(profile), Some(listener)) = (&self.service.learning, &self.listener) else {
            return Err(Errno::ENOENT);
        };
        let number = call.number.cast_unsigned();
        let lesson = learning::judge(profile, self.service.plan.seccomp.guard, number, &call.args);
        let is_new = lesson != Lesson::Allowed && self.lessons.add(&call, lesson);
        let listener = listener.as_fd();
        if matches!(lesson, Lesson::Allowed | Lesson::Learned)
            && self.lessons.paths.len() < PATHS_MAX
            && let Some(opening) = names::NATIVE.call_name(number).and_then(learning::opening)
            && let Some(path) = paths::opened(thread, opening, &call.args)
        {
            self.lessons.paths.insert(path);
        }
        match lesson {
            Lesson::Allowed | Lesson::Learned => sys::seccomp::let_call(listener, id)?,
            Lesson::Answered(errno) | Lesson::Impossible(errno) => {
                sys::seccomp::fail_call(listener, id, errno)?
            }
            Lesson::Guarded => sys::seccomp::fail_call(listener, id, GUARDED)?,
            Lesson::Ended => {
                self.denied.get_or_insert(call);
                self.kill();
            }
        }
        Ok(Call::Recorded(is_new.then_some((call, lesson))))
    }
}

/// The guard's answer where the profile allows a call: ENOSYS.
const GUARDED: u16 = 38;

impl<'a> Supervisor<'a> {
    /// The supervisor of a service that learns.
    pub(crate) fn with_learner(mut self, learner: Option<Learner>) -> Supervisor<'a> {
        self.learner = learner;
        self
    }

    /// Logs a recorded call, at a bounded rate: the report has all of them.
    pub(super) fn on_recorded(&mut self, id: u64, first: Option<(Denied, Lesson)>) {
        let (Some(live), Some((call, lesson))) = (self.live.get(&id), first) else { return };
        if self.answers_said.take(Instant::now()) {
            let outcome = match lesson {
                Lesson::Allowed | Lesson::Learned => "continued".to_owned(),
                Lesson::Answered(_) => "answered by the profile".to_owned(),
                Lesson::Ended => "ended the sandbox".to_owned(),
                Lesson::Guarded => seccomp::advice::of_guard(&call.name()),
                Lesson::Impossible(_) => call.advice(),
            };
            log::recorded(live.conn(), &live.service.name, &call, &outcome);
        }
    }

    /// A sandbox has ended: what it made is told.
    pub(super) fn pass_on_lessons(&mut self, live: &Live) {
        if let Some(learner) = &mut self.learner {
            live.lessons.lines().for_each(|told| learner.tell(&told));
        }
    }

    /// A connection has ended; with the last one `serve` does.
    pub(super) fn learn_of_end(&mut self, outcome: &Outcome) {
        let Some(learner) = &mut self.learner else { return };
        learner.tell(&Told::Ended { outcome: outcome.name().to_owned() });
        let Some(rest) = &mut learner.connections else { return };
        *rest = rest.saturating_sub(1);
        if *rest == 0 && self.stopping.is_none() {
            log::learned();
            self.stop(libc::SIGTERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: [u64; 6]) -> Denied {
        let number = names::NATIVE.call(name).unwrap().1.cast_signed();
        Denied { number, foreign: false, args }
    }

    #[test]
    fn calls_are_counted_by_what_they_do_and_no_more_kinds_than_a_line_can_have() {
        let mut lessons = Lessons::default();
        assert!(lessons.add(&call("flock", [3, 2, 0, 0, 0, 0]), Lesson::Learned));
        assert!(!lessons.add(&call("flock", [4, 2, 9, 9, 9, 9]), Lesson::Learned));
        assert!(lessons.add(&call("flock", [3, 1, 0, 0, 0, 0]), Lesson::Learned));
        for option in 0..100 {
            lessons.add(&call("prctl", [option, 0, 0, 0, 0, 0]), Lesson::Learned);
        }
        let told: Vec<Learned> = lessons
            .lines()
            .map(|told| match told {
                Told::Call(learned) => learned,
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(told.iter().map(|learned| learned.count).sum::<u64>(), 103);
        assert_eq!(told.len(), 2 + KINDS_MAX + 1);
        assert!(told.iter().any(|learned| learned.kind == Some([0, 2, 0, 0, 0, 0]) && learned.count == 2));
        assert!(told.iter().any(|learned| learned.kind.is_none() && learned.count == 68));
    }

    #[test]
    fn made_up_numbers_fill_no_memory() {
        let mut lessons = Lessons::default();
        for number in 10_000..30_000 {
            lessons.add(&Denied { number, foreign: false, args: [0; 6] }, Lesson::Impossible(38));
        }
        assert_eq!(lessons.calls.len(), CALLS_MAX);
    }
}
