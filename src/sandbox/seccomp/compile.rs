//! A profile to BPF, by seccompiler, one program an action, joined into one.
//!
//! seccompiler knows one action for what matches and one for what does not, and no user notification. So each action is
//! compiled by itself with a placeholder for "does not match", and the placeholder's returns become jumps to the next
//! program, the last one's returns of "notify". All this by ranges of numbers, chosen by halves; in front of it stand the
//! check of the architecture and the canary's answer.

use super::bpf::{
    ALLOW, Field, JUMP_ALWAYS, JUMP_EQUAL, NATIVE_ARCH, NOTIFY, RETURN, choose, errno, give, if_equal, load,
    unless_equal,
};
use super::profile::{Action, Condition, Entry, Profile};
use super::{GUARD_CANARY, PROFILE_CANARY};
use crate::sandbox::exec::EXEC_FD;
use crate::sandbox::park::Park;
use crate::sys::seccomp::Instruction;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;

/// seccompiler's return for "does not match", replaced in what it compiles; no profile can ask for it.
const PLACEHOLDER: SeccompAction = SeccompAction::Trap;

#[derive(Debug)]
pub(crate) struct CompileError(String);

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

/// The whole program. `dumpable_off_late` adds the one prctl(2) that rootless set-up makes after the filters; `park` takes
/// out the call that a parked handler waits in: the supervisor lets it go on.
pub(super) fn compile(
    profile: &Profile,
    dumpable_off_late: bool,
    park: Park,
) -> Result<Vec<Instruction>, CompileError> {
    let mut programs = vec![(SeccompAction::Allow, allowed(profile, dumpable_off_late, park)?)];
    for number in errnos(profile) {
        let entries = profile.entries.iter().filter(|entry| entry.action == Action::Errno(number));
        programs.push((SeccompAction::Errno(number.unsigned_abs()), rules(entries)?));
    }
    let mut numbers: Vec<i64> = programs.iter().flat_map(|(_, rules)| rules.keys().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let ranges = numbers
        .chunks(CALLS_A_RANGE)
        .map(|numbers| range(numbers, &programs))
        .collect::<Result<Vec<_>, _>>()?;
    let mut program = vec![load(Field::Arch), unless_equal(NATIVE_ARCH), give(NOTIFY), load(Field::Number)];
    program.extend([if_equal(PROFILE_CANARY.number), give(errno(PROFILE_CANARY.errno))]);
    // Left to the guard: without one the kernel says that there is no such call, and nobody waits for an answer.
    program.extend([if_equal(GUARD_CANARY.number), give(ALLOW)]);
    program.extend(choose(&ranges));
    Ok(program)
}

/// Calls that are compared one after the other once the range is chosen.
const CALLS_A_RANGE: usize = 4;

/// The programs of a few calls, joined: what matches in none is notified.
fn range(
    numbers: &[i64],
    programs: &[(SeccompAction, Rules)],
) -> Result<(u32, Vec<Instruction>), CompileError> {
    let mut parts = Vec::new();
    for (action, rules) in programs {
        let mut rules = rules.clone();
        rules.retain(|number, _| numbers.contains(number));
        if !rules.is_empty() {
            parts.push(only(rules, action.clone())?);
        }
    }
    let first = numbers.first().and_then(|number| u32::try_from(*number).ok()).unwrap_or(0);
    Ok((first, join(parts)))
}

fn allowed(profile: &Profile, dumpable_off_late: bool, park: Park) -> Result<Rules, CompileError> {
    let mut allowed = rules(profile.entries.iter().filter(|entry| entry.action == Action::Allow))?;
    allow_one_exec(&mut allowed)?;
    if dumpable_off_late {
        let conditions = [Condition::Word(0, PR_SET_DUMPABLE), Condition::Long(1, 0)];
        allowed.entry(libc::SYS_prctl).or_default().push(rule(&conditions)?);
    }
    if let Some(notified) = park.notified() {
        allowed.remove(&notified);
    }
    if park == Park::Read {
        // Reading anything but the connection.
        let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ge, 1)?;
        allowed.insert(libc::SYS_read, vec![SeccompRule::new(vec![other])?]);
    }
    Ok(allowed)
}

#[allow(clippy::cast_sign_loss)]
const PR_SET_DUMPABLE: u32 = libc::PR_SET_DUMPABLE as u32;

/// `execveat(63, …, AT_EMPTY_PATH)` and no other exec: the third wall of single-shot exec. Alone it is not enough, with
/// an absolute path the kernel ignores the descriptor; nothing in the tree is executable, and Landlock agrees.
fn allow_one_exec(rules: &mut Rules) -> Result<(), CompileError> {
    let number = EXEC_FD.unsigned_abs();
    let empty_path = libc::AT_EMPTY_PATH.unsigned_abs();
    let conditions = [Condition::Word(0, number), Condition::Word(4, empty_path)];
    rules.entry(libc::SYS_execveat).or_default().push(rule(&conditions)?);
    Ok(())
}

fn errnos(profile: &Profile) -> Vec<i32> {
    let mut numbers: Vec<i32> = profile
        .entries
        .iter()
        .filter_map(|entry| match entry.action {
            Action::Errno(number) => Some(number),
            Action::Allow => None,
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn rules<'a>(entries: impl Iterator<Item = &'a Entry>) -> Result<Rules, CompileError> {
    let mut rules = Rules::new();
    for entry in entries {
        let chain = entry.when.iter().map(|conditions| rule(conditions)).collect::<Result<Vec<_>, _>>()?;
        rules.insert(entry.number, chain);
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
        Condition::Long(index, value) => (index, Qword, SeccompCmpOp::Eq, value),
        Condition::NoneOf(index, mask) => (index, Qword, SeccompCmpOp::MaskedEq(mask), 0),
        Condition::AllOf(index, mask) => (index, Qword, SeccompCmpOp::MaskedEq(mask), mask),
        Condition::AtMost(index, value) => (index, Dword, SeccompCmpOp::Le, u64::from(value)),
    };
    SeccompCondition::new(index, length, operator, value)
}

/// A program that answers `action` to what matches. The only place where the two actions stand side by side: swapped,
/// they would invert the policy.
fn only(rules: Rules, action: SeccompAction) -> Result<BpfProgram, CompileError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, PLACEHOLDER, action, arch)?;
    let program = BpfProgram::try_from(filter)?;
    // It begins with the check of the architecture, which the whole program has made already.
    match program.as_slice() {
        [_, _, kill, rest @ ..] if (kill.code, kill.k) == (RETURN, libc::SECCOMP_RET_KILL_PROCESS) => {
            Ok(compact(rest))
        }
        _ => Err(CompileError("seccompiler's program does not begin as expected".to_owned())),
    }
}

/// seccompiler spends five instructions on a call that is allowed whatever its arguments: compare, two jumps, two
/// returns. Two do.
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

#[cfg(test)]
mod tests {
    use super::super::profile::STATIC;
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let program = compile(&STATIC, false, Park::None).unwrap();
        let left = program.iter().filter(|i| i.code == RETURN && i.k == libc::SECCOMP_RET_TRAP).count();
        assert_eq!(left, 0);
    }

    #[test]
    fn only_allow_notify_and_errno_are_ever_answered() {
        for instruction in compile(&STATIC, true, Park::Read).unwrap().iter().filter(|i| i.code == RETURN) {
            let action = instruction.k & libc::SECCOMP_RET_ACTION_FULL;
            let known = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ERRNO];
            assert!(known.contains(&action), "{action:#x}");
        }
    }
}
