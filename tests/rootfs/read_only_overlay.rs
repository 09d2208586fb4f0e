//! `--overlay-ro`: several directories of the host, seen as one.

use common::serve::Serve;
use common::site::{make_directory, write};
use common::{Ended, Site, a_site};

/// Two directories beside the template: `name` is in both, `low` and `high` in one each.
fn stacked(site: &mut Site) -> (String, String) {
    let [low, high] = ["low:er", "higher"].map(|name| {
        let directory = site.directory().join(name);
        make_directory(&directory, 0o755);
        write(&directory.join("name"), format!("of the {name}\n").as_bytes(), 0o666);
        write(&directory.join(&name[..3]), b"alone\n", 0o666);
        directory.display().to_string().replace(':', "\\:")
    });
    site.settle();
    (low, high)
}

fn seen(site: &Site, options: &[&str], words: &[&str]) -> Ended {
    let ended = site.probe(&[&["try"], words].concat()).options(options).talk(b"");
    ended.expect(0, "exited");
    ended
}

#[test]
fn the_highest_directory_wins_and_none_can_be_written() {
    let mut site = a_site!();
    let (low, high) = stacked(&mut site);
    let stack = format!("{low}:{high}:/empty");
    for kind in ["readonly", "overlay"] {
        let options = ["--snapshot", kind, "--overlay-ro", &stack];
        for (file, content) in [("name", "of the higher"), ("low", "alone"), ("hig", "alone")] {
            let ended = seen(&site, &options, &["cat", &format!("/empty/{file}")]);
            assert_eq!(ended.value("content"), content, "{kind} {file}");
        }
        for file in ["name", "new"] {
            let ended = seen(&site, &options, &["write", &format!("/empty/{file}")]);
            let refused =
                [libc::EROFS, libc::EACCES].iter().any(|e| ended.text().contains(&format!("errno {e} ")));
            assert!(refused, "{kind}: {ended}");
        }
    }
}

#[test]
fn each_sandbox_of_a_server_sees_it() {
    let mut site = a_site!();
    let (low, high) = stacked(&mut site);
    let stack = format!("{high}:{low}:/empty");
    for kind in ["readonly", "overlay"] {
        let words = ["try", "cat", "/empty/name"];
        let serving =
            Serve::probe(&site, &words).options(&["--snapshot", kind, "--overlay-ro", &stack]).start();
        for _ in 0..3 {
            let answer = String::from_utf8(serving.ask(b"")).unwrap();
            assert!(answer.contains("of the low:er"), "{kind}: {answer}");
        }
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn a_layer_that_is_none_is_refused_before_anything_is_done() {
    let mut site = a_site!();
    let (low, _) = stacked(&mut site);
    for (stack, status, said) in [
        (format!("{low}:/empty"), 2, "use PATH:PATH:DST"),
        (format!("{low}:{low}:/"), 2, "below it"),
        (format!("{low}::/empty"), 2, "use PATH:PATH:DST"),
        (format!("{low}{}:/empty", format!(":{low}").repeat(12)), 2, "more than 12"),
        (format!("{low}:{low}/name:/empty"), 125, "each PATH must be a directory"),
        (format!("{low}:/var/tmp/no-such-layer:/empty"), 125, "/var/tmp/no-such-layer"),
    ] {
        let ended = site.probe(&["echo"]).options(&["--overlay-ro", &stack]).talk(b"");
        assert!(ended.status == status && ended.err.contains(said), "{stack}: {ended}");
    }
}
