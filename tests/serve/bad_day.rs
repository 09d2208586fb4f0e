//! docs/bad-day.md shows records of real connections: each is made again here and compared.

use common::serve::Serve;
use common::{Site, a_site, checkout};
use std::path::PathBuf;

/// The service that the page is about.
fn service(site: &mut Site, words: &[&str]) -> PathBuf {
    let mark = format!("@{}", site.tag());
    let words: Vec<String> =
        ["/bin/probe", &mark].iter().chain(words).map(|word| format!("{word:?}")).collect();
    let text = format!("template = \"{}\"\nhandler = [{}]\n", site.template().display(), words.join(", "));
    site.file("hello.toml", &text)
}

/// What a client of the service does.
enum Client {
    /// Sends a line, and reads to the end.
    Asks,
    /// Says nothing, and reads to the end.
    IsSilent,
    /// Comes a second time while the first connection is open.
    ComesTwice,
}

/// The line with these words that the supervisor has logged.
fn line(words: &[&str], options: &[&str], client: &Client, wanted: &[&str]) -> String {
    let mut site = Site::new().unwrap();
    let file = service(&mut site, words);
    let serving = Serve::file(&site, &file).options(options).start();
    let mut first = serving.connect();
    match client {
        Client::Asks => {
            first.send(b"x\n");
            first.half_close();
            first.rest();
        }
        Client::IsSilent => drop(first.rest()),
        Client::ComesTwice => {
            assert_eq!(first.line(), "ready");
            serving.connect().rest();
        }
    }
    let line = serving.await_log(wanted);
    drop(first);
    assert_eq!(serving.terminate().0, 0);
    line
}

/// What a mount wants of the template has gone since the start.
fn refused() -> String {
    let mut site = Site::new().unwrap();
    let file = service(&mut site, &["echo"]);
    let serving = Serve::file(&site, &file).options(&["--park", "none", "--tmpfs", "/empty"]).start();
    serving.await_log(&["listening"]);
    std::fs::remove_dir(site.template().join("empty")).unwrap();
    serving.ask(b"x\n");
    let line = serving.await_log(&["outcome=refused", "conn="]);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
    site.settle();
    site.check_nothing_left();
    line
}

fn not_reloaded() -> String {
    let mut site = Site::new().unwrap();
    let file = service(&mut site, &["echo"]);
    let serving = Serve::file(&site, &file).start();
    serving.await_log(&["listening"]);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "memroy = \"32M\"\n").unwrap();
    serving.signal(libc::SIGHUP);
    let line = serving.await_log(&["not reloaded"]);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
    site.settle();
    site.check_nothing_left();
    line
}

/// Without what differs from one connection, or machine, to the next.
fn form(line: &str) -> String {
    let numbers =
        ["conn", "pid", "uid", "wait_us", "setup_us", "run_us", "cpu_us", "max_rss_kib", "unlogged"];
    let of = |word: &str| match word.split_once('=') {
        Some((name, _)) if numbers.contains(&name) => format!("{name}=N"),
        Some(("peer", _)) => "peer=P".to_owned(),
        _ if word.starts_with("0x") => "0xN".to_owned(),
        _ if word.contains("hello.toml") => "FILE".to_owned(),
        _ => word.to_owned(),
    };
    let (_, rest) = line.split_once("Z dayfly: ").unwrap_or_else(|| panic!("no time in {line}"));
    // A connection may end just before its bytes are measured.
    let words = rest.split(' ').filter(|word| !word.starts_with("bytes_"));
    let words: Vec<String> = words.map(of).collect();
    words.join(" ")
}

/// The lines of the page's blocks.
fn shown() -> Vec<String> {
    let page = std::fs::read_to_string(checkout().join("docs/bad-day.md")).unwrap();
    let blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn the_page_of_a_bad_day_shows_what_such_a_day_logs() {
    let _root = a_site!();
    let silent = &Client::IsSilent;
    let asks = &Client::Asks;
    let spin = ["--wall-time", "200ms", "--idle-time", "infinity"];
    let lines = [
        line(&["try", "socket_inet"], &[], asks, &["outcome=denied"]),
        line(&["try", "tee"], &["--profile", "interpreter"], asks, &["call answered"]),
        line(&["crash"], &[], asks, &["outcome=signaled"]),
        line(&["exit", "3"], &[], asks, &["outcome=exited"]),
        line(&["stderr", "1", "no such user"], &[], asks, &["dayfly: handler"]),
        line(&["spin"], &spin, asks, &["outcome=wall"]),
        line(&["sleep"], &["--idle-time", "300ms"], silent, &["outcome=idle"]),
        line(&["sleep"], &["--wait-for-data", "200ms"], silent, &["outcome=idle"]),
        line(&["sleep"], &["--max-per-source", "1"], &Client::ComesTwice, &["rejected"]),
        refused(),
        not_reloaded(),
    ];
    let (made, page) = (lines.each_ref().map(|line| form(line)), shown());
    let page: Vec<String> = page.iter().map(|line| form(line)).collect();
    assert_eq!(page, made, "docs/bad-day.md shows other lines than\n{}", lines.join("\n"));
}
