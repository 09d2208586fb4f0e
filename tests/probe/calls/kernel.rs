//! Memory, time and waiting.

use super::{alarm_soon, even};
use crate::{Answer, call};

pub(super) fn call_of(name: &str) -> Option<Answer> {
    memory(name)
        .or_else(|| time(name))
        .or_else(|| timers(name))
        .or_else(|| waiting(name))
        .or_else(|| epoll(name))
}

const PAGE: i64 = 4096;

fn map(protection: i32, flags: i32) -> Answer {
    let flags = i64::from(flags | libc::MAP_ANONYMOUS);
    call(libc::SYS_mmap, [0, PAGE, protection.into(), flags, -1, 0])
}

fn memory(name: &str) -> Option<Answer> {
    let page = || map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
    Some(match name {
        "brk" => call(libc::SYS_brk, [0; 6]),
        "mmap" => page(),
        "mprotect" => {
            page().and_then(|at| call(libc::SYS_mprotect, [at, PAGE, libc::PROT_READ.into(), 0, 0, 0]))
        }
        "munmap" => page().and_then(|at| call(libc::SYS_munmap, [at, PAGE, 0, 0, 0, 0])),
        "mremap" => page().and_then(|at| call(libc::SYS_mremap, [at, PAGE, 2 * PAGE, 1, 0, 0])),
        "madvise" => {
            page().and_then(|at| call(libc::SYS_madvise, [at, PAGE, libc::MADV_DONTNEED.into(), 0, 0, 0]))
        }
        "msync" => page().and_then(|at| call(libc::SYS_msync, [at, PAGE, libc::MS_SYNC.into(), 0, 0, 0])),
        "get_mempolicy" => call(libc::SYS_get_mempolicy, [0; 6]),
        "pkey_alloc" | "pkey_free" | "pkey_mprotect" => key(name),
        // Mappings of code, which the profile tree adds, and others, which it does not.
        "mmap of code" => map(libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE),
        "mmap of shared memory" => map(libc::PROT_READ, libc::MAP_SHARED),
        "mmap of a growing stack" => map(libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_GROWSDOWN),
        "mmap of huge pages" => map(libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_HUGETLB),
        "mprotect of code" => page().and_then(|at| {
            let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            call(libc::SYS_mprotect, [at, PAGE, all.into(), 0, 0, 0])
        }),
        _ => return None,
    })
}

/// A machine without protection keys answers ENOSPC or EINVAL; pkey_mprotect without a key is mprotect.
fn key(name: &str) -> Answer {
    let key = || call(libc::SYS_pkey_alloc, [0; 6]);
    match name {
        "pkey_alloc" => even(even(key(), libc::ENOSPC), libc::EINVAL),
        "pkey_free" => match key() {
            Ok(key) => call(libc::SYS_pkey_free, [key, 0, 0, 0, 0, 0]),
            Err(_) => even(call(libc::SYS_pkey_free, [15, 0, 0, 0, 0, 0]), libc::EINVAL),
        },
        _ => map(libc::PROT_READ, libc::MAP_PRIVATE)
            .and_then(|at| call(libc::SYS_pkey_mprotect, [at, PAGE, libc::PROT_READ.into(), -1, 0, 0])),
    }
}

fn time(name: &str) -> Option<Answer> {
    let mut room = [0u64; 64];
    let at = room.as_mut_ptr() as i64;
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "time" => call(libc::SYS_time, [0; 6]),
        "gettimeofday" => call(libc::SYS_gettimeofday, [at, 0, 0, 0, 0, 0]),
        "clock_gettime" => call(libc::SYS_clock_gettime, [0, at, 0, 0, 0, 0]),
        "clock_getres" => call(libc::SYS_clock_getres, [0, at, 0, 0, 0, 0]),
        "getitimer" => call(libc::SYS_getitimer, [0, at, 0, 0, 0, 0]),
        "setitimer" => call(libc::SYS_setitimer, [0, at, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "alarm" => call(libc::SYS_alarm, [0; 6]),
        "times" => call(libc::SYS_times, [at, 0, 0, 0, 0, 0]),
        "getrusage" => call(libc::SYS_getrusage, [0, at, 0, 0, 0, 0]),
        "nanosleep" => call(libc::SYS_nanosleep, [at, 0, 0, 0, 0, 0]),
        "clock_nanosleep" => call(libc::SYS_clock_nanosleep, [0, 0, at, 0, 0, 0]),
        "getrandom" => call(libc::SYS_getrandom, [at, 16, 0, 0, 0, 0]),
        "sysinfo" => call(libc::SYS_sysinfo, [at, 0, 0, 0, 0, 0]),
        "uname" => call(libc::SYS_uname, [at, 0, 0, 0, 0, 0]),
        _ => return None,
    })
}

fn timers(name: &str) -> Option<Answer> {
    let mut timer = 0i32;
    let mut value = [0u64; 4];
    let at = value.as_mut_ptr() as i64;
    let mut create =
        || call(libc::SYS_timer_create, [0, 0, &raw mut timer as i64, 0, 0, 0]).map(|_| i64::from(timer));
    let fd = || call(libc::SYS_timerfd_create, [1, 0, 0, 0, 0, 0]);
    Some(match name {
        "timer_create" => create(),
        "timer_settime" => create().and_then(|timer| call(libc::SYS_timer_settime, [timer, 0, at, 0, 0, 0])),
        "timer_gettime" => create().and_then(|timer| call(libc::SYS_timer_gettime, [timer, at, 0, 0, 0, 0])),
        "timer_getoverrun" => {
            create().and_then(|timer| call(libc::SYS_timer_getoverrun, [timer, 0, 0, 0, 0, 0]))
        }
        "timer_delete" => create().and_then(|timer| call(libc::SYS_timer_delete, [timer, 0, 0, 0, 0, 0])),
        "timerfd_create" => fd(),
        "timerfd_settime" => fd().and_then(|fd| call(libc::SYS_timerfd_settime, [fd, 0, at, 0, 0, 0])),
        "timerfd_gettime" => fd().and_then(|fd| call(libc::SYS_timerfd_gettime, [fd, at, 0, 0, 0, 0])),
        _ => return None,
    })
}

/// Waits for nothing, or until a timer's signal.
fn waiting(name: &str) -> Option<Answer> {
    let (soon, mask, mut info) = ([0i64, 1_000_000], [0u64; 1], [0u64; 16]);
    let (soon, mask) = (soon.as_ptr() as i64, mask.as_ptr() as i64);
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "poll" => call(libc::SYS_poll, [0, 0, 1, 0, 0, 0]),
        "ppoll" => call(libc::SYS_ppoll, [0, 0, soon, 0, 8, 0]),
        #[cfg(target_arch = "x86_64")]
        "select" => call(libc::SYS_select, [0, 0, 0, 0, soon, 0]),
        "pselect6" => call(libc::SYS_pselect6, [0, 0, 0, 0, soon, 0]),
        #[cfg(target_arch = "x86_64")]
        "pause" => {
            alarm_soon();
            even(call(libc::SYS_pause, [0; 6]), libc::EINTR)
        }
        "rt_sigsuspend" => {
            alarm_soon();
            even(call(libc::SYS_rt_sigsuspend, [mask, 8, 0, 0, 0, 0]), libc::EINTR)
        }
        "rt_sigtimedwait" => even(
            call(libc::SYS_rt_sigtimedwait, [mask, info.as_mut_ptr() as i64, soon, 8, 0, 0]),
            libc::EAGAIN,
        ),
        "rt_sigpending" => call(libc::SYS_rt_sigpending, [info.as_mut_ptr() as i64, 8, 0, 0, 0, 0]),
        // There is nothing to restart, or a poll of the start that a stop has interrupted: with what it was
        // given then.
        "restart_syscall" => even(even(call(libc::SYS_restart_syscall, [0; 6]), libc::EINTR), libc::EFAULT),
        _ => return None,
    })
}

fn epoll(name: &str) -> Option<Answer> {
    let mut event = [0u32; 4];
    let at = event.as_mut_ptr() as i64;
    let soon = [0i64, 1_000_000];
    let instance = || call(libc::SYS_epoll_create1, [0; 6]);
    let counter = || call(libc::SYS_eventfd2, [1, 0, 0, 0, 0, 0]);
    let wait = |number: i64, timeout: i64| instance().and_then(|fd| call(number, [fd, at, 1, timeout, 0, 8]));
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "epoll_create" => call(libc::SYS_epoll_create, [1, 0, 0, 0, 0, 0]),
        "epoll_create1" => instance(),
        "epoll_ctl" => instance()
            .and_then(|fd| call(libc::SYS_epoll_ctl, [fd, libc::EPOLL_CTL_ADD.into(), counter()?, at, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        "epoll_wait" => wait(libc::SYS_epoll_wait, 1),
        "epoll_pwait" => wait(libc::SYS_epoll_pwait, 1),
        "epoll_pwait2" => wait(libc::SYS_epoll_pwait2, soon.as_ptr() as i64),
        #[cfg(target_arch = "x86_64")]
        "eventfd" => call(libc::SYS_eventfd, [1, 0, 0, 0, 0, 0]),
        "eventfd2" => counter(),
        _ => return None,
    })
}
