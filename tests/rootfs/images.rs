//! `--template FILE`: an image of erofs or squashfs, mounted once a service.

use common::serve::Serve;
use common::site::give_to;
use common::{Ended, Site, a_site, dayfly, need, process};
use std::path::{Path, PathBuf};
use std::process::Command;

const SNAPSHOTS: [&str; 2] = ["readonly", "overlay"];

/// Images of the site's template beside it; only those whose program is there.
struct Images(Vec<PathBuf>);

impl Images {
    fn new(site: &Site) -> Images {
        let directory = PathBuf::from(format!("/var/tmp/{}-images", site.tag()));
        common::site::make_directory(&directory, 0o755);
        let template = site.template();
        let (erofs, squashfs) = (directory.join("erofs"), directory.join("squashfs"));
        let made = [
            Command::new("mkfs.erofs").args(["--quiet", "-T0"]).arg(&erofs).arg(&template).output(),
            Command::new("mksquashfs")
                .arg(&template)
                .arg(&squashfs)
                .args(["-quiet", "-no-progress"])
                .output(),
        ];
        let images = made.into_iter().zip([erofs, squashfs]).filter_map(|(made, image)| {
            let Ok(made) = made else {
                common::skip(&format!("no program makes {}", image.display()));
                return None;
            };
            assert!(made.status.success(), "{}", image.display());
            Some(image)
        });
        Images(images.collect())
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for image in &self.0 {
            for file in [image.clone(), image.with_extension("toml")] {
                let _best_effort = std::fs::remove_file(file);
            }
        }
        if let Some(directory) = self.0.first().and_then(|image| image.parent()) {
            let _best_effort = std::fs::remove_dir_all(directory);
        }
    }
}

/// The loop devices that read this file.
fn loop_devices(image: &Path) -> usize {
    let backing =
        |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    let wanted = image.display().to_string();
    std::fs::read_dir("/sys/block")
        .unwrap()
        .flatten()
        .filter_map(backing)
        .filter(|file| file.trim_end() == wanted)
        .count()
}

fn await_no_loop_device(image: &Path) {
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while loop_devices(image) > 0 {
        assert!(std::time::Instant::now() < deadline, "a loop device of {} is left", image.display());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A service file beside the image.
fn service(site: &Site, image: &Path, words: &str) -> PathBuf {
    let (path, tag) = (image.display(), site.tag());
    let file = image.with_extension("toml");
    let text = format!("template = \"{path}\"\nhandler = [\"/bin/probe\", \"@{tag}\", {words}]\n");
    std::fs::write(&file, text).unwrap();
    file
}

fn run(site: &Site, image: &Path, options: &[&str], words: &[&str]) -> Ended {
    let image = image.display().to_string();
    let launch = site.probe(words).only_options(&["--template", &image]).options(options);
    launch.talk(b"x\n")
}

#[test]
fn run_serves_from_an_image_and_leaves_nothing() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        for snapshot in SNAPSHOTS {
            let options = ["--snapshot", snapshot];
            let ended = run(&site, image, &options, &["try", "cat", "/srv/hello"]);
            ended.expect(0, "exited");
            assert_eq!(ended.value("content"), "hello", "{snapshot}\n{ended}");
            await_no_loop_device(image);
        }
    }
}

#[test]
fn an_overlay_on_it_can_be_written_and_the_image_stays_as_it_was() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        let before = std::fs::read(image).unwrap();
        let ended = run(&site, image, &["--snapshot", "overlay"], &["try", "write", "/srv/hello"]);
        assert_eq!(ended.value("write"), "ok 21", "{ended}");
        // The handler owns what root owns in the image: idmapped.
        let ended = run(&site, image, &["--snapshot", "overlay"], &["try", "cat", "/etc/secret"]);
        assert_eq!(ended.value("content"), "for root alone", "{ended}");
        let ended = run(&site, image, &["--snapshot", "readonly"], &["try", "write", "/srv/hello"]);
        assert!(ended.value("write").starts_with("errno"), "{ended}");
        let ended = run(&site, image, &["--snapshot", "readonly"], &["try", "cat", "/etc/secret"]);
        assert!(ended.value("cat").starts_with("errno 13 "), "{ended}");
        assert!(std::fs::read(image).unwrap() == before, "{}", image.display());
    }
}

#[test]
fn nothing_of_the_image_can_be_executed_again() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        for (attempt, file) in [("execveat", "/bin/other"), ("execveat", "/bin/probe")] {
            let ended = run(&site, image, &[], &["try", attempt, file]);
            assert!(ended.value(attempt).starts_with("errno 13 "), "{file}\n{ended}");
        }
        let mut live = site
            .probe(&["sleep"])
            .only_options(&["--template", image.to_str().unwrap(), "--snapshot", "readonly"])
            .start();
        let handler = live.await_ready();
        let mounts = process::read(handler, "mountinfo");
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        for flag in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(root.split([' ', ',']).any(|word| word == flag), "{flag}: {root}");
        }
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

#[test]
fn serve_mounts_it_once_for_all_sandboxes_and_again_at_a_reload() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        for snapshot in SNAPSHOTS {
            let path = image.display().to_string();
            let file = service(&site, image, "\"try\", \"cat\", \"/srv/hello\"");
            let serving = Serve::file(&site, &file).options(&["--snapshot", snapshot]).start();
            let answer = || String::from_utf8(serving.ask(b"")).unwrap();
            for _ in 0..8 {
                assert!(answer().contains("content hello"), "{path} {snapshot}");
            }
            assert!(loop_devices(image) <= 1, "{path}");
            serving.signal(libc::SIGHUP);
            serving.await_log(&["dayfly: reloaded"]);
            assert!(answer().contains("content hello"), "{path} {snapshot}");
            assert_eq!(serving.terminate().0, 0);
            await_no_loop_device(image);
        }
    }
}

#[test]
fn after_sigkill_of_the_launcher_no_loop_device_is_left() {
    let site = a_site!();
    need!("mksquashfs");
    let images = Images::new(&site);
    let image = images.0.last().unwrap();
    let path = image.display().to_string();
    let mut live = site.probe(&["sleep"]).only_options(&["--template", &path]).start();
    live.await_ready();
    assert_eq!(loop_devices(image), 1);
    live.signal(libc::SIGKILL);
    live.end_killed();
    await_no_loop_device(image);
    let file = service(&site, image, "\"echo\"");
    let serving = Serve::file(&site, &file).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(loop_devices(image), 1);
    serving.murder();
    await_no_loop_device(image);
}

#[test]
fn what_is_no_image_or_somebody_elses_is_refused() {
    let mut site = a_site!();
    let text = site.file("text", "no image\n");
    let ended = run(&site, &text, &[], &["echo"]);
    ended.expect(125, "refused");
    assert!(ended.err.contains("neither a directory nor an image"), "{ended}");
    // The magic bytes alone make none.
    let cut = site.file("cut", &format!("hsqs{}", "x".repeat(4096)));
    let ended = run(&site, &cut, &[], &["echo"]);
    ended.expect(125, "refused");
    assert!(ended.err.contains("cannot mount the image"), "{ended}");
    await_no_loop_device(&cut);
    let images = Images::new(&site);
    for image in &images.0 {
        give_to(image, 4242);
        let ended = run(&site, image, &[], &["echo"]);
        ended.expect(125, "refused");
        assert!(ended.err.contains("belongs to uid 4242"), "{ended}");
    }
}

/// `explain` without a loop device, from the first call to the last; `check` with one at most, for the launch
/// that it tries, which goes with its last mount.
#[test]
fn explain_attaches_nothing_and_check_leaves_nothing() {
    let site = a_site!();
    let strace = need!("strace");
    let images = Images::new(&site);
    for image in &images.0 {
        let kind = image.file_name().unwrap().to_str().unwrap();
        for (command, wanted) in
            [("explain", format!("an image of {kind}")), ("check", "its path is trusted".to_owned())]
        {
            let trace = image.with_extension("toml");
            let output = Command::new(&strace)
                .args(["-f", "-e", "trace=openat,openat2,ioctl", "-o", trace.to_str().unwrap()])
                .arg(dayfly())
                .args([command, "--template", image.to_str().unwrap(), "--", "/bin/probe"])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(&wanted), "{command}: {text}");
            let calls = std::fs::read_to_string(&trace).unwrap();
            assert!(calls.contains("openat"), "{calls}");
            if command == "explain" {
                assert!(!calls.contains("/dev/loop") && !calls.contains("LOOP_"), "{calls}");
                continue;
            }
            assert!(text.contains("a sandbox was built"), "{text}");
            let attached: Vec<&str> = calls.lines().filter(|line| line.contains("LOOP_CONFIGURE")).collect();
            assert!(attached.len() <= 1, "{calls}");
            for line in attached {
                assert!(line.contains("LO_FLAGS_READ_ONLY|LO_FLAGS_AUTOCLEAR"), "{line}");
            }
        }
        await_no_loop_device(image);
    }
}

#[test]
fn an_image_that_is_cut_off_is_found_by_its_superblock() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        let length = std::fs::metadata(image).unwrap().len();
        std::fs::File::options().write(true).open(image).unwrap().set_len(length / 2).unwrap();
        for command in ["check", "explain", "run"] {
            let output = Command::new(dayfly())
                .args([command, "--template", image.to_str().unwrap(), "--", "/bin/probe"])
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("cut off or damaged"), "{command}: {text}");
        }
    }
}

#[test]
fn template_build_makes_an_image_and_the_same_one_again() {
    let site = a_site!();
    need!("mkfs.erofs");
    let directory = PathBuf::from(format!("/var/tmp/{}-made", site.tag()));
    common::site::make_directory(&directory, 0o755);
    let image = directory.join("template.erofs");
    let make = || {
        let probe = format!("{}:/bin/probe", common::test_bin("probe").display());
        let words = ["template", "build", "--image", "erofs", "--handler", &probe];
        let made = Command::new(dayfly()).args(words).arg(&image).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::read(&image).unwrap()
    };
    let first = make();
    let ended = run(&site, &image, &[], &["echo"]);
    let same = make() == first;
    std::fs::remove_dir_all(&directory).unwrap();
    ended.expect(0, "exited");
    assert!(same, "two builds differ");
}

#[test]
fn nspawn_takes_an_image() {
    let site = a_site!();
    let images = Images::new(&site);
    for image in &images.0 {
        let mark = format!("@{}", site.tag());
        let words = ["nspawn", "-qx", "-i", image.to_str().unwrap(), "/bin/probe", &mark, "echo"];
        let ended = site.handler(&[]).verb(&words).talk(b"by nspawn\n");
        assert_eq!((ended.status, ended.text().as_str()), (0, "by nspawn\n"), "{ended}");
    }
}
