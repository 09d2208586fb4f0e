//! A directory of logs, and a watcher of them over a socket.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long any test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A directory that is removed with the value.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Place {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("logwatch-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file that is written at its end, as logs are.
    pub(crate) fn log(&self, name: &str) -> File {
        OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap()
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Follows these files, and has been told that it does.
    pub(crate) fn watch(&self, options: &[&str], files: &[&str]) -> Watcher {
        let mut watcher = self.start(options, files);
        for name in files {
            assert_eq!(watcher.line(), format!("logwatch: {name}: followed"));
        }
        watcher
    }

    pub(crate) fn start(&self, options: &[&str], files: &[&str]) -> Watcher {
        let (stream, other) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let other = OwnedFd::from(other);
        let mut command = Command::new(env!("CARGO_BIN_EXE_logwatch"));
        command.args(options).args(files.iter().map(|name| self.path(name)));
        command.stdin(other.try_clone().unwrap()).stdout(other).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Watcher { child, stream, got: Vec::new() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) struct Watcher {
    pub(crate) child: Child,
    pub(crate) stream: UnixStream,
    got: Vec<u8>,
}

impl Watcher {
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.got.iter().position(|&byte| byte == b'\n') {
                let rest = self.got.split_off(end + 1);
                let line = std::mem::replace(&mut self.got, rest);
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            let mut chunk = [0; 65536];
            let length = match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.expect("a line in time"),
            };
            assert_ne!(length, 0, "the end in the place of a line");
            self.got.extend_from_slice(&chunk[..length]);
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line(), *line);
        }
    }

    /// Nothing comes for a while.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        assert!(self.got.is_empty());
        self.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut chunk = [0; 100];
        let read = self.stream.read(&mut chunk);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(read.is_err(), "{}", String::from_utf8_lossy(&chunk));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the program has seen what is there: it looks at the files many times meanwhile.
    pub(crate) fn let_it_look(&self) {
        std::thread::sleep(Duration::from_millis(400));
    }

    /// The most memory that the program has had, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The exit status, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _has_ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Numbered lines of 100 bytes.
pub(crate) fn write_numbers(to: &mut File, numbers: std::ops::Range<u64>) {
    let mut text = String::new();
    for number in numbers {
        text.push_str(&format!("{number:<99}\n"));
    }
    to.write_all(text.as_bytes()).unwrap();
}

/// The number of a line of the log `a`.
pub(crate) fn number(line: &str) -> Option<u64> {
    line.strip_prefix("a: ")?.trim().parse().ok()
}

/// The number of lost lines that a notice tells.
pub(crate) fn lost(line: &str) -> Option<u64> {
    line.strip_prefix("logwatch: a: lost lines: ")?.parse().ok()
}
