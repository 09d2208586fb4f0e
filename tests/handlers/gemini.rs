//! The example `gemini` as its README installs it: the shipped tree, resident and once per connection.

use super::examples::service_of;
use common::serve::Serve;
use common::{Site, Wire, a_site, checkout, dist};
use std::path::PathBuf;

fn service(site: &mut Site) -> PathBuf {
    let tree = checkout().join("rootfs/gopher/srv/gopher");
    let content = site.directory().join("hole");
    let copied = std::process::Command::new("cp").arg("-R").arg(tree).arg(&content).status().unwrap();
    assert!(copied.success());
    let mountpoints = [(".mountpoints", "/srv/gopher\n/tmp\n")];
    let binds = content.with_file_name("hole:/srv/gopher");
    service_of(site, "gemini", &dist("gemini-handler"), &mountpoints, Some(("/srv/gopher", &binds)))
}

const URL: &str = "gemini://gemini.example";

/// Paths of the shipped tree, and how their answers begin.
const ANSWERS: [(&str, &str); 8] = [
    ("/", "20 text/gemini; charset=utf-8\r\n# A dayfly gopher hole\n"),
    ("/files/", "20 text/gemini; charset=utf-8\r\n"),
    ("/files/name%20with%20spaces.txt", "20 text/plain; charset=utf-8\r\n"),
    ("/pictures/dayfly.png", "20 image/png\r\n"),
    ("/phlog", "31 gemini://gemini.example/phlog/\r\n"),
    ("/search", "10 Words to search for\r\n"),
    ("/search?sandbox", "20 text/gemini; charset=utf-8\r\n# Search: sandbox\n"),
    ("/../../bin/gemini-handler", "51 Not found\r\n"),
];

#[test]
fn the_shipped_tree_is_served_under_the_profile_of_gopher() {
    let mut site = a_site!();
    let file = service(&mut site);
    let serving = Serve::file(&site, &file).start();
    for (path, begins) in ANSWERS {
        let answer = serving.ask(format!("{URL}{path}\r\n").as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(begins), "{path}: {answer}");
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0);
    assert!(!log.contains("outcome=denied"), "{log}");
    for (path, begins) in ANSWERS {
        let once = site.handler(&[]).wire(Wire::Tcp).only_options(&["--service", file.to_str().unwrap()]);
        let ended = once.talk(format!("{URL}{path}\r\n").as_bytes());
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(begins), "{path}: {}", ended.text());
    }
}
