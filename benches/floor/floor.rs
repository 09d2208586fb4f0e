//! The floor of a launch: the same namespaces and mounts, pivot_root and execve, without any restriction. No
//! launcher that gives a handler its own root can be faster. `scripts/bench` measures dayfly against it.
//!
//! usage: floor TEMPLATE HANDLER
//!        floor PORT TEMPLATE HANDLER
//!
//! With a PORT it accepts connections and launches a handler for each, until it is killed. Each has its own
//! pid and mount namespace; the others are shared, as with `dayfly serve --net shared`.

use std::ffi::{CString, c_char, c_int, c_long};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::{env, mem, process, ptr};

/// Ends with the name of the call that failed: a floor that skips a step would be none.
fn must(result: c_long, call: &str) -> c_long {
    if result < 0 {
        eprintln!("floor: {call}: {}", std::io::Error::last_os_error());
        process::exit(125);
    }
    result
}

#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

fn mount_attributes(fd: c_long, path: &std::ffi::CStr, flags: c_int, attr: &MountAttr) {
    let size = mem::size_of::<MountAttr>();
    must(
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, path.as_ptr(), flags, attr, size) },
        "mount_setattr",
    );
}

fn tmpfs() -> c_long {
    let fs = must(unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1) }, "fsopen");
    for (key, value) in [(c"size", c"16777216"), (c"nr_inodes", c"1024"), (c"mode", c"1777")] {
        must(
            unsafe { libc::syscall(libc::SYS_fsconfig, fs, 1, key.as_ptr(), value.as_ptr(), 0) },
            "fsconfig",
        );
    }
    must(unsafe { libc::syscall(libc::SYS_fsconfig, fs, 6, 0, 0, 0) }, "fsconfig create");
    must(unsafe { libc::syscall(libc::SYS_fsmount, fs, 1, 0xe) }, "fsmount")
}

fn child(template: &CString, handler: &CString) -> ! {
    let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_attributes(libc::AT_FDCWD.into(), c"/", 0x8000, &private);
    let empty = c"".as_ptr();
    let tree = must(
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, template.as_ptr(), 1 | libc::O_CLOEXEC) },
        "open_tree",
    );
    mount_attributes(tree, c"", 0x1000, &MountAttr { set: 0x7, ..MountAttr::default() });
    must(
        unsafe { libc::syscall(libc::SYS_move_mount, tree, empty, libc::AT_FDCWD, c"/".as_ptr(), 4) },
        "move_mount root",
    );
    let tmp = tmpfs();
    must(
        unsafe { libc::syscall(libc::SYS_move_mount, tmp, empty, tree, c"tmp".as_ptr(), 4) },
        "move_mount tmp",
    );
    must(unsafe { libc::syscall(libc::SYS_fchdir, tree) }, "fchdir");
    must(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }, "pivot_root");
    must(unsafe { libc::syscall(libc::SYS_umount2, c".".as_ptr(), libc::MNT_DETACH) }, "umount2");
    let argv: [*const c_char; 2] = [handler.as_ptr(), ptr::null()];
    let environment: [*const c_char; 1] = [ptr::null()];
    must(unsafe { libc::execve(handler.as_ptr(), argv.as_ptr(), environment.as_ptr()) }.into(), "execve");
    process::exit(125)
}

const SHARED: c_int = libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
const OWN: c_int = libc::CLONE_NEWPID | libc::CLONE_NEWNS;

/// As fork(2), into new namespaces.
fn clone(namespaces: c_int) -> c_long {
    let flags = c_long::from(namespaces | libc::SIGCHLD);
    must(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) }, "clone")
}

fn serve(port: u16, template: &CString, handler: &CString) -> ! {
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else {
        eprintln!("floor: port {port} is taken");
        process::exit(125);
    };
    must(unsafe { libc::unshare(SHARED) }.into(), "unshare");
    loop {
        while unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) } > 0 {}
        let Ok((connection, _)) = listener.accept() else { continue };
        if clone(OWN) == 0 {
            must(unsafe { libc::dup2(connection.as_raw_fd(), 0) }.into(), "dup2");
            must(unsafe { libc::dup2(connection.as_raw_fd(), 1) }.into(), "dup2");
            child(template, handler);
        }
    }
}

fn run(template: &CString, handler: &CString) -> ! {
    let pid = clone(SHARED | OWN);
    if pid == 0 {
        child(template, handler);
    }
    let mut status: c_int = 0;
    let pid = libc::pid_t::try_from(pid).unwrap_or(-1);
    must(unsafe { libc::waitpid(pid, &raw mut status, 0) }.into(), "waitpid");
    process::exit(if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    });
}

fn main() {
    let arguments: Vec<CString> =
        env::args_os().skip(1).filter_map(|a| CString::new(a.into_vec()).ok()).collect();
    match arguments.as_slice() {
        [template, handler] => run(template, handler),
        [port, template, handler] if port.to_str().is_ok_and(|port| port.parse::<u16>().is_ok()) => {
            let port = port.to_str().ok().and_then(|port| port.parse().ok()).unwrap_or(0);
            serve(port, template, handler)
        }
        _ => {
            eprintln!("usage: floor [PORT] TEMPLATE HANDLER");
            process::exit(2)
        }
    }
}
