//! Several services under one supervisor: each with its sockets, its pool, its limits.

use common::serve::Serve;
use common::site::{make_directory, write};
use common::{Client, Site, a_site};
use std::path::PathBuf;

/// Service files beside the site, whose files must stay as they were.
struct Files<'s> {
    site: &'s Site,
    directory: PathBuf,
}

impl<'s> Files<'s> {
    fn new(site: &'s Site) -> Files<'s> {
        let directory = PathBuf::from(format!("/var/tmp/{}-services", site.tag()));
        make_directory(&directory, 0o755);
        Files { site, directory }
    }

    /// A service whose handler is the probe with these words.
    fn write(&self, name: &str, words: &[&str], more: &str) -> PathBuf {
        let mut handler = vec!["/bin/probe".to_owned(), format!("@{}", self.site.tag())];
        handler.extend(words.iter().map(ToString::to_string));
        let template = self.site.template().display().to_string();
        let file = self.directory.join(format!("{name}.toml"));
        let text = format!("template = {template:?}\nhandler = {handler:?}\n{more}\n");
        write(&file, text.as_bytes(), 0o644);
        file
    }
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.directory);
    }
}

fn word(client: &mut Client) -> String {
    client.half_close();
    let answer = String::from_utf8(client.rest()).unwrap();
    let line = answer.lines().find_map(|line| line.strip_prefix("WORD="));
    line.unwrap_or("none").to_owned()
}

#[test]
fn a_named_socket_goes_to_the_service_of_that_name_and_options_apply_to_all() {
    let site = a_site!();
    let files = Files::new(&site);
    let one = files.write("one", &["env"], "setenv = [\"WORD=one\"]\nwarm = 2");
    let two = files.write("two", &["env"], "setenv = [\"WORD=two\"]\nsnapshot = \"overlay\"");
    // As systemd names them: by FileDescriptorName= or by the unit.
    let serving = Serve::files(&site, &[&one, &two])
        .options(&["--setenv", "BOTH=yes"])
        .sockets(&["two", "one.socket", "two"])
        .start();
    for (socket, expected) in [(0, "two"), (1, "one"), (2, "two"), (1, "one")] {
        assert_eq!(word(&mut serving.connect_to(socket)), expected, "socket {socket}");
    }
    let mut client = serving.connect_to(1);
    client.half_close();
    assert!(String::from_utf8(client.rest()).unwrap().contains("BOTH=yes"));
    serving.await_log(&["ended", "service=one"]);
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("service=two"), "{log}");
}

#[test]
fn what_one_service_is_flooded_with_costs_the_other_no_place() {
    let site = a_site!();
    let files = Files::new(&site);
    let limits = "max_connections = 3\nover_limit = \"full\\n\"";
    let one = files.write("one", &["sleep"], limits);
    let two = files.write("two", &["sleep"], limits);
    let serving = Serve::files(&site, &[&one, &two]).sockets(&["one", "two"]).start();
    let mut flood: Vec<Client> = (0..3).map(|_| serving.connect_to(0)).collect();
    for client in &mut flood {
        assert_eq!(client.line(), "ready");
    }
    assert_eq!(serving.connect_to(0).line(), "full");
    let mut others: Vec<Client> = (0..3).map(|_| serving.connect_to(1)).collect();
    for client in &mut others {
        assert_eq!(client.line(), "ready");
    }
    assert_eq!(serving.connect_to(1).line(), "full");
    drop((flood, others));
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_reload_takes_all_files_or_none() {
    let site = a_site!();
    let files = Files::new(&site);
    let one = files.write("one", &["env"], "setenv = [\"WORD=one\"]");
    let two = files.write("two", &["env"], "setenv = [\"WORD=two\"]");
    let serving = Serve::files(&site, &[&one, &two]).sockets(&["one", "two"]).start();
    let words = || [word(&mut serving.connect_to(0)), word(&mut serving.connect_to(1))];
    assert_eq!(words(), ["one", "two"]);
    files.write("one", &["env"], "setenv = [\"WORD=new\"]");
    files.write("two", &["env"], "no_such_key = 1");
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded", "two.toml"]);
    assert_eq!(words(), ["one", "two"]);
    files.write("two", &["env"], "setenv = [\"WORD=newer\"]");
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    assert_eq!(words(), ["new", "newer"]);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_socket_without_its_service_a_service_without_its_socket_and_one_named_twice_are_mistakes() {
    let site = a_site!();
    let files = Files::new(&site);
    let one = files.write("one", &["env"], "");
    let two = files.write("two", &["env"], "");
    let serve = |sockets: &[&str], options: &[&str]| {
        Serve::files(&site, &[&one, &two]).options(options).sockets(sockets).start().end()
    };
    let again = one.display().to_string();
    for (sockets, options, complaint) in [
        (&["one", "two", "three"][..], &[][..], "unknown service 'three'"),
        (&["one"], &[], "no address to listen on for 'two'"),
        (&["one", "two"], &["--service", &again], "'one' is named twice"),
        (&["one", "two"], &["--listen", "127.0.0.1:0"], "--listen with several services"),
    ] {
        let (status, log) = serve(sockets, options);
        assert_eq!(status, 2, "{log}");
        assert!(log.contains(complaint), "{complaint}: {log}");
    }
}

#[test]
fn services_that_differ_in_what_a_supervisor_has_one_of_are_a_mistake() {
    let site = a_site!();
    let files = Files::new(&site);
    let one = files.write("one", &["env"], "hostname = \"one\"");
    let two = files.write("two", &["env"], "hostname = \"two\"");
    let (status, log) = Serve::files(&site, &[&one, &two]).sockets(&["one", "two"]).start().end();
    assert_eq!(status, 2, "{log}");
    assert!(log.contains("differ in hostname"), "{log}");
    let serving =
        Serve::files(&site, &[&one, &two]).options(&["--hostname", "x"]).sockets(&["one", "two"]).start();
    assert_eq!(word(&mut serving.connect_to(1)), "none");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn run_takes_one_service() {
    let site = a_site!();
    let files = Files::new(&site);
    let one = files.write("one", &["env"], "").display().to_string();
    let options = ["--service", &one, "--service", &one];
    site.handler(&[]).only_options(&options).talk(b"").is_usage_error("several services");
}
