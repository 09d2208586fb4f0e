//! `probe see [WHAT…]`: what ordinary, allowed calls show, as `key value` lines.

use crate::{Answer, call, errno};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// Everything that no profile should have to forbid.
const USUAL: [&str; 5] = ["ids", "pid", "cwd", "fds", "tree"];

pub fn see(what: &[String]) -> i32 {
    let usual = USUAL.map(String::from);
    let what = if what.is_empty() { usual.as_slice() } else { what };
    for view in what {
        match view.as_str() {
            "ids" => ids(),
            "pid" => shown("pid", call(libc::SYS_getpid, [0; 6])),
            "cwd" => cwd(),
            "fds" => fds(),
            "tree" => tree("/"),
            path => tree(path),
        }
    }
    0
}

fn shown(key: &str, answer: Answer) {
    match answer {
        Ok(value) => println!("{key} {value}"),
        Err(errno) => println!("{key} errno {errno}"),
    }
}

fn ids() {
    shown("uid", call(libc::SYS_getuid, [0; 6]));
    shown("euid", call(libc::SYS_geteuid, [0; 6]));
    shown("gid", call(libc::SYS_getgid, [0; 6]));
    shown("egid", call(libc::SYS_getegid, [0; 6]));
}

fn cwd() {
    match std::env::current_dir() {
        Ok(path) => println!("cwd {}", path.display()),
        Err(error) => println!("cwd errno {}", error.raw_os_error().unwrap_or(0)),
    }
}

/// Every descriptor up to beyond the place the handler's own file was executed from.
fn fds() {
    for fd in 0..=70 {
        if call(libc::SYS_fcntl, [fd, libc::F_GETFD.into(), 0, 0, 0, 0]) != Err(libc::EBADF) {
            println!("fd {fd}");
        }
    }
}

/// The names in a directory, sorted, without `.` and `..`.
fn tree(path: &str) {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return println!("entry errno {}", error.raw_os_error().unwrap_or_else(errno)),
    };
    for entry in entries.flatten() {
        names.push(entry.file_name());
    }
    names.sort();
    for name in names {
        println!("entry {}", name.to_string_lossy());
    }
}

/// The whole environment, one variable a line.
pub fn environment() -> i32 {
    for (key, value) in std::env::vars_os() {
        println!("{}={}", key.to_string_lossy(), value.to_string_lossy());
    }
    0
}

pub fn path(text: &str) -> CString {
    CString::new(std::ffi::OsStr::new(text).as_bytes()).unwrap_or_default()
}
