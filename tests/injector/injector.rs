//! Runs a launcher and makes chosen system calls of it, or of what it clones, fail, or succeed without
//! effect.
//!
//! `injector --report FD [--trace] [--while FILE] [--rule RULE]… -- COMMAND [ARG]…`
//!
//! The command runs in the injector's own process, so its pid, parent, status and descriptors are the same as
//! without it. A second process traces it and its descendants (ptrace(2)). It writes each event to the
//! report, one a line:
//!
//! - `fired INDEX ROLE CALL`: a rule was applied;
//! - `ran ROLE`: a program was executed in a process that the launcher has cloned: the handler. It is let go
//!   there. With `--while`, `later ROLE` once the file is gone;
//! - `call ROLE CALL NTH TEXT = RESULT`: with `--trace`, each call.
//!
//! Rules are explained in `rule.rs`; with `--while` they hold for as long as the file is there. ptrace stops
//! come before seccomp's filters are asked (Linux 4.8), so a filter sees what a rule has made of a call.

#[cfg(target_arch = "x86_64")]
mod names;
#[cfg(target_arch = "x86_64")]
mod process;
#[cfg(target_arch = "x86_64")]
mod rule;
#[cfg(target_arch = "x86_64")]
mod tracer;

#[cfg(target_arch = "x86_64")]
mod start {
    use crate::rule::Rule;
    use crate::tracer::{Orders, Tracer};
    use nix::unistd::{ForkResult, Pid, fork, getpid};
    use std::fs::File;
    use std::io::{PipeWriter, Read, Write, pipe};
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Options and command; None for what cannot be understood.
    fn parse(words: impl Iterator<Item = String>) -> Option<(Orders, Vec<String>)> {
        let mut words = words;
        let (mut report, mut trace, mut valid_while, mut rules) = (None, false, None, Vec::new());
        while let Some(word) = words.next() {
            match word.as_str() {
                "--report" => report = words.next()?.parse().ok(),
                "--trace" => trace = true,
                "--while" => valid_while = words.next(),
                "--rule" => rules.push(Rule::parse(&words.next()?)?),
                "--" => break,
                _ => return None,
            }
        }
        // SAFETY: the number is the caller's gift to us, named for this; nothing else here owns it.
        let report = unsafe { File::from_raw_fd(report?) };
        Some((Orders { report, trace, valid_while, rules }, words.collect()))
    }

    pub fn main() -> i32 {
        let Some((orders, command)) = parse(std::env::args().skip(1)) else {
            eprintln!("injector: cannot understand the options; see injector.rs");
            return 2;
        };
        let (Some(program), Ok((mut go, gone))) = (command.first(), pipe()) else { return 2 };
        let launcher = getpid();
        // SAFETY: one thread, so the child may go on as it likes.
        match unsafe { fork() } {
            Err(_) => return 2,
            Ok(ForkResult::Child) => {
                drop(go);
                detach_from_parent(orders, launcher, gone)
            }
            Ok(ForkResult::Parent { child }) => {
                drop((orders, gone));
                if nix::sys::wait::waitpid(child, None).is_err() {
                    return 2;
                }
            }
        }
        let mut byte = [0];
        if go.read_exact(&mut byte).is_err() {
            eprintln!("injector: cannot be traced");
            return 2;
        }
        let error = Command::new(program).args(&command[1..]).exec();
        eprintln!("injector: {program}: {error}");
        2
    }

    /// The tracer is not a child of the launcher, so the launcher cannot wait for it.
    fn detach_from_parent(orders: Orders, launcher: Pid, gone: PipeWriter) -> ! {
        // SAFETY: one thread, so the child may go on as it likes.
        let forked = unsafe { fork() };
        if matches!(forked, Ok(ForkResult::Child)) {
            let (report, mut gone) = keep_only(&orders.report, &gone);
            let begun = Tracer::begin(Orders { report, ..orders }, launcher);
            if let Some(mut tracer) = begun
                && gone.write_all(b"1").is_ok()
            {
                drop(gone);
                tracer.follow();
            }
        }
        // SAFETY: ends the process, which owns nothing that must be put in order.
        unsafe { libc::_exit(0) }
    }

    /// These two at 0 and 1, and nothing else: what the launcher was given must end with the launcher's own
    /// copies.
    fn keep_only(report: &File, gone: &PipeWriter) -> (File, File) {
        for (number, fd) in [(0, report.as_raw_fd()), (1, gone.as_raw_fd())] {
            // SAFETY: two numbers; nothing here uses the standard descriptors any more.
            unsafe { libc::dup2(fd, number) };
        }
        // SAFETY: three numbers. What owned the rest is never used again, nor dropped: this process ends by
        // _exit.
        unsafe { libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0) };
        // SAFETY: made just above; each gets one owner.
        let own = |number| unsafe { File::from_raw_fd(number) };
        (own(0), own(1))
    }
}

#[cfg(target_arch = "x86_64")]
fn main() {
    std::process::exit(start::main());
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("injector: knows the registers of x86-64 only");
    std::process::exit(2);
}
