//! Snapshots of a btrfs subvolume, one for each sandbox.
//!
//! ```text
//! /srv/dayfly/gopher                              the template
//! /srv/dayfly/.dayfly-snapshots                   the shelf: belongs to root, mode 0700
//! /srv/dayfly/.dayfly-snapshots/4711-0            of one launcher, which holds its lock
//! /srv/dayfly/.dayfly-snapshots/4711-0/23/root    of one sandbox
//! ```
//!
//! A snapshot is the only part of a sandbox that the kernel does not remove by itself. Therefore a separate process, the
//! *keeper*, destroys each snapshot when its sandbox has ended, and all of them when its launcher has. The launcher does not
//! do it itself, because destroying waits while other snapshots are made. A lock (flock(2)) shows that launcher or keeper
//! is alive; the kernel drops it with the last of them. Snapshots without a lock are left over, for example after a power
//! failure, and the next launcher sweeps them.
//!
//! Each snapshot has its own directory, because the file system makes only one at a time in a directory.

use crate::child::operand::Operand;
use crate::child::rootfs::{self, changed};
use crate::child::step::{AtStep, Failure, Step};
use crate::child::subvolume::ROOT;
use crate::plan::rootfs::{Plan, Source};
use nix::sys::signal::SigSet;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use nix::sys::stat::fstat;
use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, TryLockError};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use sys::btrfs;
use sys::mount as sysmount;
use sys::process::{self, Child};
use sys::{self, Errno, Ignoring, cwd};

/// Beside the template.
pub const SHELF: &CStr = c".dayfly-snapshots";

/// Where a launcher makes the snapshots of a template.
#[derive(Debug)]
pub struct Snapshots {
    /// The template, open for reading.
    pub(crate) template: OwnedFd,
    /// The launcher's directory.
    pub source: Source,
    keeper: Rc<Keeper>,
    next: Cell<u32>,
}

/// The snapshot of one sandbox, made by its first process. To be dropped when that has ended.
#[derive(Debug)]
pub struct Snapshot {
    /// Name of its directory, below the launcher's.
    pub name: CString,
    number: u32,
    keeper: Rc<Keeper>,
}

/// Leftovers of earlier launchers.
#[derive(Debug, Default)]
pub struct Swept {
    pub snapshots: usize,
    /// The last that could not be destroyed.
    pub failed: Option<Errno>,
    pub shelf: PathBuf,
}

impl Snapshots {
    /// Takes a directory beside the template and sweeps those whose launchers are gone. In the host's
    /// mount namespace.
    pub fn claim(plan: &Plan, report: ReportLeft) -> Result<(Snapshots, Swept), Failure> {
        let step = Step::Snapshots;
        let template = open_directory(cwd(), &plan.template.path).step(Step::Template)?;
        let found = sysmount::identify(template.as_fd(), c"").step(Step::Template)?;
        changed(Step::TemplateChanged, Operand::None, found.is_same_file(&plan.template.identity))?;
        let path = shelf_path(&plan.template.path);
        let shelf = File::from(open_shelf(template.as_fd())?);
        // Nobody else makes a directory, or asks whether one has a lock, before ours has one.
        shelf.lock().map_err(|error| errno_of(&error)).step(step)?;
        let dead = of_dead_launchers(&shelf).step(step)?;
        let name = make_own(&shelf).step(step)?;
        let own = take_own(&shelf, &name, &path);
        let (source, directory) = own.inspect_err(|_| remove_own(&shelf, &name)).step(step)?;
        let swept = dead
            .iter()
            .fold(Swept { shelf: path, ..Swept::default() }, |swept, dead| sweep(swept, &shelf, dead));
        let keeper = Rc::new(Keeper::start(shelf, name, directory, &source.path, report).step(step)?);
        Ok((Snapshots { template, source, keeper, next: Cell::new(0) }, swept))
    }

    /// The launcher's directory as a mount of the base.
    pub(crate) fn clone_directory(&self, plan: &Plan) -> Result<OwnedFd, Failure> {
        let step = Step::Snapshots;
        let tree = sysmount::clone_tree(cwd(), &self.source.path, false).step(step)?;
        let found = sysmount::identify(tree.as_fd(), c"").step(step)?;
        changed(step, Operand::None, found.is_same_file(&self.source.identity))?;
        sysmount::set_attributes(tree.as_fd(), plan.attributes(rootfs::WRITABLE), false).step(step)?;
        rootfs::verify_flags(tree.as_fd(), rootfs::FLAGS_WRITABLE, step, Operand::None)?;
        Ok(tree)
    }

    /// One for the next sandbox; nothing is made yet.
    pub fn next(&self) -> Snapshot {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        Snapshot { name: name_of(number), number, keeper: Rc::clone(&self.keeper) }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.keeper.destroy(self.number);
    }
}

fn name_of(number: u32) -> CString {
    CString::new(number.to_string()).unwrap_or_default()
}

/// Beside the template, for messages and for who looks from the host.
pub fn shelf_path(template: &CStr) -> PathBuf {
    let template = Path::new(OsStr::from_bytes(template.to_bytes()));
    template.parent().unwrap_or(template).join(OsStr::from_bytes(SHELF.to_bytes()))
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_nul| Errno::EINVAL)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn open_directory(dir: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    sysmount::openat2(dir, path, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

/// Makes a directory, or takes one that is there.
fn make_directory(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match sysmount::mkdirat(dir, name, 0o700) {
        Ok(()) | Err(Errno::EEXIST) => open_directory(dir, name),
        Err(errno) => Err(errno),
    }
}

/// The shelf. Root's alone, so that nothing in it can be reached by who is not root, whatever is in
/// a snapshot.
fn open_shelf(template: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let step = Step::Snapshots;
    let above = open_directory(template, c"..").step(step)?;
    let shelf = make_directory(above.as_fd(), SHELF).step(step)?;
    let stat = fstat(&shelf).step(step)?;
    let is_own = stat.st_uid == nix::unistd::geteuid().as_raw() && stat.st_mode & 0o7777 == 0o700;
    if is_own { Ok(shelf) } else { Err(Errno::EPERM).step(step) }
}

/// Each with its lock, which keeps others from sweeping it too.
fn of_dead_launchers(shelf: &File) -> Result<Vec<(CString, File)>, Errno> {
    let mut dead = Vec::new();
    for name in names(shelf.as_fd())? {
        let directory = match open_directory(shelf.as_fd(), &name) {
            Ok(directory) => File::from(directory),
            // Its keeper has removed it by now, or it is not ours.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
            Err(errno) => return Err(errno),
        };
        match directory.try_lock() {
            Ok(()) => dead.push((name, directory)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(errno_of(&error)),
        }
    }
    Ok(dead)
}

fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let names = entries.and_then(|entries| {
        entries.map(|entry| Ok(CString::new(entry?.file_name().as_bytes())?)).collect::<Result<_, _>>()
    });
    names.map_err(|error| errno_of(&error))
}

/// Its name is free: a pid may be another launcher's in its own pid namespace.
fn make_own(shelf: &File) -> Result<CString, Errno> {
    let pid = std::process::id();
    for number in 0..u32::MAX {
        let name = CString::new(format!("{pid}-{number}")).map_err(|_nul| Errno::EINVAL)?;
        match sysmount::mkdirat(shelf.as_fd(), &name, 0o700) {
            Err(Errno::EEXIST) => {}
            made => return made.map(|()| name),
        }
    }
    Err(Errno::EEXIST)
}

/// Locks it, proves that by asking for the lock once more, and lets others look at the shelf.
fn take_own(shelf: &File, name: &CStr, path: &Path) -> Result<(Source, File), Errno> {
    let directory = File::from(open_directory(shelf.as_fd(), name)?);
    directory.try_lock().map_err(|error| errno_of(&error.into()))?;
    let again = File::from(open_directory(shelf.as_fd(), name)?);
    match again.try_lock() {
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(errno_of(&error)),
        Ok(()) => return Err(Errno::EBADE),
    }
    shelf.unlock().map_err(|error| errno_of(&error))?;
    let path = c_path(&path.join(OsStr::from_bytes(name.to_bytes())))?;
    let identity = sysmount::identify(directory.as_fd(), c"")?;
    Ok((Source { path, identity }, directory))
}

fn remove_own(shelf: &File, name: &CStr) {
    sysmount::rmdirat(shelf.as_fd(), name).ignoring("it is empty, and swept by the next start");
}

fn sweep(swept: Swept, shelf: &File, (name, directory): &(CString, File)) -> Swept {
    let (count, failed) = clear(directory.as_fd());
    let removed = failed.map_or_else(|| sysmount::rmdirat(shelf.as_fd(), name), Err);
    Swept { snapshots: swept.snapshots + count, failed: removed.err().or(swept.failed), ..swept }
}

/// Destroys all snapshots in a launcher's directory: how many, and the last failure.
fn clear(directory: BorrowedFd<'_>) -> (usize, Option<Errno>) {
    let names = match names(directory) {
        Ok(names) => names,
        Err(errno) => return (0, Some(errno)),
    };
    names.iter().fold((0, None), |(count, failed), name| match destroy(directory, name) {
        Ok(()) => (count + 1, failed),
        Err(errno) => (count, Some(errno)),
    })
}

/// A file that is still mapped by a process on its way out, a snapshot that is still being sent: it passes.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Destroys the snapshot of one sandbox, with its directory. Where there is none, as none was made, that
/// is done.
fn destroy(directory: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let own = match open_directory(directory, name) {
        Err(Errno::ENOENT) => return Ok(()),
        own => own?,
    };
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match btrfs::destroy(own.as_fd(), ROOT) {
            Ok(()) | Err(Errno::ENOENT) => break,
            // In a snapshot of the file system around it, it is an empty directory.
            Err(Errno::EINVAL) => break sysmount::rmdirat(own.as_fd(), ROOT)?,
            Err(Errno::EBUSY | Errno::EAGAIN | Errno::EINTR) if tries > 0 => std::thread::sleep(PAUSE),
            Err(errno) => return Err(errno),
        }
    }
    // Had that been a success in name only, this would fail.
    sysmount::rmdirat(directory, name)
}

/// Tells the operator of a snapshot that could not be destroyed: its path, and why.
pub type ReportLeft = fn(&str, Errno);

/// The process that destroys snapshots, as the launcher sees it.
#[derive(Debug)]
struct Keeper {
    channel: OwnedFd,
    child: Child,
    shelf: File,
    name: CString,
    directory: File,
    path: CString,
    report: ReportLeft,
}

/// The keeper's state.
#[derive(Debug)]
struct Task<'a> {
    channel: BorrowedFd<'a>,
    directory: BorrowedFd<'a>,
    shelf: BorrowedFd<'a>,
    name: &'a CStr,
}

impl Keeper {
    fn start(
        shelf: File,
        name: CString,
        directory: File,
        path: &CStr,
        report: ReportLeft,
    ) -> Result<Keeper, Errno> {
        let (channel, other) = sys::socket::message_pair()?;
        let task =
            Task { channel: other.as_fd(), directory: directory.as_fd(), shelf: shelf.as_fd(), name: &name };
        let child = process::spawn(0, None, keep, &task)?;
        Ok(Keeper { channel, child, shelf, name, directory, path: path.to_owned(), report })
    }

    /// Waits only if it has hundreds to destroy already, so their disk space stays bounded.
    fn destroy(&self, number: u32) {
        let sent = send(self.channel.as_raw_fd(), &number.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL);
        if sent.is_err() {
            // Somebody has killed it.
            let done = destroy(self.directory.as_fd(), &name_of(number));
            done.unwrap_or_else(|errno| self.say(number, errno));
        }
        while self.hear(MsgFlags::MSG_DONTWAIT) {}
    }

    /// Logs a failure that the keeper reports; false if there is none.
    fn hear(&self, flags: MsgFlags) -> bool {
        let mut report = [0; REPORT_LEN];
        let count = recv(self.channel.as_raw_fd(), &mut report, flags);
        let [n0, n1, n2, n3, e0, e1, e2, e3] = report;
        if count == Ok(REPORT_LEN) {
            let errno = Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3]));
            self.say(u32::from_ne_bytes([n0, n1, n2, n3]), errno);
        }
        count == Ok(REPORT_LEN)
    }

    fn say(&self, number: u32, errno: Errno) {
        (self.report)(&format!("{}/{number}", self.path.to_string_lossy()), errno);
    }
}

impl Drop for Keeper {
    /// Tells it that no more come, and waits until it is done.
    fn drop(&mut self) {
        shutdown(self.channel.as_raw_fd(), Shutdown::Write).ignoring("it has been killed: a sweep is next");
        while self.hear(MsgFlags::empty()) {}
        process::wait_for_end(self.child.pidfd.as_fd());
        finish(self.directory.as_fd(), self.shelf.as_fd(), &self.name)
            .ignoring("the keeper has done it, or could not either: a sweep is next");
    }
}

/// The number of a snapshot, and the errno of why it stays.
const REPORT_LEN: usize = 8;

/// The keeper's main. It holds nothing but three descriptors: not the connection, no listener, no
/// sandbox's channel.
fn keep(task: &Task<'_>) -> ! {
    let kept = become_keeper(task).map(|()| serve_until_end(task.name));
    process::exit_now(i32::from(kept.is_err()))
}

const CHANNEL: i32 = 0;
const DIRECTORY: i32 = 1;
const SHELF_FD: i32 = 2;

fn become_keeper(task: &Task<'_>) -> Result<(), Errno> {
    // A signal to the process group is for the launcher; the keeper ends after it.
    SigSet::all().thread_block()?;
    for (fd, number) in [(task.channel, CHANNEL), (task.directory, DIRECTORY), (task.shelf, SHELF_FD)] {
        sys::dup_to(fd, number, libc::O_CLOEXEC)?;
    }
    sys::close_range(SHELF_FD + 1, u32::MAX, 0)
}

fn serve_until_end(name: &CStr) -> Result<(), Errno> {
    let (channel, directory) = (sys::borrowed(CHANNEL)?, sys::borrowed(DIRECTORY)?);
    let mut number = [0; 4];
    while sys::read(channel, &mut number) == Ok(number.len()) {
        let number = u32::from_ne_bytes(number);
        if let Err(errno) = destroy(directory, &name_of(number)) {
            let mut report = [0; REPORT_LEN];
            let (first, last) = report.split_at_mut(size_of::<u32>());
            first.copy_from_slice(&number.to_ne_bytes());
            last.copy_from_slice(&(errno as i32).to_ne_bytes());
            sys::write(channel, &report).ignoring("the launcher is dead");
        }
    }
    // The launcher was killed, and its sandboxes died with it: these are their snapshots.
    finish(directory, sys::borrowed(SHELF_FD)?, name)
}

/// Destroys what is left of a launcher's, and its directory.
fn finish(directory: BorrowedFd<'_>, shelf: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    for _ in 0..TRIES {
        clear(directory);
        match sysmount::rmdirat(shelf, name) {
            Err(Errno::ENOTEMPTY) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    Err(Errno::ENOTEMPTY)
}
