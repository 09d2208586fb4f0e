//! The sockets on which supervisors answer, and their client: a connection gets one JSON document and the end
//! of file.

use super::Report;
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where supervisors without a runtime directory of their own have their sockets.
pub const SHARED: &str = "/run/dayfly";
/// Larger than any of our documents.
const DOCUMENT_MAX: u64 = 16 << 20;
pub const PATIENCE: Duration = Duration::from_secs(5);

/// systemd's RuntimeDirectory=; of several, the first.
pub fn runtime_directory() -> Option<PathBuf> {
    let value = std::env::var("RUNTIME_DIRECTORY").ok()?;
    let first = value.split(':').next().filter(|first| first.starts_with('/'))?;
    Some(PathBuf::from(first))
}

/// Where an ordinary user's supervisors have theirs, without a runtime directory of their own.
pub fn users_directory() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    directory.is_absolute().then(|| directory.join("dayfly"))
}

fn candidates_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|n| n == "stats" || n.starts_with("stats-"))
    };
    entries.map(|entry| entry.path()).filter(is_ours).collect()
}

/// Where a live supervisor may listen: the own runtime directory's, the shared directory's and those of
/// directories in it.
pub fn candidates() -> Vec<PathBuf> {
    let shared = Path::new(SHARED);
    let below = fs::read_dir(shared).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut directories: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    directories.push(shared.to_owned());
    directories.extend(runtime_directory());
    directories.extend(users_directory());
    let mut paths: Vec<PathBuf> = directories.iter().flat_map(|directory| candidates_in(directory)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Asks the supervisor at `path`.
pub fn ask(path: &Path) -> io::Result<Vec<Report>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut document = Vec::new();
    stream.take(DOCUMENT_MAX).read_to_end(&mut document)?;
    let mut reports: Vec<Report> = serde_json::from_slice(&document)?;
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let supervisor = names[names.len().saturating_sub(2)..].join("/");
    reports.iter_mut().for_each(|report| report.supervisor.clone_from(&supervisor));
    Ok(reports)
}
