//! Starts the process that takes over from this one, and takes over from the process before.
//!
//! The sockets go as systemd passes them (sd_listen_fds(3)). Their names tell what each is:
//!
//! | name | descriptor |
//! |---|---|
//! | `dayfly-predecessor` | the channel of `supervisor/succession.rs` |
//! | `dayfly-draining` | those of processes before, which still have connections |
//! | `dayfly-stats` | the socket for the counts |
//! | `INDEX` | a socket unit's, for the service with this index |
//! | `INDEX/own` | one that was made for `--listen` |

use super::USAGE;
use super::serve::Refused;
use crate::activation::Inherited;
use crate::config::Settings;
use crate::config::service::ServiceId;
use crate::listener::Listener;
use crate::stats::socket::StatsSocket;
use crate::supervisor::succession::{self, PassedOn, Successor};
use sandbox::launch::base::Base;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use sys::{Errno, Ignoring, process};

const CHANNEL: &str = "dayfly-predecessor";
const DRAINING: &str = "dayfly-draining";
const STATS: &str = "dayfly-stats";
const OWN: &str = "/own";

/// The first descriptor of LISTEN_FDS (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// Descriptors from the process before, apart from its listeners.
#[derive(Debug)]
pub(super) struct Predecessor {
    /// Its channel, and those of processes before it.
    channels: Vec<OwnedFd>,
    /// Base and size of the ranges of ids that sandboxes there may have.
    pub(super) ranges: Vec<(u32, u32)>,
    stats: Option<StatsSocket>,
}

impl Predecessor {
    /// Takes its part of what was passed; None if systemd or a person has started this process.
    pub(super) fn take(inherited: &mut Inherited) -> Option<Predecessor> {
        let mut named = |wanted: &str| {
            let index = inherited.passed.iter().position(|(_, name)| name == wanted)?;
            Some(inherited.passed.remove(index).0)
        };
        let channel = named(CHANNEL)?;
        let ranges = succession::hear_ranges(channel.as_fd());
        let mut channels = vec![channel];
        channels.extend(std::iter::from_fn(|| named(DRAINING)));
        Some(Predecessor { channels, ranges, stats: named(STATS).map(StatsSocket::adopt) })
    }

    pub(super) fn into_parts(self) -> (Vec<OwnedFd>, Option<StatsSocket>) {
        (self.channels, self.stats)
    }
}

/// A listener of the process before.
pub(super) fn take_over(settings: &[Settings], fd: OwnedFd, name: &str) -> Result<Listener, Refused> {
    let index = name.strip_suffix(OWN).unwrap_or(name);
    let service = ServiceId::all(settings).map(|(id, _)| id).find(|id| id.index().to_string() == index);
    let Some(service) = service else {
        return Err((format!("a socket came for service {index}, which there is not"), USAGE));
    };
    let made = if name.ends_with(OWN) {
        Listener::take_over(fd, name, service)
    } else {
        Listener::adopt(fd, name, service)
    };
    made.map_err(|message| (message, USAGE))
}

/// The file that a successor is executed from: by the path that this process was called by, because a link in
/// it may lead to another version by then.
pub(super) fn program() -> PathBuf {
    let called = std::env::args_os().next().map(PathBuf::from).filter(|path| path.is_absolute());
    called.or_else(|| std::env::current_exe().ok()).unwrap_or_default()
}

/// Whether the path leads to another file than the one that runs. In the host's mount namespace.
pub(super) fn is_replaced(program: &Path) -> bool {
    let number = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match (number(program), number(Path::new("/proc/self/exe"))) {
        (Ok(now), Ok(own)) => now != own,
        _ => false,
    }
}

/// Starts it, as a child of this process's own parent: the service manager learns of its end.
pub(super) fn start(
    base: &Base,
    program: &Path,
    ranges: Vec<(u32, u32)>,
    passed_on: &PassedOn<'_>,
) -> Result<Successor, String> {
    let (channel, other) =
        sys::socket::message_pair().map_err(|errno| format!("cannot make a socket pair: {errno}"))?;
    succession::tell_ranges(channel.as_fd(), ranges)
        .map_err(|errno| format!("cannot tell it the ranges of ids: {errno}"))?;
    let leads = process::session().is_ok_and(|session| u32::try_from(session) == Ok(std::process::id()));
    match process::fork_sibling() {
        Err(errno) => Err(format!("cannot make a process: {errno}")),
        Ok(Some(process)) => Ok(Successor { channel, process }),
        Ok(None) => {
            let passed = named(passed_on, other.as_fd());
            let end = FIRST + RawFd::try_from(passed.len()).unwrap_or(0);
            // Stays where nothing is passed: the log may not.
            let to_tell = sys::dup_above(other.as_fd(), end);
            let why = execute(base, program, &passed, leads);
            if let Ok(channel) = to_tell {
                succession::tell_failure(channel, &why);
            }
            process::exit_now(super::SERVE_FAILED.into())
        }
    }
}

/// The passed descriptors, with names.
fn named<'a>(passed_on: &PassedOn<'a>, channel: BorrowedFd<'a>) -> Vec<(String, BorrowedFd<'a>)> {
    let name = |listener: &Listener| {
        let own = if listener.is_passed() { "" } else { OWN };
        format!("{}{own}", listener.service.index())
    };
    let mut named = vec![(CHANNEL.to_owned(), channel)];
    named.extend(passed_on.predecessors.iter().map(|channel| (DRAINING.to_owned(), *channel)));
    named.extend(passed_on.stats.map(|stats| (STATS.to_owned(), stats)));
    named.extend(passed_on.listeners.iter().map(|listener| (name(listener), listener.as_fd())));
    named
}

/// Becomes the new program. Returns only why that failed.
fn execute(base: &Base, program: &Path, passed: &[(String, BorrowedFd<'_>)], leads: bool) -> String {
    if let Err(errno) = base.leave() {
        let hint = match errno {
            Errno::EPERM => {
                "; hint: it takes root, and CAP_SYS_CHROOT in the unit; restart the service instead"
            }
            _ => "",
        };
        return format!("cannot return to the host's namespaces: {errno}{hint}");
    }
    if let Err(errno) = place(passed) {
        return format!("cannot pass the listening sockets on: {errno}");
    }
    // With a terminal it stays where the signals of the keyboard go.
    if leads {
        process::setsid().ignoring("its weight is its session's then");
    }
    let own = std::process::id();
    let names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
    let mut command = Command::new(program);
    let mut arguments = std::env::args_os();
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from(program)));
    command.args(arguments).env_remove("LISTEN_PIDFDID");
    command.env("LISTEN_PID", own.to_string()).env("LISTEN_FDS", names.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":"));
    if std::env::var_os("WATCHDOG_PID").is_some() {
        command.env("WATCHDOG_PID", own.to_string());
    }
    let error = command.exec();
    format!("cannot execute {}: {error}", program.display())
}

/// Puts the descriptors where the new program looks for them.
fn place(passed: &[(String, BorrowedFd<'_>)]) -> Result<(), Errno> {
    let end = FIRST + RawFd::try_from(passed.len()).unwrap_or(RawFd::MAX - FIRST);
    // None may be at a place that another is put on before it is moved itself.
    let copies = passed.iter().map(|(_, fd)| sys::dup_above(*fd, end)).collect::<Result<Vec<_>, _>>()?;
    (FIRST..).zip(&copies).try_for_each(|(number, copy)| sys::dup_to(copy.as_fd(), number, 0))
}
