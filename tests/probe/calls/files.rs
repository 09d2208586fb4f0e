//! Calls on open files and on the connection.

use super::{HERE, a_file, even};
use crate::{Answer, call};

const HELLO: &std::ffi::CStr = c"/srv/hello";

fn io(number: i64, fd: i64, buffer: &mut [u8]) -> Answer {
    call(number, [fd, buffer.as_mut_ptr() as i64, buffer.len() as i64, 0, 0, 0])
}

/// One of the calls that take an array of parts; `rest` are its position and flags.
fn parts(number: i64, fd: i64, rest: [i64; 3]) -> Answer {
    let mut bytes = *b"parts";
    let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    call(number, [fd, &raw const part as i64, 1, rest[0], rest[1], rest[2]])
}

pub(super) fn call_of(name: &str) -> Option<Answer> {
    on_files(name).or_else(|| on_connection(name)).or_else(|| on_descriptors(name)).or_else(|| kinds(name))
}

fn on_files(name: &str) -> Option<Answer> {
    let mut buffer = [0u8; 512];
    let file = || a_file(c"/tmp/io");
    Some(match name {
        "read" => file().and_then(|fd| io(libc::SYS_read, fd, &mut buffer)),
        "readv" => file().and_then(|fd| parts(libc::SYS_readv, fd, [0; 3])),
        "pread64" => file().and_then(|fd| io(libc::SYS_pread64, fd, &mut buffer)),
        "preadv" => file().and_then(|fd| parts(libc::SYS_preadv, fd, [0; 3])),
        "preadv2" => file().and_then(|fd| parts(libc::SYS_preadv2, fd, [0; 3])),
        "write" => file().and_then(|fd| io(libc::SYS_write, fd, &mut buffer)),
        "writev" => file().and_then(|fd| parts(libc::SYS_writev, fd, [0; 3])),
        "pwrite64" => file().and_then(|fd| io(libc::SYS_pwrite64, fd, &mut buffer)),
        "pwritev" => file().and_then(|fd| parts(libc::SYS_pwritev, fd, [0; 3])),
        "pwritev2" => file().and_then(|fd| parts(libc::SYS_pwritev2, fd, [0; 3])),
        "lseek" => file().and_then(|fd| call(libc::SYS_lseek, [fd, 3, 0, 0, 0, 0])),
        "ftruncate" => file().and_then(|fd| call(libc::SYS_ftruncate, [fd, 3, 0, 0, 0, 0])),
        "fallocate" => file().and_then(|fd| call(libc::SYS_fallocate, [fd, 0, 0, 64, 0, 0])),
        "fchmod" => file().and_then(|fd| call(libc::SYS_fchmod, [fd, 0o600, 0, 0, 0, 0])),
        "fsync" => file().and_then(|fd| call(libc::SYS_fsync, [fd, 0, 0, 0, 0, 0])),
        "fdatasync" => file().and_then(|fd| call(libc::SYS_fdatasync, [fd, 0, 0, 0, 0, 0])),
        "fchown" => file().and_then(|fd| call(libc::SYS_fchown, [fd, -1, -1, 0, 0, 0])),
        "fstatfs" => file().and_then(|fd| io(libc::SYS_fstatfs, fd, &mut buffer)),
        "getdents64" => call(libc::SYS_openat, [HERE, c"/".as_ptr() as i64, 0, 0, 0, 0])
            .and_then(|fd| io(libc::SYS_getdents64, fd, &mut buffer)),
        "fchdir" => call(libc::SYS_openat, [HERE, c"/tmp".as_ptr() as i64, 0, 0, 0, 0])
            .and_then(|fd| call(libc::SYS_fchdir, [fd, 0, 0, 0, 0, 0])),
        "getcwd" => call(libc::SYS_getcwd, [buffer.as_mut_ptr() as i64, 512, 0, 0, 0, 0]),
        _ => return None,
    })
}

fn on_connection(name: &str) -> Option<Answer> {
    let mut address = [0u8; 128];
    let mut length = 128u32;
    let asked = [0, address.as_mut_ptr() as i64, &raw mut length as i64, 0, 0, 0];
    let word = c"connection said\n".as_ptr() as i64;
    Some(match name {
        "recvfrom" => call(libc::SYS_recvfrom, [0, address.as_mut_ptr() as i64, 4, 0, 0, 0]),
        "sendto" => call(libc::SYS_sendto, [1, word, 16, 0, 0, 0]),
        "getpeername" => call(libc::SYS_getpeername, asked),
        "getsockname" => call(libc::SYS_getsockname, asked),
        "getsockopt" => {
            let (level, option) = (libc::SOL_SOCKET.into(), libc::SO_TYPE.into());
            call(libc::SYS_getsockopt, [0, level, option, asked[1], asked[2], 0])
        }
        // Only the reading half: the answers have to get out.
        "shutdown" => call(libc::SYS_shutdown, [0, libc::SHUT_RD.into(), 0, 0, 0, 0]),
        "ioctl" => {
            even(call(libc::SYS_ioctl, [0, 0x5413, address.as_mut_ptr() as i64, 0, 0, 0]), libc::ENOTTY)
                .and_then(|_| {
                    even(
                        call(libc::SYS_ioctl, [0, 0x5401, address.as_mut_ptr() as i64, 0, 0, 0]),
                        libc::ENOTTY,
                    )
                })
        }
        _ => return None,
    })
}

fn on_descriptors(name: &str) -> Option<Answer> {
    let mut pair = [0i32; 2];
    Some(match name {
        "close" => a_file(c"/tmp/closed").and_then(|fd| call(libc::SYS_close, [fd, 0, 0, 0, 0, 0])),
        "dup" => call(libc::SYS_dup, [0; 6]).and_then(|fd| call(libc::SYS_close, [fd, 0, 0, 0, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        "dup2" => call(libc::SYS_dup2, [0, 30, 0, 0, 0, 0]),
        "dup3" => call(libc::SYS_dup3, [0, 29, 0, 0, 0, 0]),
        "close_range" => call(libc::SYS_dup3, [0, 28, 0, 0, 0, 0])
            .and_then(|fd| call(libc::SYS_close_range, [fd, fd, 0, 0, 0, 0])),
        "fcntl" => fcntl(),
        "socketpair" => {
            let (family, kind) = (libc::AF_UNIX.into(), libc::SOCK_STREAM.into());
            call(libc::SYS_socketpair, [family, kind, 0, pair.as_mut_ptr() as i64, 0, 0])
                .and_then(|_| drop_pair(pair))
        }
        #[cfg(target_arch = "x86_64")]
        "pipe" => {
            call(libc::SYS_pipe, [pair.as_mut_ptr() as i64, 0, 0, 0, 0, 0]).and_then(|_| drop_pair(pair))
        }
        "pipe2" => {
            call(libc::SYS_pipe2, [pair.as_mut_ptr() as i64, 0, 0, 0, 0, 0]).and_then(|_| drop_pair(pair))
        }
        _ => return None,
    })
}

fn drop_pair(pair: [i32; 2]) -> Answer {
    call(libc::SYS_close, [pair[0].into(), 0, 0, 0, 0, 0])?;
    call(libc::SYS_close, [pair[1].into(), 0, 0, 0, 0, 0])
}

/// The five commands that every profile has.
fn fcntl() -> Answer {
    let fd = a_file(c"/tmp/fcntl")?;
    let command = |command: i32, value: i64| call(libc::SYS_fcntl, [fd, command.into(), value, 0, 0, 0]);
    command(libc::F_SETFD, libc::FD_CLOEXEC.into())?;
    command(libc::F_GETFD, 0)?;
    command(libc::F_SETFL, (libc::O_NONBLOCK | libc::O_APPEND).into())?;
    command(libc::F_GETFL, 0)?;
    command(libc::F_DUPFD_CLOEXEC, 0)
}

/// Opens and looks at files by name.
fn kinds(name: &str) -> Option<Answer> {
    let mut room = [0u64; 64];
    let at = room.as_mut_ptr() as i64;
    let how = [0u64; 3];
    let hello = HELLO.as_ptr() as i64;
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "open" => call(libc::SYS_open, [hello, 0, 0, 0, 0, 0]),
        "openat" => call(libc::SYS_openat, [HERE, hello, 0, 0, 0, 0]),
        "openat2" => call(libc::SYS_openat2, [HERE, hello, how.as_ptr() as i64, 24, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "stat" => call(libc::SYS_stat, [hello, at, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "lstat" => call(libc::SYS_lstat, [hello, at, 0, 0, 0, 0]),
        "fstat" => call(libc::SYS_fstat, [0, at, 0, 0, 0, 0]),
        "newfstatat" => call(libc::SYS_newfstatat, [HERE, hello, at, 0, 0, 0]),
        "statx" => call(libc::SYS_statx, [HERE, hello, 0, 0xfff, at, 0]),
        "statfs" => call(libc::SYS_statfs, [hello, at, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "access" => call(libc::SYS_access, [hello, 4, 0, 0, 0, 0]),
        "faccessat" => call(libc::SYS_faccessat, [HERE, hello, 4, 0, 0, 0]),
        "faccessat2" => call(libc::SYS_faccessat2, [HERE, hello, 4, 0, 0, 0]),
        "chdir" => call(libc::SYS_chdir, [c"/tmp".as_ptr() as i64, 0, 0, 0, 0, 0]),
        _ => return None,
    })
}
