//! Files of a service that are replaced or removed while it serves: it reloads by itself, and refuses
//! nobody meanwhile.

use common::serve::{Serve, Serving};
use common::site::{Beside, make_directory, write};
use common::volume::Volume;
use common::{Client, PATIENCE, Site, a_site, need};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The files of a service, beside the site: a template with a word in it, a bind with a word, a file with
/// a word.
struct Shop<'s> {
    site: &'s Site,
    beside: Beside,
}

impl<'s> Shop<'s> {
    fn new(site: &'s Site) -> Shop<'s> {
        let shop = Shop { site, beside: Beside::new(site) };
        shop.make_template("template", "one");
        shop.make_directory_with_word("content", "one");
        write(&shop.at("note"), b"one", 0o644);
        shop
    }

    fn at(&self, name: &str) -> PathBuf {
        self.beside.0.join(name)
    }

    fn make_directory_with_word(&self, name: &str, word: &str) {
        make_directory(&self.at(name), 0o755);
        write(&self.at(name).join("word"), word.as_bytes(), 0o644);
    }

    fn make_template(&self, name: &str, word: &str) {
        self.make_directory_with_word(name, word);
        for directory in ["bin", "tmp", "empty", "run", "run/credentials"] {
            make_directory(&self.at(name).join(directory), 0o755);
        }
        write(&self.at(name).join("note"), b"", 0o644);
        fs::copy(self.site.template().join("bin/probe"), self.at(name).join("bin/probe")).unwrap();
    }

    /// Serves the word that is at a path in the sandbox.
    fn service(&self, name: &str, path: &str, more: &str) -> PathBuf {
        let tag = self.site.tag();
        let handler = format!("handler = [\"/bin/probe\", \"@{tag}\", \"try\", \"cat\", \"{path}\"]");
        let more = if more.contains("template = ") {
            more.to_owned()
        } else {
            format!("template = \"template\"\n{more}")
        };
        self.beside.file(
            &format!("{name}.toml"),
            &format!("{more}\n{handler}\non_refusal = \"refused\"\n"),
            0o644,
        )
    }
}

fn answer(serving: &Serving<'_>) -> String {
    rest(serving.connect())
}

fn rest(mut client: Client) -> String {
    client.half_close();
    String::from_utf8(client.rest()).unwrap()
}

/// Each answer is the old word or the new one, and the new one comes.
#[track_caller]
fn becomes(serving: &Serving<'_>, new: &str) {
    becomes_from(serving, &["one"], new);
}

#[track_caller]
fn becomes_from(serving: &Serving<'_>, old: &[&str], new: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = answer(serving);
        if got.contains(new) {
            break;
        }
        assert!(old.iter().any(|old| got.contains(old)), "refused or wrong: {got:?}");
        assert!(Instant::now() < deadline, "the new word does not come: {got:?}");
    }
    for _ in 0..12 {
        let got = answer(serving);
        assert!(got.contains(new), "after the new word: {got:?}");
    }
}

/// The probe's answer where the word was removed.
const EMPTIED: &str = "cat errno 2";

const SNAPSHOTS: [&str; 2] = ["overlay", "readonly"];
const PARKS: [&str; 3] = ["entry", "before-exec", "none"];

/// Serves `path`, changes files, and sees the new word without a refusal; the log says it in one line.
#[track_caller]
fn changes(site: &Site, path: &str, more: &str, change: impl Fn(&Shop<'_>)) {
    changes_from(site, path, more, &["one"], change);
}

/// The same for a change that leaves the old content in another state, which parked sandboxes may still show.
#[track_caller]
fn changes_from(site: &Site, path: &str, more: &str, old: &[&str], change: impl Fn(&Shop<'_>)) {
    for snapshot in SNAPSHOTS {
        let shop = Shop::new(site);
        let file = shop.service("service", path, &format!("snapshot = \"{snapshot}\"\n{more}"));
        let serving = Serve::file(site, &file).start();
        let got = answer(&serving);
        assert!(got.contains("one"), "{snapshot}: {got:?}");
        change(&shop);
        // As long as it takes to change files by hand: the supervisor looks at them once in a millisecond.
        std::thread::sleep(Duration::from_millis(5));
        becomes_from(&serving, old, "two");
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
        let said: Vec<_> = log.lines().filter(|line| line.contains("reloaded the service")).collect();
        assert!(said.len() == 1 && said[0].contains("service=service"), "{snapshot}: {log}");
        assert!(!log.contains("before it had a connection"), "{snapshot}: {log}");
    }
}

#[test]
fn a_template_that_is_exchanged_as_build_template_does_it() {
    let site = a_site!();
    changes(&site, "/word", "", |shop| {
        shop.make_template("new", "two");
        let exchanged = nix::fcntl::renameat2(
            nix::fcntl::AT_FDCWD,
            &shop.at("new"),
            nix::fcntl::AT_FDCWD,
            &shop.at("template"),
            nix::fcntl::RenameFlags::RENAME_EXCHANGE,
        );
        exchanged.unwrap();
        fs::remove_dir_all(shop.at("new")).unwrap();
    });
}

#[test]
fn a_template_that_is_moved_away_and_made_again() {
    let site = a_site!();
    changes(&site, "/word", "", |shop| {
        shop.make_template("new", "two");
        fs::rename(shop.at("template"), shop.at("old")).unwrap();
        fs::rename(shop.at("new"), shop.at("template")).unwrap();
    });
}

#[test]
fn a_template_that_is_removed_and_made_again() {
    let site = a_site!();
    for park in PARKS {
        let shop = Shop::new(&site);
        let file = shop.service("service", "/word", &format!("park = \"{park}\""));
        let serving = Serve::file(&site, &file).start();
        assert!(answer(&serving).contains("one"), "{park}");
        fs::remove_dir_all(shop.at("template")).unwrap();
        // Somebody comes while it is gone, and more than are parked.
        let waiting: Vec<_> = (0..6).map(|_| serving.connect()).collect();
        std::thread::sleep(Duration::from_millis(300));
        shop.make_template("template", "two");
        for client in waiting {
            let got = rest(client);
            // Those that were parked run, and find nothing: the word is gone with the template.
            assert!(got.contains("two") || got.contains("errno 2"), "{park}: {got:?}");
        }
        serving.await_log(&["reloaded the service"]);
        for _ in 0..12 {
            let got = answer(&serving);
            assert!(got.contains("two"), "{park}: {got:?}");
        }
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn a_release_link_that_points_elsewhere() {
    let site = a_site!();
    for keeps_old in [true, false] {
        let shop = Shop::new(&site);
        symlink("template", shop.at("current")).unwrap();
        let file = shop.service("service", "/word", "template = \"current\"");
        let serving = Serve::file(&site, &file).start();
        assert!(answer(&serving).contains("one"));
        shop.make_template("release-2", "two");
        symlink("release-2", shop.at("next")).unwrap();
        fs::rename(shop.at("next"), shop.at("current")).unwrap();
        if !keeps_old {
            fs::remove_dir_all(shop.at("template")).unwrap();
        }
        serving.await_log(&["reloaded the service", "was replaced"]);
        becomes(&serving, "two");
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn a_bound_file_that_is_replaced_by_rename() {
    let site = a_site!();
    changes(&site, "/note", "bind_ro = [\"note:/note\"]", |shop| {
        write(&shop.at("note.new"), b"two", 0o644);
        fs::rename(shop.at("note.new"), shop.at("note")).unwrap();
    });
}

#[test]
fn a_bound_directory_that_is_removed_and_made_again() {
    let site = a_site!();
    changes_from(&site, "/empty/word", "bind_ro = [\"content:/empty\"]", &["one", EMPTIED], |shop| {
        fs::rename(shop.at("content"), shop.at("old")).unwrap();
        shop.make_directory_with_word("content", "two");
        fs::remove_dir_all(shop.at("old")).unwrap();
    });
}

#[test]
fn a_writable_bind_that_is_removed_and_made_again() {
    let site = a_site!();
    changes_from(&site, "/empty/word", "bind = [\"content:/empty:1000\"]", &["one", EMPTIED], |shop| {
        fs::rename(shop.at("content"), shop.at("old")).unwrap();
        shop.make_directory_with_word("content", "two");
        fs::remove_dir_all(shop.at("old")).unwrap();
    });
}

#[test]
fn a_layer_of_a_read_only_overlay_that_is_replaced() {
    let site = a_site!();
    changes(&site, "/empty/word", "overlay_ro = [\"template/tmp:content:/empty\"]", |shop| {
        shop.make_directory_with_word("new", "two");
        fs::rename(shop.at("content"), shop.at("old")).unwrap();
        fs::rename(shop.at("new"), shop.at("content")).unwrap();
        fs::remove_dir_all(shop.at("old")).unwrap();
    });
}

#[test]
fn a_credential_that_is_renewed_by_rename() {
    let site = a_site!();
    changes(&site, "/run/credentials/note", "credential = [\"note:note\"]", |shop| {
        write(&shop.at("note.new"), b"two", 0o644);
        fs::rename(shop.at("note.new"), shop.at("note")).unwrap();
    });
}

#[test]
fn a_handler_that_is_replaced_as_rsync_does_it() {
    let site = a_site!();
    for park in PARKS {
        let shop = Shop::new(&site);
        let file = shop.service("service", "/word", &format!("park = \"{park}\""));
        let serving = Serve::file(&site, &file).start();
        assert!(answer(&serving).contains("one"));
        let handler = shop.at("template").join("bin/probe");
        fs::copy(&handler, shop.at("template").join("bin/.probe.x1")).unwrap();
        fs::rename(shop.at("template").join("bin/.probe.x1"), &handler).unwrap();
        write(&shop.at("template").join("word"), b"two", 0o644);
        serving.await_log(&["reloaded the service", "/bin/probe was replaced"]);
        becomes(&serving, "two");
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn a_mount_point_that_is_removed_and_made_again_in_the_template() {
    let site = a_site!();
    let shop = Shop::new(&site);
    let file =
        shop.service("service", "/empty/word", "snapshot = \"readonly\"\nbind_ro = [\"content:/empty\"]");
    let serving = Serve::file(&site, &file).start();
    assert!(answer(&serving).contains("one"));
    fs::remove_dir(shop.at("template").join("empty")).unwrap();
    make_directory(&shop.at("template").join("empty"), 0o755);
    serving.await_log(&["reloaded the service", "mount point"]);
    for _ in 0..8 {
        let got = answer(&serving);
        assert!(got.contains("one"), "{got:?}");
    }
    assert_eq!(serving.terminate().0, 0);
}

/// The supervisor cannot see it by the paths: each sandbox that is tried finds it anew.
#[test]
fn a_mount_point_that_stays_away_is_told_once_and_costs_a_connection_one_number() {
    let site = a_site!();
    for park in PARKS {
        let shop = Shop::new(&site);
        let more = format!("snapshot = \"readonly\"\npark = \"{park}\"\nwarm = 1\ntmpfs = [\"/empty\"]");
        let file = shop.service("service", "/word", &more);
        let serving = Serve::file(&site, &file).start();
        assert!(answer(&serving).contains("one"));
        fs::remove_dir(shop.at("template").join("empty")).unwrap();
        // One may be parked.
        let until = Instant::now() + PATIENCE;
        let mut asked = 2;
        while answer(&serving) != "refused" {
            assert!(Instant::now() < until, "nobody is refused");
            asked += 1;
        }
        make_directory(&shop.at("template").join("empty"), 0o755);
        let until = Instant::now() + PATIENCE;
        while !answer(&serving).contains("one") {
            assert!(Instant::now() < until, "nobody is served again");
        }
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
        let number = format!("conn={asked} ");
        let refused = |line: &str| line.contains(&number) && line.contains("outcome=refused");
        assert!(log.lines().any(refused), "{park}: {number}: {log}");
        let count = |what: &str| log.matches(what).count();
        assert_eq!(count("cannot reload the service"), 1, "{park}: {log}");
        assert!(count("reloaded the service") + count("are there again") == 1, "{park}: {log}");
    }
}

#[test]
fn an_image_that_is_replaced() {
    let site = a_site!();
    let mkfs = need!("mkfs.erofs");
    let shop = Shop::new(&site);
    let image = |name: &str, from: &Path| {
        let made = Command::new(&mkfs).args(["--quiet"]).arg(shop.at(name)).arg(from).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    image("image", &shop.at("template"));
    shop.make_template("other", "two");
    let file = shop.service("service", "/word", "template = \"image\"");
    let serving = Serve::file(&site, &file).start();
    let got = answer(&serving);
    assert!(got.contains("one"), "{got:?}");
    image("image.new", &shop.at("other"));
    fs::rename(shop.at("image.new"), shop.at("image")).unwrap();
    becomes(&serving, "two");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_subvolume_that_is_replaced() {
    let mut site = a_site!();
    let Some(volume) = Volume::new(&mut site) else { return common::skip("no btrfs here") };
    let word = |template: &Path, word: &str| write(&template.join("srv/hello"), word.as_bytes(), 0o644);
    word(&volume.template(), "one");
    let shop = Shop::new(&site);
    let template = format!("template = \"{}\"\nsnapshot = \"btrfs\"", volume.template().display());
    let file = shop.service("service", "/srv/hello", &template);
    let serving = Serve::file(&site, &file).start();
    let got = answer(&serving);
    assert!(got.contains("one"), "{got:?}");
    let new = volume.directory().join("new");
    let btrfs = |words: &[&Path]| {
        let done = Command::new("btrfs").arg("subvolume").args(words).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    btrfs(&[Path::new("snapshot"), &volume.template(), &new]);
    word(&new, "two");
    fs::rename(volume.template(), volume.directory().join("old")).unwrap();
    fs::rename(&new, volume.template()).unwrap();
    btrfs(&[Path::new("delete"), &volume.directory().join("old")]);
    becomes(&serving, "two");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn of_several_services_only_the_one_whose_files_changed_is_reloaded() {
    let site = a_site!();
    let shop = Shop::new(&site);
    shop.make_template("beta", "one");
    let one = shop.service("alpha", "/word", "");
    let other = shop.service("beta", "/word", "template = \"beta\"");
    let serving = Serve::files(&site, &[&one, &other]).sockets(&["alpha", "beta"]).start();
    let ask = |index| rest(serving.connect_to(index));
    assert!(ask(0).contains("one") && ask(1).contains("one"));
    shop.make_template("new", "two");
    fs::rename(shop.at("beta"), shop.at("old")).unwrap();
    fs::rename(shop.at("new"), shop.at("beta")).unwrap();
    fs::remove_dir_all(shop.at("old")).unwrap();
    serving.await_log(&["reloaded the service", "service=beta"]);
    for _ in 0..8 {
        assert!(ask(0).contains("one"));
        assert!(ask(1).contains("two"));
    }
    let (status, log) = serving.terminate();
    assert!(status == 0 && !log.contains("reloaded"), "{log}");
}

#[test]
fn a_template_that_stays_away_is_told_once_and_served_again_when_it_is_back() {
    let site = a_site!();
    let shop = Shop::new(&site);
    let file = shop.service("service", "/word", "");
    let serving = Serve::file(&site, &file).start();
    assert!(answer(&serving).contains("one"));
    // Somewhere else it still lives: the old content stays in force.
    fs::rename(shop.at("template"), shop.at("elsewhere")).unwrap();
    serving.await_log(&["cannot reload the service", "was removed", "template"]);
    for _ in 0..8 {
        assert!(answer(&serving).contains("one"));
    }
    // Now it lives nowhere: after the parked ones, who comes is refused.
    fs::remove_dir_all(shop.at("elsewhere")).unwrap();
    let until = Instant::now() + PATIENCE;
    while answer(&serving) != "refused" {
        assert!(Instant::now() < until, "nobody is refused");
    }
    serving.await_log(&["outcome=refused", "template"]);
    shop.make_template("template", "two");
    serving.await_log(&["reloaded the service"]);
    for _ in 0..8 {
        let got = answer(&serving);
        assert!(got.contains("two"), "{got:?}");
    }
    let (status, log) = serving.terminate();
    assert!(status == 0 && !log.contains("cannot reload"), "{log}");
}

#[test]
fn a_service_file_that_is_being_edited_does_not_come_into_force_with_a_new_template() {
    let site = a_site!();
    let shop = Shop::new(&site);
    let file = shop.service("service", "/word", "");
    let serving = Serve::file(&site, &file).start();
    assert!(answer(&serving).contains("one"));
    fs::write(&file, "template = \"temp").unwrap();
    shop.make_template("new", "two");
    fs::rename(shop.at("template"), shop.at("old")).unwrap();
    fs::rename(shop.at("new"), shop.at("template")).unwrap();
    becomes(&serving, "two");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_template_that_is_replaced_all_the_time_is_reloaded_seldom() {
    let site = a_site!();
    let shop = Shop::new(&site);
    let file = shop.service("service", "/word", "");
    let serving = Serve::file(&site, &file).start();
    assert!(answer(&serving).contains("one"));
    let end = Instant::now() + Duration::from_secs(4);
    let mut exchanges = 0;
    while Instant::now() < end {
        shop.make_template("new", "one");
        fs::rename(shop.at("template"), shop.at("old")).unwrap();
        fs::rename(shop.at("new"), shop.at("template")).unwrap();
        exchanges += 1;
        let got = answer(&serving);
        // Between two reloads a sandbox may have a template that is being removed.
        assert!(got.contains("one") || got.contains("errno 2"), "{got:?}");
        fs::remove_dir_all(shop.at("old")).unwrap();
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    let reloads = log.matches("reloaded the service").count();
    assert!((1..10).contains(&reloads), "{reloads} reloads of {exchanges} templates\n{log}");
}
