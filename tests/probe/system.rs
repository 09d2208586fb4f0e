//! Processes, privileges and the rest of the kernel's surface.

use crate::{Answer, call, see::path};

/// Where the launcher kept the handler's file open for its one exec.
const EXEC_FD: i64 = 63;

fn report(child: i64) -> Answer {
    // In a child that was made after all: leave at once, so that only the parent speaks.
    if child == 0 {
        // SAFETY: ends the process; nothing of it is used afterwards.
        unsafe { libc::_exit(0) }
    }
    Ok(child)
}

pub fn clone(flags: i32) -> Answer {
    report(call(libc::SYS_clone, [(flags | libc::SIGCHLD).into(), 0, 0, 0, 0, 0])?)
}

pub fn clone3(flags: i32) -> Answer {
    let mut request = [0u64; 11];
    request[0] = flags as u64;
    request[4] = libc::SIGCHLD as u64;
    report(call(libc::SYS_clone3, [request.as_ptr() as i64, 88, 0, 0, 0, 0])?)
}

pub fn unshare(flags: i32) -> Answer {
    call(libc::SYS_unshare, [flags.into(), 0, 0, 0, 0, 0])
}

fn arguments() -> [*const libc::c_char; 3] {
    [c"probe".as_ptr(), c"exec-happened".as_ptr(), std::ptr::null()]
}

pub fn execve(file: &str) -> Answer {
    let (name, argv) = (path(file), arguments());
    let environment = [std::ptr::null::<libc::c_char>()];
    call(libc::SYS_execve, [name.as_ptr() as i64, argv.as_ptr() as i64, environment.as_ptr() as i64, 0, 0, 0])
}

/// `file` empty, relative or absolute, all with the very flags the launcher's own exec used.
pub fn execveat(file: &str) -> Answer {
    let (name, argv) = (path(file), arguments());
    let environment = [std::ptr::null::<libc::c_char>()];
    let at = [name.as_ptr() as i64, argv.as_ptr() as i64, environment.as_ptr() as i64];
    call(libc::SYS_execveat, [EXEC_FD, at[0], at[1], at[2], libc::AT_EMPTY_PATH.into(), 0])
}

/// The same without AT_EMPTY_PATH, from the current directory.
pub fn execveat_plain(file: &str) -> Answer {
    let (name, argv) = (path(file), arguments());
    let environment = [std::ptr::null::<libc::c_char>()];
    let at = [name.as_ptr() as i64, argv.as_ptr() as i64, environment.as_ptr() as i64];
    call(libc::SYS_execveat, [libc::AT_FDCWD.into(), at[0], at[1], at[2], 0, 0])
}

pub fn mount() -> Answer {
    let (source, target, kind) = (c"none".as_ptr() as i64, c"/tmp".as_ptr() as i64, c"tmpfs".as_ptr() as i64);
    call(libc::SYS_mount, [source, target, kind, 0, 0, 0])
}

pub fn umount() -> Answer {
    call(libc::SYS_umount2, [c"/tmp".as_ptr() as i64, libc::MNT_DETACH.into(), 0, 0, 0, 0])
}

/// A filter program would need memory; a null pointer is refused later than the profile looks.
pub fn seccomp() -> Answer {
    call(libc::SYS_seccomp, [1, 0, 0, 0, 0, 0])
}

pub fn io_uring() -> Answer {
    let parameters = [0u64; 15];
    call(libc::SYS_io_uring_setup, [1, parameters.as_ptr() as i64, 0, 0, 0, 0])
}

pub fn perf_event() -> Answer {
    let mut attributes = [0u64; 16];
    attributes[0] = 1 | (128 << 32);
    call(libc::SYS_perf_event_open, [attributes.as_ptr() as i64, 0, -1, -1, 0, 0])
}

pub fn read_other_memory() -> Answer {
    let mut byte = [0u8; 1];
    let part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let at = &raw const part as i64;
    call(libc::SYS_process_vm_readv, [1, at, 1, at, 1, 0])
}

pub fn open_by_handle() -> Answer {
    let handle = [8u32, 1, 2, 0];
    call(libc::SYS_open_by_handle_at, [libc::AT_FDCWD.into(), handle.as_ptr() as i64, 0, 0, 0, 0])
}

pub fn name_to_handle() -> Answer {
    let mut handle = [0u32; 36];
    handle[0] = 128;
    let mut mount = 0i32;
    let at = [c"/".as_ptr() as i64, handle.as_mut_ptr() as i64, &raw mut mount as i64];
    call(libc::SYS_name_to_handle_at, [libc::AT_FDCWD.into(), at[0], at[1], at[2], 0, 0])
}

pub fn prctl(option: i32) -> Answer {
    call(libc::SYS_prctl, [option.into(), 0, 0, 0, 0, 0])
}

pub fn prctl_set(option: i32, value: i64) -> Answer {
    call(libc::SYS_prctl, [option.into(), value, 0, 0, 0, 0])
}

/// Asks for more descriptors than the hard limit, which would bring fd 63 within reach.
pub fn raise_limit() -> Answer {
    let limit = [1024u64, 1024];
    call(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), limit.as_ptr() as i64, 0, 0, 0])
}

/// From the 1 that keeps the kernel from starting a core_pattern's helper to the 0 that does not.
pub fn lower_core_limit(number: i64) -> Answer {
    let limit = [0u64, 1];
    let (core, at) = (i64::from(libc::RLIMIT_CORE), limit.as_ptr() as i64);
    let args = if number == libc::SYS_prlimit64 { [0, core, at, 0, 0, 0] } else { [core, at, 0, 0, 0, 0] };
    call(number, args)
}

pub fn capset() -> Answer {
    let header = [0x2008_0522_u32, 0];
    let data = [u32::MAX; 6];
    call(libc::SYS_capset, [header.as_ptr() as i64, data.as_ptr() as i64, 0, 0, 0, 0])
}

pub fn memfd() -> Answer {
    call(libc::SYS_memfd_create, [c"code".as_ptr() as i64, 0, 0, 0, 0, 0])
}

pub fn fcntl(command: i32, value: i64) -> Answer {
    call(libc::SYS_fcntl, [0, command.into(), value, 0, 0, 0])
}

/// A lock on a file that other sandboxes of the same template see too.
pub fn lock_file(file: &str) -> Answer {
    let fd = crate::tree::open(file)?;
    // SAFETY: struct flock is plain data for which zero is a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_RDLCK as libc::c_short;
    call(libc::SYS_fcntl, [fd, libc::F_SETLK.into(), &raw const lock as i64, 0, 0, 0])
}

pub fn flock(file: &str) -> Answer {
    call(libc::SYS_flock, [crate::tree::open(file)?, libc::LOCK_EX.into(), 0, 0, 0, 0])
}

pub fn notify_directory() -> Answer {
    let fd = crate::tree::open("/")?;
    call(libc::SYS_fcntl, [fd, libc::F_NOTIFY.into(), 1 /* DN_ACCESS */, 0, 0, 0])
}

/// The x32 door to getpid.
#[cfg(target_arch = "x86_64")]
pub fn x32() -> Answer {
    call(0x4000_0000 + libc::SYS_getpid, [0; 6])
}

/// The 32-bit door: number 20 is getpid there and writev here.
#[cfg(target_arch = "x86_64")]
pub fn int80() -> Answer {
    let answer: i64;
    // SAFETY: getpid takes no arguments; the clobbers of the 32-bit entry are declared.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20i64 => answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if answer < 0 { Err((-answer) as i32) } else { Ok(answer) }
}
