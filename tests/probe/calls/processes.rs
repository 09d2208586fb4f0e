//! The process itself, its signals and its children.

use super::{HERE, alarm_soon};
use crate::{Answer, call};

pub(super) fn call_of(name: &str) -> Option<Answer> {
    asked(name)
        .or_else(|| scheduling(name))
        .or_else(|| start_up(name))
        .or_else(|| signals(name))
        .or_else(|| limits(name))
        .or_else(|| others(name))
}

/// Calls about the process itself.
fn asked(name: &str) -> Option<Answer> {
    let mut room = [0u64; 16];
    let at = room.as_mut_ptr() as i64;
    let three = [at, at + 8, at + 16, 0, 0, 0];
    Some(match name {
        "getpid" => call(libc::SYS_getpid, [0; 6]),
        "gettid" => call(libc::SYS_gettid, [0; 6]),
        "getppid" => call(libc::SYS_getppid, [0; 6]),
        "getuid" => call(libc::SYS_getuid, [0; 6]),
        "geteuid" => call(libc::SYS_geteuid, [0; 6]),
        "getgid" => call(libc::SYS_getgid, [0; 6]),
        "getegid" => call(libc::SYS_getegid, [0; 6]),
        "getresuid" => call(libc::SYS_getresuid, three),
        "getresgid" => call(libc::SYS_getresgid, three),
        "getgroups" => call(libc::SYS_getgroups, [16, at, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "getpgrp" => call(libc::SYS_getpgrp, [0; 6]),
        "getpgid" => call(libc::SYS_getpgid, [0; 6]),
        "getsid" => call(libc::SYS_getsid, [0; 6]),
        "capget" => {
            let version_3 = [0x2008_0522u32, 0];
            call(libc::SYS_capget, [version_3.as_ptr() as i64, at, 0, 0, 0, 0])
        }
        "prctl" => call(libc::SYS_prctl, [libc::PR_SET_NAME.into(), c"renamed".as_ptr() as i64, 0, 0, 0, 0])
            .and_then(|_| call(libc::SYS_prctl, [libc::PR_GET_NAME.into(), at, 0, 0, 0, 0])),
        _ => return None,
    })
}

/// Asks when and where the process runs.
fn scheduling(name: &str) -> Option<Answer> {
    let mut room = [0u64; 16];
    let at = room.as_mut_ptr() as i64;
    Some(match name {
        "sched_yield" => call(libc::SYS_sched_yield, [0; 6]),
        "sched_getaffinity" => call(libc::SYS_sched_getaffinity, [0, 128, at, 0, 0, 0]),
        "sched_getscheduler" => call(libc::SYS_sched_getscheduler, [0; 6]),
        "sched_getparam" => call(libc::SYS_sched_getparam, [0, at, 0, 0, 0, 0]),
        "sched_getattr" => call(libc::SYS_sched_getattr, [0, at, 128, 0, 0, 0]),
        "sched_get_priority_max" => call(libc::SYS_sched_get_priority_max, [0; 6]),
        "sched_get_priority_min" => call(libc::SYS_sched_get_priority_min, [0; 6]),
        "sched_rr_get_interval" => call(libc::SYS_sched_rr_get_interval, [0, at, 0, 0, 0, 0]),
        "ioprio_get" => call(libc::SYS_ioprio_get, [1, 0, 0, 0, 0, 0]),
        "getcpu" => call(libc::SYS_getcpu, [at, 0, 0, 0, 0, 0]),
        "getpriority" => call(libc::SYS_getpriority, [0; 6]),
        _ => return None,
    })
}

/// Calls that libc makes before main, repeated.
fn start_up(name: &str) -> Option<Answer> {
    static mut TID: i32 = 0;
    static mut LIST: [usize; 3] = [0; 3];
    let mut word = 0u32;
    let private = i64::from(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG);
    let futex = |operation: i64, word: &mut u32| {
        call(libc::SYS_futex, [std::ptr::from_mut(word) as i64, operation, 1, 0, 0, 0])
    };
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "arch_prctl" => {
            let own: i64;
            // SAFETY: the thread pointer's first word is its own address (x86-64 ABI); reading it changes
            // nothing.
            unsafe { std::arch::asm!("mov {}, fs:0", out(reg) own) };
            call(libc::SYS_arch_prctl, [0x1002, own, 0, 0, 0, 0])
        }
        "set_tid_address" => call(libc::SYS_set_tid_address, [&raw mut TID as i64, 0, 0, 0, 0, 0]),
        "set_robust_list" => call(libc::SYS_set_robust_list, [&raw mut LIST as i64, 24, 0, 0, 0, 0]),
        "get_robust_list" => {
            let mut answer = [0u64; 2];
            let at = answer.as_mut_ptr() as i64;
            call(libc::SYS_get_robust_list, [0, at, at + 8, 0, 0, 0])
        }
        "futex" => futex(private, &mut word),
        "futex between processes" => futex(libc::FUTEX_WAKE.into(), &mut word),
        _ => return None,
    })
}

fn signals(name: &str) -> Option<Answer> {
    let mut room = [0u64; 20];
    let at = room.as_mut_ptr() as i64;
    let own = |number: i64| call(number, [0; 6]);
    let (pid, tid) = (own(libc::SYS_getpid), own(libc::SYS_gettid));
    Some(match name {
        "rt_sigaction" => call(libc::SYS_rt_sigaction, [libc::SIGUSR1.into(), 0, at, 8, 0, 0]),
        "rt_sigprocmask" => call(libc::SYS_rt_sigprocmask, [0, 0, at, 8, 0, 0]),
        "rt_sigreturn" => {
            // libc's handlers return by it.
            alarm_soon();
            // SAFETY: an ordinary signal to ourselves, which is handled.
            unsafe { libc::raise(libc::SIGALRM) };
            Ok(0)
        }
        "sigaltstack" => call(libc::SYS_sigaltstack, [0, at, 0, 0, 0, 0]),
        "tkill" => tid.and_then(|tid| call(libc::SYS_tkill, [tid, 0, 0, 0, 0, 0])),
        "tgkill" => pid.and_then(|pid| call(libc::SYS_tgkill, [pid, tid?, 0, 0, 0, 0])),
        "kill" => pid.and_then(|pid| call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0])),
        // SIGURG, which a process ignores that does not handle it; the code is SI_QUEUE.
        "rt_sigqueueinfo" | "rt_tgsigqueueinfo" => {
            let mut info = [0i32; 32];
            info[2] = libc::SI_QUEUE;
            let (signal, info) = (libc::SIGURG.into(), info.as_ptr() as i64);
            pid.and_then(|pid| match name {
                "rt_sigqueueinfo" => call(libc::SYS_rt_sigqueueinfo, [pid, signal, info, 0, 0, 0]),
                _ => call(libc::SYS_rt_tgsigqueueinfo, [pid, tid?, signal, info, 0, 0]),
            })
        }
        #[cfg(target_arch = "x86_64")]
        "signalfd" => call(libc::SYS_signalfd, [-1, at, 8, 0, 0, 0]),
        "signalfd4" => call(libc::SYS_signalfd4, [-1, at, 8, 0, 0, 0]),
        _ => return None,
    })
}

fn limits(name: &str) -> Option<Answer> {
    let mut room = [0u64; 2];
    let at = room.as_mut_ptr() as i64;
    let stack = i64::from(libc::RLIMIT_STACK);
    let get = || call(libc::SYS_prlimit64, [0, stack, 0, at, 0, 0]);
    Some(match name {
        "prlimit64" => get(),
        "prlimit64 of a new limit" => get().and_then(|_| call(libc::SYS_prlimit64, [0, stack, at, 0, 0, 0])),
        "getrlimit" => call(libc::SYS_getrlimit, [stack, at, 0, 0, 0, 0]),
        "setrlimit" => get().and_then(|_| call(libc::SYS_setrlimit, [stack, at, 0, 0, 0, 0])),
        _ => return None,
    })
}

/// Makes a child that ends at once, by a call of that number.
fn fork(number: i64, flags: i64) -> Answer {
    let child = call(number, [flags, 0, 0, 0, 0, 0])?;
    if child == 0 {
        // SAFETY: ends the child; nothing of it is used afterwards.
        unsafe { libc::_exit(0) }
    }
    Ok(child)
}

#[cfg(target_arch = "x86_64")]
fn vfork() -> Answer {
    let answer: i64;
    // SAFETY: the child, which shares our stack, touches none of it: it ends in the next call.
    unsafe {
        std::arch::asm!("syscall", "test rax, rax", "jnz 2f", "xor edi, edi", "mov eax, 231", "syscall", "2:",
            inlateout("rax") libc::SYS_vfork => answer, out("rcx") _, out("r11") _, out("rdi") _);
    }
    if answer < 0 { Err((-answer) as i32) } else { Ok(answer) }
}

fn others(name: &str) -> Option<Answer> {
    let child = || fork(libc::SYS_clone, libc::SIGCHLD.into());
    let mut room = [0u64; 20];
    let at = room.as_mut_ptr() as i64;
    let wait = |child: i64| call(libc::SYS_wait4, [child, 0, 0, 0, 0, 0]);
    Some(match name {
        "clone" => child().and_then(wait),
        #[cfg(target_arch = "x86_64")]
        "fork" => fork(libc::SYS_fork, 0).and_then(wait),
        #[cfg(target_arch = "x86_64")]
        "vfork" => vfork().and_then(wait),
        "wait4" => child().and_then(wait),
        "waitid" => child().and_then(|child| {
            call(libc::SYS_waitid, [libc::P_PID.into(), child, at, libc::WEXITED.into(), 0, 0])
        }),
        "setpgid" => call(libc::SYS_setpgid, [0; 6]),
        "setsid" => setsid_of_a_child(),
        "execve" => ends(libc::SYS_execve, [c"/bin/probe".as_ptr() as i64, 0, 0, 0, 0, 0]),
        "execveat" => ends(libc::SYS_execveat, [HERE, c"/bin/probe".as_ptr() as i64, 0, 0, 0, 0]),
        "exit" => ends(libc::SYS_exit, [7, 0, 0, 0, 0, 0]),
        "exit_group" => ends(libc::SYS_exit_group, [7, 0, 0, 0, 0, 0]),
        _ => return None,
    })
}

/// A leader of a process group cannot; a child can.
fn setsid_of_a_child() -> Answer {
    let child = call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0])?;
    if child == 0 {
        let done = call(libc::SYS_setsid, [0; 6]);
        // SAFETY: ends the child; nothing of it is used afterwards.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }
    let mut status = 0i32;
    call(libc::SYS_wait4, [child, &raw mut status as i64, 0, 0, 0, 0])?;
    if status == 0 { Ok(0) } else { Err(libc::EPERM) }
}

/// In a child, where there may be children: 64 is what the probe says without a verb.
fn ends(number: i64, args: [i64; 6]) -> Answer {
    let mut status = 0i32;
    let child = call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]).unwrap_or(0);
    if child == 0 {
        let answer = call(number, args);
        println!("came back {answer:?}");
        // SAFETY: ends the process; nothing of it is used afterwards.
        unsafe { libc::_exit(1) }
    }
    call(libc::SYS_wait4, [child, &raw mut status as i64, 0, 0, 0, 0])?;
    match status >> 8 {
        7 | 64 => Ok(status.into()),
        _ => Err(libc::ECHILD),
    }
}
