//! The probes that port scanners send, and the seeds of the fuzz targets: each is answered or closed in time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{Tree, run};

const NMAP: &str = "/usr/share/nmap/nmap-service-probes";

/// The payloads of a file of probes: `Probe TCP Name q|payload|`, the delimiter being any character.
fn probes(text: &str) -> Vec<(String, Vec<u8>)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("Probe TCP "));
    let parsed = lines.filter_map(|line| {
        let (name, rest) = line.split_once(" q")?;
        let delimiter = rest.chars().next()?;
        let payload = rest[delimiter.len_utf8()..].split(delimiter).next()?;
        Some((name.to_owned(), unescaped(payload)))
    });
    parsed.collect()
}

fn unescaped(payload: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = payload.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, used) = match (first, after) {
            (b'\\', [b'x', high, low, ..]) => {
                (u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap(), 3)
            }
            (b'\\', [b'r', ..]) => (b'\r', 1),
            (b'\\', [b'n', ..]) => (b'\n', 1),
            (b'\\', [b't', ..]) => (b'\t', 1),
            (b'\\', [b'0', ..]) => (0, 1),
            (b'\\', [other, ..]) => (*other, 1),
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &after[used..];
    }
    bytes
}

#[test]
fn every_probe_of_nmap_is_answered_or_closed_in_time() {
    let Ok(text) = fs::read(NMAP) else {
        eprintln!("skipped: no {NMAP} here (Debian's nmap-common)");
        return;
    };
    let tree = Tree::new();
    tree.file("gophermap", "hello\n");
    let probes = probes(&String::from_utf8_lossy(&text));
    assert!(probes.len() > 50, "{} probes", probes.len());
    std::thread::scope(|scope| {
        let tree = &tree;
        for (name, payload) in &probes {
            scope.spawn(move || {
                let mut conversation = tree.conversation();
                let started = Instant::now();
                conversation.send(payload).read();
                assert!(started.elapsed() < Duration::from_secs(8), "{name}: {:?}", started.elapsed());
                let (answer, _) = conversation.close();
                assert_eq!(answer.status, Some(0), "{name}: {}", answer.log);
                assert_eq!(answer.log.matches('\n').count(), 1, "{name}: {}", answer.log);
            });
        }
    });
}

#[test]
fn probes_are_read_as_they_are_written() {
    let read =
        probes("# x\nProbe TCP A q|\\x16\\r\\n\\0\\\\|\nProbe UDP B q|x|\nProbe TCP C q@|@ no-payload\n");
    assert_eq!(read, [("A".to_owned(), b"\x16\r\n\0\\".to_vec()), ("C".to_owned(), b"|".to_vec())]);
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let seeds: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| fs::read(entry.unwrap().path())).collect();
    assert!(seeds.len() > 1, "{target}");
    seeds.into_iter().map(Result::unwrap).collect()
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_answered() {
    let tree = Tree::new();
    tree.file("t.txt", "text\n");
    for seed in seeds("request") {
        let answer = tree.ask(&seed);
        assert_eq!(answer.status, Some(0), "{}: {}", String::from_utf8_lossy(&seed), answer.log);
        assert_eq!(answer.log.matches('\n').count(), 1);
    }
    for seed in seeds("gophermap") {
        Tree::page(&seed);
    }
    for seed in seeds("config") {
        let answer = run(&mut tree.configured(&String::from_utf8(seed).unwrap()), b"\r\n");
        assert!(matches!(answer.status, Some(0 | 2)), "{}", answer.log);
    }
}
