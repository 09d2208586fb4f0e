//! Cleans up after a test, however it ends: its processes are ended, its mounts undone, its files removed.
//!
//! Everything of a test has its tag in its name: `/var/tmp/TAG`, `/var/tmp/TAG-…`. A test that fails does
//! this by `Drop`. One that is killed cannot; the lock on its directory then is free, and the next test's
//! process does it.

use super::{process, sys};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

const PLACE: &str = "/var/tmp";
pub const PREFIX: &str = "dayfly-test-";

/// How long the killed processes of a failed test may take to end.
const DEATH: Duration = Duration::from_secs(10);
/// A directory is locked a moment after it is made.
const YOUNG: Duration = Duration::from_secs(60);

/// The directory of a test's own, and the lock that says that the test lives.
pub fn claim(tag: &str) -> (PathBuf, File) {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| dead().iter().filter(|(_, age)| *age >= YOUNG).for_each(|(tag, _)| clean(tag)));
    let directory = Path::new(PLACE).join(tag);
    super::site::make_directory(&directory, 0o755);
    let lock = File::open(&directory).expect("our own directory");
    lock.lock().expect("a lock on our own directory");
    (directory, lock)
}

/// The tags of tests that were killed, and how old what they have left is.
pub fn dead() -> Vec<(String, Duration)> {
    let entries = fs::read_dir(PLACE).into_iter().flatten().flatten();
    let tags = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        // `dayfly-test-PID-Nx`, and what stands behind it for a directory beside the site.
        let end = name.strip_prefix(PREFIX)?.find('x')?;
        let tag = name[..PREFIX.len() + end + 1].to_owned();
        let age = entry.metadata().ok()?.modified().ok()?.elapsed().unwrap_or_default();
        Some((tag, age))
    });
    tags.filter(|(tag, _)| is_dead(tag)).collect()
}

fn is_dead(tag: &str) -> bool {
    match File::open(Path::new(PLACE).join(tag)) {
        Ok(directory) => !matches!(directory.try_lock(), Err(TryLockError::WouldBlock)),
        // The site is the last to be removed.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Ends and removes all that has this tag; what could not be removed is still there afterwards.
pub fn clean(tag: &str) {
    for pid in process::tagged(tag) {
        let _may_have_ended = sys::kill(pid, libc::SIGKILL);
    }
    process::await_end_of(tag, DEATH);
    left(tag).iter().for_each(|path| remove(path));
}

/// Removes a directory or file of a test's own, after everything that is mounted below it: to remove the
/// files of a bind mount would be to remove the host's. Leaves all where a mount stays.
pub fn remove(path: &Path) {
    for point in mounts_below(path).iter().rev() {
        let _may_be_gone_with_another = sys::unmount(&super::site::c_path(point));
    }
    if mounts_below(path).is_empty() {
        let _may_be_a_file = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
    }
}

/// All paths of that tag, the site last.
pub fn left(tag: &str) -> Vec<PathBuf> {
    let volume = tag.replace(PREFIX.trim_end_matches('-'), "volume");
    let entries = fs::read_dir(PLACE).into_iter().flatten().flatten().map(|entry| entry.path());
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut paths: Vec<_> =
        entries.filter(|path| name(path).starts_with(tag) || name(path) == volume).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(name(path).len()));
    paths
}

/// Mount points at a path and below it, in this thread's mount namespace, in the order in which they
/// were mounted.
fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("our own mount table");
    // The escapes of proc(5) are in no name that tests give.
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(path)).collect()
}
