//! Mounts below a path of the host that a sandbox sees: they are as restricted as the path itself.

use common::serve::Serve;
use common::site::{c_path, make_directory, set_mode, write};
use common::{Site, a_site, process, sys};
use std::path::{Path, PathBuf};

const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// A directory of the host, and a file system that is mounted below it, where everybody may write.
struct Source(PathBuf);

impl Source {
    fn new(site: &mut Site) -> Source {
        let source = Source(PathBuf::from(format!("/var/tmp/{}-source", site.tag())));
        make_directory(&source.0, 0o755);
        make_directory(&source.below(), 0o755);
        sys::mount_tmpfs(&c_path(&source.below())).expect("a file system of the test's own");
        write(&source.below().join("file"), b"of the host\n", 0o666);
        set_mode(&source.below(), 0o777);
        site.settle_mounts();
        source
    }

    fn below(&self) -> PathBuf {
        self.0.join("below")
    }

    /// Nothing has come and nothing has changed.
    #[track_caller]
    fn check_untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(self.below()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["file"]);
        assert_eq!(std::fs::read(self.below().join("file")).unwrap(), b"of the host\n");
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _best_effort = sys::unmount(&c_path(&self.below()));
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

/// Mount options (proc_pid_mountinfo(5)) of what a process has mounted at a path and below.
fn options_below(pid: u32, path: &str) -> Vec<(String, Vec<String>)> {
    let table = process::read(pid, "mountinfo");
    let fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .map(|fields| (fields[4].to_owned(), fields[5].split(',').map(str::to_owned).collect()))
        .filter(|(point, _): &(String, _)| Path::new(point).starts_with(path))
        .collect()
}

#[track_caller]
fn has_all(options: &[(String, Vec<String>)], count: usize, wanted: &[&str]) {
    assert_eq!(options.len(), count, "{options:?}");
    for (point, options) in options {
        let missing: Vec<_> = wanted.iter().filter(|wanted| !options.iter().any(|o| o == *wanted)).collect();
        assert!(missing.is_empty(), "{point} lacks {missing:?}: {options:?}");
    }
}

const READ_ONLY: [&str; 4] = ["ro", "nosuid", "nodev", "noexec"];

#[test]
fn below_a_read_only_bind_nothing_can_be_written_either() {
    let mut site = a_site!();
    let source = Source::new(&mut site);
    let bind = format!("--bind-ro={}:/empty", source.0.display());
    for kind in SNAPSHOTS {
        let options = [bind.as_str(), "--snapshot", kind, "--landlock-rw", "/"];
        let ended = site.probe(&["try", "cat", "/empty/below/file"]).options(&options).talk(b"");
        assert_eq!(ended.value("content"), "of the host", "{ended}");
        for path in ["/empty/below/file", "/empty/below/new", "/empty/new"] {
            let ended = site.probe(&["try", "write", path]).options(&options).talk(b"");
            assert!(ended.text().contains(&format!("errno {} ", libc::EROFS)), "{path}: {ended}");
        }
        let mut live = site.probe(&["sleep"]).options(&options).start();
        has_all(&options_below(live.await_ready(), "/empty"), 2, &READ_ONLY);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
    source.check_untouched();
}

#[test]
fn below_a_read_only_bind_of_serve_nothing_can_be_written_either() {
    let mut site = a_site!();
    let source = Source::new(&mut site);
    let bind = format!("--bind-ro={}:/empty", source.0.display());
    for kind in SNAPSHOTS {
        let options = [bind.as_str(), "--snapshot", kind, "--landlock-rw", "/"];
        let words = ["try", "write", "/empty/below/file"];
        let serving = Serve::probe(&site, &words).options(&options).start();
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert!(answer.contains(&format!("errno {} ", libc::EROFS)), "{kind}: {answer}");
        assert_eq!(serving.terminate().0, 0);
        let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
        let mut client = serving.connect();
        assert_eq!(client.line(), "ready");
        has_all(&options_below(serving.served()[0], "/empty"), 2, &READ_ONLY);
        drop(client);
        assert_eq!(serving.terminate().0, 0);
    }
    source.check_untouched();
}

#[test]
fn below_nspawns_read_only_bind_nothing_can_be_written_either() {
    let mut site = a_site!();
    let source = Source::new(&mut site);
    let template = site.template().display().to_string();
    let bind = format!("--bind-ro={}:/empty", source.0.display());
    let verb = ["nspawn", "-q", "--private-network", "-x", "-D", &template, &bind];
    for path in ["/empty/below/file", "/empty/below/new"] {
        let handler = ["/bin/probe", "try", "write", path];
        let ended = site.handler(&[]).verb(&[&verb[..], &handler].concat()).talk(b"");
        assert!(ended.text().contains(&format!("errno {} ", libc::EROFS)), "{path}: {ended}");
    }
    source.check_untouched();
}

/// A writable bind is one file system; what is mounted below it is not of it, and is not seen.
#[test]
fn below_a_writable_bind_no_other_file_system_is_seen() {
    let mut site = a_site!();
    let source = Source::new(&mut site);
    let bind = format!("--bind={}:/empty:4242", source.0.display());
    for kind in SNAPSHOTS {
        let options = [bind.as_str(), "--snapshot", kind];
        let ended = site.probe(&["try", "open", "/empty/below/file"]).options(&options).talk(b"");
        assert!(ended.text().contains(&format!("errno {} ", libc::ENOENT)), "{ended}");
        let mut live = site.probe(&["sleep"]).options(&options).start();
        has_all(&options_below(live.await_ready(), "/empty"), 1, &["rw", "nosuid", "nodev", "noexec"]);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
    source.check_untouched();
}

/// The template's own mount, and the directories of an overlay.
#[test]
fn what_is_mounted_below_the_template_or_a_layer_cannot_be_written() {
    let mut site = a_site!();
    let source = Source::new(&mut site);
    std::fs::create_dir_all(site.template().join("empty/below")).unwrap();
    sys::mount_tmpfs(&c_path(&site.template().join("empty/below"))).unwrap();
    write(&site.template().join("empty/below/file"), b"of the host\n", 0o666);
    set_mode(&site.template().join("empty/below"), 0o777);
    site.settle();
    site.settle_mounts();
    let other = site.template().join("etc").display().to_string();
    let stack = format!("--overlay-ro={other}:{}:/srv", source.0.display());
    for kind in SNAPSHOTS {
        let options = ["--snapshot", kind, "--landlock-rw", "/", stack.as_str()];
        for path in ["/empty/below/file", "/srv/below/file", "/srv/below/new"] {
            let ended = site.probe(&["try", "write", path]).options(&options).talk(b"");
            ended.expect(0, "exited");
        }
        let mut live = site.probe(&["sleep"]).options(&options).start();
        let handler = live.await_ready();
        has_all(&options_below(handler, "/srv"), 1, &READ_ONLY);
        for (point, options) in options_below(handler, "/empty") {
            assert!(options.iter().any(|option| option == "ro"), "{point}: {options:?}");
        }
        live.client.half_close();
        live.end().expect(0, "exited");
    }
    source.check_untouched();
    assert_eq!(std::fs::read(site.template().join("empty/below/file")).unwrap(), b"of the host\n");
    sys::unmount(&c_path(&site.template().join("empty/below"))).unwrap();
}
