//! Statistics for handlers: totals in `stats.json`, and `metrics`. If the template has [`MOUNT_POINT`],
//! sandboxes see the service's directory there, read-only. A file is replaced by rename, so a reader always
//! sees a complete one.
//!
//! With systemd's StateDirectory= the file survives the supervisor, and counting continues from it.

use super::openmetrics;
use crate::config::Settings;
use crate::config::targets::is_at_or_below;
use crate::config::values::BindSpec;
use crate::log;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};
use report::Report;
use report::counters::{Counters, Period};
use report::names::Named;
use report::place::runtime_directory;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use sys::Ignoring;

/// Below the template, without the leading `/`.
const MOUNT_POINT: &str = "run/dayfly";

const PREFIX: &str = "public-";
const FILE: &str = "stats.json";
/// The file with the same counts as OpenMetrics text, with times and limits, for a handler that Prometheus
/// asks.
const METRICS: &str = "metrics";
/// The file being written.
const NEW: &str = ".new";
const VERSION: u32 = 1;
/// Limit on the size of an old file.
const OLD_MAX: u64 = 1 << 20;

/// The service's directory on the host. A lock shows that it is in use, if it disappears with this process.
#[derive(Debug)]
pub(crate) struct PublicDirectory {
    fd: fs::File,
    parent: OwnedFd,
    name: String,
    /// systemd keeps it for the next start.
    kept: bool,
}

/// systemd's StateDirectory=, else its RuntimeDirectory=, else one that goes with this process.
fn place() -> (PathBuf, bool) {
    let state = std::env::var("STATE_DIRECTORY").ok();
    let state = state.as_deref().and_then(|value| value.split(':').next()).filter(|p| p.starts_with('/'));
    match state {
        Some(state) => (PathBuf::from(state), true),
        None => (runtime_directory().unwrap_or_else(|| PathBuf::from("/run/dayfly")), false),
    }
}

/// Binds each service's directory at the mount point, if its template has one and the service mounts nothing
/// else there. Statistics are not a layer: a failure is logged, and the service runs without.
pub(crate) fn bind_all(settings: &mut [Settings]) -> Vec<Option<PathBuf>> {
    let (place, kept) = place();
    if !kept {
        sweep(&place);
    }
    settings.iter_mut().map(bind).collect()
}

fn bind(settings: &mut Settings) -> Option<PathBuf> {
    let target = format!("/{MOUNT_POINT}");
    let options = &mut settings.options;
    let template = options.template.as_ref()?;
    let bound = options.bind_ro.iter().flatten().map(|bind| &bind.target);
    let bound = bound.chain(options.overlay_ro.iter().flatten().map(|stack| &stack.target));
    let bound = bound.chain(options.bind.iter().flatten().map(|bind| &bind.target));
    let mut mounted = bound.chain(options.tmpfs.iter().flatten().map(|tmpfs| &tmpfs.target));
    let taken = mounted.any(|place| is_at_or_below(&target, place));
    if taken || !fs::symlink_metadata(template.join(MOUNT_POINT)).is_ok_and(|found| found.is_dir()) {
        return None;
    }
    let name = if settings.name == "-" { "unnamed" } else { &settings.name };
    match make(name) {
        Ok(path) => {
            options.bind_ro.get_or_insert_default().push(BindSpec {
                source: path.display().to_string(),
                target,
                is_ours: true,
            });
            Some(path)
        }
        Err(error) => {
            log::detail(&format!("no statistics for the sandboxes of {name}: {error}"));
            None
        }
    }
}

/// Removes directories of killed supervisors: their pids are free, at least here, and their locks are gone.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let pid = name.strip_prefix(PREFIX).and_then(|name| name.rsplit_once('-')?.1.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            && let Ok(left) = PublicDirectory::open(&entry.path())
        {
            log::detail(&format!(
                "removes {}, which a supervisor that is gone has left",
                entry.path().display()
            ));
            drop(left);
        }
    }
}

/// The directory for a service of this name, made if missing.
fn make(service: &str) -> io::Result<PathBuf> {
    let (place, kept) = place();
    let name = match kept {
        true => format!("{PREFIX}{service}"),
        false => format!("{PREFIX}{service}-{}", std::process::id()),
    };
    let path = place.join(name);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&place)?;
    match fs::DirBuilder::new().mode(0o755).create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    Ok(path)
}

impl PublicDirectory {
    pub(crate) fn open(path: &Path) -> io::Result<PublicDirectory> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let kept = place().1;
        let fd = fs::File::from(open(path, flags, Mode::empty())?);
        if !kept {
            fd.try_lock()?;
        }
        let parent = open(parent, flags, Mode::empty())?;
        Ok(PublicDirectory { fd, parent, name: name.to_string_lossy().into_owned(), kept })
    }

    /// Counters from an earlier run, if the directory is persistent. Other leftovers belong to a killed
    /// supervisor with the same pid.
    pub(crate) fn restore(&self) -> Option<Counters> {
        if !self.kept {
            return None;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.fd, FILE, flags, Mode::empty()).ok()?;
        let mut text = Vec::new();
        fs::File::from(file).take(OLD_MAX).read_to_end(&mut text).ok()?;
        let document: Document = serde_json::from_slice(&text).ok()?;
        (document.version == VERSION).then(|| document.into())
    }

    /// Writes what everybody may know.
    pub(crate) fn write(&self, report: &Report) -> io::Result<()> {
        let mut text = serde_json::to_vec(&Document::from(&report.counters))?;
        text.push(b'\n');
        self.replace(FILE, &text)?;
        self.replace(METRICS, openmetrics::page(std::slice::from_ref(report)).as_bytes())
    }

    fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.fd, NEW, flags, Mode::from_bits_truncate(0o644))?;
        // Independent of the umask.
        fchmod(&file, Mode::from_bits_truncate(0o644))?;
        fs::File::from(file).write_all(text)?;
        Ok(renameat(&self.fd, NEW, &self.fd, name)?)
    }
}

impl Drop for PublicDirectory {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let why = "what stays is in a runtime directory, which does not";
        for name in [FILE, METRICS, NEW] {
            unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir).ignoring(why);
        }
        unlinkat(&self.parent, self.name.as_str(), UnlinkatFlags::RemoveDir).ignoring(why);
    }
}

/// `stats.json`; what its reader makes of it stands in docs/gopher-handler.md.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    version: u32,
    since: u64,
    updated: u64,
    today: Period,
    total: Period,
    hours: [u64; 24],
    selectors: Vec<Asked>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Asked {
    selector: String,
    count: u64,
}

impl From<&Counters> for Document {
    fn from(counters: &Counters) -> Document {
        let asked = |named: &Named| Asked { selector: named.name.clone(), count: named.count };
        Document {
            version: VERSION,
            since: counters.since,
            updated: counters.updated,
            today: counters.today.clone(),
            total: counters.total.clone(),
            hours: counters.hours,
            selectors: counters.selectors.sorted().into_iter().map(asked).collect(),
        }
    }
}

impl From<Document> for Counters {
    fn from(document: Document) -> Counters {
        let named = |asked: Asked| Named { name: asked.selector, count: asked.count };
        Counters {
            since: document.since,
            updated: document.updated,
            today: document.today,
            total: document.total,
            hours: document.hours,
            selectors: document.selectors.into_iter().map(named).collect(),
            ..Counters::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::counters::Ended;

    #[test]
    fn counting_goes_on_from_what_was_written_and_peers_are_not_in_it() {
        let mut counters = Counters::default();
        let ended = Ended {
            at: 90_000,
            outcome: "exited",
            peer: "192.0.2.1:7",
            selector: Some("/x"),
            ..Ended::default()
        };
        counters.ended(&ended);
        let text = serde_json::to_string(&Document::from(&counters)).unwrap();
        assert!(!text.contains("192.0.2.1"), "{text}");
        let mut restored: Counters = serde_json::from_str::<Document>(&text).unwrap().into();
        restored.ended(&ended);
        assert_eq!((restored.total.connections, restored.today.connections, restored.hours[1]), (2, 2, 2));
        assert_eq!(restored.selectors.sorted()[0].count, 2);
    }

    #[test]
    fn what_is_left_by_who_is_gone_is_swept_and_nothing_else() {
        let place = std::env::temp_dir().join(format!("dayfly-sweep-{}", std::process::id()));
        // No pid is as high (proc_sys_kernel(5), pid_max).
        let names = ["public-gone-4194305", "public-used-4194306", "public-1-of", "other-4194305"];
        let live = format!("public-live-{}", std::process::id());
        for name in names.into_iter().chain([live.as_str()]) {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        fs::write(place.join(names[0]).join(FILE), "{}").unwrap();
        let used = PublicDirectory::open(&place.join(names[1])).unwrap();
        sweep(&place);
        let left = |name: &str| place.join(name).exists();
        assert!(!left(names[0]) && left(names[1]) && left(names[2]) && left(names[3]) && left(&live));
        drop(used);
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_a_killed_supervisor_of_the_same_pid_has_left_is_not_counted_on_from() {
        let path = std::env::temp_dir().join(format!("dayfly-public-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let mut directory = PublicDirectory::open(&path).unwrap();
        directory.kept = true;
        directory.write(&Report::default()).unwrap();
        assert!(directory.restore().is_some());
        directory.kept = false;
        assert!(directory.restore().is_none());
        drop(directory);
        assert!(!path.exists());
    }
}
