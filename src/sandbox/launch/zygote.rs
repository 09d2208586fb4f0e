//! The supervisor's side of a zygote: makes it, gives a sandbox its descriptors, and looks at what the
//! sandbox has inherited.
//!
//! All sandboxes of a zygote have the one listener. A notification names the process by its number. A sandbox
//! is one process, which the supervisor alone reaps, so the number is no other's while the call waits.

use super::denied::Denied;
use super::{Sandbox, Workshop, ruleset_errno};
use crate::child::exec::HANDED_FD;
use crate::child::operand::Operand;
use crate::child::step::{AtStep, Failure, Step, verify};
use crate::child::zygote;
use crate::child::{supervisor_link, wire};
use crate::plan::Plan;
use crate::plan::identity::Identity;
use crate::plan::park::Park;
use crate::plan::zygote::{ARRIVE_CALL, FAIL_CALL};
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use sys::token::{self, Token};
use sys::{self, CStrings, Errno, process};

/// A zygote from the outside.
#[derive(Debug)]
pub struct Zygote {
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// Its set-up reports on it; its end says nothing. Orders go there, if it takes any.
    pub channel: OwnedFd,
    /// Its later messages and those of its sandboxes carry it. None: it has no filters, and uses the channel.
    pub token: Option<Token>,
}

/// Begins a zygote; it goes on by itself and reports on the channel.
/// With `in_groups`, each sandbox needs a cgroup to be born in.
pub fn make(
    plan: &Plan,
    workshop: &Workshop,
    environment: &CStrings,
    park: Park,
    in_groups: bool,
) -> Result<Zygote, Failure> {
    let (channel, child_channel) = sys::socket::message_pair().step(Step::Channel)?;
    let ruleset = plan.landlock.ruleset().map_err(|error| ruleset_errno(&error)).step(Step::Ruleset)?;
    let parting = plan.landlock.parting().map_err(|error| ruleset_errno(&error)).step(Step::Ruleset)?;
    let placeholder = workshop.placeholder()?;
    let token = Token::random().step(Step::ProfileFilter)?;
    let (guard, profile) = (plan.seccomp.guard_with(token), plan.seccomp.profile_with(token, park));
    let context = zygote::Context {
        plan,
        link: supervisor_link::SupervisorLink {
            pidfd: workshop.supervisor.as_fd(),
            channel: child_channel.as_fd(),
        },
        environment,
        ruleset: ruleset.as_fd(),
        parting: parting.as_fd(),
        canary: workshop.canary.as_fd(),
        placeholder: placeholder.as_fd(),
        token,
        guard: &guard,
        profile: &profile,
        in_groups,
    };
    // Not in a pid namespace: the first process of one cannot clone children of its parent (clone(2),
    // CLONE_PARENT).
    let child = process::spawn(0, None, zygote::main, &context).step(Step::Clone)?;
    let zygote = Zygote { pid: child.pid, pidfd: child.pidfd, channel, token: Some(token) };
    let released =
        sys::socket::send_with_fd(zygote.channel.as_fd(), &wire::encode_identity(Identity::ROOT), None);
    match released.step(Step::Release) {
        Ok(()) => Ok(zygote),
        Err(failure) => {
            zygote.destroy();
            Err(failure)
        }
    }
}

impl Zygote {
    /// Our end of the next sandbox's stderr, while the zygote waits.
    pub fn take_stderr(&self, plan: &Plan) -> Result<OwnedFd, Failure> {
        let step = Step::StderrPipe;
        let stderr = process::pidfd_getfd(self.pidfd.as_fd(), zygote::STDERR_READER_FD).step(step)?;
        sys::set_nonblocking(stderr.as_fd()).step(step)?;
        if plan.rootfs.dev {
            super::let_stderr_be_opened(stderr.as_fd()).step(step)?;
        }
        Ok(stderr)
    }

    /// Lets it make the sandbox that it waits to make in call `id`, in this cgroup. ENOENT, ESRCH: it has died.
    pub fn let_clone(
        &self,
        listener: BorrowedFd<'_>,
        id: u64,
        group: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        if let Some(group) = group {
            sys::seccomp::put_until_exec(listener, id, group, zygote::GROUP_FD.unsigned_abs())?;
        }
        sys::seccomp::let_call(listener, id)
    }

    /// Whether a call of its process is the clone that it waits in. Some: what it says of the one before, the
    /// number of a sandbox or an errno as the kernel has it.
    pub fn waits_in(&self, call: &Denied) -> Option<i64> {
        let [_, size, note, .., word] = call.args;
        let is_clone = libc::c_long::from(call.number) == libc::SYS_clone3 && !call.foreign;
        let carries = self.token.is_some_and(|token| word == token.word())
            && usize::try_from(size) == Ok(token::CLONE_ARGS);
        (is_clone && carries).then_some(note.cast_signed())
    }

    pub fn kill(&self) -> Result<(), Errno> {
        process::kill_child(self.pidfd.as_fd(), self.pid)
    }

    /// Kills and reaps it. Its sandboxes are ours, and live on.
    pub fn destroy(&self) {
        if self.kill().is_ok() {
            process::wait_for_end(self.pidfd.as_fd());
        }
    }

    /// Looks at a zygote that is complete: how many filters it and its sandboxes have.
    pub fn verify(&self) -> Result<u32, Failure> {
        let step = Step::Inherit;
        let (own, status) = (Status::of(std::process::id()).step(step)?, Status::of(self.pid).step(step)?);
        let filters = own.number("Seccomp_filters").unwrap_or(0) + 2;
        verify(step, status.number("Seccomp_filters").is_none_or(|found| found == filters))?;
        verify(step, status.has_no_groups() && status.is_bounded())?;
        let open = descriptors(self.pid).step(step)?;
        verify(step, open.iter().eq(&zygote::OPEN_WHILE_WAITING))?;
        Ok(filters)
    }
}

/// The supervisor's decision on a notified call of a sandbox that sets itself up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It waits for its descriptors and its uid.
    Equip,
    /// It has failed, and ends.
    Failed(Failure),
    /// No part of the set-up.
    Deny,
}

/// A sandbox that a zygote has cloned, until it has its descriptors.
#[derive(Debug)]
pub struct SetUp {
    /// The descriptors that it has not inherited, each with its number there.
    ends: Vec<(u32, OwnedFd)>,
}

/// A sandbox by the number of its first process, which must be a child of ours, with its descriptors.
pub fn adopt(
    plan: &Plan,
    pid: u32,
    stderr: OwnedFd,
    placeholder: OwnedFd,
    passed: Vec<OwnedFd>,
) -> Result<(Sandbox, SetUp), Failure> {
    let pidfd = process::pidfd_open(pid).step(Step::Clone)?;
    process::verify_own_child(pidfd.as_fd()).step(Step::Clone)?;
    let identity = plan.ids.identity(pid);
    let sandbox = Sandbox { pid, pidfd, identity, channel: None, stderr, status: None, _snapshot: None };
    let copy = placeholder.try_clone().map_err(|error| errno_of(&error)).step(Step::Stdio)?;
    let mut ends = vec![(1, copy), (0, placeholder)];
    ends.extend((HANDED_FD.unsigned_abs()..).zip(passed));
    Ok((sandbox, SetUp { ends }))
}

impl SetUp {
    /// Judges a notified call of its only process.
    pub fn judge(&self, call: &Denied, token: Token) -> Answer {
        match call.number.cast_unsigned() {
            _ if call.foreign || call.args[5] != token.word() => Answer::Deny,
            ARRIVE_CALL => Answer::Equip,
            FAIL_CALL => failure_of(call, token).map_or(Answer::Deny, Answer::Failed),
            _ => Answer::Deny,
        }
    }

    /// Puts the descriptors in their places in the process that waits in call `id`, and tells it its uid.
    pub fn equip(self, listener: BorrowedFd<'_>, id: u64, identity: Identity) -> Result<(), Errno> {
        for (number, fd) in &self.ends {
            sys::seccomp::put_descriptor(listener, id, fd.as_fd(), *number)?;
        }
        sys::seccomp::answer_call(listener, id, identity.uid)
    }
}

/// A call by which a sandbox says that its set-up, or the exec, has failed. A handler that makes it does not
/// know the token.
pub fn failure_of(call: &Denied, token: Token) -> Option<Failure> {
    let [step, operand, errno, .., word] = call.args;
    let is_report = call.number.cast_unsigned() == FAIL_CALL && !call.foreign && word == token.word();
    Some(Failure {
        step: Step::from_number(u16::try_from(step).ok().filter(|_| is_report)?)?,
        operand: Operand::from_number(u16::try_from(operand).ok()?)?,
        errno: Errno::from_raw(i32::try_from(errno).ok()?),
    })
}

/// Looks at everything that /proc shows of a sandbox, inherited or its own, before it has a connection.
pub fn verify_inherited(sandbox: &Sandbox, filters: u32) -> Result<(), Failure> {
    let step = Step::Inherit;
    let status = Status::of(sandbox.pid).step(step)?;
    let identity = sandbox.identity;
    verify(step, status.are_all("Uid", identity.uid) && status.are_all("Gid", identity.gid))?;
    verify(step, status.has_no_groups() && status.is_bounded() && status.has_no_capability())?;
    verify(step, status.number("Seccomp_filters").is_none_or(|found| found == filters))?;
    // The first process of its pid namespace and of its session, and the only one.
    let own = [sandbox.pid.to_string(), "1".to_owned()];
    verify(step, status.words("NSpid") == own && status.words("NSsid") == own)?;
    verify(step, status.words("Threads") == ["1"])
}

/// The numbers of a process's open descriptors, whatever its limit was when they were opened.
pub(super) fn descriptors(pid: u32) -> Result<BTreeSet<RawFd>, Errno> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| errno_of(&error))?;
    let number = |name: &OsStr| name.to_str().and_then(|name| name.parse().ok()).ok_or(Errno::EBADMSG);
    entries.map(|entry| number(&entry.map_err(|error| errno_of(&error))?.file_name())).collect()
}

/// Whether a child of ours is the first process of a pid namespace: a sandbox.
pub fn is_sandbox(pid: u32) -> bool {
    Status::of(pid).is_ok_and(|status| status.words("NSpid") == [pid.to_string(), "1".to_owned()])
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// /proc/PID/status (proc_pid_status(5)).
pub(super) struct Status(String);

impl Status {
    pub(super) fn of(pid: u32) -> Result<Status, Errno> {
        let path = CString::new(format!("/proc/{pid}/status")).map_err(|_nul| Errno::EINVAL)?;
        let file = sys::mount::openat2(sys::cwd(), &path, libc::O_RDONLY, 0)?;
        // One call: it is shorter than that, and says what was true at one moment.
        let mut text = vec![0; 8192];
        let length = sys::read(file.as_fd(), &mut text)?;
        text.truncate(length);
        String::from_utf8(text).map(Status).map_err(|_not_utf8| Errno::EILSEQ)
    }

    /// Of a line that is not there, none.
    fn words(&self, name: &str) -> Vec<&str> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().split_whitespace().collect()
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.words(name).first()?.parse().ok()
    }

    /// Real, effective and saved id, and that of file systems.
    fn are_all(&self, name: &str, id: u32) -> bool {
        let words = self.words(name);
        words.len() == 4 && words.iter().all(|word| word.parse() == Ok(id))
    }

    pub(super) fn is_zero(&self, name: &str) -> bool {
        matches!(self.words(name)[..], [digits] if digits.bytes().all(|digit| digit == b'0'))
    }

    pub(super) fn has_no_groups(&self) -> bool {
        self.0.contains("\nGroups:") && self.words("Groups").is_empty()
    }

    fn has_no_capability(&self) -> bool {
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].into_iter().all(|set| self.is_zero(set))
    }

    /// No privilege can come back, and filters are in force.
    fn is_bounded(&self) -> bool {
        let empty = ["CapInh", "CapBnd", "CapAmb"].into_iter().all(|set| self.is_zero(set));
        empty && self.words("NoNewPrivs") == ["1"] && self.words("Seccomp") == ["2"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: libc::c_long, args: [u64; 6]) -> Denied {
        Denied { number: i32::try_from(number).unwrap(), foreign: false, args }
    }

    #[test]
    fn a_sandbox_that_has_no_descriptors_yet_makes_no_call_but_to_ask_for_them() {
        let (set_up, token) = (SetUp { ends: Vec::new() }, Token::random().unwrap());
        let args = [0, 0, 0, 0, 0, token.word()];
        assert_eq!(set_up.judge(&call(ARRIVE_CALL.into(), args), token), Answer::Equip);
        let foreign = Denied { foreign: true, ..call(ARRIVE_CALL.into(), args) };
        assert_eq!(set_up.judge(&foreign, token), Answer::Deny);
        assert_eq!(set_up.judge(&call(ARRIVE_CALL.into(), [0; 6]), token), Answer::Deny);
        for number in [libc::SYS_clone, libc::SYS_setresuid, libc::SYS_recvmsg, libc::SYS_seccomp] {
            assert_eq!(set_up.judge(&call(number, args), token), Answer::Deny, "{number}");
        }
    }

    #[test]
    fn a_report_names_its_step_and_carries_the_token() {
        let token = Token::random().unwrap();
        let failure = Failure { step: Step::Uid, operand: Operand::None, errno: Errno::EAGAIN };
        let args = [Step::Uid as u64, 0, libc::EAGAIN.unsigned_abs().into(), 0, 0, token.word()];
        assert_eq!(failure_of(&call(FAIL_CALL.into(), args), token), Some(failure));
        assert_eq!(failure_of(&call(ARRIVE_CALL.into(), args), token), None);
        let max = u64::MAX;
        assert_eq!(failure_of(&call(FAIL_CALL.into(), [max, max, max, 0, 0, token.word()]), token), None);
        for bit in 0..64 {
            let guessed = [args[0], args[1], args[2], 0, 0, token.word() ^ 1 << bit];
            assert_eq!(failure_of(&call(FAIL_CALL.into(), guessed), token), None, "{bit}");
        }
    }

    #[test]
    fn a_line_of_the_status_is_found_by_its_whole_name() {
        let status =
            Status("Name:\tx\nGroups:\t \nSeccomp:\t2\nSeccomp_filters:\t3\nCapEff:\t0000\n".to_owned());
        assert_eq!((status.words("Seccomp"), status.number("Seccomp_filters")), (vec!["2"], Some(3)));
        assert!(status.has_no_groups() && status.is_zero("CapEff") && !status.is_zero("CapBnd"));
    }
}
