//! The program from outside: real files, rotated in the ways of log rotation, over a socket.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod harness;

use harness::{Place, Watcher, lost, number, write_numbers};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn new_lines_come_whole_with_the_name_of_their_file_and_escaped() {
    let place = Place::new();
    let (mut a, mut b) = (place.log("a"), place.log("b.log"));
    a.write_all(b"before\nunfinished").unwrap();
    let mut watcher = place.watch(&[], &["a", "b.log"]);
    watcher.expect_nothing();
    a.write_all(b" line\nand\x1b[2J").unwrap();
    watcher.expect(&["a: unfinished line"]);
    b.write_all(b"other\n").unwrap();
    watcher.expect(&["b.log: other"]);
    a.write_all(b"\xFF\\ more\n").unwrap();
    watcher.expect(&["a: and\\x1B[2J\\xFF\\\\ more"]);
}

#[test]
fn since_begins_with_that_many_lines() {
    let place = Place::new();
    place.log("a").write_all(b"1\n2\n3\nunfinished").unwrap();
    place.log("large").write_all(&b"line\n".repeat(100_000)).unwrap();
    place.watch(&["--since", "2"], &["a"]).expect(&["a: 2", "a: 3"]);
    place.watch(&["--since=100"], &["a"]).expect(&["a: 1", "a: 2", "a: 3"]);
    let mut watcher = place.watch(&["--since=50000"], &["large"]);
    for _ in 0..50_000 {
        watcher.expect(&["large: line"]);
    }
    watcher.expect_nothing();
}

#[test]
fn a_file_that_is_not_there_yet_is_followed_from_its_first_line() {
    let place = Place::new();
    let mut watcher = place.start(&[], &["a"]);
    watcher.expect(&["logwatch: a: cannot be read: No such file or directory (os error 2)"]);
    place.log("a").write_all(b"first\n").unwrap();
    watcher.expect(&["logwatch: a: followed", "a: first"]);
}

#[test]
fn a_rotation_by_renaming_loses_nothing_that_is_still_written_to_the_old_file() {
    let place = Place::new();
    let mut old = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    old.write_all(b"1\n").unwrap();
    place.rename("a", "a.1");
    old.write_all(b"2\n").unwrap();
    watcher.expect(&["a: 1", "a: 2"]);
    let mut new = place.log("a");
    new.write_all(b"4\n").unwrap();
    watcher.expect(&["a: 4"]);
    // Its writer opens the new file a little later.
    watcher.let_it_look();
    old.write_all(b"3\n").unwrap();
    watcher.expect(&["a: 3"]);
    new.write_all(b"5\n").unwrap();
    watcher.expect(&["a: 5"]);
}

#[test]
fn rotations_that_nobody_saw_lose_nothing() {
    let place = Place::new();
    place.log("a").write_all(b"1\n").unwrap();
    let mut watcher = place.watch(&["--since=1"], &["a"]);
    watcher.expect(&["a: 1"]);
    watcher.signal("STOP");
    for round in 2..5 {
        for number in (1..4).rev().filter(|number| place.path(&format!("a.{number}")).exists()) {
            place.rename(&format!("a.{number}"), &format!("a.{}", number + 1));
        }
        place.rename("a", "a.1");
        place.log("a").write_all(format!("{round}\n").as_bytes()).unwrap();
        // Times of files have a grain.
        std::thread::sleep(Duration::from_millis(20));
    }
    watcher.signal("CONT");
    watcher.expect(&["a: 2", "a: 3", "a: 4"]);
    watcher.expect_nothing();
}

/// Reads until the line of this number; each line must follow the one before, but for those that are told to
/// be lost.
#[track_caller]
fn read_to(watcher: &mut Watcher, last: u64) -> u64 {
    let (mut next, mut gone) = (0, 0);
    while next <= last {
        let line = watcher.line();
        match number(&line) {
            Some(number) => {
                assert_eq!(number, next, "a line was lost or doubled");
                next += 1;
            }
            None => {
                let count = lost(&line).unwrap_or_else(|| panic!("{line}"));
                next += count;
                gone += count;
            }
        }
    }
    assert_eq!(next, last + 1);
    gone
}

#[test]
fn a_slow_watcher_is_told_exactly_how_many_lines_rotations_took_from_it() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&["--rotations", "1"], &["a"]);
    for round in 0..5 {
        write_numbers(&mut log, round * 10_000..(round + 1) * 10_000);
        watcher.let_it_look();
        place.rename("a", &format!("a.{}", 9 - round));
        log = place.log("a");
        watcher.let_it_look();
    }
    write_numbers(&mut log, 50_000..50_010);
    let gone = read_to(&mut watcher, 50_009);
    // The first file was begun; the last two are there. A socket and a buffer of lines hold some.
    assert!((20_000..40_000).contains(&gone), "{gone}");
}

#[test]
fn a_slow_watcher_loses_nothing_to_rotations_that_are_few() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    for round in 0..4 {
        write_numbers(&mut log, round * 10_000..(round + 1) * 10_000);
        watcher.let_it_look();
        place.rename("a", &format!("a.{}", 9 - round));
        log = place.log("a");
        watcher.let_it_look();
    }
    write_numbers(&mut log, 40_000..40_010);
    assert_eq!(read_to(&mut watcher, 40_009), 0);
}

#[test]
fn a_file_that_was_copied_and_emptied_is_read_on_in_its_copy() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    write_numbers(&mut log, 0..20_000);
    watcher.let_it_look();
    fs::copy(place.path("a"), place.path("a.1")).unwrap();
    log.set_len(0).unwrap();
    write_numbers(&mut log, 20_000..20_010);
    assert_eq!(read_to(&mut watcher, 20_009), 0);
}

#[test]
fn a_file_that_was_emptied_and_is_longer_than_before_is_read_anew() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    log.write_all(b"one\n").unwrap();
    watcher.expect(&["a: one"]);
    watcher.signal("STOP");
    log.set_len(0).unwrap();
    log.write_all(b"another\nand more\n").unwrap();
    watcher.signal("CONT");
    watcher.expect(&["logwatch: a: lost lines: 0 or more", "a: another", "a: and more"]);
}

#[test]
fn lines_that_were_emptied_before_a_slow_watcher_had_them_are_counted() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    write_numbers(&mut log, 0..20_000);
    watcher.let_it_look();
    log.set_len(0).unwrap();
    watcher.let_it_look();
    let mut next = 0;
    let told = loop {
        let line = watcher.line();
        match number(&line) {
            Some(number) => assert_eq!(number, next),
            None => break line,
        }
        next += 1;
    };
    assert_eq!(told, format!("logwatch: a: lost lines: {} or more", 20_000 - next));
    assert!(next < 15_000);
}

#[test]
fn the_hole_of_a_writer_that_does_not_append_is_no_line() {
    let place = Place::new();
    let log = File::create(place.path("a")).unwrap();
    log.write_all_at(b"one\n", 0).unwrap();
    let mut watcher = place.watch(&["--since=1"], &["a"]);
    watcher.expect(&["a: one"]);
    log.set_len(0).unwrap();
    watcher.let_it_look();
    log.write_all_at(b"two\n", 1_000_000).unwrap();
    watcher.expect(&["logwatch: a: lost lines: 0 or more", "a: two"]);
}

#[test]
fn the_last_line_of_a_rotated_file_is_written_though_it_has_no_end() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    log.write_all(b"one\ntwo").unwrap();
    place.rename("a", "a.1");
    place.log("a").write_all(b"three\n").unwrap();
    watcher.expect(&["a: one", "a: three", "a: two"]);
}

#[test]
fn memory_is_bounded_whatever_a_watcher_leaves_unread() {
    let place = Place::new();
    let mut log = place.log("a");
    let watcher = place.watch(&[], &["a"]);
    for round in 0..6 {
        write_numbers(&mut log, 0..100_000);
        log.write_all(&vec![b'x'; 10_000_000]).unwrap();
        log.write_all(&vec![0xFF; 1_000_000]).unwrap();
        place.rename("a", &format!("a.{round}"));
        log = place.log("a");
        watcher.let_it_look();
    }
    assert!(watcher.peak() < 8 * 1024, "{} KiB", watcher.peak());
}

#[test]
fn it_ends_when_the_watcher_does_by_either_end() {
    let place = Place::new();
    place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    watcher.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(watcher.ended(), Some(0));
    let mut watcher = place.watch(&[], &["a"]);
    let began = Instant::now();
    watcher.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(watcher.ended(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_the_watcher_sends_means_nothing() {
    let place = Place::new();
    let mut log = place.log("a");
    let mut watcher = place.watch(&[], &["a"]);
    watcher.stream.write_all(&[b'x'; 100_000]).unwrap();
    log.write_all(b"one\n").unwrap();
    watcher.expect(&["a: one"]);
}

#[test]
fn a_watcher_of_a_quiet_log_hears_that_all_is_well() {
    let place = Place::new();
    place.log("a");
    place.watch(&["--alive", "1"], &["a"]).expect(&["logwatch: alive", "logwatch: alive"]);
}

#[test]
fn a_fifo_is_no_log() {
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.path("a")).status().unwrap().success());
    place.start(&[], &["a"]).expect(&["logwatch: a: cannot be read: it is not a regular file"]);
}

#[test]
fn a_wrong_command_line_is_status_2_and_says_why() {
    let output = Command::new(env!("CARGO_BIN_EXE_logwatch")).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stderr, b"logwatch: give the files to follow; try --help\n");
    let mut help = Command::new(env!("CARGO_BIN_EXE_logwatch"));
    let mut child = help.arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("Usage: logwatch ") && child.wait().unwrap().success());
}
