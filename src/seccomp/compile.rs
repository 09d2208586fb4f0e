//! A profile to BPF, by seccompiler, one program an action, joined into one.
//!
//! seccompiler has one action for calls that match and one for the others, and no user notification. So each
//! action is compiled by itself with a placeholder for "does not match", and the placeholder's returns become
//! jumps to the next program, the last one's returns of "notify". All this by ranges of numbers, chosen by
//! halves; in front of it stand the check of the architecture and the canary's answer.
//!
//! build.rs compiles this file too, and with it the built-in profiles: that takes longer than a whole launch
//! should wait.

use super::abi::{EXEC_FD, GUARD_CANARY, PROFILE_CANARY, Parked, Variant};
use super::bpf::{
    ALLOW, Field, Instruction, JUMP_ALWAYS, JUMP_EQUAL, NOTIFY, RETURN, decide, errno, give, if_equal, load,
    not_by_number_alone, unless_equal,
};
use super::profile::model::{Action, Condition, Entry, Profile};
use super::shrink::shrink;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;
use sys::names::Machine;

/// seccompiler's return for "does not match", replaced in what it compiles; no profile can ask for it.
const NO_MATCH: SeccompAction = SeccompAction::Trap;
/// seccompiler's return in the place of "notify", which it does not know; no profile can ask for it.
const TO_NOTIFY: SeccompAction = SeccompAction::Log;

/// The kernel's limit (BPF_MAXINSNS).
const INSTRUCTIONS_MAX: usize = 4096;

#[derive(Debug)]
pub struct CompileError(String);

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the profile cannot be compiled: {}", self.0)
    }
}

impl From<BackendError> for CompileError {
    fn from(error: BackendError) -> CompileError {
        CompileError(error.to_string())
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The whole program. Entries with conditions come first; a call's entry without conditions applies if none
/// holds.
pub fn compile(
    profile: &Profile,
    machine: Machine,
    variant: Variant,
) -> Result<Vec<Instruction>, CompileError> {
    let entries = with_own_calls(profile, machine, variant);
    let mut programs = Vec::new();
    for conditional in [true, false] {
        for action in actions(&entries) {
            let chosen = entries.iter().filter(|e| e.action == action && e.when.is_empty() != conditional);
            programs.push((for_seccompiler(action), rules(chosen)?));
        }
    }
    let mut numbers: Vec<i64> = programs.iter().flat_map(|(_, rules)| rules.keys().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let calls =
        numbers.into_iter().map(|number| call(number, &programs, machine)).collect::<Result<Vec<_>, _>>()?;
    let arch = machine.audit_arch();
    let mut program = vec![not_by_number_alone(), load(Field::Arch), unless_equal(arch), give(NOTIFY)];
    program.push(load(Field::Number));
    program.extend([if_equal(PROFILE_CANARY.number), give(errno(PROFILE_CANARY.errno))]);
    // Left to the guard: it answers ENOSYS without a listener.
    program.extend([if_equal(GUARD_CANARY.number), give(ALLOW)]);
    program.extend(decide(&calls, NOTIFY));
    let program = shrink(&program);
    if program.len() > INSTRUCTIONS_MAX {
        return Err(CompileError(format!(
            "{} instructions; the kernel takes {INSTRUCTIONS_MAX}",
            program.len()
        )));
    }
    Ok(program)
}

/// The programs of a call, joined: what matches in none is notified.
fn call(
    number: i64,
    programs: &[(SeccompAction, Rules)],
    machine: Machine,
) -> Result<(u32, Vec<Instruction>), CompileError> {
    let mut parts = Vec::new();
    for (action, rules) in programs {
        if let Some((number, chain)) = rules.get_key_value(&number) {
            parts.push(only(Rules::from([(*number, chain.clone())]), action.clone(), machine)?);
        }
    }
    let number = u32::try_from(number).map_err(|_negative| CompileError(format!("no call is {number}")))?;
    let code = join(parts);
    Ok(match code.as_slice() {
        // The number is known by then: what begins with asking for it goes on as if it were answered.
        [ask, compare, rest @ ..]
            if (ask.code, ask.k) == (load(Field::Number).code, load(Field::Number).k)
                && (compare.code, compare.jt, compare.k) == (JUMP_EQUAL, 0, number) =>
        {
            (number, rest.to_vec())
        }
        _ => (number, code),
    })
}

/// The profile's entries, with the launcher's own calls and without the one that a handler is parked in.
fn with_own_calls(profile: &Profile, machine: Machine, variant: Variant) -> Vec<Entry> {
    let mut entries = profile.entries.clone();
    // The third wall of single-shot exec. Alone it is not enough, with an absolute path the kernel ignores
    // the descriptor; nothing in the tree is executable, and Landlock agrees.
    let (descriptor, empty_path) = (EXEC_FD.unsigned_abs(), libc::AT_EMPTY_PATH.unsigned_abs());
    let exec = vec![Condition::Word(0, descriptor), Condition::Word(4, empty_path)];
    allow_also(&mut entries, machine, "execveat", exec);
    if variant.dumpable_off_late {
        let option = libc::PR_SET_DUMPABLE.unsigned_abs();
        let off = Condition::Masked { index: 1, mask: u64::MAX, value: 0 };
        allow_also(&mut entries, machine, "prctl", vec![Condition::Word(0, option), off]);
    }
    if variant.locks && profile.traits.locks {
        allow_locks(&mut entries, machine);
    }
    let Some(parked) = variant.parked else { return entries };
    let waiting = waits_in(parked, machine);
    entries.retain(|entry| entry.name != waiting);
    if parked == Parked::Read {
        // Reading anything but the connection.
        allow_also(&mut entries, machine, waiting, vec![Condition::WordAtLeast(0, 1)]);
    }
    entries
}

/// The one call that every libc start-up makes exactly once before main (musl, glibc, Rust, Go); or the call
/// that the handler makes when it is ready, or wants to read.
pub fn waits_in(parked: Parked, machine: Machine) -> &'static str {
    match (parked, machine) {
        (Parked::Entry, Machine::X86_64) => "arch_prctl",
        (Parked::Entry, Machine::Aarch64) => "set_tid_address",
        (Parked::Ready, _) => "sched_yield",
        (Parked::Read, _) => "read",
    }
}

/// flock(2), and locks of records. An exception of the profile's own for some arguments, or a line about
/// flock, stays.
fn allow_locks(entries: &mut Vec<Entry>, machine: Machine) {
    let has_exceptions = |entries: &[Entry], name| {
        entries.iter().any(|e| e.name == name && e.action != Action::Allow && !e.when.is_empty())
    };
    if !has_exceptions(entries, "fcntl") {
        for (first, last) in [(libc::F_GETLK, libc::F_SETLKW), (libc::F_OFD_GETLK, libc::F_OFD_SETLKW)] {
            let between = vec![
                Condition::WordAtLeast(1, first.unsigned_abs()),
                Condition::WordAtMost(1, last.unsigned_abs()),
            ];
            allow_also(entries, machine, "fcntl", between);
        }
    }
    if !entries.iter().any(|entry| entry.name == "flock") {
        let kinds = u64::from((libc::LOCK_SH | libc::LOCK_EX | libc::LOCK_UN | libc::LOCK_NB).unsigned_abs());
        let known = Condition::Masked { index: 1, mask: !kinds, value: 0 };
        allow_also(entries, machine, "flock", vec![known]);
    }
}

/// Adds an alternative to what is allowed of a call, unless all of it is.
fn allow_also(entries: &mut Vec<Entry>, machine: Machine, name: &str, conditions: Vec<Condition>) {
    let mut of_call = entries.iter_mut().filter(|e| e.name == name && e.action == Action::Allow);
    match (of_call.next(), machine.call(name)) {
        (Some(entry), _) if entry.when.is_empty() => {}
        (Some(entry), _) => entry.when.push(conditions),
        (None, Some((name, number))) => entries.push(Entry {
            name,
            number,
            action: Action::Allow,
            when: vec![conditions],
            reason: String::new(),
            condition: String::new(),
        }),
        (None, None) => {}
    }
}

/// The actions that a profile has, each once.
fn actions(entries: &[Entry]) -> Vec<Action> {
    let mut actions: Vec<Action> = entries.iter().map(|entry| entry.action).collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

fn for_seccompiler(action: Action) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Errno(number) => SeccompAction::Errno(number.into()),
        Action::Notify => TO_NOTIFY,
        Action::Kill => SeccompAction::KillProcess,
    }
}

fn rules<'a>(entries: impl Iterator<Item = &'a Entry>) -> Result<Rules, CompileError> {
    let mut rules = Rules::new();
    for entry in entries {
        let chain = entry.when.iter().map(|conditions| rule(conditions)).collect::<Result<Vec<_>, _>>()?;
        rules.insert(entry.number.into(), chain);
    }
    Ok(rules)
}

fn rule(conditions: &[Condition]) -> Result<SeccompRule, CompileError> {
    let conditions = conditions.iter().copied().map(condition).collect::<Result<Vec<_>, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

fn condition(condition: Condition) -> Result<SeccompCondition, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let (index, length, operator, value) = match condition {
        Condition::Word(index, value) => (index, Dword, SeccompCmpOp::Eq, u64::from(value)),
        Condition::WordAtMost(index, value) => (index, Dword, SeccompCmpOp::Le, u64::from(value)),
        Condition::WordAtLeast(index, value) => (index, Dword, SeccompCmpOp::Ge, u64::from(value)),
        Condition::Masked { index, mask: u64::MAX, value } => (index, Qword, SeccompCmpOp::Eq, value),
        Condition::Masked { index, mask, value } => (index, Qword, SeccompCmpOp::MaskedEq(mask), value),
    };
    SeccompCondition::new(index, length, operator, value)
}

/// A program that answers `action` to matching calls. Only here are the two actions side by side; swapped,
/// they would invert the policy.
fn only(rules: Rules, action: SeccompAction, machine: Machine) -> Result<BpfProgram, CompileError> {
    let arch = match machine {
        Machine::X86_64 => TargetArch::x86_64,
        Machine::Aarch64 => TargetArch::aarch64,
    };
    let filter = SeccompFilter::new(rules, NO_MATCH, action, arch)?;
    let program = BpfProgram::try_from(filter)?;
    // The part begins with a check of the architecture, which the whole program has made already.
    match program.as_slice() {
        [_, _, kill, rest @ ..] if (kill.code, kill.k) == (RETURN, libc::SECCOMP_RET_KILL_PROCESS) => {
            Ok(compact(rest))
        }
        _ => Err(CompileError("seccompiler's program does not begin as expected".to_owned())),
    }
}

/// seccompiler spends five instructions on a call that is allowed whatever its arguments: compare, two jumps,
/// two returns. Two do.
fn compact(mut rest: &[sock_filter]) -> BpfProgram {
    let mut short = BpfProgram::new();
    while let Some((first, after)) = rest.split_first() {
        short.push(first.clone());
        rest = match after {
            [to_match, to_mismatch, matching, mismatching, after @ ..]
                if first.code == JUMP_EQUAL
                    && (to_match.code, to_match.k) == (JUMP_ALWAYS, 1)
                    && (to_mismatch.code, to_mismatch.k) == (JUMP_ALWAYS, 2)
                    && (matching.code, mismatching.code) == (RETURN, RETURN) =>
            {
                short.push(matching.clone());
                after
            }
            after => after,
        };
    }
    short
}

/// One program after the other: what does not match in one goes to the next, at the end it is notified.
fn join(programs: Vec<BpfProgram>) -> Vec<Instruction> {
    let last = programs.len().saturating_sub(1);
    let mut joined = Vec::new();
    for (index, program) in programs.into_iter().enumerate() {
        let length = program.len();
        for (position, instruction) in program.into_iter().enumerate() {
            let to_next = u32::try_from(length - position - 1).unwrap_or(u32::MAX);
            joined.push(match (instruction.code, instruction.k) {
                (RETURN, libc::SECCOMP_RET_LOG) => give(NOTIFY),
                (RETURN, libc::SECCOMP_RET_TRAP) if index == last => give(NOTIFY),
                (RETURN, libc::SECCOMP_RET_TRAP) => {
                    Instruction { code: JUMP_ALWAYS, jt: 0, jf: 0, k: to_next }
                }
                (code, k) => Instruction { code, jt: instruction.jt, jf: instruction.jf, k },
            });
        }
    }
    joined
}
