//! How much a handler can use: rlimits as the launcher promises them, and what happens at their ends.

use common::{a_site, process};

fn both(value: &str) -> (String, String) {
    (value.to_owned(), value.to_owned())
}

/// The limits of a waiting handler that was started with these options.
fn limits(options: &[&str], rows: &[(&str, &str)]) {
    let Some(site) = common::Site::new() else { return common::skip("this test needs root") };
    let mut live = site.probe(&["sleep"]).options(options).start();
    let handler = live.await_ready();
    for (row, value) in rows {
        assert_eq!(process::limit(handler, row), both(value), "{row} with {options:?}");
    }
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn the_defaults_are_as_documented() {
    let rows = [
        ("Max open files", "32"),
        ("Max file size", "16777216"),
        ("Max core file size", "1"),
        ("Max data size", "67108864"),
        ("Max processes", "1"),
    ];
    limits(&[], &rows);
}

#[test]
fn each_can_be_set_and_the_soft_one_is_the_hard_one() {
    limits(&["--rlimit", "nofile=20"], &[("Max open files", "20")]);
    limits(&["--rlimit", "cpu=7"], &[("Max cpu time", "7")]);
    limits(&["--memory", "24M"], &[("Max data size", "25165824")]);
    let two = ["--rlimit", "fsize=4096", "--rlimit", "stack=1M"];
    limits(&two, &[("Max file size", "4096"), ("Max stack size", "1048576"), ("Max open files", "32")]);
}

#[test]
fn memory_is_refused_beyond_the_limit() {
    let site = a_site!();
    let ended = site.probe(&["alloc"]).options(&["--memory", "16M"]).talk(b"");
    ended.expect(0, "exited");
    let answer = ended.value("alloc");
    let taken: u32 = answer.split(' ').next().unwrap().parse().unwrap();
    assert!((8..=16).contains(&taken), "took {answer} MiB of 16");
    assert!(answer.ends_with(&format!("errno {}", libc::ENOMEM)), "{answer}");
}

#[test]
fn memory_is_bounded_by_default() {
    let site = a_site!();
    let ended = site.probe(&["alloc"]).talk(b"");
    ended.expect(0, "exited");
    let taken: u32 = ended.value("alloc").split(' ').next().unwrap().parse().unwrap();
    assert!((40..=64).contains(&taken), "took {taken} MiB of 64");
}

#[test]
fn the_processor_time_ends_with_a_kill() {
    let site = a_site!();
    let ended = site
        .probe(&["spin"])
        .options(&["--rlimit", "cpu=1", "--cpu-burst=infinity", "--idle-time=infinity"])
        .talk(b"");
    ended.expect(137, "signaled");
}

#[test]
fn descriptors_end_at_the_limit() {
    let site = a_site!();
    let ended = site.probe(&["try", "fcntl_dupfd_63"]).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("errno {}", libc::EINVAL)), "{ended}");
}

/// A unit may give its launcher a score of its own; what it launches does not inherit that.
#[test]
fn its_out_of_memory_score_is_not_the_launchers() {
    let site = a_site!();
    let other = ["/bin/sh", "-c", r#"echo 300 >/proc/$$/oom_score_adj; exec "$0" "$@""#];
    for before in [&[][..], &other] {
        let mut live = site.probe(&["sleep"]).before(before).start();
        let handler = live.await_ready();
        let score = |pid| process::read(pid, "oom_score_adj").trim().to_owned();
        assert_eq!(score(live.launcher()), if before.is_empty() { "0" } else { "300" }, "the test itself");
        assert_eq!(score(handler), "500");
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}
