//! No connection ever sees a byte, a file, a process or a uid of another.

use common::serve::Serve;
use common::{Client, a_site};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROUNDS: usize = 1000;
/// As many at a time as one service lets in from everywhere, by default.
const AT_ONCE: usize = 250;

/// The lines that the handler says up to its next `met`, which must be of this word.
fn hear(client: &mut Client, word: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line();
        assert!(!line.is_empty(), "{word} was cut after {lines:?}");
        if let Some(met) = line.strip_prefix("met ") {
            assert_eq!(met, word, "it was given another's word");
            return lines;
        }
        lines.push(line);
    }
}

/// Which of the words that are said in this test are among the names it saw.
fn words(lines: &[String]) -> BTreeSet<&str> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("entry "))
        .filter(|name| name.starts_with("word-"))
        .collect()
}

fn value<'a>(lines: &'a [String], key: &str) -> &'a str {
    lines.iter().find_map(|line| line.strip_prefix(key)).unwrap().trim()
}

#[test]
fn a_thousand_connections_as_many_at_a_time_as_there_may_be_meet_nobody() {
    let site = a_site!();
    for snapshot in ["readonly", "overlay"] {
        let options =
            ["--snapshot", snapshot, "--max-per-source", "300", "--wall-time", "5min", "--idle-time", "5min"];
        let serving = Serve::probe(&site, &["meet"]).options(&options).start();
        let (next, live) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
        // A wave of them is there at once: each has its answer before any goes on.
        while next.load(Ordering::Relaxed) < ROUNDS {
            let mut wave: Vec<(String, Client)> = (0..AT_ONCE)
                .map(|_| (format!("word-{}", next.fetch_add(1, Ordering::Relaxed)), serving.connect()))
                .collect();
            for (word, client) in &mut wave {
                client.send(format!("{word}\n").as_bytes());
            }
            for (word, client) in &mut wave {
                let lines = hear(client, word);
                assert_eq!(words(&lines), BTreeSet::new(), "{word} met another's file");
                assert_eq!(value(&lines, "pid "), "1", "{word} is not alone");
                let uid = value(&lines, "uid ").to_owned();
                assert!(live.lock().unwrap().insert(uid.clone()), "{word} has the uid {uid} of another");
            }
            for (word, client) in &mut wave {
                client.send(format!("{word}-again\n").as_bytes());
                let lines = hear(client, &format!("{word}-again"));
                assert_eq!(words(&lines), BTreeSet::from([word.as_str()]), "{word} met another's file");
                assert_eq!(client.rest(), b"");
            }
            live.lock().unwrap().clear();
        }
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}
