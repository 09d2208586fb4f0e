//! A btrfs file system of a test's own, with the site's template as a subvolume.

use super::site::{c_path, make_directory};
use super::{Launch, Site, process, program, sys};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Beside the site, whose mounts and files must not change. `None` if it cannot be made.
#[derive(Debug)]
pub struct Volume {
    directory: PathBuf,
    tag: String,
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    })
}

impl Volume {
    pub fn new(site: &mut Site) -> Option<Volume> {
        let mkfs = program("mkfs.btrfs")?;
        // By the site's tag a launcher is found; a loop device by it would count as left.
        let directory = PathBuf::from(format!("/var/tmp/{}-volume", site.tag()));
        make_directory(&directory, 0o755);
        let image = Path::new("/var/tmp").join(site.tag().replace("dayfly-test", "volume"));
        fs::File::create(&image).and_then(|file| file.set_len(512 << 20)).expect("an image");
        let volume = Volume { directory: directory.clone(), tag: site.tag().to_owned() };
        assert!(succeeds(Command::new(mkfs).arg("--quiet").arg(&image)), "mkfs.btrfs");
        let mounted = succeeds(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&directory));
        fs::remove_file(&image).expect("our own image");
        if !mounted {
            let _best_effort = fs::remove_dir(&directory);
            return None;
        }
        volume.subvolume(&volume.template());
        let copied =
            succeeds(Command::new("cp").arg("-a").arg(site.template().join(".")).arg(volume.template()));
        assert!(copied, "cp");
        site.settle_mounts();
        Some(volume)
    }

    pub fn subvolume(&self, path: &Path) {
        assert!(
            succeeds(Command::new("btrfs").args(["subvolume", "create"]).arg(path)),
            "{}",
            path.display()
        );
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn template(&self) -> PathBuf {
        self.directory.join("template")
    }

    pub fn shelf(&self) -> PathBuf {
        self.directory.join(".dayfly-snapshots")
    }

    /// `dayfly run --snapshot btrfs … -- /bin/probe @TAG VERB…`
    pub fn probe<'s>(&self, site: &'s Site, words: &[&str]) -> Launch<'s> {
        let template = self.template().display().to_string();
        site.probe(words).only_options(&["--template", &template, "--snapshot", "btrfs"])
    }

    /// A service file, of the probe with these words.
    pub fn service(&self, words: &[&str]) -> PathBuf {
        let file = self.directory.join("service.toml");
        let words: String = words.iter().map(|word| format!(", \"{word}\"")).collect();
        let text = format!(
            "template = \"template\"\nsnapshot = \"btrfs\"\nhandler = [\"/bin/probe\", \"@{}\"{words}]\n",
            self.tag
        );
        fs::write(&file, text).expect("a service file");
        file
    }

    /// The directories of launchers, each with how many snapshots it has.
    pub fn launchers(&self) -> Vec<usize> {
        let count = |path: PathBuf| fs::read_dir(path).map_or(0, Iterator::count);
        fs::read_dir(self.shelf()).into_iter().flatten().flatten().map(|entry| count(entry.path())).collect()
    }

    pub fn nobody_holds_a_lock(&self) -> bool {
        let is_free =
            |entry: fs::DirEntry| fs::File::open(entry.path()).is_ok_and(|it| it.try_lock().is_ok());
        fs::read_dir(self.shelf()).into_iter().flatten().flatten().all(is_free)
    }

    /// Nothing is on the shelf, and the file system has the template as its only subvolume, once it has
    /// cleaned up.
    #[track_caller]
    pub fn check_nothing_left(&self) {
        assert_eq!(self.launchers(), [0; 0], "left in {}", self.shelf().display());
        let list =
            Command::new("btrfs").args(["subvolume", "list"]).arg(&self.directory).output().expect("btrfs");
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let left: Vec<_> = list.lines().filter(|line| line.contains("dayfly-snapshots")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        for pid in process::tagged(&self.tag) {
            let _may_have_ended = sys::kill(pid, libc::SIGKILL);
        }
        let _best_effort = sys::unmount(&c_path(&self.directory));
        let _best_effort = fs::remove_dir(&self.directory);
    }
}
