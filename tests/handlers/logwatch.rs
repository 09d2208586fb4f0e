//! The example `logwatch` as its README installs it.

use super::examples::service_of;
use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{PATIENCE, Site, a_site, dist, process};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

/// The service file, and the logs: beside the site, where nothing must change.
fn service(site: &mut Site, beside: &Beside) -> (PathBuf, PathBuf) {
    let logs = beside.0.join("logs");
    fs::create_dir(&logs).unwrap();
    log(&logs);
    let mountpoints = [(".mountpoints", "/log\n/tmp\n")];
    let file = service_of(site, "logwatch", &dist("logwatch"), &mountpoints, Some(("/var/log/relay", &logs)));
    (file, logs)
}

fn log(logs: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(logs.join("messages")).unwrap()
}

/// A watcher that has been told that it is one.
struct Watcher(BufReader<TcpStream>);

impl Watcher {
    fn new(serving: &Serving<'_>) -> Watcher {
        let stream = TcpStream::connect(serving.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut watcher = Watcher(BufReader::new(stream));
        assert_eq!(watcher.line(), "logwatch: messages: followed");
        watcher
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        line.trim_end().to_owned()
    }
}

/// KiB of each watcher's own memory.
fn memory(serving: &Serving<'_>) -> Vec<u64> {
    let is_served = |pid: &u32| {
        let first = process::descriptors_if_alive(*pid).and_then(|mut all| all.remove(&0));
        first.is_some_and(|name| name.starts_with("socket:")) && process::descends(*pid, serving.supervisor())
    };
    let anonymous = |pid: u32| -> u64 {
        let status = process::status(pid);
        status["RssAnon"].trim_end_matches(" kB").parse().unwrap()
    };
    process::all().into_iter().filter(is_served).map(anonymous).collect()
}

#[test]
fn watchers_see_each_line_over_a_rotation_and_the_sandbox_ends_with_its_watcher() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let (file, logs) = service(&mut site, &beside);
    let serving = Serve::file(&site, &file).start();
    let mut watchers = [Watcher::new(&serving), Watcher::new(&serving)];
    log(&logs).write_all(b"one\x1b\n").unwrap();
    for watcher in &mut watchers {
        assert_eq!(watcher.line(), "messages: one\\x1B");
    }
    fs::rename(logs.join("messages"), logs.join("messages.1")).unwrap();
    log(&logs).write_all(b"two\n").unwrap();
    for watcher in &mut watchers {
        assert_eq!(watcher.line(), "messages: two");
    }
    drop(watchers);
    serving.await_log(&["outcome=exited status=0"]);
    serving.await_log(&["outcome=exited status=0"]);
    assert_eq!(serving.live(), 0);
    let (status, log) = serving.terminate();
    assert_eq!(status, 0);
    assert!(!log.contains("outcome=denied"), "{log}");
}

#[test]
fn a_watcher_that_stops_lags_in_its_own_sandbox_and_nothing_of_it_is_lost() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let (file, logs) = service(&mut site, &beside);
    let serving = Serve::file(&site, &file).start();
    let (mut slow, mut quick) = (Watcher::new(&serving), Watcher::new(&serving));
    let mut written = log(&logs);
    let text = |number: usize| format!("{number:<199}\n");
    for number in 0..50_000 {
        written.write_all(text(number).as_bytes()).unwrap();
    }
    for number in 0..50_000 {
        assert_eq!(quick.line(), format!("messages: {number}"));
    }
    let memory = memory(&serving);
    assert!(memory.len() == 2 && memory.iter().all(|&kib| kib < 1024), "{memory:?}");
    for number in 0..50_000 {
        assert_eq!(slow.line(), format!("messages: {number}"));
    }
    drop((slow, quick));
    assert_eq!(serving.terminate().0, 0);
}
