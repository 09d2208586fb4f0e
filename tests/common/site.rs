//! A place of a test's own: a template, a mount namespace, and the check that nothing is left in it.

pub use super::cleanup::remove as remove_own_directory;
use super::{Launch, cleanup, process, sys, test_bin};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Properties of a file that must not change.
type Print = BTreeMap<PathBuf, (u32, u32, u32, u64, (i64, i64), u64)>;

#[derive(Debug)]
pub struct Site {
    tag: String,
    directory: PathBuf,
    mounts: String,
    print: Print,
    /// For as long as the test lives.
    _lock: fs::File,
}

impl Site {
    /// None when this user cannot have one. Not below /tmp, which is a tmpfs on many hosts and of the test's
    /// own here: what the launcher leaves there is then its own doing.
    pub fn new() -> Option<Site> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if sys::effective_uid() != 0 {
            return None;
        }
        sys::own_mounts().expect("a mount namespace for the test");
        if !super::needs_tmp() {
            sys::mount_tmpfs(c"/tmp").expect("a /tmp for the test");
        }
        // The end keeps one from being found in another: 1 is how 10 begins.
        let tag =
            format!("{}{}-{}x", cleanup::PREFIX, std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (directory, lock) = cleanup::claim(&tag);
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("our own mount table");
        let mut site = Site { tag, directory, mounts, print: Print::new(), _lock: lock };
        site.fill_template();
        site.settle();
        Some(site)
    }

    fn fill_template(&self) {
        let template = self.template();
        make_directory(&template, 0o755);
        for (name, mode) in [("bin", 0o755), ("etc", 0o755), ("srv", 0o755), ("tmp", 0o755), ("empty", 0o755)]
        {
            make_directory(&template.join(name), mode);
        }
        for name in ["bin/probe", "bin/other"] {
            fs::copy(test_bin("probe"), template.join(name)).expect("copy the probe into the template");
            set_mode(&template.join(name), 0o711);
        }
        write(&template.join("etc/os-release"), b"ID=dayfly-test\n", 0o644);
        write(&template.join("etc/secret"), b"for root alone\n", 0o600);
        write(&template.join("srv/hello"), b"hello\n", 0o644);
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn template(&self) -> PathBuf {
        self.directory.join("template")
    }

    /// Writes a file beside the template, not inside it.
    pub fn file(&mut self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.join(name);
        write(&path, content.as_bytes(), 0o644);
        self.settle();
        path
    }

    /// Writes a file into the template.
    pub fn add(&mut self, name: &str, content: &[u8], mode: u32) {
        write(&self.template().join(name), content, mode);
        self.settle();
    }

    /// Gives the template a program of the host with its loader and libraries.
    pub fn add_dynamic(&mut self, path: &Path) {
        let ldd = Command::new("ldd").arg(path).output().expect("ldd");
        let text = String::from_utf8(ldd.stdout).expect("paths");
        let libraries = text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
        for file in libraries.chain([path.to_owned()]) {
            let inside = self.template().join(file.strip_prefix("/").expect("an absolute path"));
            fs::create_dir_all(inside.parent().expect("a directory")).expect("our own directory");
            if !inside.exists() {
                fs::copy(&file, &inside).expect("a copy in our own directory");
            }
        }
    }

    /// After a test has changed its own site: this is what must be there at the end.
    pub fn settle(&mut self) {
        self.print = fingerprint(&self.directory);
    }

    /// After a test has mounted something itself: that must be there at the end.
    pub fn settle_mounts(&mut self) {
        self.mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("our own mount table");
    }

    /// `dayfly run … -- /bin/probe @TAG VERB…`
    pub fn probe(&self, words: &[&str]) -> Launch<'_> {
        let mark = format!("@{}", self.tag);
        let handler: Vec<&str> = ["/bin/probe", &mark].into_iter().chain(words.iter().copied()).collect();
        Launch::new(self, &handler)
    }

    pub fn handler(&self, words: &[&str]) -> Launch<'_> {
        Launch::new(self, words)
    }

    /// No process, no mount, no changed or additional file, nothing in /tmp, no loop device.
    #[track_caller]
    pub fn check_nothing_left(&self) {
        let processes = process::tagged(&self.tag);
        assert!(processes.is_empty(), "processes left:\n{}", process::describe(&processes));
        self.check_host_untouched();
    }

    /// A loop device whose file is of this site.
    fn loop_device(&self) -> Option<std::ffi::OsString> {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let backed_here = |device: &fs::DirEntry| {
            let file = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
            file.contains(&self.tag)
        };
        devices.filter(backed_here).map(|device| device.file_name()).next()
    }

    #[track_caller]
    pub fn check_host_untouched(&self) {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("our own mount table");
        assert_eq!(mounts, self.mounts, "the mount table has changed");
        assert_eq!(fingerprint(&self.directory), self.print, "files have changed");
        if !super::needs_tmp() {
            let left: Vec<_> = fs::read_dir("/tmp").expect("/tmp").flatten().map(|e| e.path()).collect();
            assert!(left.is_empty(), "left in /tmp: {left:?}");
        }
        // The kernel detaches one with its last mount, which it drops by itself after the last process.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while let Some(device) = self.loop_device() {
            assert!(std::time::Instant::now() < patience, "loop device {device:?} left");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // One test makes the host read-only around itself.
        let _was_not = sys::read_write(c"/");
        cleanup::clean(&self.tag);
        let left = cleanup::left(&self.tag);
        // Beside a failure, which is the thing to see.
        assert!(left.is_empty() || std::thread::panicking(), "the test leaves {left:?}");
    }
}

pub fn make_directory(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap_or_else(|e| panic!("mkdir {}: {e}", path.display()));
    set_mode(path, mode);
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod of our own file");
}

pub fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    set_mode(path, mode);
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

pub fn give_to(path: &Path, uid: u32) {
    sys::chown(&c_path(path), uid, uid).expect("chown of our own file");
}

/// By its name, or by the name it takes while another supervisor is still there.
fn is_stats_socket(top: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent() == Some(top) && (name == "stats" || name.starts_with("stats-"))
}

/// A directory of root's beside the site, for what a test changes while the site must stay as it was.
#[derive(Debug)]
pub struct Beside(pub PathBuf);

impl Beside {
    pub fn new(site: &Site) -> Beside {
        let directory = PathBuf::from(format!("/var/tmp/{}-beside", site.tag()));
        make_directory(&directory, 0o755);
        Beside(directory)
    }

    pub fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        write(&path, content.as_bytes(), mode);
        path
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        remove_own_directory(&self.0);
    }
}

fn fingerprint(top: &Path) -> Print {
    let mut print = Print::new();
    let mut queue = vec![top.to_path_buf()];
    while let Some(path) = queue.pop() {
        let meta = fs::symlink_metadata(&path).expect("a file of our own");
        // A supervisor that was killed cannot remove its socket; tests/serve/statistics.rs sees to those
        // that end.
        if is_stats_socket(top, &path) && meta.file_type().is_socket() {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        if meta.is_dir() {
            queue.extend(fs::read_dir(&path).expect("a directory of our own").flatten().map(|e| e.path()));
        } else if meta.is_file() && meta.len() < 65536 {
            // A larger one gives itself away by its size or its time of change.
            fs::read(&path).expect("a file of our own").hash(&mut hasher);
        }
        // Files that come and go beside the template (a stats socket) may change a directory's time.
        let beside = meta.is_dir() && !path.starts_with(top.join("template"));
        let (size, time) = if beside { (0, (0, 0)) } else { (meta.len(), (meta.ctime(), meta.ctime_nsec())) };
        let row = (meta.mode(), meta.uid(), meta.gid(), size, time, hasher.finish());
        print.insert(path, row);
    }
    print
}
