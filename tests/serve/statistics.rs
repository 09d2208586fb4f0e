//! Statistics of a supervisor: told to `dayfly stats` over its socket, and to its own sandboxes as a file.

use common::serve::{Serve, Serving};
use common::site::{make_directory, set_mode, write};
use common::{PATIENCE, Site, a_site, dayfly, dist};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// Where the harness has its supervisors' runtime directory.
fn socket(site: &Site) -> PathBuf {
    site.directory().join("stats")
}

fn stats(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(dayfly());
    command.arg("stats").args(words).arg("--socket").arg(socket(site));
    command.output().unwrap()
}

/// The only service's report, once it has counted so many connections.
fn report(site: &Site, connections: u64) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = stats(site, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let reports: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let report = reports[0].clone();
        if report["total"]["connections"] == connections {
            return report;
        }
        assert!(Instant::now() < deadline, "not {connections}: {report}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_supervisor_tells_how_connections_ended_and_who_came() {
    let site = a_site!();
    let options = ["--max-per-source", "1", "--over-limit", "full\\r\\n"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let mut client = serving.connect_from("127.0.0.7");
    assert_eq!(client.line(), "ready");
    let mut other = serving.connect_from("127.0.0.7");
    assert_eq!(other.rest(), b"full\r\n");
    let live = report(&site, 0);
    assert_eq!((live["live"].as_u64(), live["rejected"]["max-per-source"].as_u64()), (Some(1), Some(1)));
    client.send(b"\n");
    assert_eq!(client.rest(), b"bye\n");
    let report = report(&site, 1);
    assert_eq!(report["total"]["outcomes"]["exited"], 1, "{report}");
    assert_eq!(report["peers"][0]["name"], "127.0.0.7", "{report}");
    assert_eq!(report["run"]["count"], 1, "{report}");
    assert_eq!(report["today"]["connections"], 1, "{report}");
    let text = String::from_utf8(stats(&site, &[]).stdout).unwrap();
    assert!(text.contains("1 connections, 1 exited") && text.contains("127.0.0.7"), "{text}");
    let metrics = String::from_utf8(stats(&site, &["--openmetrics"]).stdout).unwrap();
    assert!(metrics.contains("dayfly_connections_total{service=\"-\",outcome=\"exited\"} 1\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(serving.terminate().0, 0);
    assert!(!socket(&site).exists(), "the socket goes with the supervisor");
    let output = stats(&site, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// More than a socket's buffer holds: it is written as the client reads.
#[test]
fn the_document_of_many_services_is_whole_however_slowly_it_is_read() {
    let site = a_site!();
    let beside = common::site::Beside::new(&site);
    let (template, tag) = (site.template(), site.tag());
    let files: Vec<PathBuf> = (0..400)
        .map(|n| {
            let name = format!("{}-{n}", "s".repeat(200));
            let text = format!(
                "template = \"{}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"echo\"]\nsnapshot = \"readonly\"\n\
                 park = \"none\"\nlisten = [\"unix:{}/{n}\"]\n",
                template.display(),
                beside.0.display()
            );
            beside.file(&format!("{name}.toml"), &text, 0o644)
        })
        .collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let serving = Serve::files(&site, &paths).listening_itself().start();
    let mut client = common::process::until(|| UnixStream::connect(socket(&site)).ok());
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut document = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut document).unwrap();
    let buffer = std::fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap();
    assert!(document.len() > buffer.trim().parse().unwrap(), "{} bytes", document.len());
    let reports: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 400);
    assert_eq!(serving.terminate().0, 0);
}

/// It tells who has come: the peers' addresses.
#[test]
fn only_root_and_its_group_can_ask_the_socket() {
    use std::os::unix::fs::MetadataExt;
    let site = a_site!();
    // Whatever umask the supervisor is started with.
    for umask in ["0000", "0022", "0777"] {
        let script = format!("umask {umask}; exec \"$@\"");
        let serving = Serve::probe(&site, &["echo"]).before(&["/bin/sh", "-c", &script, "sh"]).start();
        assert_eq!(serving.ask(b"x\n"), b"x\n");
        let meta = std::fs::symlink_metadata(socket(&site)).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o660, "umask {umask}");
        assert_eq!((meta.uid(), meta.gid()), (0, 0), "umask {umask}");
        assert_eq!(serving.terminate().0, 0);
    }
}

#[test]
fn a_denied_call_and_a_killed_handler_count_as_such() {
    let site = a_site!();
    for (words, outcome) in [(&["try", "socket_inet"][..], "denied"), (&["abort"], "signaled")] {
        let serving = Serve::probe(&site, words).start();
        serving.ask(b"");
        let report = report(&site, 1);
        assert_eq!(report["total"]["outcomes"][outcome], 1, "{report}");
        serving.terminate();
    }
}

#[test]
fn who_asks_and_does_not_read_keeps_nobody_waiting() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let silent: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(socket(&site)).unwrap()).collect();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    report(&site, 2);
    drop(silent);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn the_socket_of_a_killed_supervisor_is_replaced_by_the_next_ones() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    serving.murder();
    // A process that ends still holds its descriptors when it has no command line any more.
    let end = Instant::now() + PATIENCE;
    while UnixStream::connect(socket(&site)).is_ok() {
        assert!(Instant::now() < end, "somebody still listens");
    }
    let serving = Serve::probe(&site, &["echo"]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    report(&site, 1);
    assert_eq!(serving.terminate().0, 0);
    assert!(!socket(&site).exists());
}

/// A gopher site with a statistics page, and a directory for them.
struct Gopher<'s> {
    site: &'s Site,
    directory: PathBuf,
}

impl<'s> Gopher<'s> {
    fn new(site: &'s Site) -> Gopher<'s> {
        let directory = PathBuf::from(format!("/var/tmp/{}-gopher", site.tag()));
        let template = directory.join("template");
        for name in
            ["", "state", "template", "template/bin", "template/run", "template/run/dayfly", "template/srv"]
        {
            make_directory(&directory.join(name), 0o755);
        }
        make_directory(&template.join("srv/gopher"), 0o755);
        std::fs::copy(dist("gopher-handler"), template.join("bin/gopher-handler")).unwrap();
        set_mode(&template.join("bin/gopher-handler"), 0o711);
        write(&template.join("srv/gopher/x.txt"), b"hello\r\n", 0o644);
        write(&template.join("srv/conf"), b"stats = \"/stats\"\n", 0o644);
        Gopher { site, directory }
    }

    fn start(&self, environment: &[&str]) -> Serving<'s> {
        let handler = "[\"/bin/gopher-handler\", \"--config\", \"/srv/conf\"]";
        let template = self.directory.join("template");
        let text =
            format!("template = \"{}\"\nhandler = {handler}\nsnapshot = \"readonly\"\n", template.display());
        let file = self.directory.join("gopher.toml");
        std::fs::write(&file, text).unwrap();
        let before: Vec<&str> = ["/usr/bin/env"].iter().chain(environment).copied().collect();
        Serve::file(self.site, &file).before(&before).start()
    }

    fn state(&self) -> String {
        format!("STATE_DIRECTORY={}", self.directory.join("state").display())
    }
}

impl Drop for Gopher<'_> {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.directory);
    }
}

fn page(serving: &Serving<'_>) -> String {
    String::from_utf8(serving.ask(b"/stats\r\n")).unwrap()
}

/// The page is written every few seconds.
fn await_page(serving: &Serving<'_>, wanted: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = page(serving);
        if wanted.iter().all(|wanted| page.contains(wanted)) {
            return page;
        }
        assert!(Instant::now() < deadline, "no {wanted:?} in {page}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_handler_reads_what_the_launcher_counted_by_selector_too_and_no_peer() {
    let site = a_site!();
    let gopher = Gopher::new(&site);
    let serving = gopher.start(&[]);
    for _ in 0..3 {
        assert!(serving.ask(b"/x.txt\r\n").starts_with(b"hello\r\n"));
        serving.ask(b"/not-there\r\n");
    }
    let page = await_page(&serving, &["exited", "3  /x.txt"]);
    assert!(!page.contains("/not-there"), "what was not found is not asked for most: {page}");
    let files: Vec<PathBuf> = find(site.directory(), "stats.json");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(!std::fs::read_to_string(file).unwrap().contains("127.0.0.1"));
    assert_eq!(serving.terminate().0, 0);
    assert!(find(site.directory(), "stats.json").is_empty(), "a runtime directory is left as it was");
}

fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries.map(|path| path.join(name)).filter(|path| path.exists()).collect()
}

#[test]
fn with_a_state_directory_counting_goes_on_after_a_restart() {
    let site = a_site!();
    let gopher = Gopher::new(&site);
    let state = gopher.state();
    let serving = gopher.start(&[&state]);
    serving.ask(b"/x.txt\r\n");
    await_page(&serving, &["1  /x.txt"]);
    assert_eq!(serving.terminate().0, 0);
    let serving = gopher.start(&[&state]);
    serving.ask(b"/x.txt\r\n");
    await_page(&serving, &["2  /x.txt"]);
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    serving.ask(b"/x.txt\r\n");
    await_page(&serving, &["3  /x.txt"]);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_sandbox_cannot_write_where_its_statistics_are() {
    let site = a_site!();
    let gopher = Gopher::new(&site);
    let template = gopher.directory.join("template");
    std::fs::copy(site.template().join("bin/probe"), template.join("bin/probe")).unwrap();
    let file = gopher.directory.join("probe.toml");
    for kind in ["readonly", "overlay"] {
        let (template, tag) = (template.display(), site.tag());
        let handler = format!("[\"/bin/probe\", \"@{tag}\", \"try\", \"write\", \"/run/dayfly/stats.json\"]");
        std::fs::write(
            &file,
            format!("template = \"{template}\"\nhandler = {handler}\nsnapshot = \"{kind}\"\n"),
        )
        .unwrap();
        let serving = Serve::file(&site, &file).start();
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert!(answer.contains("errno 30") || answer.contains("errno 13"), "{kind}: {answer}");
        assert_eq!(serving.terminate().0, 0);
    }
}

/// In the shared directory, in the place of one's own, and by the command that asks.
#[test]
fn a_socket_of_a_dead_supervisor_is_swept_and_no_other_file() {
    let site = a_site!();
    let shared = Path::new("/run/dayfly");
    std::fs::create_dir_all(shared).unwrap();
    let tag = site.tag();
    // No pid is as high (proc_sys_kernel(5), pid_max).
    let dead = |directory: &Path| {
        let path = directory.join("stats-4194399");
        let _earlier = std::fs::remove_file(&path);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        path
    };
    let below = shared.join(tag);
    std::fs::create_dir(&below).unwrap();
    let file = shared.join(format!("stats-{tag}"));
    std::fs::write(&file, "not a socket").unwrap();
    let alive = below.join("stats-4194398");
    let listener = std::os::unix::net::UnixListener::bind(&alive).unwrap();
    let sockets = [dead(shared), dead(&below)];
    // Its own is elsewhere: RUNTIME_DIRECTORY is the site.
    let serving = Serve::probe(&site, &["echo"]).start();
    serving.ask(b"x");
    assert!(sockets.iter().all(|path| !path.exists()), "{sockets:?}");
    assert_eq!(serving.terminate().0, 0);
    let sockets = [dead(shared), dead(&below)];
    Command::new(dayfly()).arg("stats").output().unwrap();
    let left = sockets.iter().any(|path| path.exists());
    let (file_left, alive_left) = (file.exists(), alive.exists());
    drop(listener);
    std::fs::remove_dir_all(&below).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(!left && file_left && alive_left, "{left} {file_left} {alive_left}");
}
