//! Parses a profile. Pure: included files come from a callback.
//!
//! docs/profiles.md describes the language. Errors have file, line and column. A profile is checked for all
//! machines that it names, not only for the one that it is read for.

use super::model::{Action, Entry, Exec, Profile, Traits};
pub use super::statement::ProfileError;
use super::statement::{Flaw, Place, Statement, Word, flaw, statements};
use super::{condition, constants};
use sys::names::Machine;

/// Finds what `include NAME` names: the file's name for messages, and its text.
pub type Include<'i> = &'i mut dyn FnMut(&str) -> Result<(String, String), String>;

const DEPTH_MAX: usize = 8;
/// Limit on the includes of one profile, nested ones too: a file that includes two soon includes a hundred.
const INCLUDES_MAX: usize = 32;

/// Reads a profile for a machine.
pub fn parse(
    file: &str,
    text: &str,
    machine: Machine,
    include: Include<'_>,
) -> Result<Profile, ProfileError> {
    let mut reader =
        Reader { include, groups: Vec::new(), lines: Vec::new(), includes: 0, traits: Vec::new() };
    let head = reader.read(file, text, 0)?;
    reader.finish(file, &head, machine)
}

struct Reader<'i> {
    include: Include<'i>,
    groups: Vec<(String, Vec<&'static str>)>,
    lines: Vec<Line>,
    includes: usize,
    /// `default`, `exec`, `init`, `tasks` and `locks` as they were said last, with the depth of the file that
    /// said it.
    traits: Vec<(Trait, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    Default(Action),
    Exec(Exec),
    Init(bool),
    Tasks(u64),
    Locks(bool),
}

impl Trait {
    fn is_same_kind(self, other: Trait) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// A file's own settings.
struct Head {
    machines: Vec<Machine>,
    place: Place,
}

/// One call of one statement, for some machines.
#[derive(Debug)]
struct Line {
    entry: Entry,
    machine: Machine,
    file: String,
    place: Place,
    /// How many includes its file is below the profile.
    depth: usize,
}

impl Line {
    fn may_be_widened_by(&self, other: &Line) -> bool {
        let (entry, by) = (&self.entry, &other.entry);
        let is_same = entry.name == by.name && self.machine == other.machine && entry.action == by.action;
        is_same && !entry.when.is_empty() && self.depth > other.depth
    }

    /// An included file's exception for some arguments, beside which the including file allows others. Where
    /// both conditions hold the call is allowed.
    fn may_stand_beside(&self, other: &Line) -> bool {
        let both_have_conditions = !self.entry.when.is_empty() && !other.entry.when.is_empty();
        both_have_conditions && other.entry.action == Action::Allow && self.depth > other.depth
    }

    /// Adds an entry of the including file. The line belongs to that file then, which may add to it once.
    fn widen(&mut self, by: Line) -> Result<(), Flaw> {
        let (entry, more) = (&mut self.entry, by.entry);
        if more.when.is_empty() {
            (entry.when, entry.condition) = (Vec::new(), String::new());
        } else {
            entry.when.extend(more.when);
            entry.condition = format!("{} or {}", entry.condition, more.condition);
            condition::check_number(&entry.when, by.place)?;
        }
        entry.reason = format!("{}; {}", entry.reason, more.reason);
        (self.file, self.place, self.depth) = (by.file, by.place, by.depth);
        Ok(())
    }
}

impl Reader<'_> {
    fn read(&mut self, file: &str, text: &str, depth: usize) -> Result<Head, ProfileError> {
        let named = |(place, message)| ProfileError { file: file.to_owned(), place, message };
        let statements = statements(text).map_err(named)?;
        let head = head(&statements).map_err(named)?;
        for statement in &statements {
            let Some((word, rest)) = statement.words.split_first() else { continue };
            match (word.text, rest) {
                ("arch", _) => {}
                ("include", [name]) => self.include(file, name, &head, depth)?,
                ("include", _) => {
                    return Err(named((word.place, "include needs one name or file".to_owned())));
                }
                _ => self.statement(file, word, rest, statement, &head, depth).map_err(named)?,
            }
        }
        Ok(head)
    }

    fn include(
        &mut self,
        file: &str,
        name: &Word<'_>,
        head: &Head,
        depth: usize,
    ) -> Result<(), ProfileError> {
        let failed = |message: String| ProfileError { file: file.to_owned(), place: name.place, message };
        if depth == DEPTH_MAX {
            return Err(failed(format!("includes are nested {DEPTH_MAX} deep: a file includes itself")));
        }
        self.includes += 1;
        if self.includes > INCLUDES_MAX {
            return Err(failed(format!("more than {INCLUDES_MAX} includes")));
        }
        let (other, text) = (self.include)(name.text).map_err(failed)?;
        let theirs = self.read(&other, &text, depth + 1)?;
        match head.machines.iter().find(|machine| !theirs.machines.contains(machine)) {
            Some(machine) => Err(failed(format!("'{}' is not for {}", name.text, machine.name()))),
            None => Ok(()),
        }
    }

    fn statement(
        &mut self,
        file: &str,
        word: &Word<'_>,
        rest: &[Word<'_>],
        statement: &Statement<'_>,
        head: &Head,
        depth: usize,
    ) -> Result<(), Flaw> {
        match word.text {
            "default" | "exec" | "init" | "tasks" | "locks" => self.say(word, said(word, rest)?, depth),
            "group" => self.define(word, rest, head),
            "remove" => self.remove(word, rest),
            _ => self.entry((file, depth), word, rest, &statement.reason, head),
        }
    }

    /// A file's settings override those of its includes.
    fn say(&mut self, word: &Word<'_>, said: Trait, depth: usize) -> Result<(), Flaw> {
        let known = self.traits.iter().find(|(known, _)| known.is_same_kind(said)).map(|(_, depth)| *depth);
        match known {
            Some(at) if at == depth => flaw(word.place, format!("duplicate: '{}' is set already", word.text)),
            Some(at) if at < depth => Ok(()),
            _ => {
                self.traits.retain(|(known, _)| !known.is_same_kind(said));
                self.traits.push((said, depth));
                Ok(())
            }
        }
    }

    /// `group @NAME CALL…`: a call that only some machines have is in the group there.
    fn define(&mut self, word: &Word<'_>, rest: &[Word<'_>], head: &Head) -> Result<(), Flaw> {
        let Some((name, members)) = rest.split_first().filter(|(name, _)| name.text.starts_with('@')) else {
            return flaw(word.place, "a group is 'group @NAME CALL…'");
        };
        if self.groups.iter().any(|(known, _)| known == name.text) {
            return flaw(name.place, format!("duplicate: the group {} exists already", name.text));
        }
        let mut group = Vec::new();
        for member in members {
            for call in self.names(member, head)? {
                if group.contains(&call) {
                    return flaw(member.place, format!("duplicate: {call} is in {} twice", name.text));
                }
                group.push(call);
            }
        }
        self.groups.push((name.text.to_owned(), group));
        Ok(())
    }

    /// `remove CALL…`: what an included file says of a call does not count.
    fn remove(&mut self, word: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Flaw> {
        let all = Head { machines: Machine::ALL.to_vec(), place: word.place };
        for word in rest {
            let names = self.names(word, &all)?;
            let before = self.lines.len();
            self.lines.retain(|line| !names.contains(&line.entry.name));
            if self.lines.len() == before {
                return flaw(word.place, format!("no entry of {} to remove", word.text));
            }
        }
        if rest.is_empty() { flaw(word.place, "a system call is missing") } else { Ok(()) }
    }

    /// `ACTION CALL… [on MACHINE…] [if CONDITION]  # reason`
    fn entry(
        &mut self,
        (file, depth): (&str, usize),
        word: &Word<'_>,
        rest: &[Word<'_>],
        reason: &str,
        head: &Head,
    ) -> Result<(), Flaw> {
        let (action, rest) = action(word, rest)?;
        if reason.is_empty() {
            return flaw(word.place, "an entry needs a reason: add it after a #");
        }
        let (rest, when) = split_at(rest, "if");
        let (calls, on) = split_at(rest, "on");
        let machines = on.map_or(Ok(head.machines.clone()), |on| machines(on, word.place, Some(head)))?;
        let condition: Vec<_> = when.unwrap_or_default().iter().map(|word| word.text).collect();
        for (name, machine, place) in self.calls(calls, word.place, &machines)? {
            let entry = Entry {
                name,
                number: machine.call(name).map_or(u32::MAX, |(_, number)| number),
                action,
                when: when.map_or(Ok(Vec::new()), |when| condition::parse(when, word.place, machine))?,
                reason: reason.to_owned(),
                condition: condition.join(" "),
            };
            self.add(Line { entry, machine, file: file.to_owned(), place, depth })?;
        }
        Ok(())
    }

    /// Adds an entry unless it says again, or against, what has been said in the same file. What an included
    /// file says of a call under a condition may be said of more.
    fn add(&mut self, line: Line) -> Result<(), Flaw> {
        let same = |known: &&Line| known.entry.name == line.entry.name && known.machine == line.machine;
        let is_compatible = |known: &&Line| known.may_be_widened_by(&line) || known.may_stand_beside(&line);
        for known in self.lines.iter().filter(same).filter(|known| !is_compatible(known)) {
            let (name, here) = (line.entry.name, format!("{}:{}", known.file, known.place.line));
            let same_action = known.entry.action == line.entry.action;
            let same_kind = known.entry.when.is_empty() == line.entry.when.is_empty();
            let message = match (same_action, same_kind) {
                (true, true) if line.entry.when.is_empty() => format!("duplicate: {name} is in {here}"),
                (true, true) => format!("duplicate: put both conditions of {name} in {here}, with 'or'"),
                (true, false) => {
                    format!("contradiction: {here} does the same to {name} without or with a condition")
                }
                (false, true) => format!("contradiction: {here} decides {name} otherwise"),
                (false, false) => continue,
            };
            return flaw(line.place, message);
        }
        match self.lines.iter_mut().find(|known| known.may_be_widened_by(&line)) {
            Some(known) => known.widen(line),
            None => {
                self.lines.push(line);
                Ok(())
            }
        }
    }

    /// The calls of names and groups, once for each of the machines. A name must be known on all of them.
    fn calls(
        &self,
        words: &[Word<'_>],
        after: Place,
        machines: &[Machine],
    ) -> Result<Vec<(&'static str, Machine, Place)>, Flaw> {
        let mut calls = Vec::new();
        for word in words {
            let head = Head { machines: machines.to_vec(), place: after };
            for name in self.names(word, &head)? {
                for machine in machines {
                    match machine.call(name) {
                        Some(_) => calls.push((name, *machine, word.place)),
                        None if word.text.starts_with('@') => {}
                        None => return flaw(word.place, unknown(word.text, *machine)),
                    }
                }
            }
        }
        if calls.is_empty() { flaw(after, "a system call is missing") } else { Ok(calls) }
    }

    /// The calls that a word names: those of a group, or one call of at least one of the machines.
    fn names(&self, word: &Word<'_>, head: &Head) -> Result<Vec<&'static str>, Flaw> {
        if word.text.starts_with('@') {
            let group = self.groups.iter().find(|(name, _)| name == word.text);
            let none = format!("unknown group {}", word.text);
            return group.map(|(_, members)| members.clone()).ok_or((word.place, none));
        }
        let known = head.machines.iter().find_map(|machine| machine.call(word.text));
        match (known, head.machines.first()) {
            (Some((name, _)), _) => Ok(vec![name]),
            (None, Some(machine)) => flaw(word.place, unknown(word.text, *machine)),
            (None, None) => flaw(head.place, "an architecture is missing"),
        }
    }

    fn finish(self, file: &str, head: &Head, machine: Machine) -> Result<Profile, ProfileError> {
        let failed = |message: String| ProfileError { file: file.to_owned(), place: head.place, message };
        if !head.machines.contains(&machine) {
            return Err(failed(format!("the profile is not for this machine, {}", machine.name())));
        }
        let mut traits =
            Traits { default: Action::Notify, exec: Exec::Once, init: false, tasks: 1, locks: false };
        for (said, _) in &self.traits {
            match *said {
                Trait::Default(action) => traits.default = action,
                Trait::Exec(exec) => traits.exec = exec,
                Trait::Init(init) => traits.init = init,
                Trait::Tasks(tasks) => traits.tasks = tasks,
                Trait::Locks(locks) => traits.locks = locks,
            }
        }
        let allowed = |line: &&Line| line.entry.action == Action::Allow;
        let exec = |line: &&Line| matches!(line.entry.name, "execve" | "execveat");
        if let Some(line) = self.lines.iter().filter(allowed).find(exec).filter(|_| traits.exec == Exec::Once)
        {
            let message =
                "only profiles with 'exec tree' can allow it; the one exec of the handler is always allowed";
            let message = format!("{}: {message}", line.entry.name);
            return Err(ProfileError { file: line.file.clone(), place: line.place, message });
        }
        if !self.lines.iter().any(|line| allowed(&line)) {
            return Err(failed("the profile allows nothing".to_owned()));
        }
        let lines = self.lines.into_iter().filter(|line| line.machine == machine);
        Ok(Profile { traits, entries: lines.map(|line| line.entry).collect() })
    }
}

fn unknown(name: &str, machine: Machine) -> String {
    match Machine::ALL.into_iter().find(|other| other.call(name).is_some()) {
        Some(other) => format!("{} has no call '{name}': add 'on {}'", machine.name(), other.name()),
        None => format!("unknown system call '{name}'"),
    }
}

/// The one `arch` statement, which every file has.
fn head(statements: &[Statement<'_>]) -> Result<Head, Flaw> {
    let mut head = None;
    for statement in statements {
        let Some((word, rest)) = statement.words.split_first().filter(|(word, _)| word.text == "arch") else {
            continue;
        };
        if head.is_some() {
            return flaw(word.place, "duplicate: 'arch' is set already");
        }
        head = Some(Head { machines: machines(rest, word.place, None)?, place: word.place });
    }
    match head {
        Some(head) => Ok(head),
        None => flaw(Place::START, "the architecture is missing: add 'arch x86_64 aarch64', or one of them"),
    }
}

fn machines(words: &[Word<'_>], after: Place, within: Option<&Head>) -> Result<Vec<Machine>, Flaw> {
    let mut machines = Vec::new();
    for word in words {
        let known = Machine::ALL.into_iter().find(|machine| machine.name() == word.text);
        match known.filter(|machine| within.is_none_or(|head| head.machines.contains(machine))) {
            Some(machine) if !machines.contains(&machine) => machines.push(machine),
            Some(_) => return flaw(word.place, format!("duplicate: {} is here twice", word.text)),
            None if known.is_some() => {
                return flaw(word.place, format!("'arch' does not name {}", word.text));
            }
            None => return flaw(word.place, format!("unknown architecture '{}'", word.text)),
        }
    }
    if machines.is_empty() { flaw(after, "an architecture is missing") } else { Ok(machines) }
}

/// `default`, `exec`, `init`, `tasks` or `locks` with its value.
fn said(word: &Word<'_>, rest: &[Word<'_>]) -> Result<Trait, Flaw> {
    if word.text == "default" {
        return default_verdict(word, rest).map(Trait::Default);
    }
    let [value] = rest else { return flaw(word.place, format!("'{}' needs one word", word.text)) };
    match (word.text, value.text) {
        ("exec", "once") => Ok(Trait::Exec(Exec::Once)),
        ("exec", "tree") => Ok(Trait::Exec(Exec::Tree)),
        ("exec", _) => flaw(value.place, "exec is 'once' or 'tree'"),
        ("init", "yes") => Ok(Trait::Init(true)),
        ("init", "no") => Ok(Trait::Init(false)),
        ("init", _) => flaw(value.place, "init is 'yes' or 'no'"),
        ("locks", "own") => Ok(Trait::Locks(true)),
        ("locks", "no") => Ok(Trait::Locks(false)),
        ("locks", _) => flaw(value.place, "locks is 'own' or 'no'"),
        (_, number) => match number.parse() {
            Ok(tasks) if tasks > 0 => Ok(Trait::Tasks(tasks)),
            _ => flaw(value.place, "tasks is a number, 1 or more"),
        },
    }
}

/// `default notify` or `default errno NAME`. A call that the kernel kills for cannot be recorded, and an
/// allowed one is no allow-list.
fn default_verdict(word: &Word<'_>, rest: &[Word<'_>]) -> Result<Action, Flaw> {
    let Some((verdict, rest)) = rest.split_first() else { return flaw(word.place, DEFAULT_VERDICTS) };
    match action(verdict, rest) {
        Ok((Action::Notify, [])) => Ok(Action::Notify),
        Ok((Action::Errno(0), [])) => flaw(verdict.place, "a call that no line decides cannot succeed"),
        Ok((Action::Errno(number), [])) => Ok(Action::Errno(number)),
        Err(wrong) if verdict.text == "errno" => Err(wrong),
        _ => flaw(verdict.place, DEFAULT_VERDICTS),
    }
}

const DEFAULT_VERDICTS: &str = "default is 'notify' or 'errno' with a name, for example ENOSYS";

fn action<'w, 't>(word: &Word<'t>, rest: &'w [Word<'t>]) -> Result<(Action, &'w [Word<'t>]), Flaw> {
    match (word.text, rest) {
        ("allow", rest) => Ok((Action::Allow, rest)),
        ("notify", rest) => Ok((Action::Notify, rest)),
        ("kill", rest) => Ok((Action::Kill, rest)),
        ("errno", [name, rest @ ..]) => match constants::errno(name.text) {
            Some(number) => Ok((Action::Errno(number), rest)),
            None => flaw(name.place, format!("unknown errno '{}'", name.text)),
        },
        ("errno", []) => flaw(word.place, "errno needs a name, for example EPERM"),
        (other, _) => flaw(
            word.place,
            format!(
                "unknown statement '{other}'; known are: arch include default exec init tasks locks group remove allow errno notify kill"
            ),
        ),
    }
}

/// The words before and after a word, if it occurs.
fn split_at<'w, 't>(words: &'w [Word<'t>], text: &str) -> (&'w [Word<'t>], Option<&'w [Word<'t>]>) {
    match words.iter().position(|word| word.text == text) {
        Some(at) => (&words[..at], Some(&words[at + 1..])),
        None => (words, None),
    }
}
