//! Finds files of a sandbox that its uid cannot read: to a handler they look as if they were missing.

use super::{Finding, Level, finding};
use crate::config::service::Service;
use crate::config::targets::is_at_or_below;
use caps::CapSet;
use nix::unistd::{AccessFlags, Gid, Uid, access, setgroups, setresgid, setresuid};
use sandbox::Sandbox;
use sandbox::plan::identity::Identity;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use sys::process;
use sys::{Errno, Ignoring};

/// Limit on the files that are checked.
const FILES_MAX: usize = 200_000;
/// Limit on the examples for each place.
const EXAMPLES: usize = 3;

/// One a place, the template or a bind, that has something which cannot be read.
pub(super) fn findings(service: &Service, sandbox: &Sandbox) -> Vec<Finding> {
    let rootfs = &service.plan.rootfs;
    let text = |path: &std::ffi::CString| path.to_string_lossy().into_owned();
    let rules: Vec<String> = service.plan.landlock.rules().iter().map(|rule| text(&rule.path)).collect();
    // Each once: below `/` is everything.
    let below_another = |path: &String| rules.iter().any(|over| over != path && is_at_or_below(path, over));
    let roots: BTreeSet<PathBuf> =
        rules.iter().filter(|path| !below_another(path)).map(PathBuf::from).collect();
    let binds = rootfs.binds.iter().map(|bind| (text(&bind.target), text(&bind.source.path)));
    let binds = binds.chain(rootfs.writable.iter().map(|bind| (text(&bind.target), text(&bind.source.path))));
    let binds: Vec<(String, String)> = binds.collect();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in unreadable(sandbox, roots.into_iter().collect()).unwrap_or_default() {
        let over = binds.iter().filter(|(target, _)| is_at_or_below(&path, target));
        let place = over.max_by_key(|(target, _)| target.len());
        let place = place.map_or_else(
            || format!("the template {}", text(&rootfs.template.path)),
            |(target, source)| format!("{source}, bound at {target}"),
        );
        places.entry(place).or_default().push(path);
    }
    places.iter().map(|(place, paths)| finding(Level::Note, "content", sentence(place, paths))).collect()
}

fn sentence(place: &str, paths: &[String]) -> String {
    let mut shown = paths.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(" ");
    if paths.len() > EXAMPLES {
        shown.push_str(" …");
    }
    let count = paths.len();
    format!(
        "handlers cannot read {count} of the files and directories of {place}: {shown} (paths in the sandbox); chmod o+rX lets them"
    )
}

/// The parameters of the walk.
struct Task<'a> {
    sandbox: BorrowedFd<'a>,
    ids: Identity,
    roots: Vec<PathBuf>,
    report: File,
}

/// Paths in the sandbox that its uid cannot read, below these, by a process that looks as the handler would.
fn unreadable(sandbox: &Sandbox, roots: Vec<PathBuf>) -> Result<Vec<String>, Errno> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let task =
        Task { sandbox: sandbox.pidfd.as_fd(), ids: sandbox.identity, roots, report: File::from(write) };
    let child = process::spawn(0, None, look, &task)?;
    drop(task);
    let mut report = Vec::new();
    read_all(read, &mut report);
    process::wait_for_end(child.pidfd.as_fd());
    let paths = report.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

fn read_all(from: OwnedFd, to: &mut Vec<u8>) {
    File::from(from).read_to_end(to).ignoring("a look that was cut short finds less");
}

fn look(task: &Task<'_>) -> ! {
    let entered = enter(task.sandbox, task.ids).map(|()| walk(&task.roots, &task.report));
    process::exit_now(i32::from(entered.is_err()))
}

/// Sees what the sandbox sees, with its ids and without capabilities.
fn enter(sandbox: BorrowedFd<'_>, ids: Identity) -> Result<(), Errno> {
    process::setns(sandbox, libc::CLONE_NEWNS)?;
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    if nix::unistd::geteuid() != uid {
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    caps::clear(None, CapSet::Effective).map_err(|_error| Errno::EPERM)
}

/// Reports each path that cannot be read. Links are not followed; of file systems that the sandbox alone has,
/// none is entered.
fn walk(roots: &[PathBuf], mut report: &File) {
    let mut pending: Vec<PathBuf> = roots.to_vec();
    let mut looked_at = 0;
    while let Some(path) = pending.pop() {
        looked_at += 1;
        if looked_at > FILES_MAX {
            return;
        }
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let is_directory = metadata.is_dir();
        let wanted = if is_directory { AccessFlags::R_OK | AccessFlags::X_OK } else { AccessFlags::R_OK };
        if !(is_directory || metadata.is_file()) || is_of_sandbox(&path) {
            continue;
        }
        // A program may be executable alone.
        let is_program = !is_directory && metadata.mode() & 0o111 != 0;
        if !is_program && access(&path, wanted).is_err() {
            let bytes = path.as_os_str().as_bytes();
            report.write_all(&[bytes, &[0]].concat()).ignoring("nobody wants to know any more");
        } else if is_directory {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        }
    }
}

fn is_of_sandbox(path: &Path) -> bool {
    [OsStr::new("/proc"), OsStr::new("/dev")].contains(&path.as_os_str())
}
