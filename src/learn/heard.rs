//! The calls that were reported, added up over all sandboxes.

use seccomp::learning::Lesson;
use seccomp::lessons::{Access, Learned, Told};
use std::collections::{BTreeMap, BTreeSet};
use sys::names;

/// Calls of one name, by what they do; None: of kinds that were too many to tell apart.
pub(crate) type Kinds = BTreeMap<Option<[u64; 6]>, u64>;

#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The profile that the service began with.
    pub(crate) base: Option<String>,
    /// Calls that went on, by name.
    pub(crate) learned: BTreeMap<&'static str, Kinds>,
    /// How often a line of the profile has answered a call, by its name and the errno.
    pub(crate) answered: BTreeMap<(String, u16), u64>,
    /// How often a line of the profile has ended a sandbox for a call.
    pub(crate) ended: BTreeMap<String, u64>,
    /// How often the guard has denied a call.
    pub(crate) guarded: BTreeMap<String, u64>,
    /// Calls that no profile can allow.
    pub(crate) impossible: BTreeMap<String, u64>,
    /// Paths that were opened.
    pub(crate) paths: BTreeMap<Access, BTreeSet<String>>,
    /// How connections have ended.
    pub(crate) outcomes: BTreeMap<String, u64>,
}

impl Heard {
    pub(crate) fn add(&mut self, line: &str) -> Result<(), String> {
        let told = line.parse().map_err(|()| format!("cannot understand what was learned: '{line}'"))?;
        match told {
            Told::Began { profile } => self.base = Some(profile),
            Told::Path { access, path } => {
                self.paths.entry(access).or_default().insert(path);
            }
            Told::Ended { outcome } => *self.outcomes.entry(outcome).or_default() += 1,
            Told::Call(learned) => self.call(&learned),
        }
        Ok(())
    }

    fn call(&mut self, learned: &Learned) {
        let known = names::NATIVE.call_name(learned.number);
        let name = || known.map_or_else(|| format!("call {}", learned.number), str::to_owned);
        let count = match (learned.lesson, known) {
            (Lesson::Learned, Some(known)) => {
                self.learned.entry(known).or_default().entry(learned.kind).or_default()
            }
            (Lesson::Answered(errno), _) => self.answered.entry((name(), errno)).or_default(),
            (Lesson::Ended, _) => self.ended.entry(name()).or_default(),
            (Lesson::Guarded, _) => self.guarded.entry(name()).or_default(),
            (Lesson::Impossible(_) | Lesson::Learned, _) => self.impossible.entry(name()).or_default(),
            (Lesson::Allowed, _) => return,
        };
        *count += learned.count;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
            && self.learned.is_empty()
            && [&self.ended, &self.guarded, &self.impossible].iter().all(|counts| counts.is_empty())
    }
}
