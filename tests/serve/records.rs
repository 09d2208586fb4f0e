//! The records of connections: they are as docs/records.md says.

use common::serve::{Serve, Serving};
use common::{a_site, need};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The table: each field and where it is there.
fn documented() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/records.md");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// The record of one connection to a handler with these words.
fn record_of(words: &[&str], options: &[&str]) -> BTreeMap<String, Value> {
    let site = common::Site::new().unwrap();
    let serving = Serve::probe(&site, words).options(&["--log-format", "json"]).options(options).start();
    serving.ask(b"x\n");
    read(serving)
}

/// The record of one that is refused: what a mount wants of the template has gone since the start.
fn record_of_a_refusal() -> BTreeMap<String, Value> {
    let mut site = common::Site::new().unwrap();
    let options = ["--log-format", "json", "--park", "none", "--tmpfs", "/empty"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    serving.await_log(&["listening"]);
    let point = site.template().join("empty");
    std::fs::remove_dir(&point).unwrap();
    serving.ask(b"x\n");
    let line = serving.await_log(&["\"outcome\"", "\"conn\":1,"]);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
    site.settle();
    site.check_nothing_left();
    parsed(&line)
}

fn read(serving: Serving<'_>) -> BTreeMap<String, Value> {
    let line = serving.await_log(&["\"outcome\"", "\"conn\":1,"]);
    assert_eq!(serving.terminate().0, 0);
    parsed(&line)
}

fn parsed(line: &str) -> BTreeMap<String, Value> {
    let mut record: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    let time = record.remove("time").unwrap();
    assert!(is_time(time.as_str().unwrap()), "{time}");
    record.remove("level").unwrap();
    record.remove("message").unwrap();
    record
}

/// 2026-11-28T23:30:01.123Z
fn is_time(text: &str) -> bool {
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00.000Z"
}

#[test]
fn a_line_of_text_begins_with_its_time_and_says_what_the_json_record_says() {
    let _root = a_site!();
    let record = record_of(&["try", "socket_inet"], &[]);
    let site = common::Site::new().unwrap();
    let serving = Serve::probe(&site, &["try", "socket_inet"]).start();
    let listening = serving.await_log(&["listening"]);
    serving.ask(b"x\n");
    let line = serving.await_log(&["outcome=denied"]);
    for line in [&listening, &line] {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(is_time(time) && rest.starts_with("dayfly: "), "{line}");
    }
    for field in ["denied", "advice"] {
        let value = record[field].as_str().unwrap();
        assert!(line.contains(&format!("{field}=\"{value}\"")), "{field}: {value}\n{line}");
    }
    assert_eq!(serving.terminate().0, 0);
    // What is wrong before anything is served is an answer to a command.
    let ended = site.probe(&["echo"]).only_options(&["--template", "/nowhere"]).talk(b"");
    assert!(ended.err.starts_with("dayfly: "), "{ended}");
}

#[test]
fn every_record_has_the_fields_that_are_documented_and_no_others() {
    let _root = a_site!();
    let fields = documented();
    let always: BTreeSet<_> =
        fields.iter().filter(|(_, there)| *there == "always").map(|(f, _)| f.clone()).collect();
    let mut seen = BTreeSet::new();
    for (words, options, outcome, more) in [
        (&["exit", "3"][..], &[][..], "exited", &[][..]),
        (&["crash"], &[], "signaled", &["signal"]),
        (&["try", "socket_inet"], &[], "denied", &["signal", "denied", "advice"]),
        (&["try", "tee"], &["--profile", "interpreter"], "exited", &["answered", "answered_calls"]),
        (&["spin"], &["--wall-time", "200ms", "--idle-time", "infinity"], "wall", &["limit"]),
        (&["spin"], &["--idle-time", "200ms"], "idle", &["limit", "bytes_in", "bytes_out"]),
        (&[], &[], "refused", &[]),
    ] {
        let record = if outcome == "refused" { record_of_a_refusal() } else { record_of(words, options) };
        assert_eq!(record["outcome"], outcome, "{record:?}");
        let found: BTreeSet<_> = record.keys().cloned().collect();
        let wanted = always.iter().cloned().chain(more.iter().map(ToString::to_string)).collect();
        assert_eq!(found, wanted, "{words:?}");
        seen.extend(found);
    }
    // That of `dayfly learn` is seen by tests/isolation/learning.rs, those of TLS by tests/tls.
    let elsewhere = |field: &str, there: &str| there == "under `dayfly learn`" || field.starts_with("tls_");
    let of_these = fields.into_iter().filter(|(field, there)| !elsewhere(field, there));
    assert_eq!(seen, of_these.map(|(field, _)| field).collect(), "documented and never seen");
}

#[test]
fn its_numbers_are_the_connections() {
    let _root = a_site!();
    let record = record_of(&["spin"], &["--idle-time", "400ms"]);
    let number = |field: &str| record[field].as_u64().unwrap();
    let ids = 1_879_048_192..1_879_048_192 + 4_194_304;
    assert!(number("pid") > 1 && ids.contains(&number("uid")), "{record:?}");
    assert!(number("run_us") >= 400_000 && number("cpu_us") > 0 && number("max_rss_kib") > 0, "{record:?}");
    // Asked two bytes and the end of input; told "ready" and a line feed.
    assert!((2..=3).contains(&number("bytes_in")) && (6..=7).contains(&number("bytes_out")), "{record:?}");
    let denied = record_of(&["try", "connect_unspec"], &[]);
    assert!(denied["denied"].as_str().unwrap().starts_with("connect(0x0, "), "{denied:?}");
}

#[test]
fn systemd_is_shown_live_numbers_and_not_too_often() {
    let site = a_site!();
    let env = need!("env");
    let path = site.directory().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    let options = ["--max-per-source", "1", "--warm", "3"];
    let serving =
        Serve::probe(&site, &["sleep"]).options(&options).before(&[env.to_str().unwrap(), &variable]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    for _ in 0..100 {
        assert_eq!(serving.ask(b"x"), b"");
    }
    let mut told = Vec::new();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    loop {
        let mut buffer = [0; 256];
        let count = socket.recv(&mut buffer).expect("the numbers");
        told.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
        if told.last().unwrap() == "STATUS=serving: 1 live, 3 parked; 0 served, 0 refused, 100 rejected" {
            break;
        }
    }
    // A hundred changes and few words.
    assert!(told.len() < 10, "{told:?}");
    std::fs::remove_file(path).unwrap();
    client.send(b"\n");
    assert_eq!(client.rest(), b"bye\n");
    assert_eq!(serving.terminate().0, 0);
}
